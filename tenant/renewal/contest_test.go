package renewal_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// contestant is a shop in which payments are disputed.
type contestant struct {
	*scene
	sub, payment uuid.UUID
}

func contest(t *testing.T, w *tenancytest.World, opened, lost billing.ContestStep) *contestant {
	s := &contestant{scene: scenery(t, w, w.A)}
	s.says(opened, lost)
	s.sub = s.runs(s.customer("ida", true), 1000)
	s.payment = s.paidBy("SELECT i.id FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id WHERE l.subscription_id = ? ORDER BY i.number LIMIT 1", s.sub)
	return s
}

func (s *contestant) says(opened, lost billing.ContestStep) {
	s.t.Helper()
	for range 2 {
		if err := renewal.SaveContests(s.t.Context(), s.db, billing.Contests{Opened: opened, Lost: lost}, somebody); err != nil {
			s.t.Fatal(err)
		}
	}
}

// paidBy notes the payment of an invoice.
func (s *contestant) paidBy(which string, args ...any) uuid.UUID {
	s.t.Helper()
	id := uuid.New()
	s.exec(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, ref, decline_code, decline_text, on_session, created_at, settled_at, changed_at)
		SELECT ?, ?, id, account_id, 'sandbox', currency, total_minor, 0, 'succeeded', ?, '', '', false, ?, ?, ? FROM invoices WHERE id = (`+which+`)`,
		append([]any{id, id.String(), id.String(), s.Clock.Now(), s.Clock.Now(), s.Clock.Now()}, args...)...)
	return id
}

// hears keeps how disputes of a payment stand, and does what follows, three times.
func (s *contestant) hears(payment uuid.UUID, all ...gateway.Disputed) {
	s.t.Helper()
	kept, err := json.Marshal(all)
	if err != nil {
		s.t.Fatal(err)
	}
	s.exec("UPDATE payments SET disputes = ?::jsonb WHERE id = ?", string(kept), payment)
	for range 3 {
		s.follows(payment, all...)
	}
	s.work()
}

func (s *contestant) follows(id uuid.UUID, all ...gateway.Disputed) {
	s.t.Helper()
	for _, k := range all {
		if err := s.desk.Disputed(s.t.Context(), s.db, payment.DisputedJob{PaymentID: id, Ref: k.Ref}); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *contestant) is(when, want string, reasons int) {
	s.t.Helper()
	if got := s.wants(s.sub); got != want {
		s.t.Errorf("%s: of the service %s is wanted, and not %s", when, got, want)
	}
	if n := scan[int](s.shop, "SELECT count(*) FROM timeline WHERE key LIKE 'subscription/'||?||'/dispute/%'", s.sub.String()); n != reasons {
		s.t.Errorf("%s: the timeline says %d times that it was suspended for a dispute, and not %d", when, n, reasons)
	}
}

func dispute(ref string, state gateway.DisputeState) gateway.Disputed {
	return gateway.Disputed{Ref: ref, State: state, AmountMinor: 1000}
}

// What a disputed payment was for is suspended while the bank decides and released when the
// dispute is won; what the team has released stays so, however often the news come again.
func TestWhatIsDisputedIsSuspendedAndReleased(t *testing.T) {
	s := contest(t, tenancytest.New(t), billing.ContestSuspend, billing.ContestNothing)
	s.hears(s.payment, gateway.Disputed{Ref: "d1", State: gateway.NeedsResponse, Inquiry: true})
	s.is("the bank asks", "active", 0)
	s.hears(s.payment, dispute("d1", gateway.NeedsResponse))
	s.is("opened", "suspended", 1)
	if said := scan[string](s.shop, "SELECT holds->>'dispute' FROM services WHERE subscription_id = ?", s.sub); !strings.Contains(said, "is disputed at your bank") {
		t.Errorf("the customer reads %q", said)
	}
	service := s.get(s.sub).ServiceID
	if err := hosting.ReleaseBy(t.Context(), s.db, service, somebody); err != nil {
		t.Fatal(err)
	}
	if err := hosting.ReleaseBy(t.Context(), s.db, service, somebody); !fault.Is(err, "service.not_held") {
		t.Errorf("released twice: %v", err)
	}
	s.work()
	s.is("released by the team", "active", 1)
	s.hears(s.payment, dispute("d1", gateway.UnderReview))
	s.is("under review", "active", 1)
	s.hears(s.payment, dispute("d1", gateway.UnderReview), dispute("d2", gateway.NeedsResponse))
	s.is("another", "suspended", 2)
	s.hears(s.payment, dispute("d1", gateway.Won), dispute("d2", gateway.NeedsResponse))
	s.is("one of two is won", "suspended", 2)
	s.hears(s.payment, dispute("d1", gateway.Won), dispute("d2", gateway.Lost))
	s.is("the other is lost, and the shop lets it be", "active", 2)
	if state := s.get(s.sub).State; state != renewal.Active {
		t.Errorf("the subscription is %s", state)
	}
}

// What was lost is suspended or ended, if the shop says so, and another payment's dispute
// that is won does not release it.
func TestWhatIsLostIsSuspendedOrEnded(t *testing.T) {
	w := tenancytest.New(t)
	s := contest(t, w, billing.ContestNothing, billing.ContestSuspend)
	s.hears(s.payment, dispute("d1", gateway.NeedsResponse))
	s.is("opened", "active", 0)
	s.hears(s.payment, dispute("d1", gateway.Lost))
	s.is("lost", "suspended", 1)
	s.turn(33 * day)
	s.work()
	other := s.paidBy("SELECT i.id FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id WHERE l.subscription_id = ? AND i.key LIKE 'renewal/%' ORDER BY i.number LIMIT 1", s.sub)
	s.hears(other, dispute("d7", gateway.Won))
	s.is("another's was won", "suspended", 1)
	s.says(billing.ContestNothing, billing.ContestEnd)
	s.hears(other, dispute("d7", gateway.Won), dispute("d8", gateway.Lost))
	x := s.get(s.sub)
	if x.State != renewal.Ended || s.wants(s.sub) != "terminated" {
		t.Errorf("the subscription is %s, and of the service %s is wanted", x.State, s.wants(s.sub))
	}
	if n := scan[int](s.shop, "SELECT count(*) FROM mails WHERE template = 'subscription_ended'"); n != 1 {
		t.Errorf("%d letters say that it ended", n)
	}
	s.Clock.Advance(time.Hour)
	s.follows(s.payment, dispute("d1", gateway.Lost))
	if again := s.get(s.sub); !again.EndedAt.Equal(x.EndedAt) {
		t.Error("it ended twice")
	}
	if err := renewal.SaveContests(t.Context(), s.db, billing.Contests{Opened: billing.ContestEnd}, somebody); !fault.Is(err, "disputes.invalid") {
		t.Errorf("ended before the bank decides: %v", err)
	}
}
