package twin

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/metering"
)

// Finish makes of what was copied a shop that can be lived in, in the copy's transaction.
func (m Making) Finish(ctx context.Context, tx *tenancy.Tx) error {
	for _, do := range []func(context.Context, *tenancy.Tx) error{m.servers, m.cards, m.prices, m.leave, m.chain, m.usage} {
		if err := do(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// usage has the twin tell what its original's customers used.
func (Making) usage(ctx context.Context, tx *tenancy.Tx) error { return metering.BeginReplay(ctx, tx) }

// servers are what the copied services are from now on.
func (m Making) servers(ctx context.Context, tx *tenancy.Tx) error {
	_, err := tx.NewRaw(`INSERT INTO sandbox_servers (ref, key, name, status, power, spec, changed_at)
		SELECT ref, ref, name, CASE WHEN observed = 'suspended' THEN 'suspended' ELSE 'active' END, CASE WHEN observed = 'suspended' OR power = 'off' THEN 'off' ELSE 'on' END, spec, changed_at
		FROM services WHERE ref <> '' AND observed <> 'gone'`).Exec(ctx)
	if err != nil {
		return fmt.Errorf("make the servers of a twin: %w", err)
	}
	return nil
}

// cards gives customers who paid by hand so far a card: nobody sits in a twin to pay.
func (m Making) cards(ctx context.Context, tx *tenancy.Tx) error {
	_, err := tx.NewRaw(`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at)
		SELECT md5('twin ' || a.id::text)::uuid, a.id, 'sandbox', a.id::text, ? || md5('twin ' || a.id::text)::uuid::text, 'card', 'Test card', 'active', ?, ?
		FROM accounts a WHERE EXISTS (SELECT FROM subscriptions s WHERE s.account_id = a.id AND s.state IN ('pending', 'trial', 'active', 'past_due', 'suspended'))
		AND NOT EXISTS (SELECT FROM payment_methods p WHERE p.account_id = a.id AND p.state <> 'removed')`,
		m.Cards.Choice()+"/", tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("give a twin's customers cards: %w", err)
	}
	_, err = tx.NewRaw(`UPDATE accounts a SET default_method_id = (SELECT p.id FROM payment_methods p WHERE p.account_id = a.id AND p.state <> 'removed' ORDER BY p.created_at DESC, p.id LIMIT 1)
		WHERE NOT EXISTS (SELECT FROM payment_methods p WHERE p.id = a.default_method_id AND p.state <> 'removed')
		AND EXISTS (SELECT FROM payment_methods p WHERE p.account_id = a.id AND p.state <> 'removed')`).Exec(ctx)
	if err != nil {
		return fmt.Errorf("give a twin's customers cards: %w", err)
	}
	return nil
}

// prices raises what is sold, and what runs where it is asked for: each item by itself,
// rounded half away from zero as billing does.
func (m Making) prices(ctx context.Context, tx *tenancy.Tx) error {
	if m.Raise == 0 {
		return nil
	}
	factor := fmt.Sprintf("(%d / 1000000.0)", 1_000_000+m.Raise)
	if _, err := tx.NewRaw("UPDATE prices SET amount_minor = round(amount_minor * " + factor + ")").Exec(ctx); err != nil {
		return fmt.Errorf("change a twin's prices: %w", err)
	}
	if err := m.meters(ctx, tx, factor); err != nil {
		return err
	}
	if !m.Running {
		return nil
	}
	_, err := tx.NewRaw(`UPDATE subscriptions s SET items = x.items, changed_at = ?,
			amount_minor = CASE WHEN x.was = s.amount_minor THEN x.becomes ELSE round(s.amount_minor * `+factor+`) END
		FROM (SELECT s.id, jsonb_agg(CASE WHEN jsonb_exists(i.value, 'amount_minor') THEN i.value || jsonb_build_object('amount_minor', round((i.value->>'amount_minor')::numeric * `+factor+`)::bigint) ELSE i.value END ORDER BY i.ordinality) AS items,
				sum((i.value->>'amount_minor')::bigint) AS was, sum(round((i.value->>'amount_minor')::numeric * `+factor+`)) AS becomes
			FROM subscriptions s, jsonb_array_elements(s.items) WITH ORDINALITY i GROUP BY s.id) x
		WHERE x.id = s.id AND s.state <> 'ended'`, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("change what runs in a twin: %w", err)
	}
	return nil
}

// meters raises what use costs, hours among it: for who buys from now on another meter takes the
// place of each, as when the shop changes it; where what runs is raised too, the meters themselves
// cost more, and what was sold by the hour says so.
func (m Making) meters(ctx context.Context, tx *tenancy.Tx, factor string) error {
	tiers := `(SELECT jsonb_agg(t.value || jsonb_build_object('prices', (SELECT jsonb_object_agg(p.key, p.value
			|| jsonb_build_object('unit', trim_scale(round((p.value->>'unit')::numeric * ` + factor + `, 8))::text)
			|| CASE WHEN jsonb_exists(p.value, 'flat') THEN jsonb_build_object('flat', round((p.value->>'flat')::numeric * ` + factor + `)::bigint) ELSE '{}' END
			|| CASE WHEN jsonb_exists(p.value, 'most') THEN jsonb_build_object('most', round((p.value->>'most')::numeric * ` + factor + `)::bigint) ELSE '{}' END)
		FROM jsonb_each(t.value->'prices') p)) ORDER BY t.ordinality) FROM jsonb_array_elements(m.tiers) WITH ORDINALITY t)`
	if !m.Running {
		_, err := tx.NewRaw(`WITH old AS (UPDATE meters SET retired_at = ?0 WHERE retired_at IS NULL RETURNING *)
			INSERT INTO meters (id, plan_id, code, name, unit, aggregation, attribute, step_minutes, feed, model, package, included, capped, tiers, position, created_at)
			SELECT md5('twin ' || m.id)::uuid, m.plan_id, m.code, m.name, m.unit, m.aggregation, m.attribute, m.step_minutes, m.feed, m.model, m.package, m.included, m.capped, `+tiers+`, m.position, ?0 FROM old m`, tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("change what use costs in a twin: %w", err)
		}
		return nil
	}
	if _, err := tx.NewRaw("UPDATE meters m SET tiers = " + tiers).Exec(ctx); err != nil {
		return fmt.Errorf("change what use costs in a twin: %w", err)
	}
	hour := func(of string) string { // a price of an hour, raised
		return `jsonb_build_object('rate', ` + of + `->'rate' || jsonb_build_object('Units', round((` + of + `->'rate'->>'Units')::numeric * ` + factor + `)::bigint),
			'most', ` + of + `->'most' || jsonb_build_object('Minor', round((` + of + `->'most'->>'Minor')::numeric * ` + factor + `)::bigint))`
	}
	_, err := tx.NewRaw(`UPDATE subscriptions s SET hours = (SELECT jsonb_agg(h.value || jsonb_build_object('parts', (SELECT jsonb_agg(p.value || jsonb_build_object('price', ` + hour("(p.value->'price')") + `) ORDER BY p.ordinality)
			FROM jsonb_array_elements(h.value->'parts') WITH ORDINALITY p)) ORDER BY h.ordinality) FROM jsonb_array_elements(s.hours) WITH ORDINALITY h), items = (SELECT jsonb_agg(CASE WHEN jsonb_exists(i.value, 'hour') THEN jsonb_set(i.value, '{hour}', i.value->'hour'
				|| jsonb_build_object('month_minor', round((i.value->'hour'->>'month_minor')::numeric * ` + factor + `)::bigint) || ` + hour("(i.value->'hour')") + `) ELSE i.value END ORDER BY i.ordinality)
			FROM jsonb_array_elements(s.items) WITH ORDINALITY i)
		WHERE s.cycle = 'hourly' AND s.state <> 'ended' AND s.items <> '[]'`).Exec(ctx)
	if err != nil {
		return fmt.Errorf("change what hours cost in a twin: %w", err)
	}
	return nil
}

// leave has some of the customers cancel whom a raise concerns, always the same ones for
// one seed.
func (m Making) leave(ctx context.Context, tx *tenancy.Tx) error {
	if m.Leave == 0 || m.Raise == 0 || !m.Running {
		return nil
	}
	_, err := tx.NewRaw(`UPDATE subscriptions SET cancel_at = period_to, cancel_reason = 'price', changed_at = ?
		WHERE state IN ('active', 'past_due', 'suspended') AND cancel_at IS NULL AND period_to IS NOT NULL
		AND ('x' || substr(md5(? || '/leave/' || id), 1, 8))::bit(32)::bigint % 1000000 < ?`, tx.Now(), fmt.Sprint(m.Cards.Seed), m.Leave).Exec(ctx)
	if err != nil {
		return fmt.Errorf("have customers of a twin leave: %w", err)
	}
	return nil
}

// chainPage is how many documents are held at once.
const chainPage = 500

// chain makes the chain of documents anew, for they have lost the customers' names: the
// twin's books are in order like its original's.
func (m Making) chain(ctx context.Context, tx *tenancy.Tx) error {
	if m.Names {
		return nil
	}
	var series []string
	if err := tx.NewRaw("SELECT DISTINCT series FROM invoices WHERE series IS NOT NULL AND hash IS NOT NULL ORDER BY series").Scan(ctx, &series); err != nil {
		return fmt.Errorf("read a twin's series: %w", err)
	}
	for _, code := range series {
		if err := chainOf(ctx, tx, code); err != nil {
			return fmt.Errorf("chain a twin's %s: %w", code, err)
		}
	}
	return nil
}

type link struct {
	ID       uuid.UUID `json:"id"`
	Sequence int64     `json:"-"`
	Document string    `json:"-"`
	First    []byte    `json:"-" bun:"prev_hash"`
	Prev     []byte    `json:"prev"`
	Hash     []byte    `json:"hash"`
}

func chainOf(ctx context.Context, tx *tenancy.Tx, series string) error {
	var prev []byte
	for after := int64(-1); ; {
		var page []link
		err := tx.NewRaw("SELECT id, sequence, document::text AS document, prev_hash FROM invoices WHERE series = ? AND hash IS NOT NULL AND sequence > ? ORDER BY sequence LIMIT ?", series, after, chainPage).Scan(ctx, &page)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			_, err := tx.NewRaw("UPDATE number_series SET last_hash = ? WHERE code = ?", prev, series).Exec(ctx)
			return err
		}
		if prev == nil {
			prev = page[0].First
		}
		for i := range page {
			l := &page[i]
			l.Prev = prev
			sum := sha256.Sum256(fmt.Appendf(append([]byte("ezscale invoice 1"), prev...), "%s %d %s", series, l.Sequence, l.Document))
			l.Hash = sum[:]
			prev, after = l.Hash, l.Sequence
		}
		rows, err := json.Marshal(page)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`UPDATE invoices i SET prev_hash = decode(r.prev, 'base64'), hash = decode(r.hash, 'base64')
			FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, prev text, hash text) WHERE i.id = r.id`, string(rows)).Exec(ctx)
		if err != nil {
			return err
		}
	}
}
