package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Noted is the gateway of what a credit note took off an invoice.
const Noted = "credit_note"

// CreditNote is a correction of one line of a wholesale invoice.
type CreditNote struct {
	ID         uuid.UUID
	InvoiceID  uuid.UUID
	Position   int
	TenantID   tenancy.ID
	Number     string
	Currency   string
	NetMinor   int64
	TaxMinor   int64
	TotalMinor int64
	IssuedBy   string
	IssuedAt   time.Time
	Document   document.Document `bun:"-"`
}

// Total is what it comes to, tax included.
func (n CreditNote) Total() billing.Money {
	return billing.Money{Minor: n.TotalMinor, Currency: n.Currency}
}

const creditColumns = "c.id, c.invoice_id, c.position, c.tenant_id, c.number, c.currency, c.net_minor, c.tax_minor, c.total_minor, c.issued_by, c.issued_at"

// CreditNote is one of them; of a tenant's own when one is given. Fault: credit_note.unknown.
func (d *Desk) CreditNote(ctx context.Context, id uuid.UUID, of tenancy.ID) (n CreditNote, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var row struct {
			CreditNote
			Doc json.RawMessage
		}
		err := tx.NewRaw("SELECT "+creditColumns+", c.document AS doc FROM wholesale_credits c WHERE c.id = ?0 AND (?1::bigint = 0 OR c.tenant_id = ?1)", id, of.Number()).Scan(ctx, &row)
		if tenancy.IsNoRows(err) {
			return fault.New(fault.NotFound, "wholesale_credit.unknown", "There is no such credit note.")
		}
		if err != nil {
			return err
		}
		n = row.CreditNote
		return json.Unmarshal(row.Doc, &n.Document)
	})
	if err != nil {
		return CreditNote{}, fmt.Errorf("credit note %s: %w", id, err)
	}
	return n, nil
}

// Acceptance is a question that is answered with money.
type Acceptance struct {
	Question uuid.UUID
	Amount   string // net, a decimal of whole units
	Text     string // to the reseller; it is the credit note's reason
}

// Accept answers a question with a credit note: never more than is left of the line, or of
// the invoice. What is open of the invoice becomes less; what was paid already is set
// against what else is owed at the next collection, or against the next invoice. The reseller
// gets a letter. Done twice, the second finds it decided. The fault question.invalid is
// about fields; others are question.unknown and question.decided.
func (d *Desk) Accept(ctx context.Context, in Acceptance, by audit.Origin) (n CreditNote, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		a, inv, err := lockQuestion(ctx, tx, in.Question)
		if err != nil {
			return err
		}
		if a.State != QuestionOpen {
			return errDecided
		}
		wrong := map[string]string{}
		text := line("text", in.Text, 400, wrong)
		amount, err := billing.Parse(strings.TrimSpace(in.Amount), inv.Currency)
		if err != nil || amount.Minor <= 0 {
			wrong["amount"] = "Enter an amount such as 5.00, without tax."
		}
		if err := fault.Fields("question.invalid", wrong); err != nil {
			return err
		}
		if n, err = d.credit(ctx, tx, a, inv, amount, text, by); err != nil {
			return err
		}
		nth, err := say(ctx, tx, a.ID, true, text, by)
		if err != nil {
			return err
		}
		if err := a.end(ctx, tx, QuestionAccepted, by); err != nil {
			return err
		}
		if err := d.writeAnswer(ctx, tx, a, fmt.Sprintf("%s/%d/%s", a.ID, nth, QuestionAccepted), QuestionAccepted, text, n.Total().Format("en")); err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.credit_issued", audit.Target{Kind: "wholesale_invoice", ID: inv.ID.String()},
			map[string]any{"number": n.Number, "corrects": inv.Number, "position": a.Position, "net": amount.String(), "total": n.Total().String(), "text": text})
	})
	if err != nil {
		return CreditNote{}, fmt.Errorf("accept question %s: %w", in.Question, err)
	}
	return n, nil
}

// credited is what was credited of an invoice and of one of its lines.
func credited(ctx context.Context, tx *tenancy.CentralTx, invoice uuid.UUID, position int) (net, tax, ofLine int64, err error) {
	err = tx.NewRaw("SELECT coalesce(sum(net_minor), 0)::bigint, coalesce(sum(tax_minor), 0)::bigint, coalesce(sum(net_minor) FILTER (WHERE position = ?), 0)::bigint FROM wholesale_credits WHERE invoice_id = ?",
		position, invoice).Scan(ctx, &net, &tax, &ofLine)
	return net, tax, ofLine, err
}

// credit writes a credit note for a line of an invoice that is locked, and books it.
func (d *Desk) credit(ctx context.Context, tx *tenancy.CentralTx, a Asked, inv InvoiceRow, amount billing.Money, reason string, by audit.Origin) (n CreditNote, err error) {
	_, raw, err := invoiceIn(ctx, tx, inv.ID, tenancy.ID{})
	if err != nil {
		return n, err
	}
	var of document.Document
	if err := json.Unmarshal(raw, &of); err != nil {
		return n, fmt.Errorf("document of %s: %w", inv.Number, err)
	}
	wasNet, wasTax, wasLine, err := credited(ctx, tx, inv.ID, a.Position)
	if err != nil {
		return n, err
	}
	left := of.Sums()
	if len(left) != 1 {
		return n, fmt.Errorf("invoice %s has %d sums of tax", inv.Number, len(left))
	}
	left[0].Net.Minor -= wasNet
	left[0].Tax.Minor -= wasTax
	if most := min(a.NetMinor-wasLine, left[0].Net.Minor); amount.Minor > most {
		if most <= 0 {
			return n, fault.Field("amount", "question.too_much", "Nothing is left of this line that could be credited.")
		}
		return n, fault.Field("amount", "question.too_much", "At most "+billing.Money{Minor: most, Currency: inv.Currency}.String()+" without tax is left of this line and its invoice.")
	}
	sums, err := billing.CreditNet(left, amount)
	if err != nil {
		return n, err
	}
	if n.ID, err = uuid.NewV7(); err != nil {
		return n, err
	}
	n.InvoiceID, n.Position, n.TenantID, n.Currency, n.IssuedBy, n.IssuedAt = inv.ID, a.Position, inv.TenantID, inv.Currency, by.Actor.Name, tx.Now()
	n.NetMinor, n.TaxMinor = sums[0].Net.Minor, sums[0].Tax.Minor
	n.TotalMinor = n.NetMinor + n.TaxMinor
	if err := n.number(ctx, tx, a, of, sums, reason); err != nil {
		return n, err
	}
	return n, d.bookCredit(ctx, tx, n, inv)
}

// number takes the next number of the series and writes the credit note, chained to the
// one before it.
func (n *CreditNote) number(ctx context.Context, tx *tenancy.CentralTx, a Asked, of document.Document, sums []billing.TaxSum, reason string) error {
	last, err := lockSeries(ctx, tx, "wholesale_credit_series", "wholesale_credits")
	if err != nil {
		return err
	}
	n.Number = fmt.Sprintf("WC-%06d", last.Sequence+1)
	d := of
	d.Kind, d.Number, d.Reason = document.CreditNote, n.Number, reason
	d.Corrects = &document.Reference{Number: of.Number, IssuedAt: of.IssuedAt}
	d.IssuedAt, d.DueAt = n.IssuedAt, n.IssuedAt
	amount := sums[0].Net
	d.Put([]billing.Line{{Kind: "credit", Description: a.Description, Quantity: 1, Unit: amount, Net: amount, Tax: sums[0].Rule}}, sums)
	d.NetMinor, d.TaxMinor, d.TotalMinor = n.NetMinor, n.TaxMinor, n.TotalMinor
	if t := of.TaxIn; t != nil { // at the invoice's own rate, so that both come to nothing
		if err := d.StateTaxIn(billing.ExchangeRate{From: d.Currency, Into: t.Currency, Value: t.Rate, Day: t.RateDay, Source: t.Source}); err != nil {
			return err
		}
	}
	n.Document = d
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO wholesale_credits (id, question_id, invoice_id, position, tenant_id, number, sequence, currency, net_minor, tax_minor, total_minor, document, hash, prev_hash, issued_by, issued_at)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, x.document, sha256('ezscale wholesale credit 1'::bytea || ?::bytea || convert_to(?::text || ' ' || x.document::text, 'UTF8')), ?, ?, ?
		FROM (SELECT ?::jsonb AS document) x`,
		n.ID, a.ID, n.InvoiceID, n.Position, n.TenantID, n.Number, last.Sequence+1, n.Currency, n.NetMinor, n.TaxMinor, n.TotalMinor, last.Hash, n.Number, last.Hash, n.IssuedBy, n.IssuedAt, string(text)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("write credit note %s: %w", n.Number, err)
	}
	return nil
}

// bookCredit posts a credit note and takes it off what is owed: as money that came, so that
// everything which looks at what is open sees it.
func (d *Desk) bookCredit(ctx context.Context, tx *tenancy.CentralTx, n CreditNote, inv InvoiceRow) error {
	moves := billing.PostCredit(billing.Money{Minor: n.NetMinor, Currency: n.Currency}, billing.Money{Minor: n.TaxMinor, Currency: n.Currency})
	if err := post(ctx, tx, "wholesale_credit", rowsOf("wholesale_credit/"+n.ID.String(), n.TenantID.Number(), n.ID, moves)); err != nil {
		return err
	}
	_, err := tx.NewRaw(`INSERT INTO wholesale_payments (id, key, invoice_id, tenant_id, gateway, currency, amount_minor, state, ref, decline_code, decline_text, created_at, settled_at, changed_at)
		VALUES (?0, ?1, ?2, ?3, ?4, ?5, ?6, 'succeeded', ?7, '', '', ?8, ?8, ?8)`,
		n.ID, Noted+"/"+n.ID.String(), n.InvoiceID, n.TenantID, Noted, n.Currency, n.TotalMinor, n.Number, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("take %s off %s: %w", n.Number, inv.Number, err)
	}
	_, err = tx.NewRaw(`UPDATE wholesale_invoices SET paid_minor = paid_minor + ?0, state = CASE WHEN state = 'open' AND paid_minor + ?0 >= total_minor THEN 'paid' ELSE state END,
		paid_at = CASE WHEN paid_minor + ?0 >= total_minor THEN coalesce(paid_at, ?1::timestamptz) ELSE paid_at END,
		next_try_at = CASE WHEN paid_minor + ?0 >= total_minor THEN NULL ELSE next_try_at END, changed_at = ?1 WHERE id = ?2`, n.TotalMinor, tx.Now(), n.InvoiceID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("take %s off %s: %w", n.Number, inv.Number, err)
	}
	return nil
}

// creditsWrong says where credit notes do not agree with what they correct; none: all do.
func creditsWrong(ctx context.Context, tx *tenancy.CentralTx) (wrong []string, err error) {
	err = tx.NewRaw(`SELECT number || ' ' || wrong FROM (
			SELECT number, sequence, CASE
				WHEN sequence <> coalesce(lag(sequence) OVER w, 0) + 1 THEN 'does not follow the number before it'
				WHEN prev_hash <> coalesce(lag(hash) OVER w, '') THEN 'is not chained to the one before it'
				WHEN hash <> sha256('ezscale wholesale credit 1'::bytea || prev_hash || convert_to(number || ' ' || document::text, 'UTF8')) THEN 'is not as it was issued'
			END AS wrong FROM wholesale_credits WINDOW w AS (ORDER BY sequence)) x WHERE wrong IS NOT NULL
		UNION ALL
		SELECT i.number || ' line ' || c.position || ' has more credited than it is' FROM (SELECT invoice_id, position, sum(net_minor) AS net FROM wholesale_credits GROUP BY 1, 2) c
			JOIN wholesale_lines l USING (invoice_id, position) JOIN wholesale_invoices i ON i.id = c.invoice_id WHERE c.net > l.net_minor
		UNION ALL
		SELECT i.number || ' has more credited than it is' FROM (SELECT invoice_id, sum(total_minor) AS total FROM wholesale_credits GROUP BY 1) c
			JOIN wholesale_invoices i ON i.id = c.invoice_id WHERE c.total > i.total_minor
		UNION ALL
		SELECT c.number || ' was not taken off its invoice as it says' FROM wholesale_credits c LEFT JOIN wholesale_payments p ON p.id = c.id AND p.invoice_id = c.invoice_id AND p.amount_minor = c.total_minor
			WHERE p.id IS NULL`).Scan(ctx, &wrong)
	if err != nil {
		return nil, fmt.Errorf("verify credit notes: %w", err)
	}
	return wrong, nil
}
