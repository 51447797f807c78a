package hosting

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Addon is something of the platform's price book that a service has besides its own
// product, for a time. The platform bills each by itself while the service has it.
type Addon struct {
	Code string    `json:"code"` // of the option it was sold as
	SKU  string    `json:"sku"`
	N    int64     `json:"n"`             // so many
	From time.Time `json:"from,omitzero"` // zero: the service does not run yet
	To   time.Time `json:"to,omitzero"`   // zero: the service has it
}

// usage is what the platform bills an add-on by: a subject of its own, so that its time has
// its own begin and end.
func (a Addon) usage(s *Service, kind string, at time.Time) tenancy.Usage {
	u := s.usage(kind, at)
	u.Subject += "/addon/" + a.Code
	u.Key = u.Subject + "/" + kind
	u.SKU, u.Quantity = a.SKU, a.N
	return u
}

// beginAddons begins what was ordered with a service that runs now.
func (s *Service) beginAddons(ctx context.Context, tx *tenancy.Tx) error {
	for i := range s.Addons {
		a := &s.Addons[i]
		if !a.From.IsZero() {
			continue
		}
		a.From = s.BeganAt
		if _, err := tx.RecordUsage(ctx, a.usage(s, "start", a.From)); err != nil {
			return err
		}
	}
	return nil
}

// endAddons ends what a service has that has ended.
func (s *Service) endAddons(ctx context.Context, tx *tenancy.Tx) error {
	s.Addons = slices.DeleteFunc(s.Addons, func(a Addon) bool { return a.From.IsZero() }) // it never had it
	for i := range s.Addons {
		a := &s.Addons[i]
		if !a.To.IsZero() {
			continue
		}
		a.To = s.EndedAt
		if _, err := tx.RecordUsage(ctx, a.usage(s, "stop", a.To)); err != nil {
			return err
		}
	}
	return nil
}

// SetAddons says what a service has of the price book from now on. The key names the change
// to who asks for it; repeated, nothing changes. What the team delivers by hand is none of
// the platform's. Fault: service.not_found.
func SetAddons(ctx context.Context, tx *tenancy.Tx, id, key uuid.UUID, want []Addon) error {
	s, err := locked(ctx, tx, id)
	if err != nil || s.ByHand() || s.Over() {
		return err
	}
	return s.haveAddons(ctx, tx, key, want, tx.Now().Truncate(time.Microsecond))
}

// SetAddon says what a service has of one option from a moment on, which may be over; nil:
// nothing. What was said of a later moment stands. Otherwise it is as SetAddons.
func SetAddon(ctx context.Context, tx *tenancy.Tx, id, key uuid.UUID, code string, want *Addon, at time.Time) error {
	s, err := locked(ctx, tx, id)
	if err != nil || s.ByHand() || s.Over() {
		return err
	}
	if at.Before(s.BeganAt) {
		at = s.BeganAt
	}
	var all []Addon
	for _, a := range s.Addons {
		switch {
		case a.Code != code && a.To.IsZero():
			all = append(all, a)
		case a.Code == code && (a.From.After(at) || a.To.After(at)):
			return nil
		}
	}
	if want != nil {
		all = append(all, *want)
	}
	return s.haveAddons(ctx, tx, key, all, at)
}

// haveAddons keeps what a service has of the price book from a moment on.
func (s *Service) haveAddons(ctx context.Context, tx *tenancy.Tx, key uuid.UUID, want []Addon, at time.Time) error {
	was := slices.Clone(s.Addons)
	if err := s.swapAddons(ctx, tx, key, want, at); err != nil {
		return err
	}
	if slices.Equal(was, s.Addons) {
		return nil
	}
	return s.save(ctx, tx)
}

func (s *Service) swapAddons(ctx context.Context, tx *tenancy.Tx, key uuid.UUID, want []Addon, now time.Time) error {
	tell := func(a Addon, kind string) error {
		u := a.usage(s, kind, now)
		u.Key += "/" + key.String()
		_, err := tx.RecordUsage(ctx, u)
		return err
	}
	want = slices.Clone(want)
	if s.BeganAt.IsZero() { // nothing was told yet
		s.Addons = want
		return nil
	}
	for i := range s.Addons {
		a := &s.Addons[i]
		if !a.To.IsZero() {
			continue
		}
		at := slices.IndexFunc(want, func(w Addon) bool { return w.Code == a.Code })
		switch {
		case at < 0:
			if err := tell(*a, "stop"); err != nil {
				return err
			}
			a.To = now
		case want[at].SKU == a.SKU && want[at].N == a.N:
			want = slices.Delete(want, at, at+1)
		default: // the next stay ends this one
			a.To = now
			next := want[at]
			next.From = now
			want = slices.Delete(want, at, at+1)
			if err := tell(next, "change"); err != nil {
				return err
			}
			s.Addons = append(s.Addons, next)
		}
	}
	for _, w := range want {
		w.From = now
		if err := tell(w, "start"); err != nil {
			return err
		}
		s.Addons = append(s.Addons, w)
	}
	return nil
}

// addonsOrNull are the add-ons as their column holds them.
func addonsOrNull(all []Addon) (*string, error) {
	if len(all) == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("add-ons of a service: %w", err)
	}
	text := string(raw)
	return &text, nil
}
