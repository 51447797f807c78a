package renewal

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
)

// MaxUpcoming is the most invoices Upcoming looks ahead.
const MaxUpcoming = 60

// Foreseen is an invoice that is not made yet, as it will be if nothing changes.
type Foreseen struct {
	SubscriptionID  uuid.UUID
	Label           string // product and plan as they will be
	IssueAt         time.Time
	Period          billing.Period
	DueAt           time.Time // when the period begins, or as long after it is made as the account has to pay
	Lines           []billing.Line
	Net, Tax, Total billing.Money
	SoFar           bool       // with what was used so far, which may become more
	With            []Foreseen // others on the same invoice, without amounts
	joins           billing.Renewing
	cycle           billing.Cycle
	items           []Item
	off             *billing.Discount // what is taken off the hours of its period
}

// Upcoming are the next n invoices of an account, in the order in which they will be
// made. They come from the rules the renewal itself follows: the same periods, lines,
// changes and credit, and the tax of today. Invoices that are made are not among them.
func Upcoming(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, n int) ([]Foreseen, error) {
	subs, err := read(ctx, tx, "SELECT "+columns+tables+" WHERE s.account_id = ? AND s.state IN ('trial', 'active', 'past_due', 'suspended', 'paused') ORDER BY s.id", id)
	if err != nil {
		return nil, err
	}
	var metered []uuid.UUID
	for _, s := range subs {
		if !s.MeteredTo.IsZero() {
			metered = append(metered, s.ID)
		}
	}
	used, err := metering.OfAll(ctx, tx, metered)
	if err != nil {
		return nil, err
	}
	return foresee(ctx, tx, id, subs, used, n)
}

// UpcomingOf is Upcoming for those of an account's subscriptions that were read, without
// what was used so far of the month under way.
func UpcomingOf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, subs []Subscription, n int) ([]Foreseen, error) {
	return foresee(ctx, tx, id, subs, nil, n)
}

func foresee(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, subs []Subscription, used map[uuid.UUID]metering.Usage, n int) ([]Foreseen, error) {
	n = min(max(n, 1), MaxUpcoming)
	policy, err := PolicyOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	var all []Foreseen
	for _, s := range subs {
		if s.State == Paused { // as it will be when it continues by itself
			s = s.continued(s.Pause.Until)
		}
		if s.State == InTrial { // as it will be when the trial is over
			s = s.begun()
		}
		if !s.Runs() {
			continue
		}
		more, err := s.foreseen(policy, n)
		if err != nil {
			return nil, err
		}
		all = append(all, s.foreseeUsage(policy, used[s.ID], more)...)
	}
	slices.SortStableFunc(all, func(a, b Foreseen) int { return a.IssueAt.Compare(b.IssueAt) })
	all = foreseenTogether(all)
	if all = all[:min(n, len(all))]; len(all) == 0 {
		return nil, nil
	}
	who, err := account.ForInvoice(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	lines := make([][]billing.Line, len(all))
	for i, f := range all {
		lines[i] = f.Lines
	}
	priced, err := invoicing.PriceAll(ctx, tx, who.Taxed(tx.Now()), lines)
	if err != nil {
		return nil, err
	}
	for i, p := range priced {
		all[i].Lines, all[i].Net, all[i].Tax, all[i].Total = p.Lines, p.Net, p.Tax, p.Total
	}
	return all, nil
}

// foreseeUsage adds what was used so far of the month under way: to the invoice of the
// period that begins as it ends, or as one of its own.
func (s Subscription) foreseeUsage(p Policy, u metering.Usage, all []Foreseen) []Foreseen {
	var lines []billing.Line
	for _, m := range u.Meters {
		if m.Charge.Net.Minor > 0 {
			lines = append(lines, billing.Line{Kind: "usage", SubscriptionID: s.ID.String(), Description: s.Label + ": " + m.Meter.Name + ", so far", Period: u.Period, Quantity: 1, Unit: m.Charge.Net, Net: m.Charge.Net, MeterID: m.Meter.ID.String()})
		}
	}
	all = s.foreseeHours(u.Period, all)
	if len(lines) == 0 {
		return all
	}
	for i := range all {
		if all[i].Period.From.Equal(u.Period.To) {
			all[i].Lines, all[i].SoFar = append(all[i].Lines, lines...), true
			return all
		}
	}
	own := Foreseen{SubscriptionID: s.ID, Label: s.Label, IssueAt: u.Period.To, DueAt: p.dueOf(s, billing.Period{}, u.Period.To), Period: billing.Period{From: u.Period.To, To: u.Period.To}, Lines: lines, SoFar: true, joins: billing.Renewing{Alone: true}}
	return append([]Foreseen{own}, all...)
}

// foreseeHours adds the hours of whole months to come, as if it runs through them, to the invoices
// that follow them. Where nobody read what was used so far, the month under way is one of them.
func (s Subscription) foreseeHours(now billing.Period, all []Foreseen) []Foreseen {
	before, paid, off := s.Period, s, s.discountAt(s.Period.From)
	for i, f := range all {
		month, of, less := before, paid, off
		before, paid, off = f.Period, Subscription{Cycle: f.cycle, Items: f.items}, f.off
		if _, ok := of.Hour(); !ok || !month.To.Equal(f.Period.From) || !now.To.IsZero() && !f.Period.From.After(now.To) {
			continue
		}
		spans := []billing.HourSpan{{Parts: hourParts(of.Items), Off: less}}
		lines, err := billing.Hours(spans, month, []billing.Session{{Start: month.From}}, month.To, map[string]int64{})
		if err != nil {
			continue
		}
		for _, l := range lines {
			if l.Net.IsZero() {
				continue
			}
			what := s.Label + ": "
			if l.Part.Kind != "plan" {
				what += l.Part.Label + ", "
			}
			all[i].SoFar = true
			all[i].Lines = append(all[i].Lines, billing.Line{Kind: "usage", SubscriptionID: s.ID.String(), Description: what + strconv.FormatInt(l.Hours, 10) + " hours, if it runs through the month" + l.Words, Period: month, Quantity: 1, Unit: l.Net, Net: l.Net})
		}
	}
	return all
}

// dueOf is when the invoice of a period that is issued at a time is due, or with none that of
// what was used. Whoever pays what was used by hand has as long as for what is invoiced ahead.
func (p Policy) dueOf(s Subscription, next billing.Period, issued time.Time) time.Time {
	due := next.From
	if due.Before(issued) {
		due = issued
	}
	if !s.MeteredTo.IsZero() && !s.HasMethod {
		due = issued.Add(p.lead(next))
	}
	return billing.DueAfter(due, issued, s.TermDays, s.Zone())
}

// foreseen are the next n invoices of a subscription.
func (s Subscription) foreseen(p Policy, n int) (all []Foreseen, err error) {
	for range n {
		s.takeScheduled()
		next := s.Next()
		if next.To.IsZero() || !s.CancelAt.IsZero() && !next.From.Before(s.CancelAt) {
			return all, nil
		}
		lines, used, err := s.credited(next)
		if err != nil {
			return nil, err
		}
		var off *billing.Discount
		issue := p.issueAt(s, next)
		if s.Cycle == billing.Hourly {
			if off, err = s.discountFor(next); err != nil {
				return nil, err
			}
		}
		all = append(all, Foreseen{off: off, cycle: s.Cycle, items: s.pricedFor(next.From).Items, SubscriptionID: s.ID, Label: s.Label, IssueAt: issue, DueAt: p.dueOf(s, next, issue), Period: next, Lines: lines, joins: p.renewing(s, next, len(lines))})
		s.Credit.Minor -= used
		s.Renewals++
	}
	return all, nil
}
