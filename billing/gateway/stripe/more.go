package stripe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// fingerprint tells apart what is sent under one key, for Stripe refuses a key that
// comes with other words.
func fingerprint(c gateway.Customer) string {
	sum := sha256.Sum256([]byte(c.Name + "\x00" + c.Email))
	return hex.EncodeToString(sum[:6])
}

// Refund gives money of a PaymentIntent back.
func (g *Gateway) Refund(ctx context.Context, r gateway.Refund) (gateway.Refunded, error) {
	p := &stripego.RefundParams{PaymentIntent: stripego.String(r.Payment), Amount: stripego.Int64(r.Amount.Minor), Reason: stripego.String("requested_by_customer")}
	p.Context = ctx
	p.SetIdempotencyKey(g.key(r.Key))
	p.AddMetadata(metaKey, r.Key)
	if g.cfg.Account != "" && g.cfg.FeePpm > 0 {
		p.RefundApplicationFee = stripego.Bool(true) // in proportion
	}
	if r.Reason != "" {
		p.AddMetadata("reason", short(r.Reason, 400))
	}
	made, err := g.api.Refunds.New(p)
	var se *stripego.Error
	switch {
	case err == nil:
		return refundOf(made), nil
	case errors.As(err, &se) && se.HTTPStatusCode == http.StatusBadRequest && se.Code != stripego.ErrorCodeResourceMissing && se.Type != stripego.ErrorTypeIdempotency:
		return gateway.Refunded{Key: r.Key, State: gateway.Failed, Amount: r.Amount, Text: "Stripe refuses it: " + short(se.Msg, 300)}, nil
	}
	return gateway.Refunded{}, translate("refund", err)
}

// short cuts a text at a rune.
func short(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// Refunded reads a refund.
func (g *Gateway) Refunded(ctx context.Context, ref string) (gateway.Refunded, error) {
	p := &stripego.RefundParams{}
	p.Context = ctx
	r, err := g.api.Refunds.Get(ref, p)
	if err != nil {
		return gateway.Refunded{}, translate("read a refund", err)
	}
	return refundOf(r), nil
}

func refundOf(r *stripego.Refund) gateway.Refunded {
	out := gateway.Refunded{Ref: r.ID, Key: r.Metadata[metaKey], State: gateway.Processing, Amount: billing.Money{Minor: r.Amount, Currency: strings.ToUpper(string(r.Currency))}}
	if r.PaymentIntent != nil {
		out.Payment = r.PaymentIntent.ID
	}
	switch r.Status {
	case stripego.RefundStatusSucceeded:
		out.State = gateway.Succeeded
	case stripego.RefundStatusFailed, stripego.RefundStatusCanceled:
		out.State = gateway.Failed
		out.Text = "The bank sent the money back: " + strings.ReplaceAll(string(r.FailureReason), "_", " ") + "."
	}
	return out
}

// Setup makes a SetupIntent.
func (g *Gateway) Setup(ctx context.Context, key string, c gateway.Customer, _ string) (gateway.Setup, error) {
	customer, err := g.customer(ctx, c)
	if err != nil {
		return gateway.Setup{}, err
	}
	p := &stripego.SetupIntentParams{Customer: stripego.String(customer), Usage: stripego.String("off_session"), PaymentMethodTypes: stripego.StringSlice([]string{"card"})}
	p.Context = ctx
	p.SetIdempotencyKey(g.key(key))
	p.AddMetadata(metaKey, key)
	g.sign(p)
	p.AddExpand("payment_method")
	s, err := g.api.SetupIntents.New(p)
	if err != nil {
		return gateway.Setup{}, translate("begin saving a card", err)
	}
	return setupOf(s), nil
}

// SetupState reads a SetupIntent.
func (g *Gateway) SetupState(ctx context.Context, ref string) (gateway.Setup, error) {
	p := &stripego.SetupIntentParams{}
	p.Context = ctx
	p.AddExpand("payment_method")
	p.AddExpand("mandate")
	s, err := g.api.SetupIntents.Get(ref, p)
	if err != nil {
		return gateway.Setup{}, translate("read the saving of a card", err)
	}
	return setupOf(s), nil
}

func setupOf(s *stripego.SetupIntent) gateway.Setup {
	out := gateway.Setup{Ref: s.ID, Key: s.Metadata[metaKey], State: gateway.RequiresAction, ClientSecret: s.ClientSecret, Method: withMandate(methodOf(s.PaymentMethod), s.PaymentMethod, s.Mandate), Decline: declineOf(s.LastSetupError), Shop: s.Metadata[metaPart]}
	if s.Customer != nil {
		out.CustomerRef = s.Customer.ID
	}
	switch s.Status {
	case stripego.SetupIntentStatusSucceeded:
		out.State, out.Decline = gateway.Succeeded, nil
	case stripego.SetupIntentStatusProcessing:
		out.State = gateway.Processing
	case stripego.SetupIntentStatusCanceled:
		out.State = gateway.Cancelled
	}
	if a := s.NextAction; a != nil && a.RedirectToURL != nil && out.State == gateway.RequiresAction {
		out.ActionURL = a.RedirectToURL.URL
	}
	return out
}

// Forget detaches a card.
func (g *Gateway) Forget(ctx context.Context, ref string) error {
	p := &stripego.PaymentMethodDetachParams{}
	p.Context = ctx
	_, err := g.api.PaymentMethods.Detach(ref, p)
	if err == nil {
		return nil
	}
	err = translate("forget a card", err)
	if errors.Is(err, gateway.ErrNotFound) {
		return nil
	}
	q := &stripego.PaymentMethodParams{}
	q.Context = ctx
	if pm, gone := g.api.PaymentMethods.Get(ref, q); gone == nil && pm.Customer == nil {
		return nil // nobody's already
	}
	return err
}

// tolerance is how old a signature may be; Stripe signs each delivery anew.
const tolerance = 5 * time.Minute

// Event verifies a webhook with any of the account's secrets. Of a connected account's only
// those about itself are taken, and none of any connected account with the account's own
// keys: whoever may speak of one may not speak of another.
func (g *Gateway) Event(_ context.Context, header http.Header, body []byte, now time.Time) (gateway.Event, error) {
	if err := g.proves(header, body, now); err != nil {
		return gateway.Event{}, err
	}
	if accountIn(body) != g.cfg.Account {
		return gateway.Event{}, fmt.Errorf("stripe: %w: of another account", gateway.ErrSignature)
	}
	return eventOf(body)
}

// proves checks that one of the secrets signed a body just now.
func (g *Gateway) proves(header http.Header, body []byte, now time.Time) error {
	signature := header.Get("Stripe-Signature")
	at, ok := signedAt(signature)
	if age := now.Sub(at); !ok || age > tolerance || age < -tolerance {
		return fmt.Errorf("stripe: %w: signed at another time", gateway.ErrSignature)
	}
	for _, secret := range g.cfg.WebhookSecrets {
		if secret != "" && webhook.ValidatePayloadIgnoringTolerance(body, signature, secret) == nil {
			return nil
		}
	}
	return fmt.Errorf("stripe: %w", gateway.ErrSignature)
}

func signedAt(signature string) (time.Time, bool) {
	for part := range strings.SplitSeq(signature, ",") {
		if t, ok := strings.CutPrefix(part, "t="); ok {
			n, err := strconv.ParseInt(t, 10, 64)
			return time.Unix(n, 0), err == nil
		}
	}
	return time.Time{}, false
}

func eventOf(body []byte) (gateway.Event, error) {
	var e struct {
		ID   string `json:"id"`
		Type string `json:"type"`
		Data struct {
			Object struct {
				ID            string          `json:"id"`
				PaymentIntent json.RawMessage `json:"payment_intent"`
				Status        string          `json:"status"`
				PaymentMethod json.RawMessage `json:"payment_method"`
			} `json:"object"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil || e.ID == "" || len(e.ID) > 255 || len(e.Type) > 255 {
		return gateway.Event{}, fmt.Errorf("stripe: %w: not an event", gateway.ErrSignature)
	}
	out := gateway.Event{ID: e.ID, Type: e.Type, Kind: gateway.OtherEvent, Ref: e.Data.Object.ID, Body: body}
	switch {
	case aboutAccountItself(e.Type):
		out.Kind = gateway.AccountChanged
	case strings.HasPrefix(e.Type, "payment_intent."):
		out.Kind = gateway.PaymentChanged
	case strings.HasPrefix(e.Type, "refund."), strings.HasPrefix(e.Type, "charge.refund."):
		out.Kind, out.Payment = gateway.RefundChanged, idIn(e.Data.Object.PaymentIntent)
	case e.Type == "charge.refunded": // the object is the charge
		out.Kind, out.Ref, out.Payment = gateway.RefundChanged, "", idIn(e.Data.Object.PaymentIntent)
		if out.Payment == "" {
			out.Kind = gateway.OtherEvent // of a charge without a PaymentIntent, which we do not make
		}
	case strings.HasPrefix(e.Type, "charge.dispute."):
		out.Kind, out.Payment = gateway.DisputeChanged, idIn(e.Data.Object.PaymentIntent)
	case strings.HasPrefix(e.Type, "setup_intent."):
		out.Kind = gateway.SetupChanged
	case e.Type == "mandate.updated" && e.Data.Object.Status == "inactive": // its owner took it back at the bank
		out.Kind, out.Ref = gateway.MethodGone, idIn(e.Data.Object.PaymentMethod)
	case strings.HasPrefix(e.Type, "payment_method."):
		out.Kind = gateway.MethodChanged
	}
	return out, nil
}

// idIn is what an object names, by its id or in full.
func idIn(raw json.RawMessage) string {
	var full struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(raw, &full.ID) != nil {
		_ = json.Unmarshal(raw, &full) // neither: none
	}
	return full.ID
}
