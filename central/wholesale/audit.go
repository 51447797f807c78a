package wholesale

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Ran is a service as its own tenant knows it.
type Ran struct {
	ID      uuid.UUID
	SKU     string
	BeganAt time.Time
	EndedAt time.Time // zero: it runs

	RetailMinor    int64 // what the customer pays a cycle
	RetailCurrency string
	RetailCycle    string

	Addons []RanAddon // that it has or had besides
}

// RanAddon is a stay of something of the price book that a service has besides its product.
type RanAddon struct {
	Code string    `json:"code"`
	SKU  string    `json:"sku"`
	N    int64     `json:"n"`
	From time.Time `json:"from,omitzero"` // zero: the service does not run yet
	To   time.Time `json:"to,omitzero"`   // zero: the service has it
}

// Running reads a tenant's services in the tenant's own schema; this package cannot.
type Running interface {
	// Ran are the services that ran at some time within [from, to).
	Ran(ctx context.Context, tenant tenancy.ID, from, to time.Time) ([]Ran, error)
}

// Difference is where what ran and what was billed do not agree.
type Difference struct {
	Tenant  tenancy.ID `json:"tenant"`
	Kind    string     `json:"kind"` // unbilled, overbilled, times, sku, projection, amount
	Subject string     `json:"subject"`
	Text    string     `json:"text"`
}

// Audit is what an audit of a month found.
type Audit struct {
	Period      string       `json:"period"`
	Tenants     int          `json:"tenants"`
	Services    int          `json:"services"`
	Lines       int          `json:"lines"`
	Pending     int          `json:"pending"` // resellers with late facts that the next run adjusts
	Differences []Difference `json:"differences"`
}

// Audit compares three tellings of a billed month: the services as the tenants' own
// schemas say they ran, the usage ledger worked out by the rule in billing, and what the
// invoices billed, line by line and stay by stay, adjustments included. Who was
// dropped has no schema left to compare with. Nothing is changed. Fault: wholesale.not_billed.
func (d *Desk) Audit(ctx context.Context, m Month, running Running) (Audit, error) {
	a := &auditor{desk: d, month: m, running: running, report: Audit{Period: m.Name}}
	if err := a.prepare(ctx); err != nil {
		return Audit{}, fmt.Errorf("audit %s: %w", m.Name, err)
	}
	for some := range slices.Chunk(a.tenants, batch) {
		told, err := a.read(ctx, some)
		if err != nil {
			return Audit{}, fmt.Errorf("audit %s: %w", m.Name, err)
		}
		for i, id := range some {
			if err := a.tenant(ctx, id, told[i]); err != nil {
				return Audit{}, fmt.Errorf("audit %s of %s: %w", m.Name, id, err)
			}
		}
	}
	return a.report, nil
}

type auditor struct {
	desk    *Desk
	month   Month
	running Running
	report  Audit

	tenants []tenancy.ID
	prices  []billing.PriceSpan
	own     map[tenancy.ID][]billing.PriceSpan // agreed with one reseller
	tiers   []Tier
	days    billDays
	runs    []ranMonth // the newest cut-off first
}

// ranMonth is a month that was billed, with what was recorded up to its cut-off.
type ranMonth struct {
	Month
	cutOff time.Time
}

// cutOff is up to when the last run that billed a reseller knew what was recorded.
func (a *auditor) cutOff(id tenancy.ID) time.Time {
	for _, r := range a.runs {
		if a.days.own(id.Number(), r.Month) {
			return r.cutOff
		}
	}
	return time.Time{}
}

func (a *auditor) prepare(ctx context.Context) error {
	var prices []priceRow
	var tiers []tierRow
	var who []struct{ ID tenancy.ID }
	err := a.desk.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var err error
		if a.days, err = daysIn(ctx, tx); err != nil {
			return err
		}
		var runs []struct {
			Period string
			CutOff time.Time
		}
		if err := tx.NewRaw("SELECT period, cut_off FROM wholesale_runs WHERE state = 'done' ORDER BY cut_off DESC").Scan(ctx, &runs); err != nil {
			return err
		}
		billed := false
		for _, r := range runs {
			m, err := ParseMonth(r.Period)
			if err != nil {
				return err
			}
			billed = billed || m == a.month
			a.runs = append(a.runs, ranMonth{m, r.CutOff})
		}
		if !billed {
			return fault.New(fault.Conflict, "wholesale.not_billed", "The month "+a.month.Name+" was not billed yet.")
		}
		err = tx.NewRaw(`SELECT t.id FROM tenants t WHERE NOT t.sandbox AND t.status <> 'dropped' AND EXISTS (SELECT FROM tenant_terms x WHERE x.tenant_id = t.id AND x.valid_from < ?)
			ORDER BY t.id`, a.month.To).Scan(ctx, &who)
		if err != nil {
			return err
		}
		for _, t := range who {
			if a.days.own(t.ID.Number(), a.month) {
				a.tenants = append(a.tenants, t.ID)
			}
		}
		if err := tx.NewRaw("SELECT "+priceColumns+" FROM wholesale_prices p").Scan(ctx, &prices); err != nil {
			return err
		}
		if a.own, err = ownSpans(ctx, tx); err != nil {
			return err
		}
		return tx.NewRaw("SELECT "+tierColumns+" FROM tiers t").Scan(ctx, &tiers)
	})
	for _, r := range prices {
		if err != nil {
			break
		}
		var p BookPrice
		p, err = r.price()
		a.prices = append(a.prices, billing.PriceSpan{SKU: p.SKU, Tier: p.Tier, Rate: p.Price, Period: billing.Period{From: p.From, To: p.To}})
	}
	for _, r := range tiers {
		a.tiers = append(a.tiers, r.tier())
	}
	return err
}

func (a *auditor) tenant(ctx context.Context, id tenancy.ID, t told) error {
	ran, err := a.running.Ran(ctx, id, a.month.From, a.month.To)
	if err != nil {
		return err
	}
	rule, _, err := billing.BillUsage(billing.Period{From: a.month.From, To: a.month.To}, t.events, append(slices.Clip(a.prices), a.own[id]...), t.spans)
	if err != nil {
		return err
	}
	a.report.Tenants++
	a.report.Services += len(ran)
	a.report.Lines += len(t.lines)
	a.services(id, "times", "overbilled", "unbilled", whatRan(ran, a.month, t.since), whatRule(rule))
	a.services(id, "projection", "projection", "projection", whatRan(ran, a.month, t.since), whatRan(t.projected, a.month, t.since))
	a.retail(id, ran, t.projected)
	due, billed, err := a.agreed(t)
	if err != nil {
		return err
	}
	a.amounts(id, t, rule, due, billed)
	return nil
}

// agreed is what the rules say of shares and the minimum, and what was billed of them.
func (a *auditor) agreed(t told) (due, billed times, err error) {
	m := billing.Period{From: a.month.From, To: a.month.To}
	due, billed = times{}, times{}
	say := func(to times, key string, minor int64) {
		if minor != 0 {
			to[key] = fmt.Sprint(minor)
		}
	}
	shares, err := billing.Commission(m, t.revenue, t.spans)
	if err != nil {
		return nil, nil, err
	}
	for _, l := range shares {
		say(due, "share of revenue on "+l.Tier, l.Net.Minor)
	}
	for tier, minor := range t.shares {
		say(billed, "share of revenue on "+tier, minor)
	}
	for line, minor := range t.entered {
		say(due, "by hand "+line, minor)
	}
	for line, minor := range t.byHand {
		say(billed, "by hand "+line, minor)
	}
	running := make([]billing.TierSpan, 0, len(t.spans))
	for _, s := range t.spans {
		if !t.archived.IsZero() && (s.To.IsZero() || s.To.After(t.archived)) {
			s.To = t.archived
		}
		if s.To.IsZero() || s.From.Before(s.To) {
			running = append(running, s)
		}
	}
	agreed, err := billing.Agreed(m, running)
	if err != nil {
		return nil, nil, err
	}
	say(billed, "to the minimum", t.least)
	if agreed.Minor == 0 {
		return due, billed, nil
	}
	lack, err := billing.ToTheMinimum(agreed, billing.Money{Minor: t.rest, Currency: agreed.Currency})
	say(due, "to the minimum", lack.Minor)
	return due, billed, err
}

// retail compares what customers pay for what runs with what the platform was told of it:
// outlooks of the price book stand on that.
func (a *auditor) retail(id tenancy.ID, ran, projected []Ran) {
	say := func(all []Ran) times {
		said := times{}
		for _, r := range all {
			if r.EndedAt.IsZero() && r.RetailCurrency != "" {
				said["service/"+r.ID.String()] = fmt.Sprintf("%s %s", billing.Money{Minor: r.RetailMinor, Currency: r.RetailCurrency}, r.RetailCycle)
			}
		}
		return said
	}
	sold, told := say(ran), say(projected)
	for _, subject := range keysOf(sold, told) {
		if sold[subject] != told[subject] {
			a.differ(id, "projection", subject, "it is sold for "+cmp.Or(sold[subject], "nothing known")+", and "+cmp.Or(told[subject], "nothing")+" was told")
		}
	}
}

// services compares two tellings of when services ran.
func (a *auditor) services(id tenancy.ID, differs, tooMuch, tooLittle string, ran, other times) {
	for _, subject := range keysOf(ran, other) {
		was, isRan := ran[subject]
		said, isSaid := other[subject]
		switch {
		case isRan && !isSaid:
			a.differ(id, tooLittle, subject, "it ran "+was+" and nothing of it is known")
		case !isRan && isSaid:
			a.differ(id, tooMuch, subject, "it did not run, and yet is known to have run "+said)
		case was != said && differs == "times" && was[:strings.Index(was, " as ")] == said[:max(0, strings.LastIndex(said, " as "))]:
			a.differ(id, "sku", subject, "it is "+was[strings.Index(was, " as ")+4:]+" and was billed "+said)
		case was != said:
			a.differ(id, differs, subject, "it ran "+was+" and is known to have run "+said)
		}
	}
}

// amounts compares what was billed with the rule; due and billed hold what was agreed.
func (a *auditor) amounts(id tenancy.ID, t told, rule []billing.UsageLine, due, billed times) {
	for _, l := range rule {
		if l.Kind == "fee" {
			continue
		}
		due["line "+l.Kind+" "+l.SKU+" "+l.Tier+" "+l.Rate.Minor()] = fmt.Sprint(l.Net.Minor)
		for _, s := range l.Stays {
			due[stayKey(s.Subject, l.SKU, s.From, s.To, l.Rate.Minor())] = fmt.Sprint(s.Quantity)
		}
	}
	for _, l := range t.lines {
		rate, err := billing.ParseMinorRate(l.PriceMinor, l.Currency)
		if err == nil && l.NetMinor != 0 {
			billed["line "+l.Kind+" "+l.SKU+" "+l.Tier+" "+rate.Minor()] = fmt.Sprint(l.NetMinor)
		}
	}
	for _, s := range t.stays {
		price := strings.TrimSuffix(strings.TrimRight(s.PriceMinor, "0"), ".")
		billed[stayKey(s.Subject, s.SKU, s.FromAt, s.ToAt, price)] = fmt.Sprint(s.Quantity)
	}
	var found []Difference
	for _, key := range keysOf(due, billed) {
		if was, said := cmp.Or(due[key], "0"), cmp.Or(billed[key], "0"); was != said {
			found = append(found, Difference{id, "amount", key, "the rule says " + was + " and " + said + " was billed"})
		}
	}
	if len(found) == 0 {
		return
	}
	cutOff := a.cutOff(id)
	late := slices.ContainsFunc(t.events, func(e billing.UsageEvent) bool { return e.RecordedAt.After(cutOff) }) ||
		slices.ContainsFunc(t.revenue, func(e billing.RevenueEvent) bool { return e.RecordedAt.After(cutOff) })
	if late {
		a.report.Pending++
		return
	}
	a.report.Differences = append(a.report.Differences, found...)
}

func (a *auditor) differ(id tenancy.ID, kind, subject, text string) {
	a.report.Differences = append(a.report.Differences, Difference{id, kind, subject, text})
}
