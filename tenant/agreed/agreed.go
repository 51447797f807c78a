// Package agreed owns the prices agreed on with one customer: what an account pays for a
// plan instead of the shop's price, from one day until another. It owns the table
// agreed_prices. Who has the plan already is tenant/renewal's business.
package agreed

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Price is what one account pays for a plan: an amount a cycle, or a share off the shop's
// price.
type Price struct {
	ID          uuid.UUID
	AccountID   uuid.UUID
	PlanID      uuid.UUID
	Plan        string        // "Cloud VPS Small"
	Cycle       billing.Cycle // empty: any
	Currency    string
	AmountMinor *int64
	OffPpm      int64
	Hour        *catalog.HourPrice // what an hour costs; nil: it is an amount or a share
	From        time.Time
	Until       time.Time // zero: until it is ended
	Running     bool      // also for what the account has already
	Note        string
	CreatedAt   time.Time
}

// Counts reports whether it does at a time.
func (p Price) Counts(at time.Time) bool {
	return !at.Before(p.From) && (p.Until.IsZero() || at.Before(p.Until))
}

// Of is what is paid instead of a price of the plan.
func (p Price) Of(price billing.Money) (billing.Money, error) {
	if p.AmountMinor == nil {
		return billing.AgreedPrice{OffPpm: p.OffPpm}.Of(price)
	}
	amount := billing.Money{Minor: *p.AmountMinor, Currency: p.Currency}
	return billing.AgreedPrice{Amount: &amount}.Of(price)
}

// OfHour is what is paid instead of a price of an hour.
func (p Price) OfHour(h catalog.HourPrice) (catalog.HourPrice, error) {
	if p.Hour != nil {
		return *p.Hour, nil
	}
	return h.Less(p.OffPpm)
}

// Says is the price in words: "€7.00", "€0.018 an hour, at most €9.00 a month", "15 % off".
func (p Price) Says(locale string) string {
	switch {
	case p.Hour != nil:
		return p.Hour.Words(locale)
	case p.AmountMinor != nil:
		return billing.Money{Minor: *p.AmountMinor, Currency: p.Currency}.Format(locale)
	}
	return billing.Percent(p.OffPpm) + " off"
}

const columns = `SELECT coalesce(g.hour::text, '') AS hour_text, g.id, g.account_id, g.plan_id, p.name || ' ' || pl.name AS plan, coalesce(g.cycle, '') AS cycle, g.currency, g.amount_minor, coalesce(g.off_ppm, 0) AS off_ppm,
	g.from_at AS "from", g.until_at AS until, g.running, g.note, g.created_at FROM agreed_prices g JOIN plans pl ON pl.id = g.plan_id JOIN products p ON p.id = pl.product_id WHERE `

// Get is one of an account's. Fault: agreed_price.not_found.
func Get(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (p Price, err error) {
	all, err := read(ctx, tx, "g.id = ? AND g.account_id = ?", id, account)
	if err != nil {
		return p, fmt.Errorf("read an agreed price: %w", err)
	}
	if len(all) == 0 {
		return p, fault.New(fault.NotFound, "agreed_price.not_found", "There is no such agreed price.")
	}
	return all[0], nil
}

func read(ctx context.Context, tx *tenancy.Tx, where string, args ...any) ([]Price, error) {
	var rows []struct {
		Price
		HourText string
	}
	if err := tx.NewRaw(columns+where, args...).Scan(ctx, &rows); err != nil {
		return nil, err
	}
	all := make([]Price, len(rows))
	for i, r := range rows {
		if all[i] = r.Price; r.HourText == "" {
			continue
		}
		if err := json.Unmarshal([]byte(r.HourText), &all[i].Hour); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// List are an account's, the latest first, with those that are over.
func List(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (all []Price, err error) {
	if all, err = read(ctx, tx, "g.account_id = ? ORDER BY g.created_at DESC, g.id DESC LIMIT 200", account); err != nil {
		return nil, fmt.Errorf("read the agreed prices of account %s: %w", account, err)
	}
	return all, nil
}

// Apply puts an account's prices in place of those of plans. Of several that count the one
// for just that cycle stands before one for any, and the later before the earlier. The
// plans are changed where they are.
func Apply(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, plans []catalog.FullPlan) error {
	if account == uuid.Nil || len(plans) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(plans))
	for i, p := range plans {
		ids[i] = p.ID
	}
	all, err := read(ctx, tx, "g.account_id = ? AND g.plan_id IN (?) AND g.from_at <= ? AND (g.until_at IS NULL OR g.until_at > ?) ORDER BY g.cycle IS NULL, g.created_at DESC, g.id DESC",
		account, bun.List(ids), tx.Now(), tx.Now())
	if err != nil {
		return fmt.Errorf("read the agreed prices of account %s: %w", account, err)
	}
	return Put(plans, all, tx.Now())
}

// Column is SQL that reads all prices of the account an expression names as text, for
// whoever reads that account anyway; see Read.
func Column(account string) string {
	return `coalesce((SELECT jsonb_agg(jsonb_build_object('ID', g.id, 'PlanID', g.plan_id, 'Cycle', coalesce(g.cycle, ''), 'Currency', g.currency, 'AmountMinor', g.amount_minor,
		'OffPpm', coalesce(g.off_ppm, 0), 'Hour', g.hour, 'From', g.from_at, 'Until', coalesce(g.until_at, '0001-01-01 00:00:00+00')) ORDER BY g.cycle IS NULL, g.created_at DESC, g.id DESC)
		FROM agreed_prices g WHERE g.account_id = ` + account + `)::text, '')`
}

// Read is what Column read.
func Read(text string) (all []Price, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read agreed prices: %w", err)
	}
	return all, nil
}

// Put is Apply with prices that were read, those first that stand before others.
func Put(plans []catalog.FullPlan, all []Price, now time.Time) error {
	if len(all) == 0 {
		return nil
	}
	for i := range plans {
		plans[i].Prices = slices.Clone(plans[i].Prices)
		for j := range plans[i].Prices {
			x := &plans[i].Prices[j]
			k := slices.IndexFunc(all, func(p Price) bool {
				return p.Counts(now) && p.PlanID == plans[i].ID && p.Currency == x.Currency && (p.Cycle == "" || p.Cycle == x.Cycle)
			})
			if k < 0 {
				continue
			}
			if usual, hourly := plans[i].HourAt(*x); hourly {
				if err := putHour(x, usual, all[k]); err != nil {
					return err
				}
				continue
			}
			own, err := all[k].Of(billing.Money{Minor: x.Amount, Currency: x.Currency})
			if err != nil {
				return fmt.Errorf("agreed price %s: %w", all[k].ID, err)
			}
			x.Usual, x.Amount, x.AgreedID = x.Amount, own.Minor, all[k].ID
		}
	}
	return nil
}

// putHour is what an hour costs instead. Plans that were sold by the hour before that was a cycle
// cost what they say.
func putHour(x *catalog.FullPrice, usual catalog.HourPrice, p Price) (err error) {
	if x.Cycle != billing.Hourly {
		return nil
	}
	if x.Hour, err = p.OfHour(usual); err != nil {
		return fmt.Errorf("agreed price %s: %w", p.ID, err)
	}
	x.AgreedID = p.ID
	return nil
}

// Form is an agreed price as a form sends it.
type Form struct {
	AccountID uuid.UUID
	Plan      string // its id
	Cycle     string // empty: any, of a share
	Amount    string // typed; empty: by share; of the cycle hourly, of an hour
	Most      string // that a month of hours costs; empty: there is no most
	Percent   string // off the shop's price
	From      string // a day; empty: today
	Until     string // the last day; empty: none
	Running   bool
	Note      string
}

// Read checks a form for an account of a currency. Faults: agreed_price.invalid about its
// fields.
func (f Form) Read(plans []catalog.FullPlan, currency string, now time.Time, zone *time.Location) (p Price, err error) {
	wrong := map[string]string{}
	p = Price{AccountID: f.AccountID, Currency: currency, Cycle: billing.Cycle(f.Cycle), From: now.UTC(), Running: f.Running, Note: strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(f.Note, ""), "\x00", "")), " ")}
	if len([]rune(p.Note)) > 200 {
		wrong["note"] = "Please use at most 200 characters."
	}
	i := slices.IndexFunc(plans, func(x catalog.FullPlan) bool { return x.ID.String() == f.Plan })
	if i < 0 {
		wrong["plan"] = "Please choose a plan."
	} else {
		p.PlanID, p.Plan = plans[i].ID, plans[i].ProductName+" "+plans[i].Name
		if _, sold := plans[i].Price(currency, p.Cycle); p.Cycle != "" && !sold {
			wrong["cycle"] = "This plan is not sold so in " + currency + "."
		} else if x, _ := plans[i].Listed(currency, p.Cycle); p.Cycle == billing.Hourly && x.Cycle != billing.Hourly {
			wrong["cycle"] = "This plan is sold by the hour as before that was a cycle. Save the plan once, and then agree on its hours."
		}
	}
	f.price(&p, wrong)
	f.days(&p, wrong, now, zone)
	return p, fault.Fields("agreed_price.invalid", wrong)
}

func (f Form) price(p *Price, wrong map[string]string) {
	amount, percent := strings.TrimSpace(f.Amount), strings.TrimSpace(f.Percent)
	if strings.TrimSpace(f.Most) != "" && (p.Cycle != billing.Hourly || amount == "") {
		wrong["most"] = "Only a price of an hour has a most: choose by the hour and enter what an hour costs. A share is taken off the most of the plan, too."
	}
	switch {
	case (amount == "") == (percent == ""):
		wrong["amount"] = "Please enter an amount, or a percentage, and not both."
	case amount != "" && p.Cycle == billing.Hourly:
		h, field, words := catalog.ReadHour(amount, f.Most, p.Currency)
		if field != "" {
			wrong[field] = words
		}
		p.Hour = &h
	case amount != "":
		m, err := billing.Parse(amount, p.Currency)
		if err != nil || m.Minor < 0 || m.Minor > catalog.MaxPrice {
			wrong["amount"] = "Please enter an amount such as 12.50."
		}
		if p.Cycle == "" {
			wrong["cycle"] = "Please choose for which period the amount is."
		}
		p.AmountMinor = &m.Minor
	default:
		share, err := strconv.ParseFloat(strings.ReplaceAll(percent, ",", "."), 64)
		if p.OffPpm = int64(share*10_000 + 0.5); err != nil || !(share >= 0.01 && share <= 100) {
			wrong["percent"] = "Please enter a percentage from 0.01 to 100."
			p.OffPpm = 0
		}
	}
}

func (f Form) days(p *Price, wrong map[string]string, now time.Time, zone *time.Location) {
	if from := strings.TrimSpace(f.From); from != "" {
		day, err := time.ParseInLocation(time.DateOnly, from, zone)
		switch {
		case err != nil || day.Year() > now.Year()+10:
			wrong["from"] = "Please enter a day."
		case day.After(now):
			p.From = day.UTC()
		case day.AddDate(0, 0, 1).Before(now):
			wrong["from"] = "Please enter today or a day to come: what was invoiced stays as it is."
		}
	}
	if until := strings.TrimSpace(f.Until); until != "" {
		day, err := time.ParseInLocation(time.DateOnly, until, zone)
		if p.Until = day.AddDate(0, 0, 1).UTC(); err != nil || !p.Until.After(p.From) || day.Year() > now.Year()+50 {
			wrong["until"] = "Please enter a day after the first."
		}
	}
}

// Keep writes a new one.
func Keep(ctx context.Context, tx *tenancy.Tx, p *Price) (err error) {
	if p.ID, err = uuid.NewV7(); err != nil {
		return err
	}
	p.CreatedAt = tx.Now()
	var hour *string
	if p.Hour != nil {
		raw, err := json.Marshal(p.Hour)
		if err != nil {
			return err
		}
		text := string(raw)
		hour = &text
	}
	_, err = tx.NewRaw(`INSERT INTO agreed_prices (id, account_id, plan_id, cycle, currency, amount_minor, off_ppm, hour, from_at, until_at, running, note, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?, ?, ?, ?)`,
		p.ID, p.AccountID, p.PlanID, bun.NullZero(string(p.Cycle)), p.Currency, p.AmountMinor, bun.NullZero(p.OffPpm), hour, p.From, bun.NullZero(p.Until), p.Running, p.Note, p.CreatedAt).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep an agreed price: %w", err)
	}
	return nil
}

// End has one count no longer. Fault: agreed_price.over.
func End(ctx context.Context, tx *tenancy.Tx, p Price) error {
	if !p.Until.IsZero() && !p.Until.After(tx.Now()) {
		return fault.New(fault.Conflict, "agreed_price.over", "This agreed price is over.")
	}
	_, err := tx.NewRaw("UPDATE agreed_prices SET until_at = ? WHERE id = ?", tx.Now(), p.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("end an agreed price: %w", err)
	}
	return nil
}
