package recognition_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/recognition"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

const day = 24 * time.Hour

type shop struct {
	*tenancytest.World
	t       *testing.T
	db      *tenancy.DB
	account uuid.UUID
}

func open(t *testing.T, w *tenancytest.World, who tenancy.Tenant) *shop {
	s := &shop{World: w, t: t, db: w.DB(who), account: uuid.New()}
	s.exec(`INSERT INTO accounts (id, name, currency, created_at, changed_at, country, billing) VALUES (?, 'Ida', 'EUR', now(), now(), 'DE', '{}')`, s.account)
	return s
}

func (s *shop) update(fn func(tx *tenancy.Tx) error) {
	s.t.Helper()
	if err := s.db.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) exec(query string, args ...any) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(query, args...).Exec(s.t.Context())
		return err
	})
}

func (s *shop) issue(key string, lines ...billing.Line) (inv invoicing.Invoice) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(s.t.Context(), tx, invoicing.Draft{Key: key, AccountID: s.account, Currency: "EUR", Lines: lines})
		return err
	})
	return inv
}

func (s *shop) plan(sub uuid.UUID, minor int64, p billing.Period) billing.Line {
	return billing.Line{Kind: "plan", SubscriptionID: sub.String(), Description: "VPS", Quantity: 1, Unit: eur(minor), Net: eur(minor), Period: p, Awaits: p.To.IsZero()}
}

// month does what is due of it, twice: a job may come again.
func (s *shop) month() {
	s.t.Helper()
	for range 2 {
		if err := recognition.Recognise(s.t.Context(), s.db, time.Time{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// stands is what is on an account of the books, as far as a time.
func (s *shop) stands(account string, to time.Time) (minor int64) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT coalesce(sum(CASE WHEN credit = ?0 THEN amount_minor WHEN debit = ?0 THEN -amount_minor END), 0)::bigint FROM ledger_postings WHERE at < ?1", account, to).Scan(s.t.Context(), &minor)
	})
	return minor
}

func (s *shop) audit() {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(s.t.Context(), tx)
		if err == nil && !r.Holds() {
			s.t.Fatal(r.Problems)
		}
		var sum int64
		for _, b := range r.Balances {
			sum += b.Minor
		}
		if sum != 0 {
			s.t.Fatalf("the trial balance is %d", sum)
		}
		return err
	})
}

func (s *shop) credit(id uuid.UUID, amount billing.Money) error {
	return s.db.Update(s.t.Context(), func(tx *tenancy.Tx) error {
		_, err := invoicing.Credit(s.t.Context(), tx, invoicing.CreditRequest{Key: uuid.NewString(), InvoiceID: id, Amount: amount})
		return err
	})
}

func at(month time.Month, d int) time.Time { return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC) }

// A month of 30.00 from 16 November: half of it is November's, on its last day, however late
// the work is done.
func TestRevenueFollowsTime(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(at(11, 16))
	s, other := open(t, w, w.A), open(t, w, w.B)
	sub := uuid.New()
	s.issue("renewal/1", s.plan(sub, 3000, billing.Period{From: at(11, 16), To: at(12, 16)}))
	s.month()
	if got := s.stands(billing.DeferredRevenue, w.Clock.Now().Add(day)); got != 3000 {
		t.Errorf("%d are deferred", got)
	}
	w.Clock.Set(at(12, 3))
	s.month()
	if got := s.stands(billing.Revenue, at(12, 1)); got != 1500 {
		t.Errorf("November earned %d", got)
	}
	w.Clock.Set(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) // nobody did the work for two months
	s.month()
	if got := s.stands(billing.Revenue, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)); got != 3000 || s.stands(billing.DeferredRevenue, w.Clock.Now()) != 0 {
		t.Errorf("by the end of December %d were earned", got)
	}
	s.audit()
	if other.stands(billing.Revenue, w.Clock.Now()) != 0 {
		t.Error("the neighbour earned something")
	}
	var due int
	if err := w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM central.agenda WHERE kind = $1", recognition.Agenda).Scan(&due); err != nil || due != 0 {
		t.Errorf("%d shops are still to be looked at: %v", due, err)
	}
}

// What an order awaits begins with its payment; a pause stands still; an end earns the rest.
func TestTimeOfASubscription(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(at(10, 1))
	s, sub := open(t, w, w.A), uuid.New()
	do := func(fn func(tx *tenancy.Tx) error) { t.Helper(); s.update(fn); s.month(); s.audit() }
	s.issue("order/1", s.plan(sub, 3000, billing.Period{}), billing.Line{Kind: "setup", SubscriptionID: sub.String(), Description: "Setup", Quantity: 1, Unit: eur(600)})
	w.Clock.Set(at(11, 1))
	do(func(*tenancy.Tx) error { return nil })
	if got := s.stands(billing.Revenue, w.Clock.Now()); got != 0 {
		t.Errorf("%d were earned before it began", got)
	}
	do(func(tx *tenancy.Tx) error {
		return recognition.Begin(t.Context(), tx, sub, billing.Period{From: at(11, 1), To: at(12, 1)})
	})
	w.Clock.Set(at(11, 11))
	do(func(tx *tenancy.Tx) error { return recognition.Hold(t.Context(), tx, sub, tx.Now()) })
	if got := s.stands(billing.Revenue, at(12, 1)); got != 1200 {
		t.Errorf("ten of thirty days: %d", got)
	}
	w.Clock.Set(at(12, 21))
	do(func(*tenancy.Tx) error { return nil })
	if got := s.stands(billing.Revenue, w.Clock.Now()); got != 1200 {
		t.Errorf("while it is paused: %d", got)
	}
	do(func(tx *tenancy.Tx) error { return recognition.Continue(t.Context(), tx, sub, 40*day) })
	w.Clock.Set(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	do(func(*tenancy.Tx) error { return nil })
	if got := s.stands(billing.Revenue, w.Clock.Now()); got != 1200+1320 {
		t.Errorf("eleven days more: %d", got)
	}
	do(func(tx *tenancy.Tx) error { return recognition.Finish(t.Context(), tx, sub) })
	if got := s.stands(billing.Revenue, w.Clock.Now().Add(day)); got != 3600 {
		t.Errorf("at its end: %d", got)
	}
}

// What is credited comes out of what is not earned yet, and then out of revenue.
func TestCreditNotesTakeWhatIsNotEarned(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(at(11, 1))
	s := open(t, w, w.A)
	inv := s.issue("renewal/1", s.plan(uuid.New(), 3000, billing.Period{From: at(11, 1), To: at(12, 1)}))
	w.Clock.Set(at(11, 16))
	if err := s.credit(inv.ID, eur(1000)); err != nil { // a downgrade gives a third back of what is left
		t.Fatal(err)
	}
	if got := s.stands(billing.Revenue, w.Clock.Now().Add(day)); got != 1500 {
		t.Errorf("%d are earned", got)
	}
	if got := s.stands(billing.DeferredRevenue, w.Clock.Now().Add(day)); got != 500 {
		t.Errorf("%d are left to earn", got)
	}
	s.audit()
	if err := s.credit(inv.ID, billing.Money{}); err != nil { // and then all of it
		t.Fatal(err)
	}
	for _, account := range []string{billing.Revenue, billing.DeferredRevenue, billing.Receivable} {
		if got := s.stands(account, w.Clock.Now().Add(day)); got != 0 {
			t.Errorf("%s is %d", account, got)
		}
	}
	s.audit()
}

// A shop that counted everything as earned when it was invoiced defers what is left of it
// once, and its documents stay: the audit reads their chain.
func TestOldInvoicesAreDeferredOnce(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(at(11, 1))
	s := open(t, w, w.A)
	s.issue("renewal/1", s.plan(uuid.New(), 3000, billing.Period{From: at(11, 1), To: at(12, 1)}))
	s.issue("renewal/2", s.plan(uuid.New(), 9900, billing.Period{From: at(10, 1), To: at(11, 1)}))
	schema := w.A.ID.Schema()
	for _, query := range []string{ // as the program before wrote it
		"DELETE FROM " + schema + ".recognitions", "UPDATE " + schema + ".ledger_postings SET credit = 'revenue' WHERE credit = 'deferred_revenue'",
	} {
		if _, err := w.Owner.Exec(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	s.audit()
	w.Clock.Set(at(11, 11))
	s.month()
	s.audit()
	if got := s.stands(billing.DeferredRevenue, w.Clock.Now().Add(day)); got != 2000 {
		t.Errorf("%d are deferred", got)
	}
	w.Clock.Set(at(12, 2))
	s.month()
	s.audit()
	if got := s.stands(billing.Revenue, at(12, 1)); got != 12_900 {
		t.Errorf("by December %d are earned", got)
	}
}

// Whatever is issued, credited, paused, ended and left alone, in any order: the books
// balance, and what is recognised and what is deferred is what was invoiced.
func TestAnyLifeRecognisesAll(t *testing.T) {
	w := tenancytest.New(t)
	for seed, who := range []tenancy.Tenant{w.A, w.B} {
		w.Clock.Set(at(1, 31).Add(13 * time.Hour))
		s, rnd := open(t, w, who), rand.New(rand.NewPCG(uint64(seed), 20261122))
		var invoices, subs []uuid.UUID
		held := map[uuid.UUID]time.Time{}
		for step := range 35 {
			now := w.Clock.Now()
			switch rnd.IntN(7) {
			case 0, 1:
				sub := uuid.New()
				p := billing.Period{From: now.Add(time.Duration(rnd.IntN(40)-10) * day)}
				p.To = p.From.Add(time.Duration(1+rnd.IntN(400)) * day)
				if rnd.IntN(4) == 0 {
					p = billing.Period{}
				}
				first := s.plan(sub, 1000+rnd.Int64N(9000), p)
				inv := s.issue(fmt.Sprint("x/", step), first, billing.Line{Kind: "credit", SubscriptionID: sub.String(), Description: "Off", Quantity: 1, Unit: eur(-rnd.Int64N(1000))})
				invoices, subs = append(invoices, inv.ID), append(subs, sub)
			case 2:
				if len(invoices) > 0 {
					id := invoices[rnd.IntN(len(invoices))]
					if err := s.credit(id, eur(1+rnd.Int64N(3000))); err != nil && fault.From(err).Kind == fault.Internal {
						t.Fatal(err)
					}
				}
			case 3:
				if len(subs) > 0 {
					sub := subs[rnd.IntN(len(subs))]
					s.update(func(tx *tenancy.Tx) error {
						if since, is := held[sub]; is {
							delete(held, sub)
							return recognition.Continue(t.Context(), tx, sub, now.Sub(since))
						}
						held[sub] = now
						return recognition.Hold(t.Context(), tx, sub, now)
					})
				}
			case 4:
				if len(subs) > 0 {
					sub := subs[rnd.IntN(len(subs))]
					s.update(func(tx *tenancy.Tx) error {
						if rnd.IntN(3) == 0 {
							return recognition.Finish(t.Context(), tx, sub)
						}
						return recognition.Begin(t.Context(), tx, sub, billing.Monthly.Period(now, 0, time.UTC))
					})
				}
			case 5: // killed in its middle, it leaves nothing behind
				err := s.db.Update(t.Context(), func(tx *tenancy.Tx) error {
					if len(subs) > 0 {
						if err := recognition.Finish(t.Context(), tx, subs[0]); err != nil {
							return err
						}
					}
					return errKilled
				})
				if !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
			default:
				w.Clock.Advance(time.Duration(rnd.IntN(70)) * day)
				s.month()
			}
			s.audit()
		}
		w.Clock.Advance(5 * 365 * day)
		s.update(func(tx *tenancy.Tx) error {
			for _, sub := range subs {
				if err := recognition.Finish(t.Context(), tx, sub); err != nil {
					return err
				}
			}
			return nil
		})
		s.audit()
		if left := s.stands(billing.DeferredRevenue, w.Clock.Now().Add(day)); left != 0 {
			t.Errorf("after all of it %d are deferred", left)
		}
	}
}

var errKilled = errors.New("killed")
