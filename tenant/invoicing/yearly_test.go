package invoicing_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// yearly switches numbers by the year on or off.
func (s *shop) yearly(on bool, patterns ...string) error {
	b := settings.DefaultBilling()
	b.Company, b.Line1, b.Postcode, b.City, b.Country, b.TaxID, b.OSS = "Alpha GmbH", "Hauptstr. 1", "10115", "Berlin", "DE", "DE123456789", true
	b.YearlyNumbers = on
	if len(patterns) == 2 {
		b.InvoiceNumber, b.CreditNumber = patterns[0], patterns[1]
	}
	return settings.SaveBilling(s.t.Context(), s.db, b, olga)
}

// numbers are those of the shop's invoices, in the order they were given.
func (s *shop) numbers() (all []string) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT number FROM invoices WHERE series = 'invoice' ORDER BY sequence").Scan(s.t.Context(), &all)
	})
	return all
}

// TestNumbersBeginAgainEachYear: from the next year on, by the shop's midnight, and as before
// where nobody chose it or somebody takes it back.
func TestNumbersBeginAgainEachYear(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC))
	berlin := w.A
	berlin.TimeZone = "Europe/Berlin"
	s, other := open(t, w, berlin), open(t, w, w.B)
	n, first := 0, uuid.Nil
	issue := func(at time.Time) string {
		n++
		w.Clock.Set(at)
		other.issue(other.draft(fmt.Sprint("order/", n), 100))
		inv := s.issue(s.draft(fmt.Sprint("order/", n), 100))
		if n == 1 {
			first = inv.ID
		}
		return inv.Number
	}
	is := func(at time.Time, want string) {
		t.Helper()
		if got := issue(at); got != want {
			t.Errorf("at %s: %s, want %s", at, got, want)
		}
	}
	is(time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC), "INV-2026-00001")
	if err := s.yearly(true); err != nil {
		t.Fatal(err)
	}
	is(time.Date(2026, 12, 31, 22, 59, 59, 0, time.UTC), "INV-2026-00002")
	is(time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC), "INV-2027-00001") // midnight in Berlin
	is(time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC), "INV-2027-00002")
	note, err := s.credit(invoicing.CreditRequest{Key: "credit/1", InvoiceID: first, Reason: "back"})
	if err != nil || note.Number != "CN-2027-00001" {
		t.Errorf("%s %v", note.Number, err)
	}
	is(time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC), "INV-2029-00001") // a year without any
	if err := s.yearly(false); err != nil {
		t.Fatal(err)
	}
	is(time.Date(2030, 2, 1, 0, 0, 0, 0, time.UTC), "INV-2030-00002") // they go on
	if err := s.yearly(false, "INV-{number:5}", "CN-{number:5}"); err != nil {
		t.Fatal(err)
	}
	is(time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC), "INV-00007") // all there are
	if err := s.yearly(true); err != nil {
		t.Fatal(err)
	}
	is(time.Date(2030, 4, 1, 0, 0, 0, 0, time.UTC), "INV-2030-00004")
	is(time.Date(2031, 4, 1, 0, 0, 0, 0, time.UTC), "INV-2031-00001")
	s.hold(n + 1)
	other.hold(n)
	if got := other.numbers(); got[len(got)-1] != fmt.Sprintf("INV-2031-%05d", n) {
		t.Errorf("the neighbour, who goes on: %q", got)
	}
}

// TestYearlyNumbersNeedTheYear: a pattern without it would give numbers twice.
func TestYearlyNumbersNeedTheYear(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	for _, p := range [][]string{{"INV-{number:5}", "CN-{year}-{number:5}"}, {"INV-{year}-{number:5}", "CN-{number:5}"}} {
		err := s.yearly(true, p...)
		f := fault.From(err)
		if f.Code != "billing_settings.invalid" || len(f.Fields) != 1 || !strings.Contains(f.Fields["invoice_number"]+f.Fields["credit_number"], "Put {year}-") {
			t.Errorf("%q: %v %v", p, err, f.Fields)
		}
		if err := s.yearly(false, p...); err != nil {
			t.Errorf("%q without beginning again: %v", p, err)
		}
	}
}

// TestYearsEndWhileManyIssue: fifty at once over the end of the year, some of whom fail after
// they have their number: both years have no gap and the chain holds.
func TestYearsEndWhileManyIssue(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Date(2026, 12, 31, 22, 59, 35, 0, time.UTC))
	berlin := w.A
	berlin.TimeZone = "Europe/Berlin"
	s := open(t, w, berlin)
	if err := s.yearly(true); err != nil {
		t.Fatal(err)
	}
	s.issue(s.draft("order/first", 100))
	boom := errors.New("rolled back")
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			w.Clock.Advance(time.Second)
			err := s.db.Update(t.Context(), func(tx *tenancy.Tx) error {
				_, err := invoicing.Issue(t.Context(), tx, s.draft(fmt.Sprintf("order/%d", i), 100))
				if err == nil && i%4 == 3 {
					err = boom
				}
				return err
			})
			if err != nil && !errors.Is(err, boom) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	s.issue(s.draft("order/last", 100))
	all, of := s.numbers(), map[string]int{}
	for _, number := range all {
		year := strings.Split(number, "-")[1]
		of[year]++
		if want := fmt.Sprintf("INV-%s-%05d", year, of[year]); number != want {
			t.Fatalf("%s in place of %s: %q", number, want, all)
		}
	}
	if len(all) != 40 || of["2026"] == 0 || of["2027"] == 0 || !slices.IsSorted(all) {
		t.Errorf("%d, %v", len(all), of)
	}
	s.hold(len(all))
}

// TestYearlyNumbersChosenOnNewYearsEve: between the shop's midnight and that of UTC, by which
// other numbers name their year, nothing that is switched gives a number twice.
func TestYearlyNumbersChosenOnNewYearsEve(t *testing.T) {
	for name, c := range map[string]struct {
		zone  string
		first bool // numbers begin again each year from the beginning
		at    []time.Time
		set   []bool
	}{
		"on in New York, where the year is UTC's already": {"America/New_York", false, []time.Time{time.Date(2027, 1, 1, 1, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 2, 0, 0, 0, time.UTC)}, []bool{false, true}},
		"off in Berlin, where the year is not UTC's yet":  {"Europe/Berlin", true, []time.Time{time.Date(2026, 12, 31, 23, 5, 0, 0, time.UTC), time.Date(2026, 12, 31, 23, 10, 0, 0, time.UTC)}, []bool{true, false}},
		"off and on again in New York":                    {"America/New_York", true, []time.Time{time.Date(2027, 1, 1, 1, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 2, 0, 0, 0, time.UTC)}, []bool{false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := tenancytest.New(t)
			w.Clock.Set(time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC))
			of := w.A
			of.TimeZone = c.zone
			s := open(t, w, of)
			if c.first {
				if err := s.yearly(true); err != nil {
					t.Fatal(err)
				}
			}
			n := 0
			issue := func() {
				t.Helper()
				n++
				s.issue(s.draft(fmt.Sprint("order/", n), 100))
			}
			issue()
			issue()
			for i, at := range c.at {
				w.Clock.Set(at)
				if err := s.yearly(c.set[i]); err != nil {
					t.Fatal(err)
				}
				issue()
			}
			w.Clock.Set(time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC))
			for range 6 {
				issue()
			}
			s.hold(n)
			t.Log(s.numbers())
		})
	}
}
