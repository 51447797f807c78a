package invoicing

import (
	"context"
	"slices"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/exchange"
)

// exchange reads the rates where an invoice needs one: it is in another currency than the
// seller's country's. Most shops never ask.
func (t terms) exchange(ctx context.Context, tx *tenancy.Tx, drafts []Draft) ([]billing.ExchangeRate, error) {
	own := billing.AccountingCurrency(t.Country)
	if own == "" || !slices.ContainsFunc(drafts, func(d Draft) bool { return d.Currency != own }) {
		return nil, nil
	}
	kept, err := exchange.Of(ctx, tx)
	return kept.All(), err
}

// stateTax states an invoice's tax in the currency of the seller's country, by the last rate
// that is known. Without one the invoice is issued all the same, and its timeline warns the
// team.
func stateTax(ctx context.Context, tx *tenancy.Tx, t terms, rates []billing.ExchangeRate, n *issued) error {
	own := billing.AccountingCurrency(t.Country)
	if own == "" || own == n.Currency || n.Tax.IsZero() {
		return nil
	}
	rate, ok := billing.FindRate(rates, n.Currency, own, n.IssuedAt)
	if ok {
		return n.doc.StateTaxIn(rate)
	}
	return activity.Tell(ctx, tx, activity.Event{
		Key: "invoice/" + n.ID.String() + "/no_rate", AccountID: n.AccountID, SubjectKind: activity.Invoice, SubjectID: n.ID, Kind: "invoice.no_rate",
		Text: "Invoice " + n.Number + " does not state its tax in " + own + ": no rate of " + n.Currency + " was known. Enter one under Settings, Tax.",
	})
}
