package renewal_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/renewal"
)

var staff = audit.Origin{Actor: audit.System("test")}

// keys are the natural keys of the letters of a template about a subscription, without it.
func (s *shop) keys(template string, about uuid.UUID) (all []string) {
	s.t.Helper()
	subject := "subscription/" + about.String() + "/"
	for _, k := range scanAll[string](s, "SELECT key FROM mails WHERE template = ? AND starts_with(key, ?) ORDER BY key", template, subject) {
		all = append(all, strings.TrimPrefix(k, subject))
	}
	return all
}

func TestRemindersByCycle(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := open(t, w, w.A), open(t, w, w.B)
	s.mailsOut = false // so that what letters say can be read
	s.desk.Letters = account.NewLetterLinks([]byte("a key of thirty-two bytes or more"))
	ida, otto := s.customer("ida", true), s.customer("otto", false)
	annual, monthly := s.sell(ida, billing.Annual, 9900), s.sell(otto, billing.Monthly, 1000)
	p := renewal.DefaultPolicy()
	p.Reminders.Renewal[billing.Monthly] = billing.Reminders{28}
	if err := renewal.SavePolicy(t.Context(), s.db, p, staff); err == nil {
		t.Error("a reminder before the period begins")
	}
	// What runs already follows new days: nobody waits a year for them.
	p.Reminders.Renewal[billing.Monthly], p.Reminders.Renewal[billing.Annual] = billing.Reminders{10, 5}, billing.Reminders{60, 30, 2}
	if err := renewal.SavePolicy(t.Context(), s.db, p, staff); err != nil {
		t.Fatal(err)
	}
	foreign := other.sell(other.customer("eve", true), billing.Annual, 100)
	s.turn(27 * day) // until a day before Otto's renewal
	if got := s.keys("renewal_upcoming", monthly); !slices.Equal(got, []string{"upcoming/2027-02-28T09:30:00Z/10", "upcoming/2027-02-28T09:30:00Z/5"}) {
		t.Errorf("of a month: %q", got)
	}
	letter := func(about uuid.UUID, step string) (data map[string]string) {
		t.Helper()
		raw := scan[string](s, "SELECT convert_from(sealed_body, 'UTF8') FROM mails WHERE template = 'renewal_upcoming' AND key LIKE ?", "subscription/"+about.String()+"/upcoming/%/"+step)
		if err := json.Unmarshal([]byte(raw), &data); err != nil {
			t.Fatal(err)
		}
		return data
	}
	if d := letter(monthly, "5"); d["on"] != "28 February 2027" || d["until"] != "31 March 2027" || d["total"] != "€10.00" || d["method"] != "" || d["link"] != "/client/subscriptions/"+monthly.String() || d["unsubscribe"] != s.desk.Letters.Path(s.who.ID, otto) || d["unsubscribe"] == "" {
		t.Errorf("the letter says %v", d)
	}
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: monthly, Reason: "other"}, staff); err != nil {
		t.Fatal(err)
	}
	s.Clock.Set(january.AddDate(0, 0, 363)) // within the days of the last step, which comes after the invoice is made
	s.exec("UPDATE subscriptions SET renews_at = ? WHERE id = ?", january.AddDate(1, 0, -30), annual)
	s.Clock.Set(january.AddDate(1, 0, -29))
	for range 2 {
		s.tick()
	}
	if got := s.keys("renewal_upcoming", annual); !slices.Equal(got, []string{"upcoming/2028-01-31T09:30:00Z/30"}) {
		t.Errorf("of a year: %q", got)
	}
	if d := letter(annual, "30"); d["method"] != "Visa" || d["amount"] != "€99.00" {
		t.Errorf("the letter says %v", d)
	}
	if at := s.get(annual).RenewsAt; !at.Equal(january.AddDate(1, 0, -3)) {
		t.Errorf("looked at next on %s", at)
	}
	if n := other.letters("renewal_upcoming"); n != 0 || other.get(foreign).State != renewal.Active {
		t.Errorf("the other shop wrote %d letters", n)
	}
	if n := scan[int](s, "SELECT count(*) FROM timeline WHERE key LIKE '%/reminded/%'"); n != 3 {
		t.Errorf("%d lines on timelines", n)
	}
}

// TestWhoWantsNoReminders gets none before renewals; others do, and what is deleted is
// announced in any case.
func TestWhoWantsNoReminders(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	p := renewal.DefaultPolicy()
	p.Reminders.Renewal[billing.Monthly] = billing.Reminders{10, 5}
	if err := renewal.SavePolicy(t.Context(), s.db, p, staff); err != nil {
		t.Fatal(err)
	}
	ida, otto := s.customer("ida", true), s.customer("otto", false)
	hers, his := s.sell(ida, billing.Monthly, 500), s.sell(otto, billing.Monthly, 500)
	s.exec(`UPDATE accounts SET notify = '{"money": ["billing"], "renewals": []}' WHERE id = ?`, ida)
	s.turn(22 * day)
	if at := s.get(hers).RenewsAt; !at.After(s.Clock.Now()) {
		t.Errorf("looked at again and again: next at %s", at)
	}
	s.exec("UPDATE accounts SET notify = NULL WHERE id = ?", ida)
	s.turn(2 * day) // hers is announced from now on
	if mine, other := s.keys("renewal_upcoming", hers), s.keys("renewal_upcoming", his); len(mine) != 1 || !strings.HasSuffix(mine[0], "/5") || len(other) != 2 {
		t.Errorf("%q and %q", mine, other)
	}
	s.exec(`UPDATE accounts SET notify = '{"renewals": []}' WHERE id = ?`, ida)
	s.turn(5 * day) // it renewed
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: hers, Reason: "other"}, staff); err != nil {
		t.Fatal(err)
	}
	s.turn(25 * day)
	if got := s.keys("subscription_ends", hers); len(got) != 1 {
		t.Errorf("the end is announced %q", got)
	}
}

func TestTheEndOfWhatWasCancelledIsAnnounced(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", true)
	early, late := s.sell(ida, billing.Monthly, 1000), s.sell(ida, billing.Monthly, 1000)
	cancel := func(id uuid.UUID) {
		t.Helper()
		if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: id, Reason: "other"}, staff); err != nil {
			t.Fatal(err)
		}
	}
	cancel(early)
	s.turn(24 * day) // four days before the end: the letter that it is cancelled says all there is to say
	cancel(late)
	s.turn(5 * day)
	if got := s.keys("subscription_ends", early); !slices.Equal(got, []string{"ends/2027-02-28T09:30:00Z/7"}) || s.get(early).State != renewal.Ended || s.get(late).State != renewal.Ended {
		t.Errorf("%q, %s, %s", got, s.get(early).State, s.get(late).State)
	}
}

// TestShopsKeepTheDaysTheySaid reads a policy that was saved when there was one number of
// days for yearly invoices.
func TestShopsKeepTheDaysTheySaid(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	policy := func() (p renewal.Policy) {
		t.Helper()
		s.update(func(tx *tenancy.Tx) (err error) {
			p, err = renewal.PolicyOf(t.Context(), tx)
			return err
		})
		return p
	}
	if p := policy(); !slices.Equal(p.Reminders.Renewal[billing.Triennial], billing.Reminders{30, 7}) {
		t.Errorf("by default: %v", p.Reminders)
	}
	for stored, want := range map[string]billing.Reminders{`{"lead_days": 5, "remind_days": 14}`: {19}, `{"remind_days": 0}`: nil, `{"remind_days": 14, "reminders": {"annual": [20]}}`: {20}} {
		s.exec("INSERT INTO shop_settings (name, value, changed_at) VALUES ('renewal', ?::jsonb, now()) ON CONFLICT (name) DO UPDATE SET value = excluded.value", stored)
		if p := policy(); !slices.Equal(p.Reminders.Renewal[billing.Annual], want) {
			t.Errorf("%s: %v", stored, p.Reminders)
		}
	}
}
