package branding

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// The states of a version.
const (
	stateDraft      = "draft"
	statePublished  = "published"
	stateSuperseded = "superseded"
)

// historyLimit is how many versions a page of history shows.
const historyLimit = 100

// Actor is who works on a brand, and from where, as the audit trail names it.
type Actor struct {
	audit.Actor
	IP, RequestID string
}

// Version is one version of a brand. Number 0 is what a tenant has before it
// publishes anything.
type Version struct {
	Number      int
	State       string
	Content     Content
	Note        string
	Revision    int // of a draft: give it back when saving or publishing
	BasedOn     int
	CreatedBy   string
	CreatedAt   time.Time
	ChangedAt   time.Time
	PublishedAt time.Time // zero: never
	PublishedBy string
	Stylesheet  string // hash
}

// versionRow is a version as it lies in brand_versions.
type versionRow struct {
	Number         int        `bun:"number"`
	State          string     `bun:"state"`
	Theme          string     `bun:"theme"`
	Tokens         []byte     `bun:"tokens"`
	Texts          []byte     `bun:"texts"`
	CustomCSS      string     `bun:"custom_css"`
	Note           string     `bun:"note"`
	Revision       int        `bun:"revision"`
	BasedOn        int        `bun:"based_on"`
	StylesheetHash string     `bun:"stylesheet_hash"`
	CreatedBy      string     `bun:"created_by"`
	CreatedAt      time.Time  `bun:"created_at"`
	ChangedAt      time.Time  `bun:"changed_at"`
	PublishedAt    *time.Time `bun:"published_at"`
	PublishedBy    *string    `bun:"published_by"`
}

const versionColumns = `number, state, theme, tokens::text AS tokens, texts::text AS texts, custom_css, note, revision,
	based_on, stylesheet_hash, created_by, created_at, changed_at, published_at, published_by`

func (r versionRow) version() (Version, error) {
	v := Version{
		Number: r.Number, State: r.State, Note: r.Note, Revision: r.Revision, BasedOn: r.BasedOn, CreatedBy: r.CreatedBy,
		CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt, Stylesheet: r.StylesheetHash,
		Content: Content{Theme: r.Theme, CustomCSS: r.CustomCSS},
	}
	if r.PublishedAt != nil {
		v.PublishedAt = *r.PublishedAt
	}
	if r.PublishedBy != nil {
		v.PublishedBy = *r.PublishedBy
	}
	if err := json.Unmarshal(r.Tokens, &v.Content.Tokens); err != nil {
		return v, fmt.Errorf("read tokens of version %d: %w", r.Number, err)
	}
	if err := json.Unmarshal(r.Texts, &v.Content.Texts); err != nil {
		return v, fmt.Errorf("read texts of version %d: %w", r.Number, err)
	}
	return v, nil
}

// versions reads versions; where is SQL of ours that follows WHERE.
func versions(ctx context.Context, tx tenancy.Statements, where string, args ...any) ([]Version, error) {
	var rows []versionRow
	if err := tx.NewRaw("SELECT "+versionColumns+" FROM brand_versions WHERE "+where, args...).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read brand versions: %w", err)
	}
	all := make([]Version, len(rows))
	for i, r := range rows {
		v, err := r.version()
		if err != nil {
			return nil, err
		}
		all[i] = v
	}
	return all, nil
}

// inState is the one version in a state; false when there is none.
func inState(all []Version, state string) (Version, bool) {
	for _, v := range all {
		if v.State == state {
			return v, true
		}
	}
	return Version{Content: Content{Theme: "base"}}, false
}

// lockHeads locks the draft and the published version, in the order of their
// numbers, so that two people who publish at once queue here.
func lockHeads(ctx context.Context, tx tenancy.Statements) (draft, published Version, err error) {
	all, err := versions(ctx, tx, "state IN ('draft', 'published') ORDER BY number FOR UPDATE")
	if err != nil {
		return draft, published, err
	}
	draft, _ = inState(all, stateDraft)
	published, _ = inState(all, statePublished)
	return draft, published, nil
}

// insertVersion writes a version under the next number and returns it.
func insertVersion(ctx context.Context, tx tenancy.Statements, v Version) (Version, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return v, err
	}
	tokens, texts, err := encode(v.Content)
	if err != nil {
		return v, err
	}
	v.CreatedAt, v.ChangedAt, v.Revision = tx.Now(), tx.Now(), 1
	var publishedAt *time.Time
	var publishedBy *string
	if v.State == statePublished {
		v.PublishedAt, v.PublishedBy = tx.Now(), v.CreatedBy
		publishedAt, publishedBy = &v.PublishedAt, &v.PublishedBy
	}
	err = tx.NewRaw(`INSERT INTO brand_versions (id, number, state, theme, tokens, texts, custom_css, note, revision, based_on,
			stylesheet_hash, created_by, created_at, changed_at, published_at, published_by)
		SELECT ?, coalesce(max(number), 0) + 1, ?, ?, ?::jsonb, ?::jsonb, ?, ?, 1, ?, ?, ?, ?, ?, ?, ? FROM brand_versions
		RETURNING number`,
		id.String(), v.State, v.Content.Theme, tokens, texts, v.Content.CustomCSS, v.Note, v.BasedOn,
		v.Stylesheet, v.CreatedBy, v.CreatedAt, v.ChangedAt, publishedAt, publishedBy).Scan(ctx, &v.Number)
	return v, err
}

func encode(c Content) (tokens, texts string, err error) {
	a, err := json.Marshal(c.Tokens)
	if err != nil {
		return "", "", err
	}
	b, err := json.Marshal(c.Texts)
	return string(a), string(b), err
}

// supersede takes the published version, if there is one, out of use.
func supersede(ctx context.Context, tx tenancy.Statements) error {
	_, err := tx.NewRaw("UPDATE brand_versions SET state = 'superseded', changed_at = ? WHERE state = 'published'", tx.Now()).Exec(ctx)
	return err
}

// taken reports whether err says that somebody else made a version at the same moment.
func taken(err error) bool {
	return tenancy.IsTaken(err, "brand_versions_one_current") || tenancy.IsTaken(err, "brand_versions_number_key")
}

func errMovedOn(err error) error {
	return fault.Wrap(err, fault.Conflict, "brand.moved_on",
		"Somebody else published this brand a moment ago. Look at what is published now, then try again.")
}

func errNoVersion(number int) error {
	return fault.New(fault.NotFound, "brand.no_such_version", fmt.Sprintf("There is no version %d of this brand.", number))
}

// DraftConflict is behind the fault brand.draft_conflict: what somebody else saved
// meanwhile, and where it differs from what was to be saved.
type DraftConflict struct {
	Stored  Version
	Changes []Change // From is what is stored, To what was to be saved
}

// Error is for the log.
func (c *DraftConflict) Error() string {
	return fmt.Sprintf("draft is at revision %d, %d fields differ", c.Stored.Revision, len(c.Changes))
}
