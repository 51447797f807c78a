package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
)

// Result is how an attempt to sign in ended.
type Result string

// The results.
const (
	SignedInOK    Result = "ok"
	WrongPassword Result = "wrong_password"
	WrongCode     Result = "wrong_code"
	Throttled     Result = "throttled"
	UnknownPerson Result = "unknown"
	PersonBarred  Result = "disabled"
	RecoveryUsed  Result = "recovery_code"
)

// Login is one attempt to sign in.
type Login struct {
	bun.BaseModel `bun:"table:logins"`

	ID        uuid.UUID     `bun:"id,pk"`
	World     World         `bun:"world"`
	PersonID  uuid.NullUUID `bun:"person_id"`
	EmailKey  string        `bun:"email_key"`
	Outcome   Result        `bun:"outcome"`
	IP        string        `bun:"ip"`
	UserAgent string        `bun:"user_agent"`
	At        time.Time     `bun:"at"`
}

// RecordLogin adds an attempt to the history.
func (p People) RecordLogin(ctx context.Context, tx tenancy.Statements, person uuid.UUID, email string, o Origin, result Result) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	l := Login{
		ID: id, World: p.World, PersonID: uuid.NullUUID{UUID: person, Valid: person != uuid.Nil}, EmailKey: cut(EmailKey(email), 254),
		Outcome: result, IP: cut(o.IP, 64), UserAgent: cut(o.UserAgent, 300), At: tx.Now(),
	}
	if _, err := tx.NewInsert().Model(&l).Exec(ctx); err != nil {
		return fmt.Errorf("record a login: %w", err)
	}
	return nil
}

// Logins is a person's history, newest first.
func (p People) Logins(ctx context.Context, tx tenancy.Statements, person uuid.UUID, limit int) ([]Login, error) {
	var found []Login
	err := tx.NewRaw(`SELECT id, world, person_id, email_key, outcome, ip, user_agent, at FROM logins
		WHERE person_id = ? AND world = ? ORDER BY at DESC, id DESC LIMIT ?`, person, p.World, limit).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("read login history: %w", err)
	}
	return found, nil
}

// PruneLogins forgets attempts before a time and reports how many.
func PruneLogins(ctx context.Context, tx tenancy.Statements, before time.Time) (int64, error) {
	res, err := tx.NewRaw("DELETE FROM logins WHERE at < ?", before).Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("prune login history: %w", err)
	}
	return res.RowsAffected()
}
