package payment

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// given is a mandate that is being given: what it is called, and when it was agreed to.
// Both stay the same when its form is sent again, so that the gateway makes it once.
type given struct {
	id uuid.UUID
	at time.Time
}

// giving notes that a mandate is given, or finds it noted, with the method where that is
// kept already.
func giving(ctx context.Context, tx *tenancy.Tx, r AgreeRequest) (g given, m Method, err error) {
	if g.id, err = uuid.NewV7(); err != nil {
		return g, m, err
	}
	if r.Form != "" { // which is drawn at random, so that nobody finds the number of the account by trying
		g.id = uuid.NewHash(sha256.New(), r.AccountID, []byte(strings.Join([]string{r.Gateway, r.Form, r.IBAN, r.Holder}, "\n")), 8)
	}
	if err := rememberSetup(ctx, tx, r.AccountID, g.id, r.Gateway, ""); err != nil {
		return g, m, err
	}
	var ref string
	if err := tx.NewRaw("SELECT created_at, ref FROM method_setups WHERE id = ?", g.id).Scan(ctx, &g.at, &ref); err != nil {
		return g, m, fmt.Errorf("read the giving of a mandate: %w", err)
	}
	if ref == "" {
		return g, m, nil
	}
	if m, err = g.kept(ctx, tx, r.AccountID); err != nil || m.ID != uuid.Nil {
		return g, m, err
	}
	r.Form = "" // it was taken away since: who sends the form again gives another one
	return giving(ctx, tx, r)
}

// kept is the method a mandate became; the zero Method when it became none, or when it was
// taken away since. Whoever else keeps it waits meanwhile.
func (g given) kept(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (m Method, err error) {
	var ref string
	if err := tx.NewRaw("SELECT ref FROM method_setups WHERE id = ? FOR UPDATE", g.id).Scan(ctx, &ref); err != nil {
		return m, fmt.Errorf("read the giving of a mandate: %w", err)
	}
	id, err := uuid.Parse(ref)
	if err != nil {
		return m, nil // none yet
	}
	m, _, err = oneMethod(ctx, tx, "m.id = ? AND m.account_id = ? AND m.state = 'active'", id, account)
	return m, err
}

// became notes the method that a mandate became.
func (g given) became(ctx context.Context, tx *tenancy.Tx, m Method) error {
	if _, err := tx.NewRaw("UPDATE method_setups SET ref = ? WHERE id = ?", m.ID.String(), g.id).Exec(ctx); err != nil {
		return fmt.Errorf("note what a mandate became: %w", err)
	}
	return nil
}
