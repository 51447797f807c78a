package api_test

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// TestHoursByAProgram: the price list has hours as a cycle beside the month, and a quote, its order
// and the subscription say what an hour costs. Every answer is as the description says.
func TestHoursByAProgram(t *testing.T) {
	l := newLab(t)
	l.shelf(l.A)
	var plan uuid.UUID
	err := l.DB(l.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM plans").Scan(t.Context(), &plan)
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = catalog.SaveMeter(t.Context(), l.DB(l.A), catalog.MeterForm{PlanID: plan, Code: "hours", Name: "Hours", Aggregation: "sessions", Feed: catalog.FeedHours, Model: "graduated",
		Tiers: map[string]string{"EUR": "0.0125"}, Most: map[string]string{"EUR": "8.00"}}, audit.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	l.exec(l.A, "INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, 'EUR', 'hourly', 0, 150)", plan)
	const want = "map[month:map[amount:8.00 currency:EUR] most:map[amount:8.00 currency:EUR] price:map[amount:0.0125 currency:EUR]]"
	for _, path := range []string{"/products", "/products/vps"} {
		got := l.call("GET", path, "", nil)
		if path == "/products" {
			got.json = got.json["data"].([]any)[0].(map[string]any)
		}
		prices := got.json["plans"].([]any)[0].(map[string]any)["prices"].([]any)
		first, month := prices[0].(map[string]any), prices[1].(map[string]any)
		if len(prices) != 2 || first["cycle"] != "hourly" || fmt.Sprint(first["hour"]) != want || fmt.Sprint(first["price"]) != "map[amount:0.00 currency:EUR]" || month["cycle"] != "monthly" || month["hour"] != nil {
			t.Errorf("%s: %v", path, prices)
		}
	}
	ada := l.customer(l.A, every...)
	ask := map[string]any{"items": []any{map[string]any{"plan": "vps/small", "cycle": "hourly", "region": "ams", "image": "debian-13"}}}
	q := l.call("POST", "/quotes", ada.token, ask)
	if q.status != 201 || fmt.Sprint(q.json["items"].([]any)[0].(map[string]any)["hour"]) != want || fmt.Sprint(q.json["net"]) != "map[amount:1.50 currency:EUR]" {
		t.Fatalf("the quote: %d %s", q.status, q.body)
	}
	o := l.call("POST", "/orders", ada.token, map[string]any{"quote_id": q.json["id"], "accept_terms": true}, "Idempotency-Key", "k1")
	if o.status != 201 {
		t.Fatalf("the order: %d %s", o.status, o.body)
	}
	all := l.call("GET", "/subscriptions", ada.token, nil).json["data"].([]any)
	if x := all[0].(map[string]any); len(all) != 1 || x["cycle"] != "hourly" || fmt.Sprint(x["hour"]) != want {
		t.Errorf("its subscription: %v", all)
	}
}
