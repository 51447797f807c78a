package demo

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// shelf writes the products, their plans and prices once. The catalog has no door for
// writing yet, so the seed speaks SQL here, and here alone.
func (s *seeder) shelf(ctx context.Context, db *tenancy.DB, b business) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		var n int
		if err := tx.NewRaw("SELECT count(*) FROM products").Scan(ctx, &n); err != nil || n > 0 {
			return err
		}
		for i, p := range b.products {
			if err := addProduct(ctx, tx, i, p); err != nil {
				return err
			}
		}
		return tx.TouchSite(ctx, "")
	})
}

func addProduct(ctx context.Context, tx *tenancy.Tx, position int, p product) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?, 'public', ?, ?)`, id, p.slug, p.kind, p.name, p.summary, position, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	for i, pl := range p.plans {
		if err := addPlan(ctx, tx, id, i, pl); err != nil {
			return err
		}
	}
	return nil
}

func addPlan(ctx context.Context, tx *tenancy.Tx, product uuid.UUID, position int, p plan) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	type fact struct {
		Label string `json:"label"`
		Value string `json:"value"`
	}
	facts := []fact{}
	for _, f := range p.facts {
		facts = append(facts, fact{f[0], f[1]})
	}
	raw, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?::jsonb, ?, ?, 'public', ?, ?)`,
		id, product, p.slug, p.name, p.summary, string(raw), p.recommended, position, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	for _, price := range p.prices {
		for cycle, months := range map[string]int64{"monthly": 1, "annual": 10} { // a year costs ten months
			_, err := tx.NewRaw("INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, ?, ?, ?, ?)",
				id, price.currency, cycle, price.monthly*months, price.setup).Exec(ctx)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// addAccount gives a customer the account they own.
func addAccount(ctx context.Context, tx *tenancy.Tx, p identity.Person, c person, b business) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.NewRaw("INSERT INTO accounts (id, name, currency, time_zone, created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?)",
		id, c.name, b.currency, b.timeZone, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", id, p.ID, tx.Now()).Exec(ctx)
	return err
}
