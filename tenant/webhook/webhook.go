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
	return SendWith(ctx, tx, []Happening{{e.Key, e.AccountID, []News{{e.Type, e.Data}}}}, "SELECT ?::text AS key", e.Key)
}

// Happening is what happened once, as news of one or several types.
type Happening struct {
	Key       string // natural key
	AccountID uuid.UUID
	News      []News
}

// SendWith is Send for happenings, together with the statement that keeps them: keep
// returns the column key of those that are new, and only of them endpoints are told.
// Where nobody wants to hear, all of it is that one statement.
func SendWith(ctx context.Context, tx *tenancy.Tx, all []Happening, keep string, args ...any) error {
	type offer struct {
		Happening int       `json:"happening"`
		News      int       `json:"news"`
		Key       string    `json:"key"`
		Type      Type      `json:"type"`
		AccountID uuid.UUID `json:"account_id"`
	}
	var offers []offer
	for i, h := range all {
		for j, n := range h.News {
			offers = append(offers, offer{i, j, h.Key, n.Type, h.AccountID})
		}
	}
	offered, err := json.Marshal(offers)
	if err != nil {
		return err
	}
	var wanting []struct {
		ID              uuid.UUID
		Happening, News int
	}
	err = tx.NewRaw(`WITH told AS (`+keep+`)
		SELECT e.id, o.happening, o.news FROM told
		JOIN jsonb_to_recordset(?::jsonb) AS o(happening int, news int, key text, type text, account_id uuid) USING (key)
		JOIN webhook_endpoints e ON e.state <> 'paused' AND (e.account_id IS NULL OR e.account_id = o.account_id) AND (e.events = '[]'::jsonb OR e.events @> to_jsonb(o.type))
		ORDER BY o.happening, o.news, e.id`, append(args, string(offered))...).Scan(ctx, &wanting)
	if err != nil {
		return fmt.Errorf("tell of %d happenings: %w", len(all), err)
	}
	if len(wanting) == 0 {
		return nil
	}
	deliveries := make([]delivery, len(wanting))
	for i, w := range wanting {
		h := all[w.Happening]
		if deliveries[i], err = newDelivery(w.ID, h.Key, h.News[w.News], tx.Now()); err != nil {
			return err
		}
	}
	return queueDeliveries(ctx, tx, deliveries)
}

// delivery is a message about to be kept.
type delivery struct {
	ID       uuid.UUID `json:"id"`
	Key      string    `json:"key"`
	Endpoint uuid.UUID `json:"endpoint"`
	Type     Type      `json:"type"`
	Body     string    `json:"body"`
}

func newDelivery(endpoint uuid.UUID, key string, n News, at time.Time) (delivery, error) {
	if n.Data == nil {
		n.Data = struct{}{}
	}
	text, err := json.Marshal(body{Type: n.Type, Timestamp: at, Data: n.Data})
	if err != nil {
		return delivery{}, fmt.Errorf("write webhook %s: %w", key, err)
	}
	if len(text) > maxBody {
		return delivery{}, fmt.Errorf("write webhook %s: %d bytes are too many", key, len(text))
	}
	id, err := uuid.NewV7()
	return delivery{ID: id, Key: string(n.Type) + " " + key, Endpoint: endpoint, Type: n.Type, Body: string(text)}, err
}

// queueDeliveries keeps messages and has them sent, but for those that were told before.
func queueDeliveries(ctx context.Context, tx *tenancy.Tx, all []delivery) error {
	rows, err := json.Marshal(all)
	if err != nil {
		return err
	}
	var fresh []uuid.UUID
	err = tx.NewRaw(`INSERT INTO webhook_deliveries (id, key, endpoint_id, type, body, state, attempts, created_at)
		SELECT r.id, r.key, r.endpoint, r.type, r.body, 'waiting', 0, ? FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, key text, endpoint uuid, type text, body text)
		ON CONFLICT DO NOTHING RETURNING id`, tx.Now(), string(rows)).Scan(ctx, &fresh)
	if err != nil {
		return fmt.Errorf("queue %d webhooks: %w", len(all), err)
	}
	jobs := make([]tenancy.Queued, len(fresh))
	for i, id := range fresh {
		jobs[i] = tenancy.Queued{Job: DeliverJob{Delivery: id}, Options: tenancy.JobOptions{Key: id.String()}}
	}
	return tx.EnqueueAll(ctx, jobs)
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
