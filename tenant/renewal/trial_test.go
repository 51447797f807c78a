package renewal_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// try orders a monthly subscription at 9.00, with 5.00 for setting it up, that begins
// with a trial of 14 days.
func (s *shop) try(account uuid.UUID, change ...func(*renewal.New)) uuid.UUID {
	s.t.Helper()
	ctx := s.t.Context()
	quote, order, sub := uuid.New(), uuid.New(), uuid.New()
	owner := scan[uuid.UUID](s, "SELECT person_id FROM memberships WHERE account_id = ?", account)
	s.exec(`INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES (?, 'checkout', ?, 'EUR', 0, 0, 0, '{}', now(), now())`, quote, account)
	n := scan[int64](s, "SELECT coalesce(max(number), 1000) + 1 FROM orders")
	s.exec(`INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at) VALUES (?, ?, ?, ?, ?, 'paid', 'EUR', 0, '', now(), now())`,
		order, n, quote, account, owner)
	s.update(func(tx *tenancy.Tx) error {
		x := renewal.New{ID: sub, AccountID: account, OrderID: order, PlanID: s.plan, Label: "VPS Small", Cycle: billing.Monthly, Currency: "EUR", Amount: billing.Money{Minor: 900, Currency: "EUR"},
			Items: []renewal.Item{{Kind: "plan", Label: "VPS Small", Quantity: 1, AmountMinor: 900}},
			Trial: &renewal.Trial{Days: 14, Once: []renewal.Item{{Kind: "setup", Label: "Setting up VPS Small", Quantity: 1, AmountMinor: 500}}}}
		for _, f := range change {
			f(&x)
		}
		if _, err := renewal.Open(ctx, tx, x); err != nil {
			return err
		}
		_, err := hosting.Order(ctx, tx, hosting.New{SubscriptionID: sub, AccountID: account, Type: "vps", SKU: "vps-s", Label: "VPS Small", PlatformID: uuid.New(), Region: "ams", Image: "debian"})
		if err != nil {
			return err
		}
		for range 2 { // the job may come twice
			if err := renewal.BeginTrials(ctx, tx, order); err != nil {
				return err
			}
		}
		return nil
	})
	return sub
}

// invoiced is what invoices say of a subscription, line by line.
func (s *shop) invoiced(sub uuid.UUID) []string {
	s.t.Helper()
	return scanAll[string](s, "SELECT l.kind || ' ' || l.net_minor FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE l.subscription_id = ? AND i.kind = 'invoice' ORDER BY i.issued_at, l.position", sub)
}

func TestATrialWithACard(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s, other := open(t, w, w.A), open(t, w, w.B)
	s.exec(`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'reseller', 'rita@example.org', 'rita@example.org', 'Rita', 'owner', now(), now())`, uuid.New())
	discount := billing.Discount{Code: "HALF", Ppm: 500_000, Cycles: 1}
	ida := s.customer("ida", true)
	sub, stranger := s.try(ida, func(n *renewal.New) {
		n.Discount = &discount
		n.Trial.Once = append(n.Trial.Once, renewal.Item{Kind: "setup", Code: "move", Label: "VPS Small: We move you: 2", Quantity: 2, AmountMinor: 9800})
	}), other.try(other.customer("eve", false))
	if x := s.get(sub); x.State != renewal.InTrial || !x.Period.To.Equal(january.AddDate(0, 0, 14)) || s.figure("mrr") != 0 {
		t.Fatalf("%s until %s, worth %d a month", x.State, x.Period.To, s.figure("mrr"))
	}
	s.update(func(tx *tenancy.Tx) error { // what will be invoiced is known before
		ahead, err := renewal.Upcoming(t.Context(), tx, ida, 2)
		if err != nil || len(ahead) != 2 || ahead[0].Net != (billing.Money{Minor: 950 + 9800, Currency: "EUR"}) || ahead[1].Net != (billing.Money{Minor: 900, Currency: "EUR"}) || !ahead[0].IssueAt.Equal(january.AddDate(0, 0, 14)) {
			t.Errorf("ahead: %+v, %v", ahead, err)
		}
		return nil
	})
	for s.Clock.Now().Before(january.AddDate(0, 0, 13)) {
		s.turn(day)
	}
	if s.letters("trial_ending") != 1 || s.letters(mail.AddonBought) != 0 || len(s.periods(sub)) != 0 || s.wants(sub) != "active" {
		t.Errorf("before its end: %d letters, %q, %s", s.letters("trial_ending"), s.periods(sub), s.wants(sub))
	}
	for range 3 {
		s.turn(day)
	}
	if got := s.periods(sub); !slices.Equal(got, []string{"02-14–03-14 paid"}) {
		t.Errorf("periods %q", got)
	}
	if got := s.invoiced(sub); !slices.Equal(got, []string{"plan 450", "setup 500", "setup 9800"}) {
		t.Errorf("lines %q", got)
	}
	if n := s.letters(mail.AddonBought); n != 1 {
		t.Errorf("%d letters to the team about what it has to do", n)
	}
	if x := s.get(sub); x.State != renewal.Active || x.Trial.PaidAt.IsZero() || s.figure("mrr") != 900 {
		t.Errorf("%s, paid %s, worth %d", x.State, x.Trial.PaidAt, s.figure("mrr"))
	}
	for s.Clock.Now().Before(january.AddDate(0, 0, 50)) {
		s.turn(day)
	}
	if got := s.invoiced(sub); !slices.Equal(got, []string{"plan 450", "setup 500", "setup 9800", "plan 900"}) {
		t.Errorf("the second invoice: %q", got)
	}
	if x := other.get(stranger); x.State != renewal.InTrial {
		t.Errorf("the neighbour's is %s", x.State)
	}
	s.update(func(tx *tenancy.Tx) error {
		all, err := renewal.Trials(t.Context(), tx)
		if err != nil || len(all) != 1 || all[0].Begun != 1 || all[0].Converted != 1 || all[0].Rate() != "100 %" {
			t.Errorf("report %+v, %v", all, err)
		}
		if r, err := invoicing.Books(t.Context(), tx); err != nil || len(r.Problems) > 0 {
			t.Errorf("the books: %v, %v", r.Problems, err)
		}
		return nil
	})
}

// Nobody pays for it: it is asked for, turned off and deleted as any other.
func TestATrialNobodyPays(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	sub := s.try(s.customer("otto", false))
	for s.Clock.Now().Before(january.AddDate(0, 0, 16)) {
		s.turn(day)
	}
	if x := s.get(sub); x.State != renewal.PastDue || s.letters("invoice_due") == 0 || s.figure("mrr") != 0 {
		t.Errorf("%s, %d letters, worth %d", x.State, s.letters("invoice_due"), s.figure("mrr"))
	}
	for s.Clock.Now().Before(january.AddDate(0, 0, 45)) {
		s.turn(day)
	}
	if x := s.get(sub); x.State != renewal.Ended || s.wants(sub) != "terminated" || !x.Trial.PaidAt.IsZero() {
		t.Errorf("%s, its service %s", x.State, s.wants(sub))
	}
}

func TestATrialThatIsCancelled(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", true)
	sub := s.try(ida)
	cancel := renewal.CancelRequest{SubscriptionID: sub, AccountID: ida, Reason: "not_needed"}
	x, err := s.desk.Cancel(t.Context(), s.db, cancel, audit.Origin{})
	if err != nil || x.State != renewal.InTrial || !x.CancelAt.Equal(january.AddDate(0, 0, 14)) {
		t.Fatalf("%s, ends %s, %v", x.State, x.CancelAt, err)
	}
	if _, err := s.desk.PayNow(t.Context(), s.db, sub, ida, audit.Origin{}); !fault.Is(err, "trial.cancelled") {
		t.Errorf("paying for it: %v", err)
	}
	if _, err := s.desk.Resume(t.Context(), s.db, sub, ida, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.desk.Cancel(t.Context(), s.db, cancel, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		s.turn(day)
	}
	if x := s.get(sub); x.State != renewal.Ended || s.wants(sub) != "terminated" || scan[int](s, "SELECT count(*) FROM invoices") != 0 {
		t.Errorf("%s, %s, %d invoices", x.State, s.wants(sub), scan[int](s, "SELECT count(*) FROM invoices"))
	}
}

func TestPayingBeforeATrialEnds(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := open(t, w, w.A)
	ida := s.customer("ida", true)
	sub := s.try(ida)
	s.turn(5 * day)
	if _, err := s.desk.PayNow(t.Context(), s.db, sub, uuid.New(), audit.Origin{}); !fault.Is(err, "subscription.not_found") {
		t.Errorf("another account: %v", err)
	}
	if _, err := s.desk.PayNow(t.Context(), s.db, sub, ida, audit.Origin{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.desk.PayNow(t.Context(), s.db, sub, ida, audit.Origin{}); !fault.Is(err, "trial.none") {
		t.Errorf("twice: %v", err)
	}
	s.turn(day)
	if got := s.periods(sub); !slices.Equal(got, []string{"02-05–03-05 paid"}) || s.letters("trial_ending") != 0 {
		t.Errorf("%q, %d letters", got, s.letters("trial_ending"))
	}
}
