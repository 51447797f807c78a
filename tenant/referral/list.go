package referral

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Referral is one account that another has brought.
type Referral struct {
	AccountID  uuid.UUID // of who was brought
	Name       string    // of the account; the referrer is not told it
	OwnerID    uuid.UUID // of the account; uuid.Nil: it has none, or the referrer asks
	By         uuid.UUID
	ByName     string
	ByOwnerID  uuid.UUID
	State      billing.ReferralState
	Reason     string // see Says; of a granted one, why the referrer got nothing
	JoinedAt   time.Time
	DueAt      time.Time // while it waits
	DecidedAt  time.Time
	DecidedBy  string        // a name; empty: the rule
	ToReferrer billing.Money // zero: nothing
	ToNewcomer billing.Money
	Brought    billing.Money // what the newcomer's invoices were paid with, by money
}

type row struct {
	ID, OwnerID, ByOwnerID           uuid.UUID
	Name, ByName, Referral, Currency string
	Brought                          int64
	Total                            int
}

const owner = `coalesce((SELECT m.person_id FROM memberships m WHERE m.account_id = %.id AND m.role = 'owner' ORDER BY m.created_at, m.person_id LIMIT 1), '00000000-0000-0000-0000-000000000000')`

func (r row) referral() (Referral, error) {
	k, err := read(r.Referral)
	return Referral{AccountID: r.ID, Name: r.Name, OwnerID: r.OwnerID, By: k.By, ByName: r.ByName, ByOwnerID: r.ByOwnerID, State: k.State, Reason: k.Reason, JoinedAt: k.JoinedAt, DueAt: k.DueAt, DecidedAt: k.DecidedAt,
		DecidedBy: k.DecidedBy, ToReferrer: k.ToReferrer, ToNewcomer: k.ToNewcomer, Brought: billing.Money{Minor: r.Brought, Currency: r.Currency}}, err
}

// MaxShown is how many referrals an account is shown, the newest first.
const MaxShown = 200

// By are those an account has brought, the newest first, without their names.
func By(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) ([]Referral, error) {
	var rows []row
	err := tx.NewRaw(`SELECT a.id, '' AS name, a.currency, a.referral::text AS referral FROM accounts b CROSS JOIN LATERAL jsonb_array_elements_text(b.brought) AS x(id) JOIN accounts a ON a.id = x.id::uuid
		WHERE b.id = ? AND a.referral IS NOT NULL ORDER BY a.id DESC LIMIT ?`, account, MaxShown).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read whom an account brought: %w", err)
	}
	return referrals(rows)
}

func referrals(rows []row) ([]Referral, error) {
	all := make([]Referral, len(rows))
	for i, r := range rows {
		var err error
		if all[i], err = r.referral(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Filter narrows a list.
type Filter struct {
	State         billing.ReferralState // empty: all
	Offset, Limit int
}

// List is everybody who was brought, the newest first, and how many there are.
func List(ctx context.Context, tx *tenancy.Tx, f Filter) ([]Referral, int, error) {
	var rows []row
	err := tx.NewRaw(`SELECT a.id, a.name, a.currency, a.referral::text AS referral, coalesce(b.name, '') AS by_name, `+strings.ReplaceAll(owner, "%", "a")+` AS owner_id, `+strings.ReplaceAll(owner, "%", "b")+` AS by_owner_id, count(*) OVER () AS total, (SELECT coalesce(sum(i.paid_minor - coalesce(i.credit_minor, 0)), 0)::bigint FROM invoices i WHERE i.account_id = a.id AND i.kind = 'invoice' AND i.currency = a.currency) AS brought
		FROM accounts a LEFT JOIN accounts b ON b.id = (a.referral->>'by')::uuid WHERE a.referral IS NOT NULL AND (? = '' OR a.referral->>'state' = ?)
		ORDER BY a.id DESC LIMIT ? OFFSET ?`, f.State, f.State, min(max(f.Limit, 1), MaxShown), f.Offset).Scan(ctx, &rows)
	if err != nil {
		return nil, 0, fmt.Errorf("list referrals: %w", err)
	}
	total := 0
	if len(rows) > 0 {
		total = rows[0].Total
	}
	all, err := referrals(rows)
	return all, total, err
}

// Figure is what came of the programme in one currency.
type Figure struct {
	Currency             string
	People               int // who were brought
	Granted              int
	CostMinor, PaidMinor int64 // credit that was given to both sides; what newcomers paid by money
}

// Cost is the credit that was given.
func (f Figure) Cost() billing.Money { return billing.Money{Minor: f.CostMinor, Currency: f.Currency} }

// Paid is what newcomers have paid by money.
func (f Figure) Paid() billing.Money { return billing.Money{Minor: f.PaidMinor, Currency: f.Currency} }

// Figures are what came of the programme, by currency.
func Figures(ctx context.Context, tx *tenancy.Tx) (all []Figure, err error) {
	err = tx.NewRaw(`WITH n AS (SELECT id, currency, referral->>'state' AS state FROM accounts WHERE referral IS NOT NULL),
		g AS (SELECT g.currency, sum(g.amount_minor - coalesce((SELECT sum(-m.minor) FROM credit_moves m WHERE m.grant_id = g.id AND m.kind = 'expired'), 0))::bigint AS cost FROM credit_grants g WHERE g.kind = 'referral' GROUP BY 1),
		p AS (SELECT i.currency, sum(i.paid_minor - coalesce(i.credit_minor, 0))::bigint AS paid FROM invoices i JOIN n ON n.id = i.account_id WHERE i.kind = 'invoice' GROUP BY 1),
		c AS (SELECT currency, count(*) AS people, count(*) FILTER (WHERE state = 'granted') AS granted FROM n GROUP BY 1)
		SELECT x.currency, coalesce(c.people, 0) AS people, coalesce(c.granted, 0) AS granted, coalesce(g.cost, 0) AS cost_minor, coalesce(p.paid, 0) AS paid_minor
		FROM (SELECT currency FROM c UNION SELECT currency FROM g) x LEFT JOIN c USING (currency) LEFT JOIN g USING (currency) LEFT JOIN p USING (currency) ORDER BY 1`).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("add up referrals: %w", err)
	}
	return all, nil
}

var (
	errGranted = fault.New(fault.Conflict, "referral.granted", "Credit was given for this already. Take it back at the customers' pages, under Credit.")
	errNoTerms = fault.New(fault.Conflict, "referral.no_terms", "Nothing is given in the currencies of these two accounts. Say first what is.")
)

// Refuse decides by hand that nobody gets anything, with a note for the team. Refusing
// again changes nothing. Faults: referral.not_found, referral.granted, referral.note_long.
func Refuse(ctx context.Context, db *tenancy.DB, newcomer uuid.UUID, note string, by audit.Origin) error {
	return byHand(ctx, db, newcomer, "referral.refused", note, by, func(tx *tenancy.Tx, k kept, _ sides) (bool, error) {
		if k.State == billing.ReferralGranted {
			return false, errGranted
		}
		if k.State == billing.ReferralRefused && k.Reason == billing.ReferralByHand {
			return false, nil
		}
		return true, refuse(ctx, tx, newcomer, k, billing.ReferralByHand, by.Actor.Name)
	})
}

// Grant decides by hand that both sides get what the programme gives now, whatever the
// rule says. Granting again changes nothing. Faults: referral.not_found,
// referral.no_terms, credit.account_closed, referral.note_long.
func Grant(ctx context.Context, db *tenancy.DB, newcomer uuid.UUID, note string, by audit.Origin) error {
	return byHand(ctx, db, newcomer, "referral.granted", note, by, func(tx *tenancy.Tx, k kept, s sides) (bool, error) {
		if k.State == billing.ReferralGranted && k.Reason == "" {
			return false, nil
		}
		p, err := Of(ctx, tx)
		if err != nil {
			return false, err
		}
		if p.Terms[s.Referrer].Referrer == 0 && p.Terms[s.Newcomer].Newcomer == 0 {
			return false, errNoTerms
		}
		return true, grant(ctx, tx, newcomer, k, s, p, billing.ReferralVerdict{State: billing.ReferralGranted, Referrer: true, Newcomer: true}, by.Actor.Name)
	})
}

func byHand(ctx context.Context, db *tenancy.DB, newcomer uuid.UUID, action, note string, by audit.Origin, do func(*tenancy.Tx, kept, sides) (bool, error)) error {
	if len([]rune(note)) > 200 {
		return fault.Field("note", "referral.note_long", "Please use at most 200 characters.")
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		k, s, err := lock(ctx, tx, newcomer)
		if err != nil {
			return err
		}
		changed, err := do(tx, k, s)
		if err != nil || !changed {
			return err
		}
		return by.Record(ctx, tx, action, audit.Target{Kind: "account", ID: newcomer.String()}, map[string]any{"referrer": k.By.String(), "was": k.State, "note": note})
	})
}
