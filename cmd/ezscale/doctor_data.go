package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/central/watch"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// postgres looks at the server and at what the owner may.
func (d *doctor) postgres(ctx context.Context) error {
	owner, err := pgx.Connect(ctx, d.cfg.Database.URL)
	if err != nil {
		return errors.New("no connection: " + strings.TrimSpace(err.Error()))
	}
	d.owner = owner
	var version int
	var super, createRole, owns bool
	err = owner.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, rolsuper, rolcreaterole,
		pg_has_role(current_user, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'MEMBER')
		FROM pg_roles WHERE rolname = current_user`).Scan(&version, &super, &createRole, &owns)
	if err != nil {
		return err
	}
	switch {
	case version < 150000:
		d.note("postgres", wrong, "upgrade PostgreSQL to 15 or newer", "version %d.%d is too old", version/10000, version%10000)
	case !super && !createRole:
		d.note("postgres", wrong, "as a superuser: ALTER ROLE "+owner.Config().User+" CREATEROLE", "the owner cannot create roles, so no tenant can be made")
	case !super && !owns:
		d.note("postgres", wrong, "as a superuser: ALTER DATABASE "+owner.Config().Database+" OWNER TO "+owner.Config().User, "the login does not own the database")
	default:
		d.note("postgres", well, "", "version %d.%d; the owner may create roles", version/10000, version%10000)
	}
	return nil
}

// installation opens what the other checks look through.
func (d *doctor) installation(ctx context.Context) error {
	if d.owner == nil {
		d.note("installation", unknown, "", "not looked at: the database is not ready")
		return nil
	}
	x, err := newTools(ctx, &toolConfig{Database: d.cfg.Database, Keys: d.cfg.Keys, Hosts: d.cfg.Hosts})
	if err != nil {
		return err
	}
	err = x.central.View(ctx, func(tx *tenancy.CentralTx) error { return centralBehind(ctx, tx) })
	if err != nil {
		x.close()
		return err
	}
	d.tools = x
	d.note("installation", well, "", "the central plane's login works and its schema is current")
	return nil
}

// maxClockDrift is how far the clocks of this machine and the database may be apart.
const maxClockDrift = 2 * time.Second

func (d *doctor) clock(ctx context.Context) error {
	before := time.Now()
	var theirs time.Time
	if err := d.owner.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
		return err
	}
	ours := before.Add(time.Since(before) / 2)
	if drift := theirs.Sub(ours).Abs(); drift > maxClockDrift {
		d.note("clock", wrong, "let both machines follow a time server", "this machine and the database are %s apart", drift.Round(time.Millisecond))
		return nil
	}
	d.note("clock", well, "", "this machine and the database agree")
	return nil
}

func (d *doctor) walls(ctx context.Context) error {
	all, err := tenancy.CheckWalls(ctx, d.owner)
	if err != nil {
		return err
	}
	open := 0
	for _, f := range all {
		if f.State == tenancy.WallHolds {
			continue
		}
		open++
		s := warning
		if f.State == tenancy.WallOpen && !strings.Contains(f.Mend, "superuser") {
			s = wrong
		}
		d.note("wall "+f.Wall, s, f.Mend, "%s: %s %s", f.State, f.Without, strings.Join(f.Where, ", "))
	}
	if open == 0 {
		d.note("walls", well, "", "all %d stand: tenants are kept apart by PostgreSQL", len(all))
	}
	return nil
}

func (d *doctor) lanes(ctx context.Context) error {
	n := d.tools.pool.Lanes()
	for i := range n {
		c, err := tenancy.OpenSession(ctx, tenancyConfig(d.cfg.Database, d.tools.ring, time.Now), tenancy.LaneLogin(i))
		if err != nil {
			d.note("lanes", wrong, "ezscale migrate (it sets the lanes' passwords anew)", "%s cannot log in: %s", tenancy.LaneLogin(i), oneLine(err))
			return nil
		}
		_ = c.Close(ctx)
	}
	d.note("lanes", well, "", "all %d can log in", n)
	return nil
}

func (d *doctor) migrations(ctx context.Context) error {
	m, done, err := openMigrator(ctx, &adminConfig{Database: d.cfg.Database, Keys: d.cfg.Keys})
	if err != nil {
		return err
	}
	defer done()
	s, err := m.Status(ctx)
	switch {
	case err != nil:
		return err
	case s.Failing > 0:
		d.note("migrations", wrong, "ezscale migrate, after looking at ezscale tenant show", "%d tenants are in maintenance because their migration failed", s.Failing)
	case !s.Current():
		d.note("migrations", warning, "ezscale migrate", "some schemas are behind version %d", s.Target)
	default:
		d.note("migrations", well, "", "every schema is at version %d", s.Target)
	}
	return nil
}

func (d *doctor) spares(ctx context.Context) error {
	_, version, err := tenancy.TenantScript()
	if err != nil {
		return err
	}
	o, err := (&watch.Watch{Central: d.tools.central, SchemaVersion: version}).Overview(ctx)
	if err != nil {
		return err
	}
	if o.SparesBehind > 0 {
		d.note("spares", warning, "ezscale migrate", "%d of %d have an older schema", o.SparesBehind, o.Spares)
	} else if o.SparesLow() {
		d.note("spares", warning, "run ezscale work, which builds them", "%d are left; a new reseller may have to wait for one", o.Spares)
	} else {
		d.note("spares", well, "", "%d wait for new resellers", o.Spares)
	}
	return nil
}

// trails verifies the central trail, and every tenant's when that was asked for.
func (d *doctor) trails(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // as long as it takes: it was asked for
	r, err := audit.InspectCentral(ctx, d.tools.central)
	if err != nil {
		return err
	}
	if !r.Holds() {
		d.note("audit", wrong, "compare with a backup: somebody with the owner's rights changed the trail", "the central trail is broken at entry %d: %s", r.Broken, r.Reason)
		return nil
	}
	entries, tenants := r.Entries, 0
	if d.allTrails {
		ids, err := d.tools.tenants(ctx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			r, err := audit.InspectTenant(ctx, d.tools.central, d.tools.pool.Bind(tenancy.Tenant{ID: id}))
			if err != nil {
				return fmt.Errorf("tenant %s: %w", id, err)
			}
			if !r.Holds() {
				d.note("audit", wrong, "compare with a backup: somebody changed the trail of "+id.Schema(), "the trail of tenant %s is broken at entry %d: %s", id, r.Broken, r.Reason)
				return nil
			}
			entries, tenants = entries+r.Entries, tenants+1
		}
	}
	d.note("audit", well, "", "%d entries hold together (central and %d tenants; --tenants reads all)", entries, tenants)
	return nil
}

func (d *doctor) jobs(ctx context.Context) error {
	var dead, old int
	err := d.owner.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'discarded'),
		count(*) FILTER (WHERE state = 'available' AND scheduled_at < now() - interval '10 minutes') FROM river.river_job`).Scan(&dead, &old)
	switch {
	case err != nil:
		return err
	case old > 0:
		d.note("jobs", wrong, "run ezscale work, or more of it", "%d jobs have waited for more than ten minutes", old)
	case dead > 0:
		d.note("jobs", warning, "look at the console under Jobs, mend the cause and retry them there", "%d jobs were given up", dead)
	default:
		d.note("jobs", well, "", "none waits too long, none was given up")
	}
	return nil
}

// mailWaits is how long a mail may wait: a mail server may be away for a while.
const mailWaits = time.Hour

// mails looks for letters that wait too long or failed, of the platform and of every tenant.
func (d *doctor) mails(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // as long as it takes: a moment for each tenant
	var all, queued, failed int
	look := func(tx tenancy.Statements) error {
		var n struct{ Queued, Failed int }
		err := tx.NewRaw(`SELECT count(*) FILTER (WHERE state = 'queued' AND created_at < ?) AS queued,
			count(*) FILTER (WHERE state = 'failed' AND created_at > ?) AS failed FROM mails`, tx.Now().Add(-mailWaits), tx.Now().AddDate(0, 0, -7)).Scan(ctx, &n)
		if n.Queued+n.Failed > 0 {
			all++
		}
		queued, failed = queued+n.Queued, failed+n.Failed
		return err
	}
	if err := d.tools.central.View(ctx, func(tx *tenancy.CentralTx) error { return look(tx) }); err != nil {
		return err
	}
	ids, err := d.tools.tenants(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := d.tools.pool.Bind(tenancy.Tenant{ID: id}).View(ctx, func(tx *tenancy.Tx) error { return look(tx) }); err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
	}
	switch {
	case queued > 0:
		d.note("mails", warning, "see the check smtp, and run ezscale work", "%d have waited for more than an hour and %d failed this week, in %d of %d outboxes", queued, failed, all, len(ids)+1)
	case failed > 0:
		d.note("mails", warning, "look at Mails, in the console or at the reseller's /manage, mend the cause and send them again there", "%d could not be delivered this week, in %d of %d outboxes", failed, all, len(ids)+1)
	default:
		d.note("mails", well, "", "none waits too long and none failed this week, in %d outboxes", len(ids)+1)
	}
	return nil
}
