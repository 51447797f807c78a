package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/central/connect"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/payment"
)

type secretsRotateCmd struct {
	output
	Quiet bool `help:"No progress on standard error."`
}

// rotation is what a run tells.
type rotation struct {
	Key     string         `json:"key"`     // everything is sealed with it now
	Tenants int            `json:"tenants"` // looked through
	Sealed  map[string]int `json:"sealed"`  // what was sealed again, by kind
	Left    map[string]int `json:"left"`    // what another key still seals, by key
}

// What is sealed, by kind.
const (
	sealedFactors = "second factors"
	sealedGateway = "gateways' keys"
	sealedMails   = "mails"
	sealedTLS     = "certificates' keys and accounts"
	sealedTickets = "ticket keys"
	sealedAccess  = "access data of services"
	sealedAlerts  = "channels of alerts"
	sealedConnect = "the endpoint of connected accounts"
	sealedTokens  = "platforms' tokens"
)

// rewrapPage is how many values one transaction seals again.
const rewrapPage = 200

// Run seals everything with the first master key. What is done stays done: stopped, it
// goes on where it was when it is run again.
func (c *secretsRotateCmd) Run(ctx context.Context, t *terminal) error {
	x, err := openTools(ctx)
	if err != nil {
		return err
	}
	defer x.close()
	r, err := x.rotate(ctx, c.progress(t))
	if err != nil {
		return err
	}
	err = c.print(t, r, func() {
		for _, kind := range slices.Sorted(maps.Keys(r.Sealed)) {
			t.say("%s: %d sealed again", kind, r.Sealed[kind])
		}
		if len(r.Left) > 0 {
			t.say("Other keys still seal %s: a process that does not know the new key yet sealed it. Restart serve and work, then run this again.", keysAndCounts(r.Left))
			return
		}
		t.say("Everything is sealed with key %q, centrally and in %d tenants.", r.Key, r.Tenants)
		t.say("Once every serve and work runs with it as the first key, the other keys can go from EZSCALE_MASTER_KEYS:")
		t.say("run ezscale doctor, take them out, run ezscale migrate (it sets the passwords of the database logins anew) and restart serve and work.")
	})
	if err == nil && len(r.Left) > 0 {
		return errFound
	}
	return err
}

func (c *secretsRotateCmd) progress(t *terminal) func(done, total int) {
	var last time.Time
	return func(done, total int) {
		if c.Quiet || c.JSON || done < total && time.Since(last) < 100*time.Millisecond {
			return
		}
		last = time.Now()
		end := ""
		if done >= total {
			end = "\n"
		}
		_, _ = fmt.Fprintf(t.err, "\rtenants: %d of %d%s", done, total, end)
	}
}

// rotate seals again what another key than the first sealed: of the platform, then of
// every tenant.
func (x *tools) rotate(ctx context.Context, progress func(done, total int)) (rotation, error) {
	r := rotation{Key: x.ring.First(), Sealed: map[string]int{}, Left: map[string]int{}}
	if err := x.rotateCentral(ctx, r.Sealed); err != nil {
		return r, err
	}
	ids, err := x.tenants(ctx)
	if err != nil {
		return r, err
	}
	for i, id := range ids {
		if err := x.rotateTenant(ctx, id, r.Sealed); err != nil {
			return r, fmt.Errorf("tenant %s: %w", id, err)
		}
		progress(i+1, len(ids))
	}
	r.Tenants = len(ids)
	all, err := x.sealedBy(ctx, ids)
	delete(all, r.Key)
	maps.Copy(r.Left, all)
	return r, err
}

func (x *tools) rotateCentral(ctx context.Context, sealed map[string]int) error {
	steps := map[string]func(*tenancy.CentralTx) (int, error){
		sealedTLS:     func(tx *tenancy.CentralTx) (int, error) { return domain.RewrapAssets(ctx, tx, x.ring, rewrapPage) },
		sealedTickets: func(tx *tenancy.CentralTx) (int, error) { return domain.RewrapTickets(ctx, tx, x.ring) },
		sealedTokens:  func(tx *tenancy.CentralTx) (int, error) { return platform.Rewrap(ctx, tx, x.ring, rewrapPage) },
		sealedAlerts:  func(tx *tenancy.CentralTx) (int, error) { return alerts.Rewrap(ctx, tx, x.ring, rewrapPage) },
		sealedConnect: func(tx *tenancy.CentralTx) (int, error) { return connect.Rewrap(ctx, tx, x.ring) },
		sealedMails:   func(tx *tenancy.CentralTx) (int, error) { return mail.Rewrap(ctx, tx, x.ring, rewrapPage) },
		sealedFactors: func(tx *tenancy.CentralTx) (int, error) {
			return x.rewrapFactors(ctx, tx, identity.Staff, identity.Partner)
		},
	}
	for kind, step := range steps {
		err := untilNone(sealed, kind, func() (n int, err error) {
			err = x.central.Update(ctx, func(tx *tenancy.CentralTx) (err error) { n, err = step(tx); return err })
			return n, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (x *tools) rotateTenant(ctx context.Context, id tenancy.ID, sealed map[string]int) error {
	db := x.pool.Bind(tenancy.Tenant{ID: id})
	steps := map[string]func(*tenancy.Tx) (int, error){
		sealedAccess:  func(tx *tenancy.Tx) (int, error) { return hosting.Rewrap(ctx, tx, x.ring, rewrapPage) },
		sealedMails:   func(tx *tenancy.Tx) (int, error) { return mail.Rewrap(ctx, tx, x.ring, rewrapPage) },
		sealedGateway: func(tx *tenancy.Tx) (int, error) { return payment.Rewrap(ctx, tx, x.ring) },
		sealedFactors: func(tx *tenancy.Tx) (int, error) {
			return x.rewrapFactors(ctx, tx, identity.Reseller, identity.Customer)
		},
	}
	for kind, step := range steps {
		err := untilNone(sealed, kind, func() (n int, err error) {
			err = db.Update(ctx, func(tx *tenancy.Tx) (err error) { n, err = step(tx); return err })
			return n, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// untilNone repeats a step, each a transaction, until it finds nothing to do.
func untilNone(sealed map[string]int, kind string, step func() (int, error)) error {
	for {
		n, err := step()
		sealed[kind] += n
		if err != nil || n == 0 {
			return err
		}
	}
}

func (x *tools) rewrapFactors(ctx context.Context, tx tenancy.Statements, worlds ...identity.World) (all int, err error) {
	for _, w := range worlds {
		n, err := identity.Factors{People: identity.People{World: w}, Keys: x.ring}.Rewrap(ctx, tx)
		if err != nil {
			return all, err
		}
		all += n
	}
	return all, nil
}

// tenants are all that have a schema.
func (x *tools) tenants(ctx context.Context) ([]tenancy.ID, error) { return tenantIDs(ctx, x.central) }

func tenantIDs(ctx context.Context, central *tenancy.Central) ([]tenancy.ID, error) {
	var rows []struct{ ID tenancy.ID } // bun takes a bare ID, a struct, for a row of its own
	err := central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT id FROM tenants WHERE status <> 'dropped' ORDER BY id").Scan(ctx, &rows)
	})
	ids := make([]tenancy.ID, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids, err
}

// sealedBy counts what each key seals, of the platform and of the tenants given.
func (x *tools) sealedBy(ctx context.Context, ids []tenancy.ID) (map[string]int, error) {
	all := map[string]int{}
	err := x.central.View(ctx, func(tx *tenancy.CentralTx) error {
		return countSealed(ctx, tx, all, append(slices.Clone(sealedColumns), "SELECT "+secrets.KeyIDSQL("value")+" AS key FROM tls_assets WHERE key LIKE '%.key'",
			"SELECT "+secrets.KeyIDSQL("sealed_key")+" AS key FROM tls_ticket_keys",
			"SELECT "+secrets.KeyIDSQL("sealed_target")+" AS key FROM alert_channels", platform.SealedBy(), connect.SealedBy()))
	})
	for _, id := range ids {
		if err != nil {
			return all, err
		}
		err = x.pool.Bind(tenancy.Tenant{ID: id}).View(ctx, func(tx *tenancy.Tx) error { return countSealed(ctx, tx, all, tenantSealed()) })
	}
	return all, err
}

// sealedColumns are what both planes keep sealed.
var sealedColumns = []string{
	"SELECT " + secrets.KeyIDSQL("totp_secret") + " AS key FROM people WHERE totp_secret IS NOT NULL",
	"SELECT " + secrets.KeyIDSQL("sealed_body") + " AS key FROM mails WHERE sealed_body IS NOT NULL",
}

// tenantSealed is everything a tenant keeps sealed.
func tenantSealed() []string {
	return append(slices.Clone(sealedColumns), hosting.SealedColumn(), payment.SealedBy())
}

func countSealed(ctx context.Context, tx tenancy.Statements, all map[string]int, columns []string) error {
	var rows []struct {
		Key string
		N   int
	}
	err := tx.NewRaw("SELECT key, count(*) AS n FROM ("+strings.Join(columns, " UNION ALL ")+") AS sealed GROUP BY key").Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("count what is sealed: %w", err)
	}
	for _, r := range rows {
		all[r.Key] += r.N
	}
	return nil
}

// keysAndCounts is "3 with k1, 1 with k0".
func keysAndCounts(of map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%d with %s", of[k], k))
	}
	return strings.Join(parts, ", ")
}
