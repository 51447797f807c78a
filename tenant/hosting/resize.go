package hosting

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// NewSize is what a service is to become.
type NewSize struct {
	Key   uuid.UUID // names the change to who asked for it
	SKU   string
	Label string // product and plan as sold
	Spec  provisioners.Spec
}

// resizeFor is how long a change of size is tried while the platform cannot be asked.
const resizeFor = 2 * time.Hour

// ResizedJob says what came of a change of size.
type ResizedJob struct {
	ServiceID      uuid.UUID `json:"service_id"`
	SubscriptionID uuid.UUID `json:"subscription_id"`
	Key            uuid.UUID `json:"key"`
	Problem        string    `json:"problem"` // why it was not done; empty: it was
}

// Kind names the job.
func (ResizedJob) Kind() string { return "service.resized" }

// Resize has a service given another size after the commit; a ResizedJob tells what came
// of it. It reports false when the service is that size already. It may be repeated while
// the change is under way. Faults: service.not_found, and those of a service that is not
// free, as of Power.
func Resize(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, to NewSize) (bool, error) {
	s, err := locked(ctx, tx, id)
	if err != nil {
		return false, err
	}
	if s.Operation == OpResize && s.OperationArgs.Change == to.Key {
		return true, nil
	}
	if to.Spec.DiskGB < s.Spec.DiskGB { // what is on it stays
		to.Spec.DiskGB = s.Spec.DiskGB
	}
	if s.SKU == to.SKU && s.Spec == to.Spec && (!s.ByHand() || s.Label == to.Label) {
		s.Label = to.Label
		return false, s.keepSize(ctx, tx)
	}
	if err := s.free(); err != nil {
		return false, err
	}
	s.begin(OpResize, StepWaiting, tx.Now())
	s.OperationArgs = Args{SKU: to.SKU, Label: to.Label, Spec: to.Spec, Change: to.Key}
	if err := s.tell(ctx, tx, event{kind: "service.resizing", text: "It is being changed to " + to.Label + ".", seen: true}); err != nil {
		return false, err
	}
	if err := s.save(ctx, tx); err != nil {
		return false, err
	}
	return true, s.poke(ctx, tx)
}

func (d *Desk) askResize(ctx context.Context, db *tenancy.DB, w work, driver provisioners.Driver) outcome {
	r, ok := driver.(provisioners.Resizer)
	if !ok {
		return outcome{err: provisioners.ErrUnsupported}
	}
	if w.Step == StepChecking {
		o := look(ctx, w, driver)
		if o.err == nil && !o.gone {
			o.next, o.done = StepChecking, !o.state.Busy
		}
		return o
	}
	to := w.OperationArgs
	parameters, _, err := d.delivery(ctx, db, to.SKU, w.PlatformID, w.Region, w.Image)
	if err != nil {
		return outcome{err: err}
	}
	if err := r.Resize(ctx, w.Ref, to.Spec, parameters); err != nil {
		return outcome{err: err}
	}
	return outcome{next: StepChecking}
}

// resized ends a change of size that was done: from here the reseller is billed for the
// other SKU, in the transaction that says so.
func (s *Service) resized(ctx context.Context, tx *tenancy.Tx) error {
	to, was := s.OperationArgs, s.SKU
	s.SKU, s.Label, s.Spec = to.SKU, to.Label, to.Spec
	if err := s.keepSize(ctx, tx); err != nil {
		return err
	}
	if was != to.SKU && !s.ByHand() {
		u := s.usage("change", tx.Now())
		u.Key += "/" + to.Change.String()
		if _, err := tx.RecordUsage(ctx, u); err != nil {
			return err
		}
	}
	if err := s.tell(ctx, tx, event{kind: "service.resized", text: "It is " + s.Label + " now. A restart may be needed before the system sees it.", seen: true}); err != nil {
		return err
	}
	return s.tellResized(ctx, tx, "")
}

// notResized ends a change of size that was not done. The service stays as it was.
func (d *Desk) notResized(ctx context.Context, tx *tenancy.Tx, s *Service, problem string) error {
	if err := s.tell(ctx, tx, event{kind: "service.not_resized", text: "The change to " + s.OperationArgs.Label + " could not be made. It runs on as it was.", seen: true}); err != nil {
		return err
	}
	if err := s.tell(ctx, tx, event{kind: "service.refused", text: problem}); err != nil {
		return err
	}
	if err := s.alert(ctx, tx, "service.not_resized", s.Label+" was not changed to "+s.OperationArgs.Label+": "+problem); err != nil {
		return err
	}
	if err := s.tellResized(ctx, tx, problem); err != nil {
		return err
	}
	was := s.Problem
	s.Problem = "It could not be changed to " + s.OperationArgs.Label + ". " + problem
	err := d.writeToTeam(ctx, tx, s)
	s.Problem = was
	return err
}

func (s *Service) tellResized(ctx context.Context, tx *tenancy.Tx, problem string) error {
	job := ResizedJob{ServiceID: s.ID, SubscriptionID: s.SubscriptionID, Key: s.OperationArgs.Change, Problem: problem}
	_, err := tx.Enqueue(ctx, job, tenancy.JobOptions{Key: s.ID.String() + "/" + s.OperationKey.String()})
	return err
}

// keepSize writes what save leaves alone: what was sold.
func (s *Service) keepSize(ctx context.Context, tx *tenancy.Tx) error {
	spec, err := json.Marshal(s.Spec)
	if err != nil {
		return err
	}
	var sold string
	err = tx.NewRaw("UPDATE services SET sku = ?, label = ?, spec = ?::jsonb, changed_at = ? WHERE id = ? RETURNING "+soldFor("services"), s.SKU, s.Label, string(spec), tx.Now(), s.ID).Scan(ctx, &sold)
	if err != nil {
		return fmt.Errorf("keep the size of service %s: %w", s.ID, err)
	}
	return s.show(ctx, tx, sold)
}

// Resizable says why a service cannot be changed at the moment; nil: it can. One that is
// busy can be asked again later.
func (s *Service) Resizable() error {
	if err := s.free(); err != nil && !fault.Is(err, "service.busy") {
		return err
	}
	return nil
}
