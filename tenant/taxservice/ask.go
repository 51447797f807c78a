package taxservice

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Service says what is charged at a place. billing.ErrTaxPlace: it cannot tell by what is known
// of the place; any other error is no answer, and it is asked again.
type Service interface {
	TaxRates(ctx context.Context, q billing.TaxQuestion, code, currency string, at time.Time) (billing.TaxAnswer, error)
	// CheckTax says where the shop is registered there, and what it is to mend.
	CheckTax(ctx context.Context) (places, notes []string, err error)
}

// Desk asks. It is safe for concurrent use.
type Desk struct {
	// Open is the service with the shop's own keys. gateway.ErrCredentials: it has none.
	Open func(ctx context.Context, db *tenancy.DB) (Service, error)
	// Asked counts questions by outcome: answered, no_place, unavailable, refused; nil: nobody does.
	Asked func(outcome string)
}

// Soon is how long an answer is to be fresh yet where a price rests on it that is to hold.
const Soon = time.Hour

const (
	callWithin  = 3 * time.Second  // one question
	pageWithin  = 5 * time.Second  // all of one page
	atOnce      = 6                // questions a page waits for; the rest goes by the table
	round       = 60               // questions of the job's round
	restAfter   = 30 * time.Second // of an outage, in which no page waits for it
	again       = 6 * time.Hour    // until the job looks again
	ahead       = 36 * time.Hour   // of a renewal, when its answer is looked after
	renewBefore = 12 * time.Hour   // of an answer's last moment
	noPlace     = 7 * 24 * time.Hour
	forget      = 2 * billing.AnswerMost
)

// waits before a question without an answer is asked again; the last one stays.
func wait(tries int) time.Duration {
	all := [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour}
	return all[min(tries, len(all)-1)]
}

// wants reports whether a question is to be asked now: it has no answer that is fresh for a
// while yet, and it is not too early after one that failed.
func (s Setting) wants(q billing.TaxQuestion, k Kept, now time.Time, while time.Duration) bool {
	if !s.Asks(q.Country) || k.Waits(now) {
		return false
	}
	return s.Policy().State(k.AnsweredAt, now.Add(while)) != billing.AnswerFresh
}

// Ask asks what is not known, for somebody who waits: a few questions, for a few seconds, and
// none while the service is down. Whatever comes of it is kept; no error says that there is no
// answer. It is called outside of any transaction.
func (d *Desk) Ask(ctx context.Context, db *tenancy.DB, all []billing.TaxQuestion) error {
	if len(all) == 0 || d.Open == nil || db.Tenant().Sandbox {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	err := d.ask(ctx, db, all[:min(len(all), atOnce)], Soon, true)
	if ctx.Err() != nil { // it took too long: the table decides
		return nil
	}
	return err
}

// ask asks what has no fresh answer, or none that is fresh for a while yet.
func (d *Desk) ask(ctx context.Context, db *tenancy.DB, all []billing.TaxQuestion, while time.Duration, waiting bool) error {
	var set Setting
	var known map[billing.TaxQuestion]Kept
	var down bool
	var now time.Time
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		now = tx.Now()
		if set, err = Of(ctx, tx); err != nil || !set.On {
			return err
		}
		if known, err = Find(ctx, tx, all); err != nil || !waiting {
			return err
		}
		return tx.NewRaw("SELECT EXISTS (SELECT FROM tax_answers WHERE problem = ? AND asked_at > ?)", problemDown, now.Add(-restAfter)).Scan(ctx, &down)
	})
	if err != nil || !set.On || down {
		return err
	}
	var service Service
	for _, q := range all {
		k := known[q]
		if !set.wants(q, k, now, while) {
			continue
		}
		if service == nil {
			if service, err = d.Open(ctx, db); err != nil {
				return d.kept(ctx, db, q, k, billing.TaxAnswer{}, err)
			}
		}
		within, cancel := context.WithTimeout(ctx, callWithin)
		a, asked := service.TaxRates(within, q, set.Codes[q.Class], db.Tenant().Currency, now)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := d.kept(ctx, db, q, k, a, asked); err != nil || asked != nil && !errors.Is(asked, billing.ErrTaxPlace) {
			return err // the others wait as well
		}
	}
	return nil
}

// What is kept of a question without an answer, as the team reads it.
const (
	problemDown  = "The service did not answer. It is asked again."
	problemPlace = "The service does not know this place by its postcode and region."
	problemKeys  = "The service refuses the shop's keys, or its tax settings are not complete."
)

// kept writes what came of a question.
func (d *Desk) kept(ctx context.Context, db *tenancy.DB, q billing.TaxQuestion, was Kept, a billing.TaxAnswer, problem error) error {
	outcome := "answered"
	k := was
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		now := tx.Now()
		switch {
		case problem == nil:
			k = Kept{Answer: &a, AnsweredAt: a.At, NextAt: now}
		case errors.Is(problem, billing.ErrTaxPlace):
			outcome, k.Problem, k.NextAt = "no_place", problemPlace, now.Add(noPlace)
		case errors.Is(problem, gateway.ErrUnavailable):
			outcome, k.Problem, k.NextAt = "unavailable", problemDown, now.Add(wait(was.Tries))
		default:
			outcome, k.Problem, k.NextAt = "refused", problemKeys, now.Add(wait(was.Tries))
		}
		if problem != nil {
			k.Tries = was.Tries + 1
		}
		return k.keep(ctx, tx, q)
	})
	if d.Asked != nil {
		d.Asked(outcome)
	}
	return err
}

// Tick asks about the places of what renews soon, so that its invoices find an answer, and
// forgets what nobody needs. It sets the agenda to the next time.
func (d *Desk) Tick(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	var all []billing.TaxQuestion
	var set Setting
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		if set, err = Of(ctx, tx); err != nil || !set.On {
			return err
		}
		if _, err := tx.NewRaw("DELETE FROM tax_answers WHERE asked_at < ?", tx.Now().Add(-forget)).Exec(ctx); err != nil {
			return fmt.Errorf("forget answers about tax: %w", err)
		}
		all, err = soon(ctx, tx, set)
		return err
	})
	if err != nil {
		return err
	}
	next := time.Time{}
	if set.On && d.Open != nil && !db.Tenant().Sandbox { // a sandbox asks nobody outside
		if err := d.ask(ctx, db, all[:min(len(all), round)], renewBefore, false); err != nil {
			return err
		}
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if set.On {
			if next = tx.Now().Add(again); len(all) > round {
				next = tx.Now().Add(time.Minute)
			}
			var retry *time.Time
			if err := tx.NewRaw("SELECT min(next_at) AS retry FROM tax_answers WHERE problem = ?", problemDown).Scan(ctx, &retry); err != nil {
				return fmt.Errorf("find the next question about tax: %w", err)
			}
			if retry != nil && retry.Before(next) {
				next = later(*retry, tx.Now().Add(time.Minute))
			}
		}
		return tx.SetAgenda(ctx, Agenda, next)
	})
}

func later(x, y time.Time) time.Time {
	if x.After(y) {
		return x
	}
	return y
}

// soon are the questions about what renews soon that are to be asked now, each once.
func soon(ctx context.Context, tx *tenancy.Tx, set Setting) ([]billing.TaxQuestion, error) {
	shop, err := settings.BillingOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	var rows []struct{ Country, Kind, Postcode, Region, TaxID, TaxCheck, TaxExemption, Class string }
	err = tx.NewRaw(`SELECT DISTINCT coalesce(a.country, '') AS country, coalesce(a.kind, '') AS kind, coalesce(a.billing->>'postcode', '') AS postcode, coalesce(a.billing->>'region', '') AS region,
			coalesce(a.tax_id, '') AS tax_id, coalesce(a.tax_check::text, '') AS tax_check, coalesce(a.tax_exemption::text, '') AS tax_exemption, coalesce(pr.tax_class, ?) AS class
		FROM subscriptions s JOIN accounts a ON a.id = s.account_id LEFT JOIN plans p ON p.id = s.plan_id LEFT JOIN products pr ON pr.id = p.product_id
		WHERE s.renews_at <= ? AND s.state IN ('active', 'past_due', 'trial')`, billing.Standard, tx.Now().Add(ahead)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("find what renews soon: %w", err)
	}
	var all []billing.TaxQuestion
	seen := map[billing.TaxQuestion]bool{}
	for _, r := range rows {
		buyer, err := account.TaxedOf(r.Kind, account.Address{Country: r.Country, Postcode: r.Postcode, Region: r.Region}, r.TaxID, r.TaxCheck, r.TaxExemption, tx.Now())
		if err != nil {
			return nil, err
		}
		if q, asks := Case(shop, buyer, r.Class, tx.Now()).Question(); asks && !seen[q] {
			seen[q] = true
			all = append(all, q)
		}
	}
	known, err := Find(ctx, tx, all)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(q billing.TaxQuestion) bool { return !set.wants(q, known[q], tx.Now(), renewBefore) }), nil
}

// CheckService asks the service whether it works with the shop's keys, and keeps what it says.
// The faults are tax_service.unavailable, tax_service.refused.
func (d *Desk) CheckService(ctx context.Context, db *tenancy.DB, by audit.Origin) error {
	var places, notes []string
	var err error
	switch {
	case d.Open == nil || db.Tenant().Sandbox:
		err = gateway.ErrUnsupported
	default:
		var service Service
		if service, err = d.Open(ctx, db); err == nil {
			within, cancel := context.WithTimeout(ctx, 2*callWithin)
			defer cancel()
			places, notes, err = service.CheckTax(within)
		}
	}
	switch {
	case errors.Is(err, gateway.ErrUnsupported):
		err = fault.Wrap(err, fault.Conflict, "tax_service.none", "No tax service can be asked here: set Stripe up under Payments first.")
	case errors.Is(err, gateway.ErrUnavailable):
		err = fault.Wrap(err, fault.Conflict, "tax_service.unavailable", "Stripe does not answer at the moment. Please try again in a few minutes.")
	case err != nil:
		err = fault.Wrap(err, fault.Conflict, "tax_service.refused", "Stripe refuses the keys. Set Stripe up under Payments, with a key that may calculate tax.")
	case len(notes) > 0:
		err = fault.New(fault.Conflict, "tax_service.not_ready", notes[0])
	}
	noted := db.Update(ctx, func(tx *tenancy.Tx) error {
		s, failed := locked(ctx, tx)
		if failed != nil {
			return failed
		}
		s.CheckedAt, s.Problem, s.Places = tx.Now().UTC(), "", places
		if err != nil {
			s.Problem = fault.From(err).Message
		}
		if failed := settings.Put(ctx, tx, Name, s); failed != nil {
			return failed
		}
		return by.Record(ctx, tx, "tax_service.checked", audit.Target{Kind: "settings", ID: Name}, map[string]any{"problem": s.Problem, "places": len(places)})
	})
	return errors.Join(err, noted)
}
