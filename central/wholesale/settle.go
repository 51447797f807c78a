package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Manual is the gateway of money that people saw arrive: a bank transfer.
const Manual = "transfer"

// ByHand is money that somebody of staff saw arrive.
type ByHand struct {
	Key    string // of the form: the same one takes once
	Amount string // a decimal of whole units
	Note   string // the bank's reference
}

// TakeByHand books money for an invoice. The fault payment.invalid is about fields;
// others are wholesale_invoice.unknown and wholesale_invoice.paid.
func (d *Desk) TakeByHand(ctx context.Context, id uuid.UUID, in ByHand, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		row, _, err := invoiceIn(ctx, tx, id, tenancy.ID{})
		if err != nil {
			return err
		}
		if in.Key == "" || len(in.Key) > 100 {
			return fault.New(fault.Malformed, "payment.no_key", "This form is not ours. Please open the page again.")
		}
		amount, err := billing.Parse(strings.TrimSpace(in.Amount), row.Currency)
		wrong := map[string]string{}
		if err != nil || amount.Minor <= 0 {
			wrong["amount"] = "Enter an amount such as " + row.Open().Decimal() + "."
		}
		note := line("note", in.Note, 120, wrong)
		if err := fault.Fields("wholesale_payment.invalid", wrong); err != nil {
			return err
		}
		paid, err := d.take(ctx, tx, row, Payment{Gateway: Manual, Currency: row.Currency, AmountMinor: amount.Minor, Ref: note}, "hand/"+plain(in.Key))
		if tenancy.IsTaken(err, "wholesale_payments_gateway_ref_key") {
			return fault.Field("note", "wholesale_payment.ref_taken", "Money with this reference was booked already. If it is another payment, add something that tells them apart.")
		}
		if err != nil || !paid {
			return err
		}
		return by.Record(ctx, tx, "wholesale.payment_taken", audit.Target{Kind: "wholesale_invoice", ID: id.String()},
			map[string]any{"number": row.Number, "amount": amount.String(), "note": note})
	})
	if err != nil {
		return fmt.Errorf("take money for %s: %w", id, err)
	}
	return nil
}

// take writes a payment that succeeded and settles it; false: it was taken before.
func (d *Desk) take(ctx context.Context, tx *tenancy.CentralTx, row InvoiceRow, p Payment, key string) (bool, error) {
	var locked InvoiceRow
	if err := tx.NewRaw("SELECT id, tenant_id, number, state, currency, total_minor, paid_minor FROM wholesale_invoices WHERE id = ? FOR UPDATE", row.ID).Scan(ctx, &locked); err != nil {
		return false, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return false, err
	}
	res, err := tx.NewRaw(`INSERT INTO wholesale_payments (id, key, invoice_id, tenant_id, gateway, currency, amount_minor, state, ref, decline_code, decline_text, created_at, settled_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'succeeded', ?, '', '', ?, ?, ?) ON CONFLICT (key) DO NOTHING`,
		id, key, row.ID, row.TenantID, p.Gateway, p.Currency, p.AmountMinor, p.Ref+" #"+id.String()[:8], tx.Now(), tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if locked.State == "paid" || p.AmountMinor > locked.TotalMinor-locked.PaidMinor {
		return false, fault.Field("amount", "wholesale_invoice.paid", "Only "+locked.Open().String()+" is owed.")
	}
	return true, d.applied(ctx, tx, locked, id, p)
}

// applied books a payment that succeeded: paid_minor, state, ledger and the letter.
func (d *Desk) applied(ctx context.Context, tx *tenancy.CentralTx, row InvoiceRow, payment uuid.UUID, p Payment) error {
	_, err := tx.NewRaw(`UPDATE wholesale_invoices SET paid_minor = paid_minor + ?0, state = CASE WHEN paid_minor + ?0 >= total_minor THEN 'paid' ELSE state END,
		paid_at = CASE WHEN paid_minor + ?0 >= total_minor THEN ?1::timestamptz ELSE paid_at END, next_try_at = NULL, changed_at = ?1 WHERE id = ?2`,
		p.AmountMinor, tx.Now(), row.ID).Exec(ctx)
	if err != nil {
		return err
	}
	moves := billing.PostPayment(p.Gateway, p.Amount())
	if err := post(ctx, tx, "wholesale_payment", rowsOf("wholesale_payment/"+payment.String(), row.TenantID.Number(), payment, moves)); err != nil {
		return err
	}
	return d.write(ctx, tx, row.ID, mail.WholesalePaid, "wholesale_payment/"+payment.String(), map[string]string{"amount": p.Amount().Format("en")})
}

// write sends the reseller a letter about an invoice.
func (d *Desk) write(ctx context.Context, tx *tenancy.CentralTx, invoice uuid.UUID, template, key string, data map[string]string) error {
	return d.writeTo(ctx, tx, invoice, template, key, "", data)
}

// writeTo is write with a link to a page below the invoice's.
func (d *Desk) writeTo(ctx context.Context, tx *tenancy.CentralTx, invoice uuid.UUID, template, key, below string, data map[string]string) error {
	if d.Mail == nil {
		return nil
	}
	var to struct{ Number, Name, Email string }
	err := tx.NewRaw(`SELECT i.number, coalesce(nullif(p.billing->>'name', ''), t.name) AS name, coalesce(nullif(p.billing->>'email', ''), t.owner_email) AS email
		FROM wholesale_invoices i JOIN tenants t ON t.id = i.tenant_id LEFT JOIN reseller_profiles p ON p.tenant_id = i.tenant_id WHERE i.id = ?`, invoice).Scan(ctx, &to)
	if err != nil || to.Email == "" {
		return err
	}
	data["name"], data["number"], data["link"] = to.Name, to.Number, d.PartnerURL+"/invoices/"+invoice.String()+below
	return d.Mail.Enqueue(ctx, tx, mail.Message{Key: key, Template: template, To: to.Email, Data: data})
}

// Standing is what a reseller owes and how it stands.
type Standing struct {
	Open    []billing.Money
	Overdue int
	Oldest  time.Time // due date of the oldest open invoice; zero: none
}

// Account is a reseller's account with the platform at a glance.
type Account struct {
	Terms    *Terms // that hold now; nil: none yet
	Standing Standing
	Recent   []InvoiceRow // the newest first
	Known    bool         // who it is on invoices; see Profile.Complete
	Limit    Limit
	Balance  Balance
	Use      Use // of what its tier gives; see UseOf
}

// AccountOf is one reseller's, of one moment.
func (d *Desk) AccountOf(ctx context.Context, of tenancy.ID, recent int) (a Account, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		if a.Use, a.Terms, err = useAndTerms(ctx, tx, of); err != nil {
			return err
		}
		if a.Standing, err = standingIn(ctx, tx, of); err != nil {
			return err
		}
		if a.Recent, _, err = invoicesIn(ctx, tx, InvoiceFilter{Tenant: of, Limit: recent}); err != nil {
			return err
		}
		p, err := profileIn(ctx, tx, of)
		a.Known, a.Limit, a.Balance = p.Complete(), p.Limit, p.Balance
		return err
	})
	if err != nil {
		return Account{}, fmt.Errorf("account of %s: %w", of, err)
	}
	return a, nil
}

func standingIn(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (s Standing, err error) {
	var rows []struct {
		Currency string
		Open     int64
		Overdue  int
		Oldest   time.Time
	}
	err = tx.NewRaw(`SELECT currency, sum(total_minor - paid_minor)::bigint AS open, count(*) FILTER (WHERE due_at < ?) AS overdue, min(due_at) AS oldest
		FROM wholesale_invoices WHERE tenant_id = ? AND state = 'open' AND total_minor > paid_minor GROUP BY currency ORDER BY currency`, tx.Now(), of).Scan(ctx, &rows)
	for _, r := range rows {
		s.Open = append(s.Open, billing.Money{Minor: r.Open, Currency: r.Currency})
		s.Overdue += r.Overdue
		if s.Oldest.IsZero() || r.Oldest.Before(s.Oldest) {
			s.Oldest = r.Oldest.UTC()
		}
	}
	return s, err
}

// Billing is how one reseller is billed: its terms, the tiers there are, and the last
// invoices.
type Billing struct {
	Terms   []Terms // the newest first
	Tiers   []Tier  // each once, only its code and name
	Recent  []InvoiceRow
	Limit   Limit
	Balance Balance
	Days    BillDays
}

// BillingOf is one reseller's, of one moment.
func (d *Desk) BillingOf(ctx context.Context, of tenancy.ID, recent int) (b Billing, err error) {
	var rows []struct {
		IsTier   bool
		Name     string
		BillDays json.RawMessage
		standingRow
		Terms
	}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		err := tx.NewRaw(`SELECT false AS is_tier, '' AS name, valid_from AS "from", tier, currency, set_by, created_at AS set_at,
				`+standingColumns+`, coalesce(l.bill_days, '[]') AS bill_days
			FROM tenant_terms LEFT JOIN reseller_profiles l USING (tenant_id) WHERE tenant_id = ?
			UNION ALL SELECT true, max(name), min(valid_from), tier, '', '', min(valid_from), 0, 0, '', NULL, false, 0, 0, 0, '[]' FROM tiers GROUP BY tier ORDER BY 1, 3 DESC, 4`, of).Scan(ctx, &rows)
		if err != nil {
			return err
		}
		b.Recent, _, err = invoicesIn(ctx, tx, InvoiceFilter{Tenant: of, Limit: recent})
		return err
	})
	if err != nil {
		return Billing{}, fmt.Errorf("billing of %s: %w", of, err)
	}
	for _, r := range rows {
		if r.IsTier {
			b.Tiers = append(b.Tiers, Tier{Tier: r.Tier, Name: r.Name})
			continue
		}
		b.Terms = append(b.Terms, r.Terms)
		b.Limit, b.Balance = r.of(r.Currency)
		if b.Days, err = billDaysOf(r.BillDays, d.Central.Now()); err != nil {
			return Billing{}, err
		}
	}
	return b, nil
}
