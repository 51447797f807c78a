// Package access owns the API tokens of a reseller's customers and what keeps a
// program's writes from happening twice: the tables api_tokens and idempotency_keys. A
// token acts for one account and never does more than the person who made it may. How
// people sign in is tenancy/identity's; what a call does is its slice's.
package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
)

// Scope is one thing a token may be made for.
type Scope string

// The scopes.
const (
	ServicesRead  Scope = "services:read"
	ServicesWrite Scope = "services:write" // power, rebuild, rename; never credentials
	BillingRead   Scope = "billing:read"   // invoices and their PDFs, orders
	OrdersWrite   Scope = "orders:write"

	ServicesCredentials Scope = "services:credentials" // see access data, have a new password set
	SubscriptionsWrite  Scope = "subscriptions:write"  // cancel, and take it back
	BillingWrite        Scope = "billing:write"        // payment methods

	UsageRead  Scope = "usage:read"  // what was used and costs so far
	UsageWrite Scope = "usage:write" // tell what was used; only the shop's own programs
)

// Scopes lists them all, with what each lets a program do.
func Scopes() []struct {
	Scope Scope
	Label string
} {
	return []struct {
		Scope Scope
		Label string
	}{
		{ServicesRead, "See services and their state"},
		{ServicesWrite, "Start, stop, rebuild and rename services"},
		{BillingRead, "See orders and invoices, download PDFs"},
		{OrdersWrite, "Place orders, paid with the saved method"},
		{ServicesCredentials, "See the access data of services and set new passwords"},
		{SubscriptionsWrite, "Cancel subscriptions and take a cancellation back"},
		{BillingWrite, "Choose the payment method to charge and remove saved ones"},
		{UsageRead, "See what was used and what it costs so far"},
	}
}

// teamScopes are what programs of the shop itself may do, for all of its customers.
var teamScopes = []Scope{UsageWrite, UsageRead}

// TeamScopes lists them, with what each lets a program do.
func TeamScopes() []struct {
	Scope Scope
	Label string
} {
	return []struct {
		Scope Scope
		Label string
	}{{UsageWrite, "Tell what customers used"}, {UsageRead, "See what customers used and what it costs so far"}}
}

// needs says what its maker must be allowed in the account for each scope.
var needs = map[Scope]account.Permission{
	ServicesRead: account.ServicesSee, ServicesWrite: account.ServicesRun, BillingRead: account.InvoicesSee, OrdersWrite: account.Buy,
	ServicesCredentials: account.ServicesRun, SubscriptionsWrite: account.CancelContract, BillingWrite: account.Pay, UsageRead: account.ServicesSee,
}

// Grants reports whether a member of this role may make a token for the scope.
func Grants(r account.Role, s Scope) bool { return account.May(r, needs[s]) }

// Token is a token as its owner sees it; the secret itself is shown once, by Create.
type Token struct {
	ID         uuid.UUID
	Name       string
	Scopes     []Scope
	Hint       string // its last four characters
	MadeBy     string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // zero: never; to the minute
	RevokedAt  time.Time
}

// Works reports whether the token opens anything at the time now.
func (t Token) Works(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

const (
	maxTokens = 50 // that work, of one account
	maxName   = 80
	// Prefix lets leaked tokens be found by scanners. It names no brand.
	Prefix = "tok_"
)

// New is what a token is made from.
type New struct {
	AccountID uuid.UUID // uuid.Nil: of the shop's team, for what TeamScopes lists
	PersonID  uuid.UUID
	Name      string
	Scopes    []Scope
	Lifetime  time.Duration // 0: until it is revoked
}

func (n *New) check() error {
	fields := map[string]string{}
	n.Name = strings.TrimSpace(n.Name)
	switch {
	case n.Name == "":
		fields["name"] = "Give the token a name, so that you know later what uses it."
	case !utf8.ValidString(n.Name) || strings.ContainsRune(n.Name, 0) || utf8.RuneCountInString(n.Name) > maxName:
		fields["name"] = fmt.Sprintf("At most %d characters, please.", maxName)
	}
	slices.Sort(n.Scopes)
	n.Scopes = slices.Compact(n.Scopes)
	if len(n.Scopes) == 0 {
		fields["scopes"] = "Choose what the token may do."
	}
	for _, s := range n.Scopes {
		if n.AccountID != uuid.Nil && needs[s] == "" || n.AccountID == uuid.Nil && !slices.Contains(teamScopes, s) {
			fields["scopes"] = "There is no such scope."
		}
	}
	if n.Lifetime < 0 || n.Lifetime > 5*365*24*time.Hour {
		fields["expires"] = "Choose a time from the list."
	}
	if len(fields) > 0 {
		return fault.Fields("token.invalid", fields)
	}
	return nil
}

// Create makes a token and returns its secret, which is kept nowhere. Faults:
// token.invalid with fields, token.scope_beyond_role, token.too_many.
func Create(ctx context.Context, db *tenancy.DB, n New, by audit.Origin) (t Token, secret string, err error) {
	if err := n.check(); err != nil {
		return Token{}, "", err
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return Token{}, "", fmt.Errorf("make a token: %w", err)
	}
	secret = Prefix + base64.RawURLEncoding.EncodeToString(raw)
	id, err := uuid.NewV7()
	if err != nil {
		return Token{}, "", err
	}
	scopes, err := json.Marshal(n.Scopes)
	if err != nil {
		return Token{}, "", err
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := n.mayBeMade(ctx, tx); err != nil {
			return err
		}
		var working int
		err = tx.NewRaw("SELECT count(*) FROM api_tokens WHERE account_id IS NOT DISTINCT FROM ? AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)", accountOrNull(n.AccountID), tx.Now()).Scan(ctx, &working)
		if err != nil {
			return fmt.Errorf("count tokens: %w", err)
		}
		if working >= maxTokens {
			return fault.New(fault.Conflict, "token.too_many", fmt.Sprintf("An account has at most %d tokens. Revoke one that nothing uses.", maxTokens))
		}
		t = Token{ID: id, Name: n.Name, Scopes: n.Scopes, Hint: secret[len(secret)-4:], CreatedAt: tx.Now()}
		var expires *time.Time
		if n.Lifetime > 0 {
			t.ExpiresAt = tx.Now().Add(n.Lifetime)
			expires = &t.ExpiresAt
		}
		_, err = tx.NewRaw(`INSERT INTO api_tokens (id, account_id, person_id, name, scopes, token_hash, hint, created_at, expires_at)
			VALUES (?, ?, ?, ?, ?::jsonb, ?, ?, ?, ?)`, id, accountOrNull(n.AccountID), n.PersonID, n.Name, string(scopes), hash(secret), t.Hint, t.CreatedAt, expires).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep a token: %w", err)
		}
		return by.Record(ctx, tx, "token.created", targetOf(n.AccountID), map[string]any{"token": id, "name": n.Name, "scopes": n.Scopes})
	})
	if err != nil {
		return Token{}, "", err
	}
	return t, secret, nil
}

// mayBeMade looks whether the person may make the token.
func (n New) mayBeMade(ctx context.Context, tx *tenancy.Tx) error {
	if n.AccountID == uuid.Nil {
		var may bool
		err := tx.NewRaw("SELECT EXISTS (SELECT FROM people WHERE id = ? AND world = 'reseller' AND role IN ('owner', 'admin') AND disabled_at IS NULL)", n.PersonID).Scan(ctx, &may)
		if err != nil {
			return fmt.Errorf("read a role: %w", err)
		}
		if !may {
			return fault.New(fault.Forbidden, "token.scope_beyond_role", "Your role does not include that.")
		}
		return nil
	}
	role, err := lockedRole(ctx, tx, n.AccountID, n.PersonID)
	if err != nil {
		return err
	}
	for _, s := range n.Scopes {
		if !account.May(role, needs[s]) {
			return fault.New(fault.Forbidden, "token.scope_beyond_role", "Your role in this account does not include that.")
		}
	}
	return nil
}

func accountOrNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// targetOf is what the trail says a token is of.
func targetOf(accountID uuid.UUID) audit.Target {
	if accountID == uuid.Nil {
		return audit.Target{Kind: "settings", ID: "api"}
	}
	return audit.Target{Kind: "account", ID: accountID.String()}
}

// lockedRole is the person's role in the account, which does not change until the
// transaction ends; the fault is account.not_found.
func lockedRole(ctx context.Context, tx *tenancy.Tx, accountID, personID uuid.UUID) (role account.Role, err error) {
	err = tx.NewRaw("SELECT role FROM memberships WHERE account_id = ? AND person_id = ? FOR SHARE", accountID, personID).Scan(ctx, &role)
	if tenancy.IsNoRows(err) {
		return "", fault.New(fault.NotFound, "account.not_found", "There is no such account.")
	}
	if err != nil {
		return "", fmt.Errorf("read a membership: %w", err)
	}
	return role, nil
}

func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// List returns an account's tokens, or with uuid.Nil the team's, the newest first, also
// those that no longer work.
func List(ctx context.Context, tx *tenancy.Tx, accountID uuid.UUID) ([]Token, error) {
	var rows []struct {
		ID         uuid.UUID
		Name       string
		Scopes     []byte
		Hint       string
		MadeBy     string
		CreatedAt  time.Time
		ExpiresAt  *time.Time
		LastUsedAt *time.Time
		RevokedAt  *time.Time
	}
	err := tx.NewRaw(`SELECT t.id, t.name, t.scopes, t.hint, p.name AS made_by, t.created_at, t.expires_at, t.last_used_at, t.revoked_at
		FROM api_tokens t JOIN people p ON p.id = t.person_id WHERE t.account_id IS NOT DISTINCT FROM ? ORDER BY t.created_at DESC, t.id LIMIT 200`, accountOrNull(accountID)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	found := make([]Token, len(rows))
	for i, r := range rows {
		found[i] = Token{ID: r.ID, Name: r.Name, Hint: r.Hint, MadeBy: r.MadeBy, CreatedAt: r.CreatedAt, ExpiresAt: timeOf(r.ExpiresAt), LastUsedAt: timeOf(r.LastUsedAt), RevokedAt: timeOf(r.RevokedAt)}
		if err := json.Unmarshal(r.Scopes, &found[i].Scopes); err != nil {
			return nil, fmt.Errorf("list tokens: scopes of %s: %w", r.ID, err)
		}
	}
	return found, nil
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// Revoke ends a token at once; one that was revoked stays so. The fault is token.not_found.
func Revoke(ctx context.Context, db *tenancy.DB, accountID, id uuid.UUID, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		var name string
		err := tx.NewRaw("UPDATE api_tokens SET revoked_at = ? WHERE id = ? AND account_id IS NOT DISTINCT FROM ? AND revoked_at IS NULL RETURNING name", tx.Now(), id, accountOrNull(accountID)).Scan(ctx, &name)
		if tenancy.IsNoRows(err) {
			var there bool
			if err := tx.NewRaw("SELECT EXISTS (SELECT FROM api_tokens WHERE id = ? AND account_id IS NOT DISTINCT FROM ?)", id, accountOrNull(accountID)).Scan(ctx, &there); err != nil {
				return fmt.Errorf("look for a token: %w", err)
			}
			if there {
				return nil
			}
			return fault.New(fault.NotFound, "token.not_found", "There is no such token.")
		}
		if err != nil {
			return fmt.Errorf("revoke a token: %w", err)
		}
		return by.Record(ctx, tx, "token.revoked", targetOf(accountID), map[string]any{"token": id, "name": name})
	})
}
