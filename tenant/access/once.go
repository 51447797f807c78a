package access

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Answer is what a write was answered.
type Answer struct {
	Status int
	Body   []byte
}

const (
	// keptFor is how long an answer is given again.
	keptFor = 24 * time.Hour
	// abandoned is after how long a write without an answer is done again: its process
	// died. What it does is idempotent in natural keys of its own.
	abandoned = time.Minute
	maxKey    = 255
)

// Once runs a write that carries an idempotency key, or gives again what it was
// answered the first time. An answer of 5xx is not kept: the caller is to try again.
// Faults: idempotency.key_invalid, idempotency.key_reused (the key came with another
// request), idempotency.in_progress.
func Once(ctx context.Context, db *tenancy.DB, c Caller, key string, request []byte, write func() (Answer, error)) (a Answer, again bool, err error) {
	if key == "" || len(key) > maxKey || !printable(key) {
		return Answer{}, false, fault.New(fault.Invalid, "idempotency.key_invalid", fmt.Sprintf("An Idempotency-Key is 1 to %d visible characters; a UUID is a good one.", maxKey))
	}
	scope := "token/" + c.TokenID.String()
	sum := sha256.Sum256(request)
	a, again, err = begin(ctx, db, scope, key, sum[:])
	if err != nil || again {
		return a, again, err
	}
	a, err = write()
	keep := err == nil && a.Status < 500
	settle := func(tx *tenancy.Tx) error {
		if !keep {
			_, err := tx.NewRaw("DELETE FROM idempotency_keys WHERE scope = ? AND key = ? AND status IS NULL", scope, key).Exec(ctx)
			return err
		}
		_, err := tx.NewRaw("UPDATE idempotency_keys SET status = ?, answer = ? WHERE scope = ? AND key = ?", a.Status, a.Body, scope, key).Exec(ctx)
		return err
	}
	if kept := db.Update(ctx, settle); kept != nil && err == nil {
		return Answer{}, false, fmt.Errorf("keep an answer: %w", kept)
	}
	return a, false, err
}

// begin takes the key, or finds what it was answered.
func begin(ctx context.Context, db *tenancy.DB, scope, key string, sum []byte) (a Answer, again bool, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		a, again = Answer{}, false
		now := tx.Now()
		// Old keys go when new ones come; a writer has few.
		_, err := tx.NewRaw("DELETE FROM idempotency_keys WHERE scope = ? AND (created_at < ? OR (status IS NULL AND created_at < ?))", scope, now.Add(-keptFor), now.Add(-abandoned)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("forget old keys: %w", err)
		}
		res, err := tx.NewRaw("INSERT INTO idempotency_keys (scope, key, request_hash, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", scope, key, sum, now).Exec(ctx)
		if err != nil {
			return fmt.Errorf("take a key: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		var row struct {
			RequestHash []byte
			Status      *int
			Answer      []byte
		}
		if err := tx.NewRaw("SELECT request_hash, status, answer FROM idempotency_keys WHERE scope = ? AND key = ?", scope, key).Scan(ctx, &row); err != nil {
			return fmt.Errorf("read a key: %w", err)
		}
		switch {
		case string(row.RequestHash) != string(sum):
			return fault.New(fault.Invalid, "idempotency.key_reused", "This Idempotency-Key was sent with another request. Use a new key for a new request.")
		case row.Status == nil:
			return fault.New(fault.Conflict, "idempotency.in_progress", "The first request with this Idempotency-Key is still being worked on.")
		}
		a, again = Answer{Status: *row.Status, Body: row.Answer}, true
		return nil
	})
	return a, again, err
}

func printable(s string) bool {
	for _, r := range []byte(s) {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return true
}

// Key is the id of a write made with an idempotency key: the same for the same caller
// and key, so that what is done under it is done once.
func Key(c Caller, key string) uuid.UUID { return uuid.NewSHA1(c.TokenID, []byte(key)) }
