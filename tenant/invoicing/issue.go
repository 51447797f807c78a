package invoicing

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Draft is what an invoice is to say.
type Draft struct {
	Key       string // natural key: order/<id>, renewal/<subscription>/<period>
	AccountID uuid.UUID
	Currency  string
	Lines     []billing.Line // net where it is not quantity of unit; tax is set here, by Tax.Class
	IssuedAt  time.Time      // zero: now
	DueAt     time.Time      // zero: after the shop's usual term
}

// Issue makes an invoice final: it takes the next number, taxes the lines by the
// customer's and the shop's country, keeps the document of both parties and posts the
// books. Of two drafts with one key the second gets the first's invoice. The customer
// is written to. An invoice over nothing is paid at once. Faults: account.not_found,
// invoice.no_lines, invoice.bad_line, invoice.bad_sum, invoice.bad_due.
func Issue(ctx context.Context, tx *tenancy.Tx, d Draft) (Invoice, error) {
	if d.Key == "" {
		return Invoice{}, fmt.Errorf("an invoice needs a natural key")
	}
	if d.IssuedAt.IsZero() {
		d.IssuedAt = tx.Now()
	}
	series, err := lockSeries(ctx, tx, SeriesInvoice)
	if err != nil {
		return Invoice{}, err
	}
	// After the lock: who made it before us has committed.
	seller, err := termsOf(ctx, tx, d.IssuedAt, d.Key)
	if err != nil {
		return Invoice{}, err
	}
	if seller.known {
		return ByKey(ctx, tx, d.Key)
	}
	if d.DueAt.IsZero() {
		d.DueAt = d.IssuedAt.AddDate(0, 0, seller.TermDays)
	}
	if d.DueAt.Before(d.IssuedAt) {
		return Invoice{}, fault.New(fault.Invalid, "invoice.bad_due", "An invoice is not due before it is issued.")
	}
	buyer, err := buyerOf(ctx, tx, d.AccountID)
	if err != nil {
		return Invoice{}, err
	}
	p, err := price(seller, buyerTax{buyer.Country, buyer.TaxID}, d.Lines, d.IssuedAt)
	if err != nil {
		return Invoice{}, err
	}
	if p.Net.Currency != d.Currency {
		return Invoice{}, fault.New(fault.Invalid, "invoice.bad_sum", "All lines of an invoice are of its currency.")
	}
	inv, err := d.invoice(p, buyer.accountName, written(seller.Pattern(SeriesInvoice), series.Next, d.IssuedAt.UTC()))
	if err != nil {
		return Invoice{}, err
	}
	doc := document.Document{
		Version: document.Version, Kind: inv.Kind, Number: inv.Number, IssuedAt: inv.IssuedAt, DueAt: inv.DueAt,
		Locale: buyer.locale, TimeZone: buyer.timeZone, Currency: inv.Currency, Seller: party(seller.Billing), Buyer: buyer.Party,
		CustomerNo: buyer.number, NetMinor: p.Net.Minor, TaxMinor: p.Tax.Minor, TotalMinor: p.Total.Minor, Footer: seller.Footer,
	}
	doc.Put(p.Lines, p.Taxes)
	err = store(ctx, tx, issued{
		Invoice: inv, series: SeriesInvoice, pattern: seller.Pattern(SeriesInvoice), sequence: series.Next, prev: series.LastHash,
		doc: doc, ledger: billing.PostInvoice(p.Net, p.Tax), ledgerKey: "invoice/" + inv.ID.String(),
	})
	if err != nil {
		return Invoice{}, err
	}
	return inv, announce(ctx, tx, inv)
}

func (d Draft) invoice(p Priced, accountName, number string) (Invoice, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Invoice{}, err
	}
	nothing := billing.Money{Currency: d.Currency}
	inv := Invoice{
		ID: id, Key: d.Key, Kind: document.Invoice, AccountID: d.AccountID, AccountName: accountName, State: Open, Number: number,
		Currency: d.Currency, Net: p.Net, Tax: p.Tax, Total: p.Total, Paid: nothing, Credited: nothing,
		IssuedAt: d.IssuedAt.UTC(), DueAt: d.DueAt.UTC(),
	}
	if p.Total.IsZero() {
		inv.State, inv.PaidAt = Paid, inv.IssuedAt
	}
	return inv, nil
}

// announce tells everybody who waits for an invoice.
func announce(ctx context.Context, tx *tenancy.Tx, inv Invoice) error {
	key := "invoice/" + inv.ID.String()
	if !inv.Net.IsZero() {
		r := tenancy.Revenue{Key: key, Kind: "invoiced", Currency: inv.Currency, Minor: inv.Net.Minor, At: inv.IssuedAt}
		if err := tx.RecordRevenue(ctx, r); err != nil {
			return err
		}
	}
	news := []webhook.News{{Type: webhook.InvoiceIssued, Data: data(inv)}}
	if inv.State == Paid {
		news = append(news, webhook.News{Type: webhook.InvoicePaid, Data: data(inv)})
	}
	if err := tell(ctx, tx, event{key + "/issued", inv, "invoice.issued", "Invoice " + inv.Number + " over " + inv.Total.Format("en") + " was issued.", news}); err != nil {
		return err
	}
	if inv.State == Paid {
		if _, err := tx.Enqueue(ctx, PaidJob{InvoiceID: inv.ID}, tenancy.JobOptions{Key: inv.ID.String()}); err != nil {
			return err
		}
	}
	return enqueueLetter(ctx, tx, LetterJob{Letter: mail.InvoiceIssued, InvoiceID: inv.ID, Key: key + "/issued"})
}

// issued is a document about to be kept.
type issued struct {
	Invoice
	series, pattern string
	sequence        int64
	prev            []byte
	doc             document.Document
	ledger          []billing.Posting
	ledgerKey       string
}

// store keeps the document, its lines and its postings, and moves the series on: one
// statement. The hash is made where the document's final text is, in the database; see
// Books for what it covers.
func store(ctx context.Context, tx *tenancy.Tx, n issued) error {
	doc, err := json.Marshal(n.doc)
	if err != nil {
		return err
	}
	lines, err := json.Marshal(lineRows(n.ID, n.doc))
	if err != nil {
		return err
	}
	posts, err := json.Marshal(postingRows(n.ledger))
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`WITH doc AS (SELECT ?::jsonb AS d),
		inv AS (INSERT INTO invoices (id, key, kind, corrects_id, account_id, state, series, sequence, number, currency, net_minor, tax_minor, total_minor,
				paid_minor, credited_minor, document, prev_hash, hash, issued_at, due_at, paid_at, tries, created_at, changed_at)
			SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, d, ?::bytea,
				sha256('ezscale invoice 1'::bytea || ?::bytea || convert_to(? || ' ' || ? || ' ' || d::text, 'UTF8')), ?, ?, ?, 0, ?, ? FROM doc RETURNING hash),
		lines AS (INSERT INTO invoice_lines (invoice_id, position, kind, subscription_id, description, period_from, period_to, quantity, unit_minor, net_minor, tax_percent, tax_note)
			SELECT r.invoice_id, r.position, r.kind, r.subscription_id, r.description, r.period_from, r.period_to, r.quantity, r.unit_minor, r.net_minor, r.tax_ppm / 10000.0, r.tax_note
			FROM jsonb_to_recordset(?::jsonb) AS r(invoice_id uuid, position int, kind text, subscription_id uuid, description text, period_from timestamptz,
				period_to timestamptz, quantity bigint, unit_minor bigint, net_minor bigint, tax_ppm bigint, tax_note text)),
		posts AS (`+postStatement+`)
		UPDATE number_series SET next = ?, pattern = ?, last_hash = (SELECT hash FROM inv) WHERE code = ?`,
		string(doc),
		n.ID, n.Key, n.Kind, orNull(n.CorrectsID), n.AccountID, string(n.State), n.series, n.sequence, n.Number, n.Currency, n.Net.Minor, n.Tax.Minor, n.Total.Minor,
		n.prev, n.prev, n.series, fmt.Sprint(n.sequence), n.IssuedAt, whenSet(n.DueAt), whenSet(n.PaidAt), tx.Now(), tx.Now(),
		string(lines),
		n.ledgerKey, tx.Now(), n.AccountID, n.Currency, n.Kind, n.ID, string(posts),
		n.sequence+1, n.pattern, n.series).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep %s: %w", n.Number, err)
	}
	return nil
}

// lineRow is a line as it is kept beside the document, for questions of SQL.
type lineRow struct {
	InvoiceID      uuid.UUID  `json:"invoice_id"`
	Position       int        `json:"position"`
	Kind           string     `json:"kind"`
	SubscriptionID *string    `json:"subscription_id"`
	Description    string     `json:"description"`
	PeriodFrom     *time.Time `json:"period_from"`
	PeriodTo       *time.Time `json:"period_to"`
	Quantity       int64      `json:"quantity"`
	UnitMinor      int64      `json:"unit_minor"`
	NetMinor       int64      `json:"net_minor"`
	TaxPpm         int64      `json:"tax_ppm"`
	TaxNote        string     `json:"tax_note"`
}

func lineRows(id uuid.UUID, d document.Document) []lineRow {
	rows := make([]lineRow, len(d.Lines))
	for i, l := range d.Lines {
		rows[i] = lineRow{
			InvoiceID: id, Position: i + 1, Kind: l.Kind, Description: l.Description, PeriodFrom: l.From, PeriodTo: l.To,
			Quantity: l.Quantity, UnitMinor: l.UnitMinor, NetMinor: l.NetMinor, TaxPpm: d.Taxes[l.Tax].Ppm, TaxNote: d.Taxes[l.Tax].Note,
		}
		if l.SubscriptionID != "" {
			rows[i].SubscriptionID = &l.SubscriptionID
		}
	}
	return rows
}

func orNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func whenSet(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// clean is text as the database takes it, on one line.
func clean(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")), " ")
}
