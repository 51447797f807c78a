package hosting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// outcome is what came of asking the platform.
type outcome struct {
	err   error // nil, one that may be tried again, or a final one
	next  Step  // where the operation stands now; empty with done
	done  bool
	gone  bool                      // the platform does not have it any more
	state *provisioners.State       // as seen, if it was looked at
	creds *provisioners.Credentials // new ones; without a password: the old ones are void
	ref   provisioners.Ref
	addrs []string
	// What went over its network, where it is billed by it and the platform tells.
	traffic []provisioners.Traffic
}

// pollEvery is how often an operation under way is looked at.
const pollEvery = 5 * time.Second

// ask does the step of an operation that was claimed. Nothing of it is within a transaction.
func (d *Desk) ask(ctx context.Context, db *tenancy.DB, w work) outcome {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	driver, err := d.driver(ctx, db, w.PlatformID)
	if err != nil {
		return outcome{err: err}
	}
	traffic := d.carried(ctx, w, driver) // before anything ends the service
	o := d.askDriver(ctx, db, w, driver)
	if errors.Is(o.err, provisioners.ErrGone) && w.Operation != OpCreate {
		o = outcome{gone: true}
	}
	o.traffic = traffic
	return o
}

func (d *Desk) askDriver(ctx context.Context, db *tenancy.DB, w work, driver provisioners.Driver) outcome {
	switch w.Operation {
	case OpCreate:
		return d.askCreate(ctx, db, w, driver)
	case OpRebuild:
		return d.askRebuild(ctx, db, w, driver)
	case OpTerminate:
		return d.askTerminate(ctx, db, w, driver)
	case OpSuspend, OpRelease:
		return askSuspend(ctx, w, driver)
	case OpStart, OpStop, OpRestart, OpForceOff:
		return askPower(ctx, w, driver)
	case OpResize:
		return d.askResize(ctx, db, w, driver)
	case OpRename:
		r, ok := driver.(provisioners.Renamer)
		if !ok {
			return outcome{done: true}
		}
		return after(r.Rename(ctx, w.Ref, w.Name))
	case OpResetPassword:
		return askPassword(ctx, w, driver)
	default:
		return look(ctx, w, driver)
	}
}

// after is done, or not.
func after(err error) outcome { return outcome{err: err, done: err == nil} }

// look asks how it is.
func look(ctx context.Context, w work, driver provisioners.Driver) outcome {
	s, err := driver.State(ctx, w.Ref)
	if err != nil {
		return outcome{err: err}
	}
	return outcome{state: &s, gone: s.Status == provisioners.StatusGone, done: w.Operation == ""}
}

func (d *Desk) askCreate(ctx context.Context, db *tenancy.DB, w work, driver provisioners.Driver) outcome {
	switch w.Step {
	case StepInstalling:
		return installing(ctx, w, driver)
	case StepPassword:
		return askPassword(ctx, w, driver)
	}
	parameters, image, err := d.delivery(ctx, db, w.SKU, w.PlatformID, w.Region, w.Image)
	if err != nil {
		return outcome{err: err}
	}
	d.between("before create")
	made, err := driver.Create(ctx, d.request(db, w, parameters, image, nil))
	if err != nil {
		return outcome{err: err, ref: made.Ref}
	}
	d.between("created")
	o := outcome{next: StepInstalling, ref: made.Ref, addrs: made.Addresses}
	if made.Credentials.Password != "" {
		o.creds = &made.Credentials
	}
	return o
}

// errFound stops a creation that was only to find what there is.
var errFound = errors.New("hosting: found what was created")

// request is what the driver is asked to create; stop ends it once the name is known.
func (d *Desk) request(db *tenancy.DB, w work, parameters map[string]any, image string, stop error) provisioners.CreateRequest {
	return provisioners.CreateRequest{
		Key: w.key(), Owner: w.Owner, Name: w.Name, Hostname: w.Hostname, Spec: w.Spec, Image: image, SSHKeys: w.SSHKeys, Parameters: parameters,
		Known: func(ctx context.Context, ref provisioners.Ref) error {
			d.between("named")
			if err := d.known(ctx, db, w, ref); err != nil {
				return &provisioners.RetryError{Err: err}
			}
			d.between("name kept")
			return stop
		},
	}
}

// installing looks whether a new installation runs.
func installing(ctx context.Context, w work, driver provisioners.Driver) outcome {
	o := look(ctx, w, driver)
	if o.err != nil || o.gone {
		return o
	}
	switch s := o.state; {
	case s.Status == provisioners.StatusFailed:
		o.err = fmt.Errorf("%w: the installation failed: %s", provisioners.ErrRefused, s.Problem)
	case s.Busy || s.Status == provisioners.StatusInstalling:
		o.next = StepInstalling
	case !w.HasCredentials() && canReset(driver):
		o.next = StepPassword
	default:
		o.done = true
	}
	return o
}

func canReset(driver provisioners.Driver) bool {
	_, ok := driver.(provisioners.PasswordResetter)
	return ok
}

// askPassword has a new password set.
func askPassword(ctx context.Context, w work, driver provisioners.Driver) outcome {
	r, ok := driver.(provisioners.PasswordResetter)
	if !ok {
		return outcome{err: provisioners.ErrUnsupported}
	}
	c, err := r.ResetPassword(ctx, w.Ref)
	if err != nil {
		return outcome{err: err}
	}
	return outcome{done: true, creds: &c}
}

func (d *Desk) askRebuild(ctx context.Context, db *tenancy.DB, w work, driver provisioners.Driver) outcome {
	switch w.Step {
	case StepInstalling:
		return installing(ctx, w, driver)
	case StepPassword:
		return askPassword(ctx, w, driver)
	}
	r, ok := driver.(provisioners.Rebuilder)
	if !ok {
		return outcome{err: provisioners.ErrUnsupported}
	}
	_, image, err := d.delivery(ctx, db, w.SKU, w.PlatformID, w.Region, w.OperationArgs.Image)
	if err != nil {
		return outcome{err: err}
	}
	c, err := r.Rebuild(ctx, w.Ref, provisioners.RebuildRequest{
		Key: w.OperationKey.String(), Image: image, Hostname: w.Hostname, Name: w.Name, SSHKeys: w.SSHKeys,
	})
	if err != nil {
		return outcome{err: err}
	}
	return outcome{next: StepInstalling, creds: &c}
}

// checkFor is how long an operation may take to show before it is asked for again.
const checkFor = 3 * time.Minute

func askSuspend(ctx context.Context, w work, driver provisioners.Driver) outcome {
	s, ok := driver.(provisioners.Suspender)
	if !ok {
		return outcome{err: provisioners.ErrUnsupported}
	}
	if w.Step != StepChecking {
		ask := s.Suspend
		if w.Operation == OpRelease {
			ask = s.Release
		}
		if err := ask(ctx, w.Ref); err != nil {
			return outcome{err: err}
		}
		return outcome{next: StepChecking}
	}
	o := look(ctx, w, driver)
	if o.err != nil || o.gone {
		return o
	}
	isSuspended := o.state.Status == provisioners.StatusSuspended
	o.done = isSuspended == (w.Operation == OpSuspend)
	o.next = StepChecking
	if !o.done && !o.state.Busy {
		o.next = StepAsking
	}
	return o
}

func askPower(ctx context.Context, w work, driver provisioners.Driver) outcome {
	p, ok := driver.(provisioners.Powerer)
	if !ok {
		return outcome{err: provisioners.ErrUnsupported}
	}
	if w.Step != StepChecking {
		if err := p.Power(ctx, w.Ref, provisioners.PowerAction(w.Operation)); err != nil {
			return outcome{err: err}
		}
		return outcome{next: StepChecking}
	}
	o := look(ctx, w, driver)
	if o.err != nil || o.gone {
		return o
	}
	want := provisioners.PowerOn
	if w.Operation == OpStop || w.Operation == OpForceOff {
		want = provisioners.PowerOff
	}
	o.next = StepChecking
	o.done = !o.state.Busy && (o.state.Power == want || o.state.Power == provisioners.PowerUnknown)
	return o
}

func (d *Desk) askTerminate(ctx context.Context, db *tenancy.DB, w work, driver provisioners.Driver) outcome {
	switch w.Step {
	case StepFinding:
		return d.find(ctx, db, w, driver)
	case StepChecking:
		o := look(ctx, w, driver)
		if o.next = StepChecking; o.err == nil && !o.gone && !o.state.Busy {
			o.next = StepAsking
		}
		return o
	}
	d.between("before destroy")
	if err := driver.Destroy(ctx, w.Ref); err != nil {
		return outcome{err: err}
	}
	return outcome{next: StepChecking}
}

// find looks for what an interrupted creation may have left: the driver goes on with it
// as far as its name, or makes what is then destroyed. A refusal says that there is nothing.
func (d *Desk) find(ctx context.Context, db *tenancy.DB, w work, driver provisioners.Driver) outcome {
	parameters, image, err := d.delivery(ctx, db, w.SKU, w.PlatformID, w.Region, w.Image)
	if err != nil {
		return outcome{err: err}
	}
	_, err = driver.Create(ctx, d.request(db, w, parameters, image, errFound))
	switch {
	case errors.Is(err, errFound), err == nil:
		return outcome{next: StepAsking}
	case again(err) == nil:
		return outcome{gone: true}
	}
	return outcome{err: err}
}

// again is when an error may be tried again; nil: it is final.
func again(err error) *provisioners.RetryError {
	var r *provisioners.RetryError
	if errors.As(err, &r) {
		return r
	}
	for _, final := range []error{provisioners.ErrRefused, provisioners.ErrNoRoom, provisioners.ErrUnsupported, provisioners.ErrGone} {
		if errors.Is(err, final) {
			return nil
		}
	}
	if f := fault.From(err); f.Kind != fault.Internal && f.Kind != fault.Unavailable {
		return nil
	}
	return &provisioners.RetryError{Err: err} // ours to mend: a database, a key, a deadline
}

// backoff is how long to wait after so many attempts that came to nothing.
func backoff(attempts int) time.Duration {
	return min(pollEvery<<min(attempts, 10), 5*time.Minute)
}
