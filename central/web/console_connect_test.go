package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// connectLab is the platform's account at a simulated Stripe.
func connectLab(t testing.TB) gateway.Endpoints {
	t.Helper()
	lab := stripelab.New(stripelab.Options{})
	lab.AddAccount("sk_test_connect", "pk_test_connect")
	srv := httptest.NewServer(lab.Handler())
	t.Cleanup(srv.Close)
	g, err := stripe.New(stripe.Config{SecretKey: "sk_test_connect", PublishableKey: "pk_test_connect", APIURL: srv.URL})
	must(t, err)
	return g
}

// TestStaffRegisterTheConnectEndpoint: it is registered, looked at and given another secret from
// its page; who may only read is shown no button, and the secret stands nowhere.
func TestStaffRegisterTheConnectEndpoint(t *testing.T) {
	w := tenancytest.New(t)
	h := openOver(t, w, identity.StaffBilling)
	h.want("nothing", h.get("/wholesale/connect"), 200, "Not registered", "Register it at Stripe")
	h.want("registered", h.post("/wholesale/connect"), 303, "/wholesale/connect")
	page := h.read("/wholesale/connect")
	h.want("stands there", page, 200, "Registered", "https://partners.localhost/hooks/connect", "we_", "Change the secret")
	h.want("looked", h.post("/wholesale/connect/look"), 303, "/wholesale/connect")
	h.want("another", h.post("/wholesale/connect/secret"), 303, "/wholesale/connect")
	after := h.read("/wholesale/connect")
	if strings.Contains(page.page+after.page, "whsec_") {
		t.Error("the page shows the secret")
	}
	var there int
	must(t, w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM central.connect_endpoints WHERE sealed_secret IS NOT NULL").Scan(&there))
	if there != 2 {
		t.Errorf("%d secrets are believed, want the new and the old", there)
	}
	r := openOver(t, tenancytest.New(t), identity.StaffReadOnly)
	if a := r.get("/wholesale/connect"); a.status == 200 && strings.Contains(a.page, "Change the secret") {
		t.Error("who only reads may change the secret")
	}
	if a := r.post("/wholesale/connect/secret"); a.status != 403 {
		t.Errorf("who only reads changed it: %d", a.status)
	}
}
