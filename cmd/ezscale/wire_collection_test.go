package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/settings"
)

var tester = audit.Origin{Actor: audit.System("test")}

// collecting is the program's own wiring of a shop whose cards the platform takes.
type collecting struct {
	*tenancytest.World
	t       *testing.T
	app     *app
	lab     *stripelab.Lab
	url     string
	desk    *wholesale.Desk
	pay     *payment.Desk
	db      *tenancy.DB
	account uuid.UUID
	hooks   []hooked
}

type hooked struct {
	header http.Header
	body   []byte
}

func openCollecting(t *testing.T) *collecting {
	t.Helper()
	w, ctx := tenancytest.New(t), t.Context()
	c := &collecting{World: w, t: t, lab: stripelab.New(stripelab.Options{Clock: w.Clock.Now}), account: uuid.New()}
	const secret, public = "sk_test_platform", "pk_test_platform"
	c.lab.AddAccount(secret, public)
	srv := httptest.NewServer(c.lab.Handler())
	t.Cleanup(srv.Close)
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.hooks = append(c.hooks, hooked{r.Header.Clone(), body})
	}))
	t.Cleanup(in.Close)
	c.url = srv.URL
	owner, err := stripe.New(stripe.Config{SecretKey: secret, PublishableKey: public, APIURL: c.url})
	must(t, err)
	sign, err := owner.Listen(ctx, in.URL)
	must(t, err)
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	cfg := new(serveConfig)
	cfg.Payments = paymentsConfig{Secret: secret, Publishable: public, Webhook: sign, StripeAPI: c.url, StripeJS: c.url + "/v3/"}
	cfg.Hosts.Partner = "partners.localhost"
	c.app = &app{cfg: cfg, ring: ring, central: w.Central, pool: w.Pool, clock: w.Clock.Now, log: slog.New(slog.DiscardHandler),
		resolver: tenancy.NewResolver(tenancy.ResolverConfig{Directory: reseller.NewDirectory(w.Central, "localhost"), Log: slog.New(slog.DiscardHandler)})}
	must(t, c.app.resolver.Refresh(ctx))
	c.app.taker, err = newTaker(cfg.Payments)
	must(t, err)
	c.desk, c.pay, c.db = c.app.wholesaleDesk(), c.app.connecting(c.app.payments()), w.DB(w.A)
	from := w.Clock.Now().AddDate(0, -2, 1-w.Clock.Now().Day()).Truncate(24 * time.Hour)
	must(t, c.desk.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "0", Percent: "0", From: from}, tester))
	for _, of := range []tenancy.Tenant{w.A, w.B} {
		must(t, c.desk.SetTerms(ctx, of.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: from}, tester))
	}
	b := settings.DefaultBilling()
	b.Company, b.Line1, b.Postcode, b.City, b.Country = "Alpha GmbH", "Hauptstr. 1", "10115", "Berlin", "DE"
	must(t, settings.SaveBilling(ctx, c.db, b, tester))
	must(t, c.db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at, country, billing) VALUES (?, 'Ida Berg', 'EUR', now(), now(), 'DE', ?::jsonb)`,
			c.account, `{"name": "Ida Berg", "line1": "Way 1", "city": "Town", "email": "ida@example.com"}`).Exec(ctx)
		return err
	}))
	return c
}

// issue makes an invoice over 119.00.
func (c *collecting) issue(key string) (inv invoicing.Invoice) {
	c.t.Helper()
	must(c.t, c.db.Update(c.t.Context(), func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(c.t.Context(), tx, invoicing.Draft{Key: key, AccountID: c.account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: 10_000, Currency: "EUR"}}}})
		return err
	}))
	return inv
}

// hear has the platform receive what Stripe tells, each ten times, and does the jobs of both
// planes.
func (c *collecting) hear() {
	c.t.Helper()
	ctx := c.t.Context()
	c.lab.Deliver(ctx)
	all := c.hooks
	c.hooks = nil
	slices.Reverse(all)
	for _, h := range slices.Repeat(all, 10) {
		must(c.t, c.desk.Receive(ctx, stripe.Code, h.header, h.body))
	}
	each := func(kind string, do func(id string) error) {
		rows, err := c.Owner.Query(ctx, "SELECT args->>'id' FROM river.river_job WHERE kind = $1 ORDER BY id", kind)
		must(c.t, err)
		var ids []string
		for rows.Next() {
			var id string
			must(c.t, rows.Scan(&id))
			ids = append(ids, id)
		}
		must(c.t, rows.Err())
		for _, id := range ids {
			must(c.t, do(id))
		}
	}
	each("wholesale.event", func(id string) error {
		return c.desk.HandleEvent(ctx, wholesale.EventJob{Gateway: stripe.Code, ID: id})
	})
	each("payment.event", func(id string) error {
		return c.pay.HandleEvent(ctx, c.db, payment.EventJob{Gateway: payment.Platform, ID: id})
	})
}

func (c *collecting) balance(want int64) {
	c.t.Helper()
	x, err := c.desk.Collection(c.t.Context(), c.A.ID)
	must(c.t, err)
	wrong, err := c.desk.Books(c.t.Context())
	must(c.t, err)
	if x.Balance.Minor != want || len(wrong) > 0 {
		c.t.Errorf("the balance is %s, want %d; %v", x.Balance, want, wrong)
	}
}

// TestThePlatformCollectsForAShop goes from staff's terms to the reseller's balance, with
// everything as the program wires it: the shop's page, a renewal whose answer is lost and
// of which the platform's notification tells first, a dispute, and the end of it.
func TestThePlatformCollectsForAShop(t *testing.T) {
	c := openCollecting(t)
	ctx := t.Context()
	if err := c.pay.BeginCollection(ctx, c.db, tester); err == nil {
		t.Error("nobody has agreed to it")
	}
	must(t, c.desk.SetCollectionTerms(ctx, c.A.ID, wholesale.NewCollectionTerms{Allowed: true, Percent: "2.9", Fixed: "0.25", HoldDays: "7"}, tester))
	must(t, c.pay.BeginCollection(ctx, c.db, tester))
	c.Clock.Advance(time.Second)
	inv := c.issue("one")
	p, gp, err := c.pay.Begin(ctx, c.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: payment.Platform, Save: true, OnSession: true, ReturnURL: "https://shop.example/client/payments/{payment}"})
	must(t, err)
	id, _, _ := strings.Cut(gp.ClientSecret, "_secret_")
	res, err := http.PostForm(c.url+"/v1/payment_intents/"+id+"/confirm", url.Values{
		"key": {"pk_test_platform"}, "client_secret": {gp.ClientSecret}, "return_url": {"https://shop.example/back"}, "payment_method_data[type]": {"card"},
		"payment_method_data[card][number]": {"4242424242424242"}, "payment_method_data[card][exp_month]": {"12"}, "payment_method_data[card][exp_year]": {"34"}, "payment_method_data[card][cvc]": {"123"},
	})
	must(t, err)
	_ = res.Body.Close()
	if p, _, err = c.pay.Refresh(ctx, c.db, p.ID); err != nil || p.State != gateway.Succeeded {
		t.Fatalf("%+v %v", p, err)
	}
	c.balance(0) // the process died before it looked
	must(t, c.desk.BookCollected(ctx))
	const net = 11900 - 370
	c.balance(net)
	c.hear()
	c.balance(net)
	renewal := c.issue("two")
	c.lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if err := c.pay.Charge(ctx, c.db, payment.ChargeJob{InvoiceID: renewal.ID, Try: 1}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("the answer is lost: %v", err)
	}
	c.lab.SetFaults(stripelab.Faults{})
	for range 2 {
		c.hear()
		must(t, c.pay.Charge(ctx, c.db, payment.ChargeJob{InvoiceID: renewal.ID, Try: 1}))
		must(t, c.desk.BookCollected(ctx))
	}
	c.balance(2 * net)
	if taken, n := c.lab.Taken("sk_test_platform"); n != 2 || taken["eur"] != 23800 {
		t.Errorf("Stripe took %v in %d", taken, n)
	}
	var state string
	must(t, c.Owner.QueryRow(ctx, "SELECT state FROM "+c.A.ID.Schema()+".invoices WHERE id = $1", renewal.ID).Scan(&state))
	if state != "paid" {
		t.Errorf("the renewal is %s", state)
	}
	_, err = c.lab.Dispute(p.Ref, 5000, "fraudulent", c.Clock.Now().AddDate(0, 0, 9), false)
	must(t, err)
	c.hear()
	c.balance(2*net - 5000)
	var disputed int
	must(t, c.Owner.QueryRow(ctx, "SELECT count(*) FROM "+c.A.ID.Schema()+".payments WHERE disputes IS NOT NULL").Scan(&disputed))
	if disputed != 1 {
		t.Error("the shop was not told of the dispute")
	}
	other, err := c.desk.Collection(ctx, c.B.ID)
	if err != nil || other.Balance.Minor != 0 || other.Ever {
		t.Errorf("the other reseller: %+v %v", other, err)
	}
	must(t, c.desk.SetCollectionTerms(ctx, c.A.ID, wholesale.NewCollectionTerms{Percent: "2.9", Fixed: "0.25", HoldDays: "7"}, tester))
	must(t, c.app.endCollection(ctx, wholesale.EndCollectionJob{Tenant: c.A.ID}))
	must(t, c.Owner.QueryRow(ctx, "SELECT state FROM "+c.A.ID.Schema()+".gateways WHERE code = 'platform'").Scan(&state))
	if state != "off" {
		t.Errorf("it is %s after staff took it back", state)
	}
}
