// Package audit keeps the trail of what people and machines changed: append-only,
// each entry hashed together with the one before it, in the platform's schema and
// in every tenant's by the same code. It owns audit_entries, audit_head and the
// anchors that a tenant cannot reach. It does not decide what deserves an entry,
// and it is not a log.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// anchorEvery is how many entries of a tenant's chain lie between two anchors.
const anchorEvery = 16

// maxText bounds every text of an entry, and maxDetail its detail as JSON.
const (
	maxText   = 400
	maxDetail = 16 << 10
)

// Actor is who did it.
type Actor struct {
	Kind string // staff, partner, reseller, customer, system
	ID   string
	Name string
}

// By is the signed-in person as an actor.
func By(p identity.Principal) Actor {
	return Actor{Kind: string(p.World), ID: p.PersonID.String(), Name: p.Name}
}

// System is a part of the program that acts by itself, such as "scheduler".
func System(part string) Actor { return Actor{Kind: "system", ID: part, Name: part} }

// Target is what it was done to.
type Target struct{ Kind, ID string }

// Entry is one thing done. Detail is shown to people: no secrets.
type Entry struct {
	Actor     Actor
	Action    string // noun and past participle: "tenant.suspended"
	Target    Target
	Detail    map[string]any
	IP        string
	RequestID string
}

// Recorded is an entry as it stands in the trail.
type Recorded struct {
	Entry
	Seq  int64
	At   time.Time
	Hash []byte
}

// anchorer is a transaction that can keep the end of its chain out of its own reach.
type anchorer interface {
	AnchorAudit(ctx context.Context, seq int64, hash []byte) error
}

// Append adds e to the trail of tx's plane or tenant, with the transaction. Appends
// wait for each other until they commit: call it last. Bytes that Postgres cannot
// keep are replaced and long texts cut; a detail that is not JSON is an error.
func Append(ctx context.Context, tx tenancy.Statements, e Entry) error {
	detail, err := marshalDetail(e.Detail)
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	var prev []byte
	r := row{
		At:        tx.Now().Truncate(time.Microsecond),
		ActorKind: clean(e.Actor.Kind), ActorID: clean(e.Actor.ID), ActorName: clean(e.Actor.Name),
		Action: clean(e.Action), TargetKind: clean(e.Target.Kind), TargetID: clean(e.Target.ID),
		IP: clean(e.IP), RequestID: clean(e.RequestID),
	}
	// Postgres writes the detail its own way (order of keys, numbers); what it will
	// give back is what we hash.
	err = tx.NewRaw("SELECT seq, hash, ?::jsonb::text FROM audit_head FOR UPDATE", string(detail)).
		Scan(ctx, &r.Seq, &prev, &r.Detail)
	if err != nil {
		return fmt.Errorf("audit %s: read the head: %w", e.Action, err)
	}
	r.Seq, r.PrevHash = r.Seq+1, prev
	r.Hash = r.digest()
	if err := r.insert(ctx, tx); err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	if a, ok := tx.(anchorer); ok && r.Seq%anchorEvery == 1 {
		if err := a.AnchorAudit(ctx, r.Seq, r.Hash); err != nil {
			return fmt.Errorf("audit %s: anchor: %w", e.Action, err)
		}
	}
	return nil
}

func marshalDetail(detail map[string]any) ([]byte, error) {
	if detail == nil {
		return []byte("{}"), nil
	}
	b, err := json.Marshal(detail)
	if err != nil {
		return nil, err
	}
	if len(b) > maxDetail {
		return json.Marshal(map[string]any{"truncated": true, "bytes": len(b)})
	}
	// jsonb has no NUL. An escaped backslash before "u0000" is left alone.
	return []byte(nulls.Replace(string(b))), nil
}

// nulls looks at escapes from left to right, so that `\\u0000` (a backslash and a
// text) is not taken for `\u0000` (a NUL).
var nulls = strings.NewReplacer(`\\`, `\\`, `\u0000`, `\ufffd`)

// clean makes s storable: valid UTF-8, no NUL, bounded.
func clean(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:max(len(s)-n, 0)]
		if len(s) > 2*maxText { // do not walk back a megabyte rune by rune
			s = strings.ToValidUTF8(s[:2*maxText], "")
		}
	}
	return s
}
