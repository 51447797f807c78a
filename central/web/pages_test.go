package web_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/central/connect"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/staff"
	"github.com/ezscale/ezscale/central/watch"
	"github.com/ezscale/ezscale/central/web"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/secrets"
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

// house is the console over a world, with somebody of staff signed in.
type house struct {
	*tenancytest.World
	t       testing.TB
	front   *surface.Front
	console *surface.Surface
	host    string
	cookies map[string]string
	csrf    string
	person  identity.Person
	jobs    *queue.Jobs

	lab  *simulated
	ring *secrets.Keyring
	bank *bank // of the partner centre
	desk *wholesale.Desk
}

type nobody struct{}

func (nobody) Lookup(string) (tenancy.Tenant, bool) { return tenancy.Tenant{}, false }

const host = "console.localhost"

func open(t testing.TB, role identity.Role) *house {
	t.Helper()
	return openOver(t, tenancytest.New(t), role)
}

func openOver(t testing.TB, w *tenancytest.World, role identity.Role) *house {
	t.Helper()
	ctx := t.Context()
	rdb := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	dist, err := fs.Sub(themes.Dist, "dist")
	must(t, err)
	assets, err := branding.OpenAssets(dist)
	if !errors.Is(err, branding.ErrNotBuilt) { // the words on a page do not depend on bundles
		must(t, err)
	}
	pages, err := branding.LoadThemes(themes.Files, []string{"base"}, branding.Funcs(branding.FuncOptions{Assets: assets, Now: w.Clock.Now}))
	must(t, err)
	_, version, err := tenancy.TenantScript()
	must(t, err)
	jobs, err := queue.OpenJobs(ctx, tenancy.Config{DSN: w.DSN}, 2)
	must(t, err)
	t.Cleanup(jobs.Close)
	builder, err := tenancy.NewBuilder(w.DSN)
	must(t, err)
	t.Cleanup(builder.Close)
	_, err = tenancy.Stock{Builder: builder}.Fill(ctx, 1)
	must(t, err)
	box := mail.NewOutbox(ring)
	lab, registry := platforms(t, w, ring)
	sessions := identity.NewSessions(rdb, w.Clock.Now)
	console := &web.Console{
		Connect: &connect.Hook{Central: w.Central, Gateway: connectLab(t), Keys: ring, Address: "https://partners.localhost/hooks/connect"},
		Central: w.Central, SignIn: signin.Parts{Sessions: sessions, Keys: ring, Clock: w.Clock.Now, Mail: box},
		Wholesale: &wholesale.Desk{Central: w.Central, Mail: box}, Running: idle{},
		Office: &web.Office{
			Alerts: &alerts.Desk{Central: w.Central, Keys: ring, Mail: box, Client: egress.Client(egress.Options{}), Console: "https://console.test"},
			Resellers: &reseller.Desk{Central: w.Central, Platform: "localhost", Claimer: w.Pool,
				Seed: func(context.Context, tenancy.Tenant, *tenancy.Tx, reseller.Owner) error { return nil }},
			Staff: staff.Desk(w.Central, func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error {
				return signin.Invite(ctx, tx, box, "", to, inviter)
			}),
			Watch: &watch.Watch{Central: w.Central, SchemaVersion: version}, Jobs: jobs, Platforms: registry,
			LookAgain: func(context.Context, tenancy.ID, uuid.UUID) error { return nil },
			Peek: func(context.Context, tenancy.ID) (web.Inside, error) {
				return web.Inside{Inside: reseller.Inside{Customers: 17}}, nil
			},
			MailAgain: func(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error { return box.Again(ctx, tx, id) },
		},
	}
	s, err := surface.New(surface.Config{
		Name: "console", Areas: []surface.Area{{Name: "console", World: identity.Staff, SignIn: "/sign-in", Nav: web.Nav}},
		Routes: console.Routes(), Themes: pages, Assets: dist, Sessions: sessions, Central: w.Central, Log: slog.New(slog.DiscardHandler),
		Clock: w.Clock.Now, FormKey: ring.DeriveKey("forms"),
	})
	must(t, err)
	h := &house{World: w, t: t, console: s, host: host, desk: console.Wholesale, cookies: map[string]string{}, jobs: jobs, lab: lab,
		front: &surface.Front{Hosts: nobody{}, Pool: w.Pool, Console: s, ConsoleHost: host, Themes: pages, Log: slog.New(slog.DiscardHandler)}}
	h.person, err = staff.First(ctx, w.Central, identity.NewPerson{Email: "anna@ezscale.test", Name: "Anna", Role: role}, "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")
	must(t, err)
	token, session, err := sessions.Start(ctx, identity.Binding{World: identity.Staff, Host: host}, identity.Session{PersonID: h.person.ID, Stage: identity.StageFull, Epoch: h.person.Epoch, SecondFactor: true})
	must(t, err)
	h.cookies["ez_staff"], h.csrf = token, session.CSRF
	return h
}

// answer is an answer, in the words of these tests.
type answer struct {
	status int
	where  string
	page   string
	head   http.Header
}

func (h *house) client() *surfacetest.Client {
	return &surfacetest.Client{Front: h.front, Host: h.host, Cookies: h.cookies, CSRF: h.csrf}
}

func (h *house) send(method, path string, form url.Values) answer {
	h.t.Helper()
	a := h.client().Send(h.t, method, path, form)
	return answer{a.Status, a.Where, a.Page, a.Head}
}

func (h *house) get(path string) answer { h.t.Helper(); return h.send("GET", path, nil) }

func (h *house) post(path string, fields ...string) answer {
	h.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return h.send("POST", path, form)
}

func (h *house) want(what string, a answer, status int, contains ...string) {
	h.t.Helper()
	for _, text := range contains {
		if a.status != status || !strings.Contains(a.page+" "+a.where, text) {
			h.t.Fatalf("%s: %d to %q, want %d and %q in\n%s", what, a.status, a.where, status, text, a.page)
		}
	}
}

func TestEveryPageIsThere(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	_, err := h.Owner.Exec(t.Context(), `INSERT INTO central.domains (id, tenant_id, host, state, verify_token, edge_label, serving, last_error, not_after, created_by, created_at, changed_at, pending_since)
		VALUES (gen_random_uuid(), $1, 'lost.beta.test', 'drifted', '', '', true, 'It points elsewhere.', now(), '', now(), now(), now())`, h.B.ID.Number())
	must(t, err)
	a, b := "/resellers/"+h.A.ID.String(), "/resellers/"+h.B.ID.String()
	for path, says := range map[string]string{
		"/": "lost.beta.test of beta", "/resellers": "alpha.localhost", "/resellers?q=lost.beta": "1 reseller", "/resellers?q=nobody": "Nothing fits",
		"/resellers/new": "Create the reseller", a: "t_" + h.A.ID.String(), b + "/domains": "It points elsewhere.", a + "/domains": "No domain of its own",
		a + "/people": "17", a + "/activity": "Nothing was done to it yet", a + "/settings": "Danger zone", a + "/do/suspend": "Reason, for your colleagues",
		a + "/do/archive": "Type alpha to confirm", "/staff": "anna@ezscale.test", "/staff/new": "Send the invitation",
		"/staff/" + h.person.ID.String(): "This is you", "/audit": "Staff: created", "/audit?actor=command": "Staff: created", "/jobs": "No jobs", "/alerts": "Nothing to tell", "/alerts/channels": "Add a channel", "/system": "Postgres",
		"/mails": "No mail was written yet", "/palette.json?q=alpha": "/resellers/" + h.A.ID.String(), "/resellers?format=csv": "alpha.localhost",
		"/audit?format=csv": "staff.created", "/staff?format=csv": "anna@ezscale.test", "/mails?format=csv": "subject", "/jobs?format=csv": "kind",
		"/resellers/new/address?name=Alpha": "Taken by alpha", "/resellers/new/address?slug=c0nsole": "looks too much like", "/resellers/new/address?slug=comet": "comet.localhost is free",
	} {
		h.want(path, h.get(path), 200, says)
	}
}

func TestAResellerFromFormToArchive(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	form := []string{"key", "k1", "name", "Comet", "slug", "alpha", "owner_name", "Cleo", "owner_email", "cleo@comet.test", "trial_days", "14", "locale", "de", "currency", "EUR", "time_zone", "Europe/Berlin"}
	h.want("a slug that is taken keeps the form", h.post("/resellers", form...), 409, "belongs to alpha since", `value="cleo@comet.test"`, `value="k1"`)
	form[5] = "comet"
	made := h.post("/resellers", form...)
	h.want("created", made, 303, "/resellers/")
	at := made.where
	if again := h.post("/resellers", form...); again.where != at {
		t.Errorf("the form sent twice leads to %s and %s", at, again.where)
	}
	h.want("its page", h.get(at), 200, "Comet", "Trial", "comet.localhost")
	h.want("no reason", h.post(at+"/do/suspend", "note", "Back on Monday"), 422, "Say why", "Back on Monday")
	h.want("suspended", h.post(at+"/do/suspend", "reason", "unpaid", "note", "Back on Monday"), 303, at)
	h.want("says so", h.get(at), 200, "Suspended", "unpaid", "Back on Monday", "Resume Comet")
	h.want("suspended again", h.post(at+"/do/suspend", "reason", "x"), 409, "in this status already")
	h.want("resumed", h.post(at+"/do/resume"), 303, at)
	h.want("archiving wants the name", h.post(at+"/do/archive", "typed", "comit"), 422, "Type comet to confirm")
	h.want("archived", h.post(at+"/do/archive", "typed", "comet", "reason", "closed"), 303, at)
	h.want("drop too soon", h.post(at+"/do/drop", "typed", "comet"), 409, "hold period")
	h.want("renamed", h.post(at+"/name", "name", "Comet Two"), 303, at)
	h.want("a name of nothing", h.post(at+"/name", "name", "  "), 422, "Give the name")
	h.want("policy", h.post(at+"/policy", "require_totp", "on"), 303, at)
	h.want("the trail", h.get(at+"/activity"), 200, "tenant.created", "tenant.suspended", "tenant.resumed", "tenant.archived", "tenant.renamed", "tenant.policy_changed", "Anna")
}

func TestStaffAndMails(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	h.want("everything wrong at once", h.post("/staff", "name", "", "email", "x", "role", "admin"), 422, "Please enter your name", "does not look like")
	h.want("invited", h.post("/staff", "name", "Ben", "email", "ben@ezscale.test", "role", "read_only"), 303, "/staff")
	list := h.get("/staff?state=invited")
	h.want("listed", list, 200, "ben@ezscale.test")
	ben := regexp.MustCompile(`/staff/[0-9a-f-]{36}`).FindString(list.page)
	h.want("his page", h.get(ben), 200, "Send a new invitation")
	h.want("a role", h.post(ben+"/role", "role", "support"), 303, ben)
	h.want("no such role", h.post(ben+"/role", "role", "god"), 303, ben)
	h.want("oneself", h.post("/staff/"+h.person.ID.String()+"/disable"), 303, "/staff/")
	h.want("still here", h.get("/staff?state=active"), 200, "anna@ezscale.test")
	h.want("removal wants the address", h.post(ben+"/remove", "typed", "b"), 422, "Type ben@ezscale.test")
	h.want("the letter", h.get("/mails"), 200, "ben@ezscale.test", "invitation")
	h.want("removed", h.post(ben+"/remove", "typed", "ben@ezscale.test"), 303, "/staff")
	h.want("gone", h.get(ben), 404, "no such person")
}

func TestJobs(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	ctx := t.Context()
	must(t, h.DB(h.A).Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.Enqueue(ctx, mail.SendJob{Mail: "x"}, tenancy.JobOptions{})
		return err
	}))
	_, err := h.Owner.Exec(ctx, `UPDATE river.river_job SET state = 'discarded', finalized_at = now(), attempt = 25,
		errors = ARRAY['{"at": "2026-10-15T09:00:00Z", "attempt": 25, "error": "the server <said> no", "trace": ""}'::jsonb]`)
	must(t, err)
	list := h.get("/jobs?state=dead&tenant=" + h.A.ID.String())
	h.want("dead", list, 200, "mail.send", "the server <said> no", "Dead (1)")
	at := regexp.MustCompile(`/jobs/[0-9]+`).FindString(list.page)
	h.want("one", h.get(at), 200, "Attempt 25", "Retry now", "Mail")
	h.want("retried", h.post(at+"/retry"), 303, at)
	h.want("alive", h.get(at), 200, "Cancel the job")
	h.want("cancelled", h.post(at+"/cancel"), 303, at)
	h.want("written down", h.get("/audit"), 200, "job.retried", "job.cancelled")
	h.want("on the overview", h.get("/"), 200, "1 dead job")
}

// idle is resellers in whose own books nothing ever ran.
type idle struct{}

func (idle) Ran(context.Context, tenancy.ID, time.Time, time.Time) ([]wholesale.Ran, error) {
	return nil, nil
}

// The trail names people of two worlds; each is led to where they are known.
func TestATrailLeadsToWhoItNames(t *testing.T) {
	w := tenancytest.New(t)
	h, p := openOver(t, w, identity.StaffAdmin), openPartner(t, w)
	for who, to := range map[uuid.UUID]string{h.person.ID: "/staff/" + h.person.ID.String(), p.person.ID: "/resellers/" + w.A.ID.String()} {
		h.want("somebody known", h.get("/people/"+who.String()), 303, to)
		h.want("who they are", h.get(to), 200)
	}
	for _, unknown := range []string{uuid.NewString(), "x", "%00"} {
		h.want("nobody", h.get("/people/"+unknown), 404)
	}
	h.want("the trail", h.get("/audit"), 200, `href="/people/`+h.person.ID.String()+`"`)
}
