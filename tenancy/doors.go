package tenancy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Usage is something used that the platform will bill the reseller for.
type Usage struct {
	Key      string // natural key, unique in the tenant: service/<id>/start
	Subject  string // what it is about, so that starts and stops pair: service/<id>
	SKU      string
	Kind     string // start, change, stop or quantity
	Quantity int64
	At       time.Time
	Detail   map[string]any
}

// RecordUsage writes a usage event to the central ledger with the transaction. It
// reports false when the tenant already recorded one with this key.
func (tx *Tx) RecordUsage(ctx context.Context, u Usage) (bool, error) {
	detail, err := object(u.Detail)
	if err != nil {
		return false, fmt.Errorf("record usage %s: %w", u.Key, err)
	}
	var fresh bool
	err = tx.NewRaw("SELECT door.record_usage(?, ?, ?, ?, ?, ?, ?::jsonb)", u.Key, u.Subject, u.SKU, u.Kind, u.Quantity, u.At, detail).Scan(ctx, &fresh)
	if err != nil {
		return false, fmt.Errorf("record usage %s: %w", u.Key, err)
	}
	return fresh, nil
}

// ServiceShown is what the platform's staff see of a tenant's service.
type ServiceShown struct {
	ID         uuid.UUID  `json:"id"`
	SKU        string     `json:"sku"`
	Label      string     `json:"label"`
	PlatformID uuid.UUID  `json:"platform_id"`
	Region     string     `json:"region"`
	Ref        string     `json:"ref"`
	Desired    string     `json:"desired"`
	Observed   string     `json:"observed"`
	Problem    string     `json:"problem"`
	Address    string     `json:"address"`
	BeganAt    *time.Time `json:"began_at"`
	EndedAt    *time.Time `json:"ended_at"`
	ChangedAt  time.Time  `json:"changed_at"`
	Addons     any        `json:"addons"` // what it has of the price book besides: [{code, sku, n, from, to}]; nil: nothing ever
	Retail
}

// Retail is what a customer pays for a service, a cycle, as the shop prices it; a nil Minor
// is not known.
type Retail struct {
	Minor    *int64 `json:"retail_minor"`
	Currency string `json:"retail_currency"`
	Cycle    string `json:"retail_cycle"`
}

// ShowService keeps the central projection of a service; an older state never
// replaces a newer one.
func (tx *Tx) ShowService(ctx context.Context, s ServiceShown) error {
	row, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("show service %s: %w", s.ID, err)
	}
	if _, err := tx.NewRaw("SELECT door.show_service(?::jsonb)", string(row)).Exec(ctx); err != nil {
		return fmt.Errorf("show service %s: %w", s.ID, err)
	}
	return nil
}

// Revenue is money the tenant invoiced, credited, received or gave back, in minor units.
type Revenue struct {
	Key      string    `json:"key"`  // natural key, unique in the tenant: invoice/<id>
	Kind     string    `json:"kind"` // invoiced or credited (net), paid or refunded
	Currency string    `json:"currency"`
	Minor    int64     `json:"minor"`
	At       time.Time `json:"at"`
}

// RecordRevenue tells the platform of revenue, each once a key.
func (tx *Tx) RecordRevenue(ctx context.Context, all ...Revenue) error {
	if len(all) == 0 {
		return nil
	}
	rows, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("record revenue %s: %w", all[0].Key, err)
	}
	if _, err = tx.NewRaw("SELECT door.record_revenue(?::jsonb)", string(rows)).Exec(ctx); err != nil {
		return fmt.Errorf("record revenue %s and %d more: %w", all[0].Key, len(all)-1, err)
	}
	return nil
}

// TellCollected tells the platform, with the transaction, that something happened to a
// payment that it takes for the tenant, by the gateway's name for it.
func (tx *Tx) TellCollected(ctx context.Context, ref string) error {
	if _, err := tx.NewRaw("SELECT door.tell_collected(?, ?)", ref, tx.Now()).Exec(ctx); err != nil {
		return fmt.Errorf("tell of payment %s: %w", ref, err)
	}
	return nil
}

// SetFigure keeps a figure of the tenant for staff's overview; currency is empty for a count.
func (tx *Tx) SetFigure(ctx context.Context, name, currency string, value int64) error {
	if tx.twin {
		return nil // the door would keep nothing
	}
	if _, err := tx.NewRaw("SELECT door.set_figure(?, ?, ?, ?)", name, currency, value, tx.Now()).Exec(ctx); err != nil {
		return fmt.Errorf("set figure %s: %w", name, err)
	}
	return nil
}

// Alert is something the platform's staff should know of.
type Alert struct {
	Key    string // natural key, unique in the tenant
	Kind   string // order.large, payment.failed, service.failed
	Text   string // one line, at most 500 bytes
	Detail map[string]any
}

// RaiseAlert tells staff with the transaction. It reports false when it was told before.
func (tx *Tx) RaiseAlert(ctx context.Context, a Alert) (bool, error) {
	if tx.twin {
		return false, nil // the door would tell nobody
	}
	detail, err := object(a.Detail)
	if err != nil {
		return false, fmt.Errorf("raise alert %s: %w", a.Key, err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return false, fmt.Errorf("raise alert %s: %w", a.Key, err)
	}
	var fresh bool
	if err := tx.NewRaw("SELECT door.raise_alert(?, ?, ?, ?, ?::jsonb, ?)", id, a.Key, a.Kind, a.Text, detail, tx.Now()).Scan(ctx, &fresh); err != nil {
		return false, fmt.Errorf("raise alert %s: %w", a.Key, err)
	}
	return fresh, nil
}

// object is a map as a JSON object; nil is an empty one.
func object(m map[string]any) (string, error) {
	if m == nil {
		return "{}", nil
	}
	b, err := json.Marshal(m)
	return string(b), err
}
