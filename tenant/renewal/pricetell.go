package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// AgendaPrices is the kind of due work that tells of changes of prices and begins them.
const AgendaPrices = "prices"

// toldAtOnce is how many accounts one transaction tells.
const toldAtOnce = 50

// settlePrices says when changes of prices are to be looked at next.
func settlePrices(ctx context.Context, tx *tenancy.Tx) error {
	var at time.Time
	if err := tx.NewRaw("SELECT coalesce(min(due_at), ?) FROM price_changes WHERE due_at IS NOT NULL", time.Time{}).Scan(ctx, &at); err != nil {
		return fmt.Errorf("read which prices change next: %w", err)
	}
	return tx.SetAgenda(ctx, AgendaPrices, upcoming(at, tx.Now()))
}

// Prices does what is due of changes of prices: it writes to who is concerned, puts new
// prices on the shelf, and takes back what was cancelled. It may be interrupted anywhere
// and called again.
func (d *Desk) Prices(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	var due []uuid.UUID
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM price_changes WHERE due_at <= ? ORDER BY due_at, id", tx.Now()).Scan(ctx, &due)
	})
	if err != nil {
		return fmt.Errorf("look for prices that change: %w", err)
	}
	for _, id := range due {
		if err := d.reprice(ctx, db, id); err != nil {
			return fmt.Errorf("change of prices %s: %w", id, err)
		}
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error { return settlePrices(ctx, tx) })
}

func (d *Desk) reprice(ctx context.Context, db *tenancy.DB, id uuid.UUID) error {
	var c PriceChange
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		c, err = GetPrice(ctx, tx, id)
		return err
	})
	if err != nil {
		return err
	}
	if c.State == PriceCancelled {
		if err := d.each(ctx, db, c, d.untell); err != nil {
			return err
		}
		return db.Update(ctx, func(tx *tenancy.Tx) error { return c.done(ctx, tx, time.Time{}) })
	}
	if c.Running && c.AnnouncedAt.IsZero() {
		if err := d.each(ctx, db, c, d.tellPrice); err != nil {
			return err
		}
	}
	begun := false
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if c, err = priceChange(ctx, tx, "c.id = ? FOR UPDATE OF c", id); err != nil || c.State == PriceCancelled { // meanwhile
			return err
		}
		if c.Running && c.AnnouncedAt.IsZero() {
			if _, err := tx.NewRaw("UPDATE price_changes SET announced_at = ? WHERE id = ?", tx.Now(), id).Exec(ctx); err != nil {
				return fmt.Errorf("keep that prices are announced: %w", err)
			}
		}
		if begun = !tx.Now().Before(c.From); !begun {
			return c.done(ctx, tx, c.From)
		}
		return c.begin(ctx, tx)
	})
	if err != nil || !begun {
		return err
	}
	if c.Running { // who bought at the old price since it was announced
		if err := d.each(ctx, db, c, d.tellPrice); err != nil {
			return err
		}
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error { return c.done(ctx, tx, time.Time{}) })
}

// done says when a change is to be looked at next; zero: never. One that was cancelled
// meanwhile stays due.
func (c PriceChange) done(ctx context.Context, tx *tenancy.Tx, next time.Time) error {
	_, err := tx.NewRaw("UPDATE price_changes SET due_at = ? WHERE id = ? AND (state = 'cancelled') = ?", whenSet(next), c.ID, c.State == PriceCancelled).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep when prices are due: %w", err)
	}
	return nil
}

func whenSet(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// begin puts the new prices on the shelf, once. A price that is not sold any more is left
// out.
func (c PriceChange) begin(ctx context.Context, tx *tenancy.Tx) error {
	if c.State != PriceScheduled {
		return nil
	}
	if err := c.shelve(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE price_changes SET state = 'begun', begun_at = ? WHERE id = ?", tx.Now(), c.ID).Exec(ctx); err != nil {
		return fmt.Errorf("begin prices: %w", err)
	}
	return tx.TouchSite(ctx, "")
}

func (c PriceChange) shelve(ctx context.Context, tx *tenancy.Tx) error {
	if c.PlanID != uuid.Nil {
		hours := map[string]billing.HourPrice{}
		for _, x := range c.Cells {
			if x.Hour != nil {
				hours[x.Currency] = *x.Hour
				continue
			}
			if _, err := tx.NewRaw("UPDATE prices SET amount_minor = ? WHERE plan_id = ? AND currency = ? AND cycle = ?", x.Minor, c.PlanID, x.Currency, string(x.Cycle)).Exec(ctx); err != nil {
				return fmt.Errorf("put prices on the shelf: %w", err)
			}
		}
		if len(hours) > 0 {
			if err := catalog.PriceHours(ctx, tx, c.PlanID, hours); err != nil {
				return err
			}
		}
		if _, err := tx.NewRaw("UPDATE plans SET changed_at = ? WHERE id = ?", tx.Now(), c.PlanID).Exec(ctx); err != nil {
			return fmt.Errorf("put prices on the shelf: %w", err)
		}
		return nil
	}
	var raw []byte
	if err := tx.NewRaw("SELECT choices FROM options WHERE id = ? FOR UPDATE", c.OptionID).Scan(ctx, &raw); err != nil {
		return fmt.Errorf("read option %s: %w", c.OptionID, err)
	}
	var choices []catalog.Choice
	if err := json.Unmarshal(raw, &choices); err != nil {
		return fmt.Errorf("read option %s: %w", c.OptionID, err)
	}
	for _, x := range c.Cells {
		for i := range choices {
			if _, said := choices[i].Hour[x.Currency]; said && x.Hour != nil && choices[i].Code == x.Choice {
				choices[i].Hour[x.Currency] = x.Hour.Rate.Minor()
			}
			if _, sold := choices[i].Prices[x.Currency][x.Cycle]; sold && choices[i].Code == x.Choice {
				choices[i].Prices[x.Currency][x.Cycle] = x.Minor
			}
		}
	}
	raw, err := json.Marshal(choices)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE options SET choices = ?::jsonb, changed_at = ? WHERE id = ?", string(raw), tx.Now(), c.OptionID).Exec(ctx); err != nil {
		return fmt.Errorf("put prices on the shelf: %w", err)
	}
	return nil
}

// each works on the accounts a change concerns, some in one transaction, in the order of
// their ids.
func (d *Desk) each(ctx context.Context, db *tenancy.DB, c PriceChange, do func(context.Context, *tenancy.Tx, PriceChange, []Subscription) error) error {
	where, args := c.concerns()
	if c.State == PriceCancelled {
		where, args = "s.reprices @> ?::jsonb", []any{fmt.Sprintf(`[{"id": %q}]`, c.ID)}
	} else {
		where, args = where+" AND NOT coalesce(s.reprices @> ?::jsonb, false) AND NOT s.items @> ?::jsonb", append(args, fmt.Sprintf(`[{"id": %q}]`, c.ID), fmt.Sprintf(`[{"price_id": %q}]`, c.ID))
	}
	after := uuid.Nil
	for {
		var accounts []uuid.UUID
		err := db.Update(ctx, func(tx *tenancy.Tx) error {
			query := "SELECT DISTINCT s.account_id FROM subscriptions s WHERE " + where + " AND s.account_id > ? ORDER BY s.account_id LIMIT ?"
			if err := tx.NewRaw(query, append(append([]any{}, args...), after, toldAtOnce)...).Scan(ctx, &accounts); err != nil || len(accounts) == 0 {
				return err
			}
			var ids []uuid.UUID
			query = "SELECT s.id FROM subscriptions s WHERE " + where + " AND s.account_id > ? AND s.account_id <= ?"
			if err := tx.NewRaw(query, append(append([]any{}, args...), after, accounts[len(accounts)-1])...).Scan(ctx, &ids); err != nil {
				return err
			}
			subs, err := lockAll(ctx, tx, ids)
			if err != nil {
				return err
			}
			of := map[uuid.UUID][]Subscription{}
			for _, s := range subs {
				of[s.AccountID] = append(of[s.AccountID], s)
			}
			for _, a := range accounts {
				if err := do(ctx, tx, c, of[a]); err != nil {
					return fmt.Errorf("account %s: %w", a, err)
				}
			}
			return settle(ctx, tx)
		})
		if err != nil || len(accounts) < toldAtOnce {
			return err
		}
		after = accounts[len(accounts)-1]
	}
}

// tellPrice writes to one account, once for all of its subscriptions, and has the new
// price wait for their periods.
func (d *Desk) tellPrice(ctx context.Context, tx *tenancy.Tx, c PriceChange, subs []Subscription) error {
	agreed, err := agreedOf(ctx, tx, subs)
	if err != nil || len(subs) == 0 {
		return err
	}
	to, err := account.ForInvoice(ctx, tx, subs[0].AccountID)
	if err != nil {
		return err
	}
	letter := "price_change/" + c.ID.String() + "/" + subs[0].AccountID.String()
	if !c.AnnouncedAt.IsZero() { // of what was bought since
		letter += "/since"
	}
	var lines []string
	var first time.Time
	for _, s := range subs {
		r, keeps := c.reach(s, tx.Now(), agreed[s.ID])
		if keeps != "" {
			continue
		}
		if r.Deaf = to.Email == ""; !r.Deaf {
			r.Letter = letter
		}
		s.Reprices = append(s.Reprices, r)
		if s.Runs() {
			s.RenewsAt = sooner(s.RenewsAt, s.foldAt(tx.Now()))
		}
		if err := keepReprices(ctx, tx, s); err != nil {
			return err
		}
		if r.Deaf {
			continue
		}
		text, on := c.words(s, r, to.Locale)
		lines, first = append(lines, "- "+s.what()+": "+text), sooner(first, on)
		if err := put(ctx, tx, s, "price_announced/"+c.ID.String(), activity.Event{Text: s.Label + ": " + text, CustomerSees: true}); err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return d.letter(ctx, tx, subs[0], message{
		key: letter, template: mail.PriceChange,
		data: map[string]string{"subject": c.Subject, "list": strings.Join(lines, "\n"), "first": subs[0].date(first), "link": "/client/subscriptions"},
	})
}

// words say what a change means to a subscription, and from when.
func (c PriceChange) words(s Subscription, r Repricing, locale string) (string, time.Time) {
	x := s
	if s.State == Paused {
		x = s.continued(s.Pause.Until)
	}
	on := x.first(r)
	now := s
	r.put(&now)
	then := now.Amount.Format(locale)
	if _, hourly := s.Hour(); hourly {
		then = now.Paid(locale)
	}
	return s.Paid(locale) + " until then, " + then + " from " + s.date(on) + ", before tax.", on
}

// untell takes a change that was cancelled off an account's subscriptions, and writes to
// whom it was announced.
func (d *Desk) untell(ctx context.Context, tx *tenancy.Tx, c PriceChange, subs []Subscription) error {
	var lines []string
	for _, s := range subs {
		var left []Repricing
		for _, r := range s.Reprices {
			if r.ID != c.ID {
				left = append(left, r)
			} else if !r.Deaf {
				lines = append(lines, "- "+s.what()+": "+s.Paid("en")+", as before.")
			}
		}
		s.Reprices = left
		if err := keepReprices(ctx, tx, s); err != nil {
			return err
		}
		if err := tell(ctx, tx, s, "price_unannounced/"+c.ID.String(), "The new price of "+s.Label+" is not coming. It costs what it did.", true); err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return d.letter(ctx, tx, subs[0], message{
		key: "price_change/" + c.ID.String() + "/" + subs[0].AccountID.String() + "/cancelled", template: mail.PriceChangeCancelled,
		data: map[string]string{"subject": c.Subject, "list": strings.Join(lines, "\n"), "link": "/client/subscriptions"},
	})
}

// keepReprices writes the prices that wait for a subscription.
func keepReprices(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	var text *string
	if len(s.Reprices) > 0 {
		raw, err := json.Marshal(s.Reprices)
		if err != nil {
			return err
		}
		kept := string(raw)
		text = &kept
	}
	_, err := tx.NewRaw("UPDATE subscriptions SET reprices = ?::jsonb, renews_at = ?, changed_at = ? WHERE id = ?", text, whenSet(s.RenewsAt), tx.Now(), s.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep the prices of subscription %s: %w", s.ID, err)
	}
	return nil
}
