package payment

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
)

// Method is a saved way to pay of an account.
type Method struct {
	ID          uuid.UUID
	AccountID   uuid.UUID
	Gateway     string
	CustomerRef string
	Ref         string
	Kind        string
	Label       string
	ExpiresOn   time.Time // first day of which it is of no use; zero: never
	State       string    // active, failing, removed
	IsDefault   bool
	CreatedAt   time.Time
	Mandate     *Mandate // of a bank account
}

const methodColumns = `m.id, m.account_id, m.gateway, m.customer_ref, m.ref, m.kind, m.label, m.expires_on, m.state, m.created_at,
	coalesce(a.default_method_id = m.id, false) AS is_default, m.mandate`

const methodTables = " FROM payment_methods m JOIN accounts a ON a.id = m.account_id"

var errNoMethod = fault.New(fault.NotFound, "method.not_found", "There is no such payment method.")

// Methods lists what an account has saved, the default first.
func Methods(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (all []Method, err error) {
	err = tx.NewRaw("SELECT "+methodColumns+methodTables+" WHERE m.account_id = ? AND m.state <> 'removed' ORDER BY is_default DESC, m.created_at, m.id", account).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("list payment methods: %w", err)
	}
	return all, nil
}

// MethodsBefore lists what an account has saved, the newest first, after the one given;
// uuid.Nil: from the first.
func MethodsBefore(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, at time.Time, id uuid.UUID, limit int) (all []Method, err error) {
	where, args := "m.account_id = ? AND m.state <> 'removed'", []any{account}
	if id != uuid.Nil {
		where, args = where+" AND (m.created_at, m.id) < (?, ?)", append(args, at, id)
	}
	err = tx.NewRaw("SELECT "+methodColumns+methodTables+" WHERE "+where+" ORDER BY m.created_at DESC, m.id DESC LIMIT ?", append(args, limit)...).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("list payment methods: %w", err)
	}
	return all, nil
}

func oneMethod(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (m Method, ok bool, err error) {
	err = tx.NewRaw("SELECT "+methodColumns+methodTables+" WHERE "+where, args...).Scan(ctx, &m)
	if tenancy.IsNoRows(err) {
		return Method{}, false, nil
	}
	if err != nil {
		return Method{}, false, fmt.Errorf("read payment method: %w", err)
	}
	return m, true, nil
}

func methodByID(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Method, error) {
	m, ok, err := oneMethod(ctx, tx, "m.id = ?", id)
	if err == nil && !ok {
		err = errNoMethod
	}
	return m, err
}

// usable is a method of an account that can be charged through a gateway.
func usable(ctx context.Context, tx *tenancy.Tx, account, id uuid.UUID, code string) (Method, error) {
	m, ok, err := oneMethod(ctx, tx, "m.id = ? AND m.account_id = ? AND m.gateway = ? AND m.state <> 'removed'", id, account, code)
	if err == nil && !ok {
		err = errNoMethod
	}
	return m, err
}

// DefaultMethod is what an account's invoices are collected with; the zero Method when
// there is none, or when it was refused for good.
func DefaultMethod(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (Method, error) {
	return defaultMethod(ctx, tx, account)
}

func defaultMethod(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (Method, error) {
	m, _, err := oneMethod(ctx, tx, "m.account_id = ? AND m.id = a.default_method_id AND m.state = 'active'", account)
	return m, err
}

// methodFor is what an invoice is collected with: the method its subscriptions were given,
// where all of them have the same one and it can be charged, else the account's default.
func methodFor(ctx context.Context, tx *tenancy.Tx, inv invoice) (Method, error) {
	m, _, err := oneMethod(ctx, tx, `m.account_id = ? AND m.state = 'active' AND m.id IN (a.default_method_id, (SELECT min(s.method_id::text)::uuid
			FROM invoice_lines l JOIN subscriptions s ON s.id = l.subscription_id WHERE l.invoice_id = ? HAVING count(DISTINCT s.method_id) = 1 AND count(s.method_id) = count(*)))
		ORDER BY m.id = a.default_method_id LIMIT 1`, inv.AccountID, inv.ID)
	return m, err
}

// ForSubscription has a subscription's invoices collected with one of its account's
// methods; uuid.Nil: with the account's default. Chosen again, nothing changes. Faults:
// method.not_found, subscription.not_found.
func ForSubscription(ctx context.Context, db *tenancy.DB, account, subscription, method uuid.UUID, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		var id any
		label := "your usual method"
		if method != uuid.Nil {
			m, ok, err := oneMethod(ctx, tx, "m.id = ? AND m.account_id = ? AND m.state <> 'removed'", method, account)
			if err == nil && !ok {
				err = errNoMethod
			}
			if err != nil {
				return err
			}
			id, label = m.ID, m.Label
		}
		var was uuid.NullUUID
		err := tx.NewRaw("SELECT method_id FROM subscriptions WHERE id = ? AND account_id = ? AND state <> 'ended' FOR UPDATE", subscription, account).Scan(ctx, &was)
		switch {
		case tenancy.IsNoRows(err):
			return fault.New(fault.NotFound, "subscription.not_found", "There is no such subscription.")
		case err != nil:
			return fmt.Errorf("read the method of a subscription: %w", err)
		case was.UUID == method:
			return nil
		}
		if _, err := tx.NewRaw("UPDATE subscriptions SET method_id = ?, changed_at = ? WHERE id = ?", id, tx.Now(), subscription).Exec(ctx); err != nil {
			return fmt.Errorf("choose the method of a subscription: %w", err)
		}
		err = activity.Tell(ctx, tx, activity.Event{
			Key: "subscription/" + subscription.String() + "/method/" + strconv.FormatInt(tx.Now().UnixNano(), 36), AccountID: account, SubjectKind: activity.Subscription, SubjectID: subscription,
			Kind: "subscription.method_chosen", Text: "Invoices are collected from " + label + " from now on.", Actor: by.Actor.Name, CustomerSees: true,
		})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "subscription.method_chosen", audit.Target{Kind: "subscription", ID: subscription.String()}, map[string]any{"method": label})
	})
}

// customer is the account as a gateway knows it.
func customer(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, code string) (gateway.Customer, error) {
	var row struct{ Name, Email, Ref string }
	err := tx.NewRaw(`SELECT a.name,
			coalesce(nullif(a.billing->>'email', ''), (SELECT p.email FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.account_id = a.id AND m.role = 'owner' ORDER BY m.created_at, p.id LIMIT 1), '') AS email,
			coalesce((SELECT m.customer_ref FROM payment_methods m WHERE m.account_id = a.id AND m.gateway = ? ORDER BY m.created_at DESC LIMIT 1), '') AS ref
		FROM accounts a WHERE a.id = ?`, code, account).Scan(ctx, &row)
	if err != nil {
		return gateway.Customer{}, fmt.Errorf("read who pays: %w", err)
	}
	return gateway.Customer{Key: account.String(), Ref: row.Ref, Name: row.Name, Email: row.Email}, nil
}

// keepMethod saves a method a gateway keeps for an account. It becomes the default where
// there is none that can be charged.
func keepMethod(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, code string, m gateway.Method) (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return id, err
	}
	var expires any
	if !m.ExpiresOn.IsZero() {
		expires = m.ExpiresOn
	}
	err = tx.NewRaw(`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, expires_on, fingerprint, state, created_at, changed_at, country)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ''), 'active', ?, ?, CASE WHEN ?::text ~ '^[A-Z]{2}$' THEN ? END)
		ON CONFLICT (gateway, ref) DO UPDATE SET state = 'active', label = excluded.label, expires_on = excluded.expires_on, fingerprint = excluded.fingerprint, changed_at = excluded.changed_at, country = excluded.country
		WHERE payment_methods.account_id = excluded.account_id RETURNING id`,
		id, account, code, m.CustomerRef, m.Ref, m.Kind, m.Label, expires, m.Fingerprint, tx.Now(), tx.Now(), m.Country, m.Country).Scan(ctx, &id)
	if tenancy.IsNoRows(err) {
		return uuid.Nil, fmt.Errorf("save payment method %s: it is another account's", m.Ref)
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("save payment method: %w", err)
	}
	_, err = tx.NewRaw(`UPDATE accounts SET default_method_id = ?, changed_at = ? WHERE id = ?
		AND NOT EXISTS (SELECT FROM payment_methods m WHERE m.id = accounts.default_method_id AND m.state = 'active')`, id, tx.Now(), account).Exec(ctx)
	if err != nil {
		return uuid.Nil, fmt.Errorf("choose the default payment method: %w", err)
	}
	return id, nil
}

// MakeDefault has an account's invoices collected with one of its methods, and what is
// overdue charged to it at once (see chargeOverdue): it says which. The fault is
// method.not_found.
func MakeDefault(ctx context.Context, db *tenancy.DB, account, id uuid.UUID, by audit.Origin) (charged []Charging, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		m, ok, err := oneMethod(ctx, tx, "m.id = ? AND m.account_id = ? AND m.state <> 'removed'", id, account)
		if err != nil {
			return err
		}
		if !ok {
			return errNoMethod
		}
		if m.IsDefault && m.State == "active" { // pressed twice: it is told again, and charged once
			charged, err = chargeOverdue(ctx, tx, m)
			return err
		}
		if _, err := tx.NewRaw("UPDATE payment_methods SET state = 'active', changed_at = ? WHERE id = ? AND state = 'failing'", tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("choose the default payment method: %w", err)
		}
		if _, err := tx.NewRaw("UPDATE accounts SET default_method_id = ?, changed_at = ? WHERE id = ?", id, tx.Now(), account).Exec(ctx); err != nil {
			return fmt.Errorf("choose the default payment method: %w", err)
		}
		if charged, err = chargeOverdue(ctx, tx, m); err != nil {
			return err
		}
		return by.Record(ctx, tx, "payment_method.made_default", audit.Target{Kind: "account", ID: account.String()}, map[string]any{"method": m.Label, "charged": len(charged)})
	})
	return charged, err
}
