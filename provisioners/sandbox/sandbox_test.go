package sandbox_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/provisioners/sandbox"
)

// shelf is a store of the test's own.
type shelf struct {
	all  map[provisioners.Ref]sandbox.Server
	down error
}

func (s *shelf) Get(_ context.Context, ref provisioners.Ref) (sandbox.Server, error) {
	found, ok := s.all[ref]
	if s.down != nil {
		return found, s.down
	}
	if !ok {
		return found, sandbox.ErrNone
	}
	return found, nil
}

func (s *shelf) Put(_ context.Context, one sandbox.Server) error {
	if s.down == nil {
		s.all[one.Ref] = one
	}
	return s.down
}

func TestLifeOfAServer(t *testing.T) {
	kept := &shelf{all: map[provisioners.Ref]sandbox.Server{}}
	d := sandbox.Driver{Store: kept}
	ctx := t.Context()
	var named provisioners.Ref
	req := provisioners.CreateRequest{Key: "t7/abc", Name: "web", Spec: provisioners.Spec{CPU: 2}, Known: func(_ context.Context, r provisioners.Ref) error { named = r; return nil }}
	made, err := d.Create(ctx, req)
	if err != nil || made.Ref == "" || named != made.Ref || len(made.Addresses) != 1 {
		t.Fatalf("create: %+v, named %q, %v", made, named, err)
	}
	if again, err := d.Create(ctx, req); err != nil || again.Ref != made.Ref || len(kept.all) != 1 {
		t.Fatalf("the same key again: %+v, %v, %d servers", again, err, len(kept.all))
	}
	is := func(when string, want provisioners.Status) {
		t.Helper()
		if s, err := d.State(ctx, made.Ref); err != nil || s.Status != want {
			t.Errorf("%s: %s, %v; want %s", when, s.Status, err, want)
		}
	}
	is("created", provisioners.StatusActive)
	for _, step := range []struct {
		name string
		do   func() error
		want provisioners.Status
	}{
		{"suspend", func() error { return d.Suspend(ctx, made.Ref) }, provisioners.StatusSuspended},
		{"release", func() error { return d.Release(ctx, made.Ref) }, provisioners.StatusActive},
		{"stop", func() error { return d.Power(ctx, made.Ref, provisioners.Stop) }, provisioners.StatusActive},
		{"resize", func() error { return d.Resize(ctx, made.Ref, provisioners.Spec{CPU: 4}, nil) }, provisioners.StatusActive},
		{"rename", func() error { return d.Rename(ctx, made.Ref, "db") }, provisioners.StatusActive},
		{"destroy", func() error { return d.Destroy(ctx, made.Ref) }, provisioners.StatusGone},
		{"destroy again", func() error { return d.Destroy(ctx, made.Ref) }, provisioners.StatusGone},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		is(step.name, step.want)
	}
	if err := d.Suspend(ctx, made.Ref); !errors.Is(err, provisioners.ErrGone) {
		t.Errorf("suspend what is gone: %v", err)
	}
	if err := d.Destroy(ctx, "never-was"); err != nil {
		t.Errorf("destroy what never was: %v", err)
	}
}

func TestAStoreThatIsAwayIsAskedAgain(t *testing.T) {
	d := sandbox.Driver{Store: &shelf{down: errors.New("away")}}
	for name, do := range map[string]func() error{
		"create":  func() error { _, err := d.Create(t.Context(), provisioners.CreateRequest{Key: "k"}); return err },
		"state":   func() error { _, err := d.State(t.Context(), "x"); return err },
		"suspend": func() error { return d.Suspend(t.Context(), "x") },
	} {
		var again *provisioners.RetryError
		if err := do(); !errors.As(err, &again) || !errors.Is(err, provisioners.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
