package faults

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
)

var (
	brandRevision  = regexp.MustCompile(`name="revision" value="(\d+)"`)
	brandPublished = regexp.MustCompile(`name="published" value="(\d+)"`)
)

// publish has the shop's owner write another headline and publish it. A node may go away
// at any moment of it: what had no answer is looked at before it is asked for again.
func (x *offices) publish(n int) {
	headline := fmt.Sprintf("Servers for case %d", n)
	form := url.Values{"theme": {"base"}, "brand": {"#7c3aed"}, "headline": {headline}}
	live := fmt.Sprintf("SELECT coalesce((SELECT texts->>'headline' FROM %s.brand_versions WHERE state = 'published'), '')", x.s.who.ID.Schema())
	x.owner.persist("publish", func() error {
		if query[string](x.m.house, live) == headline {
			return nil
		}
		page, err := x.owner.ask(http.MethodGet, "/manage/brand", nil)
		if err != nil {
			return err
		}
		revision := brandRevision.FindStringSubmatch(page.body)
		if revision == nil {
			return fmt.Errorf("no revision: %d %s", page.status, short(page.body))
		}
		form.Set("revision", revision[1])
		a, err := x.owner.ask(http.MethodPost, "/manage/brand", form)
		if err != nil {
			return err
		}
		if a.status != http.StatusSeeOther {
			return fmt.Errorf("save: %d %s", a.status, short(a.body))
		}
		if page, err = x.owner.ask(http.MethodGet, "/manage/brand", nil); err != nil {
			return err
		}
		revision, published := brandRevision.FindStringSubmatch(page.body), brandPublished.FindStringSubmatch(page.body)
		if revision == nil || published == nil {
			return fmt.Errorf("nothing to publish: %d %s", page.status, short(page.body))
		}
		a, err = x.owner.ask(http.MethodPost, "/manage/brand/publish", url.Values{"revision": {revision[1]}, "published": {published[1]}})
		if err == nil && a.status != http.StatusSeeOther {
			err = fmt.Errorf("publish: %d %s", a.status, short(a.body))
		}
		return err
	})
	x.published = append(x.published, headline)
}

// wears holds the brand against what was published: each version once and in its order,
// one of them live, and the site wearing it.
func (x *offices) wears() {
	m, in := x.m, x.s.who.ID.Schema()
	m.t.Helper()
	if got := query[[]string](m.house, "SELECT coalesce(array_agg(texts->>'headline' ORDER BY number), '{}') FROM "+in+".brand_versions WHERE texts->>'headline' LIKE 'Servers for case %' AND state <> 'draft'"); !slices.Equal(got, x.published) {
		m.t.Errorf("%s: versions %q, published were %q", x.s.who.Slug, got, x.published)
	}
	if n := query[int](m.house, "SELECT count(*) FROM "+in+".brand_versions WHERE state = 'published'"); n != 1 {
		m.t.Errorf("%s: %d versions are live", x.s.who.Slug, n)
	}
	if lost := query[int](m.house, "SELECT max(number) - count(*) FROM "+in+".brand_versions"); lost != 0 {
		m.t.Errorf("%s: %d numbers of versions are lost", x.s.who.Slug, lost)
	}
	x.owner.persist("the site", func() error {
		a, err := x.owner.ask(http.MethodGet, "/", nil)
		if err != nil {
			return err
		}
		last := x.published[len(x.published)-1]
		sheet := regexp.MustCompile(`href="(/brand/[^"]+\.css)"`).FindStringSubmatch(a.body)
		if !regexp.MustCompile(regexp.QuoteMeta(last)).MatchString(a.body) || sheet == nil {
			return fmt.Errorf("it does not wear %q: %d %s", last, a.status, short(a.body))
		}
		if a, err = x.owner.ask(http.MethodGet, sheet[1], nil); err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("its stylesheet: %d", a.status)
		}
		return err
	})
	m.t.Logf("%s: %d brands published", x.s.who.Slug, len(x.published))
}
