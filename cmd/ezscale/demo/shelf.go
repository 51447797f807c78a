package demo

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

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
	if p.kind == "vps" {
		if err := addOptions(ctx, tx, id, p.plans[0].prices); err != nil {
			return err
		}
	}
	for i, pl := range p.plans {
		if err := addPlan(ctx, tx, id, i, pl); err != nil {
			return err
		}
	}
	return nil
}

// addOptions lets customers of servers choose backups and more addresses.
func addOptions(ctx context.Context, tx *tenancy.Tx, product uuid.UUID, prices []price) error {
	each := func(minor int64) map[string]map[string]int64 {
		by := map[string]map[string]int64{}
		for _, p := range prices {
			by[p.currency] = map[string]int64{"monthly": minor}
		}
		return by
	}
	type choice struct {
		Code   string                      `json:"code"`
		Label  string                      `json:"label"`
		Amount int                         `json:"amount"`
		Prices map[string]map[string]int64 `json:"prices,omitempty"`
	}
	for i, o := range []struct {
		code, label, help, kind, resource string
		maximum                           int
		choices                           []choice
	}{
		{"backups", "Backups", "Taken every night, restored with one click.", "choice", "backups", 0, []choice{{"none", "None", 0, nil}, {"week", "Seven days", 7, each(150)}, {"fortnight", "Fourteen days", 14, each(250)}}},
		{"ipv4", "More IPv4 addresses", "One is included.", "quantity", "ipv4", 4, []choice{{"address", "Address", 1, each(200)}}},
	} {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		choices, err := json.Marshal(o.choices)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO options (id, product_id, code, label, help, kind, resource, minimum, maximum, step, choices, position, visibility, created_at, changed_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, 1, ?::jsonb, ?, 'public', ?, ?)`, id, product, o.code, o.label, o.help, o.kind, o.resource, o.maximum, string(choices), i, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
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
	delivery := ""
	if p.sku == "" {
		delivery = `{"by_hand": true}`
	}
	_, err = tx.NewRaw(`INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, sku, delivery, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?::jsonb, ?, ?, 'public', ?, ?::jsonb, ?, ?)`,
		id, product, p.slug, p.name, p.summary, string(raw), p.recommended, position, bun.NullZero(p.sku), bun.NullZero(delivery), tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	for _, price := range p.prices {
		for cycle, months := range map[string]int64{"monthly": 1, "quarterly": 3, "annual": 10} { // a year costs ten months
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
func addAccount(ctx context.Context, tx *tenancy.Tx, p identity.Person, b business) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	country := map[string]string{"EUR": "FR", "USD": "US", "GBP": "GB"}[b.currency]
	billing, err := json.Marshal(map[string]string{"name": p.Name, "line1": "1 Demo Street", "postcode": "10000", "city": "Demo", "country": country, "email": p.Email})
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO accounts (id, name, currency, time_zone, kind, country, billing, created_at, changed_at)
		VALUES (?, ?, ?, ?, 'person', ?, ?::jsonb, ?, ?)`, id, p.Name, b.currency, b.timeZone, country, string(billing), tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", id, p.ID, tx.Now()).Exec(ctx)
	return err
}
