package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// Version is how many tenants and spares are at a version of the schema.
type Version struct {
	Version, Tenants, Spares int
	Current                  bool // the version they should be at
}

// Sessions are the connections of one login, or of all lanes, from one program.
type Sessions struct {
	Login   string
	Program string
	Count   int
}

// FleetRun is a migration of all tenants.
type FleetRun struct {
	TargetVersion    int
	StartedAt        time.Time
	FinishedAt       time.Time
	Migrated, Failed int
	StoppedBecause   string
}

// System is what the platform runs on.
type System struct {
	Postgres      string
	DatabaseBytes int64
	StartedAt     time.Time
	Lanes         int
	Spares        int
	SchemaVersion int // that tenants should be at
	Central       int // of the central schema
	Versions      []Version
	Sessions      []Sessions
	Runs          []FleetRun // the last few
	MailsQueued   int
	MailsFailed   int
	OldestQueued  time.Time
	AuditEntries  int64
}

// System asks Postgres in five statements.
func (w *Watch) System(ctx context.Context) (s System, err error) {
	s.SchemaVersion = w.SchemaVersion
	err = w.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var oldest *time.Time
		err := tx.NewRaw(`SELECT current_setting('server_version'), pg_database_size(current_database()), pg_postmaster_start_time(),
			(SELECT value::int FROM settings WHERE name = 'lanes'), (SELECT count(*) FROM spares),
			(SELECT coalesce(max(version), 0) FROM schema_versions),
			(SELECT count(*) FROM mails WHERE state = 'queued'), (SELECT count(*) FROM mails WHERE state = 'failed'),
			(SELECT min(created_at) FROM mails WHERE state = 'queued'), (SELECT seq FROM audit_head)`).
			Scan(ctx, &s.Postgres, &s.DatabaseBytes, &s.StartedAt, &s.Lanes, &s.Spares, &s.Central, &s.MailsQueued, &s.MailsFailed, &oldest, &s.AuditEntries)
		if err != nil {
			return err
		}
		if oldest != nil {
			s.OldestQueued = *oldest
		}
		err = tx.NewRaw(`SELECT schema_version AS version, sum(tenants)::int AS tenants, sum(spares)::int AS spares, schema_version = ? AS current FROM (
				SELECT schema_version, count(*) AS tenants, 0 AS spares FROM tenants WHERE status <> 'dropped' GROUP BY 1
				UNION ALL SELECT schema_version, 0, count(*) FROM spares GROUP BY 1) x
			GROUP BY 1 ORDER BY 1 DESC LIMIT 20`, w.SchemaVersion).Scan(ctx, &s.Versions)
		if err != nil {
			return err
		}
		err = tx.NewRaw(`SELECT CASE WHEN usename ~ '^lane_' THEN 'lanes' ELSE usename END AS login,
				CASE application_name WHEN '' THEN 'unnamed' ELSE application_name END AS program, count(*) AS count
			FROM pg_stat_activity WHERE datname = current_database() AND usename IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 50`).Scan(ctx, &s.Sessions)
		if err != nil {
			return err
		}
		return tx.NewRaw(`SELECT target_version, started_at, finished_at, migrated, failed, coalesce(stopped_because, '') AS stopped_because
			FROM fleet_runs ORDER BY started_at DESC LIMIT 5`).Scan(ctx, &s.Runs)
	})
	if err != nil {
		return System{}, fmt.Errorf("system: %w", err)
	}
	return s, nil
}
