package branding

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// previewLife is how long a preview link works.
const previewLife = 14 * 24 * time.Hour

// Desk is where a brand is worked on. It is safe for concurrent use.
type Desk struct {
	themes []string
	cache  *brandCache
}

// NewDesk makes a desk for brands that choose among themes.
func NewDesk(themes []string) *Desk {
	return &Desk{themes: themes, cache: newBrandCache(maxCachedBrands)}
}

// Themes are the themes a brand may choose.
func (d *Desk) Themes() []string { return d.themes }

// Current is the published version; number 0 with the defaults when there is none.
func (d *Desk) Current(ctx context.Context, db *tenancy.DB) (Version, error) {
	var v Version
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		all, err := versions(ctx, tx, "state = 'published'")
		v, _ = inState(all, statePublished)
		return err
	})
	return v, err
}

// Draft is the draft, or one that has not been saved yet (revision 0) made of what
// is published. published is the number of that version.
func (d *Desk) Draft(ctx context.Context, db *tenancy.DB) (draft Version, published int, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		var now Version
		draft, now, err = draftOf(ctx, tx)
		published = now.Number
		return err
	})
	return draft, published, err
}

// draftOf is the draft as Draft gives it, and what is published.
func draftOf(ctx context.Context, tx *tenancy.Tx) (draft, published Version, err error) {
	all, err := versions(ctx, tx, "state IN ('draft', 'published')")
	if err != nil {
		return Version{}, Version{}, err
	}
	published, _ = inState(all, statePublished)
	draft, ok := inState(all, stateDraft)
	if !ok {
		draft = Version{State: stateDraft, Content: published.Content, BasedOn: published.Number}
	}
	return draft, published, nil
}

// Bench is all that who works on a brand has in front of them, of one moment.
type Bench struct {
	Draft     Version // as Desk.Draft gives it
	Published Version // as Desk.Current gives it
	Brand     Brand   // the draft's
}

// Bench reads it.
func (d *Desk) Bench(ctx context.Context, db *tenancy.DB) (w Bench, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		if w.Draft, w.Published, err = draftOf(ctx, tx); err != nil {
			return err
		}
		w.Brand, err = resolve(ctx, tx, db.Tenant(), w.Draft)
		return err
	})
	return w, err
}

// Edit is a draft to be saved.
type Edit struct {
	Content  Content
	Revision int // of the draft it started from; 0: there was none
	By       Actor
}

// SaveDraft saves the draft. The faults are brand.invalid with the fields, and
// brand.draft_conflict around a *DraftConflict when the draft has moved on. Saving
// what is stored already changes nothing, whatever the revision.
func (d *Desk) SaveDraft(ctx context.Context, db *tenancy.DB, e Edit) (Version, error) {
	content, err := e.Content.Check(d.themes)
	if err != nil {
		return Version{}, err
	}
	e.Content = content
	var saved Version
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := checkUploads(ctx, tx, content.Tokens); err != nil {
			return err
		}
		saved, err = saveDraft(ctx, tx, e)
		return err
	})
	if taken(err) { // two first drafts at once
		stored, _, seen := d.Draft(ctx, db)
		if seen != nil {
			return Version{}, seen
		}
		return Version{}, draftConflict(stored, e)
	}
	return saved, err
}

func saveDraft(ctx context.Context, tx *tenancy.Tx, e Edit) (Version, error) {
	draft, published, err := lockHeads(ctx, tx)
	if err != nil {
		return Version{}, err
	}
	exists := draft.Number != 0
	_, sheet := Stylesheet(Brand{Tokens: e.Content.Tokens, CustomCSS: e.Content.CustomCSS})
	switch {
	case exists && len(Diff(draft.Content, e.Content)) == 0:
		return draft, nil
	case exists && draft.Revision != e.Revision:
		return Version{}, draftConflict(draft, e)
	case !exists && e.Revision != 0:
		return Version{}, fault.New(fault.Conflict, "brand.draft_gone",
			"The draft you were working on has been published or discarded. Load the page again to begin a new one.")
	case !exists:
		return insertVersion(ctx, tx, Version{State: stateDraft, Content: e.Content, BasedOn: published.Number, CreatedBy: e.By.Name, Stylesheet: sheet})
	}
	tokens, texts, err := encode(e.Content)
	if err != nil {
		return Version{}, err
	}
	draft.Content, draft.Revision, draft.CreatedBy, draft.ChangedAt, draft.Stylesheet = e.Content, draft.Revision+1, e.By.Name, tx.Now(), sheet
	_, err = tx.NewRaw(`UPDATE brand_versions SET theme = ?, tokens = ?::jsonb, texts = ?::jsonb, custom_css = ?, revision = ?,
			stylesheet_hash = ?, created_by = ?, changed_at = ? WHERE number = ?`,
		e.Content.Theme, tokens, texts, e.Content.CustomCSS, draft.Revision, sheet, e.By.Name, draft.ChangedAt, draft.Number).Exec(ctx)
	return draft, err
}

func draftConflict(stored Version, e Edit) error {
	c := &DraftConflict{Stored: stored, Changes: Diff(stored.Content, e.Content)}
	return fault.Wrap(c, fault.Conflict, "brand.draft_conflict",
		fmt.Sprintf("%s saved this draft while you were editing it. %s.", stored.CreatedBy, countOf(len(c.Changes), "field differs", "fields differ")))
}

func countOf(n int, one, many string) string {
	if n == 1 {
		return "One " + one
	}
	return strconv.Itoa(n) + " " + many
}

// PublishOrder says what to publish, as the person saw it.
type PublishOrder struct {
	Revision  int // of the draft
	Published int // number of the version published then
	Note      string
	By        Actor
}

// Publish makes the draft what visitors see, on every node, in one transaction. Of
// two at once one wins; the other gets brand.moved_on. A draft that was changed
// meanwhile is brand.draft_conflict; without a draft it is brand.no_draft.
func (d *Desk) Publish(ctx context.Context, db *tenancy.DB, o PublishOrder) (Version, error) {
	wrong := map[string]string{}
	o.Note = line("note", o.Note, maxSubline, wrong)
	if err := fault.Fields("brand.note_invalid", wrong); err != nil {
		return Version{}, err
	}
	var v Version
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		v, err = publish(ctx, tx, o)
		if err != nil {
			return err
		}
		return announce(ctx, tx, v, "brand.published", o.By)
	})
	if taken(err) {
		return Version{}, errMovedOn(err)
	}
	return v, err
}

func publish(ctx context.Context, tx *tenancy.Tx, o PublishOrder) (Version, error) {
	draft, published, err := lockHeads(ctx, tx)
	switch {
	case err != nil:
		return Version{}, err
	case published.Number != o.Published:
		return Version{}, errMovedOn(nil)
	case draft.Number == 0:
		return Version{}, fault.New(fault.Conflict, "brand.no_draft", "There is no draft to publish: what you see is published already.")
	case draft.Revision != o.Revision:
		return Version{}, fault.New(fault.Conflict, "brand.draft_changed", draft.CreatedBy+" changed the draft meanwhile. Look at it again before you publish it.")
	}
	if err := supersede(ctx, tx); err != nil {
		return Version{}, err
	}
	draft.State, draft.Note, draft.PublishedAt, draft.PublishedBy = statePublished, o.Note, tx.Now(), o.By.Name
	_, err = tx.NewRaw(`UPDATE brand_versions SET state = 'published', note = ?, published_at = ?, published_by = ?, changed_at = ?,
			preview_hash = NULL, preview_expires_at = NULL WHERE number = ?`,
		o.Note, draft.PublishedAt, o.By.Name, tx.Now(), draft.Number).Exec(ctx)
	return draft, err
}

// announce tells every node and the audit trail.
func announce(ctx context.Context, tx *tenancy.Tx, v Version, action string, by Actor) error {
	if err := tx.TouchSite(ctx, v.Content.Theme); err != nil {
		return fmt.Errorf("announce the brand: %w", err)
	}
	return record(ctx, tx, by, action, strconv.Itoa(v.Number),
		map[string]any{"number": v.Number, "based_on": v.BasedOn, "theme": v.Content.Theme, "note": v.Note})
}

func record(ctx context.Context, tx *tenancy.Tx, by Actor, action, target string, detail map[string]any) error {
	return audit.Append(ctx, tx, audit.Entry{Actor: by.Actor, Action: action, Target: audit.Target{Kind: "brand", ID: target},
		Detail: detail, IP: by.IP, RequestID: by.RequestID})
}

// RollbackOrder says which version to return to, as the person saw the history.
type RollbackOrder struct {
	To        int
	Published int // number of the version published then
	Note      string
	By        Actor
}

// Rollback publishes an earlier version again, as a new version; the draft stays as
// it is. The faults are brand.no_such_version and brand.moved_on.
func (d *Desk) Rollback(ctx context.Context, db *tenancy.DB, o RollbackOrder) (Version, error) {
	wrong := map[string]string{}
	o.Note = line("note", o.Note, maxSubline, wrong)
	if err := fault.Fields("brand.note_invalid", wrong); err != nil {
		return Version{}, err
	}
	var v Version
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		if v, err = rollback(ctx, tx, o); err != nil {
			return err
		}
		return announce(ctx, tx, v, "brand.rolled_back", o.By)
	})
	if taken(err) {
		return Version{}, errMovedOn(err)
	}
	return v, err
}

func rollback(ctx context.Context, tx *tenancy.Tx, o RollbackOrder) (Version, error) {
	_, published, err := lockHeads(ctx, tx)
	if err != nil {
		return Version{}, err
	}
	if published.Number != o.Published {
		return Version{}, errMovedOn(nil)
	}
	old, err := versionNumbered(ctx, tx, o.To)
	if err != nil {
		return Version{}, err
	}
	if old.State == stateDraft {
		return Version{}, errNoVersion(o.To)
	}
	if err := supersede(ctx, tx); err != nil {
		return Version{}, err
	}
	if o.Note == "" {
		o.Note = fmt.Sprintf("Back to version %d", o.To)
	}
	_, sheet := Stylesheet(Brand{Tokens: old.Content.Tokens, CustomCSS: old.Content.CustomCSS})
	return insertVersion(ctx, tx, Version{State: statePublished, Content: old.Content, BasedOn: o.To, Note: o.Note, CreatedBy: o.By.Name, Stylesheet: sheet})
}

func versionNumbered(ctx context.Context, tx tenancy.Statements, number int) (Version, error) {
	all, err := versions(ctx, tx, "number = ?", number)
	if err != nil {
		return Version{}, err
	}
	if len(all) == 0 {
		return Version{}, errNoVersion(number)
	}
	return all[0], nil
}

// DiscardDraft throws the draft away; without one it does nothing.
func (d *Desk) DiscardDraft(ctx context.Context, db *tenancy.DB, revision int, by Actor) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		draft, _, err := lockHeads(ctx, tx)
		if err != nil || draft.Number == 0 {
			return err
		}
		if draft.Revision != revision {
			return fault.New(fault.Conflict, "brand.draft_changed", draft.CreatedBy+" changed the draft meanwhile. Look at it again before you discard it.")
		}
		if _, err := tx.NewRaw("DELETE FROM brand_versions WHERE number = ? AND state = 'draft'", draft.Number).Exec(ctx); err != nil {
			return err
		}
		return record(ctx, tx, by, "brand.draft_discarded", strconv.Itoa(draft.Number), nil)
	})
}

// History is the versions that are or were published, the newest first.
func (d *Desk) History(ctx context.Context, db *tenancy.DB) ([]Version, error) {
	var all []Version
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		all, err = versions(ctx, tx, "state <> 'draft' ORDER BY number DESC LIMIT ?", historyLimit)
		return err
	})
	return all, err
}

// Compare is what changes from one version to another. The fault is brand.no_such_version.
func (d *Desk) Compare(ctx context.Context, db *tenancy.DB, from, to int) ([]Change, error) {
	var changes []Change
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		a, err := versionNumbered(ctx, tx, from)
		if err != nil {
			return err
		}
		b, err := versionNumbered(ctx, tx, to)
		if err != nil {
			return err
		}
		changes = Diff(a.Content, b.Content)
		return nil
	})
	return changes, err
}

// PreviewLink makes a new token that shows the draft to whoever has it, for two
// weeks or until the draft is published; the token before it stops working. Only
// its hash is kept.
func (d *Desk) PreviewLink(ctx context.Context, db *tenancy.DB) (token string, err error) {
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	token = base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(token))
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		res, err := tx.NewRaw("UPDATE brand_versions SET preview_hash = ?, preview_expires_at = ? WHERE state = 'draft'",
			sum[:], tx.Now().Add(previewLife)).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fault.New(fault.Conflict, "brand.no_draft", "There is no draft to show: save one first."))
		}
		return nil
	})
	return token, err
}

// Preview is the draft as a brand, for whoever has its link. The fault is
// brand.no_preview: whether the link is wrong, old or used up is not said.
func (d *Desk) Preview(ctx context.Context, db *tenancy.DB, token string) (Brand, error) {
	sum := sha256.Sum256([]byte(token))
	var b Brand
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		all, err := versions(ctx, tx, "state = 'draft' AND preview_hash = ? AND preview_expires_at > ?", sum[:], tx.Now())
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return fault.New(fault.NotFound, "brand.no_preview", "This preview link does not work any more. Ask for a new one.")
		}
		b, err = resolve(ctx, tx, db.Tenant(), all[0])
		return err
	})
	return b, err
}

// DraftBrand is the draft as a brand, for those who work on it.
func (d *Desk) DraftBrand(ctx context.Context, db *tenancy.DB) (Brand, error) {
	w, err := d.Bench(ctx, db)
	return w.Brand, err
}
