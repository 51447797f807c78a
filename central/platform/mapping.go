package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Mapped is what a SKU is on a platform in one region, as staff see it.
type Mapped struct {
	ID         uuid.UUID
	SKU        string `bun:"sku"`
	Name       string // of the SKU
	PlatformID uuid.UUID
	Region     string
	RegionName string
	Parameters json.RawMessage
	Images     []provisioners.Image
	Capacity   *int // nil: unknown
	Used       int
	Held       int // pieces promised and not yet counted by the platform
	State      string
	CheckedAt  time.Time
	ChangedAt  time.Time
}

// Free is what is left; -1: unknown.
func (m Mapped) Free() int {
	if m.Capacity == nil {
		return -1
	}
	return max(*m.Capacity-m.Used-m.Held, 0)
}

// On reports whether it is sold.
func (m Mapped) On() bool { return m.State == "on" }

const mappedColumns = `o.id, o.sku, s.name, o.platform_id, o.region, o.region_name, o.parameters, o.images, o.capacity, o.used,
	ceil(` + openHolds + `)::int AS held, o.state, o.checked_at, o.changed_at`

// OffersOf are a platform's offers, in the price book's order.
func (r *Registry) OffersOf(ctx context.Context, platformID uuid.UUID) (all []Mapped, err error) {
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+mappedColumns+` FROM offers o JOIN skus s ON s.sku = o.sku WHERE o.platform_id = ?
			ORDER BY s.position, o.sku, o.region`, tx.Now(), platformID).Scan(ctx, &all)
	})
	if err != nil {
		return nil, fmt.Errorf("offers of platform: %w", err)
	}
	return all, nil
}

// SKU is one that can be mapped.
type SKU struct {
	Code string `bun:"sku"`
	Name string
}

// SKUs are the services of the price book that are sold.
func (r *Registry) SKUs(ctx context.Context) (all []SKU, err error) {
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT sku, name FROM skus WHERE kind = 'service' AND state = 'active' ORDER BY position, sku").Scan(ctx, &all)
	})
	return all, err
}

// MapForm says what a SKU is on a platform in one region.
type MapForm struct {
	SKU        string
	Region     string
	RegionName string
	Parameters map[string]string // as chosen or typed: the driver's numbers
	More       string            // further parameters, an object in the driver's words; empty: none
}

var regionCode = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// check answers with everything that is wrong at once, and the parameters.
func (f *MapForm) check(known []provisioners.Parameter) (json.RawMessage, error) {
	wrong := map[string]string{}
	f.SKU, f.Region = plain(strings.TrimSpace(f.SKU)), strings.ToLower(plain(strings.TrimSpace(f.Region)))
	f.RegionName = strings.Join(strings.Fields(plain(f.RegionName)), " ")
	if f.SKU == "" {
		wrong["sku"] = "Choose what is sold."
	}
	if !regionCode.MatchString(f.Region) {
		wrong["region"] = "Use up to 20 small letters, digits and hyphens, like ams or fra-2."
	}
	if n := len([]rune(f.RegionName)); n == 0 || n > 60 {
		wrong["region_name"] = "Say what customers call it, in at most 60 characters."
	}
	all := map[string]any{}
	var err error
	if f.More, err = object(f.More); err != nil {
		wrong["more"] = err.Error()
	} else {
		_ = json.Unmarshal([]byte(f.More), &all) // was just read
	}
	for _, p := range known {
		typed := strings.TrimSpace(f.Parameters[p.Name])
		var n int64
		switch _, err := fmt.Sscanf(typed, "%d", &n); {
		case typed == "" && !p.Needed:
		case err != nil || fmt.Sprint(n) != typed || n <= 0 || n > 1<<50:
			wrong[p.Name] = "Choose one, or give its number."
		default:
			all[p.Name] = n
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("map offer: %w", err)
	}
	return b, fault.Fields("offer.invalid", wrong)
}

// Choices says what an offer's parameters can be at a platform. The summary is there
// also when the platform cannot be asked now; the error says why. Fault: platform.unknown.
func (r *Registry) Choices(ctx context.Context, platformID uuid.UUID) (Summary, []provisioners.Parameter, error) {
	p, d, err := r.openWith(ctx, platformID)
	if err != nil {
		return p, nil, err
	}
	c, ok := d.(provisioners.Chooser)
	if !ok {
		return p, nil, nil
	}
	known, err := c.Choices(ctx)
	return p, known, err
}

// Map writes down what a SKU is on a platform in a region, or changes it, and then asks
// the platform for its operating systems and its room. Faults: offer.invalid,
// offer.unknown_sku; platform.unknown; platform.not_asked when it cannot be reached.
func (r *Registry) Map(ctx context.Context, platformID uuid.UUID, f MapForm, by audit.Origin) (uuid.UUID, error) {
	_, known, err := r.Choices(ctx, platformID)
	if err != nil {
		return uuid.Nil, asked(err)
	}
	parameters, err := f.check(known)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("map offer: %w", err)
	}
	err = r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var sold bool
		if err := tx.NewRaw("SELECT EXISTS (SELECT FROM skus WHERE sku = ? AND kind = 'service')", f.SKU).Scan(ctx, &sold); err != nil {
			return err
		}
		if !sold {
			return fault.Field("sku", "offer.unknown_sku", "There is no such service in the price book.")
		}
		err := tx.NewRaw(`INSERT INTO offers (id, sku, platform_id, region, region_name, parameters, images, used, state, changed_at)
			VALUES (?, ?, ?, ?, ?, ?::jsonb, '[]', 0, 'on', ?)
			ON CONFLICT (sku, platform_id, region) DO UPDATE SET region_name = excluded.region_name, parameters = excluded.parameters, state = 'on', changed_at = excluded.changed_at
			RETURNING id`, id, f.SKU, platformID, f.Region, f.RegionName, string(parameters), tx.Now()).Scan(ctx, &id)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "offer.mapped", Target(platformID), map[string]any{"sku": f.SKU, "region": f.Region, "parameters": json.RawMessage(parameters)})
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("map offer: %w", err)
	}
	if _, err := r.ImportImages(ctx, id, by); err != nil {
		return id, err
	}
	d, err := r.Open(ctx, platformID)
	if err != nil {
		return id, asked(err)
	}
	return id, r.refreshOffers(ctx, d, "o.id = ?", id)
}

// asked makes a fault of a platform that cannot be asked now.
func asked(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		return err
	}
	return fault.Wrap(err, fault.Conflict, "platform.not_asked", "The platform cannot be asked at the moment: "+Words(err))
}

// Words says to staff what a driver's error means.
func Words(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, provisioners.ErrCredentials):
		return "it refuses our token, or the token lacks a permission."
	case errors.Is(err, provisioners.ErrLocked):
		return "another task runs on the service."
	case errors.Is(err, provisioners.ErrNoRoom):
		return "it has no room left."
	case errors.Is(err, provisioners.ErrGone):
		return "the service is no longer there."
	case errors.Is(err, provisioners.ErrRefused):
		return "it refuses what was asked."
	case errors.Is(err, provisioners.ErrUnavailable):
		return "there is no usable answer."
	}
	return "something went wrong."
}

// offer reads one offer.
func (r *Registry) offer(ctx context.Context, id uuid.UUID) (Mapped, error) {
	var found []Mapped
	err := r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+mappedColumns+" FROM offers o JOIN skus s ON s.sku = o.sku WHERE o.id = ?", tx.Now(), id).Scan(ctx, &found)
	})
	if err != nil {
		return Mapped{}, fmt.Errorf("offer %s: %w", id, err)
	}
	if len(found) == 0 {
		return Mapped{}, fault.New(fault.NotFound, "offer.unknown", "There is no such offer.")
	}
	return found[0], nil
}

// Offer is one offer of a platform. Fault: offer.unknown.
func (r *Registry) Offer(ctx context.Context, platformID, id uuid.UUID) (Mapped, error) {
	m, err := r.offer(ctx, id)
	if err == nil && m.PlatformID != platformID {
		return Mapped{}, fault.New(fault.NotFound, "offer.unknown", "There is no such offer.")
	}
	return m, err
}

// ImportImages takes over the operating systems the platform has for an offer now, and
// answers how many. What was taken away stays known to the services that have it.
func (r *Registry) ImportImages(ctx context.Context, offerID uuid.UUID, by audit.Origin) (int, error) {
	m, err := r.offer(ctx, offerID)
	if err != nil {
		return 0, err
	}
	d, err := r.Open(ctx, m.PlatformID)
	if err != nil {
		return 0, asked(err)
	}
	im, ok := d.(provisioners.Imager)
	if !ok {
		return 0, nil
	}
	parameters, err := m.parameters()
	if err != nil {
		return 0, err
	}
	images, err := im.Images(ctx, parameters)
	if err != nil {
		return 0, asked(err)
	}
	b, err := json.Marshal(images)
	if err != nil {
		return 0, fmt.Errorf("import images: %w", err)
	}
	err = r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, err := tx.NewRaw("UPDATE offers SET images = ?::jsonb, changed_at = ? WHERE id = ?", plain(string(b)), tx.Now(), offerID).Exec(ctx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "offer.images_imported", Target(m.PlatformID), map[string]any{"sku": m.SKU, "region": m.Region, "images": len(images)})
	})
	if err != nil {
		return 0, fmt.Errorf("import images: %w", err)
	}
	return len(images), nil
}

func (m Mapped) parameters() (map[string]any, error) {
	var p map[string]any
	if err := json.Unmarshal(m.Parameters, &p); err != nil {
		return nil, fmt.Errorf("parameters of offer %s: %w", m.ID, err)
	}
	return p, nil
}

// SetOfferState says whether an offer is sold. Fault: offer.unknown.
func (r *Registry) SetOfferState(ctx context.Context, platformID, id uuid.UUID, on bool, by audit.Origin) error {
	to := map[bool]string{true: "on", false: "off"}[on]
	err := r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var was []struct {
			SKU    string `bun:"sku"`
			Region string
			State  string
		}
		if err := tx.NewRaw("SELECT sku, region, state FROM offers WHERE id = ? AND platform_id = ? FOR UPDATE", id, platformID).Scan(ctx, &was); err != nil {
			return err
		}
		if len(was) == 0 {
			return fault.New(fault.NotFound, "offer.unknown", "There is no such offer.")
		}
		if was[0].State == to {
			return nil
		}
		if _, err := tx.NewRaw("UPDATE offers SET state = ?, changed_at = ? WHERE id = ?", to, tx.Now(), id).Exec(ctx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "offer.turned_"+to, Target(platformID), map[string]any{"sku": was[0].SKU, "region": was[0].Region})
	})
	if err != nil {
		return fmt.Errorf("set state of offer: %w", err)
	}
	return nil
}
