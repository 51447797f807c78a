package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// Target is a platform as the trail names it.
func Target(id uuid.UUID) audit.Target { return audit.Target{Kind: "platform", ID: id.String()} }

// Form is how a platform is reached. A token left empty in a change stays as it is.
type Form struct {
	Name     string
	Driver   string
	BaseURL  string
	Token    string
	Settings string // an object in the driver's own words; empty: none
}

// MaxSettings is how long the settings of a platform or an offer may be.
const MaxSettings = 4000

// check reads the form and answers with everything that is wrong at once.
func (f *Form) check(r *Registry, needsToken bool) error {
	wrong := map[string]string{}
	f.Name = strings.Join(strings.Fields(plain(f.Name)), " ")
	if n := len([]rune(f.Name)); n == 0 || n > 60 {
		wrong["name"] = "Give it a name of at most 60 characters."
	}
	if _, ok := r.Drivers[f.Driver]; !ok {
		wrong["driver"] = "Choose what kind of platform it is."
	}
	f.BaseURL = strings.TrimRight(strings.TrimSpace(plain(f.BaseURL)), "/")
	if u, err := egress.Address(f.BaseURL, r.PlainHTTP); err != nil {
		wrong["base_url"] = err.Error()
	} else if u.RawQuery != "" {
		wrong["base_url"] = "Leave out the part after the question mark."
	}
	f.Token = strings.TrimSpace(plain(f.Token))
	if needsToken && f.Token == "" {
		wrong["token"] = "Paste the token."
	}
	if len(f.Token) > 4000 || strings.ContainsAny(f.Token, "\r\n\t ") {
		wrong["token"] = "This is no token: it has blanks in it or is too long."
	}
	var err error
	if f.Settings, err = object(f.Settings); err != nil {
		wrong["settings"] = err.Error()
	}
	return fault.Fields("platform.invalid", wrong)
}

// object reads a JSON object that a person typed.
func object(s string) (string, error) {
	s = strings.TrimSpace(plain(s))
	if s == "" {
		return "{}", nil
	}
	var o map[string]any
	if len(s) > MaxSettings || json.Unmarshal([]byte(s), &o) != nil || o == nil {
		return s, fmt.Errorf(`Write an object, like {"no_ipv6": true}, of at most %d characters.`, MaxSettings) //nolint:staticcheck // shown to people
	}
	if strings.Contains(s, `\u0000`) {
		return s, errors.New("A text holds a character that cannot be kept.") //nolint:staticcheck // shown to people
	}
	return s, nil
}

// try tests a connection before anything is kept. Faults stand at the fields they are
// about: platform.unreachable, platform.token_refused, platform.refused_test.
func (r *Registry) try(ctx context.Context, f Form) (provisioners.Health, error) {
	d, err := r.build(f.Driver, Connection{BaseURL: f.BaseURL, Token: f.Token, Settings: json.RawMessage(f.Settings)})
	if err != nil {
		return provisioners.Health{}, atField("settings", err)
	}
	c, ok := d.(provisioners.Checker)
	if !ok {
		return provisioners.Health{}, nil
	}
	h, err := c.Check(ctx)
	switch {
	case err == nil:
		return h, nil
	case errors.Is(err, egress.ErrForbidden):
		return h, fault.Field("base_url", "platform.forbidden_address", "This address is not a public one. The operator can allow networks of its own with EZSCALE_EGRESS_ALLOW.")
	case errors.Is(err, provisioners.ErrCredentials):
		return h, atField("token", fault.Wrap(err, fault.Invalid, "platform.token_refused", "The platform does not accept this token."))
	case errors.Is(err, provisioners.ErrUnavailable):
		return h, atField("base_url", fault.Wrap(err, fault.Invalid, "platform.unreachable", "There is no answer, or none of such a platform, at this address."))
	default:
		return h, atField("base_url", fault.Wrap(err, fault.Invalid, "platform.refused_test", "The platform refuses the test."))
	}
}

// atField puts a fault's words at a field of the form.
func atField(field string, err error) error {
	f := *fault.From(err)
	f.Fields = map[string]string{field: f.Message}
	return &f
}

// Connect tests a platform and takes it in; its token is sealed and never shown again.
// Faults: platform.invalid and those of the test, at their fields; platform.name_taken.
func (r *Registry) Connect(ctx context.Context, f Form, by audit.Origin) (uuid.UUID, error) {
	if err := f.check(r, true); err != nil {
		return uuid.Nil, err
	}
	health, err := r.try(ctx, f)
	if err != nil {
		return uuid.Nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("connect platform: %w", err)
	}
	sealed, err := r.Keys.Seal(sealPurpose, sealedFor(id), []byte(f.Token))
	if err != nil {
		return uuid.Nil, fmt.Errorf("connect platform: %w", err)
	}
	err = r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw(`INSERT INTO platforms (id, name, driver, base_url, sealed_secret, settings, state, health, health_note, health_since, checked_at, created_at, changed_at)
			VALUES (?, ?, ?, ?, ?, ?::jsonb, 'on', 'up', ?, ?, ?, ?, ?)`, id, f.Name, f.Driver, f.BaseURL, sealed, f.Settings,
			strings.Join(health.Notes, "\n"), tx.Now(), tx.Now(), tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return nameTaken(err)
		}
		return by.Record(ctx, tx, "platform.connected", Target(id), map[string]any{"name": f.Name, "driver": f.Driver, "base_url": f.BaseURL})
	})
	if err != nil {
		return uuid.Nil, fmt.Errorf("connect platform: %w", err)
	}
	return id, nil
}

func nameTaken(err error) error {
	if tenancy.IsTaken(err, "platforms_name_key") {
		return fault.Field("name", "platform.name_taken", "Another platform has this name.")
	}
	return err
}

// Change tests a platform as it would be reached, and then changes how it is reached.
func (r *Registry) Change(ctx context.Context, id uuid.UUID, f Form, by audit.Origin) error {
	was, err := r.record(ctx, id)
	if err != nil {
		return err
	}
	f.Driver = was.Driver
	if err := f.check(r, false); err != nil {
		return err
	}
	fresh := f.Token != ""
	sealed := was.SealedSecret
	if fresh {
		sealed, err = r.Keys.Seal(sealPurpose, sealedFor(id), []byte(f.Token))
	} else if f.BaseURL != was.BaseURL {
		// The token would be sent to whoever answers at the new address.
		return fault.Field("token", "platform.token_needed", "For another address the token is needed again.")
	} else {
		var token []byte
		token, err = r.Keys.Open(sealPurpose, sealedFor(id), was.SealedSecret)
		f.Token = string(token)
	}
	if err != nil {
		return fmt.Errorf("change platform: %w", err)
	}
	if _, err := r.try(ctx, f); err != nil {
		return err
	}
	err = r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, err := recordOf(ctx, tx, id, "FOR UPDATE OF p"); err != nil {
			return err
		}
		_, err := tx.NewRaw("UPDATE platforms SET name = ?, base_url = ?, sealed_secret = ?, settings = ?::jsonb, changed_at = ? WHERE id = ?",
			f.Name, f.BaseURL, sealed, f.Settings, tx.Now(), id).Exec(ctx)
		if err != nil {
			return nameTaken(err)
		}
		return by.Record(ctx, tx, "platform.changed", Target(id), map[string]any{"name": f.Name, "base_url": f.BaseURL, "settings": f.Settings, "new_token": fresh})
	})
	if err != nil {
		return fmt.Errorf("change platform: %w", err)
	}
	return nil
}

// SetState turns a platform on, off, or has it take nothing new. Fault: platform.bad_state.
func (r *Registry) SetState(ctx context.Context, id uuid.UUID, to State, by audit.Origin) error {
	if to != On && to != Draining && to != Off {
		return fault.New(fault.Invalid, "platform.bad_state", "There is no such state of a platform.")
	}
	err := r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		was, err := recordOf(ctx, tx, id, "FOR UPDATE OF p")
		if err != nil || was.State == to {
			return err
		}
		if _, err := tx.NewRaw("UPDATE platforms SET state = ?, changed_at = ? WHERE id = ?", to, tx.Now(), id).Exec(ctx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "platform.state_changed", Target(id), map[string]any{"name": was.Name, "from": was.State, "to": to})
	})
	if err != nil {
		return fmt.Errorf("set state of platform: %w", err)
	}
	return nil
}

// Summary is a platform with what it carries.
type Summary struct {
	Platform
	Services int // that run or are being made
	Problems int // of these, with a problem
	Offers   int // that are on
	Free     int // pieces of all offers together, as far as known
}

const summaryColumns = platformColumns + `,
	(SELECT count(*) FROM services v WHERE v.platform_id = p.id AND v.ended_at IS NULL AND v.observed <> 'gone') AS services,
	(SELECT count(*) FROM services v WHERE v.platform_id = p.id AND v.ended_at IS NULL AND v.problem <> '') AS problems,
	(SELECT count(*) FROM offers o WHERE o.platform_id = p.id AND o.state = 'on') AS offers,
	(SELECT coalesce(sum(greatest(o.capacity - o.used, 0)), 0) FROM offers o WHERE o.platform_id = p.id AND o.state = 'on') AS free`

// List is every platform, by name.
func (r *Registry) List(ctx context.Context) (all []Summary, err error) {
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+summaryColumns+" FROM platforms p ORDER BY lower(p.name), p.id").Scan(ctx, &all)
	})
	if err != nil {
		return nil, fmt.Errorf("list platforms: %w", err)
	}
	return all, nil
}

// Get is one platform. Fault: platform.unknown.
func (r *Registry) Get(ctx context.Context, id uuid.UUID) (Summary, error) {
	var found []Summary
	err := r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+summaryColumns+" FROM platforms p WHERE p.id = ?", id).Scan(ctx, &found)
	})
	if err != nil {
		return Summary{}, fmt.Errorf("platform %s: %w", id, err)
	}
	if len(found) == 0 {
		return Summary{}, errUnknown
	}
	return found[0], nil
}

// record reads the row in a transaction of its own.
func (r *Registry) record(ctx context.Context, id uuid.UUID) (p record, err error) {
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		p, err = recordOf(ctx, tx, id, "")
		return err
	})
	return p, err
}

// SealedBy is a query for the id of the key that sealed each platform's token.
func SealedBy() string {
	return "SELECT " + secrets.KeyIDSQL("sealed_secret") + " AS key FROM platforms"
}

// Rewrap seals again, with the first key, what another key sealed, at most so many; it
// answers how many it did.
func Rewrap(ctx context.Context, tx *tenancy.CentralTx, ring *secrets.Keyring, most int) (int, error) {
	var rows []record
	if err := tx.NewRaw("SELECT "+platformColumns+", p.sealed_secret FROM platforms p WHERE "+secrets.KeyIDSQL("p.sealed_secret")+" <> ? ORDER BY p.id LIMIT ? FOR UPDATE OF p", ring.First(), most).Scan(ctx, &rows); err != nil {
		return 0, fmt.Errorf("rewrap platforms' tokens: %w", err)
	}
	for _, p := range rows {
		sealed, _, err := ring.Rewrap(sealPurpose, sealedFor(p.ID), p.SealedSecret)
		if err != nil {
			return 0, fmt.Errorf("rewrap platforms' tokens: %s: %w", p.ID, err)
		}
		if _, err := tx.NewRaw("UPDATE platforms SET sealed_secret = ? WHERE id = ?", sealed, p.ID).Exec(ctx); err != nil {
			return 0, fmt.Errorf("rewrap platforms' tokens: %w", err)
		}
	}
	return len(rows), nil
}
