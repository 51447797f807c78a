package paypal

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/ezscale/ezscale/billing/gateway"
)

type refundAsk struct {
	Amount   money  `json:"amount"`
	CustomID string `json:"custom_id"`
	Note     string `json:"note_to_payer,omitempty"`
}

// refusedRefunds are what PayPal will never do, and why.
var refusedRefunds = map[string]string{ //nolint:gochecknoglobals // a constant table
	"CAPTURE_FULLY_REFUNDED": "all of it was given back already", "REFUND_AMOUNT_EXCEEDED": "it is more than is left of the payment", "REFUND_NOT_ALLOWED": "this payment cannot be given back",
	"REFUND_TIME_LIMIT_EXCEEDED": "the payment is too old", "REFUND_FAILED_INSUFFICIENT_FUNDS": "there is not enough money on your PayPal account", "PARTIAL_REFUND_NOT_ALLOWED": "only all of it can be given back",
	"MAX_NUMBER_OF_REFUNDS_EXCEEDED": "it was given back in too many parts", "CAPTURE_DISPUTED_PARTIAL_REFUND_NOT_ALLOWED": "the payment is disputed: only all of it can be given back",
	"TRANSACTION_DISPUTED": "the payment is disputed", "REFUND_AMOUNT_TOO_LOW": "it is too little", "DECIMAL_PRECISION": "only whole amounts of this currency can be given back",
}

// Refund gives money of an order's capture back.
func (g *Gateway) Refund(ctx context.Context, r gateway.Refund) (gateway.Refunded, error) {
	o, err := g.read(ctx, r.Payment)
	if err != nil {
		return gateway.Refunded{}, err
	}
	for _, made := range o.refunds() { // PayPal remembers the request for 45 days, and the refund for good
		if made.CustomID == customID(r.Key) {
			return made.refunded(o.ID), nil
		}
	}
	failed := func(issue string) gateway.Refunded {
		return gateway.Refunded{Key: r.Key, Payment: o.ID, State: gateway.Failed, Amount: r.Amount, Text: "PayPal refuses it: " + refusedRefunds[issue] + "."}
	}
	amount, fits := moneyOf(r.Amount)
	if !fits {
		return failed("DECIMAL_PRECISION"), nil
	}
	var from string
	for _, c := range o.captures() {
		if c.taken() {
			from = c.ID
		}
	}
	if from == "" {
		return failed("REFUND_NOT_ALLOWED"), nil
	}
	var made refund
	err = g.call(ctx, request{method: http.MethodPost, path: "/v2/payments/captures/" + from + "/refund", id: r.Key, body: refundAsk{amount, customID(r.Key), short(r.Reason, 250)}}, &made)
	if _, never := refusedRefunds[issueOf(err)]; never {
		return failed(issueOf(err)), nil
	}
	if err != nil {
		return gateway.Refunded{}, translate("refund", err)
	}
	made.CustomID = customID(r.Key)
	return made.refunded(o.ID), nil
}

func (o order) captures() []capture {
	if len(o.Units) == 0 {
		return nil
	}
	return o.Units[0].Payments.Captures
}

func (o order) refunds() []refund {
	if len(o.Units) == 0 {
		return nil
	}
	return o.Units[0].Payments.Refunds
}

// Refunded reads a refund, and which order it is of.
func (g *Gateway) Refunded(ctx context.Context, ref string) (gateway.Refunded, error) {
	if !isOrder(ref) {
		return gateway.Refunded{}, fmt.Errorf("paypal: read a refund: %w", gateway.ErrNotFound)
	}
	var r refund
	if err := g.call(ctx, request{method: http.MethodGet, path: "/v2/payments/refunds/" + ref}, &r); err != nil {
		return gateway.Refunded{}, translate("read a refund", err)
	}
	of, err := g.orderOf(ctx, path.Base(strings.TrimSuffix(hrefOf(r.Links, "up"), "/")))
	if err != nil {
		return gateway.Refunded{}, err
	}
	return r.refunded(of), nil
}

// orderOf is the order a capture is of; empty: PayPal does not say.
func (g *Gateway) orderOf(ctx context.Context, captured string) (string, error) {
	if !isOrder(captured) {
		return "", nil
	}
	var c capture
	if err := g.call(ctx, request{method: http.MethodGet, path: "/v2/payments/captures/" + captured}, &c); err != nil {
		return "", translate("read a capture", err)
	}
	return c.Data.Related.Order, nil
}

// RefundsOf lists the refunds of an order.
func (g *Gateway) RefundsOf(ctx context.Context, paymentRef string) ([]gateway.Refunded, error) {
	o, err := g.read(ctx, paymentRef)
	if err != nil {
		return nil, err
	}
	var all []gateway.Refunded
	for _, r := range o.refunds() {
		all = append(all, r.refunded(o.ID))
	}
	return all, nil
}

// Dispute reads a dispute, and which order it is about.
func (g *Gateway) Dispute(ctx context.Context, ref string) (gateway.Dispute, error) {
	if ref == "" || len(ref) > 255 || strings.Trim(ref, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return gateway.Dispute{}, fmt.Errorf("paypal: read a dispute: %w", gateway.ErrNotFound)
	}
	var d dispute
	if err := g.call(ctx, request{method: http.MethodGet, path: "/v1/customer/disputes/" + ref}, &d); err != nil {
		return gateway.Dispute{}, translate("read a dispute", err)
	}
	var of string
	if len(d.Transactions) > 0 {
		var err error
		if of, err = g.orderOf(ctx, d.Transactions[0].Capture); err != nil {
			return gateway.Dispute{}, err
		}
	}
	return d.dispute(of), nil
}
