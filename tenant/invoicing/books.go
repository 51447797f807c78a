package invoicing

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
)

// Report is the outcome of an audit of the books.
type Report struct {
	Documents int
	Postings  int
	Balances  []Balance
	Problems  []string // in words for an operator, at most a hundred; none: the books hold
}

// Balance is what postings left on one account in one currency: debits less credits.
type Balance struct {
	Account  string
	Currency string
	Minor    int64
}

// Holds reports whether nothing was found wrong.
func (r Report) Holds() bool { return len(r.Problems) == 0 }

// bookChecks each select what is wrong, in words.
var bookChecks = []string{
	// Numbers without gaps, and the chain of hashes: each covers the one before it, the
	// series, the place in it and the document as the database writes it.
	`SELECT series || ' ' || number || ': ' || CASE WHEN sequence <> place THEN 'number ' || place || ' of the series is missing'
			WHEN prev_hash <> before THEN 'it does not follow the document before it' ELSE 'the document was changed' END
		FROM (SELECT series, sequence, number, hash, prev_hash, row_number() OVER w AS place, coalesce(lag(hash) OVER w, '') AS before,
			sha256('ezscale invoice 1'::bytea || prev_hash || convert_to(series || ' ' || sequence || ' ' || document::text, 'UTF8')) AS want
			FROM invoices WHERE series IS NOT NULL WINDOW w AS (PARTITION BY series ORDER BY sequence)) c
		WHERE sequence <> place OR prev_hash <> before OR hash <> want ORDER BY series, sequence LIMIT 20`,
	`SELECT 'series ' || s.code || ' goes on at ' || s.next || ' and holds ' || count(i.id) || ' documents'
		FROM number_series s LEFT JOIN invoices i ON i.series = s.code WHERE s.code IN ('invoice', 'credit_note')
		GROUP BY s.code, s.next, s.last_hash
		HAVING count(i.id) <> s.next - 1 OR coalesce((array_agg(i.hash ORDER BY i.sequence DESC) FILTER (WHERE i.id IS NOT NULL))[1], '') <> s.last_hash`,
	// The columns say what the document says.
	`SELECT number || ': its row and its document disagree' FROM invoices WHERE document IS NOT NULL AND (number, kind, currency, net_minor, tax_minor, total_minor) IS DISTINCT FROM
		(document->>'number', document->>'kind', document->>'currency', (document->>'net_minor')::bigint, (document->>'tax_minor')::bigint, (document->>'total_minor')::bigint) LIMIT 20`,
	`SELECT i.number || ': its lines come to ' || l.net || ' and it to ' || i.net_minor FROM invoices i
		JOIN (SELECT invoice_id, sum(net_minor) AS net FROM invoice_lines GROUP BY 1) l ON l.invoice_id = i.id WHERE i.kind = 'invoice' AND l.net <> i.net_minor LIMIT 20`,
	// What an invoice says was credited are its credit notes.
	`SELECT i.number || ': ' || i.credited_minor || ' credited, and credit notes over ' || coalesce(n.total, 0) FROM invoices i
		LEFT JOIN (SELECT corrects_id, sum(total_minor) AS total FROM invoices WHERE kind = 'credit_note' GROUP BY 1) n ON n.corrects_id = i.id
		WHERE i.kind = 'invoice' AND i.credited_minor <> coalesce(n.total, 0) LIMIT 20`,
	// What is left of each piece of credit is what became of it, and what credit paid of an
	// invoice is what was spent on it.
	`SELECT 'credit ' || g.id || ': ' || g.left_minor || ' are left, and by what became of it ' || coalesce(m.minor, 0) FROM credit_grants g
		LEFT JOIN (SELECT grant_id, sum(minor) AS minor FROM credit_moves GROUP BY 1) m ON m.grant_id = g.id WHERE g.left_minor <> coalesce(m.minor, 0) LIMIT 20`,
	`SELECT i.number || ': credit paid ' || coalesce(i.credit_minor, 0) || ', and ' || coalesce(m.minor, 0) || ' of credit were spent on it' FROM invoices i
		LEFT JOIN (SELECT invoice_id, -sum(minor) AS minor FROM credit_moves WHERE invoice_id IS NOT NULL GROUP BY 1) m ON m.invoice_id = i.id
		WHERE coalesce(i.credit_minor, 0) <> coalesce(m.minor, 0) LIMIT 20`,
	`SELECT number || ': it is ' || state || ' and ' || (total_minor - paid_minor - credited_minor) || ' are open' FROM invoices
		WHERE kind = 'invoice' AND state <> 'draft' AND ((total_minor - paid_minor - credited_minor > 0) <> (state IN ('open', 'uncollectible'))) LIMIT 20`,
	// What is deferred of a line is no more than the line, and of its sign.
	`SELECT i.number || ': ' || (r.net_minor - r.done_minor) || ' of line ' || r.position || ' are deferred, and it is over ' || coalesce(l.net_minor, 0) FROM recognitions r JOIN invoices i ON i.id = r.invoice_id
		LEFT JOIN invoice_lines l ON l.invoice_id = r.invoice_id AND l.position = r.position
		WHERE r.net_minor - r.done_minor NOT BETWEEN least(coalesce(l.net_minor, 0), 0) AND greatest(coalesce(l.net_minor, 0), 0) LIMIT 20`,
	// The books say what the documents say, customer by customer. What banks hold back or
	// took for good was paid all the same, and so was what credit paid; what became credit
	// was paid no longer.
	`SELECT 'customer ' || coalesce(account_id::text, 'nobody') || ': ' || what || ' is ' || coalesce(books, 0) || ' ' || currency || ' in the books and ' || coalesce(papers, 0) || ' by the documents' FROM (
		SELECT account_id, currency, 'receivable' AS what, sum(total_minor - paid_minor - credited_minor) AS papers FROM invoices WHERE kind = 'invoice' AND state <> 'draft' GROUP BY 1, 2
		UNION ALL SELECT account_id, currency, 'revenue', -sum(minor) FROM (
			SELECT account_id, currency, CASE kind WHEN 'invoice' THEN net_minor ELSE -net_minor END AS minor FROM invoices WHERE kind IN ('invoice', 'credit_note') AND state <> 'draft'
			UNION ALL SELECT account_id, currency, done_minor - net_minor FROM recognitions) e GROUP BY 1, 2
		UNION ALL SELECT account_id, currency, 'deferred_revenue', sum(done_minor - net_minor) FROM recognitions GROUP BY 1, 2
		UNION ALL SELECT account_id, currency, 'tax_payable', -sum(CASE kind WHEN 'invoice' THEN tax_minor ELSE -tax_minor END) FROM invoices WHERE kind IN ('invoice', 'credit_note') AND state <> 'draft' GROUP BY 1, 2
		UNION ALL SELECT account_id, currency, 'paid', sum(paid_minor) FROM invoices WHERE kind IN ('invoice', 'top_up') AND state <> 'draft' GROUP BY 1, 2
		UNION ALL SELECT account_id, currency, CASE WHEN bought THEN 'customer_credit' ELSE 'promotional_credit' END, -sum(left_minor) FROM credit_grants GROUP BY 1, 2, 3
		UNION ALL SELECT g.account_id, g.currency, CASE WHEN g.bought THEN 'credit_expired' ELSE 'promotions' END, sum(m.minor) FROM credit_grants g JOIN credit_moves m ON m.grant_id = g.id
			WHERE m.kind = 'expired' OR m.kind = 'granted' AND NOT g.bought GROUP BY 1, 2, 3
		UNION ALL SELECT p.account_id, p.currency, 'credit_refunds', -sum(r.amount_minor) FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN invoices i ON i.id = p.invoice_id
			WHERE i.kind = 'top_up' AND r.state IN ('created', 'processing') GROUP BY 1, 2
		UNION ALL SELECT account_id, currency, 'credit_losses', sum(minor) FROM (
			SELECT p.account_id, p.currency, r.amount_minor AS minor FROM refunds r JOIN payments p ON p.id = r.payment_id JOIN invoices i ON i.id = p.invoice_id WHERE i.kind = 'top_up' AND r.state <> 'failed'
			UNION ALL SELECT bought_by, currency, -amount_minor FROM gift_codes WHERE bought_by IS NOT NULL AND withdrawn_at IS NOT NULL AND disputed_at IS NULL
			UNION ALL SELECT g.account_id, g.currency, m.minor FROM credit_grants g JOIN credit_moves m ON m.grant_id = g.id WHERE m.kind = 'withdrawn') w GROUP BY 1, 2
		UNION ALL SELECT account_id, currency, what, sum(minor) FROM (
			SELECT g.account_id, g.currency, CASE m.kind WHEN 'held' THEN 'credit_held' ELSE 'credit_taken_back' END AS what, m.minor FROM credit_grants g JOIN credit_moves m ON m.grant_id = g.id WHERE m.kind IN ('held', 'lost')
			UNION ALL SELECT bought_by, currency, CASE WHEN withdrawn_at IS NULL THEN 'credit_held' ELSE 'credit_taken_back' END, -amount_minor FROM gift_codes WHERE bought_by IS NOT NULL AND disputed_at IS NOT NULL) h GROUP BY 1, 2, 3
		UNION ALL SELECT '00000000-0000-0000-0000-000000000000'::uuid, currency, 'gift_codes', -sum(amount_minor) FROM gift_codes WHERE bought_by IS NOT NULL AND redeemed_at IS NULL AND withdrawn_at IS NULL AND disputed_at IS NULL GROUP BY 2) p
		FULL JOIN (SELECT CASE account WHEN 'gift_codes' THEN '00000000-0000-0000-0000-000000000000'::uuid ELSE account_id END AS account_id, currency, CASE WHEN account = 'dispute_losses' OR account LIKE 'disputed/%' OR account LIKE 'cash/%' THEN 'paid' ELSE account END AS what, sum(minor) AS books FROM (
			SELECT account_id, currency, debit AS account, amount_minor AS minor FROM ledger_postings
			UNION ALL SELECT account_id, currency, credit, -amount_minor FROM ledger_postings
			UNION ALL SELECT account_id, currency, 'paid', CASE credit WHEN 'receivable' THEN amount_minor ELSE -amount_minor END FROM ledger_postings
				WHERE credit = 'receivable' AND debit IN ('customer_credit', 'promotional_credit') OR debit = 'receivable' AND credit IN ('customer_credit', 'promotional_credit')) m GROUP BY 1, 2, 3) b USING (account_id, currency, what)
		WHERE coalesce(papers, 0) <> coalesce(books, 0) LIMIT 20`,
}

// Books audits what the shop invoiced: every series without a gap and with its chain of
// hashes whole, rows that say what their documents say, and books in which what is
// receivable, earned, not earned yet, owed to the state and received is what the documents come to.
// What is wrong is in the Report and not an error.
func Books(ctx context.Context, tx *tenancy.Tx) (r Report, err error) {
	err = tx.NewRaw(`SELECT (SELECT count(*) FROM invoices WHERE state <> 'draft') AS documents, (SELECT count(*) FROM ledger_postings) AS postings`).Scan(ctx, &r.Documents, &r.Postings)
	if err != nil {
		return r, fmt.Errorf("audit the books: %w", err)
	}
	for _, check := range bookChecks {
		var problems []string
		if err := tx.NewRaw(check).Scan(ctx, &problems); err != nil {
			return r, fmt.Errorf("audit the books: %w", err)
		}
		r.Problems = append(r.Problems, problems...)
	}
	err = tx.NewRaw(`SELECT account, currency, sum(minor)::bigint AS minor FROM (SELECT debit AS account, currency, amount_minor AS minor FROM ledger_postings
		UNION ALL SELECT credit, currency, -amount_minor FROM ledger_postings) m GROUP BY 1, 2 ORDER BY 2, 1`).Scan(ctx, &r.Balances)
	if err != nil {
		return r, fmt.Errorf("audit the books: %w", err)
	}
	return r, nil
}
