package wholesale

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
)

// numberOf is an invoice's number.
func numberOf(sequence int64) string { return fmt.Sprintf("WS-%06d", sequence) }

// issuedRow, lineRow and postingRow are what is written of a batch, as JSON.
type issuedRow struct {
	ID       uuid.UUID         `json:"id"`
	TenantID int64             `json:"tenant_id"`
	Number   string            `json:"number"`
	Sequence int64             `json:"sequence"`
	State    string            `json:"state"`
	Tier     string            `json:"tier"`
	Currency string            `json:"currency"`
	Net      int64             `json:"net_minor"`
	Tax      int64             `json:"tax_minor"`
	Total    int64             `json:"total_minor"`
	Document document.Document `json:"document"`
	DueAt    string            `json:"due_at"`
}

type lineRow struct {
	InvoiceID   uuid.UUID `json:"invoice_id"`
	Position    int       `json:"position"`
	Kind        string    `json:"kind"`
	Adjusts     string    `json:"adjusts"`
	Period      string    `json:"period"`
	SKU         string    `json:"sku"`
	Tier        string    `json:"tier"`
	Description string    `json:"description"`
	Quantity    string    `json:"quantity"`
	PriceMinor  string    `json:"price_minor"`
	NetMinor    int64     `json:"net_minor"`
}

type postingRow struct {
	Key      string    `json:"key"`
	Position int       `json:"position"`
	Debit    string    `json:"debit"`
	Credit   string    `json:"credit"`
	TenantID int64     `json:"tenant_id"`
	Minor    int64     `json:"amount_minor"`
	Currency string    `json:"currency"`
	Source   uuid.UUID `json:"source_id"`
	Note     string    `json:"note"`
}

// invoicesSQL chains a batch's invoices, each to the one before it, where the document's
// final text is. It answers with the end of the chain.
const invoicesSQL = `WITH RECURSIVE new AS MATERIALIZED (
	SELECT * FROM jsonb_to_recordset(?0::jsonb) AS n(id uuid, tenant_id bigint, number text, sequence bigint, state text, tier text, currency text,
		net_minor bigint, tax_minor bigint, total_minor bigint, document jsonb, due_at timestamptz)
), chain AS (
	SELECT n.sequence, ?1::bytea AS prev, sha256('ezscale wholesale 1'::bytea || ?1::bytea || convert_to(n.number || ' ' || n.document::text, 'UTF8')) AS hash
	FROM new n WHERE n.sequence = ?2
	UNION ALL
	SELECT n.sequence, c.hash, sha256('ezscale wholesale 1'::bytea || c.hash || convert_to(n.number || ' ' || n.document::text, 'UTF8'))
	FROM chain c JOIN new n ON n.sequence = c.sequence + 1
), kept AS (
	INSERT INTO wholesale_invoices (id, run_id, tenant_id, number, sequence, state, tier, currency, net_minor, tax_minor, total_minor, paid_minor,
		document, hash, prev_hash, issued_at, due_at, paid_at, changed_at)
	SELECT n.id, ?3, n.tenant_id, n.number, n.sequence, n.state, n.tier, n.currency, n.net_minor, n.tax_minor, n.total_minor, 0,
		n.document, c.hash, c.prev, ?4, n.due_at, CASE n.state WHEN 'paid' THEN ?4::timestamptz END, ?4 FROM new n JOIN chain c USING (sequence)
	RETURNING sequence, hash
) SELECT sequence, hash FROM kept ORDER BY sequence DESC LIMIT 1`

const linesSQL = `INSERT INTO wholesale_lines (invoice_id, position, kind, adjusts, period, sku, tier, description, quantity, price_minor, net_minor)
	SELECT invoice_id, position, kind, adjusts, period, sku, tier, description, quantity, price_minor, net_minor
	FROM jsonb_to_recordset(?::jsonb) AS n(invoice_id uuid, position int, kind text, adjusts text, period text, sku text, tier text, description text,
		quantity numeric, price_minor numeric, net_minor bigint)`

const postingsSQL = `INSERT INTO ledger_postings (key, position, at, debit, credit, tenant_id, amount_minor, currency, source_kind, source_id, note)
	SELECT key, position, ?, debit, credit, tenant_id, amount_minor, currency, ?, source_id, note
	FROM jsonb_to_recordset(?::jsonb) AS n(key text, position int, debit text, credit text, tenant_id bigint, amount_minor bigint, currency text, source_id uuid, note text)
	ON CONFLICT (key, position) DO NOTHING`

// issue writes a batch's invoices, lines and postings.
func (r *run) issue(ctx context.Context, who []billed) error {
	if len(who) == 0 {
		return nil
	}
	var invoices []issuedRow
	var lines []lineRow
	var postings []postingRow
	first := r.series.Sequence + 1
	for i, w := range who {
		inv, err := r.invoice(w, first+int64(i))
		if err != nil {
			return err
		}
		invoices = append(invoices, inv)
		for _, l := range w.lines {
			lines = append(lines, lineRow{w.invoice, l.Position, l.Kind, l.Adjusts, l.period, l.SKU, l.Tier, l.description, l.Quantity, l.PriceMinor, l.NetMinor})
		}
		moves := billing.PostInvoice(billing.Money{Minor: inv.Net, Currency: inv.Currency}, billing.Money{Minor: inv.Tax, Currency: inv.Currency})
		postings = append(postings, rowsOf("wholesale/"+inv.ID.String(), inv.TenantID, inv.ID, moves)...)
		r.count(w, inv)
	}
	var end series
	list, err := json.Marshal(invoices)
	if err != nil {
		return err
	}
	if err := r.tx.NewRaw(invoicesSQL, string(list), r.series.Hash, first, r.id, r.tx.Now()).Scan(ctx, &end.Sequence, &end.Hash); err != nil {
		return fmt.Errorf("write invoices: %w", err)
	}
	r.series = end
	if list, err = json.Marshal(lines); err != nil {
		return err
	}
	if _, err := r.tx.NewRaw(linesSQL, string(list)).Exec(ctx); err != nil {
		return fmt.Errorf("write lines: %w", err)
	}
	return post(ctx, r.tx, "wholesale_invoice", postings)
}

// invoice is a reseller's invoice as it is written.
func (r *run) invoice(w billed, sequence int64) (issuedRow, error) {
	number := numberOf(sequence)
	d, err := r.document(w, number)
	if err != nil {
		return issuedRow{}, err
	}
	state := "open"
	if d.TotalMinor == 0 {
		state = "paid"
	}
	tier := w.lines[0].Tier
	for _, l := range w.lines {
		if l.Kind == "fee" { // of several in a month, the last
			tier = l.Tier
		}
	}
	return issuedRow{
		ID: w.invoice, TenantID: int64(w.ID.Number()), Number: number, Sequence: sequence, State: state, Tier: tier, Currency: d.Currency,
		Net: d.NetMinor, Tax: d.TaxMinor, Total: d.TotalMinor, Document: d, DueAt: d.DueAt.Format("2006-01-02T15:04:05.999999Z07:00"),
	}, nil
}

// count adds an invoice to the report.
func (r *run) count(w billed, inv issuedRow) {
	row := ReportRow{Tenant: w.ID, Name: w.Name, Number: inv.Number, Tier: inv.Tier, Currency: inv.Currency, Lines: len(w.lines), NetMinor: inv.Net, TotalMinor: inv.Total}
	for _, l := range w.lines {
		switch l.Kind {
		case "adjustment", "manual":
			row.Adjustments++
		case "service":
			row.Services += l.Subjects
		}
	}
	r.report.Rows = append(r.report.Rows, row)
	r.report.Invoices++
	r.report.Lines += len(w.lines)
	r.report.Total[inv.Currency] += inv.Total
}

// rowsOf are movements as rows of the platform's books.
func rowsOf(key string, tenant int64, source uuid.UUID, moves []billing.Posting) []postingRow {
	rows := make([]postingRow, len(moves))
	for i, p := range moves {
		rows[i] = postingRow{key, i + 1, p.Debit, p.Credit, tenant, p.Amount.Minor, p.Amount.Currency, source, p.Note}
	}
	return rows
}

// post writes rows of the books; a key that was posted before changes nothing.
func post(ctx context.Context, tx *tenancy.CentralTx, kind string, rows []postingRow) error {
	if len(rows) == 0 {
		return nil
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw(postingsSQL, tx.Now(), kind, string(list)).Exec(ctx); err != nil {
		return fmt.Errorf("post to the books: %w", err)
	}
	return nil
}
