package api_test

import "testing"

// A program switches the letters before renewals; another account's go on.
func TestNotificationsByAProgram(t *testing.T) {
	l := newLab(t)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	const at = "/account/notifications"
	for _, x := range []struct {
		method string
		body   any
		status int
		on     any
	}{
		{"GET", nil, 200, true}, {"PATCH", map[string]any{"renewal_reminders": "no"}, 422, nil}, {"PATCH", map[string]any{"invoices": false}, 422, nil},
		{"PATCH", map[string]any{}, 200, true}, {"PATCH", map[string]any{"renewal_reminders": false}, 200, false}, {"GET", nil, 200, false}, {"PATCH", map[string]any{}, 200, false},
	} {
		if got := l.call(x.method, at, ada.token, x.body); got.status != x.status || got.json["renewal_reminders"] != x.on {
			t.Errorf("%s %v: %d %s", x.method, x.body, got.status, got.body)
		}
	}
	if got := l.call("GET", at, eve.token, nil); got.json["renewal_reminders"] != true {
		t.Errorf("another account: %s", got.body)
	}
}

// A program says how its account is invoiced; another account's stays.
func TestInvoicingByAProgram(t *testing.T) {
	l := newLab(t)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	const at = "/account/invoicing"
	if got := l.call("GET", at, ada.token, nil); got.status != 200 || got.json["one_invoice"] != nil || got.json["together"] != false {
		t.Errorf("%d %s", got.status, got.body)
	}
	for field, wrong := range map[string][]any{"one_invoice": {"yes", 1, []int{}}, "bill_day": {0, 29, -1, "1", 1.5, true}} {
		for _, v := range wrong {
			if got := l.call("PATCH", at, ada.token, map[string]any{field: v}); got.status != 422 || got.code() != map[string]string{"one_invoice": "account.bad_invoicing", "bill_day": "bill_day.invalid"}[field] {
				t.Errorf("%s %v: %d %s", field, v, got.status, got.body)
			}
		}
	}
	if got := l.call("PATCH", at, ada.token, map[string]any{"one_invoice": true}); got.status != 200 || got.json["one_invoice"] != true || got.json["together"] != true {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("PATCH", at, ada.token, map[string]any{"bill_day": 15}); got.status != 200 || got.json["one_invoice"] != true || got.json["bill_day"] != 15.0 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := l.call("GET", at, eve.token, nil); got.json["together"] != false || got.json["bill_day"] != nil {
		t.Errorf("another account: %s", got.body)
	}
	if got := l.call("PATCH", at, ada.token, map[string]any{"term_days": 90}); got.status != 422 {
		t.Errorf("a program gives its account days to pay: %d %s", got.status, got.body)
	}
	if got := l.call("PATCH", at, ada.token, map[string]any{"one_invoice": nil}); got.status != 200 || got.json["one_invoice"] != nil {
		t.Errorf("%d %s", got.status, got.body)
	}
}
