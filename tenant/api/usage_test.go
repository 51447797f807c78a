package api_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/access"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/metering"
)

// teamToken is a token of the shop's own programs.
func (l *lab) teamToken(who tenancy.Tenant) string {
	l.t.Helper()
	person := uuid.New()
	l.exec(who, `INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'reseller', ?, ?, 'Tom', 'owner', now(), now())`, person, person.String(), person.String())
	_, secret, err := access.Create(l.t.Context(), l.DB(who), access.New{PersonID: person, Name: "meter", Scopes: []access.Scope{access.UsageWrite, access.UsageRead}}, origin)
	if err != nil {
		l.t.Fatal(err)
	}
	return secret
}

// metered is a subscription of a customer that is billed by traffic, and by calls up to five.
func (l *lab) metered(who tenancy.Tenant, c customer) uuid.UUID {
	l.t.Helper()
	product, plan, quote, order, sub := uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()
	l.exec(who, `INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES (?, ?, 'generic', 'Data', '', 1, 'public', now(), now())`, product, "p"+product.String()[:8])
	l.exec(who, `INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, created_at, changed_at) VALUES (?, ?, 'data', 'Data', '', '[]', false, 1, 'public', now(), now())`, plan, product)
	for _, f := range []catalog.MeterForm{
		{PlanID: plan, Code: "traffic", Name: "Traffic", Unit: "GB", Aggregation: "sum", Feed: "api", Model: "graduated", Tiers: map[string]string{"EUR": "0.10"}},
		{PlanID: plan, Code: "users", Name: "Users", Aggregation: "unique", Attribute: "user", Feed: "api", Model: "graduated", Included: "2", Capped: true, Tiers: map[string]string{"EUR": "0"}},
		{PlanID: plan, Code: "calls", Name: "Calls", Aggregation: "sum", Feed: "api", Model: "graduated", Included: "5", Capped: true, Tiers: map[string]string{"EUR": "0"}},
	} {
		if _, err := catalog.SaveMeter(l.t.Context(), l.DB(who), f, audit.Origin{}); err != nil {
			l.t.Fatal(err)
		}
	}
	l.exec(who, `INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES (?, 'checkout', ?, 'EUR', 1, 0, 1, '{}', now(), now())`, quote, c.account)
	l.exec(who, `INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at) VALUES (?, 1, ?, ?, ?, 'fulfilled', 'EUR', 1, '', now(), now())`, order, quote, c.account, c.person)
	now := l.Clock.Now()
	l.exec(who, `INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, period_from, period_to, renewals, renews_at, metered_to, cancel_reason, cancel_note, created_at, changed_at)
		VALUES (?, ?, ?, ?, 'Data', 'active', 'monthly', 'EUR', 0, '[]', ?, ?, ?, 0, ?, ?, '', '', ?, ?)`, sub, c.account, order, plan, now, now, now.AddDate(0, 1, 0), now.AddDate(0, 1, 0), now.AddDate(0, 1, 0), now, now)
	return sub
}

func TestUsageIsToldOnceAndRead(t *testing.T) {
	l := newLab(t)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	sub, token, other := l.metered(l.A, ada), l.teamToken(l.A), l.teamToken(l.B)
	l.Clock.Advance(time.Hour)
	at := l.Clock.Now().Format(time.RFC3339Nano)
	event := func(id, meter string, value any) map[string]any {
		return map[string]any{"source": "edge-1", "id": id, "subscription_id": sub, "meter": meter, "at": at, "value": value}
	}
	post := func(host, token string, events ...any) said {
		return l.at(host, "POST", "/usage-events", token, map[string]any{"events": events})
	}
	for _, x := range []struct {
		name   string
		events []any
		status int
		want   string // accepted, duplicate, late, refused
	}{
		{"one", []any{event("1", "traffic", "1.5")}, 200, "1 0 0 0"},
		{"again", []any{event("1", "traffic", "99")}, 200, "0 1 0 0"},
		{"numbers and half of it wrong", []any{event("2", "traffic", 2.25), event("3", "nothing", 1)}, 202, "1 0 0 1"},
		{"all wrong", []any{event("4", "nothing", 1), event("5", "traffic", -1), event("6", "traffic", "1e9"), event("7", "traffic", []int{1})}, 422, "0 0 0 4"},
		{"within the quota", []any{event("c1", "calls", 5)}, 200, "1 0 0 0"},
		{"beyond the quota", []any{event("c2", "calls", 1)}, 402, "0 0 0 1"},
	} {
		got := post("a.test", token, x.events...)
		if said := fmt.Sprint(got.json["accepted"], got.json["duplicate"], got.json["late"], got.json["refused"]); got.status != x.status || said != x.want {
			t.Errorf("%s: %d %s", x.name, got.status, got.body)
		}
		if _, way := got.json["upgrade"]; way != (x.status == 402) {
			t.Errorf("%s: %s", x.name, got.body)
		}
	}
	for _, reader := range []string{ada.token, token} {
		got := l.call("GET", "/subscriptions/"+sub.String()+"/usage", reader, nil)
		if got.status != 200 || got.json["amount"].(map[string]any)["amount"] != "0.38" { // 3.75 GB
			t.Errorf("usage: %d %s", got.status, got.body)
		}
	}
	if got := l.call("GET", "/subscriptions/"+sub.String()+"/usage", eve.token, nil); got.status != 404 {
		t.Errorf("another account reads: %d", got.status)
	}
	// Another shop's token opens nothing here, and there is no such subscription there.
	if got := post("a.test", other, event("x", "traffic", 1)); got.status != 401 {
		t.Errorf("another shop's token: %d", got.status)
	}
	if got := post("b.test", other, event("x", "traffic", 1)); got.status != 422 || !strings.Contains(string(got.body), "unknown_subscription") {
		t.Errorf("in another shop: %d %s", got.status, got.body)
	}
	// A customer's token tells nothing, whatever it is made for, and a team's does nothing else.
	if got := post("a.test", ada.token, event("y", "traffic", 1)); got.status != 403 {
		t.Errorf("a customer tells: %d", got.status)
	}
	for _, path := range []string{"/services", "/invoices", "/account", "/orders", "/subscriptions", "/payment-methods"} {
		if got := l.call("GET", path, token, nil); got.status != 403 || got.code() != "token.scope_missing" {
			t.Errorf("the team's token at %s: %d", path, got.status)
		}
	}
	_, _, err := access.Create(t.Context(), l.DB(l.A), access.New{AccountID: ada.account, PersonID: ada.person, Name: "x", Scopes: []access.Scope{access.UsageWrite}}, origin)
	if !fault.Is(err, "token.invalid") {
		t.Errorf("a customer's token to tell: %v", err)
	}
	_, _, err = access.Create(t.Context(), l.DB(l.A), access.New{PersonID: ada.person, Name: "x", Scopes: []access.Scope{access.UsageWrite}}, origin)
	if !fault.Is(err, "token.scope_beyond_role") {
		t.Errorf("a team's token of a customer: %v", err)
	}
	l.exec(l.A, "UPDATE people SET role = 'support' WHERE world = 'reseller'")
	if got := post("a.test", token, event("z", "traffic", 1)); got.status != 403 {
		t.Errorf("a token of somebody who may no more: %d", got.status)
	}
}

// TestAQuotaIsAskedAboutAndToldOf: asking uses nothing, what is used up answers 402 with the way
// to more, each step is written of once, and of many who want the last units at once only so many
// get them. The next month begins anew.
func TestAQuotaIsAskedAboutAndToldOf(t *testing.T) {
	l := newLab(t)
	ada, eve := l.customer(l.A, every...), l.customer(l.A, every...)
	sub, token := l.metered(l.A, ada), l.teamToken(l.A)
	l.Clock.Advance(time.Hour)
	ask := func(token string, meter string, value any) said {
		t.Helper()
		return l.call("POST", "/usage-checks", token, map[string]any{"subscription_id": sub, "meter": meter, "value": value})
	}
	mails := func() (n int) {
		t.Helper()
		if err := l.DB(l.A).View(t.Context(), func(tx *tenancy.Tx) error {
			return tx.NewRaw("SELECT count(*) FROM mails WHERE template = 'quota_near'").Scan(t.Context(), &n)
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	use := func(id string) metering.Status {
		out, err := l.slices.Metering.Record(t.Context(), l.DB(l.A), []metering.Event{{Source: "edge", ID: id, SubscriptionID: sub, Meter: "calls", At: l.Clock.Now()}})
		if err != nil {
			t.Error(err)
			return ""
		}
		return out[0].Status
	}
	for range 2 {
		if got := ask(ada.token, "calls", 5); got.status != 200 || got.json["left"] != "5.000000" || got.json["capped"] != true {
			t.Errorf("all of it: %d %s", got.status, got.body)
		}
	}
	if got := ask(token, "calls", "5.5"); got.status != 402 || got.code() != "usage.quota_used_up" || got.json["next"] != "/client/subscriptions/"+sub.String()+"/change" {
		t.Errorf("more than there is: %d %s", got.status, got.body)
	}
	if got := ask(ada.token, "traffic", 1000); got.status != 200 || got.json["capped"] != false {
		t.Errorf("what is paid for: %d %s", got.status, got.body)
	}
	for _, x := range []struct {
		token, meter string
		value        any
		status       int
	}{{eve.token, "calls", 1, 404}, {ada.token, "nothing", 1, 404}, {ada.token, "calls", -1, 422}, {ada.token, "calls", "1e9", 422}, {l.teamToken(l.B), "calls", 1, 401}} {
		if got := ask(x.token, x.meter, x.value); got.status != x.status {
			t.Errorf("%+v: %d %s", x, got.status, got.body)
		}
	}
	if use("1") != metering.Accepted || use("2") != metering.Accepted || mails() != 0 {
		t.Errorf("two of five: %d letters", mails())
	}
	var taken atomic.Int32
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			if use(fmt.Sprint("at once ", i)) == metering.Accepted {
				taken.Add(1)
			}
		})
	}
	group.Wait()
	if taken.Load() != 3 || mails() != 2 {
		t.Errorf("%d of the last three were taken, %d letters at 75 and 100 %%", taken.Load(), mails())
	}
	if got := ask(ada.token, "calls", nil); got.status != 402 {
		t.Errorf("nothing is left: %d %s", got.status, got.body)
	}
	// Of different values so many may come, each as often as it likes.
	seen := func(id, user string) metering.Status {
		out, err := l.slices.Metering.Record(t.Context(), l.DB(l.A), []metering.Event{{Source: "door", ID: id, SubscriptionID: sub, Meter: "users", At: l.Clock.Now(), Attributes: map[string]string{"user": user}}})
		if err != nil {
			t.Fatal(err)
		}
		return out[0].Status
	}
	if a, b, again, c := seen("1", "ann"), seen("2", "ben"), seen("3", "ann"), seen("4", "cas"); a != metering.Accepted || b != metering.Accepted || again != metering.Accepted || c != metering.Refused {
		t.Errorf("two users of two: %s %s, again %s, and a third %s", a, b, again, c)
	}
	if mails() != 3 {
		t.Errorf("%d letters", mails())
	}
	l.Clock.Advance(32 * 24 * time.Hour)
	if use("next month") != metering.Accepted {
		t.Error("the next month does not begin anew")
	}
}

func TestJunkUsageIsRefusedAndNeverBreaks(t *testing.T) {
	l := newLab(t)
	l.limits.allow = 10_000
	sub, token := l.metered(l.A, l.customer(l.A, every...)), l.teamToken(l.A)
	at := l.Clock.Now().Format(time.RFC3339Nano)
	for _, body := range []string{
		``, `{`, `[]`, `null`, `{"events":null}`, `{"events":[]}`, `{"events":{}}`, `{"events":[1]}`, `{"events":["x"]}`, `{"events":[[]]}`, `{"events":[{}],"more":1}`, `{"events":[{"more":1}]}`,
		`{"events":[null]}`, `{"events":[{}]}`, `{"events":[{"attributes":[]}]}`, `{"events":[{"attributes":{"a":{"b":1}}}]}`, `{"events":[` + strings.Repeat(`{},`, 1000) + `{}]}`, strings.Repeat(" ", 1<<20+1),
	} {
		if got := l.call("POST", "/usage-events", token, body); got.status < 400 || got.status > 499 {
			t.Errorf("%.60s: %d %s", body, got.status, got.body)
		}
	}
	junk := []any{nil, true, 1, -1, 0.1, "", " ", "x", "1/3", "NaN", "-0", "1e400", "\x00", "\u202e", strings.Repeat("9", 400), []any{}, map[string]any{}, "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "00000000-0000-0000-0000-000000000000"}
	for _, field := range []string{"source", "id", "subscription_id", "service_id", "meter", "at", "value", "phase", "attributes"} {
		for _, v := range junk {
			e := map[string]any{"source": "s", "id": "i", "subscription_id": sub, "meter": "traffic", "at": at, "value": "0"}
			e[field] = v
			got := l.call("POST", "/usage-events", token, map[string]any{"events": []any{e}})
			if !slices.Contains([]int{200, 402, 422}, got.status) {
				t.Errorf("%s = %v: %d %s", field, v, got.status, got.body)
			}
		}
	}
	if got := l.call("GET", "/subscriptions/x/usage", token, nil); got.status != 404 {
		t.Errorf("no id: %d", got.status)
	}
}
