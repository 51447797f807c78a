// Package watch tells staff how the platform is: what is burning, how much there is
// of everything, and what it runs on. It reads the central schema and the catalog
// and changes nothing.
package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// LowStock is below how many spares a new reseller may have to wait.
const LowStock = 3

// soonExpired is how long before its end a certificate that was not renewed burns.
const soonExpired = 14 * 24 * time.Hour

// Watch looks at one platform.
type Watch struct {
	Central *tenancy.Central
	// SchemaVersion is the version tenants should be at; see tenancy.TenantScript.
	SchemaVersion int
}

// Trouble is one thing that wants a person.
type Trouble struct {
	Kind   string // domain, certificate, platform_name, platform, full, service, maintenance, behind, migration
	Tenant tenancy.ID
	Name   string // of the reseller, the platform or the offer
	What   string // the host, the version, a platform's path, or what a service is
	State  string // of it; of a service its id
	Detail string
	Since  time.Time
}

// Overview is the console's first page.
type Overview struct {
	Troubles     []Trouble // the first of each kind, oldest first
	TroubleCount map[string]int
	Spares       int
	SparesBehind int // spares whose schema is older than it should be
	ByStatus     map[tenancy.Status]int
	NewThisWeek  int
	Domains      int
	Certificates int
	MailsQueued  int
	MailsFailed  int
	TrialsEnding int // within a week
}

// SparesLow reports whether the stock wants filling.
func (o Overview) SparesLow() bool { return o.Spares < LowStock }

// Resellers is how many there are that are not dropped.
func (o Overview) Resellers() (n int) {
	for s, count := range o.ByStatus {
		if s != tenancy.Dropped {
			n += count
		}
	}
	return n
}

// perKind is how many troubles of a kind are named; the rest is counted.
const perKind = 5

const troublesSQL = `
	WITH found AS (
		SELECT 'domain' AS kind, t.id AS tenant, t.name, d.host AS what, d.state, coalesce(d.last_error, '') AS detail, d.changed_at AS since
		FROM domains d JOIN tenants t ON t.id = d.tenant_id
		WHERE d.state IN ('misdirected', 'conflict', 'caa_forbids', 'failing', 'drifted')
		UNION ALL
		SELECT 'certificate', t.id, t.name, d.host, d.state, 'valid until ' || to_char(d.not_after AT TIME ZONE 'UTC', 'DD Mon YYYY'), d.not_after
		FROM domains d JOIN tenants t ON t.id = d.tenant_id
		WHERE d.serving AND d.not_after < ?::timestamptz AND d.state NOT IN ('misdirected', 'conflict', 'caa_forbids', 'failing', 'drifted')
		UNION ALL
		SELECT 'platform_name', NULL, '', n.name, n.state, coalesce(n.last_error, ''), n.changed_at
		FROM platform_names n WHERE n.state = 'failing'
		UNION ALL
		SELECT 'migration', t.id, t.name, 'version ' || t.schema_version, 'failed', t.migration_error, t.changed_at
		FROM tenants t WHERE t.migration_error IS NOT NULL AND t.status <> 'dropped'
		UNION ALL
		SELECT 'maintenance', t.id, t.name, t.slug, t.status, t.status_reason, coalesce(t.status_since, t.created_at)
		FROM tenants t WHERE t.status = 'maintenance'
		UNION ALL
		SELECT 'behind', t.id, t.name, 'version ' || t.schema_version, 'behind', '', t.changed_at
		FROM tenants t WHERE t.schema_version < ? AND t.status <> 'dropped' AND t.migration_error IS NULL
		UNION ALL
		SELECT 'platform', NULL, p.name, p.id::text, p.health, p.health_note, coalesce(p.health_since, p.changed_at)
		FROM platforms p WHERE p.health = 'down' AND p.state <> 'off'
		UNION ALL
		SELECT 'full', NULL, s.name || ' in ' || o.region_name, p.id::text || '/offers/' || o.id, 'full', p.name, coalesce(o.checked_at, o.changed_at)
		FROM offers o JOIN platforms p ON p.id = o.platform_id JOIN skus s ON s.sku = o.sku WHERE o.state = 'on' AND p.state = 'on' AND o.capacity <= o.used
		UNION ALL
		SELECT 'service', t.id, t.name, v.label, v.service_id::text, v.problem, v.changed_at
		FROM services v JOIN tenants t ON t.id = v.tenant_id WHERE v.problem <> '' AND v.ended_at IS NULL
	)
	SELECT kind, tenant, name, what, state, detail, since, total FROM (
		SELECT *, count(*) OVER (PARTITION BY kind) AS total, row_number() OVER (PARTITION BY kind ORDER BY since, what) AS place FROM found) x
	WHERE place <= ? ORDER BY array_position(ARRAY['platform_name', 'platform', 'migration', 'service', 'full', 'domain', 'certificate', 'maintenance', 'behind'], kind), place`

// Overview looks around in three statements.
func (w *Watch) Overview(ctx context.Context) (o Overview, err error) {
	o.TroubleCount, o.ByStatus = map[string]int{}, map[tenancy.Status]int{}
	err = w.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var troubles []struct {
			Kind   string
			Tenant *tenancy.ID
			Name   string
			What   string
			State  string
			Detail string
			Since  time.Time
			Total  int
		}
		if err := tx.NewRaw(troublesSQL, tx.Now().Add(soonExpired), w.SchemaVersion, perKind).Scan(ctx, &troubles); err != nil {
			return err
		}
		for _, t := range troubles {
			one := Trouble{Kind: t.Kind, Name: t.Name, What: t.What, State: t.State, Detail: t.Detail, Since: t.Since}
			if t.Tenant != nil {
				one.Tenant = *t.Tenant
			}
			o.Troubles = append(o.Troubles, one)
			o.TroubleCount[t.Kind] = t.Total
		}
		var statuses []struct {
			Status tenancy.Status
			Count  int
		}
		if err := tx.NewRaw("SELECT status, count(*) AS count FROM tenants WHERE NOT sandbox GROUP BY status").Scan(ctx, &statuses); err != nil {
			return err
		}
		for _, s := range statuses {
			o.ByStatus[s.Status] = s.Count
		}
		week := 7 * 24 * time.Hour
		return tx.NewRaw(`SELECT
			(SELECT count(*) FROM spares),
			(SELECT count(*) FROM spares WHERE schema_version < ?),
			(SELECT count(*) FROM tenants WHERE created_at > ? AND status <> 'dropped' AND NOT sandbox),
			(SELECT count(*) FROM domains WHERE state <> 'removed'),
			(SELECT count(*) FROM domains WHERE state <> 'removed' AND not_after IS NOT NULL),
			(SELECT count(*) FROM mails WHERE state = 'queued'),
			(SELECT count(*) FROM mails WHERE state = 'failed' AND created_at > ?),
			(SELECT count(*) FROM tenants WHERE status = 'trial' AND trial_ends_at < ?)`,
			w.SchemaVersion, tx.Now().Add(-week), tx.Now().Add(-week), tx.Now().Add(week)).
			Scan(ctx, &o.Spares, &o.SparesBehind, &o.NewThisWeek, &o.Domains, &o.Certificates, &o.MailsQueued, &o.MailsFailed, &o.TrialsEnding)
	})
	if err != nil {
		return Overview{}, fmt.Errorf("overview: %w", err)
	}
	return o, nil
}
