// Package alerts tells staff of what they should know: it keeps what was raised, shows it
// at the console, and carries it to the channels staff set up, mail and Discord. It owns
// the tables alerts, alert_channels and alert_deliveries. What is worth an alert is
// decided where it happens.
package alerts

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Kind is one kind of alerts and what people call it.
type Kind struct{ Value, Label string }

// Kinds are those a channel can choose among. An alert may be of another kind: channels
// for all kinds carry it too.
func Kinds() []Kind {
	return []Kind{
		{"reseller.new", "A new reseller"},
		{"reseller.arrears", "A reseller does not pay"},
		{"order.large", "An order above the sum that is set"},
		{"order.paid_late", "An order was paid after it had ended"},
		{"payment.failed", "A payment failed"},
		{"wholesale.limit", "A reseller comes near its credit limit"},
		{"wholesale.full", "An order was refused: a reseller's tier gives no service more"},
		{"wholesale.balance", "A reseller's prepaid balance comes to its end"},
		{"gateway.disconnected", "A connected account was disconnected"},
		{"connect.endpoint", "Stripe does not tell of connected accounts as it should"},
		{"payment.refunded_there", "A refund was made at the payment service's own pages"},
		{"payment.disputed", "A payment is disputed at a bank"},
		{"renewal.failed", "A subscription could not be renewed"},
		{"collection.failed", "An invoice could not be collected"},
		{"invoice.question", "A reseller asks about an invoice"},
		{"service.failed", "A service could not be delivered"},
		{"service.slow", "A service takes longer than usual"},
		{"platform.down", "A platform does not answer"},
		{"platform.up", "A platform answers again"},
		{"platform.drift", "A platform differs from what is billed"},
		{"wholesale.refunded", "A reseller's payment was given back"},
		{"payout.account_changed", "A reseller changed where it is paid out to"},
		{"balance.negative", "A reseller's balance is less than nothing"},
		{"collected.not_booked", "A payment taken for a reseller is on no balance"},
		{"wholesale.disputed", "A reseller's payment is disputed at a bank"},
		{"wholesale.run_failed", "A month could not be billed"},
		{"wholesale.no_rate", "Invoices do not state their tax in the currency of our country"},
		{"invoice.question", "A reseller questions a line of its invoice"},
		{"gateway.refused", "The gateway refuses the platform's keys"},
		{"channel.gone", "A channel of alerts is gone"},
	}
}

// Alert is what is raised.
type Alert struct {
	Key    string     // natural key: of two with one key the second is not raised
	Tenant tenancy.ID // the zero ID: the platform's own
	Kind   string
	Text   string // one sentence
	Detail map[string]string
}

// Raise tells staff with the transaction. It answers false when the key was raised before.
// A tenant's transaction raises by its own door: tenancy.Tx.RaiseAlert.
func Raise(ctx context.Context, tx *tenancy.CentralTx, a Alert) (bool, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return false, err
	}
	detail, err := json.Marshal(a.Detail)
	if err != nil {
		return false, fmt.Errorf("raise %s: %w", a.Key, err)
	}
	var tenant any
	if !a.Tenant.IsZero() {
		tenant = a.Tenant
	}
	res, err := tx.NewRaw(`INSERT INTO alerts (id, key, tenant_id, kind, text, detail, at) VALUES (?, ?, ?, ?, ?, ?::jsonb, ?) ON CONFLICT (key) DO NOTHING`,
		id, a.Key, tenant, a.Kind, cut(a.Text, 500), string(detail), tx.Now()).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("raise %s: %w", a.Key, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// Listed is an alert as the console shows it.
type Listed struct {
	ID     uuid.UUID
	Tenant *tenancy.ID `bun:"tenant_id"`
	Who    string      // the tenant's name
	Kind   string
	Text   string
	Facts  string // the detail, as Postgres keeps it
	At     time.Time
	SeenAt time.Time
	SeenBy string
	Told   int // channels that carried it
	Failed int // and that could not
}

// Pairs are the detail as people read it, by name.
func (l Listed) Pairs() []Pair {
	m := map[string]any{}
	if json.Unmarshal([]byte(l.Facts), &m) != nil {
		return nil
	}
	var all []Pair
	for _, k := range sortedKeys(m) {
		if s := strings.TrimSpace(fmt.Sprint(m[k])); s != "" && !strings.HasSuffix(k, "_id") {
			all = append(all, Pair{strings.ReplaceAll(k, "_", " "), cut(s, 200)})
		}
	}
	return all
}

// Pair is one fact of an alert.
type Pair struct{ Name, Value string }

// Filter says which alerts.
type Filter struct {
	Unseen bool
	Limit  int
	Before time.Time // older ones than this; zero: from the newest
}

// List returns alerts, the newest first, and how many nobody has seen.
func (d *Desk) List(ctx context.Context, f Filter) (all []Listed, unseen int, err error) {
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 50
	}
	if f.Before.IsZero() {
		f.Before = d.Central.Now().AddDate(100, 0, 0)
	}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		if err := tx.NewRaw("SELECT count(*) FROM alerts WHERE seen_at IS NULL").Scan(ctx, &unseen); err != nil {
			return err
		}
		return tx.NewRaw(`SELECT a.id, a.tenant_id, coalesce(t.name, '') AS who, a.kind, a.text, a.detail::text AS facts, a.at, a.seen_at, a.seen_by,
				(SELECT count(*) FROM alert_deliveries x WHERE x.alert_id = a.id AND x.state = 'sent') AS told,
				(SELECT count(*) FROM alert_deliveries x WHERE x.alert_id = a.id AND x.state = 'given_up') AS failed
			FROM alerts a LEFT JOIN tenants t ON t.id = a.tenant_id
			WHERE a.at < ? AND (NOT ? OR a.seen_at IS NULL) ORDER BY a.at DESC, a.id LIMIT ?`, f.Before, f.Unseen, f.Limit).Scan(ctx, &all)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list alerts: %w", err)
	}
	return all, unseen, nil
}

// See notes that somebody has seen every alert raised up to a moment.
func (d *Desk) See(ctx context.Context, upTo time.Time, by string) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE alerts SET seen_at = ?, seen_by = ? WHERE seen_at IS NULL AND at <= ?", tx.Now(), by, upTo).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("see alerts: %w", err)
	}
	return nil
}

// cut is s with at most n letters.
func cut(s string, n int) string {
	r := []rune(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", ""))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
