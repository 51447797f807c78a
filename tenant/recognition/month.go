package recognition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// Agenda is the kind of due work under which a shop says when a month of it ends.
const Agenda = "recognition"

// linesAtOnce is how many lines one transaction recognises.
const linesAtOnce = 1000

// soonest is the next moment at which a month may end somewhere: who issues an invoice does
// not know the shop's zone, and the work itself sets the agenda to the end in it.
func soonest(now time.Time) time.Time {
	now = now.UTC()
	for n := time.Month(0); ; n++ {
		end := time.Date(now.Year(), now.Month()+n, 1, 0, 0, 0, 0, time.UTC)
		switch first, last := end.Add(-14*time.Hour), end.Add(12*time.Hour); {
		case now.Before(first):
			return first
		case now.Before(last):
			return now.Add(time.Hour)
		}
	}
}

// Issued puts the end of the month on the agenda of a shop that has invoiced for a time
// ahead.
func Issued(ctx context.Context, tx *tenancy.Tx) error {
	return tx.AdvanceAgenda(ctx, Agenda, soonest(tx.Now()))
}

// Recognise moves to revenue what was earned in the months that are over in the shop's
// zone, each line's part of a month once and on the month's last day, and sets the agenda
// to the end of this one. The first time it defers what was invoiced before shops
// recognised revenue by time (see adopt). Killed at any moment it goes on where it was.
func Recognise(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	zone, err := time.LoadLocation(db.Tenant().TimeZone)
	if err != nil {
		return fmt.Errorf("recognise revenue: %w", err)
	}
	if err := adopt(ctx, db); err != nil {
		return err
	}
	for {
		var n int
		err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
			n, err = recogniseSome(ctx, tx, zone)
			return err
		})
		if err != nil || n < linesAtOnce {
			return err
		}
	}
}

func recogniseSome(ctx context.Context, tx *tenancy.Tx, zone *time.Location) (int, error) {
	now := tx.Now().In(zone)
	last := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, zone)
	var rows []open
	err := tx.NewRaw("SELECT "+openColumns+` FROM recognitions WHERE done_minor <> net_minor AND done_to < ? AND period_from < ? AND NOT held
		ORDER BY done_to, invoice_id, position LIMIT ? FOR UPDATE`, last, last, linesAtOnce).Scan(ctx, &rows)
	if err != nil {
		return 0, fmt.Errorf("read deferred revenue: %w", err)
	}
	var events []ledger.Event
	for i := range rows {
		r := &rows[i]
		for _, cut := range billing.Cuts(r.DoneTo, last, zone) {
			part, err := r.earn(cut)
			if err != nil {
				return 0, err
			}
			if !part.IsZero() {
				events = append(events, r.event(cut.UTC().Format(time.RFC3339), cut.Add(-time.Microsecond), billing.PostEarned(part)))
			}
		}
		r.DoneTo = last
	}
	if err := keep(ctx, tx, rows, events); err != nil {
		return 0, err
	}
	if len(rows) == linesAtOnce {
		return len(rows), nil
	}
	// The first waits for others who set it; what they committed is seen by the second.
	return len(rows), errors.Join(watch(ctx, tx, zone), watch(ctx, tx, zone))
}

// watch puts the end of the month on the agenda in which something is earned next.
func watch(ctx context.Context, tx *tenancy.Tx, zone *time.Location) error {
	var next struct{ At time.Time }
	err := tx.NewRaw("SELECT min(done_to) AS at FROM recognitions WHERE done_minor <> net_minor AND period_from IS NOT NULL AND NOT held").Scan(ctx, &next)
	if err != nil {
		return fmt.Errorf("look for deferred revenue: %w", err)
	}
	if next.At.IsZero() {
		return tx.SetAgenda(ctx, Agenda, time.Time{})
	}
	from := next.At.In(zone)
	end := time.Date(from.Year(), from.Month()+1, 1, 0, 0, 0, 0, zone)
	if end.Before(tx.Now()) {
		end = tx.Now()
	}
	return tx.SetAgenda(ctx, Agenda, end)
}
