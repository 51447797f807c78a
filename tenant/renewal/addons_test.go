package renewal_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/overview"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// TestAnAddonComesAndGoes: it is paid for by the days that are left whatever the plan
// says of changes, stands on every invoice as a line of its own, and leaves at the end of
// what is paid.
func TestAnAddonComesAndGoes(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	s.exec("UPDATE plans SET upgrade = 'at_renewal', downgrade = 'refund'")
	s.exec(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
		SELECT ?, id, 'backups', 'Backups', 'Every night.', 'addon', '', 0, 2, 1, '[{"code":"one","label":"one","amount":0,"prices":{"EUR":{"monthly":280}}}]', 2, 'public', '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM products`, uuid.New())
	s.exec(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, plans, created_at, changed_at)
		SELECT ?, p.id, 'licence', 'Licence', '', 'addon', '', 0, 1, 1, '[{"code":"one","label":"one","amount":0,"prices":{"EUR":{"monthly":500}}}]', 3, 'public', ('["' || l.id::text || '"]')::jsonb, '2026-10-15 09:30Z', '2026-10-15 09:30Z'
		FROM products p JOIN plans l ON l.product_id = p.id AND l.slug = 'l'`, uuid.New())
	ida := s.customer("ida", true)
	sub := s.runs(ida, 1000)
	addons := func() (all []renewal.Addon) {
		s.update(func(tx *tenancy.Tx) (err error) {
			all, err = renewal.Addons(t.Context(), tx, s.get(sub))
			return err
		})
		return all
	}
	if all := addons(); len(all) != 1 || all[0].Code != "backups" || all[0].More() != 1 || all[0].Price.Minor != 280 {
		t.Fatalf("what can be added: %+v", all)
	}
	ask := func(code, n string) (renewal.ChangeQuote, error) {
		return s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, Options: map[string]string{code: n}})
	}
	accept := func(q renewal.ChangeQuote, err error) {
		t.Helper()
		if err == nil {
			_, err = s.desk.AcceptChange(t.Context(), s.db, q.ID, ida, somebody)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.work()
	}
	s.Clock.Set(january.AddDate(0, 0, 14)) // half of the 28 days to the end of February
	q, err := ask("backups", "1")
	if err != nil || q.Price.AtRenewal || q.Net.Minor <= 0 || q.Net.Minor >= 280 || q.Amount.Minor != 1280 {
		t.Fatalf("%v: %+v", err, q)
	}
	accept(q, err)
	if x := s.get(sub); x.Amount.Minor != 1280 || len(x.Items) != 2 || x.Items[1].Label != "Backups: 1" {
		t.Fatalf("%+v", x.Items)
	}
	if all := addons(); all[0].Has != 1 || all[0].More() != 2 {
		t.Errorf("%+v", all)
	}
	for what, ask := range map[string]func() (renewal.ChangeQuote, error){
		"too many":          func() (renewal.ChangeQuote, error) { return ask("backups", "3") },
		"not for this plan": func() (renewal.ChangeQuote, error) { return ask("licence", "1") },
	} {
		if _, err := ask(); !fault.Is(err, "configuration.invalid") && !fault.Is(err, "change.nothing") {
			t.Errorf("%s: %v", what, err)
		}
	}
	for s.Clock.Now().Before(january.AddDate(0, 1, 5)) {
		s.turn(24 * time.Hour)
		s.tick()
	}
	q, err = ask("backups", "0")
	if err != nil || !q.Price.AtRenewal || !q.Total.IsZero() || !q.Back.IsZero() || q.Amount.Minor != 1000 {
		t.Fatalf("removed: %v: %+v", err, q)
	}
	accept(q, err)
	if s.get(sub).Amount.Minor != 1280 {
		t.Error("it went before the end of what is paid")
	}
	for s.Clock.Now().Before(january.AddDate(0, 2, 5)) {
		s.turn(24 * time.Hour)
		s.tick()
		s.work()
	}
	if x := s.get(sub); x.Amount.Minor != 1000 || addons()[0].Has != 0 {
		t.Errorf("%s with %+v", x.Amount, x.Items)
	}
	lines := scanAll[int64](s.shop, "SELECT l.net_minor FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE l.subscription_id = ? AND i.key LIKE 'renewal/%' ORDER BY l.period_from, l.position", sub)
	if !slices.Equal(lines, []int64{1000, 280, 1000}) {
		t.Errorf("%d", lines)
	}
	if _, err := ask("backups", "1"); err != nil { // with other changes the plan decides
		t.Error(err)
	}
	q, err = s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, Options: map[string]string{"backups": "1", "ipv4": "1"}})
	if err != nil || !q.Price.AtRenewal {
		t.Errorf("%v %+v", err, q.Price)
	}
}

// TestAWholesaleAddonIsToldByItsTime: what an option is made of is told to the platform from
// when the service has it until it does not, in so many pieces, once however often the work
// is done; what was chosen for nothing counts as well.
func TestAWholesaleAddonIsToldByItsTime(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	s.exec("UPDATE plans SET upgrade = 'prorate', downgrade = 'at_renewal'")
	s.exec(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
		SELECT ?, id, 'ip', 'Address', '', 'addon', '', 0, 4, 1, '[{"code":"one","label":"one","amount":0,"sku":"ipv4","prices":{"EUR":{"monthly":280}}}]', 2, 'public', '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM products`, uuid.New())
	s.exec(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
		SELECT ?, id, 'panel', 'Panel', '', 'choice', '', 0, 0, 1, '[{"code":"none","label":"none","amount":0},{"code":"gold","label":"gold","amount":0,"sku":"panel"}]', 3, 'public', '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM products`, uuid.New())
	ida := s.customer("ida", true)
	sub := s.runs(ida, 1000)
	told := func(want ...string) {
		t.Helper()
		rows, err := s.Owner.Query(t.Context(), `SELECT kind || ' ' || split_part(subject, '/', 4) || ' ' || quantity || ' ' || sku FROM central.usage_events WHERE tenant_id = $1 AND subject LIKE '%/addon/%' ORDER BY at, subject, key`, s.who.ID.Number())
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("told %q, want %q: %v", got, want, err)
		}
	}
	change := func(options map[string]string) {
		t.Helper()
		q, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, Options: options})
		if err == nil {
			_, err = s.desk.AcceptChange(t.Context(), s.db, q.ID, ida, somebody)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.work()
		s.turn(24 * time.Hour)
	}
	change(map[string]string{"ip": "2", "panel": "gold"})
	told("start ip 2 ipv4", "start panel 1 panel")
	change(map[string]string{"ip": "3"})
	told("start ip 2 ipv4", "start panel 1 panel", "change ip 3 ipv4")
	change(map[string]string{"ip": "0"})
	told("start ip 2 ipv4", "start panel 1 panel", "change ip 3 ipv4") // until the end of what is paid
	for s.Clock.Now().Before(january.AddDate(0, 1, 3)) {
		s.turn(24 * time.Hour)
		s.tick()
		s.work()
	}
	told("start ip 2 ipv4", "start panel 1 panel", "change ip 3 ipv4", "stop ip 3 ipv4")
	change(map[string]string{"ip": "1"})
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: sub, Now: true, Reason: renewal.Reasons()[0].Value}, somebody); err != nil {
		t.Fatal(err)
	}
	s.work()
	told("start ip 2 ipv4", "start panel 1 panel", "change ip 3 ipv4", "stop ip 3 ipv4", "start ip 1 ipv4", "stop ip 1 ipv4", "stop panel 1 panel")
	ran, err := overview.Ran(t.Context(), s.db, january, january.AddDate(0, 3, 0))
	if err != nil || len(ran) != 1 || len(ran[0].Addons) != 4 {
		t.Errorf("%v: %+v", err, ran)
	}
	for _, a := range ran[0].Addons {
		if a.From.IsZero() || a.To.IsZero() {
			t.Errorf("%+v", a)
		}
	}
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: s.runs(ida, 1000), AccountID: ida, Options: map[string]string{"ip": "5"}}); !fault.Is(err, "configuration.invalid") {
		t.Errorf("more than there may be: %v", err)
	}
}

// TestWhatAnOptionIsMadeOfChanges: who has an option is billed for what it is made of from the
// moment the team says so, and no more from when it says it is made of nothing; a change that
// was agreed on before goes by it as well, a service that ended and what the team delivers do not.
func TestWhatAnOptionIsMadeOfChanges(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	s.exec("UPDATE plans SET upgrade = 'prorate', downgrade = 'at_renewal'")
	ida, product, option := s.customer("ida", true), scan[uuid.UUID](s.shop, "SELECT id FROM products"), uuid.New()
	s.exec(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
		VALUES (?, ?, 'ip', 'Address', '', 'addon', '', 0, 4, 1, '[{"code":"one","label":"one","amount":0,"prices":{"EUR":{"monthly":280}}}]', 2, 'public', now(), now())`, option, product)
	change := func(sub uuid.UUID, n string) {
		t.Helper()
		q, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: ida, Options: map[string]string{"ip": n}})
		if err == nil {
			_, err = s.desk.AcceptChange(t.Context(), s.db, q.ID, ida, somebody)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	has, less, over, none := s.runs(ida, 1000), s.runs(ida, 1000), s.runs(ida, 1000), s.runs(ida, 1000)
	for _, sub := range []uuid.UUID{has, less, over} {
		change(sub, "3")
		s.work()
	}
	s.turn(24 * time.Hour)
	change(less, "1") // at the end of what is paid
	if _, err := s.desk.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: over, Now: true, Reason: renewal.Reasons()[0].Value}, somebody); err != nil {
		t.Fatal(err)
	}
	s.work()
	offers, err := s.platform.Offers(t.Context(), s.who.ID)
	if err != nil {
		t.Fatal(err)
	}
	form := catalog.OptionForm{ID: option, ProductID: product, Code: "ip", Label: "Address", Kind: catalog.Addon, Minimum: "0", Maximum: "2", Step: "1", Currency: "EUR", Position: "2", Visibility: "public"}
	save := func(line string) time.Time {
		t.Helper()
		form.Choices = line
		if err := catalog.SaveOption(t.Context(), s.db, offers, form, s.by); err != nil {
			t.Fatal(err)
		}
		return s.Clock.Now()
	}
	set := save("one | 0 | 2.80 | ipv4")
	save("one | 0 | 2.90 | ipv4") // nothing it is made of
	s.turn(time.Hour)             // until the job is done
	s.work()
	for s.Clock.Now().Before(january.AddDate(0, 1, 3)) {
		s.turn(24 * time.Hour)
		s.tick()
		s.work()
	}
	taken := save("one | 0 | 2.90")
	s.work()
	for sub, want := range map[uuid.UUID]string{has: "start 3 ipv4, stop 3 ipv4", less: "start 3 ipv4, change 1 ipv4, stop 1 ipv4", over: "", none: ""} {
		var got string
		var other int
		err := s.Owner.QueryRow(t.Context(), `SELECT coalesce(string_agg(kind || ' ' || quantity || ' ' || sku, ', ' ORDER BY at), ''), count(*) FILTER (WHERE kind = 'start' AND at <> $2 OR kind = 'stop' AND at <> $3)
			FROM central.usage_events WHERE subject = 'service/' || $1::text || '/addon/ip'`, scan[uuid.UUID](s.shop, "SELECT id FROM services WHERE subscription_id = ?", sub).String(), set, taken).Scan(&got, &other)
		if err != nil || got != want || other > 0 {
			t.Errorf("told %q, want %q, %d at another moment: %v", got, want, other, err)
		}
	}
	ran, err := overview.Ran(t.Context(), s.db, january, january.AddDate(0, 3, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ran {
		for i, a := range r.Addons {
			if i > 0 && !a.From.Equal(r.Addons[i-1].To) || a.To.IsZero() {
				t.Errorf("%+v", r.Addons)
			}
		}
	}
}
