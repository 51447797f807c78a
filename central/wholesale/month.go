package wholesale

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

const onDay = "2006-01-02"

// ParseMonth reads a month's name. Fault: wholesale.bad_period.
func ParseMonth(s string) (Month, error) {
	s = strings.TrimSpace(s)
	m := Month{}
	var err error
	switch first, last, short := strings.Cut(s, ".."); {
	case short:
		var to time.Time
		m.From, err = time.Parse(onDay, first)
		if err == nil {
			to, err = time.Parse(onDay, last)
		}
		m = monthFrom(billing.Period{From: m.From, To: to})
		if !to.After(m.From) || !to.Before(m.From.AddDate(0, 1, 0)) {
			return m, badPeriod()
		}
	case len(s) == len(onDay):
		m.From, err = time.Parse(onDay, s)
		m = monthFrom(billing.Period{From: m.From, To: m.From.AddDate(0, 1, 0)})
	default:
		m.From, err = time.Parse("2006-01", s)
		m = monthOf(m.From)
	}
	if err != nil || m.Name != s || m.From.Year() < 2000 || m.From.Year() > 2200 || m.From.Day() > 28 {
		return Month{}, badPeriod()
	}
	return m, nil
}

func badPeriod() error {
	return fault.Field("period", "wholesale.bad_period", "Name a month such as 2026-10, or 2026-10-15 for one that begins on that day.")
}

// monthOf is the calendar month a moment lies in.
func monthOf(at time.Time) Month { return monthFrom(billing.BillMonth(nil, at)) }

// monthFrom names a month.
func monthFrom(p billing.Period) Month {
	m := Month{From: p.From.UTC(), To: p.To.UTC(), Name: p.From.UTC().Format(onDay)}
	switch whole := m.To.Equal(m.From.AddDate(0, 1, 0)); {
	case whole && m.From.Day() == 1:
		m.Name = m.From.Format("2006-01")
	case !whole:
		m.Name += ".." + m.To.Format(onDay)
	}
	return m
}

func (m Month) calendar() bool { return m == monthOf(m.From) }

// Title is the month for people: its name, or its first and last day.
func (m Month) Title() string {
	if m.calendar() {
		return m.Name
	}
	return m.From.Format("2 Jan") + " to " + m.To.AddDate(0, 0, -1).Format("2 Jan 2006")
}

// monthTitle is Title of a name.
func monthTitle(name string) string {
	if m, err := ParseMonth(name); err == nil {
		return m.Title()
	}
	return name
}

// Title is the run's month for people.
func (r RunRow) Title() string { return monthTitle(r.Period) }

// Month is the invoice's month for people.
func (r InvoiceRow) Month() string { return monthTitle(r.Period) }

// Month is the line's month for people.
func (l Line) Month() string { return monthTitle(l.Period) }

// billDays are the resellers whose months are not calendar months, and the days they began on.
type billDays map[int64][]billing.BillDay

func daysIn(ctx context.Context, tx *tenancy.CentralTx) (billDays, error) {
	var rows []struct {
		TenantID int64
		BillDays json.RawMessage
	}
	if err := tx.NewRaw("SELECT tenant_id, bill_days FROM reseller_profiles WHERE bill_days <> '[]'").Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read bill days: %w", err)
	}
	all := billDays{}
	for _, r := range rows {
		var days []billing.BillDay
		if err := json.Unmarshal(r.BillDays, &days); err != nil {
			return nil, fmt.Errorf("read the bill days of %d: %w", r.TenantID, err)
		}
		all[r.TenantID] = days
	}
	return all, nil
}

// own reports whether a month is one of the reseller's.
func (b billDays) own(tenant int64, m Month) bool {
	days, ok := b[tenant]
	if !ok {
		return m.calendar()
	}
	return monthFrom(billing.BillMonth(days, m.From)) == m
}

func (b billDays) somebody(m Month) bool {
	for tenant := range b {
		if b.own(tenant, m) {
			return true
		}
	}
	return false
}

// OtherMonth is a month that resellers with a bill day of their own have in place of a
// calendar month.
type OtherMonth struct {
	Period    string    `json:"period"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Resellers int       `json:"resellers"`
	Billed    bool      `json:"billed"`
}

// Title is the month for people.
func (o OtherMonth) Title() string { return monthTitle(o.Period) }

// others says which months of resellers' own begin in the calendar month of a run.
func (r *run) others(ctx context.Context) error {
	if len(r.days) == 0 || !r.month.calendar() {
		return nil
	}
	found := map[Month]int{}
	for _, days := range r.days {
		for m := monthFrom(billing.BillMonth(days, r.month.From)); m.From.Before(r.month.To); m = monthFrom(billing.BillMonth(days, m.To)) {
			if !m.calendar() && !m.From.Before(r.month.From) {
				found[m]++
			}
		}
	}
	var billed []string
	if err := r.tx.NewRaw("SELECT period FROM wholesale_runs WHERE state = 'done' AND period_from >= ? AND period_from < ?", r.month.From, r.month.To).Scan(ctx, &billed); err != nil {
		return fmt.Errorf("months of resellers' own: %w", err)
	}
	for m, n := range found {
		r.report.Others = append(r.report.Others, OtherMonth{m.Name, m.From, m.To, n, slices.Contains(billed, m.Name)})
	}
	slices.SortFunc(r.report.Others, func(x, y OtherMonth) int { return cmp.Compare(x.Period, y.Period) })
	return nil
}

// closedFor is the end of the last of a reseller's own months that was billed.
func closedFor(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (until time.Time, err error) {
	days, err := daysIn(ctx, tx)
	if err != nil {
		return until, err
	}
	var rows []struct{ Period string }
	if err := tx.NewRaw("SELECT period FROM wholesale_runs ORDER BY period_to DESC").Scan(ctx, &rows); err != nil {
		return until, fmt.Errorf("last billed month of %s: %w", of, err)
	}
	for _, r := range rows {
		if m, err := ParseMonth(r.Period); err == nil && days.own(of.Number(), m) {
			return m.To, nil
		}
	}
	return until, nil
}

// SetBillDay has a reseller's months begin on another day once the month under way is over,
// which makes one short month. Before its first terms count, it is so at once. Fault:
// terms.bad_day.
func (d *Desk) SetBillDay(ctx context.Context, of tenancy.ID, day int, by audit.Origin) error {
	if day < 1 || day > 28 {
		return fault.Field("day", "terms.bad_day", "Choose a day from 1 to 28: every month has it.")
	}
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		all, err := daysIn(ctx, tx)
		if err != nil {
			return err
		}
		terms, err := termsIn(ctx, tx, of)
		if err != nil {
			return err
		}
		month := monthOf(tx.Now())
		days := billing.ChangeBillDay(all[of.Number()], day, tx.Now())
		if n := len(terms); n == 0 || !terms[n-1].From.Before(month.From) {
			if days = nil; day != 1 {
				days = []billing.BillDay{{From: month.From, Day: day}}
			}
		}
		if days == nil {
			days = []billing.BillDay{}
		}
		kept, err := json.Marshal(days)
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE reseller_profiles SET bill_days = ?::jsonb, changed_at = ? WHERE tenant_id = ?", string(kept), tx.Now(), of).Exec(ctx); err != nil {
			return err
		}
		from := monthOf(tx.Now()).From
		if n := len(days); n > 0 {
			from = days[n-1].From
		}
		return by.Record(ctx, tx, "wholesale.bill_day_set", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"day": day, "from": from.UTC().Format(onDay)})
	})
	if err != nil {
		return fmt.Errorf("set the bill day of %s: %w", of, err)
	}
	return nil
}

// BillDays are a reseller's bill day now, the month under way and the ones that follow it.
type BillDays struct {
	Day    int // that was set last; it may be still to come
	Months []Month
}

// billDaysOf reads them from a column bill_days.
func billDaysOf(raw json.RawMessage, now time.Time) (b BillDays, err error) {
	var days []billing.BillDay
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &days); err != nil {
			return b, fmt.Errorf("read bill days: %w", err)
		}
	}
	b.Day = 1
	if n := len(days); n > 0 {
		b.Day = days[n-1].Day
	}
	for at := now; len(b.Months) < 3; at = b.Months[len(b.Months)-1].To {
		b.Months = append(b.Months, monthFrom(billing.BillMonth(days, at)))
	}
	return b, nil
}
