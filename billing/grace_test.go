package billing_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

const day = 24 * time.Hour

func TestAWeekMoreMovesWhatIsAhead(t *testing.T) {
	d, due := billing.DefaultDunning(), utc("2026-11-01 09:00")
	if got := billing.Base(due, time.Time{}); !got.Equal(due) {
		t.Errorf("nobody asked: %s", got)
	}
	base := billing.Base(due, due.Add(2*day))
	if next, _ := d.NextIn(base, 2, time.UTC); !next.Equal(utc("2026-11-11 09:00")) {
		t.Errorf("the try of the third day comes on %s", next)
	}
	if off := base.Add(d.SuspendAfter); !off.Equal(utc("2026-11-15 09:00")) {
		t.Errorf("it is turned off on %s", off)
	}
	// In whatever zone and season: no try comes sooner than it would have, and none more
	// than a week and a morning later.
	zones := []*time.Location{time.UTC, zoneOf(t, "Europe/Berlin"), zoneOf(t, "America/Los_Angeles")}
	rapid.Check(t, func(t *rapid.T) {
		due := time.Unix(rapid.Int64Range(1.7e9, 2e9).Draw(t, "due"), 0)
		failed, zone := rapid.IntRange(0, len(d.Tries)).Draw(t, "failed"), rapid.SampledFrom(zones).Draw(t, "zone")
		was, more := d.NextIn(due, failed, zone)
		is, still := d.NextIn(billing.Base(due, due), failed, zone)
		if more != still {
			t.Fatalf("%d tries failed: more %v, with a week %v", failed, more, still)
		}
		if later := is.Sub(was); more && (later < billing.MoreTime-time.Hour || later > billing.MoreTime+25*time.Hour) {
			t.Fatalf("try %d moves by %s", failed, later)
		}
	})
}

func TestTheEndIsAnnounced(t *testing.T) {
	d, due := billing.DefaultDunning(), utc("2026-11-01 09:00")
	for _, c := range []struct {
		what               string
		suspended, noticed string
		before             time.Duration
		notice, end        string
	}{
		{"in time", "2026-11-08 09:00", "", 3 * day, "2026-11-19 09:00", "2026-11-22 09:00"},
		{"announced in time", "2026-11-08 09:00", "2026-11-19 09:00", 3 * day, "2026-11-19 09:00", "2026-11-22 09:00"},
		{"announced late", "2026-11-08 09:00", "2026-11-21 12:00", 3 * day, "2026-11-19 09:00", "2026-11-24 12:00"},
		{"suspended late", "2026-11-20 09:00", "", 3 * day, "2026-12-01 09:00", "2026-12-04 09:00"},
		{"a notice as long as the suspension", "2026-11-08 09:00", "", 20 * day, "2026-11-08 09:00", "2026-11-28 09:00"},
		{"no notice", "2026-11-08 09:00", "", 0, "", "2026-11-22 09:00"},
	} {
		d.NoticeBefore = c.before
		noticed, notice := time.Time{}, time.Time{}
		if c.noticed != "" {
			noticed = utc(c.noticed)
		}
		if c.notice != "" {
			notice = utc(c.notice)
		}
		if n, end := d.End(due, utc(c.suspended), noticed); !n.Equal(notice) || !end.Equal(utc(c.end)) {
			t.Errorf("%s: told on %s, ends on %s", c.what, n, end)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		hours := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, name)) * time.Hour
		}
		d := billing.Dunning{SuspendAfter: hours("suspend", 1000)}
		d.EndAfter, d.NoticeBefore = d.SuspendAfter+hours("end", 1000), hours("notice", 1000)
		suspended := due.Add(hours("suspended", 2000))
		notice, end := d.End(due, suspended, time.Time{})
		told := notice.Add(hours("late", 2000))
		if d.NoticeBefore == 0 {
			told = time.Time{}
		}
		_, ends := d.End(due, suspended, told)
		switch {
		case end.Sub(suspended) < d.EndAfter-d.SuspendAfter, ends.Before(end):
			t.Fatalf("suspended on %s it ends on %s, announced on %s on %s", suspended, end, told, ends)
		case d.NoticeBefore > 0 && (notice.Before(suspended) || ends.Sub(told) < d.NoticeBefore):
			t.Fatalf("announced on %s it ends on %s, %s before", told, ends, d.NoticeBefore)
		}
	})
}

func TestALateFee(t *testing.T) {
	fee := billing.LateFee{After: 14 * day, Ppm: 50_000, Amounts: []billing.Money{eur(500)}}
	for _, c := range []struct {
		f          billing.LateFee
		owed, want billing.Money
	}{
		{fee, eur(2000), eur(500)},
		{fee, eur(300), eur(300)}, // never more than what is owed
		{fee, billing.Money{Minor: 1990, Currency: "USD"}, billing.Money{Minor: 100, Currency: "USD"}}, // 99.5
		{fee, eur(0), eur(0)},
		{fee, eur(-5), eur(0)},
		{billing.LateFee{}, eur(2000), eur(0)},
	} {
		if got, err := c.f.Of(c.owed); err != nil || got != c.want {
			t.Errorf("of %s: %s, %v; want %s", c.owed, got, err, c.want)
		}
	}
	if fee.On() == (billing.LateFee{}).On() {
		t.Error("nothing asks for something")
	}
	for _, f := range []billing.LateFee{{Ppm: -1}, {Ppm: billing.PpmWhole + 1}, {Amounts: []billing.Money{eur(-1)}}} {
		if _, err := f.Of(eur(1)); !errors.Is(err, billing.ErrFee) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		f := billing.LateFee{Ppm: rapid.Int64Range(0, billing.PpmWhole).Draw(t, "ppm")}
		if rapid.Bool().Draw(t, "fixed") {
			f.Amounts = []billing.Money{eur(rapid.Int64Range(0, 1e12).Draw(t, "amount"))}
		}
		owed := eur(rapid.Int64Range(-10, 1e12).Draw(t, "owed"))
		got, err := f.Of(owed)
		if err != nil || got.Minor < 0 || got.Minor > max(owed.Minor, 0) || got.Currency != owed.Currency {
			t.Fatalf("%+v of %s: %s, %v", f, owed, got, err)
		}
	})
}

// What is asked for because somebody pays late is no price of anything: Court of Justice,
// 1 July 1982, case 222/81, BAZ Bausystem.
func TestALateFeeIsNoSupply(t *testing.T) {
	for _, c := range []billing.TaxCase{
		{Seller: billing.TaxParty{Country: "DE"}, Country: "DE"},
		{Seller: billing.TaxParty{Country: "DE"}, Country: "FR", TaxID: "FR12345678901"},
		{Seller: billing.TaxParty{Country: "DE", OSS: true}, Country: "FR"},
		{Seller: billing.TaxParty{Country: "CH"}, Country: "DE"},
	} {
		c.Class, c.At = billing.Compensation, utc("2026-11-01 09:00")
		r := billing.TaxFor(c)
		if r.Ppm != 0 || r.Category != "O" || r.Note != billing.NoteCompensation || c.HomeRate() != 0 {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}
