package api_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenant/credit"
)

// A program sees the credit of its account and pays an invoice with it; another's are
// not there.
func TestCreditByAProgram(t *testing.T) {
	l := newLab(t)
	l.shelf(l.A)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	o := l.ordered(ada, "k")
	at := "/invoices/" + o.json["invoice_id"].(string)
	if got := l.call("POST", at+"/credit", ada.token, nil); got.status != 409 || got.code() != "credit.none" {
		t.Errorf("without credit: %d %s", got.status, got.body)
	}
	g, err := credit.GiveByHand(t.Context(), l.DB(l.A), credit.Form{Key: "k", AccountID: ada.account, Amount: "1.50", Currency: "EUR", ExpiresOn: l.Clock.Now().AddDate(0, 1, 0).Format(time.DateOnly), Note: "hello"}, time.UTC, origin)
	if err != nil {
		t.Fatal(err)
	}
	got := l.call("GET", "/credit", ada.token, nil)
	grants, _ := got.json["grants"].([]any)
	if got.status != 200 || len(grants) != 1 || grants[0].(map[string]any)["id"] != g.ID.String() || got.json["automatic"] != true {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("GET", "/credit", eve.token, nil); got.status != 200 || len(got.json["grants"].([]any)) != 0 {
		t.Errorf("another account: %d %s", got.status, got.body)
	}
	if got := l.call("POST", at+"/credit", eve.token, nil); got.status != 404 || got.code() != "invoice.not_found" {
		t.Errorf("another account: %d %s", got.status, got.body)
	}
	if got := l.call("POST", "/invoices/"+uuid.NewString()+"/credit", ada.token, nil); got.status != 404 {
		t.Errorf("an invoice that is none: %d", got.status)
	}
	due := func(a said) int64 {
		m, err := billing.Parse(a.json["due"].(map[string]any)["amount"].(string), "EUR")
		if err != nil {
			t.Fatal(err)
		}
		return m.Minor
	}
	before := due(l.call("GET", at, ada.token, nil))
	if got := l.call("POST", at+"/credit", ada.token, nil); got.status != 200 || due(got) != before-150 {
		t.Errorf("%d %s, %d were due", got.status, got.body, before)
	}
}
