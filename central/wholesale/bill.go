package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
)

// billed is a reseller in a batch.
type billed struct {
	ID         tenancy.ID
	Name       string
	OwnerEmail string
	Locale     string
	TimeZone   string
	Billing    json.RawMessage
	TaxID      string

	invoice uuid.UUID
	lines   []ratedLine
	byHand  []uuid.UUID // the amounts by hand among them
}

// ratedLine is a line as the statements answer it.
type ratedLine struct {
	TenantID   int64
	Position   int
	Kind       string
	Adjusts    string
	SKU        string `bun:"sku"`
	SKUName    string `bun:"sku_name"`
	Unit       string
	Tier       string
	TierName   string
	Currency   string
	PPM        int64 `bun:"ppm"`
	PriceMinor string
	Quantity   string
	NetMinor   int64
	Subjects   int64
	FirstAt    time.Time

	period      string
	description string
}

// positions of adjustments lie behind all others of an invoice.
const adjustmentsFrom, perAdjustment = 1_000_000, 10_000

// bill works out and writes one batch.
func (r *run) bill(ctx context.Context, who []billed) error {
	place := map[int64]int{}
	for i := range who {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		who[i].invoice = id
		place[int64(who[i].ID.Number())] = i
	}
	lines, err := r.rate(ctx, billSQL, who, r.month, 0)
	if err != nil {
		return fmt.Errorf("bill: %w", err)
	}
	for _, l := range lines {
		if l.PriceMinor == "" {
			r.report.Missing = append(r.report.Missing, Missing{who[place[l.TenantID]].ID, l.SKU, l.Tier, l.Currency, l.FirstAt.UTC()})
			continue
		}
		l.period = r.month.Name
		l.describe()
		w := &who[place[l.TenantID]]
		w.lines = append(w.lines, l)
	}
	for i := range who {
		who[i].lines = append(who[i].lines, discounts(who[i].lines, r.month.Name)...)
	}
	if err := r.share(ctx, who, place, r.month, sharesFrom, false, who); err != nil {
		return err
	}
	if err := r.least(ctx, who); err != nil {
		return err
	}
	for i, c := range r.closed {
		if err := r.adjust(ctx, c, i, who, place); err != nil {
			return fmt.Errorf("adjust %s: %w", c.Name, err)
		}
	}
	if err := r.byHand(ctx, who, place); err != nil {
		return err
	}
	who = slices.DeleteFunc(who, func(w billed) bool { return len(w.lines) == 0 })
	if !r.only.IsZero() {
		r.seen = append(r.seen, who...)
		return nil
	}
	if err := r.issue(ctx, who); err != nil {
		return err
	}
	return r.takeByHand(ctx, who)
}

// rate runs one of the two large statements over a batch.
func (r *run) rate(ctx context.Context, sql string, who []billed, m Month, from int) (lines []ratedLine, err error) {
	type member struct {
		TenantID  int64     `json:"tenant_id"`
		InvoiceID uuid.UUID `json:"invoice_id"`
	}
	members, ids := make([]member, len(who)), make([]tenancy.ID, len(who))
	for i, w := range who {
		members[i], ids[i] = member{w.ID.Number(), w.invoice}, w.ID
	}
	list, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	err = r.tx.NewRaw(sql, string(list), m.From, m.To, r.cutOff, from, m.Name, listOf(ids)).Scan(ctx, &lines)
	return lines, err
}

// adjust works a closed month out again for those of the batch about whom something was
// recorded late, and puts the differences on this run's invoices.
func (r *run) adjust(ctx context.Context, c closedRun, nth int, who []billed, place map[int64]int) error {
	var late []billed
	for _, w := range who {
		if c.Tenants[int64(w.ID.Number())] {
			late = append(late, w)
		}
	}
	if len(late) == 0 {
		return nil
	}
	from := adjustmentsFrom + nth*perAdjustment
	lines, err := r.rate(ctx, adjustSQL, late, c.Month, from)
	if err != nil {
		return err
	}
	moved := map[int64][]ratedLine{}
	for _, l := range lines {
		l.period = c.Name
		l.describe()
		moved[l.TenantID] = append(moved[l.TenantID], l)
	}
	for tenant, lines := range moved {
		w := &who[place[tenant]]
		more, err := r.adjustDiscounts(ctx, w.ID, c.Name, lines)
		if err != nil {
			return err
		}
		w.lines = append(append(w.lines, lines...), more...)
	}
	if err := r.share(ctx, late, place, c.Month, from+adjustedSharesFrom, true, who); err != nil {
		return err
	}
	return r.adjustLeast(ctx, late, c.Month, from, who, place)
}

// discounts are one line for each tier with a discount, on the sum of its lines.
func discounts(lines []ratedLine, period string) (more []ratedLine) {
	type group struct {
		tier string
		ppm  int64
	}
	var order []group
	sums := map[group]*ratedLine{}
	last := 0
	for _, l := range lines {
		last = max(last, l.Position)
		if l.PPM == 0 || l.Kind == "fee" {
			continue
		}
		g := group{l.Tier, l.PPM}
		if sums[g] == nil {
			sums[g] = &ratedLine{TenantID: l.TenantID, Kind: "discount", Tier: l.Tier, TierName: l.TierName, Currency: l.Currency, PPM: l.PPM, period: period}
			order = append(order, g)
		}
		sums[g].NetMinor += l.NetMinor
	}
	for i, g := range order {
		l := *sums[g]
		l.discount(l.NetMinor)
		l.Position = last + 1 + i
		more = append(more, l)
	}
	return more
}

// discount makes l what comes off base.
func (l *ratedLine) discount(base int64) {
	off, err := billing.Money{Minor: base, Currency: l.Currency}.Ratio(-l.PPM, billing.PpmWhole)
	if err != nil { // a base of 64 bits times at most one fits
		off = billing.Money{}
	}
	l.NetMinor = off.Minor
	l.Quantity, l.PriceMinor = "-"+fractionOf(l.PPM), fmt.Sprint(base)
	l.description = fmt.Sprintf("%s %% off services and metered units (%s)", percent(l.PPM), l.TierName)
}

// fractionOf is parts per million as a decimal.
func fractionOf(ppm int64) string { return fmt.Sprintf("%d.%06d", ppm/1_000_000, ppm%1_000_000) }

// adjustDiscounts are what the discounts of a closed month would have been more or less.
func (r *run) adjustDiscounts(ctx context.Context, tenant tenancy.ID, period string, moved []ratedLine) (more []ratedLine, err error) {
	var was []struct {
		Tier string
		Base int64
		Net  int64
	}
	err = r.tx.NewRaw(`SELECT l.tier, coalesce(sum(l.net_minor) FILTER (WHERE 'service' IN (l.kind, l.adjusts) OR 'metered' IN (l.kind, l.adjusts)), 0)::bigint AS base,
			coalesce(sum(l.net_minor) FILTER (WHERE 'discount' IN (l.kind, l.adjusts)), 0)::bigint AS net
		FROM wholesale_invoices i JOIN wholesale_lines l ON l.invoice_id = i.id
		WHERE i.tenant_id = ? AND l.period = ? AND l.kind <> 'fee' GROUP BY l.tier`, tenant, period).Scan(ctx, &was)
	if err != nil {
		return nil, err
	}
	type sum struct{ base, net int64 }
	before := map[string]sum{}
	for _, w := range was {
		before[w.Tier] = sum{w.Base, w.Net}
	}
	seen := map[string]int{}
	last := 0
	for _, l := range moved {
		last = max(last, l.Position)
		if l.PPM == 0 {
			continue
		}
		i, ok := seen[l.Tier]
		if !ok {
			i = len(more)
			seen[l.Tier] = i
			more = append(more, ratedLine{TenantID: l.TenantID, Kind: "adjustment", Adjusts: "discount", Tier: l.Tier, TierName: l.TierName, Currency: l.Currency, PPM: l.PPM, period: period, NetMinor: before[l.Tier].base})
		}
		more[i].NetMinor += l.NetMinor
	}
	for i := range more {
		l := &more[i]
		l.discount(l.NetMinor)
		l.NetMinor -= before[l.Tier].net
		l.Position = last + 1 + i
		l.description = "Adjustment of " + period + ": " + l.description
	}
	return slices.DeleteFunc(more, func(l ratedLine) bool { return l.NetMinor == 0 }), nil
}

// describe says in words what a line is.
func (l *ratedLine) describe() {
	quantity := trimZeros(l.Quantity, 4)
	price := l.PriceMinor
	if rate, err := billing.ParseMinorRate(l.PriceMinor, l.Currency); err == nil {
		price = rate.Decimal() + " " + l.Currency
	}
	switch kind := l.Kind + l.Adjusts; kind {
	case "fee":
		l.description = fmt.Sprintf("Platform fee, tier %s", l.TierName)
		if quantity != "1" {
			l.description += fmt.Sprintf(" (%s of the month at %s)", quantity, price)
		}
	case "metered", "adjustmentmetered":
		l.description = fmt.Sprintf("%s: %s %s at %s", l.SKUName, quantity, l.Unit, price)
	default:
		months := "service months"
		if strings.TrimPrefix(quantity, "-") == "1" {
			months = "service month"
		}
		l.description = fmt.Sprintf("%s: %s %s at %s", l.SKUName, quantity, months, price)
	}
	if l.Kind == "adjustment" {
		l.description = "Adjustment of " + l.period + ": " + l.description
	}
}

// trimZeros is a decimal with at most so many decimals, rounded half up in words only,
// and without zeros at its end.
func trimZeros(s string, most int) string {
	whole, part, _ := strings.Cut(s, ".")
	if len(part) > most {
		part = part[:most]
	}
	if part = strings.TrimRight(part, "0"); part != "" {
		whole += "." + part
	}
	return whole
}

// taxOf is the tax on what is sold to a reseller of a country now.
func (r *run) taxOf(country, taxID string) billing.TaxRule {
	return billing.TaxFor(billing.TaxCase{Seller: billing.TaxParty{Country: r.seller.Country, OSS: true}, Country: country, TaxID: taxID, At: r.tx.Now()})
}

// document is the reseller's invoice, as it is kept for ever.
func (r *run) document(w billed, number string) (document.Document, error) {
	var buyer document.Party
	if err := json.Unmarshal(w.Billing, &buyer); err != nil {
		return document.Document{}, fmt.Errorf("billing profile of %s: %w", w.ID, err)
	}
	if buyer.Name == "" && buyer.Company == "" {
		buyer.Company = w.Name
	}
	if buyer.Email == "" {
		buyer.Email = w.OwnerEmail
	}
	buyer.TaxID = w.TaxID
	d := document.Document{
		Version: document.Version, Kind: document.Invoice, Number: number, IssuedAt: r.tx.Now(), DueAt: r.tx.Now().AddDate(0, 0, r.seller.DueDays),
		Locale: w.Locale, TimeZone: w.TimeZone, Currency: w.lines[0].Currency, Seller: r.seller.Party, Buyer: buyer,
		CustomerNo: w.ID.String(), Footer: r.seller.Footer,
	}
	rule := r.taxOf(buyer.Country, w.TaxID)
	net := billing.Money{Currency: d.Currency}
	lines := make([]billing.Line, len(w.lines))
	for i, l := range w.lines {
		m, err := ParseMonth(l.period)
		if err != nil { // of no other month
			m = r.month
		}
		amount := billing.Money{Minor: l.NetMinor, Currency: d.Currency}
		lines[i] = billing.Line{Kind: l.Kind, Description: l.description, Period: billing.Period{From: m.From, To: m.To}, Quantity: 1, Unit: amount, Net: amount, Tax: rule}
		if net, err = net.Add(amount); err != nil {
			return d, err
		}
	}
	// Adjustments may make it less than nothing: then it is what we owe, tax included.
	tax, err := net.Ratio(rule.Ppm, billing.PpmWhole)
	if err != nil {
		return d, err
	}
	total, err := net.Add(tax)
	if err != nil {
		return d, err
	}
	d.Put(lines, []billing.TaxSum{{Rule: rule, Net: net, Tax: tax}})
	d.NetMinor, d.TaxMinor, d.TotalMinor = net.Minor, tax.Minor, total.Minor
	return d, r.stateTax(&d)
}
