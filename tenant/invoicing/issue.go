package invoicing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/recognition"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Draft is what an invoice is to say.
type Draft struct {
	Key       string // natural key: order/<id>, renewal/<subscription>/<period>
	AccountID uuid.UUID
	Currency  string
	Lines     []billing.Line // net where it is not quantity of unit; tax is set here, by Tax.Class
	DueAt     time.Time      // zero: after the shop's usual term
	CollectAt time.Time      // when somebody begins to collect it; zero: nobody does
	OnTerms   bool           // the account's days to pay count, where they give it longer
	TermDays  int            // so many days to pay are named; 0: those that made it due, if any did
}

// Issue makes an invoice final, now: it takes the next number, taxes the lines by the
// customer's and the shop's country, keeps the document of both parties and posts the
// books. Of two drafts with one key the second gets the first's invoice. The customer
// is written to. Credit of the account pays it, as far as it goes, unless its customer
// spends it themselves. An invoice of which nothing is owed is paid at once. Faults: account.not_found,
// invoice.no_lines, invoice.bad_line, invoice.bad_sum, invoice.bad_due.
func Issue(ctx context.Context, tx *tenancy.Tx, d Draft) (Invoice, error) {
	all, err := IssueAll(ctx, tx, []Draft{d})
	if err != nil {
		return Invoice{}, err
	}
	return all[0], nil
}

// IssueAll is Issue for many drafts, whose numbers follow their order, at the cost of
// few statements: others wait for a number until the transaction ends. One that is
// refused refuses all.
func IssueAll(ctx context.Context, tx *tenancy.Tx, drafts []Draft) ([]Invoice, error) {
	keys := make([]string, len(drafts))
	for i, d := range drafts {
		if keys[i] = d.Key; d.Key == "" || slices.Contains(keys[:i], d.Key) {
			return nil, fmt.Errorf("an invoice needs a natural key of its own: %q", d.Key)
		}
	}
	series, err := lockSeries(ctx, tx, SeriesInvoice)
	if err != nil {
		return nil, err
	}
	// After the lock: who made one before us has committed.
	seller, err := termsOf(ctx, tx, tx.Now(), keys)
	if err != nil {
		return nil, err
	}
	series.turn(seller.Billing, tx.Now(), tx.Zone())
	var fresh []Draft
	for _, d := range drafts {
		if !slices.Contains(seller.known, d.Key) {
			fresh = append(fresh, d)
		}
	}
	made, err := issueFresh(ctx, tx, series, seller, fresh)
	if err != nil {
		return nil, err
	}
	all := make([]Invoice, len(drafts))
	for i, d := range drafts {
		if inv, ok := made[d.Key]; ok {
			all[i] = inv
		} else if all[i], err = ByKey(ctx, tx, d.Key); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// issueFresh issues drafts of which there is no invoice yet.
func issueFresh(ctx context.Context, tx *tenancy.Tx, series seriesRow, seller terms, drafts []Draft) (map[string]Invoice, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	buyers, err := buyersOf(ctx, tx, drafts)
	if err != nil {
		return nil, err
	}
	lines := make([][]billing.Line, len(drafts))
	for i, d := range drafts {
		lines[i] = d.Lines
	}
	if lines, err = seller.classes(ctx, tx, lines); err != nil {
		return nil, err
	}
	sales := make([]sale, len(drafts))
	for i, d := range drafts {
		sales[i] = sale{buyers[d.AccountID].taxed(tx.Now()), lines[i]}
	}
	if err := seller.consult(ctx, tx, sales...); err != nil {
		return nil, err
	}
	rates, err := seller.exchange(ctx, tx, drafts)
	if err != nil {
		return nil, err
	}
	made, news, docs := map[string]Invoice{}, make([]Invoice, len(drafts)), make([]issued, len(drafts))
	for i, d := range drafts {
		d.Lines = lines[i]
		if docs[i], err = d.issued(seller, buyers[d.AccountID], series, series.Next+int64(i), tx.Now()); err != nil {
			return nil, err
		}
		if err := stateTax(ctx, tx, seller, rates, &docs[i]); err != nil {
			return nil, err
		}
		made[d.Key], news[i] = docs[i].Invoice, docs[i].Invoice
	}
	if err := store(ctx, tx, book{code: SeriesInvoice, pattern: seller.Pattern(SeriesInvoice), seriesRow: series}, docs); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(docs, func(n issued) bool { return slices.ContainsFunc(n.ahead, recognition.Row.Begun) }) {
		if err := recognition.Issued(ctx, tx); err != nil {
			return nil, err
		}
	}
	if err := spendOn(ctx, tx, news, buyers); err != nil {
		return nil, err
	}
	for _, inv := range news {
		made[inv.Key] = inv
	}
	return made, announce(ctx, tx, news)
}

// issued is the document of a draft, with the number it gets.
func (d Draft) issued(seller terms, buyer buyer, series seriesRow, sequence int64, now time.Time) (issued, error) {
	d.fallDue(seller, buyer, now)
	if d.DueAt.Before(now) {
		return issued{}, fault.New(fault.Invalid, "invoice.bad_due", "An invoice is not due before it is issued.")
	}
	p, err := price(seller, buyer.taxed(now), d.Lines, now)
	if err != nil {
		return issued{}, err
	}
	if p.Net.Currency != d.Currency {
		return issued{}, fault.New(fault.Invalid, "invoice.bad_sum", "All lines of an invoice are of its currency.")
	}
	inv, err := d.invoice(p, buyer.accountName, series.number(seller.Billing, SeriesInvoice, sequence, now), now)
	if err != nil {
		return issued{}, err
	}
	doc := document.Document{
		Version: document.Version, Kind: inv.Kind, Number: inv.Number, IssuedAt: inv.IssuedAt, DueAt: inv.DueAt,
		Locale: buyer.locale, TimeZone: buyer.timeZone, Currency: inv.Currency, Seller: party(seller.Billing), Buyer: buyer.Party,
		CustomerNo: buyer.number, NetMinor: p.Net.Minor, TaxMinor: p.Tax.Minor, TotalMinor: p.Total.Minor, Footer: seller.Footer,
		BuyerRef: buyer.reference, Account: seller.account, TermDays: d.TermDays,
	}
	doc.Put(p.Lines, p.Taxes)
	n := issued{Invoice: inv, sequence: sequence, doc: doc, ledgerKey: "invoice/" + inv.ID.String(), asked: p.Asked}
	var ahead billing.Money
	n.ahead, ahead = recognition.Rows(p.Lines, inv.IssuedAt)
	n.ledger = billing.PostInvoiceAhead(p.Net, ahead, p.Tax)
	if inv.State == Open {
		n.collectAt = d.CollectAt
	}
	return n, nil
}

// fallDue says when it is due where the draft does not, or the account has longer to pay.
// Collecting it begins no sooner.
func (d *Draft) fallDue(seller terms, buyer buyer, now time.Time) {
	if d.DueAt.IsZero() {
		d.DueAt = now.AddDate(0, 0, seller.TermDays)
	}
	if !d.OnTerms {
		return
	}
	due := billing.DueAfter(d.DueAt, now, buyer.termDays, buyer.zone)
	if due.After(d.DueAt) {
		d.DueAt, d.TermDays = due, buyer.termDays
	}
	if !d.CollectAt.IsZero() && d.CollectAt.Before(d.DueAt) {
		d.CollectAt = d.DueAt
	}
}

func (d Draft) invoice(p Priced, accountName, number string, now time.Time) (Invoice, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Invoice{}, err
	}
	nothing := billing.Money{Currency: d.Currency}
	inv := Invoice{
		ID: id, Key: d.Key, Kind: document.Invoice, AccountID: d.AccountID, AccountName: accountName, State: Open, Number: number,
		Currency: d.Currency, Net: p.Net, Tax: p.Tax, Total: p.Total, Paid: nothing, ByCredit: nothing, Credited: nothing,
		IssuedAt: now.UTC(), DueAt: d.DueAt.UTC(),
	}
	if p.Total.IsZero() {
		inv.State, inv.PaidAt = Paid, inv.IssuedAt
	}
	return inv, nil
}

// announce tells everybody who waits for invoices.
func announce(ctx context.Context, tx *tenancy.Tx, all []Invoice) error {
	var revenue []tenancy.Revenue
	var events []activity.Event
	var jobs []tenancy.Queued
	for _, inv := range all {
		key := "invoice/" + inv.ID.String()
		if !inv.Net.IsZero() {
			revenue = append(revenue, tenancy.Revenue{Key: key, Kind: "invoiced", Currency: inv.Currency, Minor: inv.Net.Minor, At: inv.IssuedAt})
		}
		news := []webhook.News{{Type: webhook.InvoiceIssued, Data: data(inv)}}
		if inv.State == Paid {
			news = append(news, webhook.News{Type: webhook.InvoicePaid, Data: data(inv)})
			jobs = append(jobs, tenancy.Queued{Job: PaidJob{InvoiceID: inv.ID}, Options: tenancy.JobOptions{Key: inv.ID.String()}})
		}
		events = append(events, event{key + "/issued", inv, "invoice.issued", "Invoice " + inv.Number + " over " + inv.Total.Format("en") + " was issued.", news}.told())
		if inv.ByCredit.Minor > 0 {
			events = append(events, byCredit(inv, key+"/credit", inv.ByCredit).told())
		}
		letter := LetterJob{Letter: mail.InvoiceIssued, InvoiceID: inv.ID, Key: key + "/issued"}
		jobs = append(jobs, tenancy.Queued{Job: letter, Options: tenancy.JobOptions{Key: letter.Key}})
	}
	if err := tx.RecordRevenue(ctx, revenue...); err != nil {
		return err
	}
	if err := activity.Tell(ctx, tx, events...); err != nil {
		return err
	}
	return tx.EnqueueAll(ctx, jobs)
}
