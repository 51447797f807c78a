package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// pauses is how long after each attempt the next is made, as the scheme proposes; after
// the last the message is given up, about three days after the first.
var pauses = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
	10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

// Delivery is one message to one endpoint.
type Delivery struct {
	ID         uuid.UUID
	Type       Type
	Body       string
	State      string // waiting, delivered, failed
	Attempts   int
	LastStatus int    // 0: no answer
	LastAnswer string // its beginning, or why there was none
	CreatedAt  time.Time
	LastAt     time.Time
}

// Deliveries lists the latest messages to an endpoint, the newest first. The fault is
// webhook.not_found.
func Deliveries(ctx context.Context, tx *tenancy.Tx, owner Owner, endpoint uuid.UUID) (found []Delivery, err error) {
	var rows []struct {
		Delivery
		None bool // the endpoint is there, and has no message
	}
	err = tx.NewRaw(`SELECT coalesce(d.id, e.id) AS id, coalesce(d.type, '') AS type, coalesce(d.body, '') AS body, coalesce(d.state, '') AS state, coalesce(d.attempts, 0) AS attempts,
			coalesce(d.last_status, 0) AS last_status, coalesce(d.last_answer, '') AS last_answer, coalesce(d.created_at, e.created_at) AS created_at,
			coalesce(d.last_at, d.created_at, e.created_at) AS last_at, d.id IS NULL AS none
		FROM webhook_endpoints e LEFT JOIN webhook_deliveries d ON d.endpoint_id = e.id
		WHERE e.id = ? AND e.account_id IS NOT DISTINCT FROM ? ORDER BY d.created_at DESC, d.id DESC LIMIT 50`, endpoint, owner.arg()).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list webhook deliveries: %w", err)
	}
	if len(rows) == 0 {
		return nil, fault.New(fault.NotFound, "webhook.not_found", "There is no such endpoint.")
	}
	for _, r := range rows {
		if !r.None {
			found = append(found, r.Delivery)
		}
	}
	return found, nil
}

// Again sends a message once more, whatever became of it.
func Again(ctx context.Context, db *tenancy.DB, owner Owner, endpoint, delivery uuid.UUID) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, _, err := locked(ctx, tx, owner, endpoint); err != nil {
			return err
		}
		res, err := tx.NewRaw("UPDATE webhook_deliveries SET state = 'waiting', attempts = 0 WHERE id = ? AND endpoint_id = ?", delivery, endpoint).Exec(ctx)
		if err != nil {
			return fmt.Errorf("send a webhook again: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.NotFound, "webhook.delivery_not_found", "There is no such message."))
		}
		_, err = tx.Enqueue(ctx, DeliverJob{Delivery: delivery}, tenancy.JobOptions{Key: fmt.Sprintf("%s again %d", delivery, tx.Now().UnixMilli())})
		return err
	})
}

// message is what Deliver reads.
type message struct {
	EndpointID    uuid.UUID
	URL           string `bun:"url"`
	State         State
	SealedSecrets []byte
	Body          string
	Waiting       bool
	Attempts      int
}

// Deliver sends one message and notes the answer. Only 2xx is success. A message that
// may have arrived although we saw no answer is sent again under the same id, by which
// the receiver knows it.
func (d *Desk) Deliver(ctx context.Context, db *tenancy.DB, job DeliverJob) error {
	var m message
	var now time.Time
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		now = tx.Now()
		return tx.NewRaw(`SELECT d.endpoint_id, e.url, e.state, e.sealed_secrets, d.body, d.state = 'waiting' AS waiting, d.attempts
			FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id WHERE d.id = ?`, job.Delivery).Scan(ctx, &m)
	})
	if tenancy.IsNoRows(err) {
		return nil // the endpoint was removed
	}
	if err != nil {
		return fmt.Errorf("read webhook delivery %s: %w", job.Delivery, err)
	}
	if !m.Waiting || m.State == Paused {
		return nil
	}
	if db.Tenant().Sandbox {
		return keepBack(ctx, db, job.Delivery)
	}
	status, answer, wait := d.post(ctx, job.Delivery, m, now)
	again, err := note(ctx, db, job.Delivery, m, status, answer)
	if err != nil {
		return err
	}
	if !again {
		return nil
	}
	return queue.Retry(max(wait, pauses[min(m.Attempts, len(pauses)-1)]), fmt.Errorf("webhook to %s: %d %s", hostOf(m.URL), status, answer))
}

// keepBack ends a sandbox's message: it can be read, and nobody outside is told.
func keepBack(ctx context.Context, db *tenancy.DB, id uuid.UUID) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE webhook_deliveries SET state = 'failed', last_answer = 'A sandbox tells nobody outside.', last_at = ? WHERE id = ?", tx.Now(), id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep a sandbox's message back: %w", err)
		}
		return nil
	})
}

// post makes the call. Status 0 means that there was no answer.
func (d *Desk) post(ctx context.Context, id uuid.UUID, m message, now time.Time) (status int, answer string, wait time.Duration) {
	if _, err := egress.Address(m.URL, d.Plain); err != nil {
		return 0, err.Error(), 0
	}
	secrets, err := d.open(m.EndpointID, m.SealedSecrets)
	if err != nil {
		return 0, "the signing secret cannot be opened", 0
	}
	msgID := "msg_" + strings.ReplaceAll(id.String(), "-", "")
	var signatures []string
	for _, s := range secrets {
		signer, err := standardwebhooks.NewWebhook(s)
		if err != nil {
			return 0, "the signing secret is damaged", 0
		}
		signature, err := signer.Sign(msgID, now, []byte(m.Body))
		if err != nil {
			return 0, "the message cannot be signed", 0
		}
		signatures = append(signatures, signature)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader([]byte(m.Body)))
	if err != nil {
		return 0, err.Error(), 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "webhooks/1.0")
	req.Header.Set(standardwebhooks.HeaderWebhookID, msgID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	res, err := d.Client.Do(req)
	if err != nil {
		return 0, short(unwrapped(err)), 0
	}
	defer res.Body.Close() //nolint:errcheck // read to the end or not, it is over
	text, _ := io.ReadAll(io.LimitReader(res.Body, 500))
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && seconds > 0 {
		wait = min(time.Duration(seconds)*time.Second, 24*time.Hour)
	}
	return res.StatusCode, short(string(text)), wait
}

// note keeps what came of an attempt, and says whether there is to be another.
func note(ctx context.Context, db *tenancy.DB, id uuid.UUID, m message, status int, answer string) (again bool, err error) {
	delivered := status >= 200 && status < 300
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		state := "waiting"
		again = !delivered && status != http.StatusGone && m.Attempts+1 <= len(pauses)
		switch {
		case delivered:
			state = "delivered"
		case !again:
			state = "failed"
		}
		_, err := tx.NewRaw("UPDATE webhook_deliveries SET state = ?, attempts = ?, last_status = ?, last_answer = ?, last_at = ? WHERE id = ?",
			state, m.Attempts+1, status, answer, tx.Now(), id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("note a webhook delivery: %w", err)
		}
		switch {
		case status == http.StatusGone:
			return setState(ctx, tx, m.EndpointID, Paused, "It answered 410 Gone: it wants no more messages")
		case state == "failed":
			return setState(ctx, tx, m.EndpointID, Failing, "A message was given up after three days")
		case delivered && m.State == Failing:
			return setState(ctx, tx, m.EndpointID, Active, "")
		}
		return nil
	})
	return again, err
}

// short is text for people: valid UTF-8 without NULs, at most 300 bytes.
func short(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

// unwrapped says why a call failed without repeating the address.
func unwrapped(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		if errors.Is(err, egress.ErrForbidden) && !errors.Is(next, egress.ErrForbidden) {
			return err.Error()
		}
		err = next
	}
}

func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
