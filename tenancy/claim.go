package tenancy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// Claim is a request for a tenant.
type Claim struct {
	Key         string // natural key of the request: the same key is the same tenant
	Slug        string // label of its own host: <slug>.<platform>
	Name        string
	OwnerEmail  string
	Status      Status // Trial or Active; empty: Active
	TrialEndsAt time.Time
	Locale      string // BCP 47; empty: en
	Currency    string // ISO 4217; empty: EUR
	TimeZone    string // IANA; empty: UTC
}

var slugShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// check fills in what is left open and answers with the fields that are wrong.
func (c *Claim) check() error {
	wrong := map[string]string{}
	if !slugShape.MatchString(c.Slug) {
		wrong["slug"] = "Use 1 to 63 small letters, digits and hyphens; begin and end with a letter or digit."
	}
	if c.Name = strings.TrimSpace(c.Name); c.Name == "" || len(c.Name) > 200 || strings.ContainsRune(c.Name, 0) {
		wrong["name"] = "Give a name of 1 to 200 characters."
	}
	if c.OwnerEmail == "" || strings.ContainsRune(c.OwnerEmail, 0) {
		wrong["owner_email"] = "Give the address of the owner."
	}
	for set, value := range map[*string]string{&c.Locale: "en", &c.Currency: "EUR", &c.TimeZone: "UTC"} {
		if *set == "" {
			*set = value
		}
	}
	if c.Status == "" {
		c.Status = Active
	}
	switch {
	case c.Key == "":
		return errors.New("tenancy: a claim without a key")
	case c.Status != Trial && c.Status != Active:
		return fmt.Errorf("tenancy: a claim cannot begin as %q", c.Status)
	case c.Status == Trial && c.TrialEndsAt.IsZero():
		return errors.New("tenancy: a trial without an end")
	case c.Status == Active:
		c.TrialEndsAt = time.Time{}
	}
	return fault.Fields("tenant.claim_invalid", wrong)
}

// Claim makes a spare into a tenant and seeds it, in one transaction. It is
// idempotent in the key: a second claim returns the first one's tenant, whatever
// became of it (see Status), and does not run seed. seed may run more than once, like the function of Update; it is bound
// to the new tenant. Without a spare the pool's builder makes one, which takes some
// 100 ms more.
//
// Faults: tenant.claim_invalid, tenant.slug_taken, tenant.none_spare.
func (p *Pool) Claim(ctx context.Context, c Claim, seed func(Tenant, *Tx) error) (Tenant, error) {
	if err := c.check(); err != nil {
		return Tenant{}, err
	}
	release, err := p.admit(ctx)
	if err != nil {
		return Tenant{}, err
	}
	defer release()
	for range 5 { // each round lost a race: for the key, the slug or the last spare
		chance, err := p.chance(ctx, c)
		switch {
		case err != nil:
			return Tenant{}, fmt.Errorf("claim %s: %w", c.Slug, err)
		case chance.Tenant != nil:
			return chance.Tenant.tenant()
		case chance.Taken:
			return Tenant{}, fault.Field("slug", "tenant.slug_taken", "This name is taken. Choose another.")
		}
		t, err := p.claimAny(ctx, chance.Lanes, c, seed)
		switch {
		case err == nil:
			return t, nil
		case errors.Is(err, errNoSpare) && p.cfg.Cold == nil:
			return Tenant{}, fault.Wrap(err, fault.Unavailable, "tenant.none_spare", "No place is ready at the moment. Try again in a minute.")
		case errors.Is(err, errNoSpare):
			_, err := p.cfg.Cold.Build(ctx)
			if errors.Is(err, ErrOutdated) {
				return Tenant{}, fault.Wrap(err, fault.Unavailable, "tenant.none_spare", "No place is ready at the moment. Try again in a minute.")
			}
			if err != nil {
				return Tenant{}, fmt.Errorf("claim %s: %w", c.Slug, err)
			}
		case IsTaken(err, "tenants_key_key"), IsTaken(err, "tenants_live_slug"):
		default:
			return Tenant{}, err
		}
	}
	return Tenant{}, fault.New(fault.Unavailable, "tenant.none_spare", "No place is ready at the moment. Try again in a minute.")
}

var errNoSpare = errors.New("tenancy: no spare")

// chance is what door.may_claim says.
type chance struct {
	Tenant *claimed `json:"tenant"` // of an earlier claim with the key
	Taken  bool     `json:"taken"`
	Lanes  []int    `json:"lanes"` // where spares are
}

type claimed struct {
	ID             int64  `json:"id"`
	Slug           string `json:"slug"`
	Name           string `json:"name"`
	Status         Status `json:"status"`
	Theme          string `json:"theme"`
	PrimaryHost    string `json:"primary_host"`
	BrandVersion   int64  `json:"brand_version"`
	ContentVersion int64  `json:"content_version"`
	SchemaVersion  int    `json:"schema_version"`
	Locale         string `json:"locale"`
	Currency       string `json:"currency"`
	TimeZone       string `json:"time_zone"`
	Sandbox        bool   `json:"sandbox"`
}

func (c *claimed) tenant() (Tenant, error) {
	id, err := NumberedID(c.ID)
	return Tenant{ID: id, Slug: c.Slug, Name: c.Name, Status: c.Status, Theme: c.Theme, PrimaryHost: c.PrimaryHost,
		BrandVersion: c.BrandVersion, ContentVersion: c.ContentVersion, SchemaVersion: c.SchemaVersion,
		Locale: c.Locale, Currency: c.Currency, TimeZone: c.TimeZone, Sandbox: c.Sandbox}, err
}

// askedLanes is how many lanes are asked for a chance: few, because a backend answers its
// first question ten times slower than the next, and more than one, so that claims do
// not all wait for the same connections.
const askedLanes = 2

// chance asks what became of a claim's key and slug, and where spares are.
func (p *Pool) chance(ctx context.Context, c Claim) (chance, error) {
	var answer chance
	set, leave := p.enter()
	defer leave()
	err := once(ctx, set.lanes[rand.N(min(askedLanes, len(set.lanes)))].db, "BEGIN READ ONLY", func(w *wire) error { //nolint:gosec // no secret
		var text []byte
		if err := w.pgx.QueryRow(w.ctx, "SELECT door.may_claim($1, $2)::text", c.Key, c.Slug).Scan(&text); err != nil {
			return err
		}
		return json.Unmarshal(text, &answer)
	})
	return answer, err
}

// claimAny tries the lanes that have spares, in any order. It runs on the
// connection of the spare's lane: a login above all lanes would be a member of
// every tenant and pay for all of them after each grant.
func (p *Pool) claimAny(ctx context.Context, lanes []int, c Claim, seed func(Tenant, *Tx) error) (t Tenant, err error) {
	rand.Shuffle(len(lanes), func(i, j int) { lanes[i], lanes[j] = lanes[j], lanes[i] })
	for _, lane := range lanes {
		err = retry(ctx, func() error {
			set, leave := p.enter()
			defer leave()
			if lane >= len(set.lanes) {
				return errNoSpare // this node has not heard of the lane yet
			}
			return once(ctx, set.lanes[lane].db, "BEGIN", func(w *wire) error {
				t, err = p.claimOn(w, c, seed)
				return err
			})
		})
		if !errors.Is(err, errNoSpare) {
			return t, err
		}
	}
	return Tenant{}, errNoSpare
}

// readyToClaim has a new connection claim a tenant and take it back. A backend's first claim
// takes it eight times what the next ones do (4.3 and 0.5 ms), most of it for reading what
// the tables of the directory look like, and people who sign up seldom share one. A claim
// that comes in between finds the spare locked and takes another.
func readyToClaim(ctx context.Context, c *pgx.Conn) error {
	const claim = `BEGIN; SELECT door.claim('ready ' || pg_backend_pid(), 'ready-' || pg_backend_pid(), 'Ready', 'nobody@ready.invalid',
		'active', 'en', 'EUR', 'UTC', NULL, now()); ROLLBACK`
	_, err := c.PgConn().Exec(ctx, claim).ReadAll()
	if err == nil {
		return nil
	}
	// Whatever is wrong with claims is no reason to have no connection.
	_, err = c.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
	return err
}

func (p *Pool) claimOn(w *wire, c Claim, seed func(Tenant, *Tx) error) (Tenant, error) {
	var trialEnds *time.Time
	if !c.TrialEndsAt.IsZero() {
		trialEnds = &c.TrialEndsAt
	}
	now := p.cfg.Clock().UTC()
	var text []byte
	err := w.pgx.QueryRow(w.ctx, "SELECT door.claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)::text",
		c.Key, c.Slug, c.Name, c.OwnerEmail, string(c.Status), c.Locale, c.Currency, c.TimeZone, trialEnds, now).Scan(&text)
	switch {
	case err != nil:
		return Tenant{}, fmt.Errorf("claim %s: %w", c.Slug, err)
	case text == nil:
		return Tenant{}, errNoSpare
	}
	var row claimed
	if err := json.Unmarshal(text, &row); err != nil {
		return Tenant{}, fmt.Errorf("claim %s: %w", c.Slug, err)
	}
	t, err := row.tenant()
	if err != nil {
		return Tenant{}, err
	}
	if err := w.send(strings.TrimPrefix(bind(t.ID), "; ")); err != nil {
		return Tenant{}, fmt.Errorf("claim %s: bind: %w", c.Slug, err)
	}
	if seed != nil {
		if err := seed(t, &Tx{statements: statements{wire: w, now: now}, tenant: t.ID, nodes: &p.nodes}); err != nil {
			return Tenant{}, err
		}
	}
	return t, nil
}
