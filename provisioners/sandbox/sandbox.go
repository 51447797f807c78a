// Package sandbox is a driver that delivers nothing: the services of a sandbox are rows
// that a store of the caller's keeps, so that they are created, suspended and ended like
// real ones and no platform is ever asked for them. It owns what a service does when it is
// asked; it knows neither rows nor tenants.
package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ezscale/ezscale/provisioners"
)

// Server is one service as it stands.
type Server struct {
	Ref    provisioners.Ref
	Key    string
	Name   string
	Status provisioners.Status // active, suspended or gone
	Power  provisioners.Power
	Spec   provisioners.Spec
}

// ErrNone is returned by a store for what it does not have.
var ErrNone = errors.New("sandbox: there is no such server")

// Store keeps servers. Put is by Ref: the last one stands.
type Store interface {
	Get(ctx context.Context, ref provisioners.Ref) (Server, error)
	Put(ctx context.Context, s Server) error
}

// Driver delivers into a store. It is as safe for concurrent use as the store.
type Driver struct{ Store Store }

var (
	_ provisioners.Driver    = Driver{}
	_ provisioners.Suspender = Driver{}
	_ provisioners.Powerer   = Driver{}
	_ provisioners.Rebuilder = Driver{}
	_ provisioners.Renamer   = Driver{}
	_ provisioners.Resizer   = Driver{}
	_ provisioners.Checker   = Driver{}
)

// RefOf is the name of what is created for a key.
func RefOf(key string) provisioners.Ref {
	sum := sha256.Sum256([]byte(key))
	return provisioners.Ref("sandbox-" + hex.EncodeToString(sum[:8]))
}

// Password is that of every service: there is nothing behind it.
const Password = "sandbox"

// Create makes a service that runs at once.
func (d Driver) Create(ctx context.Context, req provisioners.CreateRequest) (provisioners.Created, error) {
	if req.Key == "" {
		return provisioners.Created{}, fmt.Errorf("%w: a service without a key", provisioners.ErrRefused)
	}
	ref := RefOf(req.Key)
	s, err := d.Store.Get(ctx, ref)
	if errors.Is(err, ErrNone) || err == nil && s.Status == provisioners.StatusGone {
		s = Server{Ref: ref, Key: req.Key, Name: req.Name, Status: provisioners.StatusActive, Power: provisioners.PowerOn, Spec: req.Spec}
		err = d.Store.Put(ctx, s)
	}
	if err != nil {
		return provisioners.Created{}, later(err)
	}
	if req.Known != nil {
		if err := req.Known(ctx, ref); err != nil {
			return provisioners.Created{Ref: ref}, err
		}
	}
	return provisioners.Created{Ref: ref, Credentials: provisioners.Credentials{User: "root", Password: Password}, Addresses: []string{address(ref)}}, nil
}

// address is one of those nobody has (RFC 5737).
func address(ref provisioners.Ref) string {
	sum := sha256.Sum256([]byte(ref))
	return fmt.Sprintf("192.0.2.%d", sum[0]%254+1)
}

// State tells what is kept.
func (d Driver) State(ctx context.Context, ref provisioners.Ref) (provisioners.State, error) {
	s, err := d.Store.Get(ctx, ref)
	if errors.Is(err, ErrNone) || err == nil && s.Status == provisioners.StatusGone {
		return provisioners.State{Status: provisioners.StatusGone}, nil
	}
	if err != nil {
		return provisioners.State{}, later(err)
	}
	return provisioners.State{Status: s.Status, Power: s.Power, Name: s.Name, Addresses: []string{address(ref)}, Spec: s.Spec}, nil
}

// Destroy removes; destroying what is gone succeeds.
func (d Driver) Destroy(ctx context.Context, ref provisioners.Ref) error {
	err := d.change(ctx, ref, func(s *Server) { s.Status, s.Power = provisioners.StatusGone, provisioners.PowerOff })
	if errors.Is(err, provisioners.ErrGone) {
		return nil
	}
	return err
}

// Suspend stops it.
func (d Driver) Suspend(ctx context.Context, ref provisioners.Ref) error {
	return d.change(ctx, ref, func(s *Server) { s.Status, s.Power = provisioners.StatusSuspended, provisioners.PowerOff })
}

// Release starts it again.
func (d Driver) Release(ctx context.Context, ref provisioners.Ref) error {
	return d.change(ctx, ref, func(s *Server) { s.Status, s.Power = provisioners.StatusActive, provisioners.PowerOn })
}

// Power starts and stops.
func (d Driver) Power(ctx context.Context, ref provisioners.Ref, action provisioners.PowerAction) error {
	return d.change(ctx, ref, func(s *Server) {
		s.Power = provisioners.PowerOn
		if action == provisioners.Stop || action == provisioners.ForceOff {
			s.Power = provisioners.PowerOff
		}
	})
}

// Rebuild installs at once.
func (d Driver) Rebuild(ctx context.Context, ref provisioners.Ref, r provisioners.RebuildRequest) (provisioners.Credentials, error) {
	err := d.change(ctx, ref, func(s *Server) { s.Name, s.Power = r.Name, provisioners.PowerOn })
	return provisioners.Credentials{User: "root", Password: Password}, err
}

// Rename changes what it is called.
func (d Driver) Rename(ctx context.Context, ref provisioners.Ref, name string) error {
	return d.change(ctx, ref, func(s *Server) { s.Name = name })
}

// Resize gives it another size at once.
func (d Driver) Resize(ctx context.Context, ref provisioners.Ref, to provisioners.Spec, _ map[string]any) error {
	return d.change(ctx, ref, func(s *Server) { s.Spec = to })
}

// Check always works.
func (Driver) Check(context.Context) (provisioners.Health, error) {
	return provisioners.Health{Version: "sandbox", Notes: []string{"Nothing runs: services here are for trying things out."}}, nil
}

func (d Driver) change(ctx context.Context, ref provisioners.Ref, do func(*Server)) error {
	s, err := d.Store.Get(ctx, ref)
	if errors.Is(err, ErrNone) || err == nil && s.Status == provisioners.StatusGone {
		return provisioners.ErrGone
	}
	if err != nil {
		return later(err)
	}
	do(&s)
	if err := d.Store.Put(ctx, s); err != nil {
		return later(err)
	}
	return nil
}

// later says that the store could not be asked.
func later(err error) error {
	return &provisioners.RetryError{Err: fmt.Errorf("%w: %w", provisioners.ErrUnavailable, err)}
}
