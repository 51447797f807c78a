package web_test

import (
	"context"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/payment"
)

// takesFor is a platform that takes payments for one shop.
type takesFor struct{ of *tenancy.ID }

// CollectionFor is 2.9 % and 0.25, paid out after a week.
func (x takesFor) CollectionFor(_ context.Context, of tenancy.ID) (payment.CollectionTerms, bool, error) {
	return payment.CollectionTerms{Fee: billing.CollectionFee{Ppm: 29_000, Fixed: 25}, Currency: "EUR", HoldDays: 7}, of == *x.of, nil
}

// TestThePlatformTakesCardsOnThePages: the choice says what it costs before it is made; the
// other shop is not offered it, and support may not make it.
func TestThePlatformTakesCardsOnThePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	of := e.A.ID
	e.site.Payments.Collector = takesFor{&of}
	const gateways, on, off = "/manage/settings/payments", "/manage/settings/payments/platform", "/manage/settings/payments/platform/off"
	owner, other := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.B, identity.ResellerOwner)
	page := func() string { t.Helper(); return owner.Send(t, "GET", gateways, nil).Page }
	for _, says := range []string{"2.9 %", "96.85", "after 7 days", "Have the platform take cards", "EUR only"} {
		if !strings.Contains(page(), says) {
			t.Errorf("the page does not say %q", says)
		}
	}
	if page := other.Send(t, "GET", gateways, nil).Page; strings.Contains(page, "Cards, taken for you") || !strings.Contains(page, "The money goes to your own accounts.") {
		t.Error("the other shop is offered it")
	}
	state := func(who tenancy.Tenant) (s string) {
		t.Helper()
		_ = e.Owner.QueryRow(t.Context(), "SELECT state FROM "+who.ID.Schema()+".gateways WHERE code = 'platform'").Scan(&s)
		return s
	}
	other.Send(t, "POST", on, nil)
	e.as(t, e.A, identity.ResellerAgent).Send(t, "POST", on, nil)
	if state(e.A) != "" || state(e.B) != "" {
		t.Errorf("it is %q and %q", state(e.A), state(e.B))
	}
	for range 2 {
		if a := owner.Send(t, "POST", on, nil); a.Status != 303 {
			t.Fatalf("%d %s", a.Status, a.Page)
		}
	}
	if state(e.A) != "on" || !strings.Contains(page(), "Take no new payments this way") {
		t.Errorf("it is %q", state(e.A))
	}
	of = e.B.ID // staff take it back
	if !strings.Contains(page(), "takes no new payments for your shop") {
		t.Error("the page does not say that it is taken back")
	}
	if a := owner.Send(t, "POST", off, nil); a.Status != 303 || state(e.A) != "off" {
		t.Errorf("%d, it is %q", a.Status, state(e.A))
	}
}
