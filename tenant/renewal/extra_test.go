package renewal_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// TestAnAddonIsBoughtOnceAfterTheOrder: quoted and paid first, one purchase however often
// and however many at once accept it, a line of its own and no other price a cycle; the team
// hears of it when it is paid and not before.
func TestAnAddonIsBoughtOnceAfterTheOrder(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	s.exec(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
		SELECT ?, id, 'move', 'We move you', '', 'once', '', 0, 3, 1, '[{"code":"one","label":"one","amount":0,"prices":{"EUR":{"one_time":4900}}}]', 2, 'public', '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM products`, uuid.New())
	s.exec(`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'reseller', 'rita@example.org', 'rita@example.org', 'Rita', 'owner', now(), now())`, uuid.New())
	ida, otto := s.customer("ida", false), s.customer("otto", true)
	sub := s.runs(ida, 1000)
	was := s.get(sub)
	ask := func(wanted map[string]string) (renewal.ChangeQuote, error) {
		return s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, Buy: wanted})
	}
	for what, wanted := range map[string]map[string]string{"too many": {"move": "4"}, "unknown": {"gold": "1"}, "of another kind": {"ipv4": "1"}, "no number": {"move": "x"}} {
		if _, err := ask(wanted); !fault.Is(err, "configuration.invalid") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ask(map[string]string{"move": "0"}); !fault.Is(err, "change.nothing") {
		t.Errorf("none: %v", err)
	}
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: otto, Buy: map[string]string{"move": "1"}}); !fault.Is(err, "subscription.not_found") {
		t.Errorf("somebody else's: %v", err)
	}
	if _, err := s.desk.QuoteChange(t.Context(), w.DB(w.B), renewal.ChangeAsk{SubscriptionID: sub, Buy: map[string]string{"move": "1"}}); !fault.Is(err, "subscription.not_found") {
		t.Errorf("another shop's: %v", err)
	}
	for discount, want := range map[string]int64{
		`{"code":"TENTH","ppm":100000,"setup":true}`: 8820, `{"code":"FIRST","ppm":100000,"setup":true,"cycles":1}`: 9800, `{"code":"FIVE","off":{"Minor":500,"Currency":"EUR"},"setup":true}`: 9800,
	} {
		s.exec("UPDATE subscriptions SET discount = ?::jsonb", discount)
		q, err := ask(map[string]string{"move": "2"})
		if err != nil || q.Net.Minor != want || q.Bought[0].AmountMinor != 9800 {
			t.Errorf("with %s: %s of %+v (%v)", discount, q.Net, q.Bought, err)
		}
	}
	s.exec("UPDATE subscriptions SET discount = NULL")
	late, err := ask(map[string]string{"move": "1"})
	if err != nil {
		t.Fatal(err)
	}
	q, err := ask(map[string]string{"move": "2"})
	if err != nil || q.Net.Minor != 9800 || q.Amount != was.Amount || q.Price.AtRenewal || len(q.Price.Lines) != 1 {
		t.Fatalf("%v: %+v", err, q)
	}
	var wait sync.WaitGroup
	bills := make([]uuid.UUID, 4)
	for i := range bills {
		wait.Go(func() {
			got, err := s.desk.AcceptChange(t.Context(), s.db, q.ID, ida, somebody)
			if bills[i] = got.InvoiceID; err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	s.work()
	for _, id := range bills {
		if id == uuid.Nil || id != bills[0] {
			t.Fatalf("%v", bills)
		}
	}
	if line := scan[string](s.shop, "SELECT string_agg(kind || '|' || description || '|' || quantity || '|' || net_minor || '|' || coalesce(period_from::text, ''), ';') FROM invoice_lines WHERE invoice_id = ?", bills[0]); line != "setup|VPS Small: We move you: 2|2|9800|" {
		t.Errorf("%s", line)
	}
	if s.letters(mail.AddonBought) != 0 || s.get(sub).Change == nil {
		t.Error("it counts as bought before it is paid")
	}
	if _, err := s.desk.AcceptChange(t.Context(), s.db, late.ID, ida, somebody); !fault.Is(err, "change.under_way") {
		t.Errorf("a second meanwhile: %v", err)
	}
	s.pay(bills[0])
	if err := s.desk.Paid(t.Context(), s.db, bills[0]); err != nil {
		t.Fatal(err)
	}
	s.work()
	got := s.get(sub)
	if got.Change != nil || got.Amount != was.Amount || got.Period != was.Period || len(got.Items) != len(was.Items) || got.Renewals != was.Renewals {
		t.Errorf("%+v", got)
	}
	if n := s.letters(mail.AddonBought); n != 1 {
		t.Errorf("%d letters to the team", n)
	}
	if n := scan[int](s.shop, "SELECT count(*) FROM timeline WHERE text = 'We move you: 2 was bought for VPS Small.' AND customer_sees"); n != 1 {
		t.Errorf("%d times on the timeline", n)
	}
	if len(s.platform.sizes) != 0 {
		t.Error("the platform was asked to change something")
	}
	s.Clock.Set(s.Clock.Now().Add(renewal.ChangeFor))
	if _, err := s.desk.AcceptChange(t.Context(), s.db, late.ID, ida, somebody); !fault.Is(err, "change.quote_expired") {
		t.Errorf("later: %v", err)
	}
	s.exec("UPDATE options SET choices = jsonb_set(choices, '{0,prices,EUR,one_time}', '5900') WHERE code = 'move'")
	dear, err := ask(map[string]string{"move": "1"})
	s.exec("UPDATE options SET choices = jsonb_set(choices, '{0,prices,EUR,one_time}', '4900') WHERE code = 'move'")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.desk.AcceptChange(t.Context(), s.db, dear.ID, ida, somebody); !fault.Is(err, "change.price_changed") {
		t.Errorf("at another price: %v", err)
	}
	s.books()
}

// TestWhatIsPaidOnceHasExtrasToo: a purchase needs no cycle; nobody pays, and it lapses.
func TestWhatIsPaidOnceHasExtrasToo(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	s.exec(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
		SELECT ?, id, 'help', 'Help', '', 'once', '', 0, 1, 1, '[{"code":"one","label":"one","amount":0,"prices":{"EUR":{"one_time":4900}}}]', 2, 'public', '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM products`, uuid.New())
	ida := s.customer("ida", false)
	sub := s.sell(ida, billing.OneTime, 1000)
	s.work()
	var all []renewal.Addon
	s.update(func(tx *tenancy.Tx) (err error) {
		all, err = renewal.Addons(t.Context(), tx, s.get(sub))
		return err
	})
	if len(all) != 1 || !all[0].Once || !all[0].Single() || all[0].Price.Minor != 4900 {
		t.Fatalf("%+v", all)
	}
	q, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Buy: map[string]string{"help": "1"}})
	if err == nil {
		q, err = s.desk.AcceptChange(t.Context(), s.db, q.ID, ida, somebody)
	}
	if err != nil || q.InvoiceID == uuid.Nil {
		t.Fatalf("%v %+v", err, q)
	}
	s.turn(25 * time.Hour)
	s.tick()
	if x := s.get(sub); x.Change != nil || x.State != renewal.Active {
		t.Errorf("%+v", x)
	}
	if state := scan[string](s.shop, "SELECT state FROM invoices WHERE id = ?", q.InvoiceID); state != "void" {
		t.Errorf("its invoice is %s", state)
	}
}
