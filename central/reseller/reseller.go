package reseller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Reseller is a reseller as the platform sees it.
type Reseller struct {
	ID              tenancy.ID
	Key             string
	Slug            string
	Name            string
	OwnerEmail      string
	Status          tenancy.Status
	StatusNote      string // what visitors read while the site does not serve
	StatusReason    string // for staff only
	StatusBy        string
	StatusSince     time.Time
	StatusBefore    tenancy.Status // what maintenance interrupted
	Sandbox         bool
	PrimaryHost     string // a domain of the reseller's, or empty
	Theme           string
	BrandVersion    int64
	SchemaVersion   int
	MigrationError  string
	Locale          string
	Currency        string
	TimeZone        string
	RequireTOTP     bool                `bun:"require_totp"`
	Restriction     tenancy.Restriction // for not paying us; empty: none
	RestrictedSince time.Time
	TrialEndsAt     time.Time
	ArchivedAt      time.Time
	DropAfter       time.Time
	DropRequestedAt time.Time
	CreatedAt       time.Time
	ChangedAt       time.Time
}

const columns = `t.id, t.key, t.slug, t.name, t.owner_email, t.status, t.status_note, t.status_reason, t.status_by,
	coalesce(t.status_since, t.created_at) AS status_since, coalesce(t.status_before, '') AS status_before, t.sandbox,
	coalesce(t.primary_host, '') AS primary_host, t.theme, t.brand_version, t.schema_version,
	coalesce(t.migration_error, '') AS migration_error, t.locale, t.currency, t.time_zone, t.require_totp, t.restriction, t.restricted_since,
	t.trial_ends_at, t.archived_at, t.drop_after, t.drop_requested_at, t.created_at, t.changed_at`

// Target is the reseller in the trail.
func Target(id tenancy.ID) audit.Target { return audit.Target{Kind: "tenant", ID: id.String()} }

// Desk is where staff look after resellers. It is safe for concurrent use.
type Desk struct {
	Central  *tenancy.Central
	Platform string        // the domain below which the tenants' own hosts are
	Hold     time.Duration // of an archived reseller before it may be dropped; 0: tenancy.HoldPeriod

	// Claimer makes a spare into a tenant: the pool does.
	Claimer Claimer
	// Seed fills a new tenant's schema within the claim's transaction; it may run
	// more than once and does nothing but the database.
	Seed func(ctx context.Context, t tenancy.Tenant, tx *tenancy.Tx, o Owner) error
}

// Claimer is where a tenant comes from.
type Claimer interface {
	Claim(ctx context.Context, c tenancy.Claim, seed func(tenancy.Tenant, *tenancy.Tx) error) (tenancy.Tenant, error)
}

var _ Claimer = (*tenancy.Pool)(nil)

// Owner is who the reseller's team begins with.
type Owner struct {
	Name, Email, Locale string
	Hash                identity.HashedPassword // of a password they have; empty: they choose one by a link
}

var errUnknown = fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")

// Get returns one reseller, or the fault tenant.unknown.
func (d *Desk) Get(ctx context.Context, id tenancy.ID) (Reseller, error) {
	var r Reseller
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		r, err = byID(ctx, tx, id, "")
		return err
	})
	return r, err
}

// BySlug returns the reseller that has the slug now, or the fault tenant.unknown.
func (d *Desk) BySlug(ctx context.Context, slug string) (Reseller, error) {
	var r Reseller
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		err := tx.NewRaw("SELECT "+columns+" FROM tenants t WHERE t.slug = ? AND t.status <> 'dropped'", plain(slug)).Scan(ctx, &r)
		if tenancy.IsNoRows(err) {
			return errUnknown
		}
		return err
	})
	return r, err
}

func byID(ctx context.Context, tx *tenancy.CentralTx, id tenancy.ID, lock string) (r Reseller, err error) {
	err = tx.NewRaw("SELECT "+columns+" FROM tenants t WHERE t.id = ? "+lock, id).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Reseller{}, errUnknown
	}
	if err != nil {
		return Reseller{}, fmt.Errorf("read reseller %s: %w", id, err)
	}
	return r, nil
}

// plain is s without what Postgres cannot keep in a text.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

// note reads a text of several lines that a person typed.
func note(field, s string, most int, wrong map[string]string) string {
	s = strings.TrimSpace(plain(strings.ReplaceAll(s, "\r\n", "\n")))
	if len([]rune(s)) > most {
		wrong[field] = fmt.Sprintf("Please use at most %d characters.", most)
	}
	return s
}
