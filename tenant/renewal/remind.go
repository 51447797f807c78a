package renewal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/activity"
)

// Reminders is when letters go out before something happens to a subscription.
type Reminders struct {
	Renewal map[billing.Cycle]billing.Reminders // days before a renewal; of a cycle that is missing: none
	Ending  billing.Reminders                   // days before the end of what was cancelled
}

// RemindedCycles are the cycles whose renewals can be announced, the shortest first.
func RemindedCycles() []billing.Cycle {
	return []billing.Cycle{billing.Monthly, billing.Quarterly, billing.SemiAnnual, billing.Annual, billing.Biennial, billing.Triennial}
}

// DefaultReminders announces renewals of a year and more 30 and 7 days ahead, and the end
// of what was cancelled a week ahead.
func DefaultReminders() Reminders {
	return Reminders{
		Renewal: map[billing.Cycle]billing.Reminders{billing.Annual: {30, 7}, billing.Biennial: {30, 7}, billing.Triennial: {30, 7}},
		Ending:  billing.Reminders{7},
	}
}

// yearly are the reminders of a shop that said only how many days before the invoice of a
// year's cycle there is a letter, before there were days for each cycle.
func yearly(days, lead int) Reminders {
	r := Reminders{Renewal: map[billing.Cycle]billing.Reminders{}, Ending: DefaultReminders().Ending}
	if days > 0 {
		for _, c := range []billing.Cycle{billing.Annual, billing.Biennial, billing.Triennial} {
			r.Renewal[c] = billing.Reminders{days + lead}
		}
	}
	return r
}

// EndingDays is how the days before the end of what was cancelled are kept among those of
// the cycles.
const EndingDays billing.Cycle = "ending"

func (r Reminders) stored() map[billing.Cycle]billing.Reminders {
	x := map[billing.Cycle]billing.Reminders{EndingDays: append(billing.Reminders{}, r.Ending...)}
	for _, c := range RemindedCycles() {
		x[c] = append(billing.Reminders{}, r.Renewal[c]...)
	}
	return x
}

func readReminders(x map[billing.Cycle]billing.Reminders) Reminders {
	r := Reminders{Renewal: map[billing.Cycle]billing.Reminders{}}
	for c, days := range x {
		switch {
		case len(days) == 0:
		case c == EndingDays:
			r.Ending = days
		default:
			r.Renewal[c] = days
		}
	}
	return r
}

// longestOf is how many days before its end a reminder of a cycle may go out: never before
// the shortest of its periods begins.
func longestOf(c billing.Cycle) int {
	switch c {
	case billing.Monthly:
		return 27
	case billing.Quarterly:
		return 80
	}
	return billing.MostReminderDays
}

// RemindersField is the name of the field in which the days of a cycle are typed; of
// EndingDays, those before the end of what was cancelled.
func RemindersField(c billing.Cycle) string { return "reminders." + string(c) }

func (r Reminders) check(wrong map[string]string) {
	const format = "Give at most %d numbers of days that fall, such as 30, 7, none of more than %d."
	for _, c := range RemindedCycles() {
		if most := longestOf(c); r.Renewal[c].Check(most) != nil {
			wrong[RemindersField(c)] = fmt.Sprintf(format, billing.MostReminders, most)
		}
	}
	if r.Ending.Check(billing.MostReminderDays) != nil {
		wrong[RemindersField(EndingDays)] = fmt.Sprintf(format, billing.MostReminders, billing.MostReminderDays)
	}
}

// remind sends the letter that is due before a renewal, unless the account wants none, or
// before the end of what was cancelled, when all that is on it is deleted: each once a
// period and step.
func (d *Desk) remind(ctx context.Context, w *work, s Subscription) error {
	now := w.tx.Now()
	if !s.CancelAt.IsZero() {
		if step := w.policy.Reminders.Ending.Due(s.CancelAt, now, s.Zone()); step > 0 {
			return d.letter(ctx, w.tx, s, letterEnds(s, step))
		}
		return nil
	}
	next := s.Next()
	if s.Unreminded || next.To.IsZero() || !now.Before(w.policy.issueAt(s, next)) {
		return nil
	}
	step := w.policy.Reminders.Renewal[s.Cycle].Due(next.From, now, s.Zone())
	if step == 0 {
		return nil
	}
	m, err := d.letterUpcoming(ctx, w.tx, s, step)
	if err != nil {
		return err
	}
	err = put(ctx, w.tx, s, "reminded/"+next.From.UTC().Format(time.RFC3339)+"/"+strconv.Itoa(step), activity.Event{Text: "The customer was reminded that " + s.Label + " renews on " + s.date(next.From) + "."})
	if err != nil {
		return err
	}
	return d.letter(ctx, w.tx, s, m)
}

// letterUpcoming announces a renewal, with what its invoice will come to by the rules and
// the tax of today.
func (d *Desk) letterUpcoming(ctx context.Context, tx *tenancy.Tx, s Subscription, step int) (m message, err error) {
	next := s.Next()
	foreseen, err := UpcomingOf(ctx, tx, s.AccountID, []Subscription{s}, 1)
	if err != nil {
		return m, err
	}
	method, err := methodOf(ctx, tx, s)
	if err != nil {
		return m, err
	}
	usage := ""
	if !s.MeteredTo.IsZero() {
		usage = "yes"
	}
	m = message{
		key: "subscription/" + s.ID.String() + "/upcoming/" + next.From.UTC().Format(time.RFC3339) + "/" + strconv.Itoa(step), template: mail.RenewalUpcoming,
		data:    map[string]string{"what": s.what(), "on": s.date(next.From), "until": s.date(next.To), "method": method, "usage": usage, "due": "", "link": s.path(), "unsubscribe": d.Letters.Path(tx.TenantID(), s.AccountID)},
		amounts: map[string]billing.Money{"amount": s.NextAmount()},
	}
	m.amounts["total"] = m.amounts["amount"]
	if len(foreseen) > 0 {
		if due := foreseen[0].DueAt; s.TermDays > 0 && due.After(next.From) {
			m.data["due"] = s.date(due)
		}
		m.amounts["amount"], m.amounts["total"] = foreseen[0].Net, foreseen[0].Total
	}
	return m, nil
}

func letterEnds(s Subscription, step int) message {
	return message{
		key: "subscription/" + s.ID.String() + "/ends/" + s.CancelAt.UTC().Format(time.RFC3339) + "/" + strconv.Itoa(step), template: mail.SubscriptionEnds,
		data: map[string]string{"what": s.what(), "ends": s.date(s.CancelAt), "link": s.path()},
	}
}

// methodOf is what the next invoice of a subscription is collected from, in words; empty:
// nothing can be charged.
func methodOf(ctx context.Context, tx *tenancy.Tx, s Subscription) (label string, err error) {
	if !s.HasMethod {
		return "", nil
	}
	err = tx.NewRaw(`SELECT m.label FROM payment_methods m JOIN accounts a ON a.id = m.account_id
		WHERE a.id = ? AND m.state = 'active' AND m.id IN (?, a.default_method_id) ORDER BY m.id = ? DESC LIMIT 1`, s.AccountID, s.MethodID, s.MethodID).Scan(ctx, &label)
	if err != nil && !tenancy.IsNoRows(err) {
		return "", fmt.Errorf("read the method of subscription %s: %w", s.ID, err)
	}
	return label, nil
}

// wakeForReminders has subscriptions looked at by the time their first reminder is due,
// where the days changed. Those that are looked at too soon are put back. As in wakeToJoin,
// the days are counted in UTC.
func wakeForReminders(ctx context.Context, tx *tenancy.Tx, was, is Reminders) error {
	const sooner = `UPDATE subscriptions SET renews_at = greatest(?0, (%s AT TIME ZONE 'UTC' - make_interval(days => ?1)) AT TIME ZONE 'UTC') WHERE renews_at > greatest(?0, (%s AT TIME ZONE 'UTC' - make_interval(days => ?1)) AT TIME ZONE 'UTC') AND state IN ('active', 'past_due', 'suspended') AND `
	for _, c := range RemindedCycles() {
		days := is.Renewal[c]
		if len(days) == 0 || slices.Equal(days, was.Renewal[c]) {
			continue
		}
		_, err := tx.NewRaw(fmt.Sprintf(sooner, "period_to", "period_to")+"cycle = ?2 AND cancel_at IS NULL AND change IS NULL", tx.Now(), days[0], string(c)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("plan the reminders of %s subscriptions: %w", c, err)
		}
	}
	if len(is.Ending) > 0 && !slices.Equal(is.Ending, was.Ending) {
		if _, err := tx.NewRaw(fmt.Sprintf(sooner, "cancel_at", "cancel_at")+"cancel_at IS NOT NULL", tx.Now(), is.Ending[0]).Exec(ctx); err != nil {
			return fmt.Errorf("plan the reminders of cancelled subscriptions: %w", err)
		}
	}
	return settle(ctx, tx)
}
