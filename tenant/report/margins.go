package report

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
)

// Wholesale tells what a tenant's months cost it wholesale, as they were billed, and what
// will cost it more. cmd answers it from the platform's invoices and price book. It is asked outside any transaction.
type Wholesale interface {
	// Billed are the billed months that begin within [from, to), the earliest first.
	Billed(ctx context.Context, tenant tenancy.ID, from, to time.Time) ([]MonthCost, error)
	// Planned are the wholesale prices that are set to change, the earliest first.
	Planned(ctx context.Context, tenant tenancy.ID) ([]PlannedPrice, error)
}

// MonthCost is what one month cost, net: by service, and everything else.
type MonthCost struct {
	From, To time.Time // a calendar month, UTC, or from a bill day to the next
	Currency string
	Services map[uuid.UUID]int64 // minor units
	Rest     int64               // fee, share of revenue, minimum, amounts by hand, rounding
}

// By is what margins are told by.
type By string

// The ways margins are told.
const (
	ByPlan     By = "plan"
	ByCustomer By = "customer"
	ByMonth    By = "month"
)

// MarginRow is what one plan, customer or month brought, cost and left.
type MarginRow struct {
	ID      string // of the plan or customer, or the month: 2026-10
	Label   string
	Revenue billing.Money
	Cost    billing.Money
	Margin  billing.Money
}

// Percent is the margin of the revenue.
func (r MarginRow) Percent() float64 {
	if r.Revenue.Minor <= 0 {
		return 0
	}
	return 100 * float64(r.Margin.Minor) / float64(r.Revenue.Minor)
}

// Margins are what a shop's billed months brought and cost. Revenue counts in the months it
// is for, not in the one it was invoiced in: a year's price is spread over its year.
type Margins struct {
	Currency string // the one the reseller is billed in
	From, To time.Time
	Rows     []MarginRow
	ByMonth  []MarginRow   // each month, with everything, the earliest first
	Rest     billing.Money // cost of no plan and no customer; told by month it is in the rows
	Sum      MarginRow     // of everything
	Others   []billing.Money
	Rising   []Squeezed // wholesale prices that are set to rise
}

// marginMonths is how far back margins go at most.
const marginMonths = 12

// ReadMargins works out the last months that were billed, at most twelve, and what is set
// to cost more. None billed: no rows and no currency.
func ReadMargins(ctx context.Context, db *tenancy.DB, by By, months int, w Wholesale) (m Margins, err error) {
	if w == nil {
		return m, nil
	}
	now := db.Now().UTC()
	this := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	costs, err := w.Billed(ctx, db.Tenant().ID, this.AddDate(0, -marginMonths, 0), this)
	if err != nil {
		return m, fmt.Errorf("margins: %w", err)
	}
	plans, err := w.Planned(ctx, db.Tenant().ID)
	if err != nil {
		return m, fmt.Errorf("margins: %w", err)
	}
	if months = min(max(months, 1), marginMonths); len(costs) > months {
		costs = costs[len(costs)-months:]
	}
	g := &margins{by: by, rows: map[string]*MarginRow{}, all: map[string]*MarginRow{}, others: map[string]int64{}}
	if len(costs) > 0 {
		g.Margins = Margins{Currency: costs[0].Currency, From: costs[0].From, To: costs[len(costs)-1].To}
	}
	err = db.View(ctx, func(tx *tenancy.Tx) (err error) {
		if g.Rising, err = squeeze(ctx, tx, plans); err != nil || len(costs) == 0 {
			return err
		}
		return g.read(ctx, tx)
	})
	if err == nil && len(costs) > 0 {
		err = g.sums(costs)
	}
	if err != nil {
		return Margins{}, fmt.Errorf("margins: %w", err)
	}
	return g.Margins, nil
}

// margins are Margins on their way.
type margins struct {
	Margins
	by     By
	rows   map[string]*MarginRow
	all    map[string]*MarginRow // by month, with everything
	months []billing.Period      // that were billed
	own    bool                  // and are not all calendar months
	others map[string]int64
	lines  []soldLine
	owners map[uuid.UUID]owner // by service
}

// owner is whose a subscription is, and of which plan.
type owner struct {
	ServiceID, PlanID, AccountID uuid.UUID
	Plan, Account                string
}

// soldLine is a line of an invoice, or what a credit note took back of it.
type soldLine struct {
	owner
	Currency    string
	NetMinor    int64
	Credited    int64 // of the invoice, net
	InvoiceNet  int64
	IssuedAt    time.Time
	From, Until time.Time
}

// linesSQL are the lines for the time that is looked at, with what was credited of their
// invoices. Who bought nothing any more is still who bought it.
const linesSQL = `SELECT coalesce(b.plan_id, '00000000-0000-0000-0000-000000000000') AS plan_id, i.account_id, coalesce(p.name || ' ' || pl.name, '') AS plan, a.name AS account,
		i.currency, l.net_minor, coalesce(c.net, 0)::bigint AS credited, i.net_minor AS invoice_net, i.issued_at, l.period_from AS "from", l.period_to AS until
	FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id JOIN accounts a ON a.id = i.account_id
	LEFT JOIN subscriptions b ON b.id = l.subscription_id LEFT JOIN plans pl ON pl.id = b.plan_id LEFT JOIN products p ON p.id = pl.product_id
	LEFT JOIN (SELECT n.corrects_id, sum(abs(n.net_minor)) AS net FROM invoices n WHERE n.kind = 'credit_note' AND n.state <> 'draft' GROUP BY n.corrects_id) c ON c.corrects_id = i.id
	WHERE i.kind = 'invoice' AND i.state <> 'draft' AND coalesce(l.period_from, i.issued_at) < ?1 AND greatest(l.period_to, l.period_from, CASE WHEN l.period_from IS NULL THEN i.issued_at END) >= ?0`

const ownersSQL = `SELECT s.id AS service_id, b.plan_id, b.account_id, p.name || ' ' || pl.name AS plan, a.name AS account
	FROM services s JOIN subscriptions b ON b.id = s.subscription_id JOIN plans pl ON pl.id = b.plan_id JOIN products p ON p.id = pl.product_id JOIN accounts a ON a.id = b.account_id
	WHERE s.began_at < ?1 AND (s.ended_at IS NULL OR s.ended_at >= ?0)`

func (g *margins) read(ctx context.Context, tx *tenancy.Tx) error {
	g.lines, g.owners = nil, map[uuid.UUID]owner{}
	if err := tx.NewRaw(linesSQL, g.From, g.To).Scan(ctx, &g.lines); err != nil {
		return fmt.Errorf("what was sold: %w", err)
	}
	var all []owner
	if err := tx.NewRaw(ownersSQL, g.From, g.To).Scan(ctx, &all); err != nil {
		return fmt.Errorf("whose services are: %w", err)
	}
	for _, o := range all {
		g.owners[o.ServiceID] = o
	}
	return nil
}

// row is where something counts.
func (g *margins) row(o owner, month time.Time) *MarginRow {
	switch {
	case g.by == ByMonth:
		return g.month(g.rows, month)
	case g.by == ByPlan && o.PlanID != uuid.Nil:
		return g.in(g.rows, o.PlanID.String(), o.Plan)
	case g.by == ByCustomer && o.AccountID != uuid.Nil:
		return g.in(g.rows, o.AccountID.String(), o.Account)
	}
	return g.in(g.rows, "", "Everything else")
}

// month is the row of a month that is billed, or of one from a bill day on.
func (g *margins) month(rows map[string]*MarginRow, month time.Time) *MarginRow {
	if month.Day() != 1 {
		return g.in(rows, month.Format(time.DateOnly), "From "+month.Format("2 January 2006"))
	}
	return g.in(rows, month.Format("2006-01"), month.Format("January 2006"))
}

func (g *margins) in(rows map[string]*MarginRow, id, label string) *MarginRow {
	if rows[id] == nil {
		zero := billing.Money{Currency: g.Currency}
		rows[id] = &MarginRow{ID: id, Label: label, Revenue: zero, Cost: zero, Margin: zero}
	}
	return rows[id]
}

// sums brings revenue and cost together.
func (g *margins) sums(costs []MonthCost) error {
	g.Rest = billing.Money{Currency: g.Currency}
	for _, c := range costs {
		m := billing.Period{From: c.From.UTC(), To: c.To.UTC()}
		g.months, g.own = append(g.months, m), g.own || m != billing.BillMonth(nil, m.From)
		for service, minor := range c.Services {
			g.row(g.owners[service], c.From).Cost.Minor += minor
			g.month(g.all, c.From).Cost.Minor += minor
		}
		g.month(g.all, c.From).Cost.Minor += c.Rest
		if g.by == ByMonth {
			g.row(owner{}, c.From).Cost.Minor += c.Rest
		} else {
			g.Rest.Minor += c.Rest
		}
	}
	for _, l := range g.lines {
		if err := g.sold(l); err != nil {
			return err
		}
	}
	g.Sum = MarginRow{Label: "In all", Revenue: billing.Money{Currency: g.Currency}, Cost: g.Rest, Margin: billing.Money{Currency: g.Currency}}
	for _, r := range g.rows {
		r.Margin.Minor = r.Revenue.Minor - r.Cost.Minor
		g.Rows = append(g.Rows, *r)
		g.Sum.Revenue.Minor += r.Revenue.Minor
		g.Sum.Cost.Minor += r.Cost.Minor
	}
	for _, r := range g.all {
		r.Margin.Minor = r.Revenue.Minor - r.Cost.Minor
		g.ByMonth = append(g.ByMonth, *r)
	}
	slices.SortFunc(g.ByMonth, func(x, y MarginRow) int { return strings.Compare(x.ID, y.ID) })
	g.Sum.Margin.Minor = g.Sum.Revenue.Minor - g.Sum.Cost.Minor
	slices.SortFunc(g.Rows, func(x, y MarginRow) int {
		if g.by == ByMonth {
			return strings.Compare(y.ID, x.ID)
		}
		return cmp.Or(cmp.Compare(x.Margin.Minor, y.Margin.Minor), strings.Compare(x.ID, y.ID)) // what loses comes first
	})
	for code, minor := range g.others {
		if minor != 0 {
			g.Others = append(g.Others, billing.Money{Minor: minor, Currency: code})
		}
	}
	slices.SortFunc(g.Others, func(x, y billing.Money) int { return strings.Compare(x.Currency, y.Currency) })
	return nil
}

// sold counts a line in the months it is for, without its part of what was credited.
func (g *margins) sold(l soldLine) error {
	net := billing.Money{Minor: l.NetMinor, Currency: l.Currency}
	if l.Credited != 0 && l.InvoiceNet != 0 {
		off, err := net.Ratio(l.Credited, l.InvoiceNet)
		if err != nil {
			return err
		}
		net.Minor -= off.Minor
	}
	p := billing.Period{From: l.From.UTC(), To: l.Until.UTC()}
	if l.From.IsZero() {
		p = billing.Period{From: l.IssuedAt.UTC()}
	}
	var parts []billing.MonthPart
	var err error
	if g.own {
		parts, err = billing.SpreadOver(net, p, g.months)
	} else {
		parts, err = billing.Spread(net, p)
	}
	if err != nil {
		return err
	}
	for _, x := range parts {
		switch {
		case !slices.ContainsFunc(g.months, func(m billing.Period) bool { return m.From.Equal(x.From) }):
		case l.Currency != g.Currency:
			g.others[l.Currency] += x.Part.Minor
		default:
			g.row(l.owner, x.From).Revenue.Minor += x.Part.Minor
			g.month(g.all, x.From).Revenue.Minor += x.Part.Minor
		}
	}
	return nil
}
