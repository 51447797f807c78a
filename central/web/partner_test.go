package web_test

import (
	"io/fs"
	"log/slog"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/partner"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/web"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/themes"
)

const partnerHost = "partners.localhost"

// openPartner is the partner centre over a world, with somebody signed in who speaks for
// tenant A.
func openPartner(t testing.TB, w *tenancytest.World) *house {
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
	must(t, err)
	pages, err := branding.LoadThemes(themes.Files, []string{"base"}, branding.Funcs(branding.FuncOptions{Assets: assets, Now: w.Clock.Now}))
	must(t, err)
	sessions := identity.NewSessions(rdb, w.Clock.Now)
	passwords, err := identity.NewPasswords(2)
	must(t, err)
	box := mail.NewOutbox(ring)
	builder, err := tenancy.NewBuilder(w.DSN)
	must(t, err)
	t.Cleanup(builder.Close)
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: w.DSN, Lanes: tenancytest.Lanes, ConnsPerLane: 2, Clock: w.Clock.Now, Cold: builder})
	must(t, err)
	t.Cleanup(pool.Close)
	cards := openBank(t, w, box)
	centre := &web.Partner{
		Central: w.Central, SignIn: signin.Parts{Passwords: passwords, Sessions: sessions, Keys: ring, Clock: w.Clock.Now, Mail: box, Throttle: identity.NewThrottle(rdb, ring.DeriveKey("devices"), w.Clock.Now)},
		Wholesale: cards.desk,
		Shops:     &partner.Desk{Central: w.Central, Mail: box, Resellers: &reseller.Desk{Central: w.Central, Platform: "localhost", Claimer: pool, Seed: seedOwner}},
	}
	s, err := surface.New(surface.Config{
		Name: "partner", Areas: []surface.Area{{Name: "hooks", Prefix: "/hooks", World: identity.Partner, Machines: true}, {Name: "partner", World: identity.Partner, SignIn: "/sign-in", Nav: web.PartnerNav}},
		Routes: centre.Routes(), Themes: pages, Assets: dist, Sessions: sessions, Central: w.Central, Log: slog.New(slog.DiscardHandler),
		Clock: w.Clock.Now, FormKey: ring.DeriveKey("forms"),
	})
	must(t, err)
	h := &house{World: w, t: t, console: s, host: partnerHost, cookies: map[string]string{}, ring: ring, bank: cards,
		front: &surface.Front{Hosts: nobody{}, Pool: w.Pool, Partner: s, PartnerHost: partnerHost, Themes: pages, Log: slog.New(slog.DiscardHandler)}}
	must(t, w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		people := identity.People{World: identity.Partner}
		if h.person, err = people.Add(ctx, tx, identity.NewPerson{Email: "pia@alpha.test", Name: "Pia", Role: identity.PartnerOwner, Verified: true}, "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"); err != nil {
			return err
		}
		return wholesale.Link(ctx, tx, h.person.ID, w.A.ID)
	}))
	token, session, err := sessions.Start(ctx, identity.Binding{World: identity.Partner, Host: partnerHost}, identity.Session{PersonID: h.person.ID, Stage: identity.StageFull, Epoch: h.person.Epoch})
	must(t, err)
	h.cookies["ez_partner"], h.csrf = token, session.CSRF
	return h
}

func TestThePartnerCentre(t *testing.T) {
	h := openPartner(t, tenancytest.New(t))
	h.want("overview", h.get("/"), 200, "alpha", "You are in your trial")
	h.want("no prices", h.get("/prices"), 200, "No prices yet")
	h.want("another's", h.get("/?for="+h.B.ID.String()), 404, "You do not speak for that business")
	h.cookies = map[string]string{}
	h.want("signed out", h.get("/"), 303, "/sign-in")
}

// Every route of the partner centre stands in its golden file.
func TestPartnerRoutePermissions(t *testing.T) {
	areas := []surface.Area{{Name: "hooks", Prefix: "/hooks", World: identity.Partner, Machines: true}, {Name: "partner", World: identity.Partner}}
	got, err := surface.Matrix(areas, (&web.Partner{}).Routes())
	must(t, err)
	compareMatrix(t, "testdata/partner_permissions.golden", got)
}
