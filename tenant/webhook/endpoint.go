package webhook

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Owner is whose endpoints are meant: an account's, or with the zero id the reseller's.
type Owner struct{ AccountID uuid.UUID }

// arg is the owner as a column's value.
func (o Owner) arg() *uuid.UUID {
	if o.AccountID == uuid.Nil {
		return nil
	}
	return &o.AccountID
}

func (o Owner) target() audit.Target {
	if o.AccountID == uuid.Nil {
		return audit.Target{Kind: "shop", ID: "webhooks"}
	}
	return audit.Target{Kind: "account", ID: o.AccountID.String()}
}

// State is how an endpoint is.
type State string

// The states of an endpoint.
const (
	Active  State = "active"
	Paused  State = "paused"  // nothing is sent
	Failing State = "failing" // the last message was given up
)

// Endpoint is an address that wants to be told.
type Endpoint struct {
	ID        uuid.UUID
	URL       string
	Events    []Type // empty: all
	State     State
	Note      string
	CreatedAt time.Time
}

const maxEndpoints = 10

func (d *Desk) check(address string, events []Type) ([]byte, error) {
	fields := map[string]string{}
	if _, err := egress.Address(address, d.Plain); err != nil {
		fields["url"] = err.Error()
	}
	slices.Sort(events)
	events = slices.Compact(events)
	for _, e := range events {
		if !known(e) {
			fields["events"] = "There is no such event."
		}
	}
	if len(fields) > 0 {
		return nil, fault.Fields("webhook.invalid", fields)
	}
	if events == nil {
		events = []Type{}
	}
	return json.Marshal(events)
}

func newSecret() (string, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return "whsec_" + base64.StdEncoding.EncodeToString(raw), nil
}

// Add makes an endpoint and returns the secret its messages are signed with. Faults:
// webhook.invalid with fields, webhook.too_many.
func (d *Desk) Add(ctx context.Context, db *tenancy.DB, owner Owner, address string, events []Type, by audit.Origin) (e Endpoint, secret string, err error) {
	chosen, err := d.check(address, events)
	if err != nil {
		return Endpoint{}, "", err
	}
	if secret, err = newSecret(); err != nil {
		return Endpoint{}, "", fmt.Errorf("make a webhook secret: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Endpoint{}, "", err
	}
	sealed, err := d.seal(id, []string{secret})
	if err != nil {
		return Endpoint{}, "", err
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		var n int
		if err := tx.NewRaw("SELECT count(*) FROM webhook_endpoints WHERE account_id IS NOT DISTINCT FROM ?", owner.arg()).Scan(ctx, &n); err != nil {
			return fmt.Errorf("count webhook endpoints: %w", err)
		}
		if n >= maxEndpoints {
			return fault.New(fault.Conflict, "webhook.too_many", fmt.Sprintf("There can be %d endpoints. Remove one first.", maxEndpoints))
		}
		e = Endpoint{ID: id, URL: address, Events: events, State: Active, CreatedAt: tx.Now()}
		_, err := tx.NewRaw(`INSERT INTO webhook_endpoints (id, account_id, url, events, sealed_secrets, state, state_note, created_at, changed_at)
			VALUES (?, ?, ?, ?::jsonb, ?, 'active', '', ?, ?)`, id, owner.arg(), address, string(chosen), sealed, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep a webhook endpoint: %w", err)
		}
		return by.Record(ctx, tx, "webhook.added", owner.target(), map[string]any{"endpoint": id, "url": address})
	})
	if err != nil {
		return Endpoint{}, "", err
	}
	return e, secret, nil
}

// List returns the owner's endpoints, the oldest first.
func List(ctx context.Context, tx *tenancy.Tx, owner Owner) ([]Endpoint, error) {
	var rows []struct {
		ID        uuid.UUID
		URL       string `bun:"url"`
		Events    []byte
		State     State
		StateNote string
		CreatedAt time.Time
	}
	err := tx.NewRaw(`SELECT id, url, events, state, state_note, created_at FROM webhook_endpoints
		WHERE account_id IS NOT DISTINCT FROM ? ORDER BY created_at, id`, owner.arg()).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list webhook endpoints: %w", err)
	}
	found := make([]Endpoint, len(rows))
	for i, r := range rows {
		found[i] = Endpoint{ID: r.ID, URL: r.URL, State: r.State, Note: r.StateNote, CreatedAt: r.CreatedAt}
		if err := json.Unmarshal(r.Events, &found[i].Events); err != nil {
			return nil, fmt.Errorf("list webhook endpoints: events of %s: %w", r.ID, err)
		}
	}
	return found, nil
}

// locked reads one of the owner's endpoints for a change; the fault is webhook.not_found.
func locked(ctx context.Context, tx *tenancy.Tx, owner Owner, id uuid.UUID) (url string, sealed []byte, err error) {
	err = tx.NewRaw("SELECT url, sealed_secrets FROM webhook_endpoints WHERE id = ? AND account_id IS NOT DISTINCT FROM ? FOR UPDATE", id, owner.arg()).Scan(ctx, &url, &sealed)
	if tenancy.IsNoRows(err) {
		return "", nil, fault.New(fault.NotFound, "webhook.not_found", "There is no such endpoint.")
	}
	if err != nil {
		return "", nil, fmt.Errorf("read a webhook endpoint: %w", err)
	}
	return url, sealed, nil
}

// change does something to one endpoint, with its entry in the trail.
func change(ctx context.Context, db *tenancy.DB, owner Owner, id uuid.UUID, by audit.Origin, action string, do func(tx *tenancy.Tx, sealed []byte) error) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		url, sealed, err := locked(ctx, tx, owner, id)
		if err != nil {
			return err
		}
		if err := do(tx, sealed); err != nil {
			return err
		}
		return by.Record(ctx, tx, action, owner.target(), map[string]any{"endpoint": id, "url": url})
	})
}

// Pause stops messages to an endpoint; Resume begins anew with what happens from then.
func Pause(ctx context.Context, db *tenancy.DB, owner Owner, id uuid.UUID, by audit.Origin) error {
	return change(ctx, db, owner, id, by, "webhook.paused", func(tx *tenancy.Tx, _ []byte) error {
		return setState(ctx, tx, id, Paused, "Paused by hand")
	})
}

// Resume sends messages again.
func Resume(ctx context.Context, db *tenancy.DB, owner Owner, id uuid.UUID, by audit.Origin) error {
	return change(ctx, db, owner, id, by, "webhook.resumed", func(tx *tenancy.Tx, _ []byte) error {
		return setState(ctx, tx, id, Active, "")
	})
}

func setState(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, s State, note string) error {
	if _, err := tx.NewRaw("UPDATE webhook_endpoints SET state = ?, state_note = ?, changed_at = ? WHERE id = ?", string(s), note, tx.Now(), id).Exec(ctx); err != nil {
		return fmt.Errorf("note the state of a webhook endpoint: %w", err)
	}
	return nil
}

// Remove forgets an endpoint and its deliveries.
func Remove(ctx context.Context, db *tenancy.DB, owner Owner, id uuid.UUID, by audit.Origin) error {
	return change(ctx, db, owner, id, by, "webhook.removed", func(tx *tenancy.Tx, _ []byte) error {
		if _, err := tx.NewRaw("DELETE FROM webhook_endpoints WHERE id = ?", id).Exec(ctx); err != nil {
			return fmt.Errorf("remove a webhook endpoint: %w", err)
		}
		return nil
	})
}

// Rotate gives an endpoint a new secret. Messages are signed with both the new and the
// old one until the next rotation, so that the receiver can change over in its own time.
func (d *Desk) Rotate(ctx context.Context, db *tenancy.DB, owner Owner, id uuid.UUID, by audit.Origin) (secret string, err error) {
	if secret, err = newSecret(); err != nil {
		return "", fmt.Errorf("make a webhook secret: %w", err)
	}
	err = change(ctx, db, owner, id, by, "webhook.secret_changed", func(tx *tenancy.Tx, sealed []byte) error {
		secrets, err := d.open(id, sealed)
		if err != nil {
			return err
		}
		next, err := d.seal(id, []string{secret, secrets[0]})
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE webhook_endpoints SET sealed_secrets = ?, changed_at = ? WHERE id = ?", next, tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("keep a webhook secret: %w", err)
		}
		return nil
	})
	return secret, err
}

// SendTest queues a message of type webhook.test to one endpoint.
func SendTest(ctx context.Context, db *tenancy.DB, owner Owner, id uuid.UUID) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, _, err := locked(ctx, tx, owner, id); err != nil {
			return err
		}
		key, err := uuid.NewV7()
		if err != nil {
			return err
		}
		m, err := newDelivery(id, "test/"+key.String(), News{Type: Test, Data: map[string]any{"message": "It works."}}, tx.Now())
		if err != nil {
			return err
		}
		return queueDeliveries(ctx, tx, []delivery{m})
	})
}
