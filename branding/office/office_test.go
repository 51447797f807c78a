package office_test

import (
	"context"
	"encoding/csv"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/themes"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type street map[string]tenancy.Tenant

func (s street) Lookup(host string) (tenancy.Tenant, bool) { t, ok := s[host]; return t, ok }

// open is a browser at the site of a tenant that has just these routes, for everybody.
func open(t *testing.T, w *tenancytest.World, routes ...surface.Route) *surfacetest.Client {
	t.Helper()
	dist, err := fs.Sub(themes.Dist, "dist")
	must(t, err)
	assets, err := branding.OpenAssets(dist)
	must(t, err)
	pages, err := branding.LoadThemes(themes.Files, []string{"base"}, branding.Funcs(branding.FuncOptions{Now: w.Clock.Now, Assets: assets}))
	must(t, err)
	for i := range routes {
		routes[i].Needs = identity.Public
	}
	const form = "/form"
	routes = append(routes, surface.Route{Method: "GET", Path: form, Needs: identity.Public, Handler: func(c *fiber.Ctx) error { return c.SendString(surface.FormToken(c)) }})
	tenants, err := surface.New(surface.Config{
		Name: "tenant", Themes: pages, Assets: dist, Central: w.Central, Log: slog.New(slog.DiscardHandler), Clock: w.Clock.Now, FormKey: make([]byte, 32), Routes: routes,
		Areas: []surface.Area{{Name: "manage", World: identity.Reseller, SignIn: "/sign-in"}},
	})
	must(t, err)
	c := &surfacetest.Client{Host: w.A.PrimaryHost, Cookies: map[string]string{}, Front: &surface.Front{
		Hosts: street{w.A.PrimaryHost: w.A, w.B.PrimaryHost: w.B}, Pool: w.Pool, Tenants: tenants, Themes: pages, Log: slog.New(slog.DiscardHandler),
	}}
	got := c.Send(t, "GET", form, nil)
	c.CSRF = got.Page
	for _, cookie := range got.Head.Values("Set-Cookie") {
		name, rest, _ := strings.Cut(cookie, "=")
		c.Cookies[name], _, _ = strings.Cut(rest, ";")
	}
	return c
}

// desk keeps people in a list and writes down what is done to them.
type desk struct {
	people  []roster.Member
	done    []string
	refuses error
}

func (d *desk) List(_ context.Context, f roster.Filter) ([]roster.Member, int, error) {
	var found []roster.Member
	for _, p := range d.people {
		if strings.Contains(p.Name, f.Text) && (f.State == "" || f.State == p.State) {
			found = append(found, p)
		}
	}
	return found[min(f.Offset, len(found)):min(f.Offset+f.Limit, len(found))], len(found), nil
}

func (d *desk) Get(_ context.Context, id uuid.UUID) (roster.Member, error) {
	i := slices.IndexFunc(d.people, func(p roster.Member) bool { return p.ID == id })
	if i < 0 {
		return roster.Member{}, fault.New(fault.NotFound, "person.not_found", "There is no such person.")
	}
	return d.people[i], nil
}

func (d *desk) do(what string, id uuid.UUID) error {
	if d.refuses != nil {
		return d.refuses
	}
	d.done = append(d.done, what+" "+id.String())
	return nil
}

func (d *desk) Add(context.Context, roster.Invitation, roster.By) (identity.Person, error) {
	return identity.Person{}, d.do("add", uuid.Nil)
}
func (d *desk) InviteAgain(_ context.Context, id uuid.UUID, _ roster.By) error {
	return d.do("invite", id)
}
func (d *desk) SetRole(_ context.Context, id uuid.UUID, _ identity.Role, _ roster.By) error {
	return d.do("role", id)
}
func (d *desk) Disable(_ context.Context, id uuid.UUID, _ roster.By) error {
	return d.do("disable", id)
}
func (d *desk) Enable(_ context.Context, id uuid.UUID, _ roster.By) error { return d.do("enable", id) }
func (d *desk) Remove(_ context.Context, id uuid.UUID, _ roster.By) error { return d.do("remove", id) }
func (d *desk) ResetFactor(_ context.Context, id uuid.UUID, _ roster.By) error {
	return d.do("reset-factor", id)
}

func members(d *desk) []surface.Route {
	m := &office.Members{Path: "/team", Layout: "manage", Title: "Team", Roles: []office.Role{{Value: identity.ResellerOwner, Label: "Owner"}, {Value: identity.ResellerAgent, Label: "Agent"}},
		Desk: func(*fiber.Ctx) office.Desk { return d }}
	return m.Routes()
}

// TestSomebodyIsRemovedByTheirAddress: as it is typed by people, and by no other.
func TestSomebodyIsRemovedByTheirAddress(t *testing.T) {
	w := tenancytest.New(t)
	ida := roster.Member{ID: uuid.New(), Name: "Ida <Berg>", Email: "Ida.Berg@example.com", Role: identity.ResellerAgent, State: roster.Active}
	d := &desk{people: []roster.Member{ida}}
	c := open(t, w, members(d)...)
	at := "/team/" + ida.ID.String()
	for _, typed := range []string{"", "ida", "someone@example.com", "Ida <Berg>"} {
		got := c.Send(t, "POST", at+"/remove", url.Values{"typed": {typed}})
		if got.Status != fiber.StatusUnprocessableEntity || !strings.Contains(got.Page, "Type Ida.Berg@example.com to confirm.") || len(d.done) > 0 {
			t.Errorf("%q: %d, and %v is done", typed, got.Status, d.done)
		}
	}
	d.refuses = fault.New(fault.Conflict, "member.last_owner", "Somebody must be left who owns the shop.")
	if got := c.Send(t, "POST", at+"/remove", url.Values{"typed": {ida.Email}}); got.Status != fiber.StatusConflict || !strings.Contains(got.Page, "Somebody must be left") {
		t.Errorf("refused: %d", got.Status)
	}
	d.refuses = nil
	if got := c.Send(t, "POST", at+"/remove", url.Values{"typed": {" ida.berg@EXAMPLE.com "}}); got.Status != fiber.StatusSeeOther || got.Where != "/team" || !slices.Equal(d.done, []string{"remove " + ida.ID.String()}) {
		t.Errorf("%d to %s, and %v is done", got.Status, got.Where, d.done)
	}
}

// TestNobodyElseIsAsked: what is no id, or nobody's, reaches no change.
func TestNobodyElseIsAsked(t *testing.T) {
	w := tenancytest.New(t)
	d := &desk{people: []roster.Member{{ID: uuid.New(), Name: "Ida", Email: "ida@example.com"}}}
	routes := members(d)
	c := open(t, w, routes...)
	for _, r := range routes {
		if !strings.Contains(r.Path, ":person") {
			continue
		}
		if got := c.Send(t, r.Method, strings.Replace(r.Path, ":person", "x", 1), nil); got.Status != fiber.StatusNotFound || len(d.done) > 0 {
			t.Errorf("%s %s: %d, and %v is done", r.Method, r.Path, got.Status, d.done)
		}
	}
}

// TestRefusals: what is about the state of things is said where the person came from; what
// is about the program, or somebody else's, is an error.
func TestRefusals(t *testing.T) {
	w := tenancytest.New(t)
	ida := roster.Member{ID: uuid.New(), Name: "Ida", Email: "ida@example.com"}
	d := &desk{people: []roster.Member{ida}}
	c := open(t, w, members(d)...)
	at := "/team/" + ida.ID.String()
	for kind, status := range map[fault.Kind]int{
		fault.Conflict: fiber.StatusSeeOther, fault.Invalid: fiber.StatusSeeOther, fault.TooMany: fiber.StatusSeeOther, fault.Forbidden: fiber.StatusSeeOther, fault.Gone: fiber.StatusSeeOther,
		fault.NotFound: fiber.StatusNotFound, fault.Unavailable: fiber.StatusServiceUnavailable, fault.Internal: fiber.StatusInternalServerError,
	} {
		d.refuses = fault.Wrap(fmt.Errorf("a secret"), kind, "test.refused", "Not now.")
		got := c.Send(t, "POST", at+"/disable", nil)
		back := status == fiber.StatusSeeOther
		if got.Status != status || back != (got.Where == at) || back != strings.Contains(strings.Join(got.Head.Values("Set-Cookie"), " "), "flash") || strings.Contains(got.Page, "a secret") {
			t.Errorf("%v: %d to %q", kind, got.Status, got.Where)
		}
	}
}

// TestAListIsHandedOutWhole: every row that fits the search, whatever page is looked at.
func TestAListIsHandedOutWhole(t *testing.T) {
	w := tenancytest.New(t)
	d := &desk{}
	for i := range 530 {
		p := roster.Member{ID: uuid.New(), Name: fmt.Sprintf("Ida %d", i), Email: fmt.Sprintf("ida%d@example.com", i), Role: identity.ResellerAgent, State: roster.Active}
		if i%10 == 0 {
			p.State = roster.Disabled
		}
		d.people = append(d.people, p)
	}
	c := open(t, w, members(d)...)
	for query, want := range map[string]int{"": 530, "&page=7&state=disabled": 53, "&q=Ida+52": 11, "&q=nobody": 0} {
		got := c.Send(t, "GET", "/team?format=csv"+query, nil)
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(got.Page, "\ufeff"))).ReadAll()
		if err != nil || len(rows) != want+1 {
			t.Errorf("%q: %d rows of %d, %v", query, len(rows)-1, want, err)
		}
		if want > 0 && (rows[1][2] != "Agent" || !strings.Contains(rows[1][1], "@")) {
			t.Errorf("%q: %q", query, rows[1])
		}
	}
}

// TestATrailBetweenTwoDays has the last day in it, whole, and nothing of the neighbour's.
func TestATrailBetweenTwoDays(t *testing.T) {
	w := tenancytest.New(t)
	trail := &office.Trail{Path: "/trail", Layout: "manage", Title: "Trail", Plane: func(c *fiber.Ctx) identity.Plane { return identity.InTenant(surface.DB(c)) },
		Href: func(t audit.Target) string { return "/things/" + t.ID }}
	c := open(t, w, trail.Routes()...)
	first := time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC)
	write := func(of tenancy.Tenant, id string, at time.Time) {
		t.Helper()
		w.Clock.Advance(at.Sub(w.Clock.Now()))
		must(t, w.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
			return audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}.Record(t.Context(), tx, "thing.made", audit.Target{Kind: "thing", ID: id}, map[string]any{"price": map[string]any{"from": 1, "to": 2}})
		}))
	}
	for _, x := range []struct {
		id string
		at time.Duration
	}{{"one", 0}, {"two", 24 * time.Hour}, {"three", 48*time.Hour - time.Second}, {"four", 48 * time.Hour}} {
		write(w.A, x.id, first.Add(x.at))
	}
	write(w.B, "theirs", first.Add(49*time.Hour))
	for query, want := range map[string]string{
		"from=2030-03-02&until=2030-03-02": "three two", "until=2030-03-01": "one", "from=2030-03-03": "four", "from=2030-03-02&target=thing:two": "two",
		"target=nothing:two": "", "from=2030-99-99": "four three two one", "action=other": "",
	} {
		var ids []string
		got := c.Send(t, "GET", "/trail?format=csv&"+query, nil)
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(got.Page, "\ufeff"))).ReadAll()
		must(t, err)
		for _, r := range rows[1:] {
			ids = append(ids, r[7])
		}
		if strings.Join(ids, " ") != want {
			t.Errorf("%s: %v", query, ids)
		}
	}
	if page := c.Send(t, "GET", "/trail", nil); page.Status != 200 || !strings.Contains(page.Page, "Thing: made") || !strings.Contains(page.Page, "1 → 2") || !strings.Contains(page.Page, `href="/things/four"`) || strings.Contains(page.Page, "theirs") {
		t.Errorf("%d\n%s", page.Status, page.Page)
	}
}

// TestEntriesAsPeopleReadThem: whatever was written down once can be read.
func TestEntriesAsPeopleReadThem(t *testing.T) {
	for _, x := range []struct {
		action, words string
		detail        map[string]any
		says          string
	}{
		{"tenant.maintenance_started", "Tenant: maintenance started", map[string]any{"was_on": true, "note": nil}, "note=<nil> was on=true"},
		{"", "", nil, ""}, {"started", "Started: ", nil, ""}, {".started", ".started", nil, ""},
		{"plan.changed", "Plan: changed", map[string]any{"price": map[string]any{"from": "1.00", "to": "2.00"}}, "price=1.00 → 2.00"},
		{"plan.changed", "Plan: changed", map[string]any{"b": map[string]any{"from": nil, "to": 2}, "a": map[string]any{"from": 1, "to": 2, "by": 3}}, "a=map[by:3 from:1 to:2] b=map[from:<nil> to:2]"},
	} {
		e := office.Entries([]audit.Recorded{{Entry: audit.Entry{Action: x.action, Detail: x.detail}}}, nil)[0]
		var says []string
		for _, p := range e.Detail {
			says = append(says, p.Name+"="+p.Value)
		}
		if e.Action != x.words || strings.Join(says, " ") != x.says || e.Href != "" {
			t.Errorf("%q is read as %q with %q", x.action, e.Action, says)
		}
	}
}
