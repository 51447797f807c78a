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

// manualAt is where amounts by hand stand on an invoice: behind all that is worked out but
// adjustments of other months. They count neither towards the minimum nor for a discount.
const manualAt = 960_000

// ByHandLine is an amount that staff put on a reseller's next invoice.
type ByHandLine struct {
	ID          uuid.UUID
	TenantID    tenancy.ID
	Currency    string
	AmountMinor int64
	Reason      string
	CreatedBy   string
	CreatedAt   time.Time
	WithdrawnBy string
	WithdrawnAt time.Time // zero: it was not
	InvoiceID   uuid.UUID // on which it stands; Nil: it waits
	Number      string    // of that invoice
}

// Amount is what it comes to, net.
func (l ByHandLine) Amount() billing.Money {
	return billing.Money{Minor: l.AmountMinor, Currency: l.Currency}
}

// Waits reports whether it stands on no invoice and may be withdrawn.
func (l ByHandLine) Waits() bool { return l.InvoiceID == uuid.Nil && l.WithdrawnAt.IsZero() }

const byHandSQL = `SELECT a.id, a.tenant_id, a.currency, a.amount_minor, a.reason, a.created_by, a.created_at, coalesce(a.withdrawn_by, '') AS withdrawn_by, a.withdrawn_at,
	coalesce(a.invoice_id, '00000000-0000-0000-0000-000000000000') AS invoice_id, coalesce(i.number, '') AS number
	FROM wholesale_adjustments a LEFT JOIN wholesale_invoices i ON i.id = a.invoice_id `

// linesByHand are the newest amounts by hand of a reseller.
func linesByHand(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (all []ByHandLine, err error) {
	err = tx.NewRaw(byHandSQL+"WHERE a.tenant_id = ? ORDER BY a.created_at DESC, a.id DESC LIMIT 100", of).Scan(ctx, &all)
	return all, err
}

// NewLineByHand is an amount as a person enters it.
type NewLineByHand struct {
	Key    string // of the form: the same one adds once
	Amount string // a decimal of whole units; less than nothing is in the reseller's favour
	Reason string // stands on the invoice
}

// maxByHand bounds what a slip of the finger can do, in minor units.
const maxByHand = 1_000_000_00

// AddLine puts an amount on a reseller's next invoice, in the currency it is billed in.
// The same key again changes nothing. The fault byhand.invalid is about fields; others are
// tenant.unknown and payment.no_key.
func (d *Desk) AddLine(ctx context.Context, of tenancy.ID, n NewLineByHand, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		currency, err := currencyOf(ctx, tx, of)
		if err != nil {
			return err
		}
		if n.Key == "" || len(n.Key) > 100 {
			return fault.New(fault.Malformed, "payment.no_key", "This form is not ours. Please open the page again.")
		}
		wrong := map[string]string{}
		amount, err := billing.Parse(strings.TrimSpace(n.Amount), currency)
		if err != nil || amount.Minor == 0 || amount.Minor > maxByHand || amount.Minor < -maxByHand {
			wrong["amount"] = "Enter an amount such as 25.00, or -25.00 in the reseller's favour."
		}
		n.Reason = line("why", n.Reason, 200, wrong)
		if err := fault.Fields("byhand.invalid", wrong); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		res, err := tx.NewRaw(`INSERT INTO wholesale_adjustments (id, key, tenant_id, currency, amount_minor, reason, created_by, created_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`, id, of.String()+"/"+plain(n.Key), of, currency, amount.Minor, n.Reason, by.Actor.Name, tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		if added, err := res.RowsAffected(); err != nil || added == 0 {
			return err
		}
		return by.Record(ctx, tx, "wholesale.line_added", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"amount": amount.String(), "reason": n.Reason})
	})
	if err != nil {
		return fmt.Errorf("add an amount for %s: %w", of, err)
	}
	return nil
}

// WithdrawLine takes back an amount that stands on no invoice yet. Doing it again changes
// nothing. Faults: byhand.unknown, byhand.billed.
func (d *Desk) WithdrawLine(ctx context.Context, of tenancy.ID, id uuid.UUID, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var l ByHandLine
		err := tx.NewRaw(byHandSQL+"WHERE a.id = ? AND a.tenant_id = ? FOR UPDATE OF a", id, of).Scan(ctx, &l)
		switch {
		case tenancy.IsNoRows(err):
			return fault.New(fault.NotFound, "byhand.unknown", "There is no such amount.")
		case err != nil:
			return err
		case l.InvoiceID != uuid.Nil:
			return fault.New(fault.Conflict, "byhand.billed", "It stands on "+l.Number+" already. An amount the other way takes it back.")
		case !l.WithdrawnAt.IsZero():
			return nil
		}
		if _, err := tx.NewRaw("UPDATE wholesale_adjustments SET withdrawn_by = ?, withdrawn_at = ? WHERE id = ?", by.Actor.Name, tx.Now(), id).Exec(ctx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.line_withdrawn", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"amount": l.Amount().String(), "reason": l.Reason})
	})
	if err != nil {
		return fmt.Errorf("withdraw an amount of %s: %w", of, err)
	}
	return nil
}

// byHand puts on the invoices of a batch what waits for them. It is a line of no month.
func (r *run) byHand(ctx context.Context, who []billed, place map[int64]int) error {
	ids := make([]tenancy.ID, len(who))
	for i, w := range who {
		ids[i] = w.ID
	}
	lock := "FOR UPDATE OF a" // nobody withdraws it meanwhile
	if !r.only.IsZero() {
		lock = ""
	}
	var waiting []struct {
		ID          uuid.UUID
		TenantID    int64
		Currency    string
		AmountMinor int64
		Reason      string
	}
	err := r.tx.NewRaw(`SELECT a.id, a.tenant_id, a.currency, a.amount_minor, a.reason FROM wholesale_adjustments a
		WHERE a.tenant_id = ANY (?::bigint[]) AND a.invoice_id IS NULL AND a.withdrawn_at IS NULL
			AND a.currency = (SELECT x.currency FROM tenant_terms x WHERE x.tenant_id = a.tenant_id LIMIT 1)
		ORDER BY a.tenant_id, a.created_at, a.id `+lock, listOf(ids)).Scan(ctx, &waiting)
	if err != nil {
		return fmt.Errorf("amounts by hand: %w", err)
	}
	for _, x := range waiting {
		w := &who[place[x.TenantID]]
		l := ratedLine{TenantID: x.TenantID, Position: manualAt + len(w.byHand), Kind: "manual", Currency: x.Currency, Quantity: "1",
			PriceMinor: fmt.Sprint(x.AmountMinor), NetMinor: x.AmountMinor, description: x.Reason}
		w.lines, w.byHand = append(w.lines, l), append(w.byHand, x.ID)
	}
	return nil
}

// takeByHand notes on which invoices the amounts by hand of a batch stand.
func (r *run) takeByHand(ctx context.Context, who []billed) error {
	type row struct {
		ID        uuid.UUID `json:"id"`
		InvoiceID uuid.UUID `json:"invoice_id"`
		Position  int       `json:"position"`
	}
	var rows []row
	for _, w := range who {
		for i, id := range w.byHand {
			rows = append(rows, row{id, w.invoice, manualAt + i})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = r.tx.NewRaw(`UPDATE wholesale_adjustments a SET invoice_id = n.invoice_id, position = n.position
		FROM jsonb_to_recordset(?::jsonb) AS n(id uuid, invoice_id uuid, position int) WHERE a.id = n.id`, string(list)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("note amounts by hand: %w", err)
	}
	return nil
}
