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
	billsUsage      bool       // a month of usage ends with it, whatever was used
	joins           billing.Renewing
	cycle           billing.Cycle
	items           []Item
	off             *billing.Discount // what is taken off the hours of its period
}

// Upcoming are the next n invoices of an account, in the order in which they will be
// made. They come from the rules the renewal itself follows: the same periods, lines,
// changes and credit, and the tax of today. Invoices that are made are not among them.
func Upcoming(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, n int) ([]Foreseen, error) {
	subs, err := read(ctx, tx, "SELECT "+columns+ahead+tables+" WHERE s.account_id = ? AND s.state IN ('trial', 'active', 'past_due', 'suspended', 'paused') ORDER BY s.id", id)
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
	coming, err := comingPrices(ctx, tx, id, subs)
	if err != nil {
		return nil, err
	}
	var all []Foreseen
	for _, s := range subs {
		var resumes time.Time
		if s.State == Paused { // as it will be when it continues by itself
			resumes = s.Pause.Until
			s = s.continued(resumes)
		}
		if s.State == InTrial { // as it will be when the trial is over
			if s = s.begun(); s.metered {
				s.MeteredTo = billing.UsagePeriod(s.AnchorAt, s.AnchorAt, s.Zone()).To
			}
		}
		if !s.Runs() || s.AnchorAt.IsZero() {
			continue
		}
		more, err := s.foreseen(policy, coming, n)
		if err != nil {
			return nil, err
		}
		more = s.foreseeUsage(policy, used[s.ID], resumes, more)
		if err := s.foreseeCredit(more); err != nil {
			return nil, err
		}
		soonest := tx.Now() // what is late is made as soon as somebody looks
		if resumes.After(soonest) {
			soonest = resumes
		}
		for i, f := range more {
			if f.IssueAt.Before(soonest) {
				more[i].IssueAt, more[i].DueAt = soonest, policy.dueOf(s, f.Period, soonest, f.billsUsage)
			}
		}
		all = append(all, more...)
	}
	slices.SortStableFunc(all, func(a, b Foreseen) int { return a.IssueAt.Compare(b.IssueAt) })
	all = slices.DeleteFunc(foreseenTogether(all), Foreseen.asksNothing)
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
// period that begins as it ends, or as one of its own. A pause, which ends at resumes, makes the
// month longer in which it began.
func (s Subscription) foreseeUsage(p Policy, u metering.Usage, resumes time.Time, all []Foreseen) []Foreseen {
	of := u.Period
	if !resumes.IsZero() && !of.To.IsZero() && s.Pause.Longer.From.Equal(of.From) {
		of = s.Pause.Longer
	}
	at := of.To
	if resumes.After(at) { // it ended before the pause began
		at = resumes
	}
	var lines []billing.Line
	for _, m := range u.Meters {
		if m.Charge.Net.Minor > 0 {
			lines = append(lines, billing.Line{Kind: "usage", SubscriptionID: s.ID.String(), Description: s.Label + ": " + m.Meter.Name + ", so far", Period: of, Quantity: 1, Unit: m.Charge.Net, Net: m.Charge.Net, MeterID: m.Meter.ID.String()})
		}
	}
	all = s.foreseeHours(of, resumes, all)
	for i := range all {
		if len(u.Meters) > 0 && all[i].Period.From.Equal(at) {
			all[i].Lines, all[i].SoFar = append(all[i].Lines, lines...), true
			return all
		}
	}
	if len(lines) == 0 {
		return all
	}
	return append([]Foreseen{s.usageInvoice(p, at, lines)}, all...)
}

// foreseeHours adds the hours of months to come, as if it runs through them, to the invoices that
// follow them. Where nobody read what was used so far, the month under way is one of them; of the
// month in which a pause ends it is what is left.
func (s Subscription) foreseeHours(now billing.Period, resumes time.Time, all []Foreseen) []Foreseen {
	before, paid, off, begins := s.Period, s, s.discountAt(s.Period.From), s.AnchorAt
	if !resumes.IsZero() {
		before, begins = s.Pause.Longer, s.nextHour(resumes)
	}
	for i, f := range all {
		month, of, less := before, paid, off
		before, paid, off = f.Period, Subscription{Cycle: f.cycle, Items: f.items}, f.off
		if _, ok := of.Hour(); !ok || s.firstAfterTrial(f.Period) || !month.To.Equal(f.Period.From) || !now.To.IsZero() && !f.Period.From.After(now.To) {
			continue
		}
		if lines := s.hoursFrom(begins, month, of.Items, less); len(lines) > 0 {
			all[i].SoFar, all[i].Lines = true, append(all[i].Lines, lines...)
		}
	}
	return all
}

// hoursFrom are the lines of the hours of a month, as if it runs through it from a moment on.
func (s Subscription) hoursFrom(begins time.Time, month billing.Period, items []Item, off *billing.Discount) (all []billing.Line) {
	ran := billing.Session{Start: begins} // hours are counted from there, and not from where the month begins
	if ran.Start.IsZero() || !ran.Start.Before(month.To) {
		ran.Start = month.From
	}
	lines, err := billing.Hours([]billing.HourSpan{{Parts: hourParts(items), Off: off}}, month, []billing.Session{ran}, month.To, map[string]int64{})
	if err != nil {
		return nil
	}
	for _, l := range lines {
		what := s.Label + ": "
		if l.Part.Kind != "plan" {
			what += l.Part.Label + ", "
		}
		all = append(all, billing.Line{Kind: "usage", SubscriptionID: s.ID.String(), Description: what + strconv.FormatInt(l.Hours, 10) + " hours, if it runs through the month" + l.Words, Period: month, Quantity: 1, Unit: l.Net, Net: l.Net})
	}
	return all
}

// usageInvoice is an invoice that will be made for what was used until a moment, and for nothing else.
func (s Subscription) usageInvoice(p Policy, at time.Time, lines []billing.Line) Foreseen {
	return Foreseen{SubscriptionID: s.ID, Label: s.Label, IssueAt: at, DueAt: p.dueOf(s, billing.Period{}, at, true), Period: billing.Period{From: at, To: at}, Lines: lines, SoFar: true, billsUsage: true, joins: billing.Renewing{Alone: true}}
}

// dueOf is when the invoice of a period that is issued at a time is due, or with none that of
// what was used. Whoever pays what was used by hand has as long as for what is invoiced ahead, but
// for what is used last.
func (p Policy) dueOf(s Subscription, next billing.Period, issued time.Time, used bool) time.Time {
	due := next.From
	if due.Before(issued) {
		due = issued
	}
	if used && !s.HasMethod && (s.CancelAt.IsZero() || issued.Before(s.CancelAt)) {
		due = issued.Add(p.lead(next))
	}
	return billing.DueAfter(due, issued, s.TermDays, s.Zone())
}

// foreseeCredit takes what a change left over off invoices, one after the other, as far as it
// reaches: off the price of a period, and then off what was used.
func (s Subscription) foreseeCredit(all []Foreseen) error {
	for i, f := range all {
		at := slices.IndexFunc(f.Lines, func(l billing.Line) bool { return l.Kind == metering.LineKind })
		if at < 0 {
			at = len(f.Lines)
		}
		price, usage := slices.Clone(f.Lines[:at]), f.Lines[at:]
		if len(price) > 0 {
			less, used, err := s.lessCredit(price)
			if err != nil {
				return err
			}
			price = less
			s.Credit.Minor -= used
		}
		net, err := netOf(usage)
		if err != nil {
			return err
		}
		lines := append(price, usage...)
		if used := min(s.Credit.Minor, net); used > 0 {
			lines = append(lines, creditLine(s, used))
			s.Credit.Minor -= used
		}
		all[i].Lines, all[i].joins.Lines = lines, len(lines)
	}
	return nil
}

// foreseen are the next n invoices of a subscription, without credit and what is used.
func (s Subscription) foreseen(p Policy, coming []comingPrice, n int) (all []Foreseen, err error) {
	for range n {
		was := s
		taken := s.takeScheduled()
		next := s.Next()
		if next.To.IsZero() || !s.CancelAt.IsZero() && !next.From.Before(s.CancelAt) {
			return all, nil
		}
		closed := s.meteredUntil(was, next.From)
		issue := p.issueAt(s, next)
		if issue.Before(closed) {
			issue = closed
		}
		coming = s.hear(coming, was, issue)
		lines, _, err := s.discounted(next)
		if err != nil {
			return nil, err
		}
		var off *billing.Discount
		if s.Cycle == billing.Hourly {
			if off, err = s.discountFor(next); err != nil {
				return nil, err
			}
		}
		f := Foreseen{off: off, cycle: s.Cycle, items: s.pricedFor(next.From).Items, SubscriptionID: s.ID, Label: s.Label, IssueAt: issue, Period: next, Lines: lines, joins: p.renewing(s, next, 0)}
		f.billsUsage = s.MeteredTo.Equal(next.From)
		f.DueAt = p.dueOf(s, next, f.IssueAt, f.billsUsage)
		all = append(all, f)
		if s.MeteredTo.Equal(next.From) { // that month is on this invoice
			s.meteredUntil(was, next.From.Add(time.Microsecond))
		}
		if taken {
			if s.metered = s.meteredThen; s.metered && s.MeteredTo.IsZero() {
				s.MeteredTo = billing.UsagePeriod(s.AnchorAt, f.IssueAt, s.Zone()).To
			}
		}
		s.Renewals++
	}
	return all, nil
}

// meteredUntil moves on to the month of usage that is invoiced at a time or after it, by what the
// subscription was until then. Where nothing of that is billed by use there are no more of them
// once the one under way is invoiced; it returns when that was.
func (s *Subscription) meteredUntil(was Subscription, at time.Time) (closed time.Time) {
	for !s.MeteredTo.IsZero() && s.MeteredTo.Before(at) {
		if !was.metered {
			closed, s.MeteredTo = s.MeteredTo, time.Time{}
			break
		}
		s.MeteredTo = billing.UsagePeriod(was.AnchorAt, s.MeteredTo, s.Zone()).To
	}
	return closed
}

// asksNothing reports whether there will be no invoice: see issueOwed.
func (f Foreseen) asksNothing() bool {
	for _, l := range f.Lines {
		if l.Unit.Minor != 0 || l.Kind == metering.LineKind {
			return false
		}
	}
	return !f.SoFar
}
