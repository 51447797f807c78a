package wholesale

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Trial is the trial balance of the platform's books over [from, to), account by account.
func (d *Desk) Trial(ctx context.Context, from, to time.Time) ([]billing.TrialLine, error) {
	var rows []struct {
		Account, Currency      string
		Opening, Debit, Credit int64
	}
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT account, currency, coalesce(sum(debit - credit) FILTER (WHERE at < ?0), 0)::bigint AS opening,
				coalesce(sum(debit) FILTER (WHERE at >= ?0), 0)::bigint AS debit, coalesce(sum(credit) FILTER (WHERE at >= ?0), 0)::bigint AS credit
			FROM (SELECT debit AS account, currency, at, amount_minor AS debit, 0 AS credit FROM ledger_postings WHERE at < ?1
				UNION ALL SELECT credit, currency, at, 0, amount_minor FROM ledger_postings WHERE at < ?1) m GROUP BY 1, 2 ORDER BY 2, 1`, from, to).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("read the platform's trial balance: %w", err)
	}
	all := make([]billing.TrialLine, len(rows))
	for i, r := range rows {
		m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: r.Currency} }
		all[i] = billing.TrialLine{Account: r.Account, Currency: r.Currency, Opening: m(r.Opening), Debit: m(r.Debit), Credit: m(r.Credit)}
	}
	return all, nil
}

// Owing is what a reseller owes the platform.
type Owing struct {
	TenantID tenancy.ID
	Shop     string
	billing.Aged
	Credit billing.Money // of it, what they are owed: invoices of less than nothing or paid twice, as a negative amount
}

// Net is what the account of receivables says of them.
func (o Owing) Net() billing.Money {
	return billing.Money{Minor: o.Total().Minor + o.Credit.Minor, Currency: o.Currency}
}

// Aged lists what resellers owe now, by how long it has been due. What was given up is not
// in it; in all it is what stands on the account of receivables (see Books).
func (d *Desk) Aged(ctx context.Context) (all []Owing, err error) {
	var rows []struct {
		TenantID tenancy.ID
		Shop     string
		Currency string
		Open     int64
		DueAt    time.Time
	}
	var now time.Time
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		now = tx.Now()
		return tx.NewRaw(`SELECT i.tenant_id, t.name AS shop, i.currency, i.total_minor - i.paid_minor AS open, i.due_at FROM wholesale_invoices i JOIN tenants t ON t.id = i.tenant_id
			WHERE i.state <> 'uncollectible' AND i.total_minor <> i.paid_minor ORDER BY t.name, i.tenant_id, i.currency, i.due_at`).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("read what resellers owe: %w", err)
	}
	for _, r := range rows {
		if n := len(all); n == 0 || all[n-1].TenantID != r.TenantID || all[n-1].Currency != r.Currency {
			none := billing.Money{Currency: r.Currency}
			all = append(all, Owing{TenantID: r.TenantID, Shop: r.Shop, Credit: none, Aged: billing.Aged{Currency: r.Currency, NotDue: none, Days30: none, Days60: none, Days90: none, Older: none}})
		}
		o := &all[len(all)-1]
		if r.Open < 0 {
			o.Credit.Minor += r.Open
			continue
		}
		o.Add(billing.Money{Minor: r.Open, Currency: r.Currency}, r.DueAt, now)
	}
	return all, nil
}

// JournalLine is one line of the platform's journal.
type JournalLine struct {
	Key           string
	Position      int
	At            time.Time
	Debit, Credit string
	Amount        billing.Money
	Shop          string // the reseller's; empty: nobody's
	Document      string // number of the invoice or credit note behind it; empty: none
	Note          string
}

// journalPage is how many movements one statement reads.
const journalPage = 2000

// Journal tells every movement of the platform's books in [from, to) in the order of time.
// What tell returns ends it.
func (d *Desk) Journal(ctx context.Context, from, to time.Time, tell func(JournalLine) error) error {
	return d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		after, key, position := from, "", -1
		for {
			var rows []struct {
				Key, Debit, Credit, Currency, Shop, Document, Note string
				Position                                           int
				AmountMinor                                        int64
				At                                                 time.Time
			}
			err := tx.NewRaw(`WITH l AS (SELECT * FROM ledger_postings WHERE at >= ?0 AND at < ?1 AND (at, key, position) > (?2, ?3, ?4) ORDER BY at, key, position LIMIT ?5)
				SELECT l.key, l.position, l.at, l.debit, l.credit, l.amount_minor, l.currency, l.note, coalesce(t.name, '') AS shop, coalesce(i.number, n.number, x.number, y.number, '') AS document
				FROM l LEFT JOIN tenants t ON t.id = l.tenant_id LEFT JOIN wholesale_invoices i ON i.id = l.source_id LEFT JOIN wholesale_credits n ON n.id = l.source_id
				LEFT JOIN wholesale_payments p ON p.id = l.source_id LEFT JOIN wholesale_invoices x ON x.id = p.invoice_id
				LEFT JOIN wholesale_refunds r ON r.id = l.source_id LEFT JOIN wholesale_payments q ON q.id = r.payment_id LEFT JOIN wholesale_invoices y ON y.id = q.invoice_id
				ORDER BY l.at, l.key, l.position`, from, to, after, key, position, journalPage).Scan(ctx, &rows)
			if err != nil {
				return fmt.Errorf("read the platform's journal: %w", err)
			}
			for _, r := range rows {
				err := tell(JournalLine{Key: r.Key, Position: r.Position, At: r.At, Debit: r.Debit, Credit: r.Credit, Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, Shop: r.Shop, Document: r.Document, Note: r.Note})
				if err != nil {
					return err
				}
				after, key, position = r.At, r.Key, r.Position
			}
			if len(rows) < journalPage {
				return nil
			}
		}
	})
}

// AccountWords says an account of the platform's books in words.
func AccountWords(account string) string {
	kind, gateway, _ := strings.Cut(account, "/")
	words := map[string]string{
		billing.Receivable: "Owed by resellers", billing.Revenue: "Revenue, net", billing.TaxPayable: "Tax collected", billing.DisputeLosses: "Lost in disputes",
		billing.Prepaid: "Balances of resellers, owed to them", billing.PrepaidRefunds: "Balances on their way back", billing.CollectionFees: "Fees for taking payments",
		"cash": "Money received", "disputed": "Held back in disputes",
	}
	said, known := words[kind]
	switch {
	case !known:
		return account
	case gateway == "transfer":
		return said + ": bank transfer"
	case gateway == "stripe":
		return said + ": cards, by Stripe"
	case gateway != "":
		return said + ": " + gateway
	}
	return said
}
