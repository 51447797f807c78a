package invoicing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/recognition"
	"github.com/ezscale/ezscale/tenant/settings"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// CreditRequest asks for a credit note.
type CreditRequest struct {
	Key       string // natural key: credit/<what>
	InvoiceID uuid.UUID
	Amount    billing.Money // with tax; zero, and no lines: all that is left
	Lines     []CreditLine  // instead of an amount
	Reason    string
	// CreditBack gives what the account's credit had paid back to it: of an invoice that was
	// never to be paid.
	CreditBack bool
	// Settles has what waits for the payment go on where nothing is owed any more because of
	// it: PaidJob follows, or ForgivenJob where nothing was paid. What takes an invoice back,
	// or goes ahead of a refund, sets nothing going.
	Settles bool

	positions []int // the lines of CreditPart
}

// CreditLine is part of a line of the invoice, without tax.
type CreditLine struct {
	Position int // from 1
	Net      billing.Money
}

// Credit issues a credit note for an invoice or a part of it. It gives no money back:
// that is a refund. However an invoice is credited in pieces, the pieces never come to
// more than the invoice, tax by tax. Of two requests with one key the second gets the
// first's note. Faults: invoice.not_found, invoice.not_creditable, invoice.bad_credit,
// invoice.credited_before, invoice.credit_too_much.
func Credit(ctx context.Context, tx *tenancy.Tx, r CreditRequest) (Invoice, error) {
	if r.Key == "" {
		return Invoice{}, fmt.Errorf("a credit note needs a natural key")
	}
	inv, err := lock(ctx, tx, r.InvoiceID)
	if err != nil {
		return Invoice{}, err
	}
	if known, err := ByKey(ctx, tx, r.Key); err == nil || !fault.Is(err, "invoice.not_found") {
		return known, err
	}
	if inv.Kind != document.Invoice || inv.State == drafted {
		return Invoice{}, fault.New(fault.Conflict, "invoice.not_creditable", "Only an invoice that was issued can be credited.")
	}
	original, err := Stored(ctx, tx, inv.ID)
	if err != nil {
		return Invoice{}, err
	}
	left, err := leftOf(ctx, tx, inv, original)
	if err != nil {
		return Invoice{}, err
	}
	lines, sums, err := r.divide(original, left, inv.Credited.IsZero())
	if err != nil {
		return Invoice{}, err
	}
	note, err := r.issue(ctx, tx, inv, original, lines, sums)
	if err != nil {
		return Invoice{}, err
	}
	if inv.Credited, err = inv.Credited.Add(note.Total); err != nil {
		return Invoice{}, err
	}
	if r.CreditBack && inv.ByCredit.Minor > 0 {
		back := inv.ByCredit
		if r.positions != nil { // it goes on paying the rest
			back.Minor = min(back.Minor, max(0, -inv.Due().Minor))
		}
		if back.Minor > 0 {
			if inv, err = backToCredit(ctx, tx, inv, back, ""); err != nil {
				return Invoice{}, err
			}
		}
	}
	owed := inv.State
	if inv, _, err = settle(ctx, tx, inv, tx.Now()); err != nil {
		return Invoice{}, err
	}
	if err := r.follow(ctx, tx, inv, note, owed); err != nil {
		return Invoice{}, err
	}
	return note, tellOfCredit(ctx, tx, inv, note)
}

// follow has go on what waited for an invoice that was in a state before it was credited.
func (r CreditRequest) follow(ctx context.Context, tx *tenancy.Tx, inv, note Invoice, was State) (err error) {
	once := tenancy.JobOptions{Key: inv.ID.String() + "/" + note.ID.String()}
	switch {
	case r.positions != nil && inv.State != Open, r.Settles && inv.State == Paid && was != Paid:
		_, err = tx.Enqueue(ctx, PaidJob{InvoiceID: inv.ID}, once)
	case r.Settles && inv.State == Void && was != Void:
		_, err = tx.Enqueue(ctx, ForgivenJob{InvoiceID: inv.ID}, once)
	}
	return err
}

// leftOf is what of an invoice was not credited yet, tax by tax.
func leftOf(ctx context.Context, tx *tenancy.Tx, inv Invoice, original document.Document) ([]billing.TaxSum, error) {
	left := original.Sums()
	if inv.Credited.IsZero() {
		return left, nil
	}
	var texts []string
	err := tx.NewRaw("SELECT document::text FROM invoices WHERE account_id = ? AND corrects_id = ?", inv.AccountID, inv.ID).Scan(ctx, &texts)
	if err != nil {
		return nil, fmt.Errorf("read the credit notes of %s: %w", inv.Number, err)
	}
	for _, text := range texts {
		var d document.Document
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			return nil, fmt.Errorf("read the credit notes of %s: %w", inv.Number, err)
		}
		for _, s := range d.Sums() {
			i := slices.IndexFunc(left, func(l billing.TaxSum) bool { return l.Rule == s.Rule })
			if i < 0 {
				return nil, fmt.Errorf("credit note %s has a tax that %s has not", d.Number, inv.Number)
			}
			left[i].Net.Minor -= s.Net.Minor
			left[i].Tax.Minor -= s.Tax.Minor
		}
	}
	return left, nil
}

// divide says what is credited: the lines of the note and their sums.
func (r CreditRequest) divide(original document.Document, left []billing.TaxSum, untouched bool) ([]billing.Line, []billing.TaxSum, error) {
	whole := billing.Money{Currency: original.Currency}
	for _, s := range left {
		whole.Minor += s.Net.Minor + s.Tax.Minor
	}
	switch {
	case whole.Minor <= 0:
		return nil, nil, fault.New(fault.Conflict, "invoice.credited_before", "Nothing of this invoice is left to credit.")
	case r.positions != nil:
		return r.part(original, left)
	case len(r.Lines) > 0:
		return r.byLines(original, left)
	case r.Amount == (billing.Money{}):
		r.Amount = whole
	case r.Amount.Currency != whole.Currency:
		return nil, nil, fault.Field("amount", "invoice.bad_credit", "Give an amount in "+whole.Currency+".")
	case r.Amount.Minor <= 0:
		return nil, nil, fault.Field("amount", "invoice.bad_credit", "Give an amount of more than nothing.")
	case r.Amount.Minor > whole.Minor:
		return nil, nil, fault.Field("amount", "invoice.credit_too_much", "At most "+whole.Format(original.Locale)+" are left to credit.")
	}
	if untouched && r.Amount == whole {
		return original.PricedLines(), left, nil
	}
	sums, err := billing.Credit(left, r.Amount)
	if err != nil {
		return nil, nil, fmt.Errorf("divide the credit: %w", err)
	}
	lines, kept := adjusted(original, sums)
	return lines, kept, nil
}

// adjusted are the lines of a note that names none of the invoice's, and the sums that are
// something.
func adjusted(original document.Document, sums []billing.TaxSum) (lines []billing.Line, kept []billing.TaxSum) {
	for _, s := range sums {
		if s.Net.IsZero() && s.Tax.IsZero() {
			continue
		}
		kept = append(kept, s)
		lines = append(lines, billing.Line{Kind: "adjustment", Description: "Credit for invoice " + original.Number, Quantity: 1, Unit: s.Net, Net: s.Net, Tax: s.Rule})
	}
	return lines, kept
}

// byLines credits parts of lines, and of each tax the share that their net has of what
// is left of its net.
func (r CreditRequest) byLines(original document.Document, left []billing.TaxSum) ([]billing.Line, []billing.TaxSum, error) {
	all, lines, net := original.PricedLines(), []billing.Line(nil), map[billing.TaxRule]int64{}
	for _, c := range r.Lines {
		if c.Position < 1 || c.Position > len(all) || c.Net.Currency != original.Currency || c.Net.Minor <= 0 || c.Net.Minor > all[c.Position-1].Net.Minor {
			return nil, nil, fault.Field("lines", "invoice.bad_credit", "Give lines of the invoice, each with an amount from nothing to its own.")
		}
		l := all[c.Position-1]
		if c.Net != l.Net {
			l.Quantity, l.Unit, l.Net = 1, c.Net, c.Net
		}
		lines = append(lines, l)
		net[l.Tax] += c.Net.Minor
	}
	var sums []billing.TaxSum
	for _, s := range left {
		n := net[s.Rule]
		switch {
		case n == 0:
			continue
		case n > s.Net.Minor:
			return nil, nil, fault.Field("lines", "invoice.credit_too_much", "At most "+s.Net.Format(original.Locale)+" net are left to credit of these lines.")
		}
		tax, err := s.Tax.Ratio(n, s.Net.Minor)
		if err != nil {
			return nil, nil, fmt.Errorf("divide the credit: %w", err)
		}
		sums = append(sums, billing.TaxSum{Rule: s.Rule, Net: billing.Money{Minor: n, Currency: original.Currency}, Tax: tax})
	}
	return lines, sums, nil
}

// nets are what is credited of each line; nil: lines are not named.
func (r CreditRequest) nets(original document.Document) map[int]int64 {
	if len(r.Lines) == 0 && r.positions == nil {
		return nil
	}
	of := map[int]int64{}
	for _, p := range r.positions {
		of[p] = original.PricedLines()[p-1].Net.Minor
	}
	for _, l := range r.Lines {
		of[l.Position] += l.Net.Minor
	}
	return of
}

// issue keeps the note.
func (r CreditRequest) issue(ctx context.Context, tx *tenancy.Tx, inv Invoice, original document.Document, lines []billing.Line, sums []billing.TaxSum) (Invoice, error) {
	series, err := lockSeries(ctx, tx, SeriesCreditNote)
	if err != nil {
		return Invoice{}, err
	}
	seller, err := settings.BillingOf(ctx, tx)
	if err != nil {
		return Invoice{}, err
	}
	series.turn(seller, tx.Now(), tx.Zone())
	id, err := uuid.NewV7()
	if err != nil {
		return Invoice{}, err
	}
	nothing := billing.Money{Currency: inv.Currency}
	net, tax := nothing, nothing
	for _, s := range sums {
		net.Minor += s.Net.Minor
		tax.Minor += s.Tax.Minor
	}
	note := Invoice{
		ID: id, Key: r.Key, Kind: document.CreditNote, CorrectsID: inv.ID, AccountID: inv.AccountID, AccountName: inv.AccountName, State: Paid,
		Number: series.number(seller, SeriesCreditNote, series.Next, tx.Now()), Currency: inv.Currency, Net: net, Tax: tax,
		Total: billing.Money{Minor: net.Minor + tax.Minor, Currency: inv.Currency}, Paid: nothing, Credited: nothing, IssuedAt: tx.Now(), PaidAt: tx.Now(),
	}
	// Both parties as they stood on the invoice: a correction is between the same two.
	doc := original
	doc.Version, doc.Kind, doc.Number, doc.Corrects = document.Version, document.CreditNote, note.Number, &document.Reference{Number: inv.Number, IssuedAt: inv.IssuedAt}
	doc.Reason, doc.IssuedAt, doc.DueAt = clean(r.Reason), note.IssuedAt, note.IssuedAt
	doc.NetMinor, doc.TaxMinor, doc.TotalMinor = net.Minor, tax.Minor, note.Total.Minor
	doc.Put(lines, sums)
	if t := original.TaxIn; t != nil { // at the invoice's own rate, so that both come to nothing
		if err := doc.StateTaxIn(billing.ExchangeRate{From: doc.Currency, Into: t.Currency, Value: t.Rate, Day: t.RateDay, Source: t.Source}); err != nil {
			return Invoice{}, err
		}
	}
	ahead, err := recognition.Credit(ctx, tx, recognition.Credited{
		InvoiceID: inv.ID, NoteID: id, Net: net, Lines: r.nets(original), Whole: inv.Credited.Minor+note.Total.Minor == inv.Total.Minor,
	})
	if err != nil {
		return Invoice{}, err
	}
	n := issued{Invoice: note, sequence: series.Next, doc: doc, ledger: billing.PostCreditAhead(net, ahead, tax), ledgerKey: "credit/" + id.String()}
	return note, store(ctx, tx, book{code: SeriesCreditNote, pattern: seller.Pattern(SeriesCreditNote), seriesRow: series}, []issued{n})
}

func tellOfCredit(ctx context.Context, tx *tenancy.Tx, inv, note Invoice) error {
	key := "credit/" + note.ID.String()
	if !note.Net.IsZero() {
		err := tx.RecordRevenue(ctx, tenancy.Revenue{Key: key, Kind: "credited", Currency: note.Currency, Minor: note.Net.Minor, At: note.IssuedAt})
		if err != nil {
			return err
		}
	}
	text := note.Total.Format("en") + " of invoice " + inv.Number + " were credited by " + note.Number + "."
	told := data(inv)
	told.CreditNote = &webhook.CreditData{ID: note.ID, Number: note.Number, Total: webhook.AmountOf(note.Total)}
	if err := tell(ctx, tx, event{key, inv, "invoice.credited", text, []webhook.News{{Type: webhook.InvoiceCredited, Data: told}}}); err != nil {
		return err
	}
	return enqueueLetter(ctx, tx, LetterJob{Letter: mail.CreditNote, InvoiceID: note.ID, Key: key + "/issued"})
}

// CreditByHand is Credit as a change of its own, made by a person. It Settles: who is
// forgiven what they owe is not turned off for it.
func CreditByHand(ctx context.Context, db *tenancy.DB, r CreditRequest, by audit.Origin) (note Invoice, err error) {
	r.Settles = true
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, err := lock(ctx, tx, r.InvoiceID); err != nil {
			return err
		}
		if known, err := ByKey(ctx, tx, r.Key); err == nil || !fault.Is(err, "invoice.not_found") {
			note = known
			return err
		}
		if note, err = Credit(ctx, tx, r); err != nil {
			return err
		}
		return by.Record(ctx, tx, "invoice.credited", audit.Target{Kind: "invoice", ID: r.InvoiceID.String()},
			map[string]any{"credit_note": note.Number, "amount": note.Total.String(), "reason": clean(r.Reason)})
	})
	return note, err
}
