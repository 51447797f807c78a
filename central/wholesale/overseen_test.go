package wholesale_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// hear works on what Stripe told, ten times over and the newest first.
func (s *till) hear() {
	s.t.Helper()
	s.lab.Deliver(s.t.Context())
	all := s.hooks
	s.hooks = nil
	slices.Reverse(all)
	for _, h := range slices.Repeat(all, 10) {
		must(s.t, s.d.Receive(s.t.Context(), stripe.Code, h.header, h.body))
	}
	rows, err := s.Owner.Query(s.t.Context(), "SELECT id FROM central.gateway_events ORDER BY id")
	must(s.t, err)
	var ids []string
	for rows.Next() {
		var id string
		must(s.t, rows.Scan(&id))
		ids = append(ids, id)
	}
	must(s.t, rows.Err())
	for _, id := range slices.Repeat(ids, 2) {
		must(s.t, s.d.HandleEvent(s.t.Context(), wholesale.EventJob{Gateway: stripe.Code, ID: id}))
	}
}

func (s *till) alerted(kind string) int64 {
	s.t.Helper()
	return count(s.t, s.World, "SELECT count(*) FROM alerts WHERE kind = ?", kind)
}

// till is what the books say lies on an account.
func (s *till) on(account string) int64 {
	s.t.Helper()
	return count(s.t, s.World, "SELECT coalesce(sum(CASE WHEN debit = ?0 THEN amount_minor ELSE 0 END - CASE WHEN credit = ?0 THEN amount_minor ELSE 0 END), 0) FROM ledger_postings", account)
}

func (s *till) agree() {
	s.t.Helper()
	booksBalance(s.t, s.World)
	wrong, err := s.d.Books(s.t.Context())
	if err != nil || len(wrong) > 0 {
		s.t.Errorf("the books: %v %v", wrong, err)
	}
	reportsAgree(s.t, s.d)
	if taken, _ := s.lab.Taken(platformKey); taken["eur"] != s.on("cash/stripe") {
		s.t.Errorf("Stripe holds %d, the books say %d", taken["eur"], s.on("cash/stripe"))
	}
}

func (s *till) ref(i wholesale.InvoiceRow) (ref string) {
	s.t.Helper()
	must(s.t, s.Owner.QueryRow(s.t.Context(), "SELECT ref FROM central.wholesale_payments WHERE invoice_id = $1 AND state = 'succeeded'", i.ID).Scan(&ref))
	return ref
}

// TestStaffGivesBackAtTheGateway: it is booked once, and nobody is charged again,
// restricted or believed for it.
func TestStaffGivesBackAtTheGateway(t *testing.T) {
	s := openTill(t)
	s.keep(s.A, "4242424242424242")
	s.keep(s.B, "4242424242424242")
	s.bill()
	s.collect()
	id, err := s.lab.RefundByHand(s.ref(s.invoice(s.A)), 1000)
	must(t, err)
	s.Clock.Advance(24 * time.Hour)
	s.hear()
	if a := s.invoice(s.A); a.State != "open" || a.Open().Minor != 1000 || s.invoice(s.B).State != "paid" {
		t.Errorf("A: %+v", a)
	}
	if n := s.alerted("wholesale.refunded"); n != 1 {
		t.Errorf("%d alerts", n)
	}
	s.agree()
	s.Clock.Advance(90 * 24 * time.Hour)
	s.keep(s.A, "5555555555554444") // another card is no reason to charge it again
	s.collect()
	if _, n := s.lab.Taken(platformKey); n != 2 {
		t.Errorf("%d charges", n)
	}
	owe, err := (&reseller.Desk{Central: s.Central}).EnforceArrears(t.Context(), reseller.DefaultArrears(), nil)
	if err != nil || owe != 0 {
		t.Errorf("%d restricted for it: %v", owe, err)
	}
	must(t, s.lab.SetRefund(id, "failed"))
	s.hear()
	if a := s.invoice(s.A); a.State != "paid" {
		t.Errorf("after the money came back: %+v", a)
	}
	s.agree()
}

func TestAResellerDisputes(t *testing.T) {
	s := openTill(t)
	s.keep(s.A, "4242424242424242")
	s.keep(s.B, "4242424242424242")
	s.bill()
	s.collect()
	due := s.Clock.Now().Add(10 * 24 * time.Hour)
	id, err := s.lab.Dispute(s.ref(s.invoice(s.A)), 0, "fraudulent", due, false)
	must(t, err)
	other, err := s.lab.Dispute(s.ref(s.invoice(s.B)), 900, "general", due, false)
	must(t, err)
	s.hear()
	if s.on("disputed/stripe") != 5800 || s.alerted("wholesale.disputed") != 2 || s.invoice(s.A).State != "paid" {
		t.Errorf("disputed %d, %d alerts", s.on("disputed/stripe"), s.alerted("wholesale.disputed"))
	}
	s.agree()
	s.Clock.Set(due.Add(-time.Hour))
	s.collect()
	s.collect()
	if n := s.alerted("wholesale.disputed"); n != 4 {
		t.Errorf("%d alerts with reminders", n)
	}
	must(t, s.lab.SetDispute(id, "lost"))
	must(t, s.lab.SetDispute(other, "won"))
	s.hear()
	if s.on("disputed/stripe") != 0 || s.on("dispute_losses") != 4900 {
		t.Errorf("disputed %d, lost %d", s.on("disputed/stripe"), s.on("dispute_losses"))
	}
	s.agree()
	inv, err := s.d.Invoice(t.Context(), s.invoice(s.A).ID, s.A.ID)
	if err != nil || len(inv.Payments) != 1 || len(inv.Payments[0].Contested(inv.Number)) != 1 {
		t.Errorf("on the invoice: %+v %v", inv.Payments, err)
	}
	if _, err := s.d.Invoice(t.Context(), inv.ID, s.B.ID); !fault.Is(err, "wholesale_invoice.unknown") {
		t.Errorf("another reseller's: %v", err)
	}
}

// TestTheAccountsKeysChange: what was begun with another account's keys ends; the reseller
// goes on with the new account, and a card that only the old one knows is asked for again.
func TestTheAccountsKeysChange(t *testing.T) {
	s := openTill(t)
	s.keep(s.B, "4242424242424242")
	a, _ := s.bill()
	first, _, err := s.d.Pay(t.Context(), s.A.ID, wholesale.PayRequest{Invoice: a.ID, ReturnURL: "https://partners.example/back"})
	must(t, err)
	s.lab.AddAccount("sk_test_new", "pk_test_new")
	g, err := stripe.New(stripe.Config{SecretKey: "sk_test_new", PublishableKey: "pk_test_new", APIURL: s.url, ScriptURL: s.url + "/v3/"})
	must(t, err)
	s.d.Taker = &wholesale.Taker{Code: stripe.Code, Gateway: g}
	second, gp, err := s.d.Pay(t.Context(), s.A.ID, wholesale.PayRequest{Invoice: a.ID, ReturnURL: "https://partners.example/back"})
	if err != nil || second.ID == first.ID || second.State.Final() || gp.ClientSecret == "" {
		t.Errorf("goes on with %+v, %v", second, err)
	}
	s.collect() // each job twice: none comes again for ever
	if p, err := s.d.Profile(t.Context(), s.B.ID); err != nil || p.Card.Kept() {
		t.Errorf("a card is kept that nobody knows: %+v %v", p.Card, err)
	}
	if n := s.mails("wholesale_failed"); n != 1 {
		t.Errorf("B was written to %d times", n)
	}
	booksBalance(t, s.World)
}

// TestAReplacedCardIsForgotten, but not while it is charged, and not when it is kept again.
func TestAReplacedCardIsForgotten(t *testing.T) {
	s := openTill(t)
	const detach = "POST /v1/payment_methods/{id}/detach"
	forget := func() (err error) {
		var ref string
		must(t, s.Owner.QueryRow(t.Context(), "SELECT args->>'ref' FROM river.river_job WHERE kind = 'wholesale.forget_card' ORDER BY id LIMIT 1").Scan(&ref))
		return s.d.Forget(t.Context(), wholesale.ForgetJob{Ref: ref})
	}
	s.keep(s.A, "4242424242424242")
	a, _ := s.bill()
	s.lab.SetFaults(stripelab.Faults{Down: true})
	if _, _, err := s.d.Pay(t.Context(), s.A.ID, wholesale.PayRequest{Invoice: a.ID, Kept: true}); err == nil {
		t.Error("the gateway is down")
	}
	s.lab.SetFaults(stripelab.Faults{})
	s.keep(s.A, "5555555555554444")
	if err := forget(); err == nil || s.lab.Calls(detach) != 0 {
		t.Errorf("the card may be charged yet: %v", err)
	}
	s.Clock.Advance(time.Hour)
	s.collect()
	must(t, forget())
	must(t, forget())
	if n := s.lab.Calls(detach); n == 0 {
		t.Error("it was not forgotten")
	}
	if p, err := s.d.Profile(t.Context(), s.A.ID); err != nil || !strings.HasSuffix(p.Card.Label, "4444") {
		t.Errorf("%+v %v", p.Card, err)
	}
	if a := s.invoice(s.A); a.State != "paid" {
		t.Errorf("the invoice is %s", a.State)
	}
	s.took(4900, 1)
}
