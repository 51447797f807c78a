package paypal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
)

// Event has PayPal say whether a notification is its own and the shop's. What cannot be
// is refused without asking.
func (g *Gateway) Event(ctx context.Context, header http.Header, body []byte, _ time.Time) (gateway.Event, error) {
	forged := func(why string) (gateway.Event, error) {
		return gateway.Event{}, fmt.Errorf("paypal: %w: %s", gateway.ErrSignature, why)
	}
	if g.cfg.WebhookID == "" {
		return forged("no webhook is set up")
	}
	ask := map[string]string{"webhook_id": g.cfg.WebhookID}
	for field, name := range map[string]string{
		"auth_algo": "Paypal-Auth-Algo", "cert_url": "Paypal-Cert-Url", "transmission_id": "Paypal-Transmission-Id",
		"transmission_sig": "Paypal-Transmission-Sig", "transmission_time": "Paypal-Transmission-Time",
	} {
		if ask[field] = header.Get(name); ask[field] == "" || len(ask[field]) > 500 {
			return forged("it is not signed")
		}
	}
	if !g.ours(ask["cert_url"]) {
		return forged("its certificate is not PayPal's")
	}
	e, ok := eventOf(body)
	if !ok {
		return forged("it is not an event")
	}
	proof, err := json.Marshal(ask)
	if err != nil {
		return gateway.Event{}, err
	}
	// The event is sent on as it came: written anew its signature would not hold.
	proof = append(append(append(bytes.TrimSuffix(proof, []byte("}")), `,"webhook_event":`...), body...), '}')
	var said struct {
		Status string `json:"verification_status"`
	}
	if err := g.call(ctx, request{method: http.MethodPost, path: "/v1/notifications/verify-webhook-signature", body: json.RawMessage(proof)}, &said); err != nil {
		err = translate("verify a notification", err)
		if status := statusOf(err); status >= 400 && status < 429 && status != http.StatusUnauthorized && status != http.StatusForbidden {
			return forged("PayPal cannot read it") // what it cannot read it did not sign
		}
		return gateway.Event{}, err
	}
	if said.Status != "SUCCESS" {
		return forged("PayPal says it is not its own")
	}
	return e, nil
}

// ours reports whether an address is PayPal's, or that of the simulator in its place.
func (g *Gateway) ours(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return false
	}
	if u.Scheme == "https" && (u.Hostname() == "paypal.com" || strings.HasSuffix(u.Hostname(), ".paypal.com")) {
		return true
	}
	base, err := url.Parse(g.base)
	return err == nil && u.Scheme == base.Scheme && u.Host == base.Host
}

func eventOf(body []byte) (gateway.Event, bool) {
	var e struct {
		ID       string `json:"id"`
		Type     string `json:"event_type"`
		Resource struct {
			ID      string `json:"id"`
			Dispute string `json:"dispute_id"`
			Data    struct {
				Related struct {
					Order string `json:"order_id"`
				} `json:"related_ids"`
			} `json:"supplementary_data"`
			Meta struct {
				Order string `json:"order_id"`
			} `json:"metadata"`
		} `json:"resource"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.ID == "" || len(e.ID) > 255 || len(e.Type) > 255 {
		return gateway.Event{}, false
	}
	out := gateway.Event{ID: e.ID, Type: e.Type, Kind: gateway.OtherEvent, Ref: e.Resource.ID, Body: body}
	switch {
	case strings.HasPrefix(e.Type, "CHECKOUT.ORDER."):
		out.Kind = gateway.PaymentChanged
	// A reversal is the money of a dispute, which tells of itself.
	case strings.HasPrefix(e.Type, "PAYMENT.CAPTURE.") && e.Type != "PAYMENT.CAPTURE.REFUNDED" && e.Type != "PAYMENT.CAPTURE.REVERSED":
		out.Kind, out.Ref = gateway.PaymentChanged, e.Resource.Data.Related.Order
	case e.Type == "PAYMENT.CAPTURE.REFUNDED", strings.HasPrefix(e.Type, "PAYMENT.REFUND."):
		out.Kind = gateway.RefundChanged
	case strings.HasPrefix(e.Type, "CUSTOMER.DISPUTE."):
		out.Kind, out.Ref = gateway.DisputeChanged, e.Resource.Dispute
	case e.Type == "VAULT.PAYMENT-TOKEN.CREATED": // of an order with which it was kept
		out.Kind, out.Ref = gateway.PaymentChanged, e.Resource.Meta.Order
	case e.Type == "VAULT.PAYMENT-TOKEN.DELETED":
		out.Kind = gateway.MethodGone
	}
	if out.Ref == "" {
		out.Kind = gateway.OtherEvent
	}
	return out, true
}
