package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
)

// CheckJob asks every platform whether it is well.
type CheckJob struct{}

// Kind names the job.
func (CheckJob) Kind() string { return "platform.check" }

// CapacityJob asks every platform how much room it has.
type CapacityJob struct{}

// Kind names the job.
func (CapacityJob) Kind() string { return "platform.capacity" }

// atOnce is how many platforms are asked at a time.
const atOnce = 4

// each does something with every platform that is not off; one that fails does not keep
// the others from it. The errors are joined.
func (r *Registry) each(ctx context.Context, do func(context.Context, record) error) error {
	var all []record
	err := r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+platformColumns+", p.sealed_secret FROM platforms p WHERE p.state <> 'off' ORDER BY p.id").Scan(ctx, &all)
	})
	if err != nil {
		return fmt.Errorf("read platforms: %w", err)
	}
	var wg sync.WaitGroup
	errs, slots := make([]error, len(all)), make(chan struct{}, atOnce)
	for i, p := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do(ctx, p)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// CheckAll asks every platform that is not off, writes down what it found, and tells
// staff when one goes down or comes back. A platform's failure is no error of this.
func (r *Registry) CheckAll(ctx context.Context) error {
	return r.each(ctx, func(ctx context.Context, p record) error {
		_, err := r.check(ctx, p)
		return err
	})
}

// Test asks one platform now and writes down what it found; the note is for staff.
// Fault: platform.unknown.
func (r *Registry) Test(ctx context.Context, id uuid.UUID) (ok bool, note string, err error) {
	p, err := r.record(ctx, id)
	if err != nil {
		return false, "", err
	}
	found, err := r.check(ctx, p)
	return found.err == nil, found.note, err
}

// found is what a check said.
type found struct {
	note string
	err  error
}

// check asks and writes down.
func (r *Registry) check(ctx context.Context, p record) (found, error) {
	f := r.ask(ctx, p)
	if err := ctx.Err(); err != nil {
		return f, err // it was us who did not wait
	}
	return f, r.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return note(ctx, tx, p.ID, f) })
}

// ask tests the connection.
func (r *Registry) ask(ctx context.Context, p record) found {
	d, err := r.driver(p)
	if err != nil {
		return found{note: "The driver cannot be made of what is configured.", err: err}
	}
	c, ok := d.(provisioners.Checker)
	if !ok {
		return found{}
	}
	h, err := c.Check(ctx)
	if err != nil {
		return found{note: "At the test " + Words(err), err: err}
	}
	return found{note: strings.Join(h.Notes, "\n")}
}

// note keeps what a check found. One failure alone does not make a platform down that was
// up: the next check is a minute away, and an alarm wakes people. A refused token does.
func note(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID, f found) error {
	p, err := recordOf(ctx, tx, id, "FOR UPDATE OF p")
	if err != nil {
		return err
	}
	const once = "Once, so far: "
	to, said := Up, f.note
	if f.err != nil {
		to = Down
		if p.Health == Up && !strings.HasPrefix(p.HealthNote, once) && !errors.Is(f.err, provisioners.ErrCredentials) {
			to, said = Up, once+f.note
		}
	}
	since := p.HealthSince
	if to != p.Health || since.IsZero() {
		since = tx.Now()
	}
	// changed_at stays: it says when the way to reach the platform changed.
	_, err = tx.NewRaw("UPDATE platforms SET health = ?, health_note = ?, health_since = ?, checked_at = ? WHERE id = ?", to, said, since, tx.Now(), id).Exec(ctx)
	if err != nil || to == p.Health || to == Up && p.Health == Unknown {
		return err
	}
	kind, text := "platform.down", p.Name+" is down. "+f.note
	if to == Up {
		kind, text = "platform.up", p.Name+" is up again."
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: kind + " " + id.String() + " " + since.Format(time.RFC3339Nano), Kind: kind, Text: text, Detail: map[string]string{"platform": p.Name}})
	return err
}

// holdKept is how long a hold that is over stays to be asked again.
const holdKept = 60 * 24 * time.Hour

// CapacityAll asks every platform how much room each of its offers has, and forgets holds
// that are long over.
func (r *Registry) CapacityAll(ctx context.Context) error {
	err := r.each(ctx, func(ctx context.Context, p record) error {
		d, err := r.driver(p)
		if err != nil {
			return nil //nolint:nilerr // the check tells staff
		}
		err = r.refreshOffers(ctx, d, "o.platform_id = ? AND o.state = 'on'", p.ID)
		var later *provisioners.RetryError
		if errors.As(err, &later) {
			return nil // the next run asks again
		}
		return err
	})
	gone := r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("DELETE FROM holds WHERE coalesce(used_at, expires_at) < ?", tx.Now().Add(-holdKept)).Exec(ctx)
		return err
	})
	return errors.Join(err, gone)
}

// RefreshCapacity asks one platform now.
func (r *Registry) RefreshCapacity(ctx context.Context, id uuid.UUID) error {
	d, err := r.Open(ctx, id)
	if err != nil {
		return asked(err)
	}
	if err := r.refreshOffers(ctx, d, "o.platform_id = ?", id); err != nil {
		return asked(err)
	}
	return nil
}

// refreshOffers asks for the room of the offers chosen.
func (r *Registry) refreshOffers(ctx context.Context, d provisioners.Driver, where string, arg any) error {
	c, ok := d.(provisioners.Capacity)
	if !ok {
		return nil
	}
	var rows []struct {
		ID         uuid.UUID
		Parameters json.RawMessage
		Spec       provisioners.Spec
	}
	err := r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT o.id, o.parameters, s.spec FROM offers o JOIN skus s ON s.sku = o.sku WHERE `+where+" ORDER BY o.id", arg).Scan(ctx, &rows)
	})
	if err != nil {
		return fmt.Errorf("room of offers: %w", err)
	}
	for _, o := range rows {
		at := r.Central.Now() // before the platform looks: what is used from now on counts on top
		parameters, err := (Mapped{ID: o.ID, Parameters: o.Parameters}).parameters()
		if err != nil {
			return err
		}
		room, err := c.Capacity(ctx, parameters, o.Spec)
		if errors.Is(err, provisioners.ErrRefused) {
			continue // the mapping is wrong; the others are not
		}
		if err != nil {
			return err
		}
		if err := r.keepRoom(ctx, o.ID, room, at); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) keepRoom(ctx context.Context, offer uuid.UUID, room provisioners.Room, at time.Time) error {
	var capacity *int
	used := 0
	if room.Free >= 0 && room.Total >= 0 {
		capacity, used = &room.Total, max(room.Total-room.Free, 0)
	}
	err := r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE offers SET capacity = ?, used = ?, checked_at = ? WHERE id = ?", capacity, used, at.UTC(), offer).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep room of offer %s: %w", offer, err)
	}
	return nil
}
