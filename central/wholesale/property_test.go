package wholesale_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// The run in SQL and the rule in billing agree on every line and every stay, whatever
// happened, and what is adjusted later makes up exactly what was not known.
func TestTheRunIsTheRule(t *testing.T) {
	w := tenancytest.New(t)
	d := book(t, w)
	ctx := t.Context()
	nth := 0
	rapid.Check(t, func(t *rapid.T) {
		nth++
		_, err := w.Owner.Exec(ctx, `TRUNCATE central.balance_movements, central.wholesale_credits, central.wholesale_question_notes, central.wholesale_questions, central.wholesale_adjustments, central.wholesale_overrides, central.wholesale_evidence, central.wholesale_lines, central.wholesale_refunds, central.wholesale_payments, central.wholesale_invoices, central.wholesale_runs,
			central.usage_events, central.revenue_events, central.tenant_terms, central.wholesale_prices, central.tiers`)
		if err != nil {
			t.Fatal(err)
		}
		g := &scene{ctx: ctx, t: t, w: w, d: d, from: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)}
		g.book()
		for range rapid.IntRange(0, 14).Draw(t, "events") {
			g.event()
		}
		for range rapid.IntRange(0, 6).Draw(t, "documents") {
			g.document(time.Date(2026, 9, 15, 0, 0, 0, 0, time.UTC))
		}
		g.store(time.Date(2026, 9, 15, 0, 0, 0, 0, time.UTC))
		months := g.months()
		g.run(months[0])
		g.compare(months[0])
		g.run(months[0]) // twice changes nothing
		g.compare(months[0])
		late := rapid.IntRange(0, 5).Draw(t, "late events")
		for range late {
			g.event()
		}
		for range rapid.IntRange(0, 3).Draw(t, "late documents") {
			g.document(time.Time{})
		}
		g.store(time.Time{})
		for _, m := range months[1:] {
			g.run(m)
		}
		for _, m := range months {
			g.compare(m)
		}
	})
}

// months are the reseller's from September on: calendar months, or with a bill day that
// begins with them or a month later.
func (g *scene) months() (names []string) {
	var days []billing.BillDay
	if day := rapid.IntRange(-15, 28).Draw(g.t, "bill day"); day > 1 {
		days = []billing.BillDay{{From: g.from.AddDate(0, rapid.IntRange(0, 1).Draw(g.t, "changed"), 0), Day: day}}
	}
	kept, err := json.Marshal(append([]billing.BillDay{}, days...))
	if err != nil {
		g.t.Fatal(err)
	}
	g.exec(`INSERT INTO central.reseller_profiles (tenant_id, billing, tax_id, gateway_customer, method_ref, method_label, changed_at, bill_days) VALUES ($1, '{}', '', '', '', '', now(), $2::text::jsonb)
		ON CONFLICT (tenant_id) DO UPDATE SET bill_days = excluded.bill_days`, g.w.A.ID.Number(), string(kept))
	for at := g.from; at.Before(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)); {
		m := billing.BillMonth(days, at)
		name := m.From.Format("2006-01-02")
		switch whole := m.To.Equal(m.From.AddDate(0, 1, 0)); {
		case whole && m.From.Day() == 1:
			name = m.From.Format("2006-01")
		case !whole:
			name += ".." + m.To.Format("2006-01-02")
		}
		names, at = append(names, name), m.To
	}
	return names
}

// scene is one reseller's story, in the database and in values.
type scene struct {
	ctx    context.Context
	t      *rapid.T
	w      *tenancytest.World
	d      *wholesale.Desk
	from   time.Time
	events []billing.UsageEvent
	stored int
	prices []billing.PriceSpan
	tiers  []billing.TierSpan

	revenue []billing.RevenueEvent
}

// moment is one of the two months and their edges, odd to the microsecond now and then.
func (g *scene) moment(name string) time.Time {
	at := g.from.Add(time.Duration(rapid.IntRange(-20, 24*70).Draw(g.t, name)) * time.Hour)
	if rapid.Bool().Draw(g.t, name+" odd") {
		at = at.Add(time.Duration(rapid.IntRange(0, 3_600_000_000).Draw(g.t, name+" microseconds")) * time.Microsecond)
	}
	return at
}

func (g *scene) exec(sql string, args ...any) {
	if _, err := g.w.Owner.Exec(g.ctx, sql, args...); err != nil {
		g.t.Fatal(err)
	}
}

// book makes prices that hold without a gap, and a change of tier.
func (g *scene) book() {
	long := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, sku := range []string{"vps-s", "vps-m", "traffic"} {
		for _, tier := range []string{"", "pro"} {
			if tier == "pro" && rapid.Bool().Draw(g.t, "no price of its own") {
				continue
			}
			at := long
			if tier == "pro" {
				at = g.moment("begin of a tier's price").Truncate(time.Hour)
			}
			for i := range rapid.IntRange(1, 3).Draw(g.t, "prices") {
				rate := billing.Rate{Units: rapid.Int64Range(0, 2_000_00000000).Draw(g.t, "price"), Currency: "EUR"}
				to := time.Time{}
				if i < 2 {
					to = at.Add(time.Duration(rapid.IntRange(1, 24*300).Draw(g.t, "holds")) * time.Hour)
				}
				g.prices = append(g.prices, billing.PriceSpan{SKU: sku, Tier: tier, Rate: rate, Period: billing.Period{From: at, To: to}})
				at = to
				if to.IsZero() {
					break
				}
			}
			if last := &g.prices[len(g.prices)-1]; tier == "" {
				last.To = time.Time{}
			}
		}
	}
	for _, p := range g.prices {
		var to *time.Time
		if !p.To.IsZero() {
			to = &p.To
		}
		g.exec(`INSERT INTO central.wholesale_prices (id, sku, tier, currency, price_minor, valid_from, valid_to, created_by, created_at)
			VALUES (gen_random_uuid(), $1, $2, 'EUR', $3::text::numeric, $4, $5, '', now())`, p.SKU, p.Tier, p.Rate.Minor(), p.From, to)
	}
	g.overrides()
	change := g.moment("change of tier")
	g.tiers = []billing.TierSpan{
		{Tier: "start", Fee: billing.Money{Minor: 0, Currency: "EUR"}, CommissionPPM: rapid.Int64Range(0, 1_000_000).Draw(g.t, "share") / 100 * 100, Minimum: g.minimum(), Period: billing.Period{From: long, To: change}},
		{Tier: "pro", Fee: billing.Money{Minor: rapid.Int64Range(0, 9999).Draw(g.t, "fee"), Currency: "EUR"}, DiscountPPM: rapid.Int64Range(0, 1_000_000).Draw(g.t, "discount") / 100 * 100, Minimum: g.minimum(), Period: billing.Period{From: change}},
	}
	for _, s := range g.tiers {
		g.exec("INSERT INTO central.tiers (tier, currency, name, fee_minor, discount_percent, commission_percent, minimum_minor, valid_from) VALUES ($1, 'EUR', $1, $2, $3::bigint / 10000.0, $5::bigint / 10000.0, $6, $4)",
			s.Tier, s.Fee.Minor, s.DiscountPPM, long, s.CommissionPPM, s.Minimum.Minor)
		g.exec("INSERT INTO central.tenant_terms (tenant_id, valid_from, tier, currency, set_by, created_at) VALUES ($1, $2, $3, 'EUR', '', now())", g.w.A.ID.Number(), s.From, s.Tier)
	}
}

// overrides are prices agreed with the reseller: they begin and end in the middle of things.
func (g *scene) overrides() {
	for _, sku := range []string{"vps-s", "traffic"} {
		at := g.moment("begin of an own price")
		for range rapid.IntRange(0, 2).Draw(g.t, "own prices") {
			p := billing.PriceSpan{SKU: sku, Own: true, Rate: billing.Rate{Units: rapid.Int64Range(0, 2_000_00000000).Draw(g.t, "own price"), Currency: "EUR"}, Period: billing.Period{From: at}}
			at = at.Add(time.Duration(rapid.IntRange(1, 24*30).Draw(g.t, "holds")) * time.Hour)
			if p.To = at; rapid.Bool().Draw(g.t, "gap") {
				at = at.Add(time.Hour)
			}
			g.prices = append(g.prices, p)
			g.exec(`INSERT INTO central.wholesale_overrides (id, tenant_id, sku, currency, price_minor, valid_from, valid_to, reason, created_by, created_at)
				VALUES (gen_random_uuid(), $1, $2, 'EUR', $3::text::numeric, $4, $5, '', '', now())`, g.w.A.ID.Number(), p.SKU, p.Rate.Minor(), p.From, p.To)
		}
	}
}

// minimum is what a tier asks for at least, or nothing.
func (g *scene) minimum() billing.Money {
	return billing.Money{Minor: max(0, rapid.Int64Range(-100_000, 500_000).Draw(g.t, "minimum")), Currency: "EUR"}
}

// document is an invoice or credit note of the reseller, told at a moment; zero: now.
func (g *scene) document(recorded time.Time) {
	if recorded.IsZero() {
		recorded = time.Now().Add(-time.Second).UTC().Truncate(time.Microsecond)
	}
	e := billing.RevenueEvent{
		Key: fmt.Sprintf("d%03d", len(g.revenue)), Kind: rapid.SampledFrom([]string{"invoiced", "invoiced", "credited", "paid"}).Draw(g.t, "document"),
		Currency: rapid.SampledFrom([]string{"EUR", "EUR", "USD"}).Draw(g.t, "in"), Minor: rapid.Int64Range(1, 500_000).Draw(g.t, "net"), At: g.moment("issued"), RecordedAt: recorded,
	}
	g.revenue = append(g.revenue, e)
	g.exec("INSERT INTO central.revenue_events (tenant_id, key, kind, currency, amount_minor, at, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		g.w.A.ID.Number(), e.Key, e.Kind, e.Currency, e.Minor, e.At, recorded)
}

func (g *scene) event() {
	kind := rapid.SampledFrom([]string{"start", "change", "stop", "quantity"}).Draw(g.t, "kind")
	e := billing.UsageEvent{
		Key: fmt.Sprintf("k%03d", len(g.events)), Subject: fmt.Sprintf("service/%d", rapid.IntRange(1, 3).Draw(g.t, "subject")), Kind: kind,
		SKU: rapid.SampledFrom([]string{"vps-s", "vps-m"}).Draw(g.t, "sku"), Quantity: rapid.Int64Range(1, 3).Draw(g.t, "quantity"), At: g.moment("at"),
	}
	if kind == "quantity" {
		e.SKU = "traffic"
	}
	g.events = append(g.events, e)
}

// store writes the new events; recorded says when, the zero time now.
func (g *scene) store(recorded time.Time) {
	if recorded.IsZero() {
		recorded = time.Now().Add(-time.Second).UTC().Truncate(time.Microsecond)
	}
	for ; g.stored < len(g.events); g.stored++ {
		e := &g.events[g.stored]
		e.RecordedAt = recorded
		g.exec("INSERT INTO central.usage_events (tenant_id, key, subject, sku, kind, quantity, at, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
			g.w.A.ID.Number(), e.Key, e.Subject, e.SKU, e.Kind, e.Quantity, e.At, e.RecordedAt)
	}
}

func (g *scene) run(period string) {
	m, err := wholesale.ParseMonth(period)
	if err != nil {
		g.t.Fatal(err)
	}
	g.w.Clock.Set(m.To)
	if _, err := g.d.Run(g.ctx, m, anna, false); err != nil {
		g.t.Fatal(err)
	}
}

// compare holds what was billed for a month, adjustments and all, to the rule.
func (g *scene) compare(period string) {
	m, err := wholesale.ParseMonth(period)
	if err != nil {
		g.t.Fatal(err)
	}
	rule, missing, err := billing.BillUsage(billing.Period{From: m.From, To: m.To}, g.events, g.prices, g.tiers)
	if err != nil || len(missing) > 0 {
		g.t.Fatal(missing, err)
	}
	var want, got []string
	var sum int64
	off := map[string]int64{}
	for _, l := range rule {
		want = append(want, fmt.Sprintf("%s %s %s %d: %d", l.Kind, l.SKU, l.Tier, l.Rate.Units, l.Net.Minor))
		if l.Kind != "fee" {
			off[l.Tier] += l.Net.Minor
		}
		for _, s := range l.Stays {
			want = append(want, fmt.Sprintf("%s %s: %s %s %s %d %s %s", l.SKU, l.Tier, s.Subject, s.From.Format(time.RFC3339Nano), s.To.Format(time.RFC3339Nano), s.Quantity, s.Start, s.Stop))
		}
		sum += l.Net.Minor
	}
	for _, s := range g.tiers {
		less, err := billing.Money{Minor: off[s.Tier], Currency: "EUR"}.Ratio(s.DiscountPPM, 1_000_000)
		if err != nil {
			g.t.Fatal(err)
		}
		if less.Minor != 0 {
			want = append(want, fmt.Sprintf("discount  %s: %d", s.Tier, -less.Minor))
		}
		sum -= less.Minor
	}
	agreed, shares := g.agreed(m, sum)
	want = append(want, agreed...)
	got = append(got, g.billed(period)...)
	if documents := g.documents(period); !slices.Equal(documents, shares) {
		g.t.Fatalf("the shares of %s stand on\n%q\nand the rule says\n%q", period, documents, shares)
	}
	slices.SortFunc(want, cmp.Compare)
	slices.SortFunc(got, cmp.Compare)
	want = slices.DeleteFunc(want, isNothing)
	got = slices.DeleteFunc(got, isNothing)
	if !slices.Equal(want, got) {
		g.t.Fatalf("%s was billed as\n%q\nand the rule says\n%q", period, got, want)
	}
}

// agreed is what the rules say of shares and the minimum when all else comes to sum, and the
// documents that the shares stand on.
func (g *scene) agreed(m wholesale.Month, sum int64) (lines, documents []string) {
	shares, err := billing.Commission(billing.Period{From: m.From, To: m.To}, g.revenue, g.tiers)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, l := range shares {
		lines = append(lines, fmt.Sprintf("commission  %s: %d", l.Tier, l.Net.Minor))
		sum += l.Net.Minor
		for _, e := range l.Events {
			documents = append(documents, fmt.Sprintf("%s %s %d", l.Tier, e.Key, e.Signed()))
		}
	}
	agreed, err := billing.Agreed(billing.Period{From: m.From, To: m.To}, g.tiers)
	if err != nil {
		g.t.Fatal(err)
	}
	if agreed.Minor > 0 && agreed.Minor > sum {
		last := "" // the line is the last tier's with a minimum
		for _, s := range g.tiers {
			if s.Minimum.Minor > 0 && s.From.Before(m.To) && (s.To.IsZero() || s.To.After(m.From)) {
				last = s.Tier
			}
		}
		lines = append(lines, fmt.Sprintf("minimum  %s: %d", last, agreed.Minor-sum))
	}
	slices.Sort(documents)
	return lines, documents
}

// documents are what the billed shares of a month stand on.
func (g *scene) documents(period string) (all []string) {
	err := g.w.Central.View(g.ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT l.tier || ' ' || e.start_key || ' ' || (e.quantity * e.price_minor)::bigint FROM wholesale_lines l JOIN wholesale_evidence e USING (invoice_id, position)
			WHERE l.period = ? AND 'commission' IN (l.kind, l.adjusts) ORDER BY 1`, period).Scan(g.ctx, &all)
	})
	if err != nil {
		g.t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// isNothing is a line that sums to nothing: an adjustment may leave one.
func isNothing(s string) bool { return len(s) > 3 && s[len(s)-3:] == ": 0" }

// billed is what was billed for a month in all, lines and evidence.
func (g *scene) billed(period string) (all []string) {
	err := g.w.Central.View(g.ctx, func(tx *tenancy.CentralTx) error {
		var lines []string
		err := tx.NewRaw(`SELECT kind || ' ' || sku || ' ' || tier || CASE WHEN kind IN ('discount', 'commission', 'minimum') THEN '' ELSE ' ' || (price_minor * 100000000)::bigint END || ': ' || sum(net_minor)
			FROM (SELECT CASE kind WHEN 'adjustment' THEN adjusts ELSE kind END AS kind, sku, tier, CASE WHEN kind IN ('discount', 'commission', 'minimum') OR adjusts IN ('discount', 'commission', 'minimum') THEN 0 ELSE price_minor END AS price_minor, net_minor
				FROM wholesale_lines WHERE period = ?) l GROUP BY kind, sku, tier, price_minor`, period).Scan(g.ctx, &lines)
		if err != nil {
			return err
		}
		var stays []struct {
			SKU                              string `bun:"sku"`
			Tier, Subject, StartKey, StopKey string
			FromAt, ToAt                     time.Time
			Quantity                         int64
		}
		err = tx.NewRaw(`SELECT l.sku, l.tier, e.subject, e.start_key, e.stop_key, e.from_at, e.to_at, sum(e.quantity)::bigint AS quantity
			FROM wholesale_lines l JOIN wholesale_evidence e USING (invoice_id, position) WHERE l.period = ?
				AND NOT (kind IN ('commission', 'minimum') OR adjusts IN ('commission', 'minimum'))
			GROUP BY l.sku, l.tier, l.price_minor, e.subject, e.start_key, e.stop_key, e.from_at, e.to_at HAVING sum(e.quantity) <> 0`, period).Scan(g.ctx, &stays)
		for _, s := range stays {
			all = append(all, fmt.Sprintf("%s %s: %s %s %s %d %s %s", s.SKU, s.Tier, s.Subject, s.FromAt.UTC().Format(time.RFC3339Nano), s.ToAt.UTC().Format(time.RFC3339Nano), s.Quantity, s.StartKey, s.StopKey))
		}
		all = append(all, lines...)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return all
}
