// Package provisioners is the contract with the systems that deliver: create, look,
// destroy, and what else each can do. It owns no rows and knows neither tenants nor
// money. Each driver is a package below this one, and passes the suite in
// provisionertest against its simulator.
package provisioners

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Ref is a platform's own name for what it delivers. Empty: none.
type Ref string

// Spec is what is delivered. Zero means the plan's default.
type Spec struct {
	CPU       int `json:"cpu,omitempty"`
	MemoryMB  int `json:"memory_mb,omitempty"`
	DiskGB    int `json:"disk_gb,omitempty"`
	TrafficGB int `json:"traffic_gb,omitempty"` // a month
	IPv4      int `json:"ipv4,omitempty"`
	Backups   int `json:"backups,omitempty"`
}

// Owner is for whom a service is created. A platform with users of its own keeps one a key.
type Owner struct {
	Key   string // ours, unique over all tenants: t42/<account id>
	Name  string
	Email string
}

// CreateRequest asks for one service.
type CreateRequest struct {
	Key        string // ours: what was created for it is found by it; unique over all tenants
	Owner      Owner
	Name       string
	Hostname   string
	Spec       Spec
	Image      string // the offer's parameter for the operating system
	SSHKeys    []string
	Parameters map[string]any // of the offer: the driver's own words
	// Known is called as soon as the platform has a name for it, before anything else is
	// asked, so that a crash cannot lose it; its error stops the creation.
	Known func(context.Context, Ref) error
}

// Status is how a service is, in words all platforms share.
type Status string

// The states.
const (
	StatusInstalling Status = "installing"
	StatusActive     Status = "active"
	StatusSuspended  Status = "suspended"
	StatusFailed     Status = "failed" // the platform gave up
	StatusGone       Status = "gone"
)

// Power is whether it runs.
type Power string

// The states of power.
const (
	PowerUnknown Power = ""
	PowerOn      Power = "on"
	PowerOff     Power = "off"
)

// State is how a service is at the moment. A new one is ready when it is active and not
// busy.
type State struct {
	Status    Status
	Power     Power
	Busy      bool   // the platform works on it; other calls will be refused
	Step      string // what is being done, for people; empty: nothing
	Progress  int    // percent; 0: unknown
	Name      string
	Hostname  string
	Addresses []string // the first is the main one
	Spec      Spec
	Problem   string // why it failed
}

// Credentials open a new service. They are sealed as soon as they arrive.
type Credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
	Note     string `json:"note,omitempty"` // what else is needed, of what people deliver
}

// Created is what the platform answered.
type Created struct {
	Ref Ref
	// Credentials are there when the platform tells the password in its answer. They are
	// missing when that answer was lost (a time-out, a crash) and a later call found the
	// service already made: then PasswordResetter sets new ones once it is active.
	Credentials Credentials
	Addresses   []string
}

// Driver delivers. Errors are RetryError or final; ErrUnavailable, ErrLocked and
// ErrCredentials are always within a RetryError: an outage, a running task or an expired
// token end, and no order of a customer's should fail for them.
type Driver interface {
	// Create is idempotent in req.Key: called again, also after a crash or a time-out, it
	// finds what was created and goes on.
	Create(ctx context.Context, req CreateRequest) (Created, error)
	// State looks; StatusGone is no error.
	State(ctx context.Context, ref Ref) (State, error)
	// Destroy removes; destroying what is gone succeeds.
	Destroy(ctx context.Context, ref Ref) error
}

// The rest is optional: found by asserting the driver's type.
type (
	// Suspender stops a service without losing anything. Both calls may be repeated.
	Suspender interface {
		Suspend(ctx context.Context, ref Ref) error
		Release(ctx context.Context, ref Ref) error
	}
	// Powerer starts and stops.
	Powerer interface {
		Power(ctx context.Context, ref Ref, action PowerAction) error
	}
	// Rebuilder installs anew; everything on it is lost. It answers as soon as the
	// platform has begun; the credentials may be missing as in Created.
	Rebuilder interface {
		Rebuild(ctx context.Context, ref Ref, r RebuildRequest) (Credentials, error)
	}
	// Renamer changes what the platform calls it.
	Renamer interface {
		Rename(ctx context.Context, ref Ref, name string) error
	}
	// PasswordResetter sets a new password and tells it once.
	PasswordResetter interface {
		ResetPassword(ctx context.Context, ref Ref) (Credentials, error)
	}
	// Resizer gives it another size.
	Resizer interface {
		Resize(ctx context.Context, ref Ref, to Spec, parameters map[string]any) error
	}
	// Metered tells what went over the network: first the platform's current period, then
	// those before it, as far as it still knows them.
	Metered interface {
		Traffic(ctx context.Context, ref Ref) ([]Traffic, error)
	}
	// SingleSignOn leads the customer into the platform's own panel.
	SingleSignOn interface {
		SignIn(ctx context.Context, ref Ref, owner Owner) (url string, err error)
	}
	// Checker tests the connection.
	Checker interface {
		Check(ctx context.Context) (Health, error)
	}
	// Capacity says how much more it takes of an offer.
	Capacity interface {
		Capacity(ctx context.Context, parameters map[string]any, spec Spec) (Room, error)
	}
	// Lister names everything the platform runs, page by page until fn returns false.
	Lister interface {
		List(ctx context.Context, fn func(Listed) bool) error
	}
	// Imager lists what can be installed for an offer.
	Imager interface {
		Images(ctx context.Context, parameters map[string]any) ([]Image, error)
	}
	// Chooser says what an offer's parameters can be, for the form that maps a SKU.
	Chooser interface {
		Choices(ctx context.Context) ([]Parameter, error)
	}
)

// Parameter is one of an offer's parameters.
type Parameter struct {
	Name    string // its key in the offer's parameters
	Label   string
	Help    string
	Options []Option // what the platform has; empty: a number is typed
	Needed  bool
}

// Option is one value a parameter can have.
type Option struct {
	Value int64
	Label string
}

// PowerAction is what Powerer does.
type PowerAction string

// The actions.
const (
	Start    PowerAction = "start"
	Stop     PowerAction = "stop" // asks the system to shut down
	Restart  PowerAction = "restart"
	ForceOff PowerAction = "force_off"
)

// RebuildRequest asks for a fresh installation; the same key installs once.
type RebuildRequest struct {
	Key      string
	Image    string
	Hostname string
	Name     string
	SSHKeys  []string
}

// Traffic is what went over the network in one of the platform's periods, in bytes.
type Traffic struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Used  int64     `json:"used"`
	Limit int64     `json:"limit"` // 0: none
}

// Health is what a connection test found.
type Health struct {
	Version string
	Notes   []string
}

// Room is what an offer still takes.
type Room struct {
	Free  int // pieces; -1: the platform does not say
	Total int // -1: the platform does not say
}

// Listed is one service the platform runs.
type Listed struct {
	Ref       Ref
	Key       string // ours, where the platform keeps it; empty: unknown
	Name      string
	Suspended bool
	Created   time.Time
}

// Image is an operating system that can be installed.
type Image struct {
	Code      string `json:"code"` // stable, ours: debian-13
	Name      string `json:"name"`
	Group     string `json:"group"`
	Parameter string `json:"parameter"` // the platform's id
}

var (
	// ErrUnavailable says that the platform could not be asked.
	ErrUnavailable = errors.New("provisioners: the platform is not available")
	// ErrLocked says that the platform is busy with the service.
	ErrLocked = errors.New("provisioners: the service is locked by another task")
	// ErrRefused says that the platform will not do it, now or later, as it was asked.
	ErrRefused = errors.New("provisioners: the platform refuses")
	// ErrNoRoom says that the platform has no resources left.
	ErrNoRoom = errors.New("provisioners: the platform is full")
	// ErrGone says that the service is no longer there.
	ErrGone = errors.New("provisioners: the service is gone")
	// ErrCredentials says that the platform refuses our token.
	ErrCredentials = errors.New("provisioners: the token is refused")
	// ErrUnsupported says that the driver cannot do that.
	ErrUnsupported = errors.New("provisioners: not supported")
)

// RetryError says that the same call may succeed later.
type RetryError struct {
	After time.Duration // at the earliest; 0: the caller's own back-off
	Err   error
}

// Error says what went wrong and when to try again.
func (e *RetryError) Error() string { return fmt.Sprintf("try again in %s: %v", e.After, e.Err) }

// Unwrap is the error beneath.
func (e *RetryError) Unwrap() error { return e.Err }
