package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// row is an entry as it is kept and hashed.
type row struct {
	Seq        int64     `bun:"seq,pk"`
	At         time.Time `bun:"at"`
	ActorKind  string    `bun:"actor_kind"`
	ActorID    string    `bun:"actor_id"`
	ActorName  string    `bun:"actor_name"`
	Action     string    `bun:"action"`
	TargetKind string    `bun:"target_kind"`
	TargetID   string    `bun:"target_id"`
	Detail     string    `bun:"detail"` // JSON as Postgres writes it
	IP         string    `bun:"ip"`
	RequestID  string    `bun:"request_id"`
	PrevHash   []byte    `bun:"prev_hash"`
	Hash       []byte    `bun:"hash"`
}

func (r row) insert(ctx context.Context, tx tenancy.Statements) error {
	_, err := tx.NewRaw(`WITH head AS (UPDATE audit_head SET seq = ?0, hash = ?12)
		INSERT INTO audit_entries
		(seq, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, detail, ip, request_id, prev_hash, hash)
		VALUES (?0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8::jsonb, ?9, ?10, ?11, ?12)`,
		r.Seq, r.At, r.ActorKind, r.ActorID, r.ActorName, r.Action, r.TargetKind, r.TargetID, r.Detail, r.IP, r.RequestID, r.PrevHash, r.Hash).Exec(ctx)
	return err
}

// digest is SHA-256 over every field, each with its length before it. The shape is
// for ever: changing it would break every chain there is.
func (r row) digest() []byte {
	b := make([]byte, 0, 512)
	put := func(field []byte) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(field)))
		b = append(b, field...)
	}
	put([]byte("ezscale audit 1"))
	put(r.PrevHash)
	put(binary.BigEndian.AppendUint64(nil, uint64(r.Seq)))            //nolint:gosec // only its bytes matter
	put(binary.BigEndian.AppendUint64(nil, uint64(r.At.UnixMicro()))) //nolint:gosec // only its bytes matter
	for _, s := range []string{r.ActorKind, r.ActorID, r.ActorName, r.Action, r.TargetKind, r.TargetID, r.Detail, r.IP, r.RequestID} {
		put([]byte(s))
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

func (r row) recorded() (Recorded, error) {
	out := Recorded{
		Entry: Entry{
			Actor:  Actor{Kind: r.ActorKind, ID: r.ActorID, Name: r.ActorName},
			Action: r.Action, Target: Target{Kind: r.TargetKind, ID: r.TargetID},
			IP: r.IP, RequestID: r.RequestID,
		},
		Seq: r.Seq, At: r.At, Hash: r.Hash,
	}
	if err := json.Unmarshal([]byte(r.Detail), &out.Detail); err != nil {
		return Recorded{}, fmt.Errorf("audit entry %d: %w", r.Seq, err)
	}
	return out, nil
}

// columns of audit_entries in the order of row, the detail as the text we hashed.
const columns = "seq, at, actor_kind, actor_id, actor_name, action, target_kind, target_id, detail::text AS detail, ip, request_id, prev_hash, hash"

// Anchor is where a tenant's chain once stood, as the platform remembers it.
type Anchor struct {
	Seq  int64
	Hash []byte
}

// Report is the outcome of a verification.
type Report struct {
	Entries int64  // how many entries were read
	Broken  int64  // first entry that does not fit; 0: the chain holds
	Reason  string // why, in words for an operator; empty when the chain holds
}

// Holds reports whether nothing was found wrong.
func (r Report) Holds() bool { return r.Reason == "" }

const verifyPage = 500

// Verify reads the whole trail of tx's plane or tenant and reports the first entry
// that is missing, changed or out of order, a head that does not meet the chain's
// end, and anchors that the chain does not meet. A broken chain is a Report, not an
// error.
func Verify(ctx context.Context, tx tenancy.Statements, anchors ...Anchor) (Report, error) {
	v := verifier{anchors: make(map[int64][]byte, len(anchors))}
	for _, a := range anchors {
		v.anchors[a.Seq] = a.Hash
	}
	for {
		var rows []row
		err := tx.NewRaw("SELECT "+columns+" FROM audit_entries WHERE seq > ? ORDER BY seq LIMIT ?", v.seq, verifyPage).Scan(ctx, &rows)
		if err != nil {
			return Report{}, fmt.Errorf("verify audit: %w", err)
		}
		for _, r := range rows {
			if reason := v.next(r); reason != "" {
				return Report{Entries: v.seq, Broken: v.seq + 1, Reason: reason}, nil
			}
		}
		if len(rows) < verifyPage {
			break
		}
	}
	var head Anchor
	if err := tx.NewRaw("SELECT seq, hash FROM audit_head").Scan(ctx, &head.Seq, &head.Hash); err != nil {
		return Report{}, fmt.Errorf("verify audit: read the head: %w", err)
	}
	if reason := v.end(head); reason != "" {
		return Report{Entries: v.seq, Broken: v.seq + 1, Reason: reason}, nil
	}
	return Report{Entries: v.seq}, nil
}

// verifier walks a chain.
type verifier struct {
	seq     int64
	hash    []byte
	anchors map[int64][]byte
}

func (v *verifier) next(r row) string {
	switch {
	case r.Seq != v.seq+1:
		return fmt.Sprintf("entry %d is missing", v.seq+1)
	case !bytes.Equal(r.PrevHash, v.hash):
		return fmt.Sprintf("entry %d does not follow the one before it", r.Seq)
	case !bytes.Equal(r.Hash, r.digest()):
		return fmt.Sprintf("entry %d was changed", r.Seq)
	}
	if want, ok := v.anchors[r.Seq]; ok && !bytes.Equal(want, r.Hash) {
		return fmt.Sprintf("entry %d is not the one the platform anchored", r.Seq)
	}
	delete(v.anchors, r.Seq)
	v.seq, v.hash = r.Seq, r.Hash
	return ""
}

func (v *verifier) end(head Anchor) string {
	if head.Seq != v.seq || !bytes.Equal(head.Hash, v.hash) {
		return fmt.Sprintf("the trail ends at entry %d and its head says %d", v.seq, head.Seq)
	}
	for seq := range v.anchors {
		return fmt.Sprintf("the platform anchored entry %d and it is missing", seq)
	}
	return ""
}
