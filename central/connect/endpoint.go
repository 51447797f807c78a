package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// Believed is how long an endpoint whose place another took is there and believed: every node
// knows the new secret by then, and nothing is lost on its way.
const Believed = 10 * time.Minute

// TidyJob looks at the endpoint and removes those whose place another took.
type TidyJob struct{}

// Kind names the job.
func (TidyJob) Kind() string { return "connect.endpoint" }

const sealPurpose = "connect endpoint"

// Sealer seals what notifications are signed with; *secrets.Keyring is one.
type Sealer interface {
	Seal(purpose string, aad, plain []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Hook is the endpoint at which the gateway tells of all connected accounts: it registers it,
// keeps its secret sealed and looks after it. It is safe for concurrent use.
type Hook struct {
	Central *tenancy.Central
	Gateway gateway.Endpoints
	Keys    Sealer
	Address string // where notifications are taken
	Fixed   bool   // the secret is in the configuration: the endpoint was registered by hand
}

// Endpoint is how the endpoint stands.
type Endpoint struct {
	Attempt    int
	Address    string
	Ref        string // the gateway's name for it
	OpenedAt   time.Time
	CheckedAt  time.Time // zero: never
	Problem    string    // what the last look found wrong
	ReplacedAt time.Time `json:"-"` // zero: it is the one
	Accounts   int       `json:"-"` // connected ones
}

type endpointRow struct {
	Endpoint
	SealedSecret []byte
}

// key names it to the gateway. The moment is in it, for the numbers of another database may be
// the same.
func (e Endpoint) key() string {
	return fmt.Sprintf("connect-endpoint/%d/%d", e.Attempt, e.OpenedAt.UnixMicro())
}

func (e Endpoint) aad() []byte { return fmt.Appendf(nil, "connect_endpoints/%d", e.Attempt) }

const endpointColumns = "attempt, address, coalesce(ref, '') AS ref, sealed_secret, replaced_at, checked_at, problem, opened_at"

// all are the endpoints there are rows of; the one that counts is the first, if there is one.
func (h *Hook) all(ctx context.Context, tx *tenancy.CentralTx) (rows []endpointRow, err error) {
	err = tx.NewRaw("SELECT "+endpointColumns+" FROM connect_endpoints ORDER BY replaced_at IS NOT NULL, attempt DESC").Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the endpoint of connected accounts: %w", err)
	}
	return rows, nil
}

// State is how the endpoint stands; Ref is empty where there is none.
func (h *Hook) State(ctx context.Context) (e Endpoint, err error) {
	err = h.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		rows, err := h.all(ctx, tx)
		if err != nil {
			return err
		}
		if len(rows) > 0 && rows[0].ReplacedAt.IsZero() {
			e = rows[0].Endpoint
		}
		return tx.NewRaw("SELECT count(*) FROM connected_accounts WHERE account IS NOT NULL").Scan(ctx, &e.Accounts)
	})
	return e, err
}

// Secrets are what notifications may be signed with: the endpoint's, and for a while those of
// the ones it took the place of.
func (h *Hook) Secrets(ctx context.Context) (all []string, err error) {
	var rows []endpointRow
	err = h.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		rows, err = h.all(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if len(r.SealedSecret) == 0 {
			continue
		}
		secret, err := h.Keys.Open(sealPurpose, r.aad(), r.SealedSecret)
		if err != nil {
			return nil, fmt.Errorf("open the secret of the endpoint of connected accounts: %w", err)
		}
		all = append(all, string(secret))
	}
	return all, nil
}

// Register has the gateway tell of connected accounts at our address. What is registered and
// well stays as it is; what is gone at the gateway, leads elsewhere or is not told of everything
// is registered anew.
// Faults: connect.configured, connect.endpoint_taken, gateway.refused, gateway.unavailable,
// gateway.no_webhook.
func (h *Hook) Register(ctx context.Context, by audit.Origin) error {
	return h.register(ctx, by, false)
}

// Rotate registers another endpoint with a secret of its own in the place of the one there is,
// which is believed for Believed longer and then removed. Faults as Register's.
func (h *Hook) Rotate(ctx context.Context, by audit.Origin) error { return h.register(ctx, by, true) }

func (h *Hook) register(ctx context.Context, by audit.Origin, anew bool) error {
	if h.Fixed {
		return fault.New(fault.Conflict, "connect.configured", "The secret is in the configuration (EZSCALE_STRIPE_CONNECT_WEBHOOK_SECRET). Remove it there to have the endpoint registered here.")
	}
	there, err := h.Gateway.Endpoints(ctx)
	if err != nil {
		return refusedBy(err)
	}
	e, rows, err := h.begin(ctx, there, anew)
	if err != nil || e.Ref != "" {
		return err
	}
	known := map[string]bool{}
	for _, r := range rows {
		known[r.Ref] = true
	}
	for _, x := range there {
		if x.URL != h.Address || known[x.Ref] {
			continue
		}
		if x.Key == "" {
			return fault.New(fault.Conflict, "connect.endpoint_taken", "Somebody set up an endpoint with this address at Stripe by hand. Remove it there, or enter its secret in the configuration.")
		}
	}
	made, secret, err := h.Gateway.NewEndpoint(ctx, e.key(), h.Address) // again with its key, it is the one made before
	if err != nil {
		return refusedBy(err)
	}
	for _, x := range there { // ours, of which nobody knows the secret any more
		left := slices.ContainsFunc(rows, func(r endpointRow) bool { return h.leaves(r) && r.key() == x.Key })
		if left || x.URL == h.Address && !known[x.Ref] && x.Ref != made.Ref {
			if err := h.Gateway.DropEndpoint(ctx, x.Ref); err != nil {
				return refusedBy(err)
			}
		}
	}
	return h.keep(ctx, e, made.Ref, secret, by)
}

// leaves reports whether an attempt was begun at another address and is not gone on with: the
// gateway takes its key with that address only.
func (h *Hook) leaves(r endpointRow) bool { return r.Ref == "" && r.Address != h.Address }

// begin notes the attempt before the gateway is asked; an attempt that was begun is gone on
// with. With a Ref it is well as it is.
func (h *Hook) begin(ctx context.Context, there []gateway.Endpoint, anew bool) (e Endpoint, rows []endpointRow, err error) {
	err = h.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, err := tx.NewRaw("SELECT pg_advisory_xact_lock(hashtextextended('connect endpoint', 0))").Exec(ctx); err != nil {
			return err
		}
		if rows, err = h.all(ctx, tx); err != nil {
			return err
		}
		last := 0
		for _, r := range rows {
			last = max(last, r.Attempt)
		}
		// One that is being registered is not the one yet, if there is one: it is replaced at now
		// for as long as that lasts.
		if i := slices.IndexFunc(rows, func(r endpointRow) bool { return r.Ref == "" && !h.leaves(r) }); i >= 0 {
			e = rows[i].Endpoint
			return nil
		}
		if len(rows) > 0 && rows[0].ReplacedAt.IsZero() && !anew {
			well := slices.ContainsFunc(there, func(x gateway.Endpoint) bool {
				return x.Ref == rows[0].Ref && x.URL == h.Address && x.On && len(x.Missing) == 0
			})
			if well {
				e = rows[0].Endpoint
				return nil
			}
		}
		e = Endpoint{Attempt: last + 1, Address: h.Address, OpenedAt: tx.Now().UTC().Truncate(time.Microsecond)}
		_, err := tx.NewRaw("INSERT INTO connect_endpoints (attempt, address, replaced_at, problem, opened_at, changed_at) VALUES (?, ?, ?, '', ?, ?)",
			e.Attempt, e.Address, e.OpenedAt, e.OpenedAt, e.OpenedAt).Exec(ctx)
		return err
	})
	if err != nil {
		return e, nil, fmt.Errorf("begin the endpoint of connected accounts: %w", err)
	}
	return e, rows, nil
}

// keep makes what was registered the one that counts.
func (h *Hook) keep(ctx context.Context, e Endpoint, ref, secret string, by audit.Origin) error {
	sealed, err := h.Keys.Seal(sealPurpose, e.aad(), []byte(secret))
	if err != nil {
		return fmt.Errorf("seal the secret of the endpoint of connected accounts: %w", err)
	}
	err = h.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var begun []int
		err := tx.NewRaw("SELECT attempt FROM connect_endpoints WHERE ref IS NULL AND (attempt = ? OR address <> ?) ORDER BY attempt FOR UPDATE", e.Attempt, e.Address).Scan(ctx, &begun)
		if err != nil || !slices.Contains(begun, e.Attempt) { // another was faster, and yet another may have its place by now
			return err
		}
		if _, err := tx.NewRaw("UPDATE connect_endpoints SET replaced_at = ?, changed_at = ? WHERE replaced_at IS NULL AND attempt <> ?", tx.Now(), tx.Now(), e.Attempt).Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewRaw("DELETE FROM connect_endpoints WHERE ref IS NULL AND address <> ?", e.Address).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewRaw("UPDATE connect_endpoints SET ref = ?, sealed_secret = ?, replaced_at = NULL, checked_at = ?, changed_at = ? WHERE attempt = ?", ref, sealed, tx.Now(), tx.Now(), e.Attempt).Exec(ctx)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "connect.endpoint_registered", audit.Target{Kind: "settings", ID: "connect"}, map[string]any{"address": e.Address, "endpoint": ref})
	})
	if err != nil {
		return fmt.Errorf("keep the endpoint of connected accounts: %w", err)
	}
	return nil
}

// Tidy looks whether the gateway still tells of connected accounts as it should, keeps what it
// found, and alerts staff of what is wrong, once a day; and it removes endpoints whose place
// another took long enough ago. Nothing was registered: nothing is looked at.
func (h *Hook) Tidy(ctx context.Context) error {
	var rows []endpointRow
	err := h.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		rows, err = h.all(ctx, tx)
		return err
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	var failed error
	for _, r := range rows {
		if !r.ReplacedAt.IsZero() && r.Ref != "" && !h.Central.Now().Before(r.ReplacedAt.Add(Believed)) {
			failed = errors.Join(failed, h.remove(ctx, r.Endpoint))
		}
	}
	if rows[0].ReplacedAt.IsZero() {
		failed = errors.Join(failed, h.look(ctx, rows[0].Endpoint))
	}
	return failed
}

func (h *Hook) remove(ctx context.Context, e Endpoint) error {
	if err := h.Gateway.DropEndpoint(ctx, e.Ref); err != nil {
		return err
	}
	return h.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		res, err := tx.NewRaw("DELETE FROM connect_endpoints WHERE attempt = ? AND replaced_at IS NOT NULL", e.Attempt).Exec(ctx)
		if err != nil {
			return fmt.Errorf("forget an endpoint of connected accounts: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 { // another was faster
			return err
		}
		return audit.Origin{Actor: audit.System("connect")}.Record(ctx, tx, "connect.endpoint_removed", audit.Target{Kind: "settings", ID: "connect"}, map[string]any{"endpoint": e.Ref})
	})
}

// look asks the gateway and notes what it says against the endpoint. That it does not answer is
// noted too and alerts nobody: it is asked again.
func (h *Hook) look(ctx context.Context, e Endpoint) error {
	there, err := h.Gateway.Endpoints(ctx)
	problem := wrong(e, h.Address, there)
	if err != nil {
		problem = fault.From(refusedBy(err)).Message
	}
	return h.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, uerr := tx.NewRaw("UPDATE connect_endpoints SET checked_at = ?, problem = ? WHERE attempt = ?", tx.Now(), problem, e.Attempt).Exec(ctx); uerr != nil {
			return fmt.Errorf("note how the endpoint of connected accounts stands: %w", uerr)
		}
		if problem == "" || err != nil {
			return nil
		}
		_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: "connect.endpoint " + tx.Now().UTC().Format(time.DateOnly), Kind: "connect.endpoint", Text: "Stripe does not tell of connected accounts as it should. " + problem})
		return err
	})
}

// wrong is what speaks against the endpoint, in words; empty: nothing.
func wrong(e Endpoint, address string, there []gateway.Endpoint) string {
	i := slices.IndexFunc(there, func(x gateway.Endpoint) bool { return x.Ref == e.Ref })
	switch {
	case i < 0:
		return "The endpoint is gone at Stripe. Register it again."
	case there[i].URL != address:
		return "The endpoint at Stripe leads to another address than ours. Register it again."
	case !there[i].On:
		return "The endpoint is switched off at Stripe: Stripe does that where deliveries keep failing. Register it again."
	case len(there[i].Missing) > 0:
		return "Stripe does not send " + strings.Join(there[i].Missing, ", ") + " there. Register it again."
	}
	return ""
}

// refusedBy says in words what a gateway's error means.
func refusedBy(err error) error {
	switch {
	case errors.Is(err, gateway.ErrCredentials):
		return fault.Wrap(err, fault.Conflict, "gateway.refused", "Stripe refuses the platform's keys, or does not let them change webhooks.")
	case errors.Is(err, gateway.ErrUnavailable):
		return fault.Wrap(err, fault.Conflict, "gateway.unavailable", "Stripe does not answer at the moment. Please try again in a few minutes.")
	}
	return fault.Wrap(err, fault.Conflict, "gateway.no_webhook", "Stripe does not take this address. Is Connect activated for the platform's account?")
}

// Rewrap seals secrets of endpoints anew that another key than the first sealed, and answers
// how many.
func Rewrap(ctx context.Context, tx *tenancy.CentralTx, ring *secrets.Keyring) (n int, err error) {
	var rows []endpointRow
	if err := tx.NewRaw("SELECT "+endpointColumns+" FROM connect_endpoints WHERE sealed_secret IS NOT NULL FOR UPDATE").Scan(ctx, &rows); err != nil {
		return 0, fmt.Errorf("rewrap endpoints of connected accounts: %w", err)
	}
	for _, r := range rows {
		fresh, changed, err := ring.Rewrap(sealPurpose, r.aad(), r.SealedSecret)
		if err != nil {
			return n, fmt.Errorf("rewrap endpoints of connected accounts: %w", err)
		}
		if !changed {
			continue
		}
		if _, err := tx.NewRaw("UPDATE connect_endpoints SET sealed_secret = ? WHERE attempt = ?", fresh, r.Attempt).Exec(ctx); err != nil {
			return n, fmt.Errorf("rewrap endpoints of connected accounts: %w", err)
		}
		n++
	}
	return n, nil
}

// SealedBy is the SQL for the keys that sealed endpoints' secrets.
func SealedBy() string {
	return "SELECT " + secrets.KeyIDSQL("sealed_secret") + " AS key FROM connect_endpoints WHERE sealed_secret IS NOT NULL"
}
