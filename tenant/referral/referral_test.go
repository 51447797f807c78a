package referral_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/referral"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var olga = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}

// shop is one with a programme: ten euros for who brings somebody, five for whom they
// bring, who has to pay ten.
type shop struct {
	*tenancytest.World
	t   *testing.T
	db  *tenancy.DB
	ida uuid.UUID // brings others
	n   int
}

func open(t *testing.T, w *tenancytest.World, of tenancy.Tenant) *shop {
	t.Helper()
	s := &shop{World: w, t: t, db: w.DB(of)}
	s.ida = s.account("ida", "Ida Berg", "Road 1")
	s.program(func(*referral.Program) {})
	return s
}

func (s *shop) program(change func(*referral.Program)) {
	s.t.Helper()
	p := referral.Program{On: true, WaitDays: 14, PerYear: 2, Terms: map[string]billing.ReferralTerms{"EUR": {Referrer: 1000, Newcomer: 500, Least: 1000}}}
	change(&p)
	s.must(referral.Save(s.t.Context(), s.db, p, olga))
}

func (s *shop) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) do(fn func(tx *tenancy.Tx) error) {
	s.t.Helper()
	s.must(s.db.Update(s.t.Context(), fn))
}

func (s *shop) exec(q string, args ...any) {
	s.t.Helper()
	s.do(func(tx *tenancy.Tx) error { _, err := tx.NewRaw(q, args...).Exec(s.t.Context()); return err })
}

// account opens an account with an owner and an address.
func (s *shop) account(name, who, street string) uuid.UUID {
	s.t.Helper()
	id := uuid.Must(uuid.NewV7())
	s.do(func(tx *tenancy.Tx) error {
		p, err := identity.People{World: identity.Customer}.Add(s.t.Context(), tx, identity.NewPerson{Email: name + "@example.com", Name: who, Role: identity.CustomerMember, Verified: true}, "")
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO accounts (id, name, currency, country, billing, created_at, changed_at) VALUES (?0, ?1, 'EUR', 'DE', jsonb_build_object('name', ?1::text, 'line1', ?2::text, 'postcode', '10115', 'city', 'Berlin', 'country', 'DE'), ?3, ?3)`, id, who, street, tx.Now()).Exec(s.t.Context())
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", id, p.ID, tx.Now()).Exec(s.t.Context())
		return err
	})
	return id
}

// bring has somebody sign up by Ida's link.
func (s *shop) bring(name string) uuid.UUID {
	s.t.Helper()
	s.n++
	id := s.account(name, name, fmt.Sprintf("Lane %d", s.n))
	s.join(id, s.ida)
	return id
}

func (s *shop) join(id, by uuid.UUID) {
	s.t.Helper()
	s.do(func(tx *tenancy.Tx) error {
		return referral.Join(s.t.Context(), tx, id, referral.Visit{Code: referral.Code(by), At: s.Clock.Now(), IP: fmt.Sprintf("198.51.100.%d", s.n)})
	})
}

// pays has an account buy something and pay for it; the job of the invoice is done twice.
func (s *shop) pays(account uuid.UUID, minor int64) (inv invoicing.Invoice) {
	s.t.Helper()
	s.do(func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(s.t.Context(), tx, invoicing.Draft{Key: uuid.NewString(), AccountID: account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: minor, Currency: "EUR"}}}})
		if err != nil || inv.Owed().IsZero() {
			return err
		}
		id := uuid.New()
		_, err = tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
			VALUES (?, ?, ?, ?, 'transfer', 'EUR', ?, 0, 'succeeded', '', '', true, ?, ?)`, id, id.String(), inv.ID, account, inv.Owed().Minor, tx.Now(), tx.Now()).Exec(s.t.Context())
		if err != nil {
			return err
		}
		return invoicing.Applied(s.t.Context(), tx, invoicing.Application{InvoiceID: inv.ID, PaymentID: id, Gateway: "transfer", Amount: inv.Owed()})
	})
	for range 2 {
		s.must(referral.Paid(s.t.Context(), s.db, []uuid.UUID{inv.ID, uuid.New()}))
	}
	return inv
}

// later lets days pass and does what is due, twice.
func (s *shop) later(days int) {
	s.t.Helper()
	s.Clock.Advance(time.Duration(days) * 24 * time.Hour)
	for range 2 {
		s.must(referral.Due(s.t.Context(), s.db, s.Clock.Now()))
	}
}

// stands says how a referral stands, with what both sides have in credit.
func (s *shop) stands(newcomer uuid.UUID, want string) {
	s.t.Helper()
	s.do(func(tx *tenancy.Tx) error {
		all, err := referral.By(s.t.Context(), tx, s.ida)
		if err != nil {
			return err
		}
		got := "none"
		for _, r := range all {
			if r.AccountID == newcomer {
				got = fmt.Sprintf("%s %s", r.State, r.Reason)
			}
			if r.Name != "" || r.OwnerID != uuid.Nil {
				s.t.Errorf("the referrer is told who it is: %+v", r)
			}
		}
		for _, id := range []uuid.UUID{s.ida, newcomer} {
			m, _, err := credit.Available(s.t.Context(), tx, id, "EUR")
			if err != nil {
				return err
			}
			got += fmt.Sprintf(" %d", m.Minor)
		}
		if got != want {
			s.t.Errorf("%q, want %q", got, want)
		}
		return nil
	})
}

func (s *shop) due() (at *time.Time) {
	s.t.Helper()
	s.must(s.Owner.QueryRow(s.t.Context(), "SELECT max(due_at) FROM central.agenda WHERE tenant_id = $1 AND kind = 'referrals'", s.db.Tenant().ID.Number()).Scan(&at))
	return at
}

func newShops(t *testing.T) (*shop, *shop) {
	w := tenancytest.New(t)
	for _, of := range []tenancy.Tenant{w.A, w.B} {
		if err := w.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw("INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('transfer', 'on', '{}', '', 1, now())").Exec(t.Context())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return open(t, w, w.A), open(t, w, w.B)
}

// Somebody comes, pays, and the money stays: both get credit, once.
func TestBothSidesGetCredit(t *testing.T) {
	s, other := newShops(t)
	ben := s.bring("ben")
	s.stands(ben, "joined  0 0")
	s.pays(ben, 900)
	s.stands(ben, "joined  0 0")
	paid := s.Clock.Now()
	s.pays(ben, 1000)
	s.stands(ben, "waiting  0 0")
	if at := s.due(); at == nil || !at.Equal(paid.AddDate(0, 0, 14)) {
		t.Errorf("due at %v", at)
	}
	s.later(13)
	s.stands(ben, "waiting  0 0")
	s.later(1)
	s.stands(ben, "granted  1000 500")
	if s.due() != nil {
		t.Error("something is still due")
	}
	s.pays(ben, 5000) // is paid with the credit as far as it goes; brings nothing more
	s.later(20)
	s.stands(ben, "granted  1000 0")
	s.do(func(tx *tenancy.Tx) error {
		all, total, err := referral.List(t.Context(), tx, referral.Filter{Limit: 10})
		if err != nil || total != 1 || all[0].Name != "ben" || all[0].ByName != "Ida Berg" || all[0].ToReferrer.Minor != 1000 || all[0].Brought.Minor != 900+1000+4500 {
			t.Errorf("%+v %d %v", all, total, err)
		}
		sum, err := referral.Figures(t.Context(), tx)
		if err != nil || len(sum) != 1 || sum[0] != (referral.Figure{Currency: "EUR", People: 1, Granted: 1, CostMinor: 1500, PaidMinor: 6400}) {
			t.Errorf("%+v %v", sum, err)
		}
		report, err := invoicing.Books(t.Context(), tx)
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("the books: %+v %v", report.Problems, err)
		}
		return nil
	})
	// A link of another shop's customer names nobody here.
	eve := other.account("eve", "Eve", "Square 9")
	other.join(eve, s.ida)
	if err := referral.Grant(t.Context(), other.db, eve, "", olga); !fault.Is(err, "referral.not_found") {
		t.Errorf("the neighbour's link: %v", err)
	}
	if err := referral.Grant(t.Context(), other.db, ben, "", olga); !fault.Is(err, "referral.not_found") {
		t.Errorf("the neighbour's customer: %v", err)
	}
}

// Who is not really somebody else, or did not really pay, brings nothing.
func TestReferralGuards(t *testing.T) {
	s, _ := newShops(t)
	s.program(func(p *referral.Program) { p.WaitDays, p.PerYear = 0, 0 })
	card := func(of uuid.UUID) {
		s.exec(`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, fingerprint, state, created_at, changed_at) VALUES (?, ?, 'transfer', '', ?, 'card', '', 'fp', 'active', now(), now())`, uuid.New(), of, uuid.NewString())
	}
	for _, test := range []struct {
		name   string
		before func(newcomer uuid.UUID)
		want   string
	}{
		{"mail", func(n uuid.UUID) {
			s.exec("UPDATE accounts SET billing = billing || '{\"email\": \"ida+friend@example.com\"}' WHERE id = ?", n)
		}, "refused same_person"},
		{"home", func(n uuid.UUID) {
			s.exec("UPDATE accounts SET billing = billing || '{\"name\": \"IDA BERG\", \"line1\": \"road 1\"}' WHERE id = ?", n)
		}, "refused same_person"},
		{"member", func(n uuid.UUID) {
			s.exec("INSERT INTO memberships (account_id, person_id, role, created_at) SELECT ?, person_id, 'billing', '2026-10-15 09:30Z' FROM memberships WHERE account_id = ?", n, s.ida)
		}, "refused same_person"},
		{"card", func(n uuid.UUID) { card(n); card(s.ida) }, "refused same_card"},
		{"network", func(uuid.UUID) {
			s.exec("INSERT INTO logins (id, world, person_id, email_key, outcome, ip, user_agent, at) SELECT ?, 'customer', person_id, '', 'ok', ?, '', '2026-10-15 09:30Z' FROM memberships WHERE account_id = ?", uuid.New(), fmt.Sprintf("198.51.100.%d", s.n), s.ida)
		}, "refused same_network"},
		{"credit", func(n uuid.UUID) {
			_, err := credit.GiveByHand(t.Context(), s.db, credit.Form{Key: "k", AccountID: n, Amount: "20.00", Currency: "EUR"}, time.UTC, olga)
			s.must(err)
		}, "joined "},
		{"closed", func(n uuid.UUID) { s.exec("UPDATE accounts SET closed_at = now() WHERE id = ?", n) }, "refused closed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := s.bring(test.name)
			test.before(n)
			s.pays(n, 2000)
			s.stands(n, test.want+" 0 0")
		})
	}
	// Money that goes back within the wait.
	s.program(func(*referral.Program) {})
	for name, back := range map[string]string{"refunded": "UPDATE payments SET refunded_minor = 1 WHERE invoice_id = ?", "disputed": `UPDATE payments SET disputes = '[{"state": "under_review"}]' WHERE invoice_id = ?`} {
		n := s.bring(name)
		inv := s.pays(n, 2000)
		s.stands(n, "waiting  0 0")
		s.exec(back, inv.ID)
		s.later(14)
		s.stands(n, "refused given_back 0 0")
	}
	n := s.bring("inquiry")
	inv := s.pays(n, 2000)
	s.exec(`UPDATE payments SET disputes = '[{"state": "won"}]' WHERE invoice_id = ?`, inv.ID)
	s.program(func(p *referral.Program) { p.On = false })
	s.later(14)
	s.stands(n, "refused no_terms 0 0")
	late := s.bring("late")
	s.stands(late, "none 0 0")
}

// A referrer gets credit for so many a year, also when many are decided at once, and
// newcomers what they were promised.
func TestTheReferrersLimit(t *testing.T) {
	s, _ := newShops(t)
	for i := range 4 {
		n := s.bring(fmt.Sprintf("n%d", i))
		s.pays(n, 1000)
	}
	s.Clock.Advance(14 * 24 * time.Hour)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := referral.Due(t.Context(), s.db, s.Clock.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	limited := 0
	s.do(func(tx *tenancy.Tx) error {
		got, err := referral.By(t.Context(), tx, s.ida)
		for _, r := range got {
			if r.State == billing.ReferralGranted && r.Reason == billing.ReferralLimit && r.ToReferrer.IsZero() && r.ToNewcomer.Minor == 500 {
				limited++
			}
		}
		return err
	})
	if limited != 2 {
		t.Errorf("%d were over the limit", limited)
	}
	s.Clock.Advance(366 * 24 * time.Hour)
	n := s.bring("next")
	s.pays(n, 1000)
	s.later(14)
	s.stands(n, "granted  3000 500")
}

// People decide otherwise, once, and it stands in the trail.
func TestReferralsByHand(t *testing.T) {
	s, _ := newShops(t)
	ctx := t.Context()
	ben, cem := s.bring("ben"), s.bring("cem")
	for range 2 {
		s.must(referral.Grant(ctx, s.db, ben, "a friend of the house", olga))
		s.must(referral.Refuse(ctx, s.db, cem, "", olga))
	}
	s.stands(ben, "granted  1000 500")
	s.stands(cem, "refused by_hand 1000 0")
	if err := referral.Refuse(ctx, s.db, ben, "", olga); !fault.Is(err, "referral.granted") {
		t.Errorf("what was given: %v", err)
	}
	s.pays(ben, 4000)
	s.pays(cem, 4000)
	s.later(30)
	s.stands(cem, "refused by_hand 1000 0")
	s.must(referral.Grant(ctx, s.db, cem, "", olga))
	s.stands(cem, "granted  2000 500")
	var trail int
	s.must(s.Owner.QueryRow(ctx, "SELECT count(*) FROM "+s.db.Tenant().ID.Schema()+".audit_entries WHERE action LIKE 'referral.%'").Scan(&trail))
	if trail != 3 {
		t.Errorf("%d entries in the trail", trail)
	}
}

func TestProgramsThatAreNone(t *testing.T) {
	s, _ := newShops(t)
	for field, p := range map[string]referral.Program{
		"wait_days": {WaitDays: 181}, "per_year": {PerYear: -1}, "terms": {On: true},
		"referrer.EUR": {Terms: map[string]billing.ReferralTerms{"EUR": {Least: 5}}}, "least.EUR": {Terms: map[string]billing.ReferralTerms{"EUR": {Referrer: 5, Least: -1}}},
	} {
		if err := referral.Save(t.Context(), s.db, p, olga); !fault.Is(err, "referral.invalid") || fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// A code names the account it was made of and no other, in any case; what is no code
// names nobody.
func TestCodes(t *testing.T) {
	s, _ := newShops(t)
	rapid.Check(t, func(t *rapid.T) {
		id := uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		code := referral.Code(id)
		if len(code) != 13 || referral.Code(uuid.UUID(append(id[:8:8], make([]byte, 8)...))) != code {
			t.Fatalf("%s is %q", id, code)
		}
	})
	for _, code := range []string{"", "x", "zzzzzzzzzzzzz", "0123456789abu", referral.Code(s.ida) + "0", "%00%00"} {
		n := s.bring("n" + uuid.NewString()[:8])
		s.exec("UPDATE accounts SET referral = NULL WHERE id = ?", n)
		s.do(func(tx *tenancy.Tx) error {
			return referral.Join(t.Context(), tx, n, referral.Visit{Code: code, At: s.Clock.Now()})
		})
		s.stands(n, "none 0 0")
	}
	// An old link, and one of the account itself.
	n := s.account("old", "Old", "Road 9")
	s.do(func(tx *tenancy.Tx) error {
		return referral.Join(t.Context(), tx, n, referral.Visit{Code: referral.Code(s.ida), At: s.Clock.Now().Add(-referral.CookieFor - time.Second)})
	})
	s.join(n, n)
	s.stands(n, "none 0 0")
}
