package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Sealer seals platforms' tokens; *secrets.Keyring is one.
type Sealer interface {
	Seal(purpose string, aad, plain []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Price is what a reseller pays for one SKU, for a month or a unit.
type Price struct {
	Minor    string // a decimal of minor units, which may be finer than one
	Currency string // ISO 4217
}

// Prices says what a tenant pays now; the wholesale part answers. A SKU without a price
// is missing from the map and cannot be sold.
type Prices interface {
	Prices(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID) (map[string]Price, error)
}

// Connection is what a driver is made with.
type Connection struct {
	BaseURL  string // without a slash at the end
	Token    string
	Settings json.RawMessage // an object in the driver's own words
	Client   *http.Client
}

// Factory makes a driver. It connects to nothing; its error is about the settings.
type Factory func(Connection) (provisioners.Driver, error)

// Registry leads to the platforms. It is safe for concurrent use.
type Registry struct {
	Central *tenancy.Central
	Keys    Sealer
	Prices  Prices // nil: nothing has a price yet
	// Admit refuses a place more for a tenant that may have no service more; nil: every tenant
	// may have as many as there is room for.
	Admit   func(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID) error
	Drivers map[string]Factory
	Client  *http.Client // calls platforms and nothing else; see tenancy/egress
	// PlainHTTP lets platforms have addresses without TLS, where Client calls those.
	PlainHTTP bool

	mu    sync.Mutex
	open  map[uuid.UUID]opened
	names names
}

// opened is a driver made from a platform's row as it was.
type opened struct {
	driver    provisioners.Driver
	changedAt time.Time
}

// sealPurpose and sealedFor bind a platform's token to its row.
const sealPurpose = "platform"

func sealedFor(id uuid.UUID) []byte { return []byte("platforms/" + id.String()) }

// DriverNames are the drivers that can be connected, in order.
func (r *Registry) DriverNames() []string {
	names := make([]string, 0, len(r.Drivers))
	for n := range r.Drivers {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

var errUnknown = fault.New(fault.NotFound, "platform.unknown", "There is no such platform.")

// Open makes the driver of a platform, or returns the one made before as long as the
// platform was not changed since. A platform that is off cannot be asked: the error is a
// provisioners.RetryError around ErrUnavailable. Fault: platform.unknown.
func (r *Registry) Open(ctx context.Context, id uuid.UUID) (provisioners.Driver, error) {
	p, err := r.record(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("open platform %s: %w", id, err)
	}
	return r.live(p)
}

// openWith is Open with what a page shows of the platform.
func (r *Registry) openWith(ctx context.Context, id uuid.UUID) (Summary, provisioners.Driver, error) {
	var rows []struct {
		Summary
		SealedSecret []byte
	}
	err := r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+summaryColumns+", p.sealed_secret FROM platforms p WHERE p.id = ?", id).Scan(ctx, &rows)
	})
	if err != nil {
		return Summary{}, nil, fmt.Errorf("open platform %s: %w", id, err)
	}
	if len(rows) == 0 {
		return Summary{}, nil, errUnknown
	}
	d, err := r.live(record{rows[0].Platform, rows[0].SealedSecret})
	return rows[0].Summary, d, err
}

// live is the driver of a platform that may be asked.
func (r *Registry) live(p record) (provisioners.Driver, error) {
	if p.State == Off {
		return nil, &provisioners.RetryError{After: 5 * time.Minute, Err: fmt.Errorf("%w: %s is off", provisioners.ErrUnavailable, p.Name)}
	}
	return r.driver(p)
}

// driver is the one for the row as it is.
func (r *Registry) driver(p record) (provisioners.Driver, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o, ok := r.open[p.ID]; ok && o.changedAt.Equal(p.ChangedAt) {
		return o.driver, nil
	}
	token, err := r.Keys.Open(sealPurpose, sealedFor(p.ID), p.SealedSecret)
	if err != nil {
		return nil, fmt.Errorf("token of platform %s: %w", p.ID, err)
	}
	d, err := r.build(p.Driver, Connection{BaseURL: p.BaseURL, Token: string(token), Settings: p.Settings})
	if err != nil {
		return nil, err
	}
	if r.open == nil {
		r.open = map[uuid.UUID]opened{}
	}
	r.open[p.ID] = opened{driver: d, changedAt: p.ChangedAt}
	return d, nil
}

// build makes a driver by its name.
func (r *Registry) build(name string, c Connection) (provisioners.Driver, error) {
	make, ok := r.Drivers[name]
	if !ok {
		return nil, fault.Field("driver", "platform.unknown_driver", "There is no such kind of platform.")
	}
	c.BaseURL, c.Client = strings.TrimRight(c.BaseURL, "/"), r.Client
	d, err := make(c)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "platform.bad_settings", "The settings of this platform cannot be used.")
	}
	return d, nil
}
