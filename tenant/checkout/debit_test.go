package checkout_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// TestAnOrderWhileItsDebitIsUnderWay: it does not lapse and keeps its room; where the shop
// trusts in the debit it is delivered before the money came, once, and told paid when it
// came.
func TestAnOrderWhileItsDebitIsUnderWay(t *testing.T) {
	w := tenancytest.New(t)
	r := newRig(t, w)
	o := r.order(t, w.A, small())
	r.exec(t, w.A, `INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
		SELECT gen_random_uuid(), 'pay/1', id, account_id, 'transfer', currency, total_minor, 0, 'processing', '', '', true, '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM invoices WHERE id = ?`, *o.InvoiceID)
	w.Clock.Advance(10 * 24 * time.Hour)
	must(t, r.desk.Due(t.Context(), r.DB(w.A), w.Clock.Now()))
	if n := r.count(t, w.A, "SELECT count(*) FROM orders WHERE state = 'awaiting_payment'"); n != 1 {
		t.Fatal("it lapsed while it was being paid")
	}
	if at := r.due(t, w.A); !at.After(w.Clock.Now()) {
		t.Errorf("looked at without a pause: %s", at)
	}
	if _, held, used := r.room.state(); held != 1 || used != 0 {
		t.Errorf("%d held, %d used", held, used)
	}
	r.listen(t, w.A)
	for range 2 {
		must(t, r.desk.Trust(t.Context(), r.DB(w.A), *o.InvoiceID))
	}
	if n := r.count(t, w.A, "SELECT count(*) FROM services"); n != 1 {
		t.Errorf("%d services", n)
	}
	if _, _, used := r.room.state(); used != 1 {
		t.Errorf("delivered: %d used", used)
	}
	if told := r.heard(t, w.A); len(told) != 0 {
		t.Errorf("programs were told that it is paid: %v", told)
	}
	r.pay(t, w.A, o)
	for range 2 {
		must(t, r.desk.Paid(t.Context(), r.DB(w.A), *o.InvoiceID))
	}
	if n := r.count(t, w.A, "SELECT count(*) FROM services"); n != 1 {
		t.Errorf("paid: %d services", n)
	}
	if n := r.count(t, w.A, "SELECT count(*) FROM timeline WHERE kind = 'order.paid'"); n != 1 {
		t.Errorf("told %d times that it is paid", n)
	}
	other := r.order(t, w.B, small())
	must(t, r.desk.Trust(t.Context(), r.DB(w.A), *other.InvoiceID))
	if n := r.count(t, w.B, "SELECT count(*) FROM orders WHERE state = ?", checkout.AwaitingPayment); n != 1 {
		t.Error("the other shop's order was delivered")
	}
}
