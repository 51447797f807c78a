package account

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Open gives a new customer an account of their own, in the shop's currency and time
// zone, and makes them its owner. Without a company it is called like the person.
func Open(ctx context.Context, tx tenancy.Statements, t tenancy.Tenant, person uuid.UUID, name, company string) (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, err
	}
	name, company = oneLine(name), oneLine(company)
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

// mostAccounts is how many accounts a person may belong to and still open another.
const mostAccounts = 20

// MayOpen is nil when a person may open another account under the name, and else the
// fault account.many or one about the field account_name.
func MayOpen(ctx context.Context, tx *tenancy.Tx, person uuid.UUID, name string) error {
	switch name = oneLine(name); {
	case name == "":
		return fault.Field("account_name", "account.name_missing", "Please give the account a name.")
	case len([]rune(name)) > 100:
		return fault.Field("account_name", "account.name_long", "Please use at most 100 characters.")
	}
	var n int
	if err := tx.NewRaw("SELECT count(*) FROM memberships WHERE person_id = ?", person).Scan(ctx, &n); err != nil {
		return fmt.Errorf("count the accounts of a person: %w", err)
	}
	if n >= mostAccounts {
		return fault.Field("account_name", "account.many", "You belong to many accounts already. Leave one first.")
	}
	return nil
}
