package checkout_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/overview"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/report"
)

// TestEveryTypeIsDeliveredByHand walks a plan of each type of product without a wholesale
// product from the editor to its end: the team is written to, what it enters is sealed, what
// is paid counts from then, nothing is told to the platform, and what a platform would do
// cannot be asked for. The other shop sees none of it.
func TestEveryTypeIsDeliveredByHand(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, tenancytest.New(t))
	db, by := r.DB(r.A), audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "rita", Name: "Rita"}}
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	box := mail.NewOutbox(ring)
	services, renewals := &hosting.Desk{Keys: ring, Mail: box, Log: slog.New(slog.DiscardHandler)}, &renewal.Desk{Mail: box}
	r.exec(t, r.A, `INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'reseller', 'rita@example.org', 'rita@example.org', 'Rita', 'owner', now(), now())`, uuid.New())
	usage := func() (n int) {
		must(t, r.Owner.QueryRow(ctx, "SELECT (SELECT count(*) FROM central.usage_events) + (SELECT count(*) FROM central.services)").Scan(&n))
		return n
	}
	for i, kind := range catalog.Types() {
		slug := "hand-" + string(rune('a'+i))
		product, err := catalog.SaveProduct(ctx, db, catalog.ProductForm{Slug: slug, Name: kind[1], Type: kind[0], Visibility: "public"}, by)
		must(t, err)
		_, err = catalog.SavePlan(ctx, db, nil, catalog.PlanForm{ProductID: product, Slug: "one", Name: "One", Visibility: "public", ByHand: true, Prices: map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "10.00"}}}, by)
		must(t, err)
		picked := catalog.Picked{Product: slug, Plan: "one", Hostname: "web1.example.com"}
		o := r.order(t, r.A, picked)
		r.pay(t, r.A, o)
		for range 2 { // twice is once
			must(t, r.desk.Paid(ctx, db, *o.InvoiceID))
			must(t, renewals.Paid(ctx, db, *o.InvoiceID))
		}
		var s hosting.Service
		var sub renewal.Subscription
		look := func() {
			t.Helper()
			must(t, db.View(ctx, func(tx *tenancy.Tx) (err error) {
				if s, err = hosting.OfSubscription(ctx, tx, o.Items[0].SubscriptionID); err == nil {
					sub, err = renewal.Get(ctx, tx, o.Items[0].SubscriptionID)
				}
				return err
			}))
		}
		drive := func() { t.Helper(); must(t, services.Drive(ctx, db, hosting.DriveJob{ServiceID: s.ID})); look() }
		letters := func(like string) int {
			return r.count(t, r.A, "SELECT count(*) FROM mails WHERE key LIKE ?", "service/"+s.ID.String()+"/"+like)
		}
		look()
		drive()
		drive()
		if a, b := r.handTasks(t, r.A), r.handTasks(t, r.B); a != 1 || b != 0 {
			t.Errorf("%s, ordered: %d tasks for its team, %d for the other's", kind[0], a, b)
		}
		if sub.State != renewal.Pending || !s.ByHand() || s.Task() != "deliver it" || letters("by_hand/%") != 1 {
			t.Errorf("%s, ordered: %s, %q, %d letters", kind[0], sub.State, s.Task(), letters("by_hand/%"))
		}
		if named := map[bool]string{true: "web1.example.com"}[kind[0] != "license" && kind[0] != "generic"]; s.Hostname != named {
			t.Errorf("%s is called %q", kind[0], s.Hostname)
		}
		r.Clock.Advance(49 * time.Hour)
		owner := hosting.Caller{Person: r.customers[r.A.ID].Person.ID}
		must(t, services.Deliver(ctx, db, s.ID, hosting.Handover{Address: "203.0.113.7", User: "root", Password: "s3cret", Note: "[Interface]\r\nKey = 1"}, by))
		must(t, r.desk.ServiceActive(ctx, db, s.ID))
		must(t, renewals.Delivered(ctx, db, s.ID))
		look()
		if n := r.handTasks(t, r.A); n != 0 {
			t.Errorf("%s, delivered: %d tasks are left", kind[0], n)
		}
		if at := r.Clock.Now(); sub.State != renewal.Active || !sub.Period.From.Equal(at) || !s.BeganAt.Equal(at) || s.Address != "203.0.113.7" || letters("ready/%") != 1 {
			t.Errorf("%s, delivered: %s from %v, %+v", kind[0], sub.State, sub.Period.From, s)
		}
		if got, err := services.Reveal(ctx, db, s.ID, owner); err != nil || got != (provisioners.Credentials{User: "root", Password: "s3cret", Note: "[Interface]\nKey = 1"}) {
			t.Errorf("%s: %+v %v", kind[0], got, err)
		}
		if err := hosting.Power(ctx, db, s.ID, provisioners.Restart, owner); !fault.Is(err, "service.by_hand") {
			t.Errorf("%s, restarted: %v", kind[0], err)
		}
		must(t, db.Update(ctx, func(tx *tenancy.Tx) error { return hosting.Suspend(ctx, tx, s.ID, hosting.HoldBilling, "not paid") }))
		drive()
		must(t, services.Done(ctx, db, s.ID, by))
		look()
		if s.Observed != hosting.SeenSuspended || s.Operation != "" {
			t.Errorf("%s, suspended: %s %s", kind[0], s.Observed, s.Operation)
		}
		must(t, db.Update(ctx, func(tx *tenancy.Tx) error { return hosting.Terminate(ctx, tx, s.ID, "cancelled") }))
		drive()
		must(t, services.Done(ctx, db, s.ID, by))
		drive()
		if !s.Over() || s.HasCredentials() || letters("by_hand/%") != 3 || letters("terminated/%") != 1 {
			t.Errorf("%s, ended: %+v", kind[0], s)
		}
		if err := services.Done(ctx, db, s.ID, by); !fault.Is(err, "service.nothing_to_do") {
			t.Errorf("%s, once more: %v", kind[0], err)
		}
		if err := services.Deliver(ctx, r.DB(r.B), s.ID, hosting.Handover{}, by); !fault.Is(err, "service.not_found") {
			t.Errorf("%s, by the other shop: %v", kind[0], err)
		}
		if n := r.count(t, r.A, "SELECT count(*) FROM orders WHERE id = ? AND state = 'fulfilled'", o.ID); n != 1 {
			t.Errorf("%s: the order is not fulfilled", kind[0])
		}
	}
	if ran, err := overview.Ran(ctx, db, tenancytest.Start, r.Clock.Now()); err != nil || len(ran) != 0 {
		t.Errorf("the audit would miss %d: %v", len(ran), err)
	}
	if n := usage(); n != 0 {
		t.Errorf("the platform was told %d times", n)
	}
	r.booksBalance(t, r.A)
}

// What is ended before anybody delivered it is over at once, and its customer paid for no
// time of it.
func TestEndedBeforeItWasDelivered(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, tenancytest.New(t))
	db := r.DB(r.A)
	r.exec(t, r.A, `UPDATE plans SET delivery = '{"by_hand": true}' WHERE slug = 'advice'`)
	o := r.order(t, r.A, plan("advice"))
	r.pay(t, r.A, o)
	must(t, r.desk.Paid(ctx, db, *o.InvoiceID))
	services := &hosting.Desk{Mail: r.desk.Mail, Log: slog.New(slog.DiscardHandler)}
	var id uuid.UUID
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := hosting.OfSubscription(ctx, tx, o.Items[0].SubscriptionID)
		if err != nil {
			return err
		}
		id = s.ID
		return hosting.Terminate(ctx, tx, s.ID, "refunded")
	}))
	must(t, services.Drive(ctx, db, hosting.DriveJob{ServiceID: id}))
	if n := r.count(t, r.A, "SELECT count(*) FROM services WHERE observed = 'gone' AND began_at IS NULL AND operation = ''"); n != 1 {
		t.Errorf("%d are over", n)
	}
}

// A trial of what the team delivers begins with the delivery, once.
func TestATrialBeginsWithTheDelivery(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, tenancytest.New(t))
	db := r.DB(r.A)
	by := audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "rita", Name: "Rita"}}
	product, err := catalog.SaveProduct(ctx, db, catalog.ProductForm{Slug: "worlds", Name: "Worlds", Type: "game_server", Visibility: "public"}, by)
	must(t, err)
	_, err = catalog.SavePlan(ctx, db, nil, catalog.PlanForm{ProductID: product, Slug: "one", Name: "One", Visibility: "public", ByHand: true, Prices: map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "10.00"}}}, by)
	must(t, err)
	r.exec(t, r.A, "UPDATE plans SET trial_days = 14 WHERE product_id = ?", product)
	o := r.order(t, r.A, catalog.Picked{Product: "worlds", Plan: "one"})
	must(t, r.desk.Begin(ctx, db, o.ID)) // the job
	look := func() (s hosting.Service, sub renewal.Subscription) {
		t.Helper()
		must(t, db.View(ctx, func(tx *tenancy.Tx) (err error) {
			if s, err = hosting.OfSubscription(ctx, tx, o.Items[0].SubscriptionID); err == nil {
				sub, err = renewal.Get(ctx, tx, o.Items[0].SubscriptionID)
			}
			return err
		}))
		return s, sub
	}
	s, sub := look()
	if sub.State != renewal.Pending || s.Task() != "deliver it" {
		t.Fatalf("ordered: %s, %q", sub.State, s.Task())
	}
	r.Clock.Advance(100 * time.Hour)
	services, renewals := &hosting.Desk{Mail: r.desk.Mail, Log: slog.New(slog.DiscardHandler)}, &renewal.Desk{Mail: r.desk.Mail}
	must(t, services.Drive(ctx, db, hosting.DriveJob{ServiceID: s.ID}))
	must(t, services.Deliver(ctx, db, s.ID, hosting.Handover{Address: "192.0.2.4"}, by))
	delivered := r.Clock.Now()
	must(t, r.desk.ServiceActive(ctx, db, s.ID))
	for range 2 { // the job may come again
		must(t, renewals.Delivered(ctx, db, s.ID))
		r.Clock.Advance(time.Hour)
	}
	if _, sub = look(); sub.State != renewal.InTrial || !sub.Period.From.Equal(delivered) || !sub.Period.To.Equal(delivered.AddDate(0, 0, 14)) {
		t.Errorf("delivered: %s %v", sub.State, sub.Period)
	}
	if n := r.count(t, r.A, "SELECT count(*) FROM invoices"); n != 0 {
		t.Errorf("%d invoices", n)
	}
}

// Who does not want to wait for a trial cancels it before anybody delivered it: it is over,
// and so is what the team had to do.
func TestATrialIsCancelledBeforeTheDelivery(t *testing.T) {
	ctx := t.Context()
	r := newRig(t, tenancytest.New(t))
	db, by := r.DB(r.A), audit.Origin{Actor: audit.Actor{Kind: "customer", ID: "ida", Name: "Ida"}}
	product, err := catalog.SaveProduct(ctx, db, catalog.ProductForm{Slug: "worlds", Name: "Worlds", Type: "game_server", Visibility: "public"}, by)
	must(t, err)
	_, err = catalog.SavePlan(ctx, db, nil, catalog.PlanForm{ProductID: product, Slug: "one", Name: "One", Visibility: "public", ByHand: true, Prices: map[string]map[catalog.Cycle]string{"EUR": {catalog.Monthly: "10.00"}}}, by)
	must(t, err)
	r.exec(t, r.A, "UPDATE plans SET trial_days = 14 WHERE product_id = ?", product)
	o := r.order(t, r.A, catalog.Picked{Product: "worlds", Plan: "one"})
	must(t, r.desk.Begin(ctx, db, o.ID))
	services, renewals := &hosting.Desk{Mail: r.desk.Mail, Log: slog.New(slog.DiscardHandler)}, &renewal.Desk{Mail: r.desk.Mail}
	ask := renewal.CancelRequest{SubscriptionID: o.Items[0].SubscriptionID, Reason: renewal.Reasons()[0].Value}
	if _, err := renewals.Cancel(ctx, r.DB(r.B), ask, by); !fault.Is(err, "subscription.not_found") {
		t.Errorf("by the other shop: %v", err)
	}
	s, err := renewals.Cancel(ctx, db, ask, by)
	must(t, err)
	if s.State != renewal.Ended {
		t.Errorf("it is %s", s.State)
	}
	if _, err := renewals.Cancel(ctx, db, ask, by); !fault.Is(err, "subscription.not_running") {
		t.Errorf("a second click: %v", err)
	}
	must(t, services.Drive(ctx, db, hosting.DriveJob{ServiceID: s.ServiceID}))
	if n := r.handTasks(t, r.A); n != 0 {
		t.Errorf("%d tasks are left", n)
	}
	must(t, renewals.Delivered(ctx, db, s.ServiceID))
	if n := r.count(t, r.A, "SELECT count(*) FROM subscriptions WHERE state <> 'ended'"); n != 0 {
		t.Errorf("%d run", n)
	}

	// Nothing was tried, so it may be tried yet; and then no more, however short the trial was.
	o = r.order(t, r.A, catalog.Picked{Product: "worlds", Plan: "one"})
	if o.Items[0].Trial == nil {
		t.Fatal("the trial that nobody delivered counts as the one of this product")
	}
	must(t, r.desk.Begin(ctx, db, o.ID))
	must(t, db.View(ctx, func(tx *tenancy.Tx) (err error) {
		s, err = renewal.Get(ctx, tx, o.Items[0].SubscriptionID)
		return err
	}))
	must(t, services.Drive(ctx, db, hosting.DriveJob{ServiceID: s.ServiceID}))
	must(t, services.Deliver(ctx, db, s.ServiceID, hosting.Handover{Address: "192.0.2.4"}, by))
	must(t, renewals.Delivered(ctx, db, s.ServiceID))
	_, err = renewals.Cancel(ctx, db, renewal.CancelRequest{SubscriptionID: s.ID, Now: true, Reason: ask.Reason}, by)
	must(t, err)
	if o = r.order(t, r.A, catalog.Picked{Product: "worlds", Plan: "one"}); o.Items[0].Trial != nil {
		t.Error("a trial that began may be had once more")
	}
	r.booksBalance(t, r.A)
}

// handTasks is how much a team has to do by hand, as its overview and its list say it.
func (r *rig) handTasks(t *testing.T, of tenancy.Tenant) int {
	t.Helper()
	var wants report.Wanting
	var listed []hosting.Listed
	must(t, r.DB(of).View(t.Context(), func(tx *tenancy.Tx) (err error) {
		if wants, err = report.Wants(t.Context(), tx); err == nil {
			listed, _, err = hosting.List(t.Context(), tx, hosting.Filter{State: "team"})
		}
		return err
	}))
	if len(listed) != wants.ServicesByHand {
		t.Errorf("%d tasks are counted and %d listed", wants.ServicesByHand, len(listed))
	}
	return wants.ServicesByHand
}
