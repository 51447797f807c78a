package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Binding is where a session counts. The same token presented anywhere else names
// no session at all.
type Binding struct {
	World  World
	Tenant tenancy.ID // zero on the platform's own hosts
	Host   string     // normalised
}

// Stage is how far a person has come in signing in.
type Stage string

// The stages. Only a session in StageFull makes a principal.
const (
	StageFull  Stage = "full"
	StageCode  Stage = "code"  // the password was right, the second factor is to come
	StageEnrol Stage = "enrol" // a second factor must be set up before anything else
)

// Session is what is kept of one sign-in. The cookie's secret is not in it.
type Session struct {
	Handle       string    `json:"handle"` // public name, for lists and for revoking
	World        World     `json:"world"`
	Tenant       string    `json:"tenant,omitempty"`
	Host         string    `json:"host"`
	PersonID     uuid.UUID `json:"person_id"`
	Stage        Stage     `json:"stage"`
	SecondFactor bool      `json:"second_factor"` // proven in this session
	CSRF         string    `json:"csrf"`
	Account      uuid.UUID `json:"account,omitzero"` // that the person chose to act for; a wish, not a right
	Epoch        int       `json:"epoch"`            // of the person when it began; see Person.Epoch
	IP           string    `json:"ip"`
	UserAgent    string    `json:"user_agent"`
	CreatedAt    time.Time `json:"created_at"`
	SeenAt       time.Time `json:"seen_at"`
	ProvenAt     time.Time `json:"proven_at"` // when the person last showed a password
	ExpiresAt    time.Time `json:"expires_at"`
}

// Lifetime bounds a session: Idle since it was last used, Absolute since it began.
type Lifetime struct{ Idle, Absolute time.Duration }

// Lifetimes of the worlds' sessions, and of the steps before a session is full.
func lifetime(w World, s Stage) Lifetime {
	switch {
	case s != StageFull:
		return Lifetime{Idle: 15 * time.Minute, Absolute: 15 * time.Minute}
	case w == Staff:
		return Lifetime{Idle: time.Hour, Absolute: 12 * time.Hour}
	case w == Customer:
		return Lifetime{Idle: 7 * 24 * time.Hour, Absolute: 30 * 24 * time.Hour}
	default:
		return Lifetime{Idle: 12 * time.Hour, Absolute: 7 * 24 * time.Hour}
	}
}

// touchEvery is how stale SeenAt may be: a page view is not always a write.
const touchEvery = time.Minute

// Sessions keeps sessions in Redis. Every method returns the fault
// session.unavailable when Redis cannot be asked; nothing is remembered of that, so
// it heals with Redis.
type Sessions struct {
	rdb   redis.UniversalClient
	clock tenancy.Clock
}

// NewSessions makes the store.
func NewSessions(rdb redis.UniversalClient, clock tenancy.Clock) *Sessions {
	return &Sessions{rdb: rdb, clock: clock}
}

// Start begins a session and returns the token for its cookie. Which person, how
// far they have come, and from where are the caller's to fill in.
func (s *Sessions) Start(ctx context.Context, b Binding, in Session) (token string, _ Session, err error) {
	now := s.clock().UTC()
	in.Handle, in.CSRF = randomText(12), randomText(24)
	in.World, in.Tenant, in.Host = b.World, tenantText(b.Tenant), b.Host
	in.UserAgent = cut(in.UserAgent, 300)
	in.CreatedAt, in.SeenAt = now, now
	if in.ProvenAt.IsZero() {
		in.ProvenAt = now
	}
	in.ExpiresAt = now.Add(lifetime(b.World, in.Stage).Absolute)
	token = randomText(32)
	if err := s.write(ctx, b, token, in); err != nil {
		return "", Session{}, err
	}
	return token, in, nil
}

// Resume returns the session a token names on b. It returns the fault session.none
// for a token that names none there, or whose session has expired.
func (s *Sessions) Resume(ctx context.Context, b Binding, token string) (Session, error) {
	if len(token) < 20 || len(token) > 100 {
		return Session{}, errNoSession
	}
	raw, err := s.rdb.Get(ctx, sessionKey(b, token)).Bytes()
	if errors.Is(err, redis.Nil) {
		return Session{}, errNoSession
	}
	if err != nil {
		return Session{}, storeDown(err)
	}
	var in Session
	if err := json.Unmarshal(raw, &in); err != nil {
		return Session{}, fmt.Errorf("read session: %w", err)
	}
	now := s.clock().UTC()
	// The key already binds the token; a record that says otherwise was not written by us.
	if in.World != b.World || in.Tenant != tenantText(b.Tenant) || in.Host != b.Host {
		return Session{}, errNoSession
	}
	if !now.Before(in.ExpiresAt) || !now.Before(in.SeenAt.Add(lifetime(in.World, in.Stage).Idle)) {
		return Session{}, errNoSession
	}
	if now.Sub(in.SeenAt) >= touchEvery {
		in.SeenAt = now
		if err := s.write(ctx, b, token, in); err != nil {
			return Session{}, err
		}
	}
	return in, nil
}

// Rotate replaces a session by a changed one under a new token, as every change of
// privilege must: whoever knew the old token knows nothing of the new one.
func (s *Sessions) Rotate(ctx context.Context, b Binding, token string, change func(*Session)) (string, Session, error) {
	in, err := s.Resume(ctx, b, token)
	if err != nil {
		return "", Session{}, err
	}
	was := in.Stage
	change(&in)
	now := s.clock().UTC()
	in.Handle, in.CSRF, in.SeenAt = randomText(12), randomText(24), now
	if was != in.Stage {
		in.ExpiresAt = now.Add(lifetime(in.World, in.Stage).Absolute)
	}
	if err := s.End(ctx, b, token); err != nil {
		return "", Session{}, err
	}
	fresh := randomText(32)
	if err := s.write(ctx, b, fresh, in); err != nil {
		return "", Session{}, err
	}
	return fresh, in, nil
}

// Choose keeps in a session which account the person wants to act for. It is no change of
// privilege: whoever reads it asks each time whether they belong to it.
func (s *Sessions) Choose(ctx context.Context, b Binding, token string, account uuid.UUID) (Session, error) {
	in, err := s.Resume(ctx, b, token)
	if err != nil {
		return Session{}, err
	}
	in.Account, in.SeenAt = account, s.clock().UTC()
	return in, s.write(ctx, b, token, in)
}

// End ends the session a token names; ending none is fine.
func (s *Sessions) End(ctx context.Context, b Binding, token string) error {
	if err := s.rdb.Del(ctx, sessionKey(b, token)).Err(); err != nil {
		return storeDown(err)
	}
	return nil
}

// List returns a person's sessions that still count, the last used first. Tenant is
// zero for people of the central plane.
func (s *Sessions) List(ctx context.Context, w World, tenant tenancy.ID, person uuid.UUID) ([]Session, error) {
	found, err := s.of(ctx, w, tenant, person)
	if err != nil {
		return nil, err
	}
	now := s.clock().UTC()
	list := make([]Session, 0, len(found))
	for _, in := range found {
		if in.Stage == StageFull && now.Before(in.ExpiresAt) && now.Before(in.SeenAt.Add(lifetime(in.World, in.Stage).Idle)) {
			list = append(list, in)
		}
	}
	slices.SortFunc(list, func(a, b Session) int { return b.SeenAt.Compare(a.SeenAt) })
	return list, nil
}

// Revoke ends the person's session with this handle; false when they have none such.
func (s *Sessions) Revoke(ctx context.Context, w World, tenant tenancy.ID, person uuid.UUID, handle string) (bool, error) {
	return s.revoke(ctx, w, tenant, person, func(in Session) bool {
		return subtle.ConstantTimeCompare([]byte(in.Handle), []byte(handle)) == 1
	})
}

// RevokeOthers ends all sessions of the person but the one with this handle; all,
// when it is empty.
func (s *Sessions) RevokeOthers(ctx context.Context, w World, tenant tenancy.ID, person uuid.UUID, keep string) error {
	_, err := s.revoke(ctx, w, tenant, person, func(in Session) bool { return in.Handle != keep })
	return err
}

func (s *Sessions) revoke(ctx context.Context, w World, tenant tenancy.ID, person uuid.UUID, which func(Session) bool) (any bool, err error) {
	found, err := s.of(ctx, w, tenant, person)
	if err != nil {
		return false, err
	}
	for key, in := range found {
		if !which(in) {
			continue
		}
		if err := s.rdb.Del(ctx, key).Err(); err != nil {
			return any, storeDown(err)
		}
		any = true
	}
	return any, nil
}

// EndTenant ends every session of a tenant's people, of all worlds, and forgets that there
// were any. It walks over all keys: it is for a tenant's end.
func (s *Sessions) EndTenant(ctx context.Context, tenant tenancy.ID) error {
	each := s.rdb.Scan(ctx, 0, "ez:sessions:*:"+tenant.String()+":*", 1000).Iterator()
	for each.Next(ctx) {
		keys, err := s.rdb.SMembers(ctx, each.Val()).Result()
		if err != nil {
			return storeDown(err)
		}
		for _, key := range append(keys, each.Val()) {
			if err := s.rdb.Del(ctx, key).Err(); err != nil {
				return storeDown(err)
			}
		}
	}
	if err := each.Err(); err != nil {
		return storeDown(err)
	}
	return nil
}

// of reads the person's sessions by key and forgets keys that are gone.
func (s *Sessions) of(ctx context.Context, w World, tenant tenancy.ID, person uuid.UUID) (map[string]Session, error) {
	index := personKey(w, tenantText(tenant), person)
	keys, err := s.rdb.SMembers(ctx, index).Result()
	if err != nil {
		return nil, storeDown(err)
	}
	found := make(map[string]Session, len(keys))
	for _, key := range keys {
		raw, err := s.rdb.Get(ctx, key).Bytes()
		if errors.Is(err, redis.Nil) {
			if err := s.rdb.SRem(ctx, index, key).Err(); err != nil {
				return nil, storeDown(err)
			}
			continue
		}
		if err != nil {
			return nil, storeDown(err)
		}
		var in Session
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, fmt.Errorf("read session: %w", err)
		}
		found[key] = in
	}
	return found, nil
}

func (s *Sessions) write(ctx context.Context, b Binding, token string, in Session) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	life := lifetime(in.World, in.Stage)
	ttl := min(life.Idle, in.ExpiresAt.Sub(in.SeenAt))
	key, index := sessionKey(b, token), personKey(in.World, in.Tenant, in.PersonID)
	pipe := s.rdb.Pipeline()
	pipe.Set(ctx, key, raw, ttl)
	pipe.SAdd(ctx, index, key)
	pipe.Expire(ctx, index, lifetime(in.World, StageFull).Absolute)
	if _, err := pipe.Exec(ctx); err != nil {
		return storeDown(err)
	}
	return nil
}

// sessionKey holds no secret: who reads Redis' keys cannot make a cookie from them.
func sessionKey(b Binding, token string) string {
	sum := sha256.Sum256([]byte("session\x00" + string(b.World) + "\x00" + tenantText(b.Tenant) + "\x00" + b.Host + "\x00" + token))
	return "ez:session:" + hex.EncodeToString(sum[:])
}

func personKey(w World, tenant string, person uuid.UUID) string {
	return "ez:sessions:" + string(w) + ":" + tenant + ":" + person.String()
}

func tenantText(id tenancy.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

var errNoSession = fault.New(fault.Unauthorized, "session.none", "Please sign in.")

func storeDown(err error) error {
	return fault.Wrap(err, fault.Unavailable, "session.unavailable", "We cannot check who you are at the moment. Please try again in a minute; nothing is lost.")
}

// randomText is n random bytes as text for URLs and cookies.
func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// cut bounds s to n bytes of valid UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return toText(s)
}
