// Package webhook tells other people's programs what happened in a shop, by the
// Standard Webhooks scheme (standardwebhooks.com, 1.0.0): endpoints of the reseller and
// of its customers, and each message's delivery. It owns the tables webhook_endpoints
// and webhook_deliveries. What happened, and when it is told, is decided where it
// happens, by Send in the same transaction.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Event is something to tell.
type Event struct {
	Key       string // natural key: what is told once to each endpoint
	Type      Type
	AccountID uuid.UUID // whose endpoints hear of it besides the reseller's
	Data      any       // small: ids, numbers, states; never a secret
}

// News is what an event is to programs: one of the types with its data.
type News struct {
	Type Type
	Data any
}

// body is what is sent.
type body struct {
	Type      Type      `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// maxBody keeps messages small, as the scheme recommends.
const maxBody = 20_000

// DeliverJob sends one message to one endpoint.
type DeliverJob struct {
	Delivery uuid.UUID `json:"delivery"`
}

// Kind names the job.
func (DeliverJob) Kind() string { return "webhook.deliver" }

// Send tells every endpoint that wants the event, after the commit, once.
func Send(ctx context.Context, tx *tenancy.Tx, e Event) error {
	return SendWith(ctx, tx, e.Key, e.AccountID, []News{{e.Type, e.Data}}, "SELECT 1")
}

// SendWith is Send for one happening that is news of several types, together with the
// statement that keeps it: keep returns a row when it is new, and only then endpoints
// are told. Where nobody wants to hear, all of it is that one statement.
func SendWith(ctx context.Context, tx *tenancy.Tx, key string, account uuid.UUID, news []News, keep string, args ...any) error {
	types := make([]Type, len(news))
	for i, n := range news {
		types[i] = n.Type
	}
	wanted, err := json.Marshal(types)
	if err != nil {
		return err
	}
	var wanting []struct {
		ID   uuid.UUID
		Type Type
	}
	err = tx.NewRaw(`WITH told AS (`+keep+`)
		SELECT e.id, t.type FROM told, webhook_endpoints e, jsonb_array_elements_text(?::jsonb) WITH ORDINALITY AS t(type, position)
		WHERE e.state <> 'paused' AND (e.account_id IS NULL OR e.account_id = ?) AND (e.events = '[]'::jsonb OR e.events @> to_jsonb(t.type))
		ORDER BY t.position, e.id`, append(args, string(wanted), account)...).Scan(ctx, &wanting)
	if err != nil {
		return fmt.Errorf("tell %s: %w", key, err)
	}
	for _, w := range wanting {
		i := slices.Index(types, w.Type)
		if err := queueDelivery(ctx, tx, w.ID, Event{Key: key, Type: w.Type, AccountID: account, Data: news[i].Data}); err != nil {
			return err
		}
	}
	return nil
}

func queueDelivery(ctx context.Context, tx *tenancy.Tx, endpoint uuid.UUID, e Event) error {
	if e.Data == nil {
		e.Data = struct{}{}
	}
	text, err := json.Marshal(body{Type: e.Type, Timestamp: tx.Now(), Data: e.Data})
	if err != nil {
		return fmt.Errorf("write webhook %s: %w", e.Key, err)
	}
	if len(text) > maxBody {
		return fmt.Errorf("write webhook %s: %d bytes are too many", e.Key, len(text))
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	err = tx.NewRaw(`INSERT INTO webhook_deliveries (id, key, endpoint_id, type, body, state, attempts, created_at)
		VALUES (?, ?, ?, ?, ?, 'waiting', 0, ?) ON CONFLICT DO NOTHING RETURNING id`,
		id, string(e.Type)+" "+e.Key, endpoint, string(e.Type), string(text), tx.Now()).Scan(ctx, &id)
	if tenancy.IsNoRows(err) {
		return nil // told before
	}
	if err != nil {
		return fmt.Errorf("queue webhook %s: %w", e.Key, err)
	}
	_, err = tx.Enqueue(ctx, DeliverJob{Delivery: id}, tenancy.JobOptions{Key: id.String()})
	return err
}

// Sealer seals the endpoints' secrets; *secrets.Keyring is one.
type Sealer interface {
	Seal(purpose string, aad, plain []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Desk looks after endpoints and delivers. It is safe for concurrent use.
type Desk struct {
	Sealer Sealer
	Client *http.Client // of tenancy/egress: the addresses are other people's
	Plain  bool         // http addresses are taken too: the demo's
}

const sealPurpose = "webhook secret"

func (d *Desk) seal(endpoint uuid.UUID, secrets []string) ([]byte, error) {
	text, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	return d.Sealer.Seal(sealPurpose, endpoint[:], text)
}

func (d *Desk) open(endpoint uuid.UUID, sealed []byte) (secrets []string, err error) {
	text, err := d.Sealer.Open(sealPurpose, endpoint[:], sealed)
	if err != nil {
		return nil, fmt.Errorf("open the secret of webhook endpoint %s: %w", endpoint, err)
	}
	return secrets, json.Unmarshal(text, &secrets)
}
