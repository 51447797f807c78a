// Package twinhouse makes sandbox twins of shops, turns their clocks and drops them. It
// joins what the two planes say of a twin: the list of them (central/twin), what a copy is
// made of (tenant/twin), and the jobs by which it lives (tenancy/queue). It owns no rows.
package twinhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/branding/signin"
	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/twin"
)

// House makes sandbox twins, turns their clocks and drops them. Whoever works on one
// holds its lock, which dies with the process.
type House struct {
	Desk    *twins.Desk
	Pool    *tenancy.Pool
	Central *tenancy.Central
	Tenants Tenants
	River   *pgxpool.Pool  // see tenancy.OpenQueue
	Workers *queue.Workers // every job of a shop
	Mail    signin.Mailer
	Owner   func(ctx context.Context) (*pgx.Conn, error)   // a connection of the database's owner, for the end of a twin
	Session func(ctx context.Context) (*pgx.Conn, error)   // one for the lock
	Forget  func(ctx context.Context, id tenancy.ID) error // sessions and uploads of a twin that is dropped; may be nil
	Between func(place string)                             // tests die there; may be nil
}

// Tenants is the directory in memory; *tenancy.Resolver is one.
type Tenants interface {
	ByID(id tenancy.ID) (tenancy.Tenant, bool)
	RefreshTenant(ctx context.Context, ids ...tenancy.ID) error
}

// twinLock is the name of a twin's lock among the database's.
const twinLock = 0x7477_696e // "twin"

// Work does for a twin what it is to have done, until nothing is left of it. When another
// process is at it, that one does.
func (h *House) Work(ctx context.Context, _ *tenancy.Central, job twins.WorkJob) error {
	lock, err := h.Session(ctx)
	if err != nil {
		return fmt.Errorf("lock twin %s: %w", job.Twin, err)
	}
	defer unlock(ctx, lock)
	var mine bool
	if err := lock.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, hashtext($2))", twinLock, job.Twin.String()).Scan(&mine); err != nil {
		return fmt.Errorf("lock twin %s: %w", job.Twin, err)
	}
	if !mine {
		return nil
	}
	for {
		t, err := h.Desk.Get(ctx, job.Twin)
		if err != nil {
			if fault.Is(err, "twin.unknown") {
				return nil
			}
			return err
		}
		switch {
		case t.State == twins.Making:
			err = h.make(ctx, t)
		case t.State == twins.Dropping:
			err = h.drop(ctx, t)
		case t.Advancing():
			err = h.turn(ctx, t)
		default:
			return h.catchUp(ctx, t)
		}
		if err != nil {
			return err
		}
	}
}

// unlock lets others at a twin. The session's end alone is seen by PostgreSQL only some
// moments after we hung up, and what is asked of the twin meanwhile would find it locked.
func unlock(ctx context.Context, session *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, _ = session.Exec(ctx, "SELECT pg_advisory_unlock_all()")
	_ = session.Close(ctx)
}

// make claims a place, copies the shop into it and sets its clock to the time it was asked
// for. Each step may be repeated.
func (h *House) make(ctx context.Context, t twins.Twin) error {
	err := h.copy(ctx, t)
	if err == nil {
		return h.Desk.Made(ctx, t.ID)
	}
	if f := fault.From(err); f.Kind != fault.Internal && f.Kind != fault.Unavailable {
		return errors.Join(h.Desk.Broke(ctx, t.ID, err))
	}
	return err
}

func (h *House) copy(ctx context.Context, t twins.Twin) error {
	of, ok := h.Tenants.ByID(t.OfID)
	if !ok {
		if err := h.Tenants.RefreshTenant(ctx, t.OfID); err != nil {
			return err
		}
		if of, ok = h.Tenants.ByID(t.OfID); !ok {
			return fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")
		}
	}
	slug := t.Options.Slug
	if slug == "" {
		slug = twinSlug(of.Slug, t.ID)
	}
	copied, err := h.Pool.Claim(ctx, tenancy.Claim{
		Key: twins.ClaimKey(t.ID), Slug: slug, Name: of.Name + " (" + t.Name + ")", OwnerEmail: "twin@" + of.Slug + ".invalid", Status: tenancy.Active,
		Locale: of.Locale, Currency: of.Currency, TimeZone: of.TimeZone,
	}, nil)
	if err != nil {
		return err
	}
	h.at("claimed")
	if t, err = h.Desk.Get(ctx, t.ID); err != nil {
		return err
	}
	m := makingOf(t.Options)
	if _, err := h.Pool.Copy(ctx, of, copied, m.Shape, func(tx *tenancy.Tx) error { return m.Finish(ctx, tx) }); err != nil {
		return err
	}
	h.at("copied")
	if err := h.Desk.Provide(ctx, t); err != nil {
		return err
	}
	if err := h.turner().Begin(ctx, copied, t.BeganAt); err != nil {
		return err
	}
	if err := h.invite(ctx, copied, t.Options.Invite); err != nil {
		return err
	}
	return h.Tenants.RefreshTenant(ctx, copied.ID)
}

func makingOf(o twins.Options) twin.Making {
	return twin.Making{
		Names: o.Names, Cards: sandbox.Seeded{Seed: o.Seed, Short: twins.Ppm(o.Short), Expired: twins.Ppm(o.Expired)},
		Raise: twins.Ppm(o.Raise), Running: o.Running, Leave: twins.Ppm(o.Leave),
	}
}

// twinSlug is the first label of a twin's host.
func twinSlug(of string, id uuid.UUID) string {
	if len(of) > 40 {
		of = strings.Trim(of[:40], "-")
	}
	return of + "-twin-" + strings.ReplaceAll(id.String(), "-", "")[24:]
}

// invite has the person who asked choose a password for the twin: the letter lies in the
// twin's trap, where they read it.
func (h *House) invite(ctx context.Context, t tenancy.Tenant, who twins.Invited) error {
	people := identity.People{World: identity.Reseller}
	return h.Pool.Bind(t).Update(ctx, func(tx *tenancy.Tx) error {
		var id uuid.UUID
		err := tx.NewRaw(`SELECT id FROM people WHERE world = 'reseller' AND disabled_at IS NULL ORDER BY email_key = lower(?) DESC, role = ? DESC, created_at LIMIT 1`, who.Email, string(identity.ResellerOwner)).Scan(ctx, &id)
		if tenancy.IsNoRows(err) {
			return nil // nobody works at the shop
		}
		if err != nil {
			return fmt.Errorf("find whom to invite: %w", err)
		}
		p, err := people.ByID(ctx, tx, id)
		if err != nil {
			return err
		}
		return signin.Invite(ctx, tx, h.Mail, "/manage", p, "Your own shop")
	})
}

func (h *House) turner() *queue.Turner {
	return &queue.Turner{Pool: h.Pool, Central: h.Central, River: h.River, Workers: h.Workers}
}

// tenantOf is the twin's tenant as this node knows it.
func (h *House) tenantOf(ctx context.Context, t twins.Twin) (tenancy.Tenant, error) {
	got, ok := h.Tenants.ByID(t.TenantID)
	if !ok {
		if err := h.Tenants.RefreshTenant(ctx, t.TenantID); err != nil {
			return got, err
		}
		got, ok = h.Tenants.ByID(t.TenantID)
	}
	if !ok || !got.Sandbox {
		return got, fmt.Errorf("twin %s: tenant %s: %w", t.ID, t.TenantID, tenancy.ErrNotSandbox)
	}
	return got, nil
}

// turn lives on to the goal, or until somebody asks for an end.
func (h *House) turn(ctx context.Context, t twins.Twin) error {
	if err := h.live(ctx, t, t.GoalAt, t.Grain); err != nil {
		return err
	}
	return h.Desk.Arrived(ctx, t.ID, t.GoalAt)
}

// catchUp does what somebody who used the twin has set going, at the time it stands at.
func (h *House) catchUp(ctx context.Context, t twins.Twin) error {
	if t.State != twins.Ready {
		return nil
	}
	return h.live(ctx, t, t.NowAt, t.Grain)
}

func (h *House) live(ctx context.Context, t twins.Twin, to time.Time, grain time.Duration) error {
	tenant, err := h.tenantOf(ctx, t)
	if err != nil {
		return err
	}
	stands, began := t.NowAt, time.Now()
	return h.turner().Run(ctx, queue.Turn{
		Tenant: tenant, Now: t.NowAt, To: to, Grain: grain,
		Set: func(ctx context.Context, now time.Time, since queue.Turned) (bool, error) {
			h.at("settled")
			stop, err := h.Desk.Moved(ctx, t.ID, stands, now, since.Jobs, since.Failures, since.Problem, time.Since(began))
			stands, began = now, time.Now()
			h.at("moved")
			return stop, err
		},
	})
}

func (h *House) at(place string) {
	if h.Between != nil {
		h.Between(place)
	}
}

// drop removes a twin with all that is its own. Nothing is exported first: it holds nothing
// that its original has not.
func (h *House) drop(ctx context.Context, t twins.Twin) error {
	if t.TenantID.IsZero() {
		return h.Desk.Gone(ctx, t.ID)
	}
	if err := h.Desk.Forget(ctx, t); err != nil {
		return err
	}
	owner, err := h.Owner(ctx)
	if err != nil {
		return fmt.Errorf("drop twin %s: %w", t.ID, err)
	}
	defer owner.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is lost
	if err := tenancy.Drop(ctx, owner, t.TenantID, tenancy.DropOptions{Now: h.Central.Now().UTC(), Force: true}); err != nil {
		return err
	}
	if _, err := h.River.Exec(ctx, "DELETE FROM river.river_job WHERE queue = $1", "twin-"+t.TenantID.String()); err != nil {
		return fmt.Errorf("drop twin %s: jobs: %w", t.ID, err)
	}
	if h.Forget != nil {
		if err := h.Forget(ctx, t.TenantID); err != nil {
			return fmt.Errorf("drop twin %s: %w", t.ID, err)
		}
	}
	return h.Desk.Gone(ctx, t.ID)
}

// Register adds the jobs that make, turn and drop twins.
func (h *House) Register(w *queue.Workers) {
	queue.HandleCentral(w, h.Work, queue.Timeout(2*time.Hour))
	queue.HandleCentral(w, h.tick)
}

// tick has every twin worked on that wants it, also those whose worker died.
func (h *House) tick(ctx context.Context, central *tenancy.Central, _ twins.TickJob) error {
	all, err := h.Desk.Unfinished(ctx)
	if err != nil || len(all) == 0 {
		return err
	}
	return central.Update(ctx, func(tx *tenancy.CentralTx) error {
		for _, t := range all {
			if _, err := tx.Enqueue(ctx, twins.WorkJob{Twin: t.ID}, tenancy.JobOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}
