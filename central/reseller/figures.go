package reseller

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Domain is a reseller's domain with its certificate, as staff see it.
type Domain struct {
	ID         uuid.UUID
	Host       string
	State      string
	IsPrimary  bool
	Serving    bool
	CertIssuer string
	NotAfter   time.Time
	RenewAt    time.Time
	CheckedAt  time.Time
	LastError  string
	CreatedAt  time.Time
	ChangedAt  time.Time
}

// Failing reports whether the domain waits for somebody.
func (d Domain) Failing() bool {
	switch d.State {
	case "misdirected", "conflict", "caa_forbids", "failing", "drifted":
		return true
	}
	return false
}

// Figures are what the platform knows about a reseller without opening its schema.
type Figures struct {
	SizeBytes int64 // tables, indexes and what they overflow into
	Tables    int
	Lane      int
	Domains   []Domain // those not removed, primary first
	UsageRows int64    // usage events recorded in all
}

// Inside is what only the tenant's own schema knows; zero times are "never".
type Inside struct {
	Team, Customers, Accounts int
	LastSignIn                time.Time // of the team
	LastCustomerSignIn        time.Time
}

// Figures counts. It costs two small statements; the size is asked by the
// catalog's own indexes and does not grow with the number of tenants.
func (d *Desk) Figures(ctx context.Context, id tenancy.ID) (f Figures, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		f, err = figuresOf(ctx, tx, id)
		return err
	})
	if err != nil {
		return Figures{}, fmt.Errorf("figures of %s: %w", id, err)
	}
	return f, nil
}

// More reads something else of a reseller at the same moment.
type More func(ctx context.Context, tx *tenancy.CentralTx, id tenancy.ID) error

// Look is Get and Figures of one moment, and what else is asked for.
func (d *Desk) Look(ctx context.Context, id tenancy.ID, more ...More) (r Reseller, f Figures, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		if r, err = byID(ctx, tx, id, ""); err != nil {
			return err
		}
		if f, err = figuresOf(ctx, tx, id); err != nil {
			return err
		}
		for _, read := range more {
			if err := read(ctx, tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	return r, f, err
}

func figuresOf(ctx context.Context, tx *tenancy.CentralTx, id tenancy.ID) (f Figures, err error) {
	// pg_depend leads from a schema to its tables by an index; pg_class does not.
	var lanes int
	err = tx.NewRaw(`SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, count(*)::int,
			(SELECT count(*) FROM usage_events WHERE tenant_id = ?), (SELECT value::int FROM settings WHERE name = 'lanes')
		FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p')
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_namespace'::regclass
		AND d.refobjid = (SELECT oid FROM pg_namespace WHERE nspname = ?)`, id, id.Schema()).Scan(ctx, &f.SizeBytes, &f.Tables, &f.UsageRows, &lanes)
	if err != nil {
		return f, err
	}
	if lanes > 0 {
		f.Lane = id.Lane(lanes)
	}
	f.Domains, err = domainsOf(ctx, tx, id)
	return f, err
}

func domainsOf(ctx context.Context, tx *tenancy.CentralTx, id tenancy.ID) (found []Domain, err error) {
	err = tx.NewRaw(`SELECT id, host, state, is_primary, serving, coalesce(cert_issuer, '') AS cert_issuer, not_after, renew_at, checked_at,
		coalesce(last_error, '') AS last_error, created_at, changed_at
		FROM domains WHERE tenant_id = ? AND state <> 'removed' ORDER BY is_primary DESC, host LIMIT 200`, id).Scan(ctx, &found)
	return found, err
}
