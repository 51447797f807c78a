// Package account owns the reseller's customers: businesses with their members and
// what each may do, invitations, whom invoices go to and who is written to; and how the
// reseller's team looks after them. How people sign in is tenancy/identity's; what they
// buy stands elsewhere.
package account

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// State is where a customer stands.
type State string

// The states of a customer.
const (
	Active     State = "active"
	Unverified State = "unverified" // the address is not confirmed
	Disabled   State = "disabled"
)

// Customer is a person with the account they belong to.
type Customer struct {
	ID          uuid.UUID
	Email       string
	Name        string
	State       State
	HasTOTP     bool `bun:"has_totp"`
	AccountID   uuid.UUID
	AccountName string // of the first, by name; empty: none
	Accounts    int
	LastSignIn  time.Time // zero: never
	VerifiedAt  time.Time
	DisabledAt  time.Time
	CreatedAt   time.Time
	Total       int `json:"-"` // of the whole list
}

// Account is a business one customer belongs to.
type Account struct {
	ID       uuid.UUID
	Name     string
	Role     string // of the customer in it
	Currency string
	TimeZone string
	Members  int
	Since    time.Time
}

// SignIn is one attempt to sign in.
type SignIn struct {
	Outcome   string
	IP        string `bun:"ip"`
	UserAgent string
	At        time.Time
}

// MaxPage is the most customers List returns at once.
const MaxPage = 200

// Filter narrows and orders a list. Zero fields do not.
type Filter struct {
	Text   string // part of a name or address, of the person or the account
	State  State
	Sort   string // name, email, account, sign_in, created; empty: created, newest first
	Desc   bool
	Offset int
	Limit  int
}

const customerColumns = `p.id, p.email, p.name, p.totp_confirmed_at IS NOT NULL AS has_totp, p.email_verified_at AS verified_at, p.disabled_at, p.created_at,
	CASE WHEN p.disabled_at IS NOT NULL THEN 'disabled' WHEN p.email_verified_at IS NULL THEN 'unverified' ELSE 'active' END AS state,
	coalesce(a.id, '00000000-0000-0000-0000-000000000000') AS account_id, coalesce(a.name, '') AS account_name, coalesce(a.accounts, 0) AS accounts, s.at AS last_sign_in`

const customerJoins = ` LEFT JOIN LATERAL (SELECT b.id, b.name, count(*) OVER () AS accounts FROM memberships m JOIN accounts b ON b.id = m.account_id
		WHERE m.person_id = p.id ORDER BY lower(b.name), b.id LIMIT 1) a ON true
	LEFT JOIN LATERAL (SELECT l.at FROM logins l WHERE l.person_id = p.id AND l.outcome IN ('ok', 'recovery_code') ORDER BY l.at DESC LIMIT 1) s ON true`

// Desk is where customers are looked after. It is safe for concurrent use.
type Desk struct {
	// Verify sends a letter with a link that confirms the address, within the transaction.
	Verify func(ctx context.Context, tx tenancy.Statements, to identity.Person) error
	// Mail takes letters within the transaction: invitations, and what changed for members.
	Mail Mailer
}

// Mailer takes letters within a transaction; mail.Outbox does.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// List returns one page in one statement, and how many there are in all.
func (d *Desk) List(ctx context.Context, db *tenancy.DB, f Filter) (found []Customer, total int, err error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	order, ok := map[string]string{"name": "lower(p.name)", "email": "p.email_key", "account": "lower(a.name)", "created": "p.created_at", "sign_in": "s.at"}[f.Sort]
	if !ok {
		order, f.Desc = "p.created_at", true
	}
	if f.Desc {
		order += " DESC NULLS LAST"
	}
	where, args := f.where()
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT "+customerColumns+", count(*) OVER () AS total FROM people p"+customerJoins+" WHERE "+where+
			" ORDER BY "+order+", p.id LIMIT ? OFFSET ?", append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &found)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list customers: %w", err)
	}
	if len(found) > 0 {
		total = found[0].Total
	}
	return found, total, nil
}

func (f Filter) where() (string, []any) {
	where, args := "p.world = 'customer'", []any{}
	switch f.State {
	case Active:
		where += " AND p.disabled_at IS NULL AND p.email_verified_at IS NOT NULL"
	case Unverified:
		where += " AND p.disabled_at IS NULL AND p.email_verified_at IS NULL"
	case Disabled:
		where += " AND p.disabled_at IS NOT NULL"
	}
	if strings.TrimSpace(f.Text) != "" {
		like := roster.Like(strings.TrimSpace(f.Text))
		where += ` AND (p.name ILIKE ? OR p.email ILIKE ? OR EXISTS (SELECT FROM memberships m JOIN accounts b ON b.id = m.account_id
			WHERE m.person_id = p.id AND b.name ILIKE ?))`
		args = append(args, like, like, like)
	}
	return where, args
}

// Detail is one customer with what belongs to them.
type Detail struct {
	Customer
	In      []Account
	SignIns []SignIn // the latest 20
}

// Get returns one customer, or the fault customer.not_found.
func (d *Desk) Get(ctx context.Context, db *tenancy.DB, id uuid.UUID) (out Detail, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		out, err = d.GetIn(ctx, tx, id)
		return err
	})
	return out, err
}

// GetIn is Get within a transaction.
func (d *Desk) GetIn(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (out Detail, err error) {
	if out.Customer, err = customer(ctx, tx, id); err != nil {
		return out, err
	}
	err = tx.NewRaw(`SELECT a.id, a.name, m.role, a.currency, a.time_zone, m.created_at AS since,
			(SELECT count(*) FROM memberships x WHERE x.account_id = a.id) AS members
			FROM memberships m JOIN accounts a ON a.id = m.account_id WHERE m.person_id = ? ORDER BY lower(a.name), a.id LIMIT 50`, id).Scan(ctx, &out.In)
	if err != nil {
		return out, fmt.Errorf("read accounts: %w", err)
	}
	err = tx.NewRaw("SELECT outcome, ip, user_agent, at FROM logins WHERE person_id = ? ORDER BY at DESC, id DESC LIMIT 20", id).Scan(ctx, &out.SignIns)
	if err != nil {
		return out, fmt.Errorf("read sign-ins: %w", err)
	}
	return out, nil
}

func customer(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (c Customer, err error) {
	err = tx.NewRaw("SELECT "+customerColumns+" FROM people p"+customerJoins+" WHERE p.world = 'customer' AND p.id = ?", id).Scan(ctx, &c)
	if tenancy.IsNoRows(err) {
		return Customer{}, fault.New(fault.NotFound, "customer.not_found", "There is no such customer.")
	}
	if err != nil {
		return Customer{}, fmt.Errorf("read customer: %w", err)
	}
	return c, nil
}

func people() identity.People { return identity.People{World: identity.Customer} }

// Disable keeps a customer out and ends their sessions; what they bought runs on.
func (d *Desk) Disable(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return change(ctx, db, id, by, "customer.disabled", func(tx *tenancy.Tx, c Customer) (bool, error) {
		if c.State == Disabled {
			return false, nil
		}
		return true, people().Disable(ctx, tx, id)
	})
}

// Enable lets a customer in again.
func (d *Desk) Enable(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return change(ctx, db, id, by, "customer.enabled", func(tx *tenancy.Tx, c Customer) (bool, error) {
		if c.State != Disabled {
			return false, nil
		}
		return true, people().Enable(ctx, tx, id)
	})
}

// resendPause is how long after a link the next one may be sent.
const resendPause = time.Minute

// ResendVerification sends a new link to confirm the address. Faults:
// customer.verified, customer.disabled, customer.just_sent.
func (d *Desk) ResendVerification(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return change(ctx, db, id, by, "customer.verification_sent", func(tx *tenancy.Tx, c Customer) (bool, error) {
		switch c.State {
		case Active:
			return false, fault.New(fault.Conflict, "customer.verified", "This address is confirmed already.")
		case Disabled:
			return false, fault.New(fault.Conflict, "customer.disabled", "This customer is disabled. Enable them first.")
		}
		var recent bool
		err := tx.NewRaw("SELECT EXISTS (SELECT FROM single_use_links WHERE person_id = ? AND purpose = 'verify' AND created_at > ?)",
			id, tx.Now().Add(-resendPause)).Scan(ctx, &recent)
		if err != nil {
			return false, fmt.Errorf("look for links: %w", err)
		}
		if recent {
			return false, fault.New(fault.TooMany, "customer.just_sent", "A link was sent less than a minute ago.")
		}
		p, err := people().ByID(ctx, tx, id)
		if err != nil {
			return false, err
		}
		return true, d.Verify(ctx, tx, p)
	})
}

func change(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin, action string, do func(*tenancy.Tx, Customer) (bool, error)) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, err := tx.NewRaw("SELECT id FROM people WHERE id = ? FOR UPDATE", id).Exec(ctx); err != nil {
			return fmt.Errorf("lock customer: %w", err)
		}
		c, err := customer(ctx, tx, id)
		if err != nil {
			return err
		}
		done, err := do(tx, c)
		if err != nil || !done {
			return err
		}
		return by.Record(ctx, tx, action, audit.Target{Kind: "person", ID: id.String()}, map[string]any{"name": c.Name, "email": c.Email})
	})
}
