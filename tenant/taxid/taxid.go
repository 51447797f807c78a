// Package taxid owns what is done about customers' VAT numbers: a register is asked, its
// answer is kept with the account, asked for again after a while, and people are told
// what changed. It does not own the register's protocol (taxid/vies), nor what a number
// that stands or does not stand means for the tax (billing).
package taxid

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/settings"
	"github.com/ezscale/ezscale/tenant/taxid/vies"
)

// Register says whether a number stands. An error is no answer: it is asked again.
type Register interface {
	Ask(ctx context.Context, q vies.Question) (vies.Answer, error)
}

// Desk asks about numbers. It is safe for concurrent use.
type Desk struct {
	Register Register      // nil: nobody is asked, and numbers count by their form
	Again    time.Duration // after which an answer is asked for again; 0: 30 days
	Mail     *mail.Outbox  // tells the team of refused numbers; nil: nobody is told
}

const (
	page      = 40               // numbers a round
	askWithin = 10 * time.Second // for one call
	idle      = 24 * time.Hour   // until it is looked whether there is a register by now
	giveUp    = 2                // failed calls about one state a round; the rest waits
)

// waits before a question without an answer is asked again; the last one stays.
var waits = [...]time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour}

// owed is an account whose number is to be asked about.
type owed struct {
	ID                        uuid.UUID
	Name, Country, TaxID, Was string
	check                     account.NumberCheck
}

// wanted are the accounts that have a number of the EU, and when to ask about each.
const wanted = ` FROM (SELECT id, name, country, upper(regexp_replace(tax_id, '[ .\-]', '', 'g')) AS tax_id, coalesce(tax_check::text, '') AS was,
		CASE WHEN tax_check->>'number' = upper(regexp_replace(tax_id, '[ .\-]', '', 'g')) THEN coalesce((tax_check->>'next_at')::timestamptz, '-infinity') ELSE '-infinity' END AS next_at
	FROM accounts WHERE tax_id <> '' AND closed_at IS NULL AND country IN (?)) a`

// Tick asks about every number that is due, and sets the agenda to the next. What the
// register knows already is not asked again: an answer is kept with the account. An
// outage changes no answer.
func (d *Desk) Tick(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	if d.Register == nil || db.Tenant().Sandbox { // a sandbox asks nobody outside
		return db.Update(ctx, func(tx *tenancy.Tx) error { return tx.SetAgenda(ctx, account.NumbersAgenda, tx.Now().Add(idle)) })
	}
	var due []owed
	var asker string
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		shop, err := settings.BillingOf(ctx, tx)
		if err != nil {
			return err
		}
		if id := billing.CleanTaxID(shop.TaxID); billing.TaxIDOf(id, shop.Country) && billing.InEU(shop.Country) {
			asker = id
		}
		return tx.NewRaw("SELECT id, name, country, tax_id, was"+wanted+" WHERE next_at <= ? ORDER BY next_at, id LIMIT ?", bun.List(billing.EU()), tx.Now(), page).Scan(ctx, &due)
	})
	if err != nil {
		return fmt.Errorf("find numbers to ask about: %w", err)
	}
	failed := map[string]int{}
	for _, o := range due {
		if err := d.one(ctx, db, o, asker, failed); err != nil {
			return err
		}
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		// The first waits for others who set it; what they committed is seen by the second.
		return errors.Join(setAgenda(ctx, tx), setAgenda(ctx, tx))
	})
}

func setAgenda(ctx context.Context, tx *tenancy.Tx) error {
	var row struct{ Next *time.Time }
	err := tx.NewRaw("SELECT min(greatest(next_at, ?)) AS next"+wanted, tx.Now(), bun.List(billing.EU())).Scan(ctx, &row)
	if err != nil {
		return fmt.Errorf("find the next number to ask about: %w", err)
	}
	if row.Next == nil {
		return tx.SetAgenda(ctx, account.NumbersAgenda, time.Time{})
	}
	return tx.SetAgenda(ctx, account.NumbersAgenda, *row.Next)
}

// one asks about one number and keeps what came of it. failed counts outages by state.
func (d *Desk) one(ctx context.Context, db *tenancy.DB, o owed, asker string, failed map[string]int) error {
	if o.Was != "" {
		if err := json.Unmarshal([]byte(o.Was), &o.check); err != nil {
			return fmt.Errorf("read the check of a tax number: %w", err)
		}
	}
	if o.check.Number != o.TaxID {
		o.check = account.NumberCheck{Number: o.TaxID}
	}
	var answer vies.Answer
	var err error
	switch {
	case !billing.TaxIDOf(o.TaxID, o.Country): // no register knows it
	case failed[o.Country] >= giveUp:
		err = vies.ErrUnavailable
	default:
		within, cancel := context.WithTimeout(ctx, askWithin)
		answer, err = d.Register.Ask(within, vies.Question{Number: o.TaxID, Asker: asker})
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			failed[o.Country]++
		}
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error { return d.keep(ctx, tx, o, answer, err) })
}

// heard is what is known after a question.
func (d *Desk) heard(was account.NumberCheck, a vies.Answer, problem error, now time.Time) account.NumberCheck {
	k := was
	k.AskedAt = now
	if problem != nil {
		if k.State == "" {
			k.State = billing.NumberPending
		}
		k.Problem = fmt.Sprintf("%.200s", problem.Error())
		next := now.Add(waits[min(k.Tries, len(waits)-1)])
		k.Tries, k.NextAt = k.Tries+1, &next
		return k
	}
	again := d.Again
	if again <= 0 {
		again = 30 * 24 * time.Hour
	}
	next := now.Add(again)
	k = account.NumberCheck{Number: was.Number, State: billing.NumberRefused, AskedAt: now, AnsweredAt: &now, NextAt: &next, Request: a.Request, Name: a.Name, Address: a.Address}
	if a.Valid {
		k.State = billing.NumberConfirmed
	}
	return k
}

// keep writes what came of a question, unless somebody changed the number or answered
// meanwhile.
func (d *Desk) keep(ctx context.Context, tx *tenancy.Tx, o owed, a vies.Answer, problem error) error {
	k := d.heard(o.check, a, problem, tx.Now())
	raw, err := json.Marshal(k)
	if err != nil {
		return err
	}
	res, err := tx.NewRaw(`UPDATE accounts SET tax_check = ?::jsonb WHERE id = ? AND upper(regexp_replace(tax_id, '[ .\-]', '', 'g')) = ? AND coalesce(tax_check::text, '') = ?`,
		string(raw), o.ID, o.TaxID, o.Was).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep what the register says: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 || problem != nil {
		return err
	}
	if k.State != o.check.State {
		if err := d.tell(ctx, tx, o, k); err != nil {
			return err
		}
	}
	return audit.Append(ctx, tx, audit.Entry{Actor: audit.System("register of VAT numbers"), Action: "account.tax_number_checked", Target: audit.Target{Kind: "account", ID: o.ID.String()},
		Detail: map[string]any{"number": k.Number, "state": string(k.State), "request": k.Request}})
}

// tell says what changed to the customer, and to the team where a number is refused.
func (d *Desk) tell(ctx context.Context, tx *tenancy.Tx, o owed, k account.NumberCheck) error {
	text := "The EU's register confirmed the VAT number " + k.Number + "."
	if k.State == billing.NumberRefused {
		text = "The EU's register does not know the VAT number " + k.Number + ". Invoices from now on carry VAT."
	}
	key := "account/" + o.ID.String() + "/tax_number/" + k.Number + "/" + string(k.State) + "/" + k.AskedAt.UTC().Format(time.RFC3339Nano)
	err := activity.Tell(ctx, tx, activity.Event{Key: key, AccountID: o.ID, SubjectKind: activity.Account, SubjectID: o.ID, Kind: "account.tax_number_checked", Text: text, Actor: "system", CustomerSees: true})
	if err != nil || k.State != billing.NumberRefused || d.Mail == nil {
		return err
	}
	var team []struct {
		ID          uuid.UUID
		Name, Email string
		Owner       *uuid.UUID
	}
	err = tx.NewRaw(`SELECT id, name, email, (SELECT m.person_id FROM memberships m WHERE m.account_id = ? ORDER BY m.role <> 'owner', m.created_at LIMIT 1) AS owner
		FROM people WHERE world = 'reseller' AND role IN ('owner', 'admin') AND disabled_at IS NULL ORDER BY id LIMIT 20`, o.ID).Scan(ctx, &team)
	if err != nil {
		return fmt.Errorf("find the team: %w", err)
	}
	for _, r := range team {
		link := "/manage/customers"
		if r.Owner != nil {
			link += "/" + r.Owner.String() + "?account=" + o.ID.String()
		}
		err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key + "/" + r.ID.String(), Template: mail.NumberRefused, To: r.Email,
			Data: map[string]string{"name": r.Name, "customer": o.Name, "number": k.Number, "link": link}})
		if err != nil && !fault.Is(err, "mail.bad_address") {
			return fmt.Errorf("write %s: %w", mail.NumberRefused, err)
		}
	}
	return nil
}
