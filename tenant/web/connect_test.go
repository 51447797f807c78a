package web_test

import (
	"context"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// connects is the platform's side of connected accounts: every shop may open one. What the
// gateway says of it is charges.
type connects struct{ charges *bool }

func (connects) account(of tenancy.ID) string { return "acct_" + of.String() }

// Open opens a shop's account.
func (k connects) Open(_ context.Context, of tenancy.ID, _ gateway.Customer, _ string) (string, error) {
	return k.account(of), nil
}

// Offered reports that accounts can be connected.
func (connects) Offered() bool { return true }

// Link is the form of a shop's account.
func (k connects) Link(_ context.Context, of tenancy.ID, back, again string) (string, error) {
	return "https://connect.example.test/" + k.account(of), nil
}

// State is how a shop's account stands.
func (k connects) State(_ context.Context, of tenancy.ID) (gateway.Connected, error) {
	return gateway.Connected{Account: k.account(of), Charges: *k.charges, Submitted: *k.charges}, nil
}

// Ended forgets nothing: these accounts are not ended.
func (connects) Ended(context.Context, tenancy.ID, string) error { return nil }

// Connecting an account: from the button to Stripe's form and back, finished and not, until
// it is disconnected.
func TestConnectingAnAccountOnThePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	may := false
	e.site.Payments.Connect = connects{&may}
	owner := e.as(t, e.A, identity.ResellerOwner)
	const gateways, connect, back = "/manage/settings/payments", "/manage/settings/payments/stripe/connect", "/manage/settings/payments/stripe/connected"
	page := func() string { t.Helper(); return owner.Send(t, "GET", gateways, nil).Page }
	goes := func(method, from, to string) {
		t.Helper()
		if a := owner.Send(t, method, from, nil); a.Status != 303 || a.Where != to {
			t.Fatalf("%s %s: %d to %q, want %s", method, from, a.Status, a.Where, to)
		}
	}
	goes("GET", back, gateways) // nothing was begun
	goes("POST", connect, connect)
	account := connects{}.account(e.A.ID)
	if a := owner.Send(t, "GET", connect, nil); !strings.Contains(a.Page, `href="https://connect.example.test/`+account+`"`) {
		t.Fatalf("no way to Stripe's form: %d %s", a.Status, a.Page)
	}
	goes("GET", back, gateways)
	if !strings.Contains(page(), account) {
		t.Error("the account is not shown")
	}
	unfinished := page()
	may = true
	goes("GET", back, gateways)
	if page() == unfinished {
		t.Error("an account that may take payments looks like one that may not")
	}
	if strings.Contains(e.as(t, e.B, identity.ResellerOwner).Send(t, "GET", gateways, nil).Page, account) {
		t.Error("another shop sees the account")
	}
	goes("POST", "/manage/settings/payments/stripe/disconnect", gateways)
	if strings.Contains(page(), account) {
		t.Error("a disconnected account is still shown")
	}
}
