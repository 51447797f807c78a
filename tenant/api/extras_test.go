package api_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenant/api"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// A program buys what is charged once for what its account has: quoted, accepted twice and
// bought once; another account's and another shop's programs do not see the subscription.
func TestExtrasByAProgram(t *testing.T) {
	l := newLab(t, func(a *api.API) { a.Renewal = &renewal.Desk{} })
	ada, eve, bob := l.customer(l.A, every...), l.customer(l.A, every...), l.customer(l.B, every...)
	sub := l.metered(l.A, ada)
	l.exec(l.A, `INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
		SELECT ?, id, 'move', 'We move you', '', 'once', '', 0, 3, 1, '[{"code":"one","label":"one","amount":0,"prices":{"EUR":{"one_time":4900}}}]', 2, 'public', '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM products`, uuid.New())
	l.invoiced(l.A, ada, "ready/1", 100) // the shop can make invoices
	at := "/subscriptions/" + sub.String() + "/quotes"
	for _, c := range []struct {
		host string
		who  customer
	}{{"a.test", eve}, {"b.test", bob}} {
		if got := l.at(c.host, "POST", at, c.who.token, map[string]any{"buy": map[string]string{"move": "1"}}); got.status != 404 || got.code() != "subscription.not_found" {
			t.Errorf("%s: %d %s", c.host, got.status, got.body)
		}
	}
	for _, wrong := range []any{map[string]string{"move": "4"}, map[string]string{"gold": "1"}, map[string]string{"move": ""}, []string{"move"}} {
		if got := l.call("POST", at, ada.token, map[string]any{"buy": wrong}); got.status != 422 {
			t.Errorf("%v: %d %s", wrong, got.status, got.body)
		}
	}
	q := l.call("POST", at, ada.token, map[string]any{"buy": map[string]string{"move": "2"}})
	if q.status != 201 || q.json["net"].(map[string]any)["amount"] != "98.00" || q.json["price"].(map[string]any)["amount"] != "0.00" {
		t.Fatalf("%d %s", q.status, q.body)
	}
	line := q.json["lines"].([]any)[0].(map[string]any)
	if line["period_from"] != nil || line["text"] != "Data: We move you: 2" {
		t.Errorf("%v", line)
	}
	accept := "/quotes/" + q.json["id"].(string) + "/accept"
	one, two := l.call("POST", accept, ada.token, nil), l.call("POST", accept, ada.token, nil)
	if one.status != 200 || one.json["invoice_id"] == nil || two.json["invoice_id"] != one.json["invoice_id"] {
		t.Errorf("%d %s and %d %s", one.status, one.body, two.status, two.body)
	}
}
