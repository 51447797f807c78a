package tenancy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// DropOptions say under which conditions a tenant may go.
type DropOptions struct {
	Now    time.Time                   // on the central plane's clock
	Export func(context.Context) error // keeps the tenant's data; runs before anything is removed
	Force  bool                        // in spite of status and hold period; an Export may then be left out
}

// Drop removes a tenant for good: its schema, its role and what the central plane
// keeps about it, except a tombstone (the tenant's row), its usage and its audit
// anchors. owner is a connection of the database's owner. Drop may be repeated
// after an interruption and then goes on; on a tenant that is gone it does nothing.
//
// Faults: tenant.unknown, tenant.not_archived, tenant.on_hold, tenant.export_first.
func Drop(ctx context.Context, owner *pgx.Conn, id ID, o DropOptions) error {
	var status Status
	var after *time.Time
	err := owner.QueryRow(ctx, "SELECT status, drop_after FROM central.tenants WHERE id = $1", id).Scan((*string)(&status), &after)
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")
	}
	if err != nil {
		return fmt.Errorf("drop %s: %w", id.Schema(), err)
	}
	if status != Dropped {
		if err := mayDrop(status, after, o); err != nil {
			return err
		}
		if o.Export != nil {
			if err := o.Export(ctx); err != nil {
				return fmt.Errorf("drop %s: export: %w", id.Schema(), err)
			}
		}
		if err := bury(ctx, owner, id, o); err != nil {
			return err
		}
	}
	return removeRemains(ctx, owner, id)
}

func mayDrop(status Status, after *time.Time, o DropOptions) error {
	if o.Force {
		return nil
	}
	var hold time.Time
	if after != nil {
		hold = *after
	}
	if err := MayDrop(status, hold, o.Now); err != nil {
		return err
	}
	if o.Export == nil {
		return fault.New(fault.Conflict, "tenant.export_first", "Export the reseller's data before it is dropped.")
	}
	return nil
}

// bury turns the tenant's row into its tombstone and removes what the central plane
// did for it. From here on nobody is served and only Heal or Drop goes on.
func bury(ctx context.Context, owner *pgx.Conn, id ID, o DropOptions) error {
	err := pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error {
		// The status again, now that nobody else can change it.
		var status Status
		var after *time.Time
		err := tx.QueryRow(ctx, "SELECT status, drop_after FROM central.tenants WHERE id = $1 FOR UPDATE", id).Scan((*string)(&status), &after)
		if err != nil {
			return err
		}
		if status == Dropped {
			return nil
		}
		if err := mayDrop(status, after, o); err != nil {
			return err
		}
		for _, sql := range []string{
			`UPDATE central.domains SET serving = false, is_primary = false, state = 'removed', removed_at = $2, changed_at = $2, next_at = NULL
				WHERE tenant_id = $1 AND state <> 'removed'`,
			`UPDATE central.tenants SET status = 'dropped', owner_email = '', primary_host = NULL, migration_error = NULL, changed_at = $2
				WHERE id = $1`,
		} {
			if _, err := tx.Exec(ctx, sql, id, o.Now); err != nil {
				return err
			}
		}
		for _, sql := range []string{
			"DELETE FROM central.agenda WHERE tenant_id = $1",
			"SELECT pg_notify('ezscale_directory', 'tenant ' || $1::bigint)",
		} {
			if _, err := tx.Exec(ctx, sql, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("drop %s: %w", id.Schema(), err)
	}
	return nil
}

// removeRemains removes the schema and the role of a tenant whose row says dropped.
func removeRemains(ctx context.Context, owner *pgx.Conn, id ID) error {
	o, err := whoOwns(ctx, owner)
	if err != nil {
		return fmt.Errorf("drop %s: %w", id.Schema(), err)
	}
	n := id.Schema()
	err = pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error {
		var schema bool
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", id.lockKey()); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", n).Scan(&schema)
		if err != nil || !schema {
			return err
		}
		if err := o.join(ctx, tx, id); err != nil {
			return err
		}
		if err := o.everywhere(ctx, tx); err != nil {
			return err
		}
		_, err = SendScript(ctx, tx.Conn(), "SET LOCAL lock_timeout = '5s'; SET LOCAL ROLE "+n+"; DROP SCHEMA "+n+" CASCADE; SET LOCAL ROLE NONE"+o.leave(id), o.citus)
		return err
	})
	if err != nil {
		return fmt.Errorf("drop the schema of %s: %w", n, err)
	}
	var role bool
	if err := owner.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", n).Scan(&role); err != nil {
		return fmt.Errorf("drop the role of %s: %w", n, err)
	}
	if !role {
		return nil
	}
	// A role belongs to the cluster. Another database of it may have a tenant of the
	// same number: then the role stays, and has nothing left here.
	if _, err := owner.Exec(ctx, "DROP ROLE IF EXISTS "+n); err != nil && !hasState(err, "2BP01") {
		return fmt.Errorf("drop the role of %s: %w", n, err)
	}
	return nil
}
