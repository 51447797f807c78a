// Package exchange owns the rates of exchange a shop states its tax by: those it enters with
// their days, and the daily ones it has fetched. It does not own what a rate is used for
// (tenant/invoicing) nor how a source is asked (exchange/ecb).
package exchange

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Name is the shop setting that holds the rates, and Agenda the kind of due work that fetches
// them.
const (
	Name   = "exchange"
	Agenda = "exchange"
)

// Kept is what a shop has.
type Kept struct {
	Daily   bool                   `json:"daily"` // fetch the daily rates
	Own     []billing.ExchangeRate `json:"own"`   // entered by hand, the newest first
	Fetched []billing.ExchangeRate `json:"fetched"`
	AskedAt time.Time              `json:"asked_at"`
	Problem string                 `json:"problem"` // of the last time they were asked for; empty: none
}

// All are the rates that may be used.
func (k Kept) All() []billing.ExchangeRate { return slices.Concat(k.Own, k.Fetched) }

// Of reads them.
func Of(ctx context.Context, tx *tenancy.Tx) (k Kept, err error) {
	_, err = settings.Named(ctx, tx, Name, &k)
	return k, err
}

// Read reads the setting's text.
func Read(text string) (k Kept, err error) {
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return k, fmt.Errorf("read setting %s: %w", Name, err)
	}
	return k, nil
}

// locked is Of, kept from others who change them.
func locked(ctx context.Context, tx *tenancy.Tx) (Kept, error) {
	if _, err := tx.NewRaw("SELECT FROM shop_settings WHERE name = ? FOR UPDATE", Name).Exec(ctx); err != nil {
		return Kept{}, fmt.Errorf("lock the rates of exchange: %w", err)
	}
	return Of(ctx, tx)
}

// Source tells the latest daily rates. An error is no answer: it is asked again.
type Source interface {
	Latest(ctx context.Context) ([]billing.ExchangeRate, error)
}

// Desk looks after a shop's rates. It is safe for concurrent use.
type Desk struct {
	Daily Source // nil: rates are entered by hand alone
}

// When rates are asked for again: after an answer the next day's, after none an hour later. The
// bank publishes at four in the afternoon of Frankfurt, on working days.
const (
	again = time.Hour
	hour  = 15
	late  = 30
)

func next(now time.Time) time.Time {
	at := time.Date(now.Year(), now.Month(), now.Day(), hour, late, 0, 0, time.UTC)
	if !at.After(now.UTC()) {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// Tick fetches the daily rates and sets the agenda to the next time. What was known stays when
// there is no answer, and no invoice waits for one.
func (d *Desk) Tick(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	var k Kept
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		k, err = Of(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if !k.Daily || d.Daily == nil || db.Tenant().Sandbox { // a sandbox asks nobody outside
		return db.Update(ctx, func(tx *tenancy.Tx) error { return tx.SetAgenda(ctx, Agenda, time.Time{}) })
	}
	rates, asked := d.Daily.Latest(ctx)
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		k, err := locked(ctx, tx)
		if err != nil {
			return err
		}
		if !k.Daily { // switched off while the source was asked
			return tx.SetAgenda(ctx, Agenda, time.Time{})
		}
		k.AskedAt, k.Problem = tx.Now().UTC(), ""
		at := next(tx.Now())
		if asked != nil || len(rates) == 0 {
			k.Problem, at = "The daily rates could not be fetched. They are asked for again every hour.", tx.Now().Add(again)
		} else {
			k.Fetched = rates
		}
		if err := settings.Put(ctx, tx, Name, k); err != nil {
			return err
		}
		return tx.SetAgenda(ctx, Agenda, at)
	})
}

// SetDaily has the daily rates fetched from now on, or no more.
func SetDaily(ctx context.Context, db *tenancy.DB, on bool, by audit.Origin) error {
	return change(ctx, db, by, "exchange.daily", map[string]any{"daily": on}, func(tx *tenancy.Tx, k *Kept) error {
		if k.Daily = on; !on {
			k.Fetched, k.Problem = nil, ""
			return tx.SetAgenda(ctx, Agenda, time.Time{})
		}
		return tx.SetAgenda(ctx, Agenda, tx.Now())
	})
}

// maxOwn is how many rates entered by hand are kept; the oldest go first.
const maxOwn = 500

// Enter keeps a rate for a day; another of that day takes its place. The fault exchange.invalid
// is about fields.
func Enter(ctx context.Context, db *tenancy.DB, r billing.ExchangeRate, by audit.Origin) error {
	wrong := map[string]string{}
	r.Value = strings.TrimSpace(r.Value)
	if _, err := r.Check(); err != nil {
		wrong["value"] = "Enter a number such as 11.2345."
	}
	for field, code := range map[string]string{"rate_from": r.From, "rate_into": r.Into} {
		if _, err := billing.Digits(code); err != nil {
			wrong[field] = "Choose a currency."
		}
	}
	if r.From == r.Into {
		wrong["rate_from"] = "Choose another currency than the one it is worth so much in."
	}
	now := db.Now().UTC()
	if r.Day.Year() < 2000 || r.Day.After(now) {
		wrong["rate_day"] = "Choose a day up to today."
	}
	if err := fault.Fields("exchange.invalid", wrong); err != nil {
		return err
	}
	r.Source = "rate of the seller's own table"
	return change(ctx, db, by, "exchange.entered", map[string]any{"from": r.From, "into": r.Into, "value": r.Value, "day": r.Day.Format(time.DateOnly)}, func(_ *tenancy.Tx, k *Kept) error {
		k.Own = slices.DeleteFunc(k.Own, func(o billing.ExchangeRate) bool { return o.From == r.From && o.Into == r.Into && o.Day.Equal(r.Day) })
		k.Own = append(k.Own, r)
		slices.SortStableFunc(k.Own, func(x, y billing.ExchangeRate) int { return y.Day.Compare(x.Day) })
		k.Own = k.Own[:min(len(k.Own), maxOwn)]
		return nil
	})
}

// Remove takes a rate out that was entered by hand. What was issued does not change.
func Remove(ctx context.Context, db *tenancy.DB, from, into string, day time.Time, by audit.Origin) error {
	return change(ctx, db, by, "exchange.removed", map[string]any{"from": from, "into": into, "day": day.Format(time.DateOnly)}, func(_ *tenancy.Tx, k *Kept) error {
		n := len(k.Own)
		if k.Own = slices.DeleteFunc(k.Own, func(o billing.ExchangeRate) bool { return o.From == from && o.Into == into && o.Day.Equal(day) }); len(k.Own) == n {
			return fault.New(fault.NotFound, "exchange.unknown", "There is no such rate.")
		}
		return nil
	})
}

func change(ctx context.Context, db *tenancy.DB, by audit.Origin, action string, detail map[string]any, do func(*tenancy.Tx, *Kept) error) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		k, err := locked(ctx, tx)
		if err != nil {
			return err
		}
		if err := do(tx, &k); err != nil {
			return err
		}
		if err := settings.Put(ctx, tx, Name, k); err != nil {
			return err
		}
		return by.Record(ctx, tx, action, audit.Target{Kind: "settings", ID: Name}, detail)
	})
}

// Shared asks a source for many shops: an answer is good for half an hour. It is safe for
// concurrent use.
type Shared struct {
	Source Source
	Clock  tenancy.Clock

	mu    sync.Mutex
	at    time.Time
	rates []billing.ExchangeRate
}

// Latest is the source's answer, or one it gave a short while ago.
func (s *Shared) Latest(ctx context.Context) ([]billing.ExchangeRate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Clock()
	if len(s.rates) > 0 && now.Sub(s.at) < again/2 && !now.Before(s.at) {
		return s.rates, nil
	}
	rates, err := s.Source.Latest(ctx)
	if err != nil {
		return nil, err
	}
	s.rates, s.at = rates, now
	return rates, nil
}
