package renewal

import (
	"context"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// ProForma is the pro-forma invoice of a subscription's next renewal, by the rules and the
// tax of today; nothing is kept. Fault: subscription.no_renewal.
func ProForma(ctx context.Context, tx *tenancy.Tx, s Subscription) (document.Document, error) {
	p, err := PolicyOf(ctx, tx)
	if err != nil {
		return document.Document{}, err
	}
	if s.State == Paused { // as it will be when it continues by itself
		s = s.continued(s.Pause.Until)
	}
	var next []Foreseen
	if s.Runs() {
		coming, err := comingPrices(ctx, tx, s.AccountID, []Subscription{s})
		if err != nil {
			return document.Document{}, err
		}
		if next, err = s.foreseen(p, coming, 1); err != nil {
			return document.Document{}, err
		}
	}
	if len(next) == 0 {
		return document.Document{}, fault.New(fault.Conflict, "subscription.no_renewal", "This subscription is not renewed: there is nothing to be invoiced.")
	}
	return invoicing.ProForma(ctx, tx, invoicing.Draft{Key: "pro_forma", AccountID: s.AccountID, Currency: s.Amount.Currency, Lines: next[0].Lines})
}
