package renewal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// EndNotice is how many days lie at least between the letter about the early end of an
// agreed price and the first period that costs what it did before.
const EndNotice = DefaultNotice

// Agree keeps a price agreed on with an account: for what it orders or changes to from then
// on, and where it is asked for, for the next periods of what it has of that plan already;
// those cost what they did when the price ends. Faults: account.not_found and
// agreed_price.invalid.
func (d *Desk) Agree(ctx context.Context, db *tenancy.DB, f agreed.Form, by audit.Origin) (p agreed.Price, err error) {
	zone := zone(db.Tenant().TimeZone)
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		to, err := account.ForInvoice(ctx, tx, f.AccountID)
		if err != nil {
			return err
		}
		plans, err := plansFor(ctx, tx, f.Plan)
		if err != nil {
			return err
		}
		if p, err = f.Read(plans, to.Currency, tx.Now(), zone); err != nil {
			return err
		}
		if err := agreed.Keep(ctx, tx, &p); err != nil {
			return err
		}
		if p.Running {
			if err := d.agreeRunning(ctx, tx, p, plans[0]); err != nil {
				return err
			}
		}
		if err := tellAgreed(ctx, tx, p, "agreed", "A price for "+p.Plan+" was agreed on.", by); err != nil {
			return err
		}
		if err := settle(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "agreed_price.added", audit.Target{Kind: "account", ID: p.AccountID.String()},
			map[string]any{"plan": p.Plan, "cycle": p.Cycle, "amount_minor": p.AmountMinor, "off_ppm": p.OffPpm, "from": p.From, "until": p.Until, "running": p.Running, "note": p.Note})
	})
	return p, err
}

func plansFor(ctx context.Context, tx *tenancy.Tx, id string) ([]catalog.FullPlan, error) {
	plan, err := uuid.Parse(id)
	if err != nil {
		return nil, nil // refused at its field
	}
	p, err := catalog.ByID(ctx, tx, plan)
	if fault.Is(err, "plan.not_found") {
		return nil, nil
	}
	return []catalog.FullPlan{p}, err
}

func tellAgreed(ctx context.Context, tx *tenancy.Tx, p agreed.Price, what, text string, by audit.Origin) error {
	return activity.Tell(ctx, tx, activity.Event{
		Key: "account/" + p.AccountID.String() + "/price_" + what + "/" + p.ID.String(), AccountID: p.AccountID, SubjectKind: activity.Account, SubjectID: p.AccountID,
		Kind: "account.price_" + what, Text: text, Actor: by.Actor.Name, CustomerSees: true,
	})
}

// theirsOf locks what an account has of a plan.
func theirsOf(ctx context.Context, tx *tenancy.Tx, p agreed.Price) ([]Subscription, error) {
	var ids []uuid.UUID
	err := tx.NewRaw("SELECT id FROM subscriptions WHERE account_id = ? AND plan_id = ? AND currency = ? AND anchor_at IS NOT NULL AND state IN ('active', 'past_due', 'suspended', 'paused')", p.AccountID, p.PlanID, p.Currency).Scan(ctx, &ids)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return lockAll(ctx, tx, ids)
}

// agreeRunning has the price wait for the next periods of what the account has, and what
// it costs now for those after.
func (d *Desk) agreeRunning(ctx context.Context, tx *tenancy.Tx, p agreed.Price, plan catalog.FullPlan) error {
	subs, err := theirsOf(ctx, tx, p)
	if err != nil {
		return err
	}
	var lines []string
	for _, s := range subs {
		if s.Cycle.Months() == 0 || !s.CancelAt.IsZero() || p.Cycle != "" && p.Cycle != s.Cycle {
			continue
		}
		r := Repricing{ID: p.ID, PlanID: s.PlanID, From: p.From}
		if next := s.Next().From; s.State != Paused && r.From.Before(next) {
			r.From = next
		}
		back := Repricing{ID: p.ID, PlanID: s.PlanID, From: p.Until, Back: true}
		for _, x := range plan.InCurrency(p.Currency) {
			if p.Cycle != "" && p.Cycle != x.Cycle {
				continue
			}
			if x.Hours != nil {
				if err := s.agreeHours(p, *x.Hours, &r, &back); err != nil {
					return err
				}
				continue
			}
			if p.Hour != nil {
				continue
			}
			own, err := p.Of(x.Amount)
			if err != nil {
				return fmt.Errorf("agreed price of subscription %s: %w", s.ID, err)
			}
			r.Prices = append(r.Prices, NewPrice{Kind: "plan", Cycle: x.Cycle, Minor: own.Minor})
			usual := x.Amount.Minor
			if x.Cycle == s.Cycle {
				usual = s.planMinor()
			}
			back.Prices = append(back.Prices, NewPrice{Kind: "plan", Cycle: x.Cycle, Minor: usual})
		}
		if now := s; !r.put(&now) {
			continue
		}
		s.Reprices = append(s.Reprices, r, back)
		s.RenewsAt = sooner(s.RenewsAt, s.foldAt(tx.Now()))
		if err := keepReprices(ctx, tx, s); err != nil {
			return err
		}
		text, _ := PriceChange{}.words(s, r, "en")
		lines = append(lines, "- "+s.what()+": "+text)
		if err := put(ctx, tx, s, "price_agreed/"+p.ID.String(), activity.Event{Text: s.Label + ": " + text, CustomerSees: true}); err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		return nil
	}
	until := ""
	if !p.Until.IsZero() {
		until = subs[0].date(p.Until.Add(-time.Second))
	}
	return d.letter(ctx, tx, subs[0], message{
		key: "agreed_price/" + p.ID.String(), template: mail.PriceAgreed,
		data: map[string]string{"subject": p.Plan, "list": strings.Join(lines, "\n"), "until": until, "link": "/client/subscriptions"},
	})
}

// agreeHours adds what an hour of the plan costs by an agreed price, and what it does when that
// ends.
func (s Subscription) agreeHours(p agreed.Price, usual billing.HourPrice, r, back *Repricing) error {
	if p.AmountMinor != nil {
		return nil
	}
	own, err := p.OfHour(usual)
	if err != nil {
		return fmt.Errorf("agreed price of subscription %s: %w", s.ID, err)
	}
	hour, before := HourOf(own), HourOf(usual)
	for _, it := range s.Items {
		if it.Kind == "plan" && s.Cycle == billing.Hourly && !it.Hour.Rate.IsZero() {
			before = it.Hour
		}
	}
	r.Prices = append(r.Prices, NewPrice{Kind: "plan", Cycle: billing.Hourly, Hour: &hour})
	back.Prices = append(back.Prices, NewPrice{Kind: "plan", Cycle: billing.Hourly, Hour: &before})
	return nil
}

// planMinor is what of a cycle is the plan's.
func (s Subscription) planMinor() int64 {
	for _, it := range s.Items {
		if it.Kind == "plan" {
			return it.AmountMinor
		}
	}
	return s.Amount.Minor
}

// Disagree ends an agreed price now: orders cost what the shop asks for. What pays it for
// running periods is told and costs what it did before from the first period that begins
// EndNotice days later. Faults: agreed_price.not_found, agreed_price.over.
func (d *Desk) Disagree(ctx context.Context, db *tenancy.DB, id, of uuid.UUID, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		p, err := agreed.Get(ctx, tx, id, of)
		if err != nil {
			return err
		}
		if err := agreed.End(ctx, tx, p); err != nil {
			return err
		}
		subs, err := theirsOf(ctx, tx, p)
		if err != nil {
			return err
		}
		var lines []string
		for _, s := range subs {
			line, err := disagreeRunning(ctx, tx, s, p)
			if err != nil {
				return err
			}
			if line != "" {
				lines = append(lines, line)
			}
		}
		if len(lines) > 0 {
			err := d.letter(ctx, tx, subs[0], message{key: endedLetter(p), template: mail.PriceChange,
				data: map[string]string{"subject": p.Plan, "list": strings.Join(lines, "\n"), "first": subs[0].date(tx.Now().Add(EndNotice * day)), "link": "/client/subscriptions"}})
			if err != nil {
				return err
			}
		}
		if err := tellAgreed(ctx, tx, p, "ended", "The price agreed on for "+p.Plan+" ended.", by); err != nil {
			return err
		}
		if err := settle(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "agreed_price.ended", audit.Target{Kind: "account", ID: of.String()}, map[string]any{"plan": p.Plan})
	})
}

func endedLetter(p agreed.Price) string { return "price_change/" + p.ID.String() + "/ended" }

// disagreeRunning takes what has not begun off a subscription, and announces what follows
// on the agreed price that it pays. It says so in a line of a letter; empty: it pays none.
func disagreeRunning(ctx context.Context, tx *tenancy.Tx, s Subscription, p agreed.Price) (line string, err error) {
	pays := false
	for _, it := range s.Items {
		pays = pays || it.PriceID == p.ID
	}
	var left []Repricing
	for _, r := range s.Reprices {
		switch {
		case r.ID != p.ID:
			left = append(left, r)
		case r.Back && pays:
			r.From, r.Told, r.Days, r.Letter = tx.Now(), tx.Now(), EndNotice, endedLetter(p)
			left = append(left, r)
			text, _ := PriceChange{}.words(s, r, "en")
			line = "- " + s.what() + ": " + text
		}
	}
	if len(left) == len(s.Reprices) && line == "" {
		return "", nil
	}
	s.Reprices = left
	s.RenewsAt = sooner(s.RenewsAt, s.foldAt(tx.Now()))
	return line, keepReprices(ctx, tx, s)
}
