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
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Extras are add-ons that are charged once and bought after the order: a change that leaves
// what is paid a cycle as it is, and has a line on one invoice.

// Buyable says why nothing that is charged once can be bought for a subscription now; nil:
// it can. Unlike a change it needs no cycle.
func (s Subscription) Buyable(now time.Time) error {
	if err := s.Changeable(now); err != nil && !fault.Is(err, "change.not_possible") {
		return err
	}
	return nil
}

// readBuying reads a subscription of which something is bought. Faults:
// subscription.not_found and those of Buyable.
func readBuying(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID, locked bool) (c changing, err error) {
	if c.s, err = quoted(ctx, tx, id, account, locked); err != nil {
		return c, err
	}
	if err := c.s.Buyable(tx.Now()); err != nil {
		return c, err
	}
	c.plan, err = catalog.ByID(ctx, tx, c.s.PlanID)
	return c, err
}

// buy is the quote of add-ons that are charged once.
func (c changing) buy(ctx context.Context, tx *tenancy.Tx, a ChangeAsk, at time.Time) (ChangeQuote, error) {
	s := c.s
	q := ChangeQuote{SubscriptionID: s.ID, AccountID: s.AccountID, At: at, Was: s.Label, Ask: a, Amount: s.Amount}
	q.Terms = Terms{PlanID: s.PlanID, Label: s.Label, Cycle: s.Cycle, AmountMinor: s.Amount.Minor, Items: s.Items, Picked: s.Picked}
	bought, err := catalog.Extras(c.plan, s.Amount.Currency, a.Buy)
	if err != nil {
		return q, err
	}
	q.Price = billing.Changed{Upgrade: true, Net: billing.Money{Currency: s.Amount.Currency}, Forfeited: billing.Money{Currency: s.Amount.Currency}, From: at, NextAt: s.Period.To, Amount: s.Amount}
	var parts []billing.Part
	for _, x := range bought {
		parts = append(parts, billing.Part{Kind: x.Kind, Code: x.Code, Label: s.Label + ": " + x.Label, Quantity: x.Quantity, Price: x.Amount})
	}
	if parts, err = s.codes().Once().Parts(parts); err != nil {
		return q, err
	}
	for i, x := range bought {
		part := parts[i]
		q.Price.Lines = append(q.Price.Lines, billing.ChangeLine{Part: part, Net: part.Price, Text: part.Label})
		if q.Price.Net, err = q.Price.Net.Add(part.Price); err != nil {
			return q, fault.Wrap(err, fault.Invalid, "change.too_much", "This comes to more than we can calculate.")
		}
		q.Bought = append(q.Bought, Item{Kind: x.Kind, Code: x.Code, Label: x.Label, Quantity: x.Quantity, AmountMinor: x.Amount.Minor})
	}
	if len(q.Bought) == 0 {
		return q, fault.New(fault.Conflict, "change.nothing", "Nothing would change. Please choose something else.")
	}
	return q, q.tax(ctx, tx)
}

// BoughtWords are what was bought, in a few words.
func BoughtWords(all []Item) string {
	words := make([]string, len(all))
	for i, it := range all {
		words[i] = it.Label
	}
	return strings.Join(words, ", ")
}

// appliedExtras ends the purchase of what is charged once: it is paid, and the team hears
// what it has to do.
func (d *Desk) appliedExtras(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	c := *s.Change
	s.Change = nil
	if err := d.close(ctx, tx, s); err != nil {
		return err
	}
	if err := put(ctx, tx, s, "changed/"+c.QuoteID.String(), activity.Event{
		Text: BoughtWords(c.Bought) + " was bought for " + s.Label + ".", CustomerSees: true, Programs: news(s, webhook.SubscriptionChanged),
	}); err != nil {
		return err
	}
	return TellExtras(ctx, tx, d.Mail, s, c.QuoteID.String(), BoughtWords(c.Bought))
}

// TellExtras writes to the team what was bought that is charged once, once a key: somebody
// has to do it.
func TellExtras(ctx context.Context, tx *tenancy.Tx, out Mailer, s Subscription, key, what string) error {
	var team []struct {
		ID          uuid.UUID
		Name, Email string
	}
	err := tx.NewRaw(`SELECT id, name, email FROM people WHERE world = 'reseller' AND role IN ('owner', 'admin', 'support') AND disabled_at IS NULL ORDER BY id LIMIT 20`).Scan(ctx, &team)
	if err != nil {
		return fmt.Errorf("find the team: %w", err)
	}
	link := "/manage/subscriptions/" + s.ID.String()
	for _, p := range team {
		err := out.Enqueue(ctx, tx, mail.Message{Key: "subscription/" + s.ID.String() + "/extras/" + key + "/" + p.ID.String(), Template: mail.AddonBought, To: p.Email,
			Data: map[string]string{"name": p.Name, "service": s.what(), "customer": s.AccountName, "what": what, "link": link}})
		if err != nil && !fault.Is(err, "mail.bad_address") {
			return fmt.Errorf("write %s: %w", mail.AddonBought, err)
		}
	}
	return nil
}
