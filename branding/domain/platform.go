package domain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// Platform is the names of our own: the tenants' hosts below Zone and Hosts. With
// Wildcard one certificate serves all below Zone, and its order needs a proof by DNS;
// else every host gets its own.
type Platform struct {
	Central  *tenancy.Central
	Zone     string
	Wildcard bool
	Hosts    []string
}

// CertName is the name on the certificate that serves host; false when host is not ours.
func (p *Platform) CertName(host string) (string, bool) {
	if p == nil {
		return "", false
	}
	if _, zone, _ := strings.Cut(host, "."); zone == p.Zone {
		if p.Wildcard {
			return "*." + p.Zone, true
		}
		return host, true
	}
	return host, slices.Contains(p.Hosts, host)
}

type ownName struct {
	Name       string
	State      string
	CertSerial *string
	Authority  *string
	NotAfter   *time.Time
	RenewAt    *time.Time
	OrderAfter *time.Time
	Attempts   int
	CreatedAt  time.Time
}

// sync makes the table hold exactly the names that need a certificate.
func (p *Platform) sync(ctx context.Context) error {
	names := slices.Clone(p.Hosts)
	if p.Wildcard {
		names = append(names, "*."+p.Zone)
		names = slices.DeleteFunc(names, func(n string) bool {
			_, zone, _ := strings.Cut(n, ".")
			return zone == p.Zone && !strings.HasPrefix(n, "*")
		})
	}
	return p.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		now := tx.Now()
		_, err := tx.NewRaw(`WITH wanted AS (
				SELECT unnest(string_to_array(?0, ' ')) AS name
				UNION SELECT slug || '.' || ?1 FROM tenants WHERE NOT ?2 AND status NOT IN ('dropped', 'archived')
			), gone AS (
				DELETE FROM platform_names WHERE name NOT IN (SELECT name FROM wanted)
			)
			INSERT INTO platform_names (name, state, next_at, created_at, changed_at)
			SELECT name, 'waiting', ?3, ?3, ?3 FROM wanted WHERE name <> ''
			ON CONFLICT (name) DO NOTHING`, strings.Join(names, " "), p.Zone, p.Wildcard, now).Exec(ctx)
		if err != nil {
			return fmt.Errorf("our own names: %w", err)
		}
		return nil
	})
}

func (p *Platform) claim(ctx context.Context, most int) (due []ownName, err error) {
	err = p.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`UPDATE platform_names SET claimed_until = ?0 WHERE name IN (
				SELECT name FROM platform_names WHERE next_at <= ?1 AND (claimed_until IS NULL OR claimed_until <= ?1)
				ORDER BY next_at FOR UPDATE SKIP LOCKED LIMIT ?2)
			RETURNING name, state, cert_serial, authority, not_after, renew_at, order_after, attempts, created_at`,
			tx.Now().Add(claimFor), tx.Now(), most).Scan(ctx, &due)
	})
	return due, err
}

// tendOwn gives one of our own names its certificate, and renews it in time.
func (w *Worker) tendOwn(ctx context.Context, n ownName) {
	now := w.Central.Now()
	stored, err := w.Authority.Stored(ctx, n.Name)
	known, renewal := "", false
	switch {
	case err == nil && stored.Serial != value(n.CertSerial) && now.Before(stored.NotAfter):
		w.settleOwn(ctx, n.Name, &stored, w.renewal(ctx, stored), nil)
		return
	case err == nil && n.RenewAt != nil && now.Before(*n.RenewAt):
		w.settleOwn(ctx, n.Name, &stored, earlier(*n.RenewAt, w.renewal(ctx, stored)), nil)
		return
	case err == nil:
		known, renewal = stored.Serial, true
	case !errors.Is(err, fs.ErrNotExist):
		w.settleOwn(ctx, n.Name, nil, time.Time{}, &trouble{state: Failing, code: "acme.storage", message: "The certificate storage cannot be read.", wait: time.Minute})
		return
	}
	if n.OrderAfter != nil && now.Before(*n.OrderAfter) {
		w.settleOwn(ctx, n.Name, nil, time.Time{}, &trouble{state: RateLimited, code: "orders.wait", message: "Waits for its turn.", wait: n.OrderAfter.Sub(now)})
		return
	}
	if t := w.unreachable(ctx, n); t != nil {
		w.settleOwn(ctx, n.Name, nil, time.Time{}, t)
		return
	}
	cert, renewAt, problem := w.obtain(ctx, n.Name, known, renewal)
	if problem != nil {
		w.settleOwn(ctx, n.Name, nil, time.Time{}, problem)
		return
	}
	w.settleOwn(ctx, n.Name, &cert, renewAt, nil)
	if w.Serving != nil {
		w.Serving.Reload(ctx, n.Name)
	}
}

// A fleet may start with a node that works before any that serves: an order placed then
// fails at the authority, which counts failures, and is repeated minutes later. While
// one of our names is new, an order for it waits until a node of ours answers there.
const (
	newName     = 10 * time.Minute
	frontRetry  = 5 * time.Second
	noFrontCode = "front.unreachable"
)

func (w *Worker) unreachable(ctx context.Context, n ownName) *trouble {
	if w.Preflight == nil || w.Preflight.Self == nil || strings.HasPrefix(n.Name, "*.") || w.Central.Now().Sub(n.CreatedAt) > newName {
		return nil
	}
	if err := w.Preflight.reach(ctx, n.Name); err != nil {
		return &trouble{state: RateLimited, code: noFrontCode, message: "No node of ours answers for " + n.Name + " over " + strings.ToUpper(w.Preflight.way()) + " yet. " + err.Error(), wait: frontRetry}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (w *Worker) settleOwn(ctx context.Context, name string, cert *Certificate, renewAt time.Time, t *trouble) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		now := tx.Now()
		if t != nil {
			return w.failOwn(ctx, tx, name, *t)
		}
		if err := w.Budget.finish(ctx, tx, name, "issued"); err != nil {
			return err
		}
		next := earlier(now.Add(w.Pace.Daily), renewAt)
		if next.Before(now) {
			next = now
		}
		_, err := tx.NewRaw(`UPDATE platform_names SET state = 'active', cert_serial = ?, authority = ?, not_before = ?, not_after = ?, renew_at = ?,
				next_at = ?, claimed_until = NULL, order_after = NULL, attempts = 0, last_error_code = NULL, last_error = NULL, changed_at = ? WHERE name = ?`,
			cert.Serial, w.Authority.Key(), cert.NotBefore, cert.NotAfter, renewAt, next, now, name).Exec(ctx)
		return err
	})
	if err != nil {
		w.Log.ErrorContext(ctx, "one of our own names could not be settled", "name", name, "error", err)
	}
}

func (w *Worker) failOwn(ctx context.Context, tx *tenancy.CentralTx, name string, t trouble) error {
	now := tx.Now()
	var attempts int
	if err := tx.NewRaw("SELECT attempts FROM platform_names WHERE name = ? FOR UPDATE", name).Scan(ctx, &attempts); err != nil {
		if tenancy.IsNoRows(err) {
			return nil
		}
		return err
	}
	wait := t.wait
	if t.state != RateLimited && t.code != "acme.storage" {
		attempts++
		wait = max(wait, afterFailure(attempts))
	}
	at := now.Add(wait)
	if t.account {
		if err := w.Budget.pauseUntil(ctx, tx, at, t.message); err != nil {
			return err
		}
	}
	if t.code != "orders.wait" && t.code != noFrontCode { // those ordered nothing
		if err := w.Budget.finish(ctx, tx, name, t.code); err != nil {
			return err
		}
	}
	_, err := tx.NewRaw(`UPDATE platform_names SET state = CASE WHEN not_after > ?0 THEN 'active' ELSE 'failing' END, next_at = ?1, order_after = ?1,
			claimed_until = NULL, attempts = ?2, last_error_code = ?3, last_error = ?4, changed_at = ?0 WHERE name = ?5`,
		now, at, attempts, t.code, t.message, name).Exec(ctx)
	return err
}

// Hurry moves a name to the head of the queue: a visitor is waiting for it. It does
// not shorten the wait after a failure, and orders nothing itself.
func (w *Worker) Hurry(ctx context.Context, host string) error {
	err := w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		first := tx.Now().Add(-time.Hour) // before all that are merely due
		if name, ours := w.Platform.CertName(host); ours {
			_, err := tx.NewRaw(`INSERT INTO platform_names AS p (name, state, next_at, created_at, changed_at) VALUES (?0, 'waiting', ?1, ?2, ?2)
				ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at
				WHERE p.order_after IS NULL OR p.order_after <= ?2`, name, first, tx.Now()).Exec(ctx)
			return err
		}
		_, err := tx.NewRaw(`UPDATE domains SET next_at = ? WHERE host = ? AND serving AND (order_after IS NULL OR order_after <= ?)`,
			first, host, tx.Now()).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("hurry %s: %w", host, err)
	}
	w.Wake()
	return nil
}
