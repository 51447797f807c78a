package agreed_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/catalog"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shop is one with a customer and a plan of 10.00 EUR a month and 100.00 EUR a year.
type shop struct {
	t             *testing.T
	db            *tenancy.DB
	account, plan uuid.UUID
}

func open(t *testing.T, db *tenancy.DB) *shop {
	t.Helper()
	s := &shop{t, db, uuid.New(), uuid.New()}
	s.update(func(tx *tenancy.Tx) error {
		product := uuid.New()
		for _, q := range []struct {
			sql  string
			args []any
		}{
			{"INSERT INTO accounts (id, name, currency, created_at, changed_at, country, billing) VALUES (?, 'Ida', 'EUR', now(), now(), 'DE', '{}')", []any{s.account}},
			{"INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES (?, 'vps', 'vps', 'VPS', '', 1, 'hidden', now(), now())", []any{product}},
			{"INSERT INTO plans (id, product_id, slug, name, summary, facts, position, visibility, created_at, changed_at) VALUES (?, ?, 'small', 'Small', '', '[]', 1, 'hidden', now(), now())", []any{s.plan, product}},
		} {
			if _, err := tx.NewRaw(q.sql, q.args...).Exec(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	return s
}

func (s *shop) update(fn func(tx *tenancy.Tx) error) {
	s.t.Helper()
	must(s.t, s.db.Update(s.t.Context(), fn))
}

func (s *shop) plans() []catalog.FullPlan {
	return []catalog.FullPlan{{ID: s.plan, ProductName: "VPS", Name: "Small", Prices: []catalog.FullPrice{
		{Currency: "EUR", Cycle: billing.Monthly, Amount: 1000}, {Currency: "EUR", Cycle: billing.Annual, Amount: 10000}, {Currency: "USD", Cycle: billing.Monthly, Amount: 1200},
	}}}
}

func (s *shop) keep(p agreed.Price) agreed.Price {
	s.t.Helper()
	p.AccountID, p.PlanID, p.Currency = s.account, s.plan, "EUR"
	s.update(func(tx *tenancy.Tx) error { return agreed.Keep(s.t.Context(), tx, &p) })
	return p
}

// costs is what the account pays a month, a year, and a month in dollars: as Apply says, and
// as it is said of prices that were read with something else.
func (s *shop) costs() [3]int64 {
	s.t.Helper()
	var got [2][3]int64
	s.update(func(tx *tenancy.Tx) error {
		applied, put := s.plans(), s.plans()
		if err := agreed.Apply(s.t.Context(), tx, s.account, applied); err != nil {
			return err
		}
		var text string
		if err := tx.NewRaw("SELECT "+agreed.Column("a.id")+" FROM accounts a WHERE a.id = ?", s.account).Scan(s.t.Context(), &text); err != nil {
			return err
		}
		all, err := agreed.Read(text)
		if err != nil {
			return err
		}
		if err := agreed.Put(put, all, tx.Now()); err != nil {
			return err
		}
		for i := range got[0] {
			got[0][i], got[1][i] = applied[0].Prices[i].Amount, put[0].Prices[i].Amount
			if x := put[0].Prices[i]; x.AgreedID != applied[0].Prices[i].AgreedID || (x.AgreedID != uuid.Nil) != (x.Usual != 0) || x.Usual != 0 && x.Usual != s.plans()[0].Prices[i].Amount {
				s.t.Errorf("%+v and %+v", x, applied[0].Prices[i])
			}
		}
		return nil
	})
	if got[0] != got[1] {
		s.t.Errorf("applied %v, read %v", got[0], got[1])
	}
	return got[0]
}

// TestWhichOfSeveralCounts: one for just that cycle before one for any, the later before the
// earlier, each from its first moment until just before its last, in its currency alone.
func TestWhichOfSeveralCounts(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w.DB(w.A)), open(t, w.DB(w.B))
	usual := [3]int64{1000, 10000, 1200}
	says := func(what string, want [3]int64) {
		t.Helper()
		if got := s.costs(); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	says("nothing agreed", usual)
	now := w.Clock.Now()
	amount := func(minor int64) *int64 { return &minor }
	s.keep(agreed.Price{OffPpm: 100_000, From: now.Add(-time.Hour)})
	says("a share of everything", [3]int64{900, 9000, 1200})
	own := s.keep(agreed.Price{Cycle: billing.Monthly, AmountMinor: amount(700), From: now, Until: now.Add(time.Hour)})
	says("an amount a month", [3]int64{700, 9000, 1200})
	w.Clock.Advance(time.Minute)
	s.keep(agreed.Price{OffPpm: 500_000, From: now})
	says("a later share of everything", [3]int64{700, 5000, 1200})
	s.keep(agreed.Price{Cycle: billing.Monthly, AmountMinor: amount(0), From: now.Add(2 * time.Hour)})
	w.Clock.Set(now.Add(time.Hour - time.Microsecond))
	says("its last moment", [3]int64{700, 5000, 1200})
	w.Clock.Set(now.Add(time.Hour))
	says("when it is over", [3]int64{500, 5000, 1200})
	w.Clock.Set(now.Add(2 * time.Hour))
	says("for nothing", [3]int64{0, 5000, 1200})
	if got := other.costs(); got != usual {
		t.Errorf("the neighbour's customer pays %v", got)
	}
	s.update(func(tx *tenancy.Tx) error {
		if err := agreed.End(t.Context(), tx, own); !fault.Is(err, "agreed_price.over") {
			t.Errorf("ended when it is over: %v", err)
		}
		if _, err := agreed.Get(t.Context(), tx, own.ID, uuid.New()); !fault.Is(err, "agreed_price.not_found") {
			t.Errorf("of another account: %v", err)
		}
		all, err := agreed.List(t.Context(), tx, s.account)
		if err != nil || len(all) != 4 || all[3].OffPpm != 100_000 || all[0].Plan != "VPS Small" {
			t.Errorf("%+v %v", all, err)
		}
		for _, p := range all {
			if p.Counts(tx.Now()) {
				if err := agreed.End(t.Context(), tx, p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	says("all ended", usual)
}

// TestAForm says at each field what is wrong with it, and means days as they are where the
// shop is.
func TestAForm(t *testing.T) {
	s := &shop{plan: uuid.New()}
	berlin, err := time.LoadLocation("Europe/Berlin")
	must(t, err)
	now := time.Date(2026, 3, 28, 23, 30, 0, 0, time.UTC) // the 29th there, whose night has an hour less
	good := agreed.Form{Plan: s.plan.String(), Percent: "12,5"}
	for field, change := range map[string]func(*agreed.Form){
		"plan":    func(f *agreed.Form) { f.Plan = uuid.NewString() },
		"amount":  func(f *agreed.Form) { f.Amount = "5" },
		"percent": func(f *agreed.Form) { f.Percent = "NaN" },
		"cycle":   func(f *agreed.Form) { f.Percent, f.Amount = "", "5" },
		"note":    func(f *agreed.Form) { f.Note = strings.Repeat("ö", 201) },
		"from":    func(f *agreed.Form) { f.From = "2026-03-28" },
		"until":   func(f *agreed.Form) { f.From, f.Until = "2026-04-02", "2026-04-01" },
	} {
		f := good
		change(&f)
		if _, err := f.Read(s.plans(), "EUR", now, berlin); !fault.Is(err, "agreed_price.invalid") || len(fault.From(err).Fields) != 1 || fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v %v", field, err, fault.From(err).Fields)
		}
	}
	for _, percent := range []string{"0", "0.009", "100.01", "-5", "1e400", "Inf", "12 5"} {
		f := good
		f.Percent = percent
		if _, err := f.Read(s.plans(), "EUR", now, berlin); err == nil {
			t.Errorf("%q per cent is taken", percent)
		}
	}
	f := good
	f.From, f.Until, f.Note = "2026-03-29", "2026-03-29", " for\x00 old \n friends "
	p, err := f.Read(s.plans(), "EUR", now, berlin)
	if err != nil || !p.From.Equal(now) || !p.Until.Equal(time.Date(2026, 3, 29, 22, 0, 0, 0, time.UTC)) || p.OffPpm != 125_000 || p.Note != "for old friends" || p.AmountMinor != nil {
		t.Errorf("%+v %v", p, err)
	}
	f = agreed.Form{Plan: s.plan.String(), Cycle: "annual", Amount: "0.00", From: "2026-04-01"}
	p, err = f.Read(s.plans(), "EUR", now, berlin)
	if err != nil || !p.From.Equal(time.Date(2026, 3, 31, 22, 0, 0, 0, time.UTC)) || p.AmountMinor == nil || *p.AmountMinor != 0 {
		t.Errorf("%+v %v", p, err)
	}
}
