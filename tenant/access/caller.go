package access

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
)

// Caller is whom a token acts for.
type Caller struct {
	TokenID   uuid.UUID
	TokenName string
	AccountID uuid.UUID // uuid.Nil: for the shop itself
	PersonID  uuid.UUID
	Role      account.Role // the person's, in the account, now
	team      bool         // the person runs the shop
	scopes    []Scope
}

// May reports whether the token was made for the scope and its maker still may.
func (c Caller) May(s Scope) bool {
	if c.AccountID == uuid.Nil {
		return c.team && slices.Contains(c.scopes, s) && slices.Contains(teamScopes, s)
	}
	return slices.Contains(c.scopes, s) && account.May(c.Role, needs[s])
}

// Actor is how the trail names the caller.
func (c Caller) Actor() audit.Actor {
	if c.AccountID == uuid.Nil {
		return audit.Actor{Kind: "reseller", ID: c.PersonID.String(), Name: "API token " + c.TokenName}
	}
	return audit.Actor{Kind: "customer", ID: c.PersonID.String(), Name: "API token " + c.TokenName}
}

var errToken = fault.New(fault.Unauthorized, "token.invalid_or_revoked", "This token is not valid. Send a working one as “Authorization: Bearer …”.")

// usedEvery is how exactly the last use is kept: a write a call would cost more than
// most calls.
const usedEvery = time.Minute

// Recognise finds whom a secret acts for. A secret that opens nothing, whoever's it may
// be, is the fault token.invalid_or_revoked.
func Recognise(ctx context.Context, db *tenancy.DB, secret string) (c Caller, err error) {
	if !strings.HasPrefix(secret, Prefix) || len(secret) > 100 {
		return Caller{}, errToken
	}
	var stale bool
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		var row struct {
			ID, AccountID, PersonID uuid.UUID
			Name                    string
			Role                    account.Role
			Scopes                  []byte
			Stale, Team             bool
		}
		err := tx.NewRaw(`SELECT t.id, coalesce(t.account_id, '00000000-0000-0000-0000-000000000000') AS account_id, t.person_id, t.name, t.scopes, coalesce(m.role, '') AS role,
				p.world = 'reseller' AND p.role IN ('owner', 'admin') AS team,
				t.last_used_at IS NULL OR t.last_used_at < ? AS stale
			FROM api_tokens t
			LEFT JOIN memberships m ON m.account_id = t.account_id AND m.person_id = t.person_id
			JOIN people p ON p.id = t.person_id AND p.disabled_at IS NULL
			LEFT JOIN accounts a ON a.id = t.account_id AND a.closed_at IS NULL
			WHERE (t.account_id IS NULL AND p.world = 'reseller' OR m.role IS NOT NULL AND a.id IS NOT NULL)
				AND t.token_hash = ? AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > ?)`,
			tx.Now().Add(-usedEvery), hash(secret), tx.Now()).Scan(ctx, &row)
		if tenancy.IsNoRows(err) {
			return errToken
		}
		if err != nil {
			return fmt.Errorf("recognise a token: %w", err)
		}
		c = Caller{TokenID: row.ID, TokenName: row.Name, AccountID: row.AccountID, PersonID: row.PersonID, Role: row.Role, team: row.Team}
		stale = row.Stale
		if err := json.Unmarshal(row.Scopes, &c.scopes); err != nil {
			return fmt.Errorf("recognise a token: scopes of %s: %w", row.ID, err)
		}
		return nil
	})
	if err != nil || !stale {
		return c, err
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE api_tokens SET last_used_at = ? WHERE id = ?", tx.Now(), c.TokenID).Exec(ctx)
		return err
	})
	if err != nil {
		return Caller{}, fmt.Errorf("note the use of a token: %w", err)
	}
	return c, nil
}
