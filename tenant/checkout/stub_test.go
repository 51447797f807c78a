package checkout_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// TestWhatIsOrderedBeginsOnTheBillDay orders 12 days before the account's bill day: these are
// due today, and the full price from then on.
func TestWhatIsOrderedBeginsOnTheBillDay(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	now, bill := time.Date(2026, 11, 19, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	r.Clock.Set(now)
	r.exec(t, r.A, "UPDATE accounts SET bill_day = 1")
	q := r.quote(t, r.A, small(), small(func(p *catalog.Picked) { p.Cycle = billing.Annual }), plan("advice"))
	// 12 of 30 days of 14.99 in three parts, and of 365 days of 155.90; advice is paid once.
	x := q.Items[0]
	if x.Stub == nil || x.Stub.Words() != "12 days until 1 December 2026" || !x.Stub.Period.To.Equal(bill) || len(x.Stub.Parts) != 3 || x.Stub.Parts[0] != euros(400) || x.Stub.Parts[1] != euros(120) || x.Stub.Parts[2] != euros(80) {
		t.Fatalf("%+v", x.Stub)
	}
	if q.Net != euros(600+(328+118+66)+500+5000) || q.Items[2].Stub != nil {
		t.Errorf("net %s, %+v", q.Net, q.Items[1].Stub)
	}
	again := checkout.Recurring(q.Items)
	if len(again) != 2 || again[0].Net != euros(1499) || !again[0].Next(now, time.UTC).Equal(bill) || !again[1].Next(now, time.UTC).Equal(bill) {
		t.Errorf("again and again: %+v", again)
	}
	o, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID))
	must(t, err)
	if o.Total != q.Total {
		t.Errorf("charged %s, quoted %s", o.Total, q.Total)
	}
	r.pay(t, r.A, o)
	must(t, r.desk.Paid(t.Context(), r.DB(r.A), *o.InvoiceID))
	if n := r.count(t, r.A, "SELECT count(*) FROM subscriptions WHERE stub->>'day' = '1' AND cycle <> 'one_time'"); n != 2 {
		t.Errorf("%d were sold so", n)
	}
	if n := r.count(t, r.A, "SELECT count(*) FROM invoice_lines WHERE description LIKE '%, 12 days until 1 December 2026, Amsterdam' AND net_minor = 400"); n != 1 {
		t.Errorf("%d lines say it", n)
	}
	r.Clock.Set(bill)
	if q := r.quote(t, r.A, small()); q.Items[0].Stub != nil || q.Net != euros(1499+500) {
		t.Errorf("on the day itself: %+v", q.Items[0].Stub)
	}
	if q := r.quote(t, r.B, small()); q.Items[0].Stub != nil {
		t.Errorf("the other shop's: %+v", q.Items[0].Stub)
	}
}
