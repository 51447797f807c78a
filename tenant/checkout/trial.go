package checkout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/likeness"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// Trial is how a thing begins that is tried first: nothing of it is due today.
type Trial struct {
	ProductID uuid.UUID `json:"product_id"` // of which each customer has one trial
	Days      int       `json:"days"`
	Card      bool      `json:"card,omitempty"`   // one has to be saved first
	Longer    int       `json:"longer,omitempty"` // of the days, those a code has added
}

// Until is when something is due that is ordered now.
func (t Trial) Until(now time.Time, zone *time.Location) time.Time {
	return billing.BeginTrial(now, t.Days, zone).Until
}

var (
	errTrialUsed       = fault.New(fault.Conflict, "checkout.trial_used", "You have had a trial of this already. Please look at the price and order again.")
	errTrialCard       = fault.New(fault.Conflict, "checkout.card_needed", "This trial begins when a card is saved. Nothing is charged before it is over.")
	errTrialUnverified = fault.New(fault.Conflict, "checkout.unverified", "A trial needs an address that is confirmed. Please open the link in our mail, or have another one sent on your profile.")
)

// mark names somebody who has a trial of a product, in one of the ways we know them.
type mark struct {
	Mark string `json:"mark"`
}

// marksOf are all ways in which an account is known: itself, the mailboxes of its people
// and what it ever paid with.
func marksOf(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) ([]mark, error) {
	var rows []struct{ Kind, Value string }
	err := tx.NewRaw(`SELECT 'mail' AS kind, p.email AS value FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.account_id = ?0
		UNION SELECT 'mail', a.billing->>'email' FROM accounts a WHERE a.id = ?0 AND a.billing->>'email' <> ''
		UNION SELECT 'card:' || gateway, fingerprint FROM payment_methods WHERE account_id = ?0 AND fingerprint <> '' LIMIT 500`, account).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read how an account is known: %w", err)
	}
	marks := []mark{{"account:" + account.String()}}
	for _, r := range rows {
		if r.Kind != "mail" {
			marks = append(marks, mark{r.Kind + ":" + r.Value})
		} else if box := likeness.Mailbox(r.Value); box != "" {
			marks = append(marks, mark{"mail:" + likeness.Hash(box)})
		}
	}
	return marks, nil
}

// try begins the things of a quote with a trial whose plans have one and whose buyer has
// had none; of one product only the first.
func (q *Quote) try(ctx context.Context, tx *tenancy.Tx, plans []catalog.FullPlan) error {
	var products []uuid.UUID
	seen := map[uuid.UUID]bool{}
	for i := range q.Items {
		x := &q.Items[i]
		p, _ := catalog.Find(plans, x.Picked.Path())
		if t := trialOf(p, *x); t != nil && !seen[t.ProductID] {
			seen[t.ProductID] = true
			x.Trial, products = t, append(products, t.ProductID)
		}
	}
	if len(products) == 0 || q.AccountID == uuid.Nil {
		return nil
	}
	marks, err := marksOf(ctx, tx, q.AccountID)
	if err != nil {
		return err
	}
	words := make([]string, len(marks))
	for i, m := range marks {
		words[i] = m.Mark
	}
	var had []uuid.UUID
	err = tx.NewRaw("SELECT DISTINCT product_id FROM trial_marks WHERE product_id IN (?) AND mark IN (?)", bun.List(products), bun.List(words)).Scan(ctx, &had)
	if err != nil {
		return fmt.Errorf("look for earlier trials: %w", err)
	}
	for i, x := range q.Items {
		for _, id := range had {
			if x.Trial != nil && x.Trial.ProductID == id {
				q.Items[i].Trial = nil
			}
		}
	}
	return nil
}

// trialOf is the trial with which a thing begins for somebody who has had none; nil: none.
func trialOf(p catalog.FullPlan, x Item) *Trial {
	if p.TrialDays == 0 || x.Picked.Cycle.Months() == 0 || x.Picked.Cycle != billing.Hourly && x.Amount.IsZero() {
		return nil
	}
	return &Trial{ProductID: p.ProductID, Days: p.TrialDays, Card: p.TrialCard}
}

// sameTrial reports whether a thing that is quoted with a trial still has it so.
func (x Item) sameTrial(p catalog.FullPlan) bool {
	if x.Trial == nil { // its buyer has had one, or it has none: nothing is taken away
		return true
	}
	now, was := trialOf(p, x), *x.Trial
	was.Days, was.Longer = was.Days-was.Longer, 0 // the code is looked at by itself
	return now != nil && *now == was
}

// trials notes who tries the things of an order, once each, and refuses who has tried
// them already, whose mailbox is not confirmed, or who has no card where one is needed.
func trials(ctx context.Context, tx *tenancy.Tx, o *Order) error {
	var tried []Item
	for _, x := range o.Items {
		if x.Trial != nil {
			tried = append(tried, x)
		}
	}
	if len(tried) == 0 {
		return nil
	}
	var known struct{ Verified, Card bool }
	err := tx.NewRaw(`SELECT email_verified_at IS NOT NULL AS verified, EXISTS (SELECT FROM payment_methods m JOIN accounts a ON a.default_method_id = m.id
		WHERE a.id = ? AND m.account_id = a.id AND m.state = 'active') AS card FROM people WHERE id = ?`, o.AccountID, o.PersonID).Scan(ctx, &known)
	if err != nil {
		return fmt.Errorf("read who tries: %w", err)
	}
	if !known.Verified {
		return errTrialUnverified
	}
	marks, err := marksOf(ctx, tx, o.AccountID)
	if err != nil {
		return err
	}
	text, err := json.Marshal(marks)
	if err != nil {
		return err
	}
	for _, x := range tried {
		if x.Trial.Card && !known.Card {
			return errTrialCard
		}
		// In one order, so that two who are alike wait for each other and do not lock each other out.
		// What comes back is counted: of rows that were there Citus says that they were inserted.
		var fresh []string
		err = tx.NewRaw(`INSERT INTO trial_marks (product_id, mark, subscription_id, at)
			SELECT DISTINCT ?::uuid, r.mark, ?::uuid, ?::timestamptz FROM jsonb_to_recordset(?::jsonb) AS r(mark text) ORDER BY 2 ON CONFLICT DO NOTHING RETURNING mark`,
			x.Trial.ProductID, x.SubscriptionID, tx.Now(), string(text)).Scan(ctx, &fresh)
		if err != nil {
			return fmt.Errorf("note a trial: %w", err)
		}
		distinct := map[string]bool{}
		for _, m := range marks {
			distinct[m.Mark] = true
		}
		if len(fresh) < len(distinct) {
			return errTrialUsed
		}
	}
	return nil
}

// forgetTrials lets who ordered have a trial after all: this one never began.
func forgetTrials(ctx context.Context, tx *tenancy.Tx, o Order) error {
	_, err := tx.NewRaw("DELETE FROM trial_marks t USING subscriptions s WHERE s.id = t.subscription_id AND s.order_id = ?", o.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("forget the trials of order %s: %w", o.ID, err)
	}
	return nil
}

// tried is what is kept of a thing's trial with its subscription; nil: none.
func (x Item) tried() *renewal.Trial {
	if x.Trial == nil {
		return nil
	}
	return &renewal.Trial{Days: x.Trial.Days, Card: x.Trial.Card, Once: x.onceItems()}
}

// BeginJob has an order begin that nothing is due of.
type BeginJob struct {
	OrderID uuid.UUID `json:"order_id"`
}

// Kind names the job.
func (BeginJob) Kind() string { return "order.begin" }

// Begin has an order delivered of which nothing is due today, and so nothing is waited
// for (job order.begin). It may be repeated.
func (d *Desk) Begin(ctx context.Context, db *tenancy.DB, id uuid.UUID) error {
	var o Order
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		if o, err = locked(ctx, tx, id, uuid.Nil); err != nil || o.State != AwaitingPayment || o.InvoiceID != nil {
			return err
		}
		return d.paid(ctx, tx, &o)
	})
	if err != nil || o.State == Cancelled || o.InvoiceID != nil {
		return err
	}
	return d.useRoom(ctx, db, o)
}
