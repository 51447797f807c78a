package checkout_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/coupon"
)

const trials = "UPDATE plans SET trial_days = 14 WHERE slug = 'small'"

func (r *rig) card(t *testing.T, of customer, fingerprint string) {
	t.Helper()
	r.exec(t, r.A, `INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, fingerprint, state, created_at, changed_at) VALUES (?0, ?1, 'transfer', 'c', ?2, 'card', 'Visa', ?3, 'active', now(), now())`,
		of.Account, of.Account, uuid.NewString(), fingerprint)
	r.exec(t, r.A, "UPDATE accounts SET default_method_id = ?0 WHERE id = ?0", of.Account)
}

func TestATrialIsOrdered(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.exec(t, r.A, trials)
	q := r.quote(t, r.A, small())
	again := checkout.Recurring(q.Items)
	if !q.Total.IsZero() || len(again) != 1 || again[0].Net != euros(999+300+200) || !again[0].Next(q.CreatedAt, time.UTC).Equal(q.CreatedAt.AddDate(0, 0, 14)) {
		t.Fatalf("today %s, then %+v", q.Total, again)
	}
	o := r.order(t, r.A, small())
	if o.State != checkout.PaidState || o.InvoiceID != nil || r.count(t, r.A, "SELECT count(*) FROM invoices") != 0 {
		t.Fatalf("%s, invoice %v", o.State, o.InvoiceID)
	}
	must(t, r.desk.Begin(t.Context(), r.DB(r.A), o.ID)) // the job
	if n := r.count(t, r.A, "SELECT count(*) FROM services"); n != 1 {
		t.Errorf("%d services", n)
	}
	if n := r.count(t, r.A, "SELECT count(*) FROM subscriptions WHERE state = 'trial' AND amount_minor = 1499 AND (trial->'once'->0->>'amount_minor')::int = 500"); n != 1 {
		t.Errorf("%d subscriptions in a trial with the fee for setting up to come", n)
	}
	if _, _, used := r.room.state(); used != 1 {
		t.Errorf("%d rooms are used", used)
	}
	// A second one is paid for, and a neighbour's is a trial of its own.
	if q := r.quote(t, r.A, small()); q.Total.IsZero() || q.Items[0].Trial != nil {
		t.Errorf("a second trial: %s", q.Total)
	}
	r.exec(t, r.B, trials)
	if o := r.order(t, r.B, small()); o.InvoiceID != nil {
		t.Error("the neighbour's customer pays")
	}
}

// What is tried and what is paid for in one order: the rest is due, and all of it begins
// when that is paid.
func TestATrialBesidesSomethingElse(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.exec(t, r.A, trials)
	o := r.order(t, r.A, small(), small(), plan("advice"))
	if o.State != checkout.AwaitingPayment || o.Items[0].Trial == nil || o.Items[1].Trial != nil {
		t.Fatalf("%s, %+v", o.State, o.Items)
	}
	if n := r.count(t, r.A, "SELECT count(*) FROM invoice_lines WHERE subscription_id = ?", o.Items[0].SubscriptionID); n != 0 {
		t.Errorf("%d lines about what is tried", n)
	}
	if _, err := r.desk.Quote(t.Context(), r.DB(r.A), checkout.Ask{AccountID: r.customers[r.A.ID].Account, Items: []catalog.Picked{small()}}); err != nil {
		t.Fatal(err)
	}
	r.pay(t, r.A, o)
	must(t, r.desk.Paid(t.Context(), r.DB(r.A), *o.InvoiceID))
	if n := r.count(t, r.A, "SELECT count(*) FROM subscriptions WHERE state = 'trial'"); n != 1 {
		t.Errorf("%d in a trial", n)
	}
}

// Who never paid for the rest has had no trial.
func TestATrialThatNeverBegan(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.exec(t, r.A, trials)
	o := r.order(t, r.A, small(), plan("advice"))
	must(t, r.desk.Cancel(t.Context(), r.DB(r.A), checkout.CancelRequest{OrderID: o.ID, AccountID: o.AccountID}))
	if q := r.quote(t, r.A, small()); q.Items[0].Trial == nil {
		t.Error("the trial is gone")
	}
}

func TestTrialsThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name, code string
		between    func(*testing.T, *rig)
	}{
		{"no card", "checkout.card_needed", nil},
		{"a mailbox nobody confirmed", "checkout.unverified", func(t *testing.T, r *rig) {
			r.card(t, r.customers[r.A.ID], "x")
			r.exec(t, r.A, "UPDATE people SET email_verified_at = NULL")
		}},
		{"a shorter trial by now", "checkout.price_changed", set("UPDATE plans SET trial_days = 7 WHERE slug = 'small'")},
		{"no trial any more", "checkout.price_changed", set("UPDATE plans SET trial_days = NULL")},
		{"the other tab was faster", "checkout.trial_used", func(t *testing.T, r *rig) {
			r.card(t, r.customers[r.A.ID], "x")
			q := r.quote(t, r.A, small())
			_, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
			must(t, err)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, tenancytest.New(t))
			r.exec(t, r.A, trials)
			r.exec(t, r.A, "UPDATE plans SET trial_card = true WHERE slug = 'small'")
			q := r.quote(t, r.A, small())
			if test.between != nil {
				test.between(t, r)
			}
			_, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
			wants(t, "placing it", err, test.code)
		})
	}
}

// The same mailbox, written another way, and the same card have one trial, also of two
// accounts at once.
func TestOneTrialEach(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.exec(t, r.A, trials)
	people := []customer{r.customer(t, r.A, "owner", "ida+1@example.com"), r.customer(t, r.A, "owner", "Ida+2@example.com"), r.customer(t, r.A, "owner", "ida@example.com")}
	r.exec(t, r.A, "UPDATE accounts SET billing = billing - 'email'") // they share one
	var quotes []checkout.Quote
	for _, p := range people {
		q, err := r.desk.Quote(t.Context(), r.DB(r.A), checkout.Ask{AccountID: p.Account, Items: []catalog.Picked{small()}})
		must(t, err)
		quotes = append(quotes, q)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(people))
	for i, p := range people {
		wg.Go(func() {
			_, errs[i] = r.desk.Place(t.Context(), r.DB(r.A), checkout.PlaceRequest{QuoteID: quotes[i].ID, AccountID: p.Account, PersonID: p.Person.ID})
		})
	}
	wg.Wait()
	placed := 0
	for _, err := range errs {
		if err == nil {
			placed++
			continue
		}
		wants(t, "the others", err, "checkout.trial_used")
	}
	if placed != 1 || r.count(t, r.A, "SELECT count(*) FROM subscriptions") != 1 {
		t.Errorf("%d were placed", placed)
	}
	anna, bert := r.customer(t, r.A, "owner", "anna@example.com"), r.customer(t, r.A, "owner", "bert@example.com")
	r.exec(t, r.A, "UPDATE accounts SET billing = billing - 'email'")
	r.card(t, anna, "same")
	r.card(t, bert, "same")
	for i, p := range []customer{anna, bert} {
		q, err := r.desk.Quote(t.Context(), r.DB(r.A), checkout.Ask{AccountID: p.Account, Items: []catalog.Picked{small()}})
		must(t, err)
		if tried := q.Items[0].Trial != nil; tried != (i == 0) {
			t.Errorf("customer %d with that card: a trial is %v", i, tried)
		}
		if i == 0 {
			_, err := r.desk.Place(t.Context(), r.DB(r.A), checkout.PlaceRequest{QuoteID: q.ID, AccountID: p.Account, PersonID: p.Person.ID})
			must(t, err)
		}
	}
}

// A code counts from the first invoice on, which is the one after the trial.
func TestACodeAndATrial(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	r.exec(t, r.A, trials)
	r.coupon(t, r.A, "TWICE", func(f *coupon.Form) { f.Percent, f.Cycles = "50", "2" })
	q, err := r.quoteWith(t, r.A, "TWICE", small())
	must(t, err)
	again := checkout.Recurring(q.Items)
	from := q.CreatedAt.AddDate(0, 0, 14)
	if len(again) != 1 || again[0].Times != 2 || again[0].Net.Minor >= again[0].Full.Minor || !again[0].FullFrom(q.CreatedAt, time.UTC).Equal(billing.Monthly.Period(from, 2, time.UTC).From) || !q.Off.IsZero() {
		t.Errorf("%s off today, then %+v", q.Off, again)
	}
	o, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	must(t, err)
	if o.Coupon != "TWICE" || r.count(t, r.A, "SELECT count(*) FROM subscriptions WHERE discount->>'cycles' = '2'") != 1 {
		t.Errorf("%+v", o)
	}
}
