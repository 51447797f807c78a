package wholesale

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Mailer takes letters; *mail.Outbox is one.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// ChargeJob takes the money for an invoice from the reseller's saved card.
type ChargeJob struct {
	Invoice uuid.UUID `json:"invoice"`
	Try     int       `json:"try"`
}

// Kind names the job.
func (ChargeJob) Kind() string { return "wholesale.charge" }

// DueJob bills what is due: every month that is over and was not billed.
type DueJob struct{}

// Kind names the job.
func (DueJob) Kind() string { return "wholesale.due" }

// RunJob bills one month because somebody of staff asked for it.
type RunJob struct {
	Period string       `json:"period"`
	By     audit.Origin `json:"by"`
}

// Kind names the job.
func (RunJob) Kind() string { return "wholesale.run" }

// Start has a month billed by a worker, once however often it is asked for. Faults:
// wholesale.bad_period, wholesale.not_over, wholesale.billed.
func (d *Desk) Start(ctx context.Context, period string, by audit.Origin) error {
	m, err := ParseMonth(period)
	if err != nil {
		return err
	}
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if tx.Now().Before(m.To) {
			return notOver(m)
		}
		var billed bool
		if err := tx.NewRaw("SELECT EXISTS (SELECT FROM wholesale_runs WHERE period = ?)", m.Name).Scan(ctx, &billed); err != nil {
			return err
		}
		if billed {
			return fault.New(fault.Conflict, "wholesale.billed", "The month "+m.Name+" was billed before.")
		}
		_, err := tx.Enqueue(ctx, RunJob{Period: m.Name, By: by}, tenancy.JobOptions{})
		return err
	})
}

func notOver(m Month) error {
	return fault.New(fault.Conflict, "wholesale.not_over", "The month "+m.Name+" is not over yet. A preview of it is possible.")
}

// settleDelay lets what happened at the end of a month arrive before the month is billed.
const settleDelay = 6 * time.Hour

// Due bills every month that is over and was not billed, the earliest first: from the
// month of the first terms on. It never bills a month that is not over. Then it looks at
// credit limits.
func (d *Desk) Due(ctx context.Context) error {
	return errors.Join(d.billDue(ctx), d.WatchLimits(ctx, false))
}

func (d *Desk) billDue(ctx context.Context) error {
	due, err := d.dueMonths(ctx)
	if err != nil {
		return err
	}
	for _, m := range due {
		if err := d.RunTold(ctx, m, audit.Origin{Actor: audit.System("scheduler")}); err != nil {
			return err
		}
	}
	return nil
}

// dueMonths are the months that are over and were not billed, those that ended first before
// the others: calendar months, and the resellers' own.
func (d *Desk) dueMonths(ctx context.Context) (due []Month, err error) {
	var first, closed time.Time
	var began []struct {
		TenantID  int64
		ValidFrom time.Time
	}
	var days billDays
	done := map[string]bool{}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		err := tx.NewRaw(`SELECT coalesce(min(valid_from), '0001-01-01'), (SELECT coalesce(max(period_to), '0001-01-01') FROM wholesale_runs WHERE length(period) = 7) FROM tenant_terms`).Scan(ctx, &first, &closed)
		if err != nil {
			return err
		}
		if days, err = daysIn(ctx, tx); err != nil || len(days) == 0 {
			return err
		}
		err = tx.NewRaw("SELECT x.tenant_id, min(x.valid_from) AS valid_from FROM tenant_terms x JOIN reseller_profiles p USING (tenant_id) WHERE p.bill_days <> '[]' GROUP BY x.tenant_id").Scan(ctx, &began)
		if err != nil {
			return err
		}
		var names []string
		err = tx.NewRaw("SELECT period FROM wholesale_runs WHERE length(period) > 7").Scan(ctx, &names)
		for _, name := range names {
			done[name] = true
		}
		return err
	})
	if err != nil || first.Year() <= 1 { // nobody is billed yet
		return nil, err
	}
	over := d.Central.Now().Add(-settleDelay)
	last, from := Last(over), monthOf(first)
	if closed.After(from.From) {
		from = monthOf(closed)
	}
	for m := from; !m.From.After(last.From); m = monthOf(m.To) {
		due = append(due, m)
	}
	for _, x := range began {
		days := days[x.TenantID]
		from := x.ValidFrom
		if from.Before(days[0].From) {
			from = days[0].From
		}
		for m := monthFrom(billing.BillMonth(days, from)); !m.To.After(over); m = monthFrom(billing.BillMonth(days, m.To)) {
			if !m.calendar() && !done[m.Name] {
				due, done[m.Name] = append(due, m), true
			}
		}
	}
	slices.SortFunc(due, func(x, y Month) int { return cmp.Or(x.To.Compare(y.To), x.From.Compare(y.From)) })
	return due, nil
}

// RunTold bills a month for whom nobody waits: that it could not be billed, staff are told
// by an alert, once a day and month.
func (d *Desk) RunTold(ctx context.Context, m Month, by audit.Origin) error {
	_, err := d.Run(ctx, m, by, false)
	if err == nil || ctx.Err() != nil {
		return err
	}
	said := "See the job's log."
	if f := fault.From(err); f.Kind != fault.Internal {
		said = f.Message
	}
	told := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: "wholesale.run_failed " + m.Name + " " + tx.Now().UTC().Format(time.DateOnly), Kind: "wholesale.run_failed",
			Text: "The month " + m.Name + " could not be billed. " + said, Detail: map[string]string{"month": m.Name, "started by": by.Actor.Name}})
		return err
	})
	return errors.Join(err, told)
}

// announced is an invoice about which its reseller is told.
type announced struct {
	ID         uuid.UUID
	TenantID   int64
	Number     string
	Name       string
	Email      string
	Locale     string
	Currency   string
	TotalMinor int64
	PaidMinor  int64
	DueAt      time.Time
	MethodRef  string
}

// Announce tells resellers of a month's invoices and has saved cards charged. Each is told
// once, however often this is called: mails and jobs have the invoice's key.
func (d *Desk) Announce(ctx context.Context, period string) error {
	after := uuid.Nil
	for {
		var some []announced
		err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			some = nil
			err := tx.NewRaw(`SELECT i.id, i.tenant_id, i.number, coalesce(nullif(p.billing->>'name', ''), t.name) AS name,
					coalesce(nullif(p.billing->>'email', ''), t.owner_email) AS email, t.locale, i.currency, i.total_minor, i.paid_minor, i.due_at, coalesce(p.method_ref, '') AS method_ref
				FROM wholesale_invoices i JOIN wholesale_runs r ON r.id = i.run_id JOIN tenants t ON t.id = i.tenant_id
				LEFT JOIN reseller_profiles p ON p.tenant_id = i.tenant_id
				WHERE r.period = ? AND i.id > ? ORDER BY i.id LIMIT 100`, period, after).Scan(ctx, &some)
			if err != nil {
				return err
			}
			for _, i := range some {
				if err := d.tell(ctx, tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("announce %s: %w", period, err)
		}
		if len(some) == 0 {
			return nil
		}
		after = some[len(some)-1].ID
	}
}

func (d *Desk) tell(ctx context.Context, tx *tenancy.CentralTx, i announced) error {
	total, open := billing.Money{Minor: i.TotalMinor, Currency: i.Currency}, billing.Money{Minor: i.TotalMinor - i.PaidMinor, Currency: i.Currency}
	said := ""
	if open.Minor > 0 {
		said = open.Format(i.Locale)
	}
	if i.Email != "" { // a reseller that was dropped has none any more
		err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: "wholesale/" + i.ID.String(), Template: mail.WholesaleInvoice, To: i.Email, Data: map[string]string{
			"name": i.Name, "number": i.Number, "total": total.Format(i.Locale), "due": i.DueAt.UTC().Format("2 January 2006"), "open": said,
			"link": d.PartnerURL + "/invoices/" + i.ID.String(),
		}})
		if err != nil {
			return err
		}
	}
	if open.Minor <= 0 {
		return nil
	}
	if i.MethodRef == "" { // on the day it is due there may be one
		_, err := tx.NewRaw("UPDATE wholesale_invoices SET next_try_at = due_at WHERE id = ? AND tries = 0 AND next_try_at IS NULL AND state = 'open'", i.ID).Exec(ctx)
		return err
	}
	_, err := tx.Enqueue(ctx, ChargeJob{Invoice: i.ID}, tenancy.JobOptions{Key: tryKey(i.ID, 0)})
	return err
}
