package overview

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Most rows of each list of an account; its counts say how many there are.
const most = 8

// Account is what a customer's account has: the newest few of each thing, and how many
// there are. Amounts are minor units of the row's currency.
type Account struct {
	ID            uuid.UUID      `json:"id"`
	Services      []Service      `json:"services"`
	Subscriptions []Subscription `json:"subscriptions"`
	Orders        []Order        `json:"orders"`
	Invoices      []Invoice      `json:"invoices"`
	Members       []Member       `json:"members"`
	Outstanding   []Outstanding  `json:"outstanding"` // one a currency; empty: nothing is owed
	Tax           Tax            `json:"tax"`
	TermDays      int            `json:"term_days"` // it has to pay; 0: none of its own
	Credit        []Credit       `json:"credit"`    // one a currency; empty: none
	Disputes      []Dispute      `json:"disputes"`  // of payments, that the customer's bank has not decided
	Counts        struct {
		Services, Running, Subscriptions, Orders, Invoices int
	} `json:"counts"`
}

// Service is a service of an account, as far as a list shows it.
type Service struct {
	ID                                                                 uuid.UUID
	Name, Label, Address, Observed, Desired, Operation, Problem, Power string
	Created                                                            time.Time
}

// Subscription is a subscription of an account.
type Subscription struct {
	ID                            uuid.UUID
	Label, State, Cycle, Currency string
	Amount                        int64
	Items                         json.RawMessage // as tenant/renewal keeps them
	Until, Cancelled              time.Time       // zero: not yet, not at all
}

// Order is an order of an account.
type Order struct {
	ID              uuid.UUID
	Number          int64
	State, Currency string
	Total           int64
	Placed          time.Time
}

// Invoice is an invoice or credit note of an account.
type Invoice struct {
	ID                            uuid.UUID
	Number, Kind, State, Currency string
	Total, Paid, Credited         int64
	Issued, Due                   time.Time
}

// Member is somebody who acts for an account.
type Member struct {
	ID                uuid.UUID
	Name, Email, Role string
	Disabled          bool
}

// Credit is what an account has paid ahead or was given, and has not used.
type Credit struct {
	Currency string
	Left     int64
}

// Sum is how much.
func (c Credit) Sum() billing.Money { return billing.Money{Minor: c.Left, Currency: c.Currency} }

// Dispute is a payment that the customer's bank asks back.
type Dispute struct {
	Invoice                 uuid.UUID
	Number, State, Currency string
	Amount                  int64
	EvidenceBy              time.Time // zero: none is awaited
	Off                     bool      // something it paid for is suspended for a dispute
}

// Sum is what is asked back.
func (d Dispute) Sum() billing.Money { return billing.Money{Minor: d.Amount, Currency: d.Currency} }

// Tax is what decides the tax of an account, as the table keeps it; see account.TaxOf.
type Tax struct{ Country, TaxID, Check, Exemption string }

// Outstanding is what an account owes in one currency.
type Outstanding struct {
	Currency      string
	Open, Overdue int64
	Invoices      int
}

// Customer reads what an account has, in one statement. It is for the reseller's team:
// whose account it is was asked before.
func Customer(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (a Account, err error) {
	var raw string
	err = tx.NewRaw(`WITH a AS (SELECT ?::uuid AS id, ?::timestamptz AS now)
		SELECT jsonb_build_object('id', a.id,
		'services', (SELECT coalesce(jsonb_agg(x), '[]') FROM (SELECT id AS "ID", name AS "Name", label AS "Label", address AS "Address", observed AS "Observed", desired AS "Desired",
			operation AS "Operation", problem AS "Problem", power AS "Power", created_at AS "Created" FROM services WHERE account_id = a.id ORDER BY observed = 'gone', created_at DESC, id LIMIT ?) x),
		'subscriptions', (SELECT coalesce(jsonb_agg(x), '[]') FROM (SELECT id AS "ID", label AS "Label", state AS "State", cycle AS "Cycle", currency AS "Currency", amount_minor AS "Amount", items AS "Items",
			period_to AS "Until", cancel_at AS "Cancelled" FROM subscriptions WHERE account_id = a.id ORDER BY state = 'ended', created_at DESC, id LIMIT ?) x),
		'orders', (SELECT coalesce(jsonb_agg(x), '[]') FROM (SELECT id AS "ID", number AS "Number", state AS "State", currency AS "Currency", total_minor AS "Total", placed_at AS "Placed"
			FROM orders WHERE account_id = a.id ORDER BY placed_at DESC, id LIMIT ?) x),
		'invoices', (SELECT coalesce(jsonb_agg(x), '[]') FROM (SELECT id AS "ID", number AS "Number", kind AS "Kind", state AS "State", currency AS "Currency", total_minor AS "Total",
			paid_minor AS "Paid", credited_minor AS "Credited", issued_at AS "Issued", due_at AS "Due" FROM invoices WHERE account_id = a.id AND state <> 'draft' AND kind <> 'top_up'
			ORDER BY issued_at DESC, id DESC LIMIT ?) x),
		'members', (SELECT coalesce(jsonb_agg(x), '[]') FROM (SELECT p.id AS "ID", p.name AS "Name", p.email AS "Email", m.role AS "Role", p.disabled_at IS NOT NULL AS "Disabled"
			FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.account_id = a.id ORDER BY m.created_at, p.id LIMIT 50) x),
		'outstanding', (SELECT coalesce(jsonb_agg(x), '[]') FROM (SELECT currency AS "Currency", sum(total_minor - paid_minor - credited_minor) AS "Open",
			coalesce(sum(total_minor - paid_minor - credited_minor) FILTER (WHERE due_at < a.now), 0) AS "Overdue", count(*) AS "Invoices"
			FROM invoices WHERE account_id = a.id AND kind = 'invoice' AND state = 'open' GROUP BY currency ORDER BY currency) x),
		'credit', (SELECT coalesce(jsonb_agg(x), '[]') FROM (SELECT currency AS "Currency", sum(left_minor) AS "Left" FROM credit_grants
			WHERE account_id = a.id AND left_minor > 0 AND (expires_at IS NULL OR expires_at > a.now) GROUP BY currency ORDER BY currency) x),
		'disputes', (SELECT coalesce(jsonb_agg(x), '[]') FROM (SELECT i.id AS "Invoice", i.number AS "Number", d.state AS "State", p.currency AS "Currency", d.amount_minor AS "Amount",
			d.evidence_by AS "EvidenceBy", EXISTS (SELECT FROM invoice_lines l JOIN services v ON v.subscription_id = l.subscription_id WHERE l.invoice_id = i.id AND v.holds->>'dispute' IS NOT NULL) AS "Off" FROM invoices i JOIN payments p ON p.invoice_id = i.id
			CROSS JOIN LATERAL jsonb_to_recordset(p.disputes) AS d(state text, amount_minor bigint, evidence_by timestamptz, opened_at timestamptz)
			WHERE i.account_id = a.id AND p.disputes IS NOT NULL AND d.state NOT IN ('won', 'lost') ORDER BY d.opened_at DESC LIMIT 10) x),
		'tax', (SELECT jsonb_build_object('Country', coalesce(x.country, ''), 'TaxID', coalesce(x.tax_id, ''), 'Check', coalesce(x.tax_check::text, ''),
			'Exemption', coalesce(x.tax_exemption::text, '')) FROM accounts x WHERE x.id = a.id),
		'term_days', (SELECT coalesce(x.term_days, 0) FROM accounts x WHERE x.id = a.id),
		'counts', jsonb_build_object('Services', (SELECT count(*) FROM services WHERE account_id = a.id), 'Running', (SELECT count(*) FROM services WHERE account_id = a.id AND observed <> 'gone'),
			'Subscriptions', (SELECT count(*) FROM subscriptions WHERE account_id = a.id), 'Orders', (SELECT count(*) FROM orders WHERE account_id = a.id),
			'Invoices', (SELECT count(*) FROM invoices WHERE account_id = a.id AND state <> 'draft' AND kind <> 'top_up')))::text FROM a`,
		id, tx.Now(), most, most, most, most).Scan(ctx, &raw)
	if err != nil {
		return Account{}, fmt.Errorf("overview of account %s: %w", id, err)
	}
	if err := json.Unmarshal([]byte(raw), &a); err != nil {
		return Account{}, fmt.Errorf("overview of account %s: %w", id, err)
	}
	return a, nil
}
