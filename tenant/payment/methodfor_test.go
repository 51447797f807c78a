package payment_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// TestASubscriptionsOwnMethod: an invoice is collected with the method of what it is for;
// where that cannot be, with the account's.
func TestASubscriptionsOwnMethod(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A, &payment.Desk{Gateways: local(), Keys: newRing(t)})
	usual, own, sub := uuid.New(), uuid.New(), uuid.New()
	s.update(func(tx *tenancy.Tx) error {
		for _, q := range []struct {
			sql  string
			args []any
		}{
			{`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at)
				SELECT x.id::uuid, ?, 'sandbox', ?, 'works/' || x.id, 'card', x.label, 'active', '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM (VALUES (?, 'Usual'), (?, 'Own')) AS x(id, label)`,
				[]any{s.account, s.account.String(), usual.String(), own.String()}},
			{"UPDATE accounts SET default_method_id = ? WHERE id = ?", []any{usual, s.account}},
		} {
			if _, err := tx.NewRaw(q.sql, q.args...).Exec(t.Context()); err != nil {
				return err
			}
		}
		return subscribe(t, tx, sub, s.account)
	})
	charged := func(key string, subscriptions ...string) string {
		t.Helper()
		var inv invoicing.Invoice
		s.update(func(tx *tenancy.Tx) (err error) {
			d := invoicing.Draft{Key: key, AccountID: s.account, Currency: "EUR"}
			for _, id := range subscriptions {
				d.Lines = append(d.Lines, billing.Line{Kind: "plan", SubscriptionID: id, Description: "VPS", Quantity: 1, Unit: eur(1000)})
			}
			inv, err = invoicing.Issue(t.Context(), tx, d)
			return err
		})
		if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: inv.ID}); err != nil {
			t.Fatal(err)
		}
		return s.payments(payment.Filter{InvoiceID: inv.ID})[0].Method
	}
	choose := func(account, method uuid.UUID, want string) {
		t.Helper()
		err := payment.ForSubscription(t.Context(), s.db, account, sub, method, olga)
		if want == "" && err != nil || want != "" && !fault.Is(err, want) {
			t.Errorf("%s: %v", method, err)
		}
	}
	if got := charged("renewal/1", sub.String()); got != "Usual" {
		t.Errorf("before it was chosen: %s", got)
	}
	choose(s.account, own, "")
	choose(s.account, own, "") // nothing new
	if n := s.told("subscription.method_chosen"); n != 1 {
		t.Errorf("told %d times", n)
	}
	choose(s.account, uuid.New(), "method.not_found")
	choose(uuid.New(), own, "method.not_found")
	choose(uuid.New(), uuid.Nil, "subscription.not_found")
	if got := charged("renewal/2", sub.String()); got != "Own" {
		t.Errorf("its own: %s", got)
	}
	if got := charged("renewal/3", sub.String(), uuid.NewString()); got != "Own" {
		t.Errorf("beside a line of nothing known: %s", got)
	}
	if err := s.desk.RemoveMethod(t.Context(), s.db, s.account, own, olga); err != nil {
		t.Fatal(err)
	}
	if got := charged("renewal/4", sub.String()); got != "Usual" {
		t.Errorf("after it was removed: %s", got)
	}
	s.balanced()
}

// told is how often the timeline says something to customers.
func (s *shop) told(kind string) (n int) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT count(*) FROM timeline WHERE kind = ? AND customer_sees", kind).Scan(s.t.Context(), &n)
	})
	return n
}

// subscribe makes a subscription of an account, with what it needs.
func subscribe(t *testing.T, tx *tenancy.Tx, sub, account uuid.UUID) error {
	t.Helper()
	product, plan, quote, order, person := uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{"INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'customer', 'ida@example.com', 'ida@example.com', 'Ida', 'member', now(), now())", []any{person}},
		{"INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES (?, 'vps', 'vps', 'VPS', '', 1, 'hidden', now(), now())", []any{product}},
		{"INSERT INTO plans (id, product_id, slug, name, summary, facts, position, visibility, created_at, changed_at) VALUES (?, ?, 'small', 'Small', '', '[]', 1, 'hidden', now(), now())", []any{plan, product}},
		{"INSERT INTO quotes (id, kind, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES (?, 'checkout', 'EUR', 0, 0, 0, '{}', now(), now())", []any{quote}},
		{"INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at) VALUES (?, 1, ?, ?, ?, 'paid', 'EUR', 0, '', now(), now())", []any{order, quote, account, person}},
		{`INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, renewals, cancel_reason, cancel_note, created_at, changed_at)
			VALUES (?, ?, ?, ?, 'VPS Small', 'active', 'monthly', 'EUR', 1000, '[]', 0, '', '', now(), now())`, []any{sub, account, order, plan}},
	} {
		if _, err := tx.NewRaw(q.sql, q.args...).Exec(t.Context()); err != nil {
			return err
		}
	}
	return nil
}
