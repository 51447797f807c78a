package wholesale_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

const platformKey = "sk_test_platform"

// till is two resellers who are billed 49.00 EUR a month, and the platform's own account
// at a simulated Stripe.
type till struct {
	*tenancytest.World
	t     *testing.T
	d     *wholesale.Desk
	lab   *stripelab.Lab
	url   string
	hooks []told
}

type told struct {
	header http.Header
	body   []byte
}

func openTill(t *testing.T) *till {
	t.Helper()
	w := tenancytest.New(t)
	s := &till{World: w, t: t, d: book(t, w), lab: stripelab.New(stripelab.Options{Clock: w.Clock.Now})}
	s.lab.AddAccount(platformKey, "pk_test_platform")
	srv := httptest.NewServer(s.lab.Handler())
	t.Cleanup(srv.Close)
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.hooks = append(s.hooks, told{r.Header.Clone(), body})
	}))
	t.Cleanup(in.Close)
	s.url = srv.URL
	open := func(secrets ...string) *stripe.Gateway {
		g, err := stripe.New(stripe.Config{SecretKey: platformKey, PublishableKey: "pk_test_platform", WebhookSecrets: secrets, APIURL: s.url, ScriptURL: s.url + "/v3/", HTTP: &http.Client{Timeout: 10 * time.Second}})
		must(t, err)
		return g
	}
	secret, err := open().Listen(t.Context(), in.URL)
	must(t, err)
	s.d.Taker = &wholesale.Taker{Code: stripe.Code, Gateway: open(secret)}
	s.d.Mail, s.d.PartnerURL = outbox(t), "https://partners.example"
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, s.d.SetTerms(t.Context(), who.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	}
	return s
}

// bill bills September on the second of October and tells everybody.
func (s *till) bill() (a, b wholesale.InvoiceRow) {
	s.t.Helper()
	s.Clock.Set(on(s.t, "2026-10-02"))
	mustRun(s.t, s.d, "2026-09")
	must(s.t, s.d.Announce(s.t.Context(), "2026-09"))
	return s.invoice(s.A), s.invoice(s.B)
}

func (s *till) invoice(who tenancy.Tenant) wholesale.InvoiceRow {
	s.t.Helper()
	rows, _, err := s.d.Invoices(s.t.Context(), wholesale.InvoiceFilter{Tenant: who.ID})
	must(s.t, err)
	return rows[len(rows)-1]
}

// enter is what the browser's card form does with a client secret.
func (s *till) enter(clientSecret, number string) {
	s.t.Helper()
	id, _, _ := strings.Cut(clientSecret, "_secret_")
	kind := "payment_intents/"
	if strings.HasPrefix(id, "seti") {
		kind = "setup_intents/"
	}
	res, err := http.PostForm(s.url+"/v1/"+kind+id+"/confirm", url.Values{
		"key": {"pk_test_platform"}, "client_secret": {clientSecret}, "return_url": {"https://partners.example/back"}, "payment_method_data[type]": {"card"},
		"payment_method_data[card][number]": {number}, "payment_method_data[card][exp_month]": {"12"}, "payment_method_data[card][exp_year]": {"34"}, "payment_method_data[card][cvc]": {"123"},
	})
	must(s.t, err)
	_ = res.Body.Close()
}

// keep has a reseller keep a card.
func (s *till) keep(who tenancy.Tenant, number string) {
	s.t.Helper()
	st, err := s.d.AddCard(s.t.Context(), who.ID, "https://partners.example/saved")
	must(s.t, err)
	s.enter(st.ClientSecret, number)
	if st, err = s.d.FinishCard(s.t.Context(), who.ID, st.Ref, anna); err != nil || st.State != gateway.Succeeded {
		s.t.Fatalf("keep a card: %+v, %v", st, err)
	}
}

// collect does what the clock and the workers do: the charges that are due, each job twice.
func (s *till) collect() {
	s.t.Helper()
	must(s.t, s.d.Collect(s.t.Context()))
	var jobs []struct{ Args wholesale.ChargeJob }
	rows, err := s.Owner.Query(s.t.Context(), "SELECT (args->>'invoice')::uuid, (args->>'try')::int FROM river.river_job WHERE kind = 'wholesale.charge' ORDER BY id")
	must(s.t, err)
	for rows.Next() {
		var j struct{ Args wholesale.ChargeJob }
		must(s.t, rows.Scan(&j.Args.Invoice, &j.Args.Try))
		jobs = append(jobs, j)
	}
	must(s.t, rows.Err())
	for range 2 {
		for _, j := range jobs {
			must(s.t, s.d.Charge(s.t.Context(), j.Args))
		}
	}
}

func (s *till) took(minor int64, payments int) {
	s.t.Helper()
	if taken, n := s.lab.Taken(platformKey); n != payments || taken["eur"] != minor {
		s.t.Errorf("Stripe took %v in %d payments, want %d in %d", taken, n, minor, payments)
	}
	if n := count(s.t, s.World, "SELECT coalesce(sum(amount_minor), 0) FROM ledger_postings WHERE debit = 'cash/stripe'"); n != minor {
		s.t.Errorf("%d are booked, want %d", n, minor)
	}
	booksBalance(s.t, s.World)
}

func (s *till) mails(template string) int64 {
	s.t.Helper()
	return count(s.t, s.World, "SELECT count(*) FROM mails WHERE template = ?", template)
}

func TestAKeptCardIsChargedAfterTheRun(t *testing.T) {
	s := openTill(t)
	s.keep(s.A, "4242424242424242")
	_, b := s.bill()
	s.collect()
	if a := s.invoice(s.A); a.State != "paid" || s.invoice(s.B).State != "open" {
		t.Errorf("A is %s", a.State)
	}
	s.took(4900, 1)
	if s.mails("wholesale_paid") != 1 || s.mails("wholesale_due") != 0 {
		t.Error("mails")
	}
	// B keeps none: on the day it is due it is reminded, and a card kept later is charged.
	s.Clock.Set(b.DueAt.Add(time.Minute))
	s.collect()
	if s.mails("wholesale_due") != 1 {
		t.Errorf("%d reminders", s.mails("wholesale_due"))
	}
	s.keep(s.B, "5555555555554444")
	if p, err := s.d.Profile(t.Context(), s.B.ID); err != nil || !p.Card.Kept() {
		t.Errorf("profile: %+v, %v", p, err)
	}
	s.collect()
	s.took(9800, 2)
}

// What breaks between the charge and its booking is found again by its key, and charged once.
func TestAChargeWhoseAnswerIsLostIsOneCharge(t *testing.T) {
	s := openTill(t)
	s.keep(s.A, "4242424242424242")
	a, _ := s.bill()
	job := wholesale.ChargeJob{Invoice: a.ID}
	s.lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if err := s.d.Charge(t.Context(), job); !errors.Is(err, gateway.ErrUnavailable) {
		t.Fatalf("a broken connection: %v", err)
	}
	s.lab.SetFaults(stripelab.Faults{Down: true})
	if err := s.d.Charge(t.Context(), job); !errors.Is(err, gateway.ErrUnavailable) {
		t.Fatalf("an hour without the gateway: %v", err)
	}
	if n := count(t, s.World, "SELECT tries FROM wholesale_invoices WHERE id = ?", a.ID); n != 0 {
		t.Errorf("%d tries are counted of a gateway that was down", n)
	}
	s.lab.SetFaults(stripelab.Faults{})
	s.keep(s.A, "5555555555554444") // another card meanwhile: the try goes on with the one it began with
	for range 3 {
		must(t, s.d.Charge(t.Context(), job))
	}
	s.took(4900, 1)
}

func TestTheSameNotificationTenTimesIsOneBooking(t *testing.T) {
	s := openTill(t)
	a, b := s.bill()
	ctx := t.Context()
	if _, _, err := s.d.Pay(ctx, s.B.ID, wholesale.PayRequest{Invoice: a.ID}); !fault.Is(err, "wholesale_invoice.unknown") {
		t.Errorf("another's invoice: %v", err)
	}
	first, gp, err := s.d.Pay(ctx, s.A.ID, wholesale.PayRequest{Invoice: a.ID, Save: true})
	must(t, err)
	if again, other, err := s.d.Pay(ctx, s.A.ID, wholesale.PayRequest{Invoice: a.ID, Save: true}); err != nil || again.ID != first.ID || other.ClientSecret != gp.ClientSecret {
		t.Errorf("a second tab: %+v, %v", again, err)
	}
	if err := s.d.Charge(ctx, wholesale.ChargeJob{Invoice: a.ID}); !isRetry(err) {
		t.Errorf("a charge while somebody pays: %v", err)
	}
	s.enter(gp.ClientSecret, "4242424242424242")
	s.lab.Deliver(ctx)
	if len(s.hooks) == 0 {
		t.Fatal("nothing was told")
	}
	for range 10 {
		for _, h := range s.hooks {
			must(t, s.d.Receive(ctx, stripe.Code, h.header, h.body))
		}
	}
	var ids []string
	must(t, s.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT id FROM gateway_events ORDER BY id DESC").Scan(ctx, &ids)
	}))
	for range 10 {
		for _, id := range ids {
			must(t, s.d.HandleEvent(ctx, wholesale.EventJob{Gateway: stripe.Code, ID: id}))
		}
	}
	s.took(4900, 1)
	if s.mails("wholesale_paid") != 1 || s.invoice(s.A).State != "paid" {
		t.Errorf("%d mails", s.mails("wholesale_paid"))
	}
	if p, err := s.d.Profile(ctx, s.A.ID); err != nil || !p.Card.Kept() {
		t.Errorf("the card was to be kept: %+v, %v", p.Card, err)
	}
	if _, _, err := s.d.Look(ctx, s.B.ID, first.ID); !fault.Is(err, "wholesale_payment.unknown") {
		t.Errorf("another's payment: %v", err)
	}
	// Unsigned, changed, of another account.
	h := s.hooks[0]
	forged := h.header.Clone()
	forged.Set("Stripe-Signature", stripelab.Sign(h.body, "whsec_another", s.Clock.Now()))
	for name, x := range map[string]told{"unsigned": {http.Header{}, h.body}, "changed": {h.header, append([]byte(" "), h.body...)}, "another's": {forged, h.body}} {
		if err := s.d.Receive(ctx, stripe.Code, x.header, x.body); !fault.Is(err, "wholesale_hook.forged") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.d.Receive(ctx, "paypal", h.header, h.body); !fault.Is(err, "wholesale_hook.unknown") {
		t.Errorf("another gateway: %v", err)
	}
	if b.State != "open" {
		t.Error("B paid nothing")
	}
}

func isRetry(err error) bool {
	var r *queue.RetryError
	return errors.As(err, &r)
}

// A card that is declined is tried by the dunning's schedule; then the policy of arrears
// restricts the reseller, and paying frees it.
func TestADeclinedCardEndsInARestriction(t *testing.T) {
	s := openTill(t)
	s.keep(s.A, "4000000000000341")
	a, _ := s.bill()
	ctx, desk := t.Context(), &reseller.Desk{Central: s.Central}
	restricted := func() tenancy.Restriction {
		_, err := desk.EnforceArrears(ctx, reseller.DefaultArrears(), nil)
		must(t, err)
		var r tenancy.Restriction
		must(t, s.Owner.QueryRow(ctx, "SELECT restriction FROM central.tenants WHERE id = $1", s.A.ID.Number()).Scan(&r))
		return r
	}
	s.collect()
	tries := []int64{count(t, s.World, "SELECT tries FROM wholesale_invoices WHERE id = ?", a.ID)}
	for day := range 10 {
		s.Clock.Set(a.DueAt.AddDate(0, 0, day).Add(time.Hour))
		s.collect()
		tries = append(tries, count(t, s.World, "SELECT tries FROM wholesale_invoices WHERE id = ?", a.ID))
		if got, want := restricted() != tenancy.Unrestricted, day >= 7; got != want {
			t.Errorf("day %d after it was due: restricted %v", day, got)
		}
	}
	want := []int64{1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 6} // at once, and 0, 1, 3, 5 and 7 days after it was due
	for i := range want {
		if tries[i] != want[i] {
			t.Fatalf("tries by day: %v, want %v", tries, want)
		}
	}
	if n := s.mails("wholesale_failed"); n != 6 {
		t.Errorf("%d mails of 6 tries", n)
	}
	if n := count(t, s.World, "SELECT count(*) FROM alerts WHERE kind = 'payment.failed' AND tenant_id = ?", s.A.ID); n != 6 {
		t.Errorf("%d alerts of 6 tries", n)
	}
	s.took(0, 0)
	s.keep(s.A, "4242424242424242")
	s.collect()
	s.took(4900, 1)
	if restricted() != tenancy.Unrestricted {
		t.Error("it has paid and is restricted")
	}
}

func TestACreditIsCarriedToTheNextInvoice(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
		use(t, w, who, "start", "service/1", "vps-m", 1, "2026-09-01 00:00")
	}
	w.Clock.Set(on(t, "2026-10-02"))
	mustRun(t, d, "2026-09") // 8.40 each
	use(t, w, w.A, "stop", "service/1", "vps-m", 1, "2026-09-16 00:00")
	w.Clock.Set(on(t, "2026-11-02"))
	rows, _, err := d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: w.A.ID})
	must(t, err)
	must(t, d.TakeByHand(ctx, rows[0].ID, wholesale.ByHand{Key: "k", Amount: "8.40", Note: "SEPA 1"}, anna))
	use(t, w, w.A, "start", "service/2", "vps-s", 1, "2026-11-01 00:00")
	mustRun(t, d, "2026-10") // A gets 4.20 back
	inv := func(period string) wholesale.InvoiceRow {
		rows, _, err := d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: w.A.ID, Period: period})
		must(t, err)
		return rows[0]
	}
	d.Mail, d.Taker = outbox(t), nil
	must(t, d.Announce(ctx, "2026-10"))
	if x := inv("2026-10"); x.TotalMinor != -420 || x.State != "open" || x.PaidMinor != 0 {
		t.Fatalf("a credit: %+v", x)
	}
	if n := count(t, w, "SELECT count(*) FROM wholesale_invoices WHERE next_try_at IS NOT NULL AND total_minor < 0"); n != 0 {
		t.Error("a credit is to be charged")
	}
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Currency: "EUR", Price: "6.30", From: on(t, "2026-11-01")}, anna))
	w.Clock.Set(on(t, "2026-12-02"))
	mustRun(t, d, "2026-11") // 6.30, of which 4.20 are there already
	if x := inv("2026-11"); x.Open().Minor != 210 || x.State != "open" {
		t.Errorf("the next: %+v", x)
	}
	if x := inv("2026-10"); x.State != "paid" || x.Open().Minor != 0 {
		t.Errorf("the credit: %+v", x)
	}
	if n := count(t, w, "SELECT sum(total_minor - paid_minor) FROM wholesale_invoices WHERE tenant_id = ?", w.B.ID); n != 3*840 {
		t.Errorf("B owes %d", n)
	}
	booksBalance(t, w)
	if wrong, err := d.Books(ctx); err != nil || len(wrong) > 0 {
		t.Errorf("books: %v, %v", wrong, err)
	}
}

// What was paid by bank and, in a tab that was left open, by card too, is there for the
// next invoice.
func TestWhatWasPaidTwiceIsACredit(t *testing.T) {
	s := openTill(t)
	a, _ := s.bill()
	ctx := t.Context()
	p, gp, err := s.d.Pay(ctx, s.A.ID, wholesale.PayRequest{Invoice: a.ID})
	must(t, err)
	must(t, s.d.TakeByHand(ctx, a.ID, wholesale.ByHand{Key: "k", Amount: "49", Note: "SEPA 1"}, anna))
	s.enter(gp.ClientSecret, "4242424242424242") // before anybody looked at it again
	if p, _, err = s.d.Look(ctx, s.A.ID, p.ID); err != nil || p.State != gateway.Succeeded {
		t.Fatalf("the card was charged: %+v, %v", p, err)
	}
	s.took(4900, 1)
	s.Clock.Set(on(t, "2026-11-02"))
	mustRun(t, s.d, "2026-10")
	must(t, s.d.Announce(ctx, "2026-10"))
	rows, _, err := s.d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: s.A.ID, Period: "2026-10"})
	must(t, err)
	if rows[0].State != "paid" || rows[0].Open().Minor != 0 {
		t.Errorf("the next invoice: %+v", rows[0])
	}
	if x := s.invoice(s.A); x.PaidMinor != x.TotalMinor {
		t.Errorf("the one that was paid twice: %+v", x)
	}
	if wrong, err := s.d.Books(ctx); err != nil || len(wrong) > 0 {
		t.Errorf("books: %v, %v", wrong, err)
	}
	booksBalance(t, s.World)
}

func TestStaffAreToldOfARunThatFailed(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SaveSKU(ctx, wholesale.SKU{Code: "vps-l", Type: "vps", Name: "VPS L", Kind: wholesale.Service, State: "active"}, anna))
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	}
	use(t, w, w.B, "start", "service/1", "vps-l", 1, "2026-09-10 00:00")
	w.Clock.Set(on(t, "2026-10-02"))
	for range 3 {
		if err := d.Due(ctx); !fault.Is(err, "wholesale.unpriced") {
			t.Fatalf("due: %v", err)
		}
	}
	var said []string
	must(t, w.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT text FROM alerts WHERE kind = 'wholesale.run_failed'").Scan(ctx, &said)
	}))
	if len(said) != 1 || !strings.Contains(said[0], "2026-09") || !strings.Contains(said[0], "vps-l") {
		t.Errorf("alerts: %q", said)
	}
}

func TestAProfileIsOnTheNextInvoice(t *testing.T) {
	s := openTill(t)
	ctx := t.Context()
	p, err := s.d.Profile(ctx, s.A.ID)
	if err != nil || p.Complete() {
		t.Errorf("an empty profile: %+v, %v", p, err)
	}
	p.Company, p.Line1, p.City, p.Country, p.TaxID = "Alpha \x00 B.V.", "Kade 1", "Utrecht", "nl", "DE1"
	if err := s.d.SetProfile(ctx, s.A.ID, p.Party, anna); !fault.Is(err, "profile.invalid") || fault.From(err).Fields["tax_id"] == "" {
		t.Errorf("another country's number: %v", err)
	}
	p.TaxID = "nl 8540.12345.B01"
	must(t, s.d.SetProfile(ctx, s.A.ID, p.Party, anna))
	must(t, s.d.SetSeller(ctx, wholesale.Seller{Party: sellerIn("DE"), DueDays: 14}, anna))
	s.keep(s.A, "4242424242424242")
	a, b := s.bill()
	inv, err := s.d.Invoice(ctx, a.ID, s.A.ID)
	must(t, err)
	if buyer := inv.Document.Buyer; buyer.Company != "Alpha B.V." || buyer.City != "Utrecht" || buyer.TaxID != "NL854012345B01" || a.TaxMinor != 0 {
		t.Errorf("buyer: %+v, tax %d", buyer, a.TaxMinor)
	}
	if b.TaxMinor != 931 {
		t.Errorf("who says no country is taxed as the seller's: %d", b.TaxMinor)
	}
	if _, err := s.d.FinishCard(ctx, s.B.ID, "seti_unknown", anna); !fault.Is(err, "card.unknown") {
		t.Errorf("no such setup: %v", err)
	}
	st, err := s.d.AddCard(ctx, s.A.ID, "")
	must(t, err)
	s.enter(st.ClientSecret, "4242424242424242")
	if _, err := s.d.FinishCard(ctx, s.B.ID, st.Ref, anna); !fault.Is(err, "card.unknown") {
		t.Errorf("another's setup: %v", err)
	}
	must(t, s.d.RemoveCard(ctx, s.A.ID, anna))
	if err := s.d.RemoveCard(ctx, s.A.ID, anna); !fault.Is(err, "card.unknown") {
		t.Errorf("removed twice: %v", err)
	}
	if _, _, err := s.d.Pay(ctx, s.A.ID, wholesale.PayRequest{Invoice: a.ID, Kept: true}); !fault.Is(err, "card.unknown") {
		t.Errorf("with a card that is gone: %v", err)
	}
	if _, _, err := s.d.Pay(ctx, s.A.ID, wholesale.PayRequest{Invoice: uuid.New()}); !fault.Is(err, "wholesale_invoice.unknown") {
		t.Errorf("no such invoice: %v", err)
	}
}
