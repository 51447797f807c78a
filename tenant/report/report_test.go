package report_test

import (
	"context"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/report"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// business fills a tenant: three subscriptions that are paid for in euros, one in
// dollars, one that ended; invoices paid, open and overdue; a credit note; a refund.
const business = `
INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES ('00000000-0000-7000-8000-000000000001', 'customer', 'a@example.com', 'a@example.com', 'Ada', 'member', ?0, ?0);
INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES ('00000000-0000-7000-8000-000000000002', 'Ada Ltd', 'EUR', ?0, ?0);
INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES ('00000000-0000-7000-8000-000000000003', 'vps', 'vps', 'VPS', '', 1, 'public', ?0, ?0);
INSERT INTO plans (id, product_id, slug, name, summary, facts, position, visibility, created_at, changed_at) VALUES ('00000000-0000-7000-8000-000000000004', '00000000-0000-7000-8000-000000000003', 's', 'S', '', '[]', 1, 'public', ?0, ?0);
INSERT INTO prices (plan_id, currency, cycle, amount_minor) VALUES ('00000000-0000-7000-8000-000000000004', 'EUR', 'monthly', 1000);
INSERT INTO quotes (id, kind, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES ('00000000-0000-7000-8000-000000000005', 'checkout', 'EUR', 0, 0, 0, '{}', ?0, ?0);
INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at) VALUES ('00000000-0000-7000-8000-000000000006', 1, '00000000-0000-7000-8000-000000000005', '00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'paid', 'EUR', 0, '', ?0, ?0);
INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, renewals, cancel_reason, cancel_note, ended_at, created_at, changed_at)
SELECT ('00000000-0000-7000-8000-0000000001' || lpad(n::text, 2, '0'))::uuid, '00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000006', '00000000-0000-7000-8000-000000000004', 'VPS S', s, c, k, a, '[]', ?0::timestamptz - d * interval '1 day', 0, '', '', CASE s WHEN 'ended' THEN ?0::timestamptz - interval '3 days' END, ?0, ?0
FROM (VALUES (1, 'active', 'monthly', 'EUR', 1000, 90), (2, 'past_due', 'annual', 'EUR', 12000, 90), (3, 'suspended', 'quarterly', 'EUR', 3000, 10), (4, 'active', 'monthly', 'USD', 500, 90), (5, 'ended', 'monthly', 'EUR', 700, 90), (6, 'pending', 'monthly', 'EUR', 9999, 0)) AS v(n, s, c, k, a, d);
INSERT INTO services (id, subscription_id, account_id, type, sku, label, name, hostname, platform_id, region, image, ssh_keys, spec, desired, observed, operation, step, operation_args, progress, power, problem, attempts, ref, address, addresses, holds, began_at, created_at, changed_at)
SELECT gen_random_uuid(), id, account_id, 'vps', 'vps-s', 'VPS S', 'web', '', '00000000-0000-7000-8000-00000000000f', 'ams', 'debian-13', '[]', '{}', 'active', 'active', '', '', '{}', 0, '', CASE cycle WHEN 'annual' THEN 'stuck' ELSE '' END, 0, 'r', '', '[]', '{}', ?0, ?0, ?0 FROM subscriptions WHERE state IN ('active', 'past_due', 'suspended');
INSERT INTO invoices (id, key, kind, account_id, state, number, currency, net_minor, tax_minor, total_minor, paid_minor, credited_minor, document, hash, issued_at, due_at, tries, created_at, changed_at)
SELECT ('00000000-0000-7000-8000-0000000002' || lpad(n::text, 2, '0'))::uuid, 'k' || n, k, '00000000-0000-7000-8000-000000000002', s, 'N' || n, 'EUR', net, tax, net + tax, paid, 0, '{}', '', ?0::timestamptz - age * interval '1 day', ?0::timestamptz - (age - 10) * interval '1 day', tries, ?0, ?0
FROM (VALUES (1, 'invoice', 'paid', 1000, 190, 1190, 40, 0), (2, 'invoice', 'open', 2000, 380, 380, 2, 0), (3, 'invoice', 'open', 500, 95, 0, 20, 2), (4, 'credit_note', 'paid', 100, 19, 0, 1, 0)) AS v(n, k, s, net, tax, paid, age, tries);
INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('transfer', 'on', '{}', '', 1, ?0);
INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, settled_at, changed_at)
VALUES ('00000000-0000-7000-8000-000000000301', 'p1', '00000000-0000-7000-8000-000000000201', '00000000-0000-7000-8000-000000000002', 'transfer', 'EUR', 1190, 119, 'succeeded', '', '', true, ?0, ?0::timestamptz - interval '40 days', ?0),
       ('00000000-0000-7000-8000-000000000302', 'p2', '00000000-0000-7000-8000-000000000202', '00000000-0000-7000-8000-000000000002', 'transfer', 'EUR', 2000, 0, 'processing', '', '', true, ?0, NULL, ?0);
INSERT INTO refunds (id, key, payment_id, amount_minor, state, reason, problem, created_by, created_at, changed_at) VALUES ('00000000-0000-7000-8000-000000000401', 'r1', '00000000-0000-7000-8000-000000000301', 119, 'succeeded', '', '', 'x', ?0, ?0),
       ('00000000-0000-7000-8000-000000000402', 'r2', '00000000-0000-7000-8000-000000000301', 10, 'processing', '', '', 'x', ?0, ?0);
UPDATE payments SET disputes = '[{"ref": "d0", "state": "won"}, {"ref": "d1", "state": "needs_response"}]' WHERE key = 'p1' AND created_at <= ?0`

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t *testing.T, db *tenancy.DB) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *tenancy.Tx) error {
		for _, q := range split(business) {
			if _, err := tx.NewRaw(q, tx.Now()).Exec(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func split(sql string) (all []string) {
	start := 0
	for i := range len(sql) - 1 {
		if sql[i] == ';' && sql[i+1] == '\n' {
			all = append(all, sql[start:i])
			start = i + 2
		}
	}
	return append(all, sql[start:])
}

// priced charges each piece of a SKU the same.
type priced map[string]billing.Money

func (p priced) Monthly(_ context.Context, _ tenancy.ID, running map[string]int64) (map[string]billing.Money, error) {
	cost := map[string]billing.Money{}
	for sku, n := range running {
		if each, ok := p[sku]; ok {
			total, err := each.Times(n)
			if err != nil {
				return nil, err
			}
			cost[sku] = total
		}
	}
	return cost, nil
}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

// TestHoursRecur: what is paid by the hour counts as the month of it that was invoiced last did, with
// what is paid by the month; a month before that does not, nor hours of who pays otherwise since.
func TestHoursRecur(t *testing.T) {
	w := tenancytest.New(t)
	mustOpen(t, w.DB(w.A))
	must(t, w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		for _, q := range []string{
			`INSERT INTO meters (id, plan_id, code, name, unit, aggregation, attribute, step_minutes, feed, model, included, capped, tiers, position, created_at)
				SELECT '00000000-0000-7000-8000-000000000701', id, 'hours', 'Hours', 'hour', 'sessions', 'session', 60, 'hours', 'graduated', 0, false, '[{"prices": {"EUR": {"unit": "2"}}}]', 1, ?0 FROM plans`,
			`UPDATE subscriptions SET cycle = 'hourly', amount_minor = 300, metered_to = ?0::timestamptz + interval '20 days' WHERE label = 'VPS S' AND cycle = 'quarterly'`,
			`UPDATE subscriptions SET metered_to = ?0::timestamptz + interval '20 days' WHERE cycle = 'annual'`,
			`INSERT INTO usage_totals (subscription_id, meter_id, period_from, period_to, events, quantity, last_key, last_value, rounds, late, billed_minor)
				SELECT s.id, '00000000-0000-7000-8000-000000000701', (?0::timestamptz AT TIME ZONE 'UTC' + x.a * interval '1 day') AT TIME ZONE 'UTC', (?0::timestamptz AT TIME ZONE 'UTC' + x.z * interval '1 day') AT TIME ZONE 'UTC', 1, 1, '', 0, x.r, 0, x.b
				FROM subscriptions s, (VALUES (-70, -40, 1, 9000), (-40, -10, 1, 777), (-10, 20, 0, 0)) AS x(a, z, r, b) WHERE s.cycle IN ('hourly', 'annual')`,
		} {
			if _, err := tx.NewRaw(q, tx.Now()).Exec(t.Context()); err != nil {
				return err
			}
		}
		return nil
	}))
	var closed report.Closed
	f, err := report.Read(t.Context(), w.DB(w.A), "EUR", nil, &closed)
	must(t, err)
	if want := eur(1000 + 1000 + 300 + 777); f.MRR != want || f.ARR.Minor != 12*want.Minor {
		t.Errorf("MRR is %s, want %s", f.MRR, want)
	}
}

func TestFiguresOfABusiness(t *testing.T) {
	w := tenancytest.New(t)
	mustOpen(t, w.DB(w.A))
	var closed report.Closed
	f, err := report.Read(t.Context(), w.DB(w.A), "EUR", priced{"vps-s": eur(400)}, &closed)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string][2]billing.Money{
		"MRR":         {f.MRR, eur(1000 + 1000 + 1000)},
		"ARR":         {f.ARR, eur(36000)},
		"outstanding": {f.Outstanding, eur(2000 + 595)},
		"overdue":     {f.Overdue, eur(595)},
		"cost":        {f.Cost, eur(4 * 400)}, // the dollar subscription's server costs too
		"margin":      {f.Margin, eur(1400)},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %s, want %s", name, got[0], got[1])
		}
	}
	if f.Subscriptions != 3 || f.NewSubscriptions != 1 || f.Ended != 1 || f.OverdueInvoices != 1 {
		t.Errorf("counts are %+v", f)
	}
	if want := 100.0 / 3; f.Churn < want-0.01 || f.Churn > want+0.01 {
		t.Errorf("churn is %v: one of the three of a month ago ended", f.Churn)
	}
	if len(f.Others) != 1 || f.Others[0].MRR != (billing.Money{Minor: 500, Currency: "USD"}) {
		t.Errorf("other currencies are %+v", f.Others)
	}
	var invoiced, received int64
	for _, m := range f.Months {
		invoiced, received = invoiced+m.Invoiced.Minor, received+m.Received.Minor
	}
	if len(f.Months) != 12 || invoiced != 3400 || received != 1190-119 {
		t.Errorf("%d months with %d invoiced and %d received", len(f.Months), invoiced, received)
	}
	if last := f.Months[11].From; last.Month() != w.Clock.Now().UTC().Month() || last.Day() != 1 {
		t.Errorf("the last month begins %s", last.Format(time.DateOnly))
	}
}

// The months that are over come from memory, this one does not, and nobody gets another's.
func TestMonthsThatAreOverAreRemembered(t *testing.T) {
	w := tenancytest.New(t)
	mustOpen(t, w.DB(w.A))
	var closed report.Closed
	read := func(of tenancy.Tenant, currency string) report.Figures {
		t.Helper()
		f, err := report.Read(t.Context(), w.DB(of), currency, nil, &closed)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	change := func(sql string) {
		t.Helper()
		must(t, w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw(sql, tx.Now()).Exec(t.Context())
			return err
		}))
	}
	first := read(w.A, "EUR")
	change("UPDATE invoices SET net_minor = net_minor + 100, total_minor = total_minor + 100 WHERE number IN ('N1', 'N2') AND ?::timestamptz IS NOT NULL")
	second := read(w.A, "EUR")
	for i := range first.Months {
		want := first.Months[i]
		if i == len(first.Months)-1 {
			want.Invoiced.Minor += 100 // N2 is of two days ago
		}
		if second.Months[i] != want {
			t.Errorf("month %d is %+v, want %+v", i, second.Months[i], want)
		}
	}
	if third := read(w.A, "USD"); third.Months[0].Invoiced.Currency != "USD" || third.Months[10].Received.Minor != 0 {
		t.Errorf("in dollars: %+v", third.Months)
	}
	for _, m := range read(w.B, "EUR").Months {
		if m.Invoiced.Minor != 0 || m.Received.Minor != 0 {
			t.Errorf("B sees %+v", m)
		}
	}
	w.Clock.Advance(time.Hour)
	if got := read(w.A, "EUR"); got.Months[10].Invoiced.Minor+got.Months[9].Invoiced.Minor != first.Months[10].Invoiced.Minor+first.Months[9].Invoiced.Minor+100 {
		t.Error("what is remembered is never read again")
	}
}

func TestMarginStaysUnknownWithoutEveryPrice(t *testing.T) {
	w := tenancytest.New(t)
	mustOpen(t, w.DB(w.A))
	for name, costs := range map[string]report.Costs{
		"nobody to ask":          nil,
		"no price for a product": priced{},
		"another currency":       priced{"vps-s": {Minor: 400, Currency: "USD"}},
	} {
		f, err := report.Read(t.Context(), w.DB(w.A), "EUR", costs, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.Margin.Currency != "" {
			t.Errorf("%s: the margin is said to be %s", name, f.Margin)
		}
	}
}

func TestAnotherTenantsBusinessIsNotSeen(t *testing.T) {
	w := tenancytest.New(t)
	mustOpen(t, w.DB(w.A))
	f, err := report.Read(t.Context(), w.DB(w.B), "EUR", priced{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.MRR.Minor != 0 || f.Subscriptions != 0 || f.Outstanding.Minor != 0 {
		t.Errorf("B sees %+v", f)
	}
	wants, err := wanting(t, w.DB(w.B))
	if err != nil || wants != (report.Wanting{}) {
		t.Errorf("B is asked for %+v, %v", wants, err)
	}
}

func TestWhatWantsAPerson(t *testing.T) {
	w := tenancytest.New(t)
	mustOpen(t, w.DB(w.A))
	got, err := wanting(t, w.DB(w.A))
	if err != nil {
		t.Fatal(err)
	}
	if want := (report.Wanting{ServicesFailed: 1, TransfersWaiting: 1, DisputesOpen: 1, RefundsWaiting: 1, PaymentsFailing: 1, GatewaysOn: 1, Sellable: 1, Ordered: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func wanting(t *testing.T, db *tenancy.DB) (got report.Wanting, err error) {
	t.Helper()
	err = db.View(t.Context(), func(tx *tenancy.Tx) error {
		got, err = report.Wants(t.Context(), tx)
		return err
	})
	return got, err
}
