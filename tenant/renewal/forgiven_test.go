package renewal_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// settled does the jobs there are about invoices that nobody owes any more, each twice and
// all of them again, and says how many there are.
func (s *shop) settled() int {
	s.t.Helper()
	rows, err := s.Owner.Query(s.t.Context(), "SELECT kind, args FROM river.river_job WHERE (metadata->>'tenant')::bigint = $1 AND kind IN ('invoice.paid', 'invoice.forgiven') ORDER BY id", s.who.ID.Number())
	if err != nil {
		s.t.Fatal(err)
	}
	type job struct {
		Kind string
		Args []byte
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	if err != nil {
		s.t.Fatal(err)
	}
	for range 2 {
		for _, j := range jobs {
			var of invoicing.PaidJob // both name an invoice
			if err := json.Unmarshal(j.Args, &of); err != nil {
				s.t.Fatal(err)
			}
			do := s.desk.Paid
			if j.Kind == (invoicing.ForgivenJob{}).Kind() {
				do = s.desk.Forgiven
			}
			for range 2 {
				if err := do(s.t.Context(), s.db, of.InvoiceID); err != nil {
					s.t.Fatal(err)
				}
			}
		}
	}
	return len(jobs)
}

func (s *shop) credit(invoice uuid.UUID, minor int64) {
	s.t.Helper()
	r := invoicing.CreditRequest{Key: "credit/form/" + uuid.NewString(), InvoiceID: invoice, Amount: billing.Money{Minor: minor, Currency: "EUR"}, Reason: "Goodwill"}
	if _, err := invoicing.CreditByHand(s.t.Context(), s.db, r, audit.Origin{Actor: audit.System("test")}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) part(invoice uuid.UUID, minor int64) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		return invoicing.Applied(s.t.Context(), tx, invoicing.Application{InvoiceID: invoice, PaymentID: uuid.New(), Gateway: "sandbox", Amount: billing.Money{Minor: minor, Currency: "EUR"}})
	})
}

// TestWhatIsGivenBackBeforeItBeganBegins has a part of a first payment given back before
// anybody did what follows the payment: what was ordered begins as soon as nothing is owed.
func TestWhatIsGivenBackBeforeItBeganBegins(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	back := billing.Money{Minor: 30, Currency: "EUR"}
	for i, settles := range []func(*tenancy.Tx, invoicing.GivenBackMoney) error{
		func(tx *tenancy.Tx, g invoicing.GivenBackMoney) error { return invoicing.CameBack(t.Context(), tx, g) },
		func(tx *tenancy.Tx, g invoicing.GivenBackMoney) error { // as payment.CreditRefund does
			_, err := invoicing.Credit(t.Context(), tx, invoicing.CreditRequest{Key: "credit/refund/" + g.RefundID.String(), InvoiceID: g.InvoiceID, Amount: g.Amount, Reason: "Refund", Settles: true})
			return err
		},
	} {
		s := open(t, w, []tenancy.Tenant{w.A, w.B}[i])
		sub, invoice := s.order(s.customer("ida", false), billing.Monthly, 1000)
		s.part(invoice, 1000)
		given := invoicing.GivenBackMoney{InvoiceID: invoice, PaymentID: uuid.New(), RefundID: uuid.New(), Gateway: "sandbox", Amount: back}
		s.update(func(tx *tenancy.Tx) error { return invoicing.GivenBack(t.Context(), tx, given) })
		s.settled()
		if x := s.get(sub); x.State != renewal.Pending {
			t.Fatalf("something is owed, and it is %s", x.State)
		}
		for range 2 {
			s.update(func(tx *tenancy.Tx) error { return settles(tx, given) })
		}
		if n := s.settled(); n != 2 {
			t.Errorf("%d jobs follow", n)
		}
		if x := s.get(sub); x.State != renewal.Active || !x.Period.From.Equal(w.Clock.Now()) {
			t.Errorf("nothing is owed, and it is %s from %s", x.State, x.Period.From)
		}
		s.hold()
	}
}

// TestWhoIsForgivenIsTurnedOn credits by hand what somebody owes whose service is off: all
// of it, and what a part of the price left.
func TestWhoIsForgivenIsTurnedOn(t *testing.T) {
	w := tenancytest.New(t)
	for i, paid := range []int64{0, 600} {
		w.Clock.Set(january)
		s := open(t, w, []tenancy.Tenant{w.A, w.B}[i])
		sub := s.sell(s.customer("ida", false), billing.Monthly, 1000)
		jobs := s.settled()
		due := s.get(sub).Period.To
		s.turn(due.Add(8 * day).Sub(w.Clock.Now()))
		invoice := scan[uuid.UUID](s, openRenewal)
		if x := s.get(sub); x.State != renewal.Suspended {
			t.Fatalf("it is %s", x.State)
		}
		if paid > 0 {
			s.part(invoice, paid)
		}
		s.credit(invoice, 1000-paid-1)
		if n := s.settled(); n != jobs || s.get(sub).State != renewal.Suspended {
			t.Errorf("a cent is owed: %d jobs follow, it is %s", n-jobs, s.get(sub).State)
		}
		s.credit(invoice, 1)
		if n := s.settled(); n != jobs+1 {
			t.Errorf("%d jobs follow", n-jobs)
		}
		x := s.get(sub)
		if x.State != renewal.Active || !x.Period.From.Equal(due) || s.wants(sub) != "active" {
			t.Errorf("forgiven all but %d: %s, from %s, service %s", paid, x.State, x.Period.From, s.wants(sub))
		}
		s.turn(x.Period.To.Add(day).Sub(w.Clock.Now())) // and the next month is owed as ever
		if n := scan[int](s, "SELECT count(*) FROM invoices WHERE key LIKE 'renewal/%' AND kind = 'invoice'"); n != 2 || s.get(sub).State != renewal.PastDue {
			t.Errorf("%d renewals, it is %s", n, s.get(sub).State)
		}
		s.hold()
	}
}

// TestForgivingBeginsNothing: an order whose invoice is credited in full waits for its
// cancellation, what ended stays ended, and what is credited after it was paid changes nothing.
func TestForgivingBeginsNothing(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", false)
	pending, invoice := s.order(ida, billing.Monthly, 1000)
	s.credit(invoice, 1000)
	ended := s.sell(ida, billing.Monthly, 2000)
	s.turn(s.get(ended).Period.To.Add(day).Sub(w.Clock.Now()))
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: ended, Now: true, Reason: "other"}, staff); err != nil {
		t.Fatal(err)
	}
	for _, id := range scanAll[uuid.UUID](s, "SELECT id FROM invoices WHERE kind = 'invoice' AND total_minor > credited_minor ORDER BY number") {
		s.credit(id, 2000)
	}
	s.settled()
	if a, b := s.get(pending), s.get(ended); a.State != renewal.Pending || b.State != renewal.Ended {
		t.Errorf("they are %s and %s", a.State, b.State)
	}
	s.hold()
}

// TestForgivingWhatIsCancelledAddsNothing: a renewal that a payment under way kept from being
// withdrawn is credited by hand once that payment failed. It ends when it was to end.
func TestForgivingWhatIsCancelledAddsNothing(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	sub := s.sell(s.customer("ida", false), billing.Monthly, 1000)
	end := s.get(sub).Period.To
	s.turn(end.Add(-2 * day).Sub(w.Clock.Now()))
	invoice := scan[uuid.UUID](s, openRenewal)
	way := uuid.New()
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
			SELECT ?, 'way', id, account_id, 'sandbox', 'EUR', 1000, 0, 'processing', '', '', false, issued_at, issued_at FROM invoices WHERE id = ?`, way, invoice).Exec(t.Context())
		return err
	})
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, Reason: "other"}, staff); err != nil {
		t.Fatal(err)
	}
	s.exec("UPDATE payments SET state = 'failed' WHERE id = ?", way)
	s.credit(invoice, 1000)
	s.settled()
	if x := s.get(sub); !x.Period.To.Equal(end) || !x.CancelAt.Equal(end) {
		t.Errorf("it runs until %s and ends %s, not %s", x.Period.To, x.CancelAt, end)
	}
	s.turn(end.Add(time.Minute).Sub(w.Clock.Now()))
	if x := s.get(sub); x.State != renewal.Ended {
		t.Errorf("past its end it is %s", x.State)
	}
	s.hold()
}

// TestAForgivenChangeIsMade credits the invoice of an upgrade, all of it or what a part of it
// left. If the platform refuses, what was paid goes back and no more.
func TestAForgivenChangeIsMade(t *testing.T) {
	w := tenancytest.New(t)
	for i, paid := range []int64{0, 100} {
		s := scenery(t, w, []tenancy.Tenant{w.A, w.B}[i])
		sub := s.runs(s.customer("ann", false), 1000)
		for _, refuses := range []error{provisioners.ErrNoRoom, nil} {
			s.platform.refuses = refuses
			q := s.accept(s.quote(sub, "l", "", nil))
			invoice := scan[uuid.UUID](s.shop, "SELECT id FROM invoices WHERE key LIKE 'change/%' AND state = 'open'")
			if paid > 0 {
				s.paysPart(invoice, paid)
			}
			s.credit(invoice, q.Total.Minor-paid)
			s.settled()
			s.work()
			if refuses == nil {
				s.want(sub, "VPS Large 4000 monthly, change none, sku vps-l")
				continue
			}
			s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
			if back := scan[int64](s.shop, "SELECT coalesce(sum(amount_minor), 0) FROM refunds"); back != paid {
				t.Errorf("%d of %d go back", back, paid)
			}
			if n := scan[int](s.shop, "SELECT count(*) FROM timeline WHERE key LIKE '%/give_back/%'"); n != 0 {
				t.Error("the team is to give back by hand what nobody paid")
			}
		}
		s.books()
	}
}
