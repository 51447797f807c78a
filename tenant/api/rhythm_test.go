package api_test

import "testing"

// A program says how its account is invoiced; another account's stays.
func TestInvoicingByAProgram(t *testing.T) {
	l := newLab(t)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	const at = "/account/invoicing"
	if got := l.call("GET", at, ada.token, nil); got.status != 200 || got.json["one_invoice"] != nil || got.json["together"] != false {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("PATCH", at, ada.token, map[string]any{"one_invoice": "yes"}); got.status != 400 && got.status != 422 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("PATCH", at, ada.token, map[string]any{"one_invoice": true}); got.status != 200 || got.json["one_invoice"] != true || got.json["together"] != true {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("GET", at, eve.token, nil); got.json["together"] != false {
		t.Errorf("another account: %s", got.body)
	}
	if got := l.call("PATCH", at, ada.token, map[string]any{"one_invoice": nil}); got.status != 200 || got.json["one_invoice"] != nil {
		t.Errorf("%d %s", got.status, got.body)
	}
}
