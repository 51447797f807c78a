package web_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// An order hears of its payment a moment after the customer does. In between nobody is
// asked for money that is here or on its way.
func TestAnOrderBeingPaidIsNotPaidTwice(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	things := e.things[e.A.ID]
	order, invoice := things[":order"], uuid.MustParse(things[":invoice"])
	change := func(query string, args ...any) {
		t.Helper()
		must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error { return exec(t.Context(), tx, query, args...) }))
	}
	change("UPDATE orders SET state = 'awaiting_payment', invoice_id = ?, paid_at = NULL WHERE id = ?", invoice, order)
	customer, team := e.as(t, e.A, identity.CustomerMember), e.as(t, e.A, identity.ResellerOwner)
	looks := func(name, status string, open bool) {
		t.Helper()
		for _, path := range []string{"/client/orders/" + order, "/client/orders/" + order + "/state"} {
			a := customer.Send(t, "GET", path, nil)
			for _, part := range []string{"/pay?next=", "/cancel\""} {
				if a.Status != 200 || !strings.Contains(a.Page, status) || strings.Contains(a.Page, part) != open {
					t.Errorf("%s, %s: %d, %q is offered: %v", name, path, a.Status, part, !open)
				}
			}
		}
		if a := team.Send(t, "GET", "/manage/orders/"+order, nil); !strings.Contains(a.Page, status) || strings.Contains(a.Page, "Cancel this order") != open {
			t.Errorf("%s, the team: %s", name, a.Page)
		}
	}
	looks("nobody paid", "Waits for payment", true)
	debit := uuid.New()
	change("INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('transfer', 'on', '{}', '', 1, now()) ON CONFLICT DO NOTHING")
	change(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
		VALUES (?, ?, ?, ?, 'transfer', 'EUR', 2380, 0, 'processing', '', '', true, now(), now())`, debit, debit.String(), invoice, things[":account"])
	looks("a debit", "Payment under way", false)
	change("UPDATE payments SET state = 'failed' WHERE id = ?", debit)
	looks("it failed", "Waits for payment", true)
	e.receive(t, e.A, invoice, 2380)
	looks("it is here", ">Paid<", false)
}
