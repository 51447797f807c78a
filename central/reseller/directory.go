package reseller

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
)

// Directory answers from the central schema whose host this is. Every tenant that
// has not been dropped has its own host below the platform's domain; domains count
// as soon and as long as they are serving. A tenant whose last migration failed is
// shown in maintenance when it would otherwise serve.
type Directory struct {
	central  *tenancy.Central
	platform string
}

// NewDirectory makes the directory; platform is the domain below which the tenants'
// own hosts are.
func NewDirectory(central *tenancy.Central, platform string) *Directory {
	return &Directory{central: central, platform: platform}
}

var _ tenancy.Directory = (*Directory)(nil)

const selectEntries = `SELECT t.id, t.slug, t.name,
	CASE WHEN t.migration_error IS NOT NULL AND t.status IN ('trial', 'active') THEN 'maintenance' ELSE t.status END AS status,
	t.status_note, t.sandbox, t.primary_host, t.theme, t.brand_version, t.content_version, t.schema_version,
	t.locale, t.currency, t.time_zone, t.require_totp, t.restriction, d.host
FROM tenants t LEFT JOIN domains d ON d.tenant_id = t.id AND d.serving
WHERE t.status <> 'dropped'`

// entryRow is one tenant with one of its domains, if it has any.
type entryRow struct {
	ID             tenancy.ID
	Slug           string
	Name           string
	Status         tenancy.Status
	StatusNote     string
	Sandbox        bool
	PrimaryHost    *string
	Theme          string
	BrandVersion   int64
	ContentVersion int64
	SchemaVersion  int
	Locale         string
	Currency       string
	TimeZone       string
	RequireTOTP    bool `bun:"require_totp"`
	Restriction    tenancy.Restriction
	Host           *string
}

// Load returns every host that serves.
func (d *Directory) Load(ctx context.Context) (tenancy.Snapshot, error) {
	var snap tenancy.Snapshot
	err := d.central.View(ctx, func(tx *tenancy.CentralTx) error {
		var rows []entryRow
		// The mark first: what commits between the two statements is loaded and named again.
		if err := tx.NewRaw("SELECT pg_current_snapshot()::text").Scan(ctx, &snap.Mark); err != nil {
			return err
		}
		if err := tx.NewRaw(selectEntries+" ORDER BY t.id").Scan(ctx, &rows); err != nil {
			return err
		}
		snap.Entries = d.entries(rows)
		return nil
	})
	if err != nil {
		return tenancy.Snapshot{}, fmt.Errorf("directory: %w", err)
	}
	return snap, nil
}

// Tenant returns the hosts of one tenant; none when there is no such tenant any more.
func (d *Directory) Tenant(ctx context.Context, id tenancy.ID) ([]tenancy.Entry, error) {
	var rows []entryRow
	err := d.central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(selectEntries+" AND t.id = ?", id).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("directory: tenant %s: %w", id, err)
	}
	return d.entries(rows), nil
}

// Changes returns the tenants changed by transactions that the snapshot in mark did
// not see yet.
func (d *Directory) Changes(ctx context.Context, mark string) (ids []tenancy.ID, next string, err error) {
	var rows []struct {
		Mark     string
		TenantID *tenancy.ID
	}
	err = d.central.View(ctx, func(tx *tenancy.CentralTx) error {
		// Rows from a restored dump may carry numbers this cluster has not reached yet.
		return tx.NewRaw(`SELECT n.s::text AS mark, c.tenant_id
			FROM (SELECT pg_current_snapshot() AS s) n
			LEFT JOIN directory_changes c ON c.changed_in >= pg_snapshot_xmin(?::pg_snapshot)
				AND c.changed_in < pg_snapshot_xmax(n.s) AND NOT pg_visible_in_snapshot(c.changed_in, ?::pg_snapshot)`,
			mark, mark).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, "", fmt.Errorf("directory: changes: %w", err)
	}
	for _, r := range rows {
		next = r.Mark
		if r.TenantID != nil {
			ids = append(ids, *r.TenantID)
		}
	}
	return ids, next, nil
}

// entries turns rows into hosts; the rows of a tenant stand together.
func (d *Directory) entries(rows []entryRow) []tenancy.Entry {
	entries := make([]tenancy.Entry, 0, len(rows)*2)
	for i, r := range rows {
		t := tenancy.Tenant{
			ID: r.ID, Slug: r.Slug, Name: r.Name, Status: r.Status, StatusNote: r.StatusNote, Sandbox: r.Sandbox,
			PrimaryHost: r.Slug + "." + d.platform, Theme: r.Theme, BrandVersion: r.BrandVersion,
			ContentVersion: r.ContentVersion, SchemaVersion: r.SchemaVersion, Locale: r.Locale, Currency: r.Currency,
			TimeZone: r.TimeZone, RequireTOTP: r.RequireTOTP, Restriction: r.Restriction,
		}
		own := t.PrimaryHost
		if r.PrimaryHost != nil {
			t.PrimaryHost = *r.PrimaryHost
		}
		if i == 0 || rows[i-1].ID != r.ID {
			entries = append(entries, tenancy.Entry{Host: own, Tenant: t, Kind: tenancy.OwnHost})
		}
		if r.Host != nil {
			entries = append(entries, tenancy.Entry{Host: *r.Host, Tenant: t, Kind: tenancy.DomainHost})
		}
	}
	return entries
}
