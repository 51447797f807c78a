package account

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Open gives a new customer an account of their own, in the shop's currency and time
// zone, and makes them its owner. Without a company it is called like the person.
func Open(ctx context.Context, tx tenancy.Statements, t tenancy.Tenant, person uuid.UUID, name, company string) (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	kind := "business"
	if company == "" || company == name {
		kind, company = "person", name
	}
	_, err = tx.NewRaw("INSERT INTO accounts (id, name, kind, currency, time_zone, created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		id, company, kind, t.Currency, t.TimeZone, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return uuid.Nil, fmt.Errorf("open an account: %w", err)
	}
	_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", id, person, tx.Now()).Exec(ctx)
	if err != nil {
		return uuid.Nil, fmt.Errorf("open an account: %w", err)
	}
	return id, nil
}

// Number gives an account its customer number, once; a second one changes nothing.
func Number(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, n int64) error {
	if _, err := tx.NewRaw("UPDATE accounts SET number = ? WHERE id = ? AND number IS NULL", n, id).Exec(ctx); err != nil {
		return fmt.Errorf("number account %s: %w", id, err)
	}
	return nil
}
