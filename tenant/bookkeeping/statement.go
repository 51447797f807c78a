package bookkeeping

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// mostRows is how many movements one statement tells.
const mostRows = 2000

// StatementOf draws up what moved between the shop and an account in a period, in a
// currency (empty: the account's): what is receivable from it, event by event. Where one ends the next begins.
// Faults: account.not_found, statement.too_long.
func StatementOf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, currency string, p Period) (s document.Statement, err error) {
	buyer, err := account.ForInvoice(ctx, tx, id)
	if err != nil {
		return s, err
	}
	if currency == "" {
		currency = buyer.Currency
	}
	shop, err := settings.BillingOf(ctx, tx)
	if err != nil {
		return s, err
	}
	s = document.Statement{
		Seller: invoicing.Seller(shop), Buyer: invoicing.Buyer(buyer), CustomerNo: invoicing.CustomerNumber(buyer), Locale: buyer.Locale, TimeZone: buyer.TimeZone, Currency: currency,
		From: p.From, To: p.To, DrawnAt: tx.Now(), Footer: shop.Footer,
	}
	var rows []struct {
		Key, SourceKind, Number string
		At                      time.Time
		Minor, Opening          int64
	}
	err = tx.NewRaw(`WITH m AS (SELECT key, min(at) AS at, min(source_kind) AS source_kind, (array_agg(source_id))[1] AS source_id,
				sum(CASE debit WHEN 'receivable' THEN amount_minor ELSE -amount_minor END)::bigint AS minor
			FROM ledger_postings WHERE account_id = ?0 AND currency = ?1 AND 'receivable' IN (debit, credit) AND at < ?3 GROUP BY key),
			o AS (SELECT coalesce(sum(minor), 0)::bigint AS opening FROM m WHERE at < ?2),
			l AS (SELECT * FROM m WHERE at >= ?2 ORDER BY at, minor < 0, key LIMIT ?4)
		SELECT coalesce(l.key, '') AS key, coalesce(l.source_kind, '') AS source_kind, coalesce(l.at, ?2) AS at, coalesce(l.minor, 0) AS minor, o.opening, coalesce(d.number, x.number, y.number, '') AS number
		FROM o LEFT JOIN l ON true LEFT JOIN invoices d ON d.id = l.source_id LEFT JOIN payments p ON p.id = l.source_id LEFT JOIN invoices x ON x.id = p.invoice_id
			LEFT JOIN refunds r ON r.id = l.source_id LEFT JOIN payments q ON q.id = r.payment_id LEFT JOIN invoices y ON y.id = q.invoice_id
		ORDER BY l.at, l.minor < 0, l.key`, id, currency, p.From, p.To, mostRows+1).Scan(ctx, &rows)
	if err != nil {
		return s, fmt.Errorf("draw up a statement: %w", err)
	}
	if len(rows) > mostRows {
		return s, fault.New(fault.Conflict, "statement.too_long", "These are more movements than one statement tells. Choose fewer days.")
	}
	for i, r := range rows {
		if i == 0 {
			s.OpeningMinor, s.ClosingMinor = r.Opening, r.Opening
		}
		if r.Key == "" || r.Minor == 0 {
			continue
		}
		s.ClosingMinor += r.Minor
		s.Rows = append(s.Rows, document.StatementRow{At: r.At, Text: said(r.Key, r.SourceKind), Number: r.Number, Minor: r.Minor, BalanceMinor: s.ClosingMinor})
	}
	return s, nil
}

// said is what an event of the books is to a customer.
func said(key, source string) string {
	switch {
	case strings.HasPrefix(key, "credit/spent/"):
		return "Paid from credit"
	case strings.HasPrefix(key, "credit/returned/"):
		return "Back to credit"
	case source == "credit":
		return "Became credit"
	case source == document.Invoice:
		return "Invoice"
	case source == document.CreditNote:
		return "Credit note"
	case strings.HasSuffix(key, "/came_back"):
		return "Refund that came back"
	case source == "refund":
		return "Refund"
	}
	return "Payment"
}
