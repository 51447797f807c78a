package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// FromBalance is the gateway of money that was paid ahead.
const FromBalance = "balance"

// Balance is what a reseller has paid ahead, and what counted against it when it was looked
// at last.
type Balance struct {
	Prepaid bool // by its terms it pays ahead
	Held    billing.Money
	Used    billing.Money // what is owed and the running month, with its tax
	WarnAt  billing.Money // zero: a fifth of what is held
	TopUp   billing.Money // taken from the kept card when little is left; zero: nothing
	Stage   billing.LimitStage
	At      time.Time // zero: not looked at yet
}

// On reports whether there is anything to show.
func (b Balance) On() bool { return b.Prepaid || b.Held.Minor != 0 }

// Left is what is not spoken for; less than nothing: more is needed.
func (b Balance) Left() billing.Money {
	return billing.Money{Minor: b.Held.Minor - b.Used.Minor, Currency: b.Held.Currency}
}

// Suggested is how much to pay ahead when nobody says: what is taken by itself, or as much as
// is spoken for.
func (b Balance) Suggested() billing.Money {
	m := billing.Money{Minor: 10_000, Currency: b.Held.Currency}
	if b.Used.Minor > 0 {
		m.Minor = b.Used.Minor
	}
	if b.TopUp.Minor > 0 {
		m.Minor = b.TopUp.Minor
	}
	m.Minor = min(max(m.Minor, leastTopUp), mostTopUp)
	return m
}

// standingRow is what is kept of a reseller's credit limit or balance.
type standingRow struct {
	CreditLimit, LimitUsed int64
	LimitStage             billing.LimitStage
	LimitAt                time.Time
	Prepaid                bool
	Balance, Warn, TopUp   int64
}

// standingColumns are its, of a table or alias l that may have no row.
const standingColumns = `coalesce(l.credit_limit_minor, 0) AS credit_limit, coalesce(l.limit_used_minor, 0) AS limit_used, coalesce(l.limit_stage, '') AS limit_stage, l.limit_looked_at AS limit_at,
	coalesce(l.prepaid, false) AS prepaid, coalesce(l.balance_minor, 0) AS balance, coalesce(l.warn_minor, 0) AS warn, coalesce(l.topup_minor, 0) AS top_up`

// of says what the row means in a currency: a reseller has a limit or pays ahead.
func (r standingRow) of(currency string) (l Limit, b Balance) {
	m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: currency} }
	b = Balance{Prepaid: r.Prepaid, Held: m(r.Balance), Used: m(0), WarnAt: m(r.Warn), TopUp: m(r.TopUp)}
	if r.Prepaid {
		b.Used, b.Stage, b.At = m(r.LimitUsed), r.LimitStage, r.LimitAt
		return Limit{Limit: m(0), Used: m(0)}, b
	}
	return Limit{Limit: m(r.CreditLimit), Used: m(r.LimitUsed), Stage: r.LimitStage, At: r.LimitAt}, b
}

// SetPrepaid has a reseller pay ahead from now on, or afterwards again. Who pays ahead has no
// credit limit; what is held goes on paying invoices either way. Fault: balance.no_terms.
func (d *Desk) SetPrepaid(ctx context.Context, of tenancy.ID, on bool, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, err := balanceCurrency(ctx, tx, of); err != nil {
			return err
		}
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		res, err := tx.NewRaw(`UPDATE reseller_profiles SET prepaid = ?0, credit_limit_minor = CASE WHEN ?0 THEN NULL ELSE credit_limit_minor END,
			limit_stage = '', limit_used_minor = 0, limit_looked_at = NULL, changed_at = ?1 WHERE tenant_id = ?2 AND prepaid <> ?0`, on, tx.Now(), of).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return by.Record(ctx, tx, "wholesale.prepaid_set", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"prepaid": on})
	})
	if err != nil {
		return fmt.Errorf("have %s pay ahead: %w", of, err)
	}
	if !on {
		return nil
	}
	return d.watchLimit(ctx, of)
}

// SetTopUp says when a reseller is warned of a low balance, and what is then taken from the
// kept card by itself, once a day; empty: the usual, and nothing. Faults: balance.invalid
// about fields, balance.no_terms.
func (d *Desk) SetTopUp(ctx context.Context, of tenancy.ID, warn, amount string, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		currency, err := balanceCurrency(ctx, tx, of)
		if err != nil {
			return err
		}
		wrong := map[string]string{}
		read := func(field, s string) (m billing.Money) {
			if s = strings.TrimSpace(s); s == "" {
				return m
			}
			m, err := billing.Parse(s, currency)
			if err != nil || m.Minor <= 0 {
				wrong[field] = "Enter an amount such as 100.00, or nothing."
			}
			return m
		}
		w, a := read("warn", warn), read("auto", amount)
		if a.Minor > 0 && (a.Minor < leastTopUp || a.Minor > mostTopUp) {
			wrong["auto"] = "From " + billing.Money{Minor: leastTopUp, Currency: currency}.Format("en") + " to " + billing.Money{Minor: mostTopUp, Currency: currency}.Format("en") + " at a time."
		}
		if err := fault.Fields("balance.invalid", wrong); err != nil {
			return err
		}
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		_, err = tx.NewRaw("UPDATE reseller_profiles SET warn_minor = nullif(?, 0), topup_minor = nullif(?, 0), changed_at = ? WHERE tenant_id = ?", w.Minor, a.Minor, tx.Now(), of).Exec(ctx)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.topup_set", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"warn_at": w.String(), "top_up": a.String()})
	})
	if err != nil {
		return fmt.Errorf("set the top-up of %s: %w", of, err)
	}
	return d.watchLimit(ctx, of)
}

var errNoTerms = fault.Field("amount", "balance.no_terms", "There are no terms yet: the balance is in the currency they bill in.")

// balanceCurrency is what a reseller is billed in. Fault: balance.no_terms.
func balanceCurrency(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (string, error) {
	terms, err := termsIn(ctx, tx, of)
	if err != nil {
		return "", err
	}
	if len(terms) == 0 {
		return "", errNoTerms
	}
	return terms[0].Currency, nil
}

// lockBalance keeps a reseller's balance from others. Who locks invoices too locks this first,
// or does not wait for them.
func lockBalance(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) error {
	_, err := tx.NewRaw(`INSERT INTO reseller_profiles (tenant_id, billing, tax_id, gateway_customer, method_ref, method_label, changed_at)
		VALUES (?, '{}', '', '', '', '', ?) ON CONFLICT DO NOTHING`, of, tx.Now()).Exec(ctx)
	if err == nil {
		_, err = tx.NewRaw("SELECT FROM reseller_profiles WHERE tenant_id = ? FOR UPDATE", of).Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("lock the balance of %s: %w", of, err)
	}
	return nil
}

// movement is one change of a balance.
type movement struct {
	ID       uuid.UUID  `json:"id"`
	Key      string     `json:"key"`
	TenantID int64      `json:"tenant_id"`
	Nth      int        `json:"nth"`
	Kind     string     `json:"kind"`
	Currency string     `json:"currency"`
	Minor    int64      `json:"amount_minor"` // more, or less
	Invoice  *uuid.UUID `json:"invoice_id"`
	Payment  *uuid.UUID `json:"payment_id"`
	Note     string     `json:"note"`
	By       string     `json:"made_by"`

	moves []billing.Posting // the same in the books
}

// move makes changes of balances that are locked, and posts them. A key that moved before
// moves nothing.
func move(ctx context.Context, tx *tenancy.CentralTx, all []movement) error {
	if len(all) == 0 {
		return nil
	}
	var rows []postingRow
	for i := range all {
		m := &all[i]
		m.Nth = i
		if m.ID == uuid.Nil {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			m.ID = id
		}
		rows = append(rows, rowsOf("balance/"+m.Key, m.TenantID, m.ID, m.moves)...)
	}
	list, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`WITH new AS (
			SELECT * FROM jsonb_to_recordset(?0::jsonb) AS n(id uuid, key text, tenant_id bigint, nth int, kind text, currency text, amount_minor bigint, invoice_id uuid, payment_id uuid, note text, made_by text)
			WHERE NOT EXISTS (SELECT FROM balance_movements m WHERE m.key = n.key)
		), kept AS (
			INSERT INTO balance_movements (id, key, tenant_id, kind, currency, amount_minor, left_minor, invoice_id, payment_id, note, made_by, at)
			SELECT n.id, n.key, n.tenant_id, n.kind, n.currency, n.amount_minor, p.balance_minor + sum(n.amount_minor) OVER (PARTITION BY n.tenant_id ORDER BY n.nth), n.invoice_id, n.payment_id, n.note, n.made_by, ?1
			FROM new n JOIN reseller_profiles p USING (tenant_id) RETURNING tenant_id, kind, amount_minor
		) UPDATE reseller_profiles p SET balance_minor = p.balance_minor + k.moved, collected_minor = least(p.collected_minor + k.collected, greatest(p.balance_minor + k.moved, 0)), changed_at = ?1
			FROM (SELECT tenant_id, sum(amount_minor)::bigint AS moved, coalesce(sum(amount_minor) FILTER (WHERE kind IN ('collected', 'fee', 'customer_refund', 'dispute', 'payout')), 0)::bigint AS collected
				FROM kept GROUP BY tenant_id) k WHERE p.tenant_id = k.tenant_id`, string(list), tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("move balances: %w", err)
	}
	return post(ctx, tx, "balance", rows)
}

// draw pays what is owed from what was paid ahead, of one reseller or of all, the oldest
// invoice first. One of which a payment is under way is left alone, or it would be paid
// twice. Doing it again changes nothing.
func draw(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) error {
	var held []struct {
		TenantID tenancy.ID
		Balance  int64
	}
	err := tx.NewRaw(`SELECT p.tenant_id, p.balance_minor AS balance FROM reseller_profiles p WHERE p.balance_minor > 0 AND (?0 = 0 OR p.tenant_id = ?0)
		AND EXISTS (SELECT FROM wholesale_invoices i WHERE i.tenant_id = p.tenant_id AND i.state = 'open' AND i.total_minor > i.paid_minor) ORDER BY p.tenant_id FOR UPDATE OF p`, of.Number()).Scan(ctx, &held)
	if err != nil || len(held) == 0 {
		return err
	}
	ids, place := make([]tenancy.ID, len(held)), map[tenancy.ID]int64{}
	for i, h := range held {
		ids[i] = h.TenantID
		place[h.TenantID] = h.Balance
	}
	var open []holding
	err = tx.NewRaw(`SELECT i.id, i.tenant_id, i.currency, i.number, i.total_minor - i.paid_minor AS owed FROM wholesale_invoices i
		WHERE i.tenant_id = ANY (?::bigint[]) AND i.state = 'open' AND i.total_minor > i.paid_minor AND i.paid_at IS NULL
			AND NOT EXISTS (SELECT FROM wholesale_payments p WHERE p.invoice_id = i.id AND `+underWay+`)
		ORDER BY i.tenant_id, i.sequence FOR UPDATE OF i SKIP LOCKED`, listOf(ids)).Scan(ctx, &open)
	if err != nil {
		return fmt.Errorf("look for what balances pay: %w", err)
	}
	var drawn []drawing
	for len(open) > 0 {
		n := 1
		for n < len(open) && open[n].TenantID == open[0].TenantID {
			n++
		}
		owed := make([]int64, n)
		for i, h := range open[:n] {
			owed[i] = h.Owed
		}
		for i, part := range billing.Draw(place[open[0].TenantID], owed) {
			if part > 0 {
				drawn = append(drawn, drawing{holding: open[i], minor: part})
			}
		}
		open = open[n:]
	}
	return takeFromBalances(ctx, tx, drawn)
}

// drawing is what a balance pays of an invoice.
type drawing struct {
	holding
	minor int64
}

func takeFromBalances(ctx context.Context, tx *tenancy.CentralTx, all []drawing) error {
	if len(all) == 0 {
		return nil
	}
	type row struct {
		ID       uuid.UUID `json:"id"`
		Invoice  uuid.UUID `json:"invoice_id"`
		TenantID int64     `json:"tenant_id"`
		Currency string    `json:"currency"`
		Minor    int64     `json:"amount_minor"`
	}
	rows, moves := make([]row, len(all)), make([]movement, len(all))
	for i, x := range all {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		rows[i] = row{id, x.ID, x.TenantID.Number(), x.Currency, x.minor}
		moves[i] = movement{Key: "invoice/" + id.String(), TenantID: x.TenantID.Number(), Kind: "invoice", Currency: x.Currency, Minor: -x.minor, Invoice: &rows[i].Invoice, Payment: &rows[i].ID,
			Note: x.Number, By: "system", moves: billing.PostDrawn(billing.Money{Minor: x.minor, Currency: x.Currency})}
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`WITH new AS (SELECT * FROM jsonb_to_recordset(?0::jsonb) AS n(id uuid, invoice_id uuid, tenant_id bigint, currency text, amount_minor bigint)),
		kept AS (INSERT INTO wholesale_payments (id, key, invoice_id, tenant_id, gateway, currency, amount_minor, state, ref, decline_code, decline_text, created_at, settled_at, changed_at)
			SELECT id, 'balance/' || id, invoice_id, tenant_id, ?2, currency, amount_minor, 'succeeded', NULL, '', '', ?1, ?1, ?1 FROM new)
		UPDATE wholesale_invoices i SET paid_minor = i.paid_minor + n.amount_minor, state = CASE WHEN i.paid_minor + n.amount_minor >= i.total_minor THEN 'paid' ELSE i.state END,
			paid_at = CASE WHEN i.paid_minor + n.amount_minor >= i.total_minor THEN ?1::timestamptz ELSE i.paid_at END,
			next_try_at = CASE WHEN i.paid_minor + n.amount_minor >= i.total_minor THEN NULL ELSE i.next_try_at END, changed_at = ?1
		FROM new n WHERE i.id = n.invoice_id`, string(list), tx.Now(), FromBalance).Exec(ctx)
	if err != nil {
		return fmt.Errorf("pay invoices from balances: %w", err)
	}
	return move(ctx, tx, moves)
}
