package branding

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var (
	ann = Actor{Actor: audit.Actor{Kind: "reseller", ID: "1", Name: "Ann"}}
	bob = Actor{Actor: audit.Actor{Kind: "reseller", ID: "2", Name: "Bob"}}
)

func newDesk() *Desk { return NewDesk([]string{"base", "aurora", "forge"}) }

// actions is what the tenant's trail holds.
func actions(t *testing.T, w *tenancytest.World, of tenancy.Tenant) string {
	t.Helper()
	var all string
	err := w.Owner.QueryRow(t.Context(), "SELECT coalesce(string_agg(action || ' by ' || actor_name, ', ' ORDER BY seq), '') FROM "+of.ID.Schema()+".audit_entries").Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func content(brand, headline string) Content {
	return Content{Theme: "aurora", Tokens: Tokens{Brand: brand}, Texts: Texts{Headline: headline}}
}

func mustSave(t *testing.T, d *Desk, db *tenancy.DB, c Content, revision int) Version {
	t.Helper()
	v, err := d.SaveDraft(t.Context(), db, Edit{Content: c, Revision: revision, By: ann})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustPublish(t *testing.T, d *Desk, db *tenancy.DB, revision, published int) Version {
	t.Helper()
	v, err := d.Publish(t.Context(), db, PublishOrder{Revision: revision, Published: published, Note: "go", By: ann})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantFault(t *testing.T, err error, code string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Fatalf("got %v, want the fault %s", err, code)
	}
}

func TestDraftIsPublishedForItsTenantAlone(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	a, b := w.DB(w.A), w.DB(w.B)
	draft := mustSave(t, d, a, content("#336699", "Fast"), 0)
	if cur, err := d.Current(t.Context(), a); err != nil || cur.Number != 0 {
		t.Fatalf("a draft shows: %+v, %v", cur, err)
	}
	v := mustPublish(t, d, a, draft.Revision, 0)
	if cur, err := d.Current(t.Context(), a); err != nil || cur.Number != v.Number || cur.Content.Texts.Headline != "Fast" || cur.PublishedBy != "Ann" {
		t.Fatalf("published %+v, %v", cur, err)
	}
	if cur, err := d.Current(t.Context(), b); err != nil || cur.Number != 0 || cur.Content.Texts.Headline != "" {
		t.Fatalf("the other tenant has %+v, %v", cur, err)
	}
	var theme string
	var version, contents int64
	if err := w.Owner.QueryRow(t.Context(), "SELECT theme, brand_version, content_version FROM central.tenants WHERE id = $1", w.A.ID.Number()).Scan(&theme, &version, &contents); err != nil {
		t.Fatal(err)
	}
	if theme != "aurora" || version != 1 {
		t.Errorf("the directory has theme %s, brand version %d", theme, version)
	}
	if got := actions(t, w, w.A); got != "brand.published by Ann" {
		t.Errorf("trail %s", got)
	}
}

func TestTwoEditorsAtOnceGetAConflictThatNamesTheFields(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	db := w.DB(w.A)
	first := mustSave(t, d, db, content("#336699", "Fast"), 0)
	mustSave(t, d, db, content("#336699", "Faster"), first.Revision)
	_, err := d.SaveDraft(t.Context(), db, Edit{Content: content("#993366", "Fast"), Revision: first.Revision, By: bob})
	wantFault(t, err, "brand.draft_conflict")
	var c *DraftConflict
	if !errors.As(err, &c) || len(c.Changes) != 2 || c.Changes[0].Field != "brand" || c.Changes[1].From != "Faster" {
		t.Fatalf("conflict %+v", c)
	}
	if got, _, err := d.Draft(t.Context(), db); err != nil || got.Content.Texts.Headline != "Faster" || got.Content.Tokens.Brand != "#336699" {
		t.Errorf("the loser changed the draft: %+v, %v", got.Content, err)
	}
	if v := mustSave(t, d, db, content("#336699", "Faster"), 1); v.Revision != 2 {
		t.Errorf("saving what is stored moved the revision to %d", v.Revision)
	}
}

func TestConcurrentFirstDraftsLeaveOne(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	db := w.DB(w.A)
	won := race(2, func(n int) error {
		_, err := d.SaveDraft(t.Context(), db, Edit{Content: content("#336699", strings.Repeat("x", n+1)), By: bob})
		return err
	})
	oneWins(t, won, "brand.draft_conflict")
}

func TestOfTwoPublishesAtOnceOneWins(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	db := w.DB(w.A)
	draft := mustSave(t, d, db, content("#336699", "Fast"), 0)
	won := race(4, func(int) error {
		_, err := d.Publish(t.Context(), db, PublishOrder{Revision: draft.Revision, By: bob})
		return err
	})
	oneWins(t, won, "brand.moved_on")
	if all, err := d.History(t.Context(), db); err != nil || len(all) != 1 || actions(t, w, w.A) != "brand.published by Bob" {
		t.Errorf("history %d, trail %s, %v", len(all), actions(t, w, w.A), err)
	}
}

func TestPublishAndRollbackAtOnceLeaveOnePublished(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	db := w.DB(w.A)
	v1 := mustPublish(t, d, db, mustSave(t, d, db, content("#336699", "One"), 0).Revision, 0)
	v2 := mustPublish(t, d, db, mustSave(t, d, db, content("#336699", "Two"), 0).Revision, v1.Number)
	draft := mustSave(t, d, db, content("#336699", "Three"), 0)
	won := race(4, func(n int) error {
		if n%2 == 0 {
			_, err := d.Rollback(t.Context(), db, RollbackOrder{To: v1.Number, Published: v2.Number, By: bob})
			return err
		}
		_, err := d.Publish(t.Context(), db, PublishOrder{Revision: draft.Revision, Published: v2.Number, By: ann})
		return err
	})
	oneWins(t, won, "brand.moved_on")
	var published int
	if err := w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM "+w.A.ID.Schema()+".brand_versions WHERE state = 'published'").Scan(&published); err != nil || published != 1 {
		t.Errorf("%d published, %v", published, err)
	}
}

// race runs do n times at once.
func race(n int, do func(int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errs
}

func oneWins(t *testing.T, errs []error, code string) {
	t.Helper()
	wins := 0
	for _, err := range errs {
		if err == nil {
			wins++
		} else if !fault.Is(err, code) {
			t.Errorf("a loser got %v, want %s", err, code)
		}
	}
	if wins != 1 {
		t.Errorf("%d won", wins)
	}
}

func TestRollbackIsANewVersion(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	db := w.DB(w.A)
	v1 := mustPublish(t, d, db, mustSave(t, d, db, content("#336699", "One"), 0).Revision, 0)
	v2 := mustPublish(t, d, db, mustSave(t, d, db, content("#993366", "Two"), 0).Revision, v1.Number)
	draft := mustSave(t, d, db, content("#993366", "Three"), 0)
	v, err := d.Rollback(t.Context(), db, RollbackOrder{To: v1.Number, Published: v2.Number, By: bob})
	if err != nil || v.Number != 4 || v.BasedOn != v1.Number || v.Content.Texts.Headline != "One" {
		t.Fatalf("rolled back to %+v, %v", v, err)
	}
	if got, _, err := d.Draft(t.Context(), db); err != nil || got.Revision != draft.Revision || got.Content.Texts.Headline != "Three" {
		t.Errorf("the draft became %+v, %v", got, err)
	}
	changes, err := d.Compare(t.Context(), db, v2.Number, v.Number)
	if err != nil || len(changes) != 2 || changes[0].Field != "brand" || changes[1].To != "One" {
		t.Errorf("changes %+v, %v", changes, err)
	}
	for name, number := range map[string]int{"the draft": draft.Number, "none": 99} {
		if _, err := d.Rollback(t.Context(), db, RollbackOrder{To: number, Published: v.Number, By: bob}); !fault.Is(err, "brand.no_such_version") {
			t.Errorf("back to %s: %v", name, err)
		}
	}
	if _, err := d.Compare(t.Context(), w.DB(w.B), v1.Number, v2.Number); !fault.Is(err, "brand.no_such_version") {
		t.Errorf("another tenant's versions: %v", err)
	}
}

func TestPreviewLinkShowsTheDraftUntilItIsPublished(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	db := w.DB(w.A)
	if _, err := d.PreviewLink(t.Context(), db); !fault.Is(err, "brand.no_draft") {
		t.Fatalf("a link to nothing: %v", err)
	}
	draft := mustSave(t, d, db, content("#336699", "Soon"), 0)
	old, err := d.PreviewLink(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	token, err := d.PreviewLink(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.Preview(t.Context(), db, token)
	if err != nil || b.Texts.Headline != "Soon" || b.Theme != "aurora" {
		t.Fatalf("preview %+v, %v", b, err)
	}
	_, err = d.Preview(t.Context(), w.DB(w.B), token)
	wantFault(t, err, "brand.no_preview")
	_, err = d.Preview(t.Context(), db, old)
	wantFault(t, err, "brand.no_preview")
	w.Clock.Advance(previewLife + time.Second)
	_, err = d.Preview(t.Context(), db, token)
	wantFault(t, err, "brand.no_preview")
	token, _ = d.PreviewLink(t.Context(), db)
	mustPublish(t, d, db, draft.Revision, 0)
	_, err = d.Preview(t.Context(), db, token)
	wantFault(t, err, "brand.no_preview")
}

func TestInvalidContentNamesEveryField(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	other := uuid.Must(uuid.NewV7()).String()
	c := Content{Theme: "neon", CustomCSS: "@import 'x';", Tokens: Tokens{Brand: "red", Font: "comic", Logo: "x"},
		Texts: Texts{Headline: "a\x00b", SenderEmail: "a@b\r\nBcc: x@y.z", Facts: []Fact{{"Uptime", ""}}, Questions: make([]Question, 3)}}
	_, err := d.SaveDraft(t.Context(), w.DB(w.A), Edit{Content: c, By: ann})
	wantFault(t, err, "brand.invalid")
	f := fault.From(err).Fields
	for _, field := range []string{"theme", "custom_css", "brand", "font", "logo", "headline", "sender_email", "facts"} {
		if f[field] == "" {
			t.Errorf("nothing is said about %s", field)
		}
	}
	if len(f) != 8 {
		t.Errorf("fields %v", f)
	}
	_, err = d.SaveDraft(t.Context(), w.DB(w.A), Edit{Content: Content{Tokens: Tokens{Logo: other}}, By: ann})
	wantFault(t, err, "brand.invalid")
}

func TestStylesheetOfAnyVersionIsFoundByItsHashAndNoOtherTenants(t *testing.T) {
	w := tenancytest.New(t)
	d := newDesk()
	db := w.DB(w.A)
	v1 := mustPublish(t, d, db, mustSave(t, d, db, content("#336699", "One"), 0).Revision, 0)
	a := w.A
	a.BrandVersion = 1
	old, err := d.Brand(t.Context(), w.DB(a))
	if err != nil {
		t.Fatal(err)
	}
	mustPublish(t, d, db, mustSave(t, d, db, content("#993366", "Two"), 0).Revision, v1.Number)
	a.BrandVersion = 2
	now, err := d.Brand(t.Context(), w.DB(a))
	if err != nil || now.StylesheetURL == old.StylesheetURL || now.Texts.Headline != "Two" {
		t.Fatalf("brand %+v, %v", now, err)
	}
	for _, b := range []Brand{old, now} {
		want, hash := b.CSS()
		css, err := d.StylesheetNamed(t.Context(), w.DB(a), hash)
		if err != nil || string(css) != string(want) {
			t.Errorf("stylesheet %s: %v", hash, err)
		}
		_, err = d.StylesheetNamed(t.Context(), w.DB(w.B), hash)
		wantFault(t, err, "brand.no_such_stylesheet")
	}
	if !strings.Contains(string(now.stylesheet), "--ez-brand:#993366") {
		t.Errorf("stylesheet %s", now.stylesheet)
	}
}

func TestBrandCacheIsBounded(t *testing.T) {
	c := newBrandCache(10)
	for n := range int64(50) {
		id, err := tenancy.NumberedID(n + 1)
		if err != nil {
			t.Fatal(err)
		}
		c.put(tenancy.Tenant{ID: id, BrandVersion: 1}, Brand{})
	}
	if len(c.known) != 10 {
		t.Errorf("%d brands are kept", len(c.known))
	}
}
