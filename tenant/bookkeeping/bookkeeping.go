// Package bookkeeping owns what bookkeepers take out of a shop's books: the journal,
// trial balances, what customers owe by age, and batches of postings for DATEV. It
// changes nothing; the books are kept by invoicing and credit (see ledger).
package bookkeeping

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Period is the days a report is about, in the shop's zone: [From, To).
type Period struct{ From, To time.Time }

// Movement is one line of the journal.
type Movement struct {
	Key           string
	Position      int
	At            time.Time
	Debit, Credit string
	Amount        billing.Money
	Account       string // the customer's name; empty: nobody's
	Document      string // number of the invoice, credit note or top-up behind it; empty: none
	TaxID         string // the customer's
	Country       string // the customer's
	Note          string
}

// pageSize is how many movements one statement reads.
const pageSize = 2000

// Journal tells every movement of a period in the order of time, page by page, so that a
// year of any size needs little memory. What tell returns ends it.
func Journal(ctx context.Context, tx *tenancy.Tx, p Period, tell func(Movement) error) error {
	type row struct {
		Key, Debit, Credit, Currency, Account, Document, TaxID, Country, Note string
		Position                                                              int
		AmountMinor                                                           int64
		At                                                                    time.Time
	}
	after, key, position := p.From, "", -1
	for {
		var rows []row
		err := tx.NewRaw(`WITH l AS (SELECT * FROM ledger_postings WHERE at >= ?0 AND at < ?1 AND (at, key, position) > (?2, ?3, ?4) ORDER BY at, key, position LIMIT ?5)
			SELECT l.key, l.position, l.at, l.debit, l.credit, l.amount_minor, l.currency, l.note, coalesce(a.name, '') AS account, coalesce(a.tax_id, '') AS tax_id, coalesce(a.country, '') AS country,
				coalesce(d.number, x.number, y.number, '') AS document
			FROM l LEFT JOIN accounts a ON a.id = l.account_id LEFT JOIN invoices d ON d.id = l.source_id
			LEFT JOIN payments p ON p.id = l.source_id LEFT JOIN invoices x ON x.id = p.invoice_id
			LEFT JOIN refunds r ON r.id = l.source_id LEFT JOIN payments q ON q.id = r.payment_id LEFT JOIN invoices y ON y.id = q.invoice_id
			ORDER BY l.at, l.key, l.position`, p.From, p.To, after, key, position, pageSize).Scan(ctx, &rows)
		if err != nil {
			return fmt.Errorf("read the journal: %w", err)
		}
		for _, r := range rows {
			err := tell(Movement{Key: r.Key, Position: r.Position, At: r.At, Debit: r.Debit, Credit: r.Credit, Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency},
				Account: r.Account, Document: r.Document, TaxID: r.TaxID, Country: r.Country, Note: r.Note})
			if err != nil {
				return err
			}
			after, key, position = r.At, r.Key, r.Position
		}
		if len(rows) < pageSize {
			return nil
		}
	}
}

// Line is an account of the books in a trial balance.
type Line = billing.TrialLine

// Trial is the trial balance of a period, account by account; in each currency openings,
// closings, and debits less credits come to nothing.
func Trial(ctx context.Context, tx *tenancy.Tx, p Period) ([]Line, error) {
	var rows []struct {
		Account, Currency      string
		Opening, Debit, Credit int64
	}
	err := tx.NewRaw(`SELECT account, currency, coalesce(sum(debit - credit) FILTER (WHERE at < ?0), 0)::bigint AS opening,
			coalesce(sum(debit) FILTER (WHERE at >= ?0), 0)::bigint AS debit, coalesce(sum(credit) FILTER (WHERE at >= ?0), 0)::bigint AS credit
		FROM (SELECT debit AS account, currency, at, amount_minor AS debit, 0 AS credit FROM ledger_postings WHERE at < ?1
			UNION ALL SELECT credit, currency, at, 0, amount_minor FROM ledger_postings WHERE at < ?1) m GROUP BY 1, 2 ORDER BY 2, 1`, p.From, p.To).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the trial balance: %w", err)
	}
	all := make([]Line, len(rows))
	for i, r := range rows {
		m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: r.Currency} }
		all[i] = Line{Account: r.Account, Currency: r.Currency, Opening: m(r.Opening), Debit: m(r.Debit), Credit: m(r.Credit)}
	}
	return all, nil
}

// Owing is what a customer owes, by how long it has been due.
type Owing struct {
	AccountID uuid.UUID
	Account   string
	billing.Aged
	GivenUp billing.Money // uncollectible: no longer asked for, and still on the books until it is credited
}

// Total is all of it: the part of the account of receivables that is this customer's, but
// for what was paid too much.
func (o Owing) Total() billing.Money {
	return billing.Money{Minor: o.Aged.Total().Minor + o.GivenUp.Minor, Currency: o.Currency}
}

// Aged lists what customers owe now, the most first. What was paid too much is not in it.
func Aged(ctx context.Context, tx *tenancy.Tx) ([]Owing, error) {
	var rows []struct {
		AccountID                             uuid.UUID
		Account, Currency                     string
		NotDue, Days30, Days60, Days90, Older int64
		GivenUp                               int64
	}
	err := tx.NewRaw(`SELECT account_id, account, currency, coalesce(sum(open) FILTER (WHERE asked AND days < 0), 0)::bigint AS not_due,
			coalesce(sum(open) FILTER (WHERE asked AND days >= 0 AND days < 30), 0)::bigint AS days30, coalesce(sum(open) FILTER (WHERE asked AND days >= 30 AND days < 60), 0)::bigint AS days60,
			coalesce(sum(open) FILTER (WHERE asked AND days >= 60 AND days < 90), 0)::bigint AS days90, coalesce(sum(open) FILTER (WHERE asked AND days >= 90), 0)::bigint AS older,
			coalesce(sum(open) FILTER (WHERE NOT asked), 0)::bigint AS given_up
		FROM (SELECT i.account_id, a.name AS account, i.currency, i.state = 'open' AS asked, i.total_minor - i.paid_minor - i.credited_minor AS open, extract(epoch FROM ?::timestamptz - i.due_at) / 86400 AS days
			FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE i.kind = 'invoice' AND i.state IN ('open', 'uncollectible') AND i.total_minor > i.paid_minor + i.credited_minor) o
		GROUP BY 1, 2, 3 ORDER BY sum(open) DESC, 2, 1`, tx.Now()).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read what is owed: %w", err)
	}
	all := make([]Owing, len(rows))
	for i, r := range rows {
		m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: r.Currency} }
		all[i] = Owing{AccountID: r.AccountID, Account: r.Account, GivenUp: m(r.GivenUp),
			Aged: billing.Aged{Currency: r.Currency, NotDue: m(r.NotDue), Days30: m(r.Days30), Days60: m(r.Days60), Days90: m(r.Days90), Older: m(r.Older)}}
	}
	return all, nil
}
