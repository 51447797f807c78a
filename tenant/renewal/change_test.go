package renewal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// platform delivers, in three sizes, and changes them unless it is told to refuse.
type platform struct {
	refuses error
	gone    bool // what it delivered was destroyed
	sizes   []string
}

func (p *platform) Create(_ context.Context, r provisioners.CreateRequest) (provisioners.Created, error) {
	p.gone = false
	return provisioners.Created{Ref: "1", Credentials: provisioners.Credentials{User: "root", Password: "secret"}}, r.Known(context.Background(), "1")
}

func (p *platform) State(context.Context, provisioners.Ref) (provisioners.State, error) {
	if p.gone {
		return provisioners.State{}, provisioners.ErrGone
	}
	return provisioners.State{Status: provisioners.StatusActive, Power: provisioners.PowerOn}, nil
}

func (p *platform) Destroy(context.Context, provisioners.Ref) error {
	p.gone = true
	return nil
}

func (p *platform) Resize(_ context.Context, _ provisioners.Ref, to provisioners.Spec, _ map[string]any) error {
	if p.refuses == nil {
		p.sizes = append(p.sizes, fmt.Sprintf("%d cores %d GB", to.CPU, to.DiskGB))
	}
	return p.refuses
}

func (p *platform) Open(context.Context, uuid.UUID) (provisioners.Driver, error) { return p, nil }

func (p *platform) Delivery(context.Context, string, uuid.UUID, string, string) (map[string]any, string, error) {
	return nil, "", nil
}

// Offers are what plans are made of.
func (p *platform) Offers(context.Context, tenancy.ID) (all []catalog.Offer, err error) {
	for i, sku := range []string{"vps-s", "vps-m", "vps-l"} {
		all = append(all, catalog.Offer{SKU: sku, Name: sku, Type: "vps", Available: true, Spec: provisioners.Spec{CPU: 1 << i, DiskGB: 20 << i},
			Regions: []catalog.Region{{Code: "ams", Name: "Amsterdam", Available: true, Images: []catalog.Image{{Code: "debian", Name: "Debian"}}}}})
	}
	for _, sku := range []string{"ipv4", "panel"} {
		all = append(all, catalog.Offer{SKU: sku, Name: sku, Type: catalog.AddonType, Available: true})
	}
	return all, nil
}

// scene is a shop in which things are changed.
type scene struct {
	*shop
	platform *platform
	hosting  *hosting.Desk
	payments *payment.Desk
	by       audit.Origin
	worked   int64
}

func scenery(t *testing.T, w *tenancytest.World, who tenancy.Tenant) *scene {
	s := &scene{shop: open(t, w, who), platform: &platform{}, payments: &payment.Desk{}, by: audit.Origin{Actor: audit.System("test")}}
	s.hosting = &hosting.Desk{Platforms: s.platform, Keys: bare{}, Mail: mail.NewOutbox(bare{})}
	s.desk.Offers, s.desk.Refunds = s.platform, s.payments
	product := scan[uuid.UUID](s.shop, "SELECT id FROM products")
	s.exec("UPDATE plans SET sku = 'vps-s'")
	for i, p := range []string{"m", "l"} {
		s.exec(`INSERT INTO plans (id, product_id, slug, name, summary, facts, visibility, position, sku, created_at, changed_at) VALUES (?, ?, ?, ?, '', '[]', 'public', ?, ?, now(), now())`,
			uuid.New(), product, p, map[string]string{"m": "Medium", "l": "Large"}[p], i+2, "vps-"+p)
	}
	s.exec(`INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor)
		SELECT p.id, 'EUR', c.cycle, c.months * CASE p.slug WHEN 's' THEN 1000 WHEN 'm' THEN 2000 ELSE 4000 END, 500 FROM plans p, (VALUES ('monthly', 1), ('annual', 10)) AS c(cycle, months)`)
	s.exec(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
		VALUES (?, ?, 'ipv4', 'Addresses', '', 'quantity', 'ipv4', 0, 8, 1, '[{"code":"one","label":"one","amount":1,"prices":{"EUR":{"monthly":300}}}]', 1, 'public', now(), now())`, uuid.New(), product)
	return s
}

// runs sells a subscription whose service runs.
func (s *scene) runs(account uuid.UUID, minor int64) uuid.UUID {
	s.t.Helper()
	sub := s.sell(account, billing.Monthly, minor)
	s.work()
	if got := scan[string](s.shop, "SELECT observed FROM services WHERE subscription_id = ?", sub); got != "active" {
		s.t.Fatalf("the service is %s", got)
	}
	return sub
}

// work does the jobs there are, twice each, until there are none left.
func (s *scene) work() {
	s.t.Helper()
	ctx := s.t.Context()
	for {
		rows, err := s.Owner.Query(ctx, `SELECT id, kind, args FROM river.river_job WHERE (metadata->>'tenant')::bigint = $1 AND id > $2
			AND kind IN ('service.drive', 'subscription.change', 'service.resized', 'subscription.give_back', 'payment.charge', 'option.made_of') ORDER BY id LIMIT 1`, s.who.ID.Number(), s.worked)
		if err != nil {
			s.t.Fatal(err)
		}
		type job struct {
			ID   int64
			Kind string
			Args []byte
		}
		jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
		if err != nil {
			s.t.Fatal(err)
		}
		if len(jobs) == 0 {
			return
		}
		j := jobs[0]
		s.worked = j.ID
		for range 2 {
			if err := s.job(j.Kind, j.Args); err != nil {
				s.t.Fatalf("%s %s: %v", j.Kind, j.Args, err)
			}
		}
	}
}

func (s *scene) job(kind string, args []byte) error {
	ctx := s.t.Context()
	switch kind {
	case "service.drive":
		s.exec("UPDATE services SET next_at = ?, leased_until = NULL WHERE next_at IS NOT NULL", s.Clock.Now())
		return with(args, func(j hosting.DriveJob) error { return s.hosting.Drive(ctx, s.db, j) })
	case "subscription.change":
		return with(args, func(j renewal.ChangeJob) error { return s.desk.Apply(ctx, s.db, j) })
	case "option.made_of":
		return with(args, func(j catalog.MadeOfJob) error { return s.desk.MadeOf(ctx, s.db, j) })
	case "service.resized":
		return with(args, func(j hosting.ResizedJob) error { return s.desk.Resized(ctx, s.db, j) })
	case "subscription.give_back":
		return with(args, func(j renewal.GiveBackJob) error { return s.desk.GiveBack(ctx, s.db, j) })
	}
	return with(args, func(j payment.ChargeJob) error {
		if scan[string](s.shop, "SELECT state FROM invoices WHERE id = ?", j.InvoiceID) == "open" && !s.declines(uuid.Nil) {
			s.settle(j.InvoiceID)
		}
		return nil
	})
}

func with[T any](args []byte, do func(T) error) error {
	var j T
	if err := json.Unmarshal(args, &j); err != nil {
		return err
	}
	return do(j)
}

// settle pays an invoice with a payment that can be given back.
func (s *scene) settle(invoice uuid.UUID) {
	s.t.Helper()
	s.paysPart(invoice, scan[int64](s.shop, "SELECT total_minor - paid_minor - credited_minor FROM invoices WHERE id = ?", invoice))
	for range 2 {
		if err := s.desk.Paid(s.t.Context(), s.db, invoice); err != nil {
			s.t.Fatal(err)
		}
	}
}

// paysPart is a payment of an invoice that money can go back to.
func (s *scene) paysPart(invoice uuid.UUID, minor int64) {
	s.t.Helper()
	id := uuid.New()
	s.exec(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, ref, decline_code, decline_text, on_session, created_at, settled_at, changed_at)
		SELECT ?, ?, id, account_id, 'sandbox', currency, ?, 0, 'succeeded', ?, '', '', false, ?, ?, ? FROM invoices WHERE id = ?`,
		id, id.String(), minor, id.String(), s.Clock.Now(), s.Clock.Now(), s.Clock.Now(), invoice)
	s.update(func(tx *tenancy.Tx) error {
		return invoicing.Applied(s.t.Context(), tx, invoicing.Application{InvoiceID: invoice, PaymentID: id, Gateway: "sandbox", Amount: billing.Money{Minor: minor, Currency: "EUR"}})
	})
}

func (s *scene) quote(sub uuid.UUID, plan string, cycle billing.Cycle, options map[string]string) renewal.ChangeQuote {
	s.t.Helper()
	q, err := s.desk.QuoteChange(s.t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Plan: plan, Cycle: cycle, Options: options})
	if err != nil {
		s.t.Fatal(err)
	}
	return q
}

func (s *scene) accept(q renewal.ChangeQuote) renewal.ChangeQuote {
	s.t.Helper()
	for range 2 { // the same form twice is one change
		var err error
		if q, err = s.desk.AcceptChange(s.t.Context(), s.db, q.ID, uuid.Nil, s.by); err != nil {
			s.t.Fatal(err)
		}
	}
	return q
}

// stands is a subscription and its service in words.
func (s *scene) stands(sub uuid.UUID) string {
	x := s.get(sub)
	state := "none"
	if x.Change != nil {
		state = string(x.Change.State)
	}
	return fmt.Sprintf("%s %d %s, change %s, sku %s", x.Label, x.Amount.Minor, x.Cycle, state, scan[string](s.shop, "SELECT sku || ' ' || operation FROM services WHERE subscription_id = ?", sub))
}

func (s *scene) want(sub uuid.UUID, want string) {
	s.t.Helper()
	if got := s.stands(sub); strings.TrimSpace(got) != want {
		s.t.Fatalf("it stands at\n%s, not at\n%s", got, want)
	}
}

// books must balance after everything.
func (s *scene) books() {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(s.t.Context(), tx)
		if err == nil && len(r.Problems) > 0 {
			err = fmt.Errorf("the books: %v", r.Problems)
		}
		return err
	})
}

// code is which fault it is; empty: none.
func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func TestAnUpgradeIsPaidThenMade(t *testing.T) {
	w := tenancytest.New(t)
	s, other := scenery(t, w, w.A), scenery(t, w, w.B)
	sub := s.runs(s.customer("ann", true), 900) // sold for less than it costs now
	s.listen()
	s.Clock.Advance(15 * 24 * time.Hour)
	q := s.quote(sub, "l", "", nil)
	if q.Price.Upgrade != true || q.Total != q.Net || q.Net.Minor <= 0 || len(q.Price.Lines) != 2 || q.ExpiresAt.Sub(q.CreatedAt) != 15*time.Minute {
		t.Fatalf("quoted %+v", q)
	}
	used := q.Price.Lines[0].Net.Minor
	if unused := -used; unused < 400 || unused > 480 { // of 9.00, not of the 10.00 of today
		t.Errorf("%d of what was paid is given for the rest", unused)
	}
	if _, err := other.desk.AcceptChange(t.Context(), other.db, q.ID, uuid.Nil, s.by); code(err) != "change.quote_unknown" {
		t.Errorf("the neighbour accepts: %v", err)
	}
	if _, err := s.desk.AcceptChange(t.Context(), s.db, q.ID, uuid.New(), s.by); code(err) != "change.quote_unknown" {
		t.Errorf("another account accepts: %v", err)
	}
	s.Clock.Advance(5 * time.Minute)
	q = s.accept(q)
	s.want(sub, "VPS Small 900 monthly, change awaiting_payment, sku vps-s")
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Plan: "m"}); code(err) != "change.under_way" {
		t.Errorf("a second change: %v", err)
	}
	if n := scan[int](s.shop, "SELECT count(*) FROM invoices WHERE key LIKE 'change/%' AND total_minor = ?", q.Total.Minor); n != 1 {
		t.Fatalf("%d invoices over the change", n)
	}
	s.work()
	s.want(sub, "VPS Large 4000 monthly, change none, sku vps-l")
	if len(s.platform.sizes) != 1 || s.platform.sizes[0] != "4 cores 80 GB" {
		t.Errorf("the platform was asked %v", s.platform.sizes)
	}
	if got := scanAll[string](s.shop, "SELECT type FROM webhook_deliveries WHERE type LIKE 'subscription.change%' ORDER BY id"); fmt.Sprint(got) != "[subscription.change_ordered subscription.changed]" {
		t.Errorf("programs heard %v", got)
	}
	var usage string
	if err := s.Owner.QueryRow(t.Context(), "SELECT string_agg(kind || ' ' || sku, ', ' ORDER BY at) FROM central.usage_events WHERE tenant_id = $1", s.who.ID.Number()).Scan(&usage); err != nil || usage != "start vps-s, change vps-l" {
		t.Errorf("the platform bills %q, %v", usage, err)
	}
	if s.letters("plan_changed") != 1 {
		t.Errorf("%d letters", s.letters("plan_changed"))
	}
	s.turn(14 * 24 * time.Hour) // the next period is of the new price
	if got := scan[int64](s.shop, "SELECT net_minor FROM invoices WHERE key LIKE 'renewal/%' ORDER BY issued_at DESC LIMIT 1"); got != 4000 {
		t.Errorf("the renewal is over %d", got)
	}
	s.books()
}

func TestARefusedChangeIsGivenBack(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	sub := s.runs(s.customer("ann", true), 1000)
	s.platform.refuses = provisioners.ErrNoRoom
	s.Clock.Advance(10 * 24 * time.Hour)
	q := s.accept(s.quote(sub, "l", "", nil))
	s.work()
	s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
	got := scan[string](s.shop, `SELECT i.credited_minor || ' credited, ' || (SELECT sum(amount_minor) FROM refunds) || ' going back' FROM invoices i WHERE i.key LIKE 'change/%' AND i.kind = 'invoice'`)
	if want := fmt.Sprintf("%d credited, %d going back", q.Total.Minor, q.Total.Minor); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if s.letters("change_failed") != 1 {
		t.Errorf("%d letters", s.letters("change_failed"))
	}
	var usage int
	if err := s.Owner.QueryRow(t.Context(), "SELECT count(*) FROM central.usage_events WHERE tenant_id = $1", s.who.ID.Number()).Scan(&usage); err != nil || usage != 1 {
		t.Errorf("%d usage events, %v", usage, err)
	}
	s.platform.refuses = nil // and it can be tried again
	s.accept(s.quote(sub, "l", "", nil))
	s.work()
	s.want(sub, "VPS Large 4000 monthly, change none, sku vps-l")
	s.books()
}

// TestWhatABankTookIsNotGivenBack refuses a change whose payment the customer's bank took back.
func TestWhatABankTookIsNotGivenBack(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	sub := s.runs(s.customer("ann", false), 1000)
	s.platform.refuses = provisioners.ErrNoRoom
	q := s.accept(s.quote(sub, "l", "", nil))
	s.settle(scan[uuid.UUID](s.shop, "SELECT id FROM invoices WHERE key LIKE 'change/%'"))
	s.exec("UPDATE payments SET disputes = ? WHERE amount_minor = ?", fmt.Sprintf(`[{"ref": "d", "state": "lost", "withdrawn_minor": %d}]`, q.Total.Minor-100), q.Total.Minor)
	s.work()
	s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
	if back := scan[int64](s.shop, "SELECT coalesce(sum(amount_minor), 0) FROM refunds"); back != 100 {
		t.Errorf("%d go back", back)
	}
	if n := scan[int](s.shop, "SELECT count(*) FROM timeline WHERE key LIKE '%/give_back/%'"); n != 1 {
		t.Errorf("the team is told %d times", n)
	}
	s.books()
}

func TestAChangeNobodyPaysLapses(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	sub := s.runs(s.customer("ann", false), 1000)
	s.accept(s.quote(sub, "m", "", nil))
	s.work()
	s.want(sub, "VPS Small 1000 monthly, change awaiting_payment, sku vps-s")
	s.turn(30 * time.Hour)
	s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
	if got := scan[string](s.shop, "SELECT state FROM invoices WHERE key LIKE 'change/%' AND kind = 'invoice'"); got != "void" {
		t.Errorf("its invoice is %s", got)
	}
	q := s.accept(s.quote(sub, "m", "", nil)) // taken back by hand
	if _, err := s.desk.DropChange(t.Context(), s.db, sub, uuid.Nil, s.by); err != nil {
		t.Fatal(err)
	}
	s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
	if _, err := s.desk.DropChange(t.Context(), s.db, sub, uuid.Nil, s.by); code(err) != "change.none" {
		t.Errorf("taken back twice: %v", err)
	}
	if again, err := s.desk.AcceptChange(t.Context(), s.db, q.ID, uuid.Nil, s.by); err != nil || s.get(sub).Change != nil || again.InvoiceID != q.InvoiceID {
		t.Errorf("a quote that was used begins another change: %v", err)
	}
	s.books()
}

func TestADowngradeWaitsForTheRenewal(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	sub := s.runs(s.customer("ann", true), 1000)
	s.accept(s.quote(sub, "l", "", nil))
	s.work()
	q := s.accept(s.quote(sub, "s", "", nil))
	if !q.Price.AtRenewal || !q.Total.IsZero() || q.KeepsDisk != 80 {
		t.Fatalf("quoted %+v", q)
	}
	s.want(sub, "VPS Large 4000 monthly, change scheduled, sku vps-l")
	for range 29 { // the invoice is made, and the service stays until its period begins
		s.turn(24 * time.Hour)
		s.work()
	}
	s.want(sub, "VPS Small 1000 monthly, change invoiced, sku vps-l")
	for range 3 {
		s.turn(24 * time.Hour)
		s.work()
	}
	s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
	if got := fmt.Sprint(s.platform.sizes); got != "[4 cores 80 GB 1 cores 80 GB]" {
		t.Errorf("the platform was asked %s", got)
	}
	if got := scan[int64](s.shop, "SELECT net_minor FROM invoices WHERE key LIKE 'renewal/%' ORDER BY issued_at DESC LIMIT 1"); got != 1000 {
		t.Errorf("the renewal is over %d", got)
	}
	s.books()
}

func TestADowngradeGivesCreditOrMoney(t *testing.T) {
	w := tenancytest.New(t)
	for _, mode := range []string{"credit", "refund"} {
		t.Run(mode, func(t *testing.T) {
			s := scenery(t, w, map[string]tenancy.Tenant{"credit": w.A, "refund": w.B}[mode])
			s.exec("UPDATE plans SET downgrade = ?", mode)
			sub := s.runs(s.customer("ann", true), 1000)
			s.Clock.Advance(time.Hour)
			up := s.accept(s.quote(sub, "l", "", nil))
			s.work()
			s.Clock.Advance(time.Second)
			down := s.accept(s.quote(sub, "s", "", nil))
			s.work()
			s.want(sub, "VPS Small 1000 monthly, change none, sku vps-s")
			if diff := up.Total.Minor - down.Back.Minor; diff < 0 || diff > 1 {
				t.Fatalf("%v paid and %v back a second later", up.Total, down.Back)
			}
			if mode == "refund" {
				if got := scan[int64](s.shop, "SELECT sum(amount_minor) FROM refunds"); got != down.Back.Minor {
					t.Errorf("%d goes back, %v was promised", got, down.Back)
				}
				s.books()
				return
			}
			var lines []string
			for range 92 {
				s.turn(24 * time.Hour)
			}
			s.update(func(tx *tenancy.Tx) error {
				return tx.NewRaw("SELECT i.net_minor || ' ' || i.state FROM invoices i WHERE key LIKE 'renewal/%' ORDER BY issued_at LIMIT 4").Scan(t.Context(), &lines)
			})
			left := 4000 - down.Back.Minor
			want := fmt.Sprintf("[0 paid 0 paid %d paid]", left-1000)
			if got := fmt.Sprint(lines[:3]); down.Back.Minor > 2000 && down.Back.Minor < 3000 && got != want {
				t.Errorf("the next invoices are %s, want %s", got, want)
			}
			s.books()
		})
	}
}

func TestWhatCannotBeChanged(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	account := s.customer("ann", true)
	sub := s.runs(account, 1000)
	ask := func(plan string, cycle billing.Cycle, options map[string]string) string {
		_, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: account, Plan: plan, Cycle: cycle, Options: options})
		return code(err)
	}
	for _, test := range []struct {
		name, do, undo string
		got            func() string
		want           string
	}{
		{"what is there already", "", "", func() string { return ask("s", "monthly", nil) }, "change.nothing"},
		{"a plan that is not", "", "", func() string { return ask("../x", "", nil) }, "change.unknown_plan"},
		{"a cycle that is not", "", "", func() string { return ask("l", "fortnightly", nil) }, "configuration.invalid"},
		{"an option out of range", "", "", func() string { return ask("s", "", map[string]string{"ipv4": "99"}) }, "configuration.invalid"},
		{"an archived plan", "UPDATE plans SET visibility = 'archived' WHERE slug = 'l'", "UPDATE plans SET visibility = 'public'", func() string { return ask("l", "", nil) }, "change.plan_archived"},
		{"one that is sold out", "UPDATE plans SET stock = 0 WHERE slug = 'l'", "UPDATE plans SET stock = NULL", func() string { return ask("l", "", nil) }, "change.sold_out"},
		{"the options of an archived plan", "UPDATE plans SET visibility = 'archived'", "UPDATE plans SET visibility = 'public'", func() string { return ask("", "", map[string]string{"ipv4": "1"}) }, ""},
		{"what is overdue", "UPDATE subscriptions SET state = 'past_due'", "UPDATE subscriptions SET state = 'active'", func() string { return ask("l", "", nil) }, "change.overdue"},
		{"what is cancelled", "UPDATE subscriptions SET cancel_at = period_to", "UPDATE subscriptions SET cancel_at = NULL", func() string { return ask("l", "", nil) }, "change.cancelled"},
		{"what is suspended", "UPDATE services SET desired = 'suspended'", "UPDATE services SET desired = 'active'", func() string { return ask("l", "", nil) }, "service.suspended"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.do != "" {
				s.exec(test.do)
				defer s.exec(test.undo)
			}
			if got := test.got(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	if _, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, AccountID: uuid.New(), Plan: "l"}); code(err) != "subscription.not_found" {
		t.Errorf("another account: %v", err)
	}
	q := s.quote(sub, "l", "", nil)
	s.exec("UPDATE prices SET amount_minor = amount_minor + 1")
	if _, err := s.desk.AcceptChange(t.Context(), s.db, q.ID, account, s.by); code(err) != "change.price_changed" {
		t.Errorf("another price: %v", err)
	}
	q = s.quote(sub, "l", "", nil)
	s.Clock.Advance(renewal.ChangeFor)
	if _, err := s.desk.AcceptChange(t.Context(), s.db, q.ID, account, s.by); code(err) != "change.quote_expired" {
		t.Errorf("an old quote: %v", err)
	}
	if n := scan[int](s.shop, "SELECT count(*) FROM invoices WHERE key LIKE 'change/%'"); n != 0 || s.get(sub).Change != nil {
		t.Errorf("%d invoices of changes that were refused", n)
	}
}

func TestOptionsAndCyclesChange(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	sub := s.runs(s.customer("ann", true), 900)
	s.Clock.Advance(24 * time.Hour)
	q := s.accept(s.quote(sub, "", "", map[string]string{"ipv4": "2"}))
	if len(q.Price.Lines) != 1 || q.Amount.Minor != 1500 {
		t.Fatalf("two addresses more: %+v", q.Price)
	}
	s.work()
	s.want(sub, "VPS Small 1500 monthly, change none, sku vps-s")
	if x := s.get(sub); x.Picked.Options["ipv4"] != "2" || len(x.Items) != 2 {
		t.Errorf("kept %+v", x.Items)
	}
	s.turn(28 * 24 * time.Hour) // the next month is invoiced, and paid ahead
	at := s.Clock.Now()
	q = s.accept(s.quote(sub, "m", "annual", nil))
	if !q.Price.Restarts || q.Terms.AmountMinor != 20000+2*300*12 {
		t.Fatalf("a year: %+v", q)
	}
	s.work()
	s.want(sub, "VPS Medium 27200 annual, change none, sku vps-m")
	if x := s.get(sub); !x.AnchorAt.Equal(at.Truncate(time.Microsecond)) || x.Renewals != 0 || !x.Period.To.Equal(x.AnchorAt.AddDate(1, 0, 0)) || !x.Next().From.Equal(x.Period.To) {
		t.Errorf("the year runs %v, next %v", x.Period, x.Next())
	}
	s.books()
}

// What a code took off is not given back, and goes on with what is changed.
func TestAChangeKeepsTheDiscount(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	sub := s.runs(s.customer("ann", true), 1000)
	s.exec(`UPDATE subscriptions SET discount = '{"code":"TEN","ppm":100000,"cycles":2}'`)
	s.Clock.Advance(12 * time.Hour)
	q := s.accept(s.quote(sub, "l", "", nil))
	if l := q.Price.Lines; len(l) != 2 || l[0].Net.Minor < -900 || l[1].Net.Minor > 3600 || l[1].Net.Minor < 3500 || q.Amount.Minor != 4000 || q.Goes != "TEN" {
		t.Fatalf("quoted %+v, on with %q", q.Price, q.Goes)
	}
	s.work()
	if q = s.quote(sub, "l", "annual", nil); q.Price.Lines[1].Net.Minor != 36000 || q.Goes != "" { // it was the code's last invoice
		t.Fatalf("a year begins with %+v, on with %q", q.Price.Lines, q.Goes)
	}
	s.accept(q)
	s.work()
	if x := s.get(sub); x.Discount == nil || x.DiscountLeft() != 0 {
		t.Errorf("%d invoices are discounted after it", x.DiscountLeft())
	}
	s.books()
}

// A code that is for one plan is not for what its customer changes to, and the offer says so;
// back on its plan it counts again. Another code goes with the subscription.
func TestAChangeLeavesTheCodeOfItsPlan(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	sub := s.runs(s.customer("ann", true), 1000)
	s.exec(`UPDATE subscriptions SET discount = ('{"code":"SMALL","ppm":500000,"also":[{"code":"TEN","ppm":100000}],"plans":["' || plan_id::text || '"]}')::jsonb`)
	s.Clock.Advance(12 * time.Hour)
	if x := s.get(sub); x.NextAmount().Minor != 450 || x.DiscountCodes() != "SMALL and TEN" {
		t.Errorf("before it: %s with %s", x.NextAmount(), x.DiscountCodes())
	}
	q := s.accept(s.quote(sub, "l", "", nil))
	if l := q.Price.Lines; q.Lost != "SMALL" || q.Goes != "TEN" || len(l) != 2 || l[0].Net.Minor < -450 || l[0].Net.Minor > -440 || l[1].Net.Minor > 3600 || l[1].Net.Minor < 3500 {
		t.Errorf("without %q: %+v", q.Lost, q.Price)
	}
	s.work()
	if x := s.get(sub); x.NextAmount().Minor != 3600 || x.DiscountCodes() != "TEN" {
		t.Errorf("after it: %s with %s", x.NextAmount(), x.DiscountCodes())
	}
	if q = s.quote(sub, "s", "", nil); q.Lost != "" {
		t.Errorf("back: without %q", q.Lost)
	}
	s.books()
}

// What is foreseen is what happens: the same invoices, for the same times and amounts.
func TestUpcomingIsWhatHappens(t *testing.T) {
	w := tenancytest.New(t)
	s := scenery(t, w, w.A)
	account := s.customer("ann", true)
	sub := s.runs(account, 4000)
	s.exec("UPDATE subscriptions SET plan_id = (SELECT id FROM plans WHERE slug = 'l')")
	s.exec("UPDATE services SET sku = 'vps-l'")
	s.Clock.Advance(9 * 24 * time.Hour)
	s.runs(account, 1000)
	s.exec(`UPDATE subscriptions SET discount = '{"code":"TEN","ppm":100000,"cycles":3}', credit_minor = 1500 WHERE id <> ?`, sub)
	s.accept(s.quote(sub, "m", "", nil))
	var foreseen []renewal.Foreseen
	s.update(func(tx *tenancy.Tx) (err error) {
		foreseen, err = renewal.Upcoming(t.Context(), tx, account, 6)
		return err
	})
	for range 100 {
		s.turn(24 * time.Hour)
		s.work()
	}
	var happened []string
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT to_char(min(l.period_from) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' ' || i.total_minor FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
			WHERE i.key LIKE 'renewal/%' AND i.kind = 'invoice' GROUP BY i.id ORDER BY min(l.period_from) LIMIT 6`).Scan(t.Context(), &happened)
	})
	if len(foreseen) != 6 {
		t.Fatalf("%d foreseen", len(foreseen))
	}
	for i, f := range foreseen {
		if got := fmt.Sprintf("%s %d", f.Period.From.Format("2006-01-02 15:04"), f.Total.Minor); got != happened[i] {
			t.Errorf("foreseen %s, happened %s", got, happened[i])
		}
	}
	if foreseen[0].Total.Minor != 2000 || foreseen[1].Total.Minor != 0 || foreseen[3].Total.Minor != 300 {
		t.Errorf("foreseen %+v", foreseen)
	}
}
