package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/payment"
)

// askedCard is Stripe's test card whose bank wants to be asked at every payment.
const askedCard = "4000002760003184"

// payByCard pays an invoice as its customer does at the shop's page: the card is typed,
// the bank asks, and the card is kept for what comes.
func (h *historian) payByCard(ctx context.Context, db *tenancy.DB, invoice uuid.UUID) error {
	p, gp, err := h.Payments.Begin(ctx, db, payment.BeginRequest{InvoiceID: invoice, Gateway: stripe.Code, Save: true, OnSession: true})
	if err != nil {
		return err
	}
	intent, _, _ := strings.Cut(gp.ClientSecret, "_secret_")
	_, publishable := StripeKeys(db.Tenant().Slug)
	expires := db.Now().AddDate(3, 0, 0)
	err = h.atStripe(ctx, "/v1/payment_intents/"+intent+"/confirm", url.Values{
		"key": {publishable}, "client_secret": {gp.ClientSecret}, "payment_method_data[type]": {"card"},
		"payment_method_data[card][number]": {askedCard}, "payment_method_data[card][exp_month]": {"12"}, "payment_method_data[card][exp_year]": {expires.Format("2006")},
	})
	if err != nil {
		return err
	}
	if err := h.atStripe(ctx, "/authenticate/"+intent, url.Values{"client_secret": {gp.ClientSecret}, "answer": {"confirm"}}); err != nil {
		return err
	}
	if p, _, err = h.Payments.Refresh(ctx, db, p.ID); err == nil && p.State != gateway.Succeeded {
		err = fmt.Errorf("the card's payment is %s: %s", p.State, p.DeclineText)
	}
	return err
}

// atStripe is what a browser sends to the simulated gateway.
func (h *historian) atStripe(ctx context.Context, path string, form url.Values) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.Stripe+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := localClient().Do(req)
	if err != nil {
		return fmt.Errorf("stripe: %w", err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("stripe: %s answers %s", path, res.Status)
	}
	return nil
}
