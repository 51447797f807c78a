// Package provisionertest is what every driver must do, tried against its platform's
// simulator: above all that one key never makes two services, whatever is lost on the way.
// It is for tests alone.
package provisionertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ezscale/ezscale/provisioners"
)

// Fault is something that goes wrong at the platform.
type Fault struct {
	Writes     bool   // only calls that change something
	Status     int    // answered; 0: the connection is cut
	RetryAfter string // with the status
	Body       string
	After      bool // the call is done first, and its answer lost
	Skip       int  // calls that go well before
	Times      int  // 0: until Mend
}

// Bench is a platform with nothing on it, and a driver for it.
type Bench struct {
	Driver     provisioners.Driver
	Parameters map[string]any
	Spec       provisioners.Spec
	Image      string
	OtherImage string

	Ready        func() // lets the time pass that installations and tasks take
	Break        func(Fault)
	Mend         func()
	Count        func() int                    // services the platform has
	DeleteBehind func(provisioners.Ref)        // as somebody at its own panel would
	FailBuild    func(provisioners.Ref)        // the installation ends badly; nil: the simulator cannot
	Fill         func()                        // no room from now on
	Stranger     func() provisioners.Driver    // with a token the platform does not know
	Limited      func() []provisioners.Driver  // with tokens that lack a permission needed to create
	Installs     func(provisioners.Ref) int    // how often it was installed; nil: not counted
	Password     func(provisioners.Ref) string // as the platform has it; nil: not known
}

const key = "t42/0190f5a0-0000-7000-8000-000000000001"

func (b *Bench) request(k string) provisioners.CreateRequest {
	return provisioners.CreateRequest{
		Key: k, Owner: provisioners.Owner{Key: "t42/a", Name: "Ada Lovelace", Email: "ada@example.com"}, Name: "web one", Hostname: "web1.example.com",
		Spec: b.Spec, Image: b.Image, Parameters: b.Parameters, SSHKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ada"},
	}
}

func (b *Bench) create(t *testing.T) provisioners.Created {
	t.Helper()
	c, err := b.Driver.Create(t.Context(), b.request(key))
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	return c
}

func (b *Bench) state(t *testing.T, ref provisioners.Ref) provisioners.State {
	t.Helper()
	s, err := b.Driver.State(t.Context(), ref)
	if err != nil {
		t.Fatalf("state: %v", err)
	}
	return s
}

// later says that err may be tried again, and carries want.
func later(t *testing.T, what string, err, want error) {
	t.Helper()
	var r *provisioners.RetryError
	if !errors.As(err, &r) || !errors.Is(err, want) {
		t.Errorf("%s: %v, want a RetryError with %v", what, err, want)
	}
}

// final says that err will not get better by itself, and carries want.
func final(t *testing.T, what string, err, want error) {
	t.Helper()
	var r *provisioners.RetryError
	if errors.As(err, &r) || !errors.Is(err, want) {
		t.Errorf("%s: %v, want a final %v", what, err, want)
	}
}

// Run tries everything; each part gets a bench of its own.
func Run(t *testing.T, bench func(testing.TB) *Bench) {
	for name, part := range map[string]func(*testing.T, *Bench){
		"Life": life, "CreateTwice": createTwice, "Known": known, "Refused": refused, "Credentials": credentials, "Outage": outage,
		"Gone": gone, "Failed": failed, "Suspend": suspend, "Power": power, "Rename": rename, "Password": password, "Looks": looks, "Cancelled": cancelled,
	} {
		t.Run(name, func(t *testing.T) { part(t, bench(t)) })
	}
	t.Run("LostAnswers", func(t *testing.T) { lost(t, bench) })
	t.Run("LostRebuild", func(t *testing.T) { lostRebuild(t, bench) })
}

func life(t *testing.T, b *Bench) {
	c := b.create(t)
	if c.Ref == "" || len(c.Addresses) == 0 {
		t.Fatalf("created: %+v", c)
	}
	if s := b.state(t, c.Ref); s.Status != provisioners.StatusInstalling || s.Step == "" {
		t.Errorf("at once: %+v", s)
	}
	b.Ready()
	s := b.state(t, c.Ref)
	if s.Status != provisioners.StatusActive || s.Busy || s.Name != "web one" || s.Hostname != "web1.example.com" || len(s.Addresses) == 0 || s.Spec.MemoryMB != b.Spec.MemoryMB {
		t.Errorf("ready: %+v", s)
	}
	for range 2 {
		if err := b.Driver.Destroy(t.Context(), c.Ref); err != nil {
			t.Fatalf("destroy: %v", err)
		}
	}
	if s := b.state(t, c.Ref); s.Status != provisioners.StatusGone {
		t.Errorf("destroyed: %+v", s)
	}
	if n := b.Count(); n != 0 {
		t.Errorf("%d left", n)
	}
}

func createTwice(t *testing.T, b *Bench) {
	first, again := b.create(t), b.create(t)
	b.Ready()
	late := b.create(t)
	if first.Ref != again.Ref || first.Ref != late.Ref || b.Count() != 1 {
		t.Errorf("%s, %s, %s; %d services", first.Ref, again.Ref, late.Ref, b.Count())
	}
	other, err := b.Driver.Create(t.Context(), b.request(key+"2"))
	if err != nil || other.Ref == first.Ref || b.Count() != 2 {
		t.Errorf("another key: %+v, %v; %d services", other, err, b.Count())
	}
	if b.Installs != nil && b.Installs(first.Ref) != 1 {
		t.Errorf("installed %d times", b.Installs(first.Ref))
	}
}

func known(t *testing.T, b *Bench) {
	var told provisioners.Ref
	stop := errors.New("the process died here")
	req := b.request(key)
	req.Known = func(_ context.Context, ref provisioners.Ref) error { told = ref; return stop }
	if _, err := b.Driver.Create(t.Context(), req); !errors.Is(err, stop) {
		t.Fatalf("known's error: %v", err)
	}
	if told == "" {
		t.Fatal("known was told no name")
	}
	if b.Installs != nil && b.Installs(told) != 0 {
		t.Error("it went on although it was stopped")
	}
	c := b.create(t)
	if c.Ref != told || b.Count() != 1 {
		t.Errorf("%s after %s; %d services", c.Ref, told, b.Count())
	}
}

// lost cuts each call that changes something, before and after it was done.
func lost(t *testing.T, bench func(testing.TB) *Bench) {
	for _, after := range []bool{false, true} {
		for n := 0; ; n++ {
			if n > 20 {
				t.Fatal("creating takes more than 20 calls")
			}
			b := bench(t)
			b.Break(Fault{Writes: true, After: after, Skip: n, Times: 1})
			_, err := b.Driver.Create(t.Context(), b.request(key))
			if err == nil {
				if n == 0 {
					t.Fatal("creating changed nothing")
				}
				break
			}
			what := fmt.Sprintf("call %d cut (after it was done: %t)", n+1, after)
			later(t, what, err, provisioners.ErrUnavailable)
			b.Mend()
			c := b.create(t)
			b.Ready()
			// Twice more, as a worker that does not know how far it came.
			if again := b.create(t); again.Ref != c.Ref {
				t.Errorf("%s: %s, then %s", what, c.Ref, again.Ref)
			}
			if b.Count() != 1 || b.state(t, c.Ref).Status != provisioners.StatusActive {
				t.Errorf("%s: %d services, %+v", what, b.Count(), b.state(t, c.Ref))
			}
			if b.Installs != nil && b.Installs(c.Ref) != 1 {
				t.Errorf("%s: installed %d times", what, b.Installs(c.Ref))
			}
		}
	}
}

func refused(t *testing.T, b *Bench) {
	req := b.request(key)
	req.Parameters = map[string]any{}
	_, err := b.Driver.Create(t.Context(), req)
	final(t, "without parameters", err, provisioners.ErrRefused)
	req = b.request(key)
	req.Image = "no such image"
	_, err = b.Driver.Create(t.Context(), req)
	final(t, "without an image", err, provisioners.ErrRefused)
	if b.Count() != 0 {
		t.Errorf("%d services of refused orders", b.Count())
	}
	b.Fill()
	_, err = b.Driver.Create(t.Context(), b.request(key))
	final(t, "full", err, provisioners.ErrNoRoom)
	if c, ok := b.Driver.(provisioners.Capacity); ok {
		if room, err := c.Capacity(t.Context(), b.Parameters, b.Spec); err != nil || room.Free != 0 {
			t.Errorf("capacity of a full platform: %+v, %v", room, err)
		}
	}
}

func credentials(t *testing.T, b *Bench) {
	_, err := b.Stranger().Create(t.Context(), b.request(key))
	later(t, "a token the platform does not know", err, provisioners.ErrCredentials)
	if c, ok := b.Stranger().(provisioners.Checker); ok {
		_, err := c.Check(t.Context())
		later(t, "check with it", err, provisioners.ErrCredentials)
	}
	for i, d := range b.Limited() {
		_, err := d.Create(t.Context(), b.request(fmt.Sprint(key, i)))
		later(t, "a token without permission", err, provisioners.ErrCredentials)
	}
}

func outage(t *testing.T, b *Bench) {
	c := b.create(t)
	b.Ready()
	for _, f := range []struct {
		Fault
		want  error
		after time.Duration
	}{
		{Fault{Status: 500}, provisioners.ErrUnavailable, 0}, {Fault{Status: 502, Body: "<html>Bad Gateway</html>"}, provisioners.ErrUnavailable, 0},
		{Fault{Status: 503, Body: "{"}, provisioners.ErrUnavailable, 0}, {Fault{Status: 404, Body: "<html>nginx</html>"}, provisioners.ErrUnavailable, 0},
		{Fault{Status: 302}, provisioners.ErrUnavailable, 0}, {Fault{}, provisioners.ErrUnavailable, 0},
		{Fault{Status: 429, RetryAfter: "7"}, provisioners.ErrUnavailable, 7 * time.Second}, {Fault{Status: 423}, provisioners.ErrLocked, time.Second},
		{Fault{Status: 200, Body: "<html>Under maintenance</html>"}, provisioners.ErrUnavailable, 0},
	} {
		b.Break(f.Fault)
		_, err := b.Driver.State(t.Context(), c.Ref)
		later(t, fmt.Sprintf("state during %+v", f.Fault), err, f.want)
		var r *provisioners.RetryError
		if errors.As(err, &r) && (r.After < f.after || f.want == provisioners.ErrUnavailable && r.After != f.after) { //nolint:errorlint // a value of the table
			t.Errorf("%+v: try again in %s, want %s", f.Fault, r.After, f.after)
		}
		if f.Status != 200 { // an empty answer is what the platform gives to a destroy
			later(t, fmt.Sprintf("destroy during %+v", f.Fault), b.Driver.Destroy(t.Context(), c.Ref), f.want)
		}
		_, err = b.Driver.Create(t.Context(), b.request(key+"-late"))
		if err == nil {
			t.Errorf("created during %+v", f.Fault)
		}
		b.Mend()
	}
	if b.Count() != 1 || b.state(t, c.Ref).Status != provisioners.StatusActive {
		t.Errorf("after all: %d services", b.Count())
	}
}

func gone(t *testing.T, b *Bench) {
	ctx := t.Context()
	c := b.create(t)
	b.Ready()
	b.DeleteBehind(c.Ref)
	if s := b.state(t, c.Ref); s.Status != provisioners.StatusGone {
		t.Errorf("state: %+v", s)
	}
	if d, ok := b.Driver.(provisioners.Suspender); ok {
		final(t, "suspend", d.Suspend(ctx, c.Ref), provisioners.ErrGone)
		final(t, "release", d.Release(ctx, c.Ref), provisioners.ErrGone)
	}
	if d, ok := b.Driver.(provisioners.Powerer); ok {
		final(t, "power", d.Power(ctx, c.Ref, provisioners.Start), provisioners.ErrGone)
	}
	if d, ok := b.Driver.(provisioners.Rebuilder); ok {
		_, err := d.Rebuild(ctx, c.Ref, provisioners.RebuildRequest{Key: "r1", Image: b.OtherImage})
		final(t, "rebuild", err, provisioners.ErrGone)
	}
	if err := b.Driver.Destroy(ctx, c.Ref); err != nil {
		t.Errorf("destroy: %v", err)
	}
	for _, never := range []provisioners.Ref{"", "x", "-1", "99999999", "../users/1"} {
		if s, err := b.Driver.State(ctx, never); err == nil && s.Status != provisioners.StatusGone {
			t.Errorf("state of %q: %+v", never, s)
		} else if err != nil && !errors.Is(err, provisioners.ErrGone) {
			t.Errorf("state of %q: %v", never, err)
		}
	}
}

func failed(t *testing.T, b *Bench) {
	if b.FailBuild == nil {
		return
	}
	c := b.create(t)
	b.FailBuild(c.Ref)
	b.Ready()
	if s := b.state(t, c.Ref); s.Status != provisioners.StatusFailed || s.Problem == "" {
		t.Errorf("%+v", s)
	}
}
