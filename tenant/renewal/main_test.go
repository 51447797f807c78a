package renewal_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/recognition"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// bare seals nothing: what letters hold is not what is tried here.
type bare struct{}

func (bare) Seal(_ string, _, plain []byte) ([]byte, error)  { return plain, nil }
func (bare) Open(_ string, _, sealed []byte) ([]byte, error) { return sealed, nil }

// shop is a tenant with a renewal desk, a plan, and a gateway that does as it is told.
type shop struct {
	*tenancytest.World
	t    *testing.T
	db   *tenancy.DB
	who  tenancy.Tenant
	desk *renewal.Desk

	declines func(account uuid.UUID) bool // whether its card is declined
	refusal  billing.Refusal              // why; empty: a soft one
	down     bool                         // the gateway cannot be asked
	mailsOut bool                         // mails reach people
	plan     uuid.UUID
	seen     int64 // jobs worked on
}

func open(t *testing.T, w *tenancytest.World, who tenancy.Tenant) *shop {
	t.Helper()
	s := &shop{World: w, t: t, db: w.DB(who), who: who, desk: &renewal.Desk{Mail: mail.NewOutbox(bare{})}, mailsOut: true, plan: uuid.New()}
	s.declines = func(uuid.UUID) bool { return false }
	product := uuid.New()
	s.exec(`INSERT INTO products (id, slug, type, name, summary, visibility, position, created_at, changed_at) VALUES (?, 'vps', 'vps', 'VPS', '', 'public', 1, now(), now())`, product)
	s.exec(`INSERT INTO plans (id, product_id, slug, name, summary, facts, visibility, position, created_at, changed_at) VALUES (?, ?, 's', 'Small', '', '[]', 'public', 1, now(), now())`, s.plan, product)
	s.exec(`INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('sandbox', 'on', '{}', '', 1, now())`)
	return s
}

func (s *shop) exec(query string, args ...any) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error { _, err := tx.NewRaw(query, args...).Exec(s.t.Context()); return err })
}

func (s *shop) update(fn func(tx *tenancy.Tx) error) {
	s.t.Helper()
	if err := s.db.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func scan[T any](s *shop, query string, args ...any) (v T) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error { return tx.NewRaw(query, args...).Scan(s.t.Context(), &v) })
	return v
}

// customer is an account with an owner and, if it is said, a saved card.
func (s *shop) customer(name string, card bool) uuid.UUID {
	s.t.Helper()
	account, person := uuid.New(), uuid.New()
	s.exec(`INSERT INTO people (id, world, email, email_key, name, role, locale, created_at, changed_at) VALUES (?, 'customer', ?, ?, ?, 'member', 'en', now(), now())`,
		person, name+"@example.com", name+"@example.com", name)
	s.exec(`INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, ?, 'EUR', now(), now())`, account, name)
	s.exec(`INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', now())`, account, person)
	if card {
		method := uuid.New()
		s.exec(`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at)
			VALUES (?, ?, 'sandbox', 'c', ?, 'card', 'Visa', 'active', now(), now())`, method, account, method.String())
		s.exec(`UPDATE accounts SET default_method_id = ? WHERE id = ?`, method, account)
	}
	return account
}

// listen has an endpoint hear of everything from now on.
func (s *shop) listen() {
	s.exec(`INSERT INTO webhook_endpoints (id, url, events, sealed_secrets, state, state_note, created_at, changed_at)
		VALUES (?, 'https://example.com', '[]', '', 'active', '', now(), now())`, uuid.New())
}

// heard is what endpoints were told, in order: those of the types that begin so.
func (s *shop) heard(prefix string) []string {
	s.t.Helper()
	return scanAll[string](s, "SELECT type || ' ' || (body::json->'data'->>'state') FROM webhook_deliveries WHERE type LIKE ? || '%' ORDER BY id", prefix)
}

// sell orders a subscription and pays for it.
func (s *shop) sell(account uuid.UUID, cycle billing.Cycle, minor int64, change ...func(*renewal.New)) uuid.UUID {
	s.t.Helper()
	sub, invoice := s.order(account, cycle, minor, change...)
	s.pay(invoice)
	s.update(func(tx *tenancy.Tx) error {
		_, err := hosting.Order(s.t.Context(), tx, hosting.New{SubscriptionID: sub, AccountID: account, Type: "vps", SKU: "vps-s", Label: "VPS Small", PlatformID: uuid.New(), Region: "ams", Image: "debian"})
		return err
	})
	return sub
}

// order is a subscription that waits for its invoice.
func (s *shop) order(account uuid.UUID, cycle billing.Cycle, minor int64, change ...func(*renewal.New)) (sub, invoice uuid.UUID) {
	s.t.Helper()
	ctx := s.t.Context()
	quote, order := uuid.New(), uuid.New()
	sub = uuid.New()
	owner := scan[uuid.UUID](s, "SELECT person_id FROM memberships WHERE account_id = ?", account)
	s.exec(`INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES (?, 'checkout', ?, 'EUR', 1, 0, 1, '{}', now(), now())`, quote, account)
	n := scan[int64](s, "SELECT coalesce(max(number), 1000) + 1 FROM orders")
	s.exec(`INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at) VALUES (?, ?, ?, ?, ?, 'awaiting_payment', 'EUR', 1, '', now(), now())`,
		order, n, quote, account, owner)
	var inv invoicing.Invoice
	s.update(func(tx *tenancy.Tx) error {
		amount := billing.Money{Minor: minor, Currency: "EUR"}
		x := renewal.New{ID: sub, AccountID: account, OrderID: order, PlanID: s.plan, Label: "VPS Small", Cycle: cycle, Currency: "EUR", Amount: amount,
			Items: []renewal.Item{{Kind: "plan", Label: "VPS Small", Quantity: 1, AmountMinor: minor}}}
		for _, f := range change {
			f(&x)
		}
		_, err := renewal.Open(ctx, tx, x)
		if err != nil {
			return err
		}
		inv, err = invoicing.Issue(ctx, tx, invoicing.Draft{Key: "order/" + order.String(), AccountID: account, Currency: "EUR",
			Lines: []billing.Line{{Kind: "plan", SubscriptionID: sub.String(), Description: "VPS Small", Quantity: 1, Unit: amount, Awaits: cycle.Months() > 0}}})
		return err
	})
	return sub, inv.ID
}

// pay settles what is owed on an invoice, and does what follows.
func (s *shop) pay(invoice uuid.UUID) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		inv, err := invoicing.Get(s.t.Context(), tx, invoice)
		if err != nil || inv.Due().Minor == 0 {
			return err
		}
		return invoicing.Applied(s.t.Context(), tx, invoicing.Application{InvoiceID: invoice, PaymentID: uuid.New(), Gateway: "sandbox", Amount: inv.Due()})
	})
	for range 2 { // a job may come twice
		if err := s.desk.Paid(s.t.Context(), s.db, invoice); err != nil {
			s.t.Fatal(err)
		}
	}
}

// turn lets time pass, looking at what the agenda says every six hours.
func (s *shop) turn(d time.Duration) {
	s.t.Helper()
	for end := s.Clock.Now().Add(d); s.Clock.Now().Before(end); {
		s.Clock.Advance(6 * time.Hour)
		s.tick()
	}
}

// tick does what one scan of the agenda would.
func (s *shop) tick() {
	s.t.Helper()
	ctx := s.t.Context()
	for _, k := range []struct {
		kind string
		do   func(context.Context, *tenancy.DB, time.Time) error
	}{{renewal.AgendaRenewal, s.desk.Renew}, {renewal.AgendaCollection, s.desk.Collect}, {recognition.Agenda, recognition.Recognise}} {
		var due time.Time
		err := s.Owner.QueryRow(ctx, "SELECT due_at FROM central.agenda WHERE tenant_id = $1 AND kind = $2", s.who.ID.Number(), k.kind).Scan(&due)
		if errors.Is(err, pgx.ErrNoRows) || due.After(s.Clock.Now()) {
			continue
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if err := k.do(ctx, s.db, due); err != nil {
			s.t.Fatal(err)
		}
	}
	if s.mailsOut {
		s.exec("UPDATE mails SET state = 'sent', sealed_body = NULL WHERE state = 'queued'")
		s.exec(`INSERT INTO mails (id, key, template, to_address, subject, state, created_at)
			SELECT gen_random_uuid(), 'invoice/' || id || '/issued', 'invoice_issued', 'x@example.com', '', 'sent', '2026-10-15 09:30Z' FROM invoices ON CONFLICT (key) DO NOTHING`)
	}
	s.charges()
}

// charges is the gateway: it works on jobs to charge, each once, while it is up.
func (s *shop) charges() {
	s.t.Helper()
	if s.down {
		return
	}
	ctx := s.t.Context()
	rows, err := s.Owner.Query(ctx, `SELECT id, (args->>'invoice_id')::uuid, (args->>'try')::int FROM river.river_job
		WHERE kind = 'payment.charge' AND (metadata->>'tenant')::bigint = $1 AND id > $2 ORDER BY id`, s.who.ID.Number(), s.seen)
	if err != nil {
		s.t.Fatal(err)
	}
	type job struct {
		ID      int64
		Invoice uuid.UUID
		Try     int
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	if err != nil {
		s.t.Fatal(err)
	}
	for _, j := range jobs {
		s.seen = j.ID
		account := scan[uuid.UUID](s, "SELECT account_id FROM invoices WHERE id = ?", j.Invoice)
		if scan[string](s, "SELECT state FROM invoices WHERE id = ?", j.Invoice) != "open" {
			continue
		}
		if !s.declines(account) {
			s.pay(j.Invoice)
			continue
		}
		if s.refusal == billing.RefusedHard {
			s.exec("UPDATE payment_methods SET state = 'failing' WHERE account_id = ?", account)
		}
		for range 2 {
			err := s.desk.TryFailed(ctx, s.db, payment.FailedTry{InvoiceID: j.Invoice, PaymentID: uuid.New(), Try: j.Try, Decline: s.refusal, Code: "card_declined"})
			if err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func (s *shop) get(id uuid.UUID) (x renewal.Subscription) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		x, err = renewal.Get(s.t.Context(), tx, id)
		return err
	})
	return x
}

// periods are the invoiced periods of a subscription, in words.
func (s *shop) periods(id uuid.UUID) (all []string) {
	s.t.Helper()
	var rows []struct {
		From, To time.Time
		State    string
	}
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT l.period_from AS "from", l.period_to AS "to", i.state FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id
			WHERE l.subscription_id = ? AND i.kind = 'invoice' AND l.period_from IS NOT NULL ORDER BY l.period_from, i.issued_at`, id).Scan(s.t.Context(), &rows)
	})
	for _, r := range rows {
		all = append(all, fmt.Sprintf("%s–%s %s", r.From.Format("01-02"), r.To.Format("01-02"), r.State))
	}
	return all
}

// wants is what is wanted of the subscription's service.
func (s *shop) wants(id uuid.UUID) string {
	s.t.Helper()
	return scan[string](s, "SELECT desired FROM services WHERE subscription_id = ?", id)
}

// letters counts the mails of a template about an account.
func (s *shop) letters(template string) int {
	s.t.Helper()
	return scan[int](s, "SELECT count(*) FROM mails WHERE template = ?", template)
}
