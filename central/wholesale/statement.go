package wholesale

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// RunRow is a month that was billed.
type RunRow struct {
	Period     string
	CutOff     time.Time
	Invoices   int
	Total      json.RawMessage // {"EUR": 123456}
	StartedAt  time.Time
	FinishedAt time.Time
	StartedBy  string
}

// Totals are the run's sums by currency.
func (r RunRow) Totals() (all []billing.Money) {
	var sums map[string]int64
	if json.Unmarshal(r.Total, &sums) != nil {
		return nil
	}
	return moneyOf(sums)
}

// Runs are all months that were billed, the newest first.
func (d *Desk) Runs(ctx context.Context) (all []RunRow, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT period, cut_off, invoices, total, started_at, finished_at, started_by FROM wholesale_runs ORDER BY period_to DESC, period DESC LIMIT 240`).Scan(ctx, &all)
	})
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return all, nil
}

// InvoiceRow is a wholesale invoice in a list.
type InvoiceRow struct {
	ID         uuid.UUID
	TenantID   tenancy.ID
	Name       string // of the reseller
	Number     string
	Period     string
	State      string // open, paid, uncollectible
	Tier       string
	Currency   string
	NetMinor   int64
	TaxMinor   int64
	TotalMinor int64
	PaidMinor  int64
	IssuedAt   time.Time
	DueAt      time.Time
	PaidAt     time.Time
	Count      int `json:"-"`
}

func (r InvoiceRow) money(minor int64) billing.Money {
	return billing.Money{Minor: minor, Currency: r.Currency}
}

// Net, Tax, Total and Open are the invoice's amounts; Open is what is still owed.
func (r InvoiceRow) Net() billing.Money   { return r.money(r.NetMinor) }
func (r InvoiceRow) Tax() billing.Money   { return r.money(r.TaxMinor) }
func (r InvoiceRow) Total() billing.Money { return r.money(r.TotalMinor) }
func (r InvoiceRow) Open() billing.Money  { return r.money(r.TotalMinor - r.PaidMinor) }

// Overdue reports whether something is owed past the day it was due.
func (r InvoiceRow) Overdue(now time.Time) bool {
	return r.State == "open" && r.TotalMinor > r.PaidMinor && now.After(r.DueAt)
}

const invoiceColumns = `i.id, i.tenant_id, t.name, i.number, r.period, i.state, i.tier, i.currency, i.net_minor, i.tax_minor, i.total_minor, i.paid_minor, i.issued_at, i.due_at, i.paid_at`

const invoiceTables = ` FROM wholesale_invoices i JOIN wholesale_runs r ON r.id = i.run_id JOIN tenants t ON t.id = i.tenant_id `

// InvoiceFilter narrows a list of invoices. Zero fields do not.
type InvoiceFilter struct {
	Tenant        tenancy.ID
	Period        string
	State         string
	Text          string // part of the number or the reseller's name
	Sort          string // number, reseller, total, due; empty: the newest first
	Desc          bool
	Offset, Limit int
}

// Invoices are one page of the wholesale invoices, and how many there are in all.
func (d *Desk) Invoices(ctx context.Context, f InvoiceFilter) (rows []InvoiceRow, total int, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		rows, total, err = invoicesIn(ctx, tx, f)
		return err
	})
	return rows, total, err
}

func invoicesIn(ctx context.Context, tx *tenancy.CentralTx, f InvoiceFilter) (rows []InvoiceRow, total int, err error) {
	where, args := []string{"true"}, []any{}
	add := func(sql string, values ...any) { where, args = append(where, sql), append(args, values...) }
	if !f.Tenant.IsZero() {
		add("i.tenant_id = ?", f.Tenant)
	}
	if f.Period != "" {
		add("r.period = ?", plain(f.Period))
	}
	if f.State != "" {
		add("i.state = ?", plain(f.State))
	}
	if f.Text != "" {
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(plain(f.Text)) + "%"
		add("(i.number ILIKE ? OR t.name ILIKE ?)", like, like)
	}
	order, ok := map[string]string{"number": "i.sequence", "reseller": "lower(t.name)", "total": "i.total_minor", "due": "i.due_at"}[f.Sort]
	switch {
	case !ok:
		order = "i.sequence DESC"
	case f.Desc:
		order += " DESC, i.sequence DESC"
	default:
		order += ", i.sequence"
	}
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 200
	}
	err = tx.NewRaw("SELECT "+invoiceColumns+", count(*) OVER () AS count"+invoiceTables+"WHERE "+strings.Join(where, " AND ")+" ORDER BY "+order+" LIMIT ? OFFSET ?",
		append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &rows)
	if err != nil {
		return nil, 0, fmt.Errorf("list wholesale invoices: %w", err)
	}
	if len(rows) > 0 {
		total = rows[0].Count
	}
	return rows, total, nil
}

// Invoice is a wholesale invoice with everything on it.
type Invoice struct {
	InvoiceRow
	Document document.Document
	Lines    []Line
	Payments []Payment
}

// Line is a line of an invoice.
type Line struct {
	Position    int
	Kind        string
	Adjusts     string
	Period      string
	SKU         string `bun:"sku"`
	Tier        string
	Description string
	Quantity    string
	PriceMinor  string
	NetMinor    int64
	Stays       int // rows of evidence

	Asked []Asked `bun:"-"` // what was asked about it, the newest first; read with one line alone

	currency string
}

// Net is the line's amount.
func (l Line) Net() billing.Money { return billing.Money{Minor: l.NetMinor, Currency: l.currency} }

// Shared reports whether the line is a share of revenue: its evidence are invoices and
// credit notes of the reseller.
func (l Line) Shared() bool { return l.Kind == "commission" || l.Adjusts == "commission" }

// Payment is money taken, or not, for an invoice.
type Payment struct {
	ID          uuid.UUID
	Gateway     string
	Currency    string
	AmountMinor int64
	State       string
	Ref         string
	DeclineText string
	CreatedAt   time.Time
	SettledAt   time.Time
	Refunded    int64  // of AmountMinor, that went back
	Disputes    string // as kept; see Contested
}

// Back is what went back of it.
func (p Payment) Back() billing.Money { return billing.Money{Minor: p.Refunded, Currency: p.Currency} }

// Contested is where the disputes of the payment stand, each in a sentence.
func (p Payment) Contested(invoice string) (said []string) {
	var all []gateway.Disputed
	if json.Unmarshal([]byte(p.Disputes), &all) != nil {
		return nil
	}
	for _, k := range all {
		said = append(said, disputeText(invoice, p.Currency, k))
	}
	return said
}

// Amount is the payment's.
func (p Payment) Amount() billing.Money {
	return billing.Money{Minor: p.AmountMinor, Currency: p.Currency}
}

var errUnknownInvoice = fault.New(fault.NotFound, "wholesale_invoice.unknown", "There is no such invoice.")

const lineColumns = `l.position, l.kind, l.adjusts, l.period, l.sku, l.tier, l.description, l.quantity::text AS quantity, l.price_minor::text AS price_minor, l.net_minor,
	(SELECT count(*) FROM wholesale_evidence e WHERE e.invoice_id = l.invoice_id AND e.position = l.position) AS stays`

// Invoice is one of them; of a tenant's own when one is given. Fault: wholesale_invoice.unknown.
func (d *Desk) Invoice(ctx context.Context, id uuid.UUID, of tenancy.ID) (inv Invoice, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var doc json.RawMessage
		if inv.InvoiceRow, doc, err = invoiceIn(ctx, tx, id, of); err != nil {
			return err
		}
		if err := json.Unmarshal(doc, &inv.Document); err != nil {
			return fmt.Errorf("document of %s: %w", inv.Number, err)
		}
		if err := tx.NewRaw("SELECT "+lineColumns+" FROM wholesale_lines l WHERE l.invoice_id = ? ORDER BY l.position", id).Scan(ctx, &inv.Lines); err != nil {
			return err
		}
		return tx.NewRaw(`SELECT id, gateway, currency, amount_minor, state, coalesce(ref, '') AS ref, decline_text, created_at, settled_at, coalesce(disputes::text, '[]') AS disputes,
				(SELECT coalesce(sum(r.amount_minor), 0) FROM wholesale_refunds r WHERE r.payment_id = wholesale_payments.id AND r.state = 'succeeded') AS refunded
			FROM wholesale_payments WHERE invoice_id = ? ORDER BY created_at DESC, id DESC`, id).Scan(ctx, &inv.Payments)
	})
	for i := range inv.Lines {
		inv.Lines[i].currency = inv.Currency
	}
	return inv, err
}

func invoiceIn(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID, of tenancy.ID) (row InvoiceRow, doc json.RawMessage, err error) {
	var found struct {
		InvoiceRow
		Document json.RawMessage
	}
	err = tx.NewRaw("SELECT "+invoiceColumns+", i.document"+invoiceTables+"WHERE i.id = ? AND (?::bigint = 0 OR i.tenant_id = ?)", id, of.Number(), of.Number()).Scan(ctx, &found)
	if tenancy.IsNoRows(err) {
		return row, nil, errUnknownInvoice
	}
	if err != nil {
		return row, nil, fmt.Errorf("read invoice %s: %w", id, err)
	}
	return found.InvoiceRow, found.Document, nil
}

// Evidence is why a line is what it is: one stay of a service, or one reported quantity,
// with the raw events that told of it.
type Evidence struct {
	Subject     string
	Label       string // of the service, as last shown; empty: not known
	FromAt      time.Time
	ToAt        time.Time
	Quantity    string
	Share       string // of the month
	PriceMinor  string
	AmountMinor string // before the line was rounded
	StartKey    string
	StartAt     time.Time // when the event says it happened; zero: there is none
	StartTold   time.Time // when it was recorded
	StopKey     string
	StopAt      time.Time
	StopTold    time.Time
	Count       int `json:"-"`
}

// Percent is the share of the month in words.
func (e Evidence) Percent() string {
	whole, part, _ := strings.Cut(e.Share, ".")
	part = (part + "0000")[:4]
	return cmp.Or(strings.TrimLeft(whole+part[:2], "0"), "0") + "." + part[2:] + " %"
}

// Amount is the stay's part of the line in minor units, without zeros at the end.
func (e Evidence) Amount() string { return trimZeros(e.AmountMinor, 4) }

// Pieces is the quantity without zeros at the end.
func (e Evidence) Pieces() string { return trimZeros(e.Quantity, 4) }

// Base is the amount of a share's invoice or credit note in the line's currency.
func (e Evidence) Base(l Line) billing.Money {
	minor, err := strconv.ParseInt(trimZeros(e.PriceMinor, 0), 10, 64)
	if err != nil {
		return billing.Money{Currency: l.currency}
	}
	if strings.HasPrefix(e.Quantity, "-") {
		minor = -minor
	}
	return billing.Money{Minor: minor, Currency: l.currency}
}

// Line is one line of an invoice with a page of its evidence; see Invoice.
func (d *Desk) Line(ctx context.Context, id uuid.UUID, position int, of tenancy.ID, offset, limit int) (row InvoiceRow, l Line, stays []Evidence, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		if row, _, err = invoiceIn(ctx, tx, id, of); err != nil {
			return err
		}
		err := tx.NewRaw("SELECT "+lineColumns+" FROM wholesale_lines l WHERE l.invoice_id = ? AND l.position = ?", id, position).Scan(ctx, &l)
		if tenancy.IsNoRows(err) {
			return errUnknownInvoice
		}
		if err != nil {
			return err
		}
		if l.Asked, err = askedOf(ctx, tx, id, position); err != nil {
			return err
		}
		return tx.NewRaw(`SELECT e.subject, coalesce(s.label, '') AS label, e.from_at, e.to_at, e.quantity::text AS quantity, e.share::text AS share, e.price_minor::text AS price_minor,
				e.amount_minor::text AS amount_minor, e.start_key, coalesce(v.at, a.at) AS start_at, coalesce(v.recorded_at, a.recorded_at) AS start_told, e.stop_key, b.at AS stop_at, b.recorded_at AS stop_told
			FROM wholesale_evidence e
			LEFT JOIN revenue_events v ON ? AND v.tenant_id = ? AND v.key = e.start_key
			LEFT JOIN usage_events a ON a.tenant_id = ? AND a.key = e.start_key AND e.start_key <> ''
			LEFT JOIN usage_events b ON b.tenant_id = ? AND b.key = e.stop_key AND e.stop_key <> ''
			LEFT JOIN services s ON s.tenant_id = ? AND 'service/' || s.service_id = split_part(e.subject, '/', 1) || '/' || split_part(e.subject, '/', 2)
			WHERE e.invoice_id = ? AND e.position = ? ORDER BY e.subject, e.from_at, e.quantity LIMIT ? OFFSET ?`,
			l.Shared(), row.TenantID, row.TenantID, row.TenantID, row.TenantID, id, position, limit, max(offset, 0)).Scan(ctx, &stays)
	})
	if err != nil {
		return row, l, nil, fmt.Errorf("line %d of %s: %w", position, id, err)
	}
	l.currency = row.Currency
	return row, l, stays, nil
}

// Open is what is asked about the line and not decided; nil: nothing.
func (l Line) Open() *Asked {
	for i, a := range l.Asked {
		if a.State == QuestionOpen {
			return &l.Asked[i]
		}
	}
	return nil
}

// moneyOf are sums by currency, in the currencies' order.
func moneyOf(sums map[string]int64) (all []billing.Money) {
	for _, code := range sortedKeys(sums) {
		all = append(all, billing.Money{Minor: sums[code], Currency: code})
	}
	return all
}

// Totals are the report's sums by currency.
func (r Report) Totals() []billing.Money { return moneyOf(r.Total) }

// Amount is the reseller's invoice in all.
func (r ReportRow) Amount() billing.Money {
	return billing.Money{Minor: r.TotalMinor, Currency: r.Currency}
}
