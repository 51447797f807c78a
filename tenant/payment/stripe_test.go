package payment_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// till is a shop that takes cards with a simulated Stripe account of its own.
type till struct {
	*shop
	lab    *stripelab.Lab
	url    string
	secret string
	hooks  *[]received // what Stripe told, as it came
}

type received struct {
	header http.Header
	body   []byte
}

// newTill gives shops of one world accounts at one simulator, and an address that keeps
// what it is told.
func newTill(t *testing.T, w *tenancytest.World, lab *stripelab.Lab, base string, who tenancy.Tenant) *till {
	t.Helper()
	all := local()
	all[stripe.Code] = func(s payment.Settings) (gateway.Gateway, error) {
		return stripe.New(stripe.Config{
			SecretKey: s.Secret["secret_key"], PublishableKey: s.Public["publishable_key"], WebhookSecrets: []string{s.Secret["webhook_secret"]},
			APIURL: base, ScriptURL: base + "/v3/", Shop: s.Tenant.String(), HTTP: &http.Client{Timeout: 5 * time.Second},
		})
	}
	s := open(t, w, who, &payment.Desk{Gateways: all, Keys: newRing(t)})
	secret := "sk_test_" + who.Slug
	lab.AddAccount(secret, "pk_test_"+who.Slug)
	s.save(payment.Change{Code: stripe.Code, On: true, Public: map[string]string{"publishable_key": "pk_test_" + who.Slug}, Secret: map[string]string{"secret_key": secret}})
	told := []received{}
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told = append(told, received{r.Header.Clone(), body})
	}))
	t.Cleanup(in.Close)
	if err := s.desk.ListenTo(t.Context(), s.db, stripe.Code, in.URL, olga); err != nil {
		t.Fatal(err)
	}
	return &till{s, lab, base, secret, &told}
}

func simulator(t *testing.T, w *tenancytest.World) (*stripelab.Lab, string) {
	t.Helper()
	lab := stripelab.New(stripelab.Options{Clock: w.Clock.Now})
	srv := httptest.NewServer(lab.Handler())
	t.Cleanup(srv.Close)
	return lab, srv.URL
}

// begin starts paying with a card to be entered.
func (s *till) begin(inv uuid.UUID, save bool) (payment.Payment, gateway.Payment, error) {
	return s.desk.Begin(s.t.Context(), s.db, payment.BeginRequest{InvoiceID: inv, Gateway: stripe.Code, Save: save, OnSession: true, ReturnURL: "https://shop.example/client/payments/{payment}"})
}

// enter is what the browser's card form does.
func (s *till) enter(clientSecret, number string) {
	s.t.Helper()
	s.enterWith("pk_test_"+s.db.Tenant().Slug, clientSecret, number)
}

// enterWith is it with a publishable key.
func (s *till) enterWith(publishable, clientSecret, number string) {
	s.t.Helper()
	id, _, _ := strings.Cut(clientSecret, "_secret_")
	res, err := http.PostForm(s.url+"/v1/payment_intents/"+id+"/confirm", url.Values{
		"key": {publishable}, "client_secret": {clientSecret}, "return_url": {"https://shop.example/back"}, "payment_method_data[type]": {"card"},
		"payment_method_data[card][number]": {number}, "payment_method_data[card][exp_month]": {"12"}, "payment_method_data[card][exp_year]": {"34"}, "payment_method_data[card][cvc]": {"123"},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
}

// told is what Stripe told since the last time.
func (s *till) told() []received {
	s.t.Helper()
	s.lab.Deliver(s.t.Context())
	got := *s.hooks
	*s.hooks = nil
	return got
}

// take receives notifications and works on them.
func (s *till) take(all []received) {
	s.t.Helper()
	for _, r := range all {
		if err := s.desk.Receive(s.t.Context(), s.db, stripe.Code, r.header, r.body); err != nil {
			s.t.Fatal(err)
		}
	}
	var ids []string
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM gateway_events ORDER BY id").Scan(s.t.Context(), &ids)
	})
	for range 2 {
		for _, id := range ids {
			if err := s.desk.HandleEvent(s.t.Context(), s.db, payment.EventJob{Gateway: stripe.Code, ID: id}); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func (s *till) chargedOnce(minor int64) {
	s.t.Helper()
	if taken, n := s.lab.Taken(s.secret); n != 1 || taken["eur"] != minor {
		s.t.Errorf("Stripe took %v in %d payments", taken, n)
	}
	s.balanced()
}

func TestACardIsChargedOnceHoweverItIsTold(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	inv := s.issue("order/1")
	first, gp, err := s.begin(inv.ID, true)
	if err != nil || first.State != gateway.RequiresAction || gp.ClientSecret == "" {
		t.Fatalf("%+v %+v %v", first, gp, err)
	}
	if second, again, err := s.begin(inv.ID, true); err != nil || second.ID != first.ID || again.ClientSecret != gp.ClientSecret {
		t.Errorf("a second tab gets %+v %v", second, err)
	}
	s.enter(gp.ClientSecret, "4000000000000002") // declined: another card may follow
	if p, now, err := s.desk.Refresh(t.Context(), s.db, first.ID); err != nil || p.State != gateway.RequiresAction || now.Decline == nil || p.DeclineText == "" {
		t.Errorf("after a decline: %+v %+v %v", p, now, err)
	}
	s.enter(gp.ClientSecret, "4242424242424242")
	told := s.told()
	if len(told) < 2 {
		t.Fatalf("told %d times", len(told))
	}
	// In the wrong order, ten times over.
	for i, j := 0, len(told)-1; i < j; i, j = i+1, j-1 {
		told[i], told[j] = told[j], told[i]
	}
	for range 10 {
		s.take(told)
	}
	if got := s.invoice(inv.ID); got.State != invoicing.Paid || got.Paid != eur(1190) {
		t.Errorf("%+v", got)
	}
	if n := s.jobs("invoice.paid"); n != 1 {
		t.Errorf("%d jobs tell that it is paid", n)
	}
	s.chargedOnce(1190)
	// The browser's back button: nothing is begun any more.
	if _, _, err := s.begin(inv.ID, false); !fault.Is(err, "payment.nothing_due") {
		t.Errorf("paying again: %v", err)
	}
	// The card was kept, and pays the next invoice.
	next := s.issue("renewal/1")
	if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: next.ID, Try: 1}); err != nil {
		t.Fatal(err)
	}
	if got := s.invoice(next.ID); got.State != invoicing.Paid {
		t.Errorf("the next: %+v", got)
	}
}

// TestEverythingAtOnceChargesOnce: tabs that begin at once and confirm at once, and each
// notification ten times at once, in the order of nobody's choice.
func TestEverythingAtOnceChargesOnce(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	inv := s.issue("order/1")
	var all sync.WaitGroup
	secrets := make([]string, 6)
	for i := range secrets {
		all.Go(func() {
			_, gp, err := s.begin(inv.ID, true)
			if err != nil {
				t.Error(err)
			}
			secrets[i] = gp.ClientSecret
		})
	}
	all.Wait()
	for _, secret := range secrets {
		if secret == "" || secret != secrets[0] {
			t.Fatalf("the tabs pay %q", secrets)
		}
		all.Go(func() { s.enter(secret, "4242424242424242") })
	}
	all.Wait()
	told := s.told()
	for _, r := range told {
		for range 10 {
			all.Go(func() {
				if err := s.desk.Receive(t.Context(), s.db, stripe.Code, r.header, r.body); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	var ids []string
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM gateway_events ORDER BY id DESC").Scan(t.Context(), &ids)
	})
	if len(told) == 0 || len(ids) != len(told) {
		t.Errorf("told of %d things, kept %d", len(told), len(ids))
	}
	for _, id := range ids {
		for range 4 {
			all.Go(func() {
				if err := s.desk.HandleEvent(t.Context(), s.db, payment.EventJob{Gateway: stripe.Code, ID: id}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for range 2 { // and the customers come back to look
		all.Go(func() {
			if _, _, err := s.desk.Refresh(t.Context(), s.db, s.payments(payment.Filter{})[0].ID); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := s.invoice(inv.ID); got.State != invoicing.Paid || got.Paid != eur(1190) {
		t.Errorf("%+v", got)
	}
	if n, m := s.jobs("invoice.paid"), len(s.payments(payment.Filter{})); n != 1 || m != 1 {
		t.Errorf("%d jobs tell that it is paid, by %d payments", n, m)
	}
	s.chargedOnce(1190)
}

func TestNotificationsADayLateAndLost(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	inv := s.issue("order/1")
	p, gp, err := s.begin(inv.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	lab.SetFaults(stripelab.Faults{LoseHooks: true})
	s.enter(gp.ClientSecret, "4242424242424242")
	if told := s.told(); len(told) != 0 {
		t.Fatalf("told %d times", len(told))
	}
	lab.SetFaults(stripelab.Faults{})
	w.Clock.Advance(31 * time.Minute) // nobody tells: it is looked at
	if err := s.desk.Sweep(t.Context(), s.db, w.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	if got := s.payments(payment.Filter{}); len(got) != 1 || got[0].ID != p.ID || got[0].State != gateway.Succeeded {
		t.Errorf("%+v", got)
	}
	// A day later another payment is told of, late but signed then.
	other := s.issue("order/2")
	_, gp, err = s.begin(other.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	s.enter(gp.ClientSecret, "4242424242424242")
	w.Clock.Advance(24 * time.Hour)
	s.take(s.told())
	if got := s.invoice(other.ID); got.State != invoicing.Paid {
		t.Errorf("%+v", got)
	}
	s.balanced()
}

func TestForgedAndForeignNotifications(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	a, b := newTill(t, w, lab, base, w.A), newTill(t, w, lab, base, w.B)
	inv := a.issue("order/1")
	_, gp, err := a.begin(inv.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	a.enter(gp.ClientSecret, "4242424242424242")
	told := a.told()
	if len(told) == 0 {
		t.Fatal("nothing was told")
	}
	real := told[len(told)-1]
	receive := func(s *till, code string, header http.Header, body []byte) error {
		return s.desk.Receive(t.Context(), s.db, code, header, body)
	}
	for name, err := range map[string]error{
		"another shop's": receive(b, stripe.Code, real.header, real.body), "unsigned": receive(a, stripe.Code, http.Header{}, real.body),
		"changed":     receive(a, stripe.Code, real.header, append([]byte(" "), real.body...)),
		"self-signed": receive(a, stripe.Code, http.Header{"Stripe-Signature": {stripelab.Sign(real.body, "whsec_mine", w.Clock.Now())}}, real.body),
	} {
		if !fault.Is(err, "hook.forged") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, code := range []string{"transfer", "sandbox", "paypal", "", "\x00"} {
		if err := receive(a, code, real.header, real.body); !fault.Is(err, "hook.unknown") {
			t.Errorf("to %q: %v", code, err)
		}
	}
	if err := receive(a, stripe.Code, real.header, make([]byte, payment.MaxEvent+1)); !fault.Is(err, "hook.too_large") {
		t.Errorf("too large: %v", err)
	}
	w.Clock.Advance(time.Hour)
	if err := receive(a, stripe.Code, real.header, real.body); !fault.Is(err, "hook.forged") {
		t.Errorf("an hour old: %v", err)
	}
	if n := a.jobs("payment.event"); n != 0 {
		t.Errorf("%d jobs of what nobody proved", n)
	}
	if got := a.invoice(inv.ID); got.State != invoicing.Open {
		t.Errorf("%+v", got)
	}
}

// mustKeep saves a card by paying with it.
func (s *till) mustKeep(number string) {
	s.t.Helper()
	inv := s.issue("keep/" + number)
	p, gp, err := s.begin(inv.ID, true)
	if err != nil {
		s.t.Fatal(err)
	}
	s.enter(gp.ClientSecret, number)
	if p, _, err = s.desk.Refresh(s.t.Context(), s.db, p.ID); err != nil || p.State != gateway.Succeeded {
		s.t.Fatalf("%+v %v", p, err)
	}
	s.told()
}

func TestAGatewayThatIsDownCountsNoTry(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	s.mustKeep("4242424242424242")
	inv := s.issue("renewal/1")
	job := payment.ChargeJob{InvoiceID: inv.ID, Try: 1}
	for name, f := range map[string]stripelab.Faults{"down": {Down: true}, "errors": {Errors: true}, "lost answers": {LoseAnswers: true}} {
		lab.SetFaults(f)
		if err := s.desk.Charge(t.Context(), s.db, job); !errors.Is(err, gateway.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := s.begin(s.issue("order/"+name).ID, true); err == nil || fault.From(err).Kind != fault.Unavailable {
			t.Errorf("%s, a customer: %v", name, err)
		}
	}
	if n := s.jobs("payment.failed"); n != 0 {
		t.Errorf("%d tries were counted", n)
	}
	if got := s.invoice(inv.ID); got.Tries != 0 || got.State != invoicing.Open {
		t.Errorf("%+v", got)
	}
	lab.SetFaults(stripelab.Faults{})
	for range 3 { // what was charged behind the broken connection is found, not repeated
		if err := s.desk.Charge(t.Context(), s.db, job); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.invoice(inv.ID); got.State != invoicing.Paid {
		t.Errorf("%+v", got)
	}
	if taken, n := lab.Taken(s.secret); n != 2 || taken["eur"] != 2*1190 {
		t.Errorf("Stripe took %v in %d payments", taken, n)
	}
	s.balanced()
}

func TestACardThatFailsLaterIsToldOnce(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	st, _, _, err := s.desk.AddMethod(t.Context(), s.db, s.account, stripe.Code, "https://shop.example/back")
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(st.ClientSecret, "_secret_")
	res, err := http.PostForm(base+"/v1/setup_intents/"+id+"/confirm", url.Values{
		"key": {"pk_test_alpha"}, "client_secret": {st.ClientSecret}, "payment_method_data[type]": {"card"}, "payment_method_data[card][number]": {"4000000000000341"},
		"payment_method_data[card][exp_month]": {"12"}, "payment_method_data[card][exp_year]": {"34"}, "payment_method_data[card][cvc]": {"123"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if _, _, err := s.desk.FinishMethod(t.Context(), s.db, uuid.New(), stripe.Code, st.Ref); !fault.Is(err, "method.not_found") {
		t.Errorf("another account's card: %v", err)
	}
	if done, _, err := s.desk.FinishMethod(t.Context(), s.db, s.account, stripe.Code, st.Ref); err != nil || done.State != gateway.Succeeded {
		t.Fatalf("%+v %v", done, err)
	}
	inv := s.issue("renewal/1")
	for range 2 {
		if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: inv.ID, Try: 1}); err != nil {
			t.Fatal(err)
		}
		s.take(s.told())
	}
	if n := s.jobs("payment.failed"); n != 1 {
		t.Errorf("told %d times", n)
	}
	if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: inv.ID, Try: 2}); err != nil {
		t.Fatal(err)
	}
	if all := s.payments(payment.Filter{InvoiceID: inv.ID, State: gateway.Failed}); len(all) != 2 || s.jobs("payment.failed") != 2 {
		t.Errorf("%+v", all)
	}
	var m payment.Method
	s.update(func(tx *tenancy.Tx) (err error) {
		m, err = payment.DefaultMethod(t.Context(), tx, s.account)
		return err
	})
	if err := s.desk.RemoveMethod(t.Context(), s.db, s.account, m.ID, olga); err != nil {
		t.Fatal(err)
	}
	if err := s.desk.RemoveMethod(t.Context(), s.db, s.account, m.ID, olga); !fault.Is(err, "method.not_found") {
		t.Errorf("removing again: %v", err)
	}
	s.take(s.told())
}

func TestARefundWhoseAnswerIsLostGivesBackOnce(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	s.mustKeep("4242424242424242")
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO webhook_endpoints (id, url, events, sealed_secrets, state, state_note, created_at, changed_at)
			VALUES (?, 'https://example.com', '["payment.refunded"]', '', 'active', '', now(), now())`, uuid.New()).Exec(t.Context())
		return err
	})
	p := s.payments(payment.Filter{})[0]
	r, err := s.desk.GiveBack(t.Context(), s.db, payment.RefundRequest{Key: "k", PaymentID: p.ID, Amount: eur(500), Reason: "Goodwill", CreditNote: true}, olga)
	if err != nil {
		t.Fatal(err)
	}
	lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if err := s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID}); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a broken connection: %v", err)
	}
	lab.SetFaults(stripelab.Faults{})
	s.take(s.told()) // the notification comes before the job is tried again
	for range 2 {
		if err := s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if taken, _ := lab.Taken(s.secret); taken["eur"] != 690 {
		t.Errorf("Stripe has %v", taken)
	}
	if got := s.invoice(p.InvoiceID); got.Paid != eur(690) || got.Credited != eur(500) {
		t.Errorf("%+v", got)
	}
	var told []string
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT body::json->'data'->>'id' || ' ' || (body::json#>>'{data,amount,amount}') FROM webhook_deliveries").Scan(t.Context(), &told)
	})
	if !slices.Equal(told, []string{p.ID.String() + " 5.00"}) {
		t.Errorf("programs heard %q", told)
	}
	s.balanced()
}

func TestPayingInAnotherWayEndsWhatWasBegun(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	inv := s.issue("order/1")
	first, gp, err := s.begin(inv.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: "transfer", OnSession: true})
	if err != nil || second.ID == first.ID {
		t.Fatalf("%+v %v", second, err)
	}
	s.enter(gp.ClientSecret, "4242424242424242") // the tab that was left open
	if taken, n := lab.Taken(s.secret); n != 0 {
		t.Errorf("Stripe took %v", taken)
	}
	// A card that was charged just before the customer changed their mind pays.
	third, gp, err := s.begin(inv.ID, false)
	if err != nil || third.State != gateway.RequiresAction {
		t.Fatalf("%+v %v", third, err)
	}
	s.enter(gp.ClientSecret, "4242424242424242")
	if _, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: "transfer", OnSession: true}); !fault.Is(err, "payment.nothing_due") {
		t.Errorf("after the card was charged: %v", err)
	}
	s.take(s.told())
	s.chargedOnce(1190)
}

// What was begun with another account's keys ends: the customer goes on with the new
// account, and a card kept at the old one is asked for again instead of tried for ever.
func TestKeysOfAnotherAccount(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	s.mustKeep("4242424242424242")
	open, kept := s.issue("order/1"), s.issue("renewal/1")
	first, _, err := s.begin(open.ID, false)
	if err != nil || first.Ref == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	lab.AddAccount("sk_test_new", "pk_test_new")
	s.save(payment.Change{Code: stripe.Code, On: true, Public: map[string]string{"publishable_key": "pk_test_new"}, Secret: map[string]string{"secret_key": "sk_test_new"}})
	second, gp, err := s.begin(open.ID, false)
	if err != nil || second.ID == first.ID || second.State.Final() || gp.ClientSecret == "" {
		t.Errorf("the customer goes on with %+v, %v", second, err)
	}
	if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: kept.ID}); err != nil {
		t.Errorf("the charge comes again and again: %v", err)
	}
	if got := s.jobs("payment.failed"); got != 1 {
		t.Errorf("%d failed tries", got)
	}
	var left int
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT count(*) FROM payment_methods WHERE state <> 'removed' OR customer_ref <> ''").Scan(t.Context(), &left)
	})
	if left != 0 {
		t.Errorf("%d cards are kept that nobody knows", left)
	}
	s.balanced()
}
