package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/demo"
	"github.com/ezscale/ezscale/cmd/ezscale/setting"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fleet"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// demoPlatform is the domain below which the demo's sites are: every system leads
// names below it to this machine.
const demoPlatform = "localhost"

type demoCmd struct {
	Reset bool `help:"Forget everything a demo stored here, and end."`
}

// Run runs the demo until Ctrl-C.
func (c *demoCmd) Run(ctx context.Context, t *terminal) error {
	cfg, err := configure[demoCommandConfig]()
	if err != nil {
		return err
	}
	if c.Reset {
		if err := demo.Reset(cfg.Demo.Dir, cfg.Demo.Data); err != nil {
			return err
		}
		t.say("The demo in %s starts over next time.", cfg.Demo.Dir)
		return nil
	}
	began := time.Now()
	clock := &demo.Clock{}
	lab, err := startLab(ctx, cfg.Demo, clock)
	if err != nil {
		return err
	}
	err = runDemo(ctx, t, cfg, lab, clock, began)
	return errors.Join(err, lab.Close())
}

func startLab(ctx context.Context, c demoConfig, clock *demo.Clock) (*demo.Lab, error) {
	return demo.Start(ctx, demo.Options{
		Dir: c.Dir, Data: c.Data, PGBin: c.PGBin, Clock: clock.Now, Install: c.Install,
		HTTP:       demo.Port{Number: c.HTTP, Variable: "EZSCALE_DEMO_HTTP"},
		HTTPS:      demo.Port{Number: c.HTTPS, Variable: "EZSCALE_DEMO_HTTPS"},
		DNS:        demo.Port{Number: c.DNS, Variable: "EZSCALE_DEMO_DNS", UDP: true},
		ACME:       demo.Port{Number: c.ACME, Variable: "EZSCALE_DEMO_ACME"},
		SMTP:       demo.Port{Number: c.SMTP, Variable: "EZSCALE_DEMO_SMTP"},
		VirtFusion: demo.Port{Number: c.Platform, Variable: "EZSCALE_DEMO_VIRTFUSION"},
		Stripe:     demo.Port{Number: c.Stripe, Variable: "EZSCALE_DEMO_STRIPE"},
		PayPal:     demo.Port{Number: c.PayPal, Variable: "EZSCALE_DEMO_PAYPAL"},
		Coinbase:   demo.Port{Number: c.Coinbase, Variable: "EZSCALE_DEMO_COINBASE"},
		VIES:       demo.Port{Number: c.VIES, Variable: "EZSCALE_DEMO_VIES"},
		Other:      []demo.Port{{Number: c.Metrics, Variable: "EZSCALE_DEMO_METRICS"}},
	})
}

// runDemo installs, seeds and serves beside a running lab.
func runDemo(ctx context.Context, t *terminal, cfg *demoCommandConfig, lab *demo.Lab, clock *demo.Clock, began time.Time) error {
	serve, err := demoServeConfig(ctx, cfg, lab)
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(filepath.Join(cfg.Demo.Dir, "log.json"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close() //nolint:errcheck // a log
	log := newLogger(serve.Log, logFile)
	logConfiguration(log, serve)
	if err := bringUpToDate(ctx, serve); err != nil {
		return err
	}
	if err := migrateFleet(ctx, &adminConfig{Database: serve.Database, Keys: serve.Keys}); err != nil {
		return err
	}
	a, err := newAppAt(ctx, serve, log, clock.Now)
	if err != nil {
		return err
	}
	shut, err := a.serveDemo(ctx, t, cfg.Demo, lab, clock, began)
	if err != nil {
		return errors.Join(err, a.close(ctx))
	}
	err = a.runUntilStopped(ctx, shut)
	t.say("Stopped. Start again to find everything as it is; make demo-reset starts over.")
	return err
}

// bringUpToDate does what ezscale migrate does.
func bringUpToDate(ctx context.Context, c *serveConfig) error {
	if _, err := install(ctx, c.Database, c.Keys); err != nil {
		return err
	}
	m, done, err := openMigrator(ctx, &adminConfig{Database: c.Database, Keys: c.Keys})
	if err != nil {
		return err
	}
	defer done()
	r, err := m.Run(ctx, fleet.Options{})
	if err == nil && !r.Complete() {
		err = fmt.Errorf("migrate: %s %v", r.Stopped, r.Failures)
	}
	return err
}

// serveDemo seeds what is missing, opens the sites with the demo's own pages beside
// them, and prints the guide.
func (a *app) serveDemo(ctx context.Context, t *terminal, c demoConfig, lab *demo.Lab, clock *demo.Clock, began time.Time) (func(context.Context) error, error) {
	s, err := a.openSites(ctx, trust{sites: lab.ACME.SiteRoots()})
	if err != nil {
		return nil, err
	}
	if err := a.fillStock(ctx, 3); err != nil {
		return nil, err
	}
	begins := demo.Begins(time.Now(), min(c.Months, 24))
	fresh, err := a.noHistory(ctx)
	if err != nil {
		return nil, err
	}
	if fresh = fresh && c.Months > 0; fresh {
		clock.Set(begins)
	}
	guide, err := demo.Seed(ctx, a.demoDoors(s, lab), demoAddresses(c), c.Dir)
	if err != nil {
		return nil, fmt.Errorf("seed the demo: %w", err)
	}
	if err := a.resolver.Refresh(ctx); err != nil {
		return nil, err
	}
	if err := guide.Save(c.Dir); err != nil {
		return nil, err
	}
	pages, err := demo.NewPages(lab, guide, branding.Funcs(branding.FuncOptions{Assets: s.assets, Now: a.clock}), a.clock)
	if err != nil {
		return nil, err
	}
	own := fasthttpadaptor.NewFastHTTPHandler(pages.Handler())
	s.front.Own = map[string]fasthttp.RequestHandler{
		demoPlatform: own, "demo." + demoPlatform: own,
		"mail." + demoPlatform: fasthttpadaptor.NewFastHTTPHandler(lab.Mails),
	}
	w, err := a.workers(s.domains, s.desk)
	if err != nil {
		return nil, err
	}
	if err := a.startQueue(ctx, w); err != nil {
		return nil, err
	}
	if fresh {
		t.say("Making some months of history, once. This takes half a minute.")
		if err := a.makeHistory(ctx, w, lab, clock, begins); err != nil {
			return nil, fmt.Errorf("history of the demo: %w", err)
		}
	}
	if err := a.connectHook().Register(ctx, audit.Origin{Actor: audit.System("demo")}); err != nil { // at every start: the simulated Stripe remembers nothing
		return nil, fmt.Errorf("connected accounts of the demo: %w", err)
	}
	a.keep("card gateway", lab.Cards.Run)
	a.keep("simulated PayPal", lab.PayPal.Run)
	a.keep("simulated Coinbase", lab.Dollars.Run)
	shut, err := a.serve(ctx, s)
	if err != nil {
		return nil, err
	}
	a.lookAfterDomains(s.domains)
	guide.Print(t.out, time.Since(began))
	return shut, nil
}

// fillStock builds spares until there are so many.
func (a *app) fillStock(ctx context.Context, want int) error {
	_, err := tenancy.Stock{Builder: a.builder}.Fill(ctx, want)
	return err
}

func demoAddresses(c demoConfig) demo.Addresses {
	return demo.Addresses{Platform: demoPlatform, HTTP: c.HTTP, HTTPS: c.HTTPS, Metrics: c.Metrics, File: filepath.Join(c.Dir, "logins.json")}
}

// demoServeConfig is the configuration an operator would write for what the lab
// brought up.
func demoServeConfig(ctx context.Context, cfg *demoCommandConfig, lab *demo.Lab) (*serveConfig, error) {
	dir, err := filepath.Abs(cfg.Demo.Dir)
	if err != nil {
		return nil, err
	}
	key, err := demo.MasterKey(dir)
	if err != nil {
		return nil, err
	}
	local := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	secret, publishable, signed, err := lab.PlatformStripe(ctx, fmt.Sprintf("http://partners.ezscale.%s:%d/hooks/stripe", demoPlatform, cfg.Demo.HTTP))
	if err != nil {
		return nil, err
	}
	environ := []string{
		"EZSCALE_DATABASE_URL=" + lab.DSN(), "EZSCALE_LANES=4", "EZSCALE_REDIS_URL=redis://" + lab.Redis.Addr(), "EZSCALE_MASTER_KEYS=" + key,
		"EZSCALE_PLATFORM_DOMAIN=" + demoPlatform, "EZSCALE_CONSOLE_HOST=console.ezscale." + demoPlatform, "EZSCALE_PARTNER_HOST=partners.ezscale." + demoPlatform,
		"EZSCALE_HTTP_ADDR=" + local(cfg.Demo.HTTP), "EZSCALE_HTTPS_ADDR=" + local(cfg.Demo.HTTPS), "EZSCALE_PLAIN_HTTP=true",
		fmt.Sprintf("EZSCALE_PUBLIC_HTTPS_PORT=%d", cfg.Demo.HTTPS), "EZSCALE_METRICS_ADDR=" + local(cfg.Demo.Metrics),
		"EZSCALE_ACME_DIRECTORY=" + lab.ACME.Directory(), "EZSCALE_ACME_CAA=ca.acmelab.test", "EZSCALE_ACME_EMAIL=demo@ezscale.test", "EZSCALE_ACME_PROFILE=default", "EZSCALE_ACME_ROOTS=" + lab.AuthorityPEM(),
		"EZSCALE_DNS_RESOLVERS=" + lab.ACME.DNS(), "EZSCALE_EDGE_IPV4=127.0.0.1", "EZSCALE_EDGE_DOMAIN=edge.ezscale.test", "EZSCALE_EDGE_TLDS=test",
		"EZSCALE_EXPORT_DIR=" + filepath.Join(dir, "exports"),
		"EZSCALE_SMTP_URL=smtp+plain://" + lab.Mails.Addr(), "EZSCALE_STORAGE_URL=file://" + filepath.Join(dir, "uploads"),
		"EZSCALE_VIES_URL=" + lab.VIESURL(),
		"EZSCALE_STRIPE_API_URL=" + lab.StripeURL(), "EZSCALE_STRIPE_JS_URL=" + lab.StripeURL() + "/v3/", "EZSCALE_PAYPAL_API_URL=" + lab.PayPalURL(), "EZSCALE_COINBASE_API_URL=" + lab.CoinbaseURL() + "/api/v1",
		"EZSCALE_STRIPE_SECRET_KEY=" + secret, "EZSCALE_STRIPE_PUBLISHABLE_KEY=" + publishable, "EZSCALE_STRIPE_WEBHOOK_SECRET=" + signed,
		"EZSCALE_EGRESS_ALLOW=127.0.0.0/8,::1/128",
		"EZSCALE_DRAIN=0s", "EZSCALE_GRACE=5s", "EZSCALE_LOG_LEVEL=" + cfg.Log.Level, "EZSCALE_LOG_FORMAT=" + cfg.Log.Format,
	}
	// The other commands work on a running demo with: set -a; . .demo/env
	if err := demo.SaveEnv(dir, environ); err != nil {
		return nil, err
	}
	c := new(serveConfig)
	return c, setting.Load(c, environ, nil)
}

// demoDoors are the doors the seed goes through.
func (a *app) demoDoors(s *sites, lab *demo.Lab) demo.Doors {
	return demo.Doors{
		Resellers: *newResellerDesk(a.central, a.pool, a.cfg.Hosts.Platform, newOutboxes(a.ring)),
		Wholesale: &wholesale.Desk{Central: a.central, Taker: a.taker}, Platforms: a.platforms(), VirtFusionURL: lab.VirtFusionURL(), StripeURL: lab.StripeURL(), CoinbaseSecret: lab.Dollars.AddAccount(demo.CoinbaseKeyID), Payments: a.connecting(a.payments()),
		Brands: s.desk, Pool: a.pool, Central: a.central, Passwords: s.passwords, Clock: a.clock,
		Upload: func(ctx context.Context, db *tenancy.DB, purpose, name string, body []byte) (string, error) {
			u, err := s.media.Add(ctx, db, media.Offer{Purpose: media.Purpose(purpose), FileName: name, MediaType: "image/svg+xml", Bytes: body, By: audit.System("demo")})
			return u.ID.String(), err
		},
		Factors: identity.Factors{People: identity.People{World: identity.Staff}, Keys: a.ring, Clock: a.clock},
	}
}
