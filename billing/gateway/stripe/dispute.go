package stripe

import (
	"context"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// RefundsOf lists the refunds of a PaymentIntent.
func (g *Gateway) RefundsOf(ctx context.Context, paymentRef string) ([]gateway.Refunded, error) {
	p := &stripego.RefundListParams{PaymentIntent: stripego.String(paymentRef)}
	p.Context = ctx
	p.Limit = stripego.Int64(100)
	var all []gateway.Refunded
	list := g.api.Refunds.List(p)
	for list.Next() {
		all = append(all, refundOf(list.Refund()))
	}
	if err := list.Err(); err != nil {
		return nil, translate("list refunds", err)
	}
	return all, nil
}

// Dispute reads a dispute.
func (g *Gateway) Dispute(ctx context.Context, ref string) (gateway.Dispute, error) {
	p := &stripego.DisputeParams{}
	p.Context = ctx
	d, err := g.api.Disputes.Get(ref, p)
	if err != nil {
		return gateway.Dispute{}, translate("read a dispute", err)
	}
	return disputeOf(d), nil
}

func disputeOf(d *stripego.Dispute) gateway.Dispute {
	currency := strings.ToUpper(string(d.Currency))
	out := gateway.Dispute{
		Ref: d.ID, State: gateway.UnderReview, Reason: string(d.Reason), Amount: billing.Money{Minor: d.Amount, Currency: currency},
		Withdrawn: billing.Money{Currency: currency}, Moves: len(d.BalanceTransactions), OpenedAt: time.Unix(d.Created, 0).UTC(),
	}
	if d.PaymentIntent != nil {
		out.Payment = d.PaymentIntent.ID
	}
	switch d.Status {
	case stripego.DisputeStatusWarningNeedsResponse, stripego.DisputeStatusWarningUnderReview, stripego.DisputeStatusWarningClosed:
		out.Inquiry = true
	}
	switch d.Status {
	case stripego.DisputeStatusNeedsResponse, stripego.DisputeStatusWarningNeedsResponse:
		out.State = gateway.NeedsResponse
	case stripego.DisputeStatusWon, stripego.DisputeStatusWarningClosed:
		out.State = gateway.Won
	case stripego.DisputeStatusLost:
		out.State = gateway.Lost
	}
	if e := d.EvidenceDetails; e != nil && e.DueBy > 0 && out.State == gateway.NeedsResponse {
		out.EvidenceBy = time.Unix(e.DueBy, 0).UTC()
	}
	out.Withdrawn.Minor = withdrawn(d)
	return out
}

// withdrawn is what the dispute took and did not give back, in the payment's currency.
// An account that is kept in another currency is told in that one: then it is all or
// nothing. What Stripe takes for its trouble is not in it.
func withdrawn(d *stripego.Dispute) (minor int64) {
	same := true
	for _, b := range d.BalanceTransactions {
		minor -= b.Amount
		same = same && b.Currency == d.Currency
	}
	switch {
	case minor <= 0:
		return 0
	case !same:
		return d.Amount
	}
	return minor
}
