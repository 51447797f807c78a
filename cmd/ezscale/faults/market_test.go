package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/provisioners/virtfusion"
	"github.com/ezscale/ezscale/provisioners/virtfusion/lab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/settings"
)

var tester = audit.Origin{Actor: audit.System("test")}

// market is a house whose two shops sell servers: with a simulated Stripe, a simulated
// VirtFusion, and a past of its own that the program's parts made under a clock that is
// turned.
type market struct {
	*house
	cards      *stripelab.Lab
	own        *stripe.Gateway // the platform's account
	cardsURL   string
	servers    *lab.Lab
	clock      *tenancytest.Clock
	central    *tenancy.Central
	platforms  *platform.Registry
	platform   uuid.UUID
	orders     *checkout.Desk
	payments   *payment.Desk
	renewals   *renewal.Desk
	hosts      *hosting.Desk
	wholesale  *wholesale.Desk
	shops      []*shop
	password   identity.HashedPassword
	customers  int
	over       int
	hooksReach func() int // the port at which webhooks arrive
}

// shop is one reseller of the market.
type shop struct {
	m       *market
	who     tenancy.Tenant
	db      *tenancy.DB // in the past
	site    string
	gateway string
	secret  string // of the account its payments are in
	public  string
}

// The keys of the platform's own account at Stripe.
const (
	ownSecret = "sk_test_platform"
	ownPublic = "pk_test_platform"
)

// shopPassword is every customer's.
const shopPassword = "several words in a row"

// newMarket furnishes a house. Its past begins 75 days ago, and its resellers have had
// terms for so many months that are over.
func newMarket(t *testing.T, over int, environ ...string) *market {
	t.Helper()
	m := &market{clock: new(tenancytest.Clock), over: over}
	m.clock.Set(time.Now().AddDate(0, 0, -75))
	m.cards = stripelab.New(stripelab.Options{Client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", m.hooksReach()))
		},
	}}, Retry: 200 * time.Millisecond})
	cards := httptest.NewServer(m.cards.Handler())
	t.Cleanup(cards.Close)
	m.cardsURL = cards.URL
	m.servers = lab.New(lab.Options{InstallDelay: 100 * time.Millisecond})
	m.servers.AddToken("good")
	servers := httptest.NewServer(m.servers.Handler())
	t.Cleanup(servers.Close)
	m.cards.AddAccount(ownSecret, ownPublic)
	var err error
	m.own, err = stripe.New(stripe.Config{SecretKey: ownSecret, PublishableKey: ownPublic, APIURL: m.cardsURL, Shop: "platform", HTTP: &http.Client{Timeout: 12 * time.Second}})
	must(t, err)
	signs, err := m.own.Listen(t.Context(), "http://partners.localhost/hooks/stripe")
	must(t, err)
	m.house = newHouse(t, append([]string{"EZSCALE_STRIPE_API_URL=" + cards.URL, "EZSCALE_STRIPE_JS_URL=" + cards.URL + "/v3/", "EZSCALE_EGRESS_ALLOW=127.0.0.0/8",
		"EZSCALE_STRIPE_SECRET_KEY=" + ownSecret, "EZSCALE_STRIPE_PUBLISHABLE_KEY=" + ownPublic, "EZSCALE_STRIPE_WEBHOOK_SECRET=" + signs}, environ...)...)
	m.hooksReach = func() int { return m.first.http }
	m.open()
	m.supply(servers.URL)
	_, live := m.planes()
	for _, who := range m.tenants(live) {
		m.shops = append(m.shops, m.furnish(who))
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go func() { _ = m.cards.Run(ctx) }()
	return m
}

// open opens the parts of the program that make the past.
func (m *market) open() {
	m.t.Helper()
	cfg := tenancy.Config{DSN: m.pg.DSN("ezscale"), Password: m.ring.DerivePassword, Lanes: lanes, ConnsPerLane: 2, Clock: m.clock.Now}
	central, err := tenancy.OpenCentral(m.t.Context(), cfg, 2)
	must(m.t, err)
	m.t.Cleanup(central.Close)
	m.central = central
	m.wholesale = &wholesale.Desk{Central: central, Mail: mail.NewOutbox(m.ring), Taker: &wholesale.Taker{Code: stripe.Code, Gateway: m.own}}
	m.platforms = &platform.Registry{
		Central: central, Keys: m.ring, Prices: pricesAt{}, PlainHTTP: true,
		Client: egress.Client(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 20 * time.Second}),
		Drivers: map[string]platform.Factory{"virtfusion": func(c platform.Connection) (provisioners.Driver, error) {
			return virtfusion.New(virtfusion.Config(c))
		}},
	}
	outbox := mail.NewOutbox(m.ring)
	m.orders = &checkout.Desk{Offers: offered{m.platforms}, Supply: supplied{m.platforms}, Mail: outbox}
	m.payments = &payment.Desk{Gateways: cardsOnly{m.cardsURL}, Keys: m.ring, Collector: collects{m.wholesale}}
	m.renewals = &renewal.Desk{Mail: outbox}
	m.hosts = &hosting.Desk{Platforms: m.platforms, Keys: m.ring, Mail: outbox}
	hasher, err := identity.NewPasswords(1)
	must(m.t, err)
	m.password, err = hasher.Hash(m.t.Context(), shopPassword)
	must(m.t, err)
}

// The five below are what cmd/ezscale puts between the parts, with one gateway.
type (
	pricesAt  struct{}
	offered   struct{ all *platform.Registry }
	supplied  struct{ all *platform.Registry }
	cardsOnly struct{ url string }
	collects  struct{ desk *wholesale.Desk }
)

func (c collects) CollectionFor(ctx context.Context, of tenancy.ID) (payment.CollectionTerms, bool, error) {
	t, err := c.desk.CollectionTerms(ctx, of)
	return payment.CollectionTerms{Fee: t.Fee, Currency: t.Currency, HoldDays: t.HoldDays}, t.Allowed, err
}

func (pricesAt) Prices(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID) (map[string]platform.Price, error) {
	listed, err := wholesale.PricesAt(ctx, tx, tenant, "", tx.Now())
	all := map[string]platform.Price{}
	for _, l := range listed {
		all[l.Code] = platform.Price{Minor: l.Net.Minor(), Currency: l.Net.Currency}
	}
	return all, err
}

func (o offered) Offers(ctx context.Context, tenant tenancy.ID) (all []catalog.Offer, err error) {
	found, err := o.all.Offers(ctx, tenant)
	for _, x := range found {
		offer := catalog.Offer{SKU: x.SKU, Type: catalog.Type(x.Type), Name: x.Name, Spec: x.Spec, Cost: catalog.Cost(x.Price), Available: x.Available}
		for _, r := range x.Regions {
			region := catalog.Region{Code: r.Code, Name: r.Name, Available: r.Available}
			for _, im := range r.Images {
				region.Images = append(region.Images, catalog.Image(im))
			}
			offer.Regions = append(offer.Regions, region)
		}
		all = append(all, offer)
	}
	return all, err
}

func (s supplied) Hold(ctx context.Context, tenant tenancy.ID, r checkout.HoldRequest) (checkout.Placement, error) {
	h, err := s.all.Hold(ctx, tenant, platform.HoldRequest(r))
	return checkout.Placement{PlatformID: h.PlatformID, Region: h.Region}, err
}

func (s supplied) Use(ctx context.Context, tenant tenancy.ID, key string) error {
	return s.all.Use(ctx, tenant, key)
}

func (s supplied) Free(ctx context.Context, tenant tenancy.ID, key string) error {
	return s.all.Free(ctx, tenant, key)
}

func (c cardsOnly) Open(code string, s payment.Settings) (gateway.Gateway, error) {
	switch code {
	case payment.Platform:
		return stripe.NewShared(stripe.Config{SecretKey: ownSecret, PublishableKey: ownPublic, APIURL: c.url, Shop: s.Tenant.String(), HTTP: &http.Client{Timeout: 12 * time.Second}}, s.Secret["currency"])
	case stripe.Code:
	default:
		return nil, fmt.Errorf("gateway %q: %w", code, gateway.ErrUnsupported)
	}
	return stripe.New(stripe.Config{
		SecretKey: s.Secret["secret_key"], PublishableKey: s.Public["publishable_key"], WebhookSecrets: []string{s.Secret["webhook_secret"]},
		APIURL: c.url, Shop: s.Tenant.String(), HTTP: &http.Client{Timeout: 12 * time.Second},
	})
}

// supply writes the price book and connects the platform.
func (m *market) supply(serversURL string) {
	m.t.Helper()
	ctx := m.t.Context()
	from := m.opened()
	spec := json.RawMessage(`{"cpu":1,"memory_mb":2048,"disk_gb":40,"traffic_gb":2000,"ipv4":1}`)
	must(m.t, m.wholesale.SaveSKU(ctx, wholesale.SKU{Code: "vps-1", Type: "vps", Name: "VPS 1", Kind: wholesale.Service, Unit: "month", Spec: spec, State: "active"}, tester))
	must(m.t, m.wholesale.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-1", Currency: "EUR", Price: "2.40", From: from}, tester))
	must(m.t, m.wholesale.SetTier(ctx, wholesale.NewTier{Tier: "starter", Name: "Starter", Fee: "19.00", Percent: "5", Currency: "EUR", From: from}, tester))
	// What the platform takes for a shop is to be more than the shop owes it.
	must(m.t, m.wholesale.SetTier(ctx, wholesale.NewTier{Tier: "small", Name: "Small", Fee: "1.00", Percent: "5", Currency: "EUR", From: from}, tester))
	var err error
	m.platform, err = m.platforms.Connect(ctx, platform.Form{Name: "VirtFusion", Driver: "virtfusion", BaseURL: serversURL, Token: "good"}, tester)
	must(m.t, err)
	_, err = m.platforms.Map(ctx, m.platform, platform.MapForm{SKU: "vps-1", Region: "ams", RegionName: "Amsterdam", Parameters: map[string]string{"packageId": "1", "hypervisorGroupId": "1"}}, tester)
	must(m.t, err)
}

// opened is the first of the first month that is billed.
func (m *market) opened() time.Time {
	now := time.Now().UTC()
	return time.Date(now.Year(), now.Month()-time.Month(m.over), 1, 0, 0, 0, 0, time.UTC)
}

// months are those that are over.
func (m *market) months() (all []string) {
	for i := range m.over {
		all = append(all, m.opened().AddDate(0, i, 0).Format("2006-01"))
	}
	return all
}

// furnish lets a reseller sell servers for cards: alpha with an account of its own, and
// for beta the platform takes them.
func (m *market) furnish(who tenancy.Tenant) *shop {
	m.t.Helper()
	ctx := m.t.Context()
	s := &shop{m: m, who: who, site: "http://" + who.Slug + ".localhost", gateway: stripe.Code}
	tier := "starter"
	if who.Slug == "beta" {
		s.gateway, tier = payment.Platform, "small"
	}
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: m.pg.DSN("ezscale"), Password: m.ring.DerivePassword, Lanes: lanes, ConnsPerLane: 2, Clock: m.clock.Now})
	must(m.t, err)
	m.t.Cleanup(pool.Close)
	s.db = pool.Bind(who)
	must(m.t, m.wholesale.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: tier, Currency: "EUR", From: m.opened()}, tester))
	card, err := m.wholesale.AddCard(ctx, who.ID, s.site+"/back")
	must(m.t, err)
	must(m.t, m.enter(ownPublic, card.ClientSecret))
	if card, err = m.wholesale.FinishCard(ctx, who.ID, card.Ref, tester); err != nil || card.State != gateway.Succeeded {
		m.t.Fatalf("the card of %s: %+v %v", who.Slug, card, err)
	}
	terms := settings.DefaultBilling()
	terms.Company, terms.Line1, terms.Postcode, terms.City, terms.Country = who.Name+" Ltd", "Road 1", "10115", "Berlin", "DE"
	must(m.t, settings.SaveBilling(ctx, s.db, terms, tester))
	s.takes()
	must(m.t, s.db.Update(ctx, func(tx *tenancy.Tx) error {
		for _, q := range []string{
			`INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at) VALUES ('00000000-0000-7000-8000-000000000001', 'vps', 'vps', 'VPS', '', 1, 'public', now(), now())`,
			`INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, sku, created_at, changed_at) VALUES
				('00000000-0000-7000-8000-000000000011', '00000000-0000-7000-8000-000000000001', 'small', 'Small', '', '[]', false, 1, 'public', 'vps-1', now(), now())`,
			`INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) SELECT '00000000-0000-7000-8000-000000000011', c, 'monthly', 999, 100 FROM unnest(ARRAY['EUR', 'USD']) c`,
		} {
			if _, err := tx.NewRaw(q).Exec(ctx); err != nil {
				return err
			}
		}
		return tx.TouchSite(ctx, "")
	}))
	return s
}

// takes has a shop take cards.
func (s *shop) takes() {
	m, ctx := s.m, s.m.t.Context()
	m.t.Helper()
	if s.gateway == payment.Platform {
		s.secret, s.public = ownSecret, ownPublic
		must(m.t, m.wholesale.SetCollectionTerms(ctx, s.who.ID, wholesale.NewCollectionTerms{Allowed: true, Percent: "2.9", Fixed: "0.25", HoldDays: "0"}, tester))
		must(m.t, m.payments.BeginCollection(ctx, s.db, tester))
		return
	}
	s.secret, s.public = "sk_test_"+s.who.Slug, "pk_test_"+s.who.Slug
	m.cards.AddAccount(s.secret, s.public)
	must(m.t, m.payments.SaveGateway(ctx, s.db, payment.Change{Code: stripe.Code, On: true, Public: map[string]string{"publishable_key": s.public}, Secret: map[string]string{"secret_key": s.secret}}, tester))
	must(m.t, m.payments.ListenTo(ctx, s.db, stripe.Code, s.site+"/hooks/stripe", tester))
}

// customer is somebody with an account of their own.
type customer struct {
	email   string
	person  uuid.UUID
	account uuid.UUID
}

func (s *shop) customer() (c customer) {
	s.m.t.Helper()
	ctx := s.m.t.Context()
	s.m.customers++
	c.email, c.account = fmt.Sprintf("customer%d@people.test", s.m.customers), uuid.Must(uuid.NewV7())
	must(s.m.t, s.db.Update(ctx, func(tx *tenancy.Tx) error {
		p, err := identity.People{World: identity.Customer}.Add(ctx, tx, identity.NewPerson{Email: c.email, Name: "Ada " + strconv.Itoa(s.m.customers), Role: identity.CustomerMember, Verified: true}, s.m.password)
		if err != nil {
			return err
		}
		c.person = p.ID
		_, err = tx.NewRaw(`INSERT INTO accounts (id, name, currency, time_zone, kind, country, billing, created_at, changed_at)
			VALUES (?, ?, 'EUR', 'UTC', 'person', 'DE', ?::jsonb, ?, ?)`, c.account, p.Name,
			`{"name":"Ada","line1":"1 Street","postcode":"10115","city":"Berlin","country":"DE","email":"`+c.email+`"}`, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", c.account, c.person, tx.Now()).Exec(ctx)
		return err
	}))
	return c
}

// sold has a customer buy a server at the clock's time, with a card that is kept, and
// see it run.
func (s *shop) sold(c customer) checkout.Order {
	s.m.t.Helper()
	ctx, m := s.m.t.Context(), s.m
	q, err := m.orders.Quote(ctx, s.db, checkout.Ask{AccountID: c.account, Items: []catalog.Picked{{Product: "vps", Plan: "small", Cycle: billing.Monthly, Region: "ams", Image: "debian-13"}}})
	must(m.t, err)
	o, err := m.orders.Place(ctx, s.db, checkout.PlaceRequest{QuoteID: q.ID, AccountID: c.account, PersonID: c.person, By: audit.Origin{Actor: audit.Actor{Kind: "customer", ID: c.person.String(), Name: "Ada"}}})
	must(m.t, err)
	p, gp, err := m.payments.Begin(ctx, s.db, payment.BeginRequest{InvoiceID: *o.InvoiceID, Gateway: s.gateway, Save: true, OnSession: true, ReturnURL: s.site + "/back"})
	must(m.t, err)
	must(m.t, s.enter(gp.ClientSecret))
	if p, _, err = m.payments.Refresh(ctx, s.db, p.ID); err != nil || p.State != gateway.Succeeded {
		m.t.Fatalf("the past's payment: %+v %v", p, err)
	}
	must(m.t, m.orders.Paid(ctx, s.db, *o.InvoiceID))
	must(m.t, m.renewals.Paid(ctx, s.db, *o.InvoiceID))
	var service uuid.UUID
	must(m.t, s.db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT v.id FROM services v JOIN subscriptions s ON s.id = v.subscription_id WHERE s.order_id = ?", o.ID).Scan(ctx, &service)
	}))
	m.until("the past's server runs", func() error {
		if err := m.hosts.Drive(ctx, s.db, hosting.DriveJob{ServiceID: service}); err != nil {
			return err
		}
		m.clock.Advance(10 * time.Second)
		var seen string
		must(m.t, s.db.View(ctx, func(tx *tenancy.Tx) error {
			return tx.NewRaw("SELECT observed FROM services WHERE id = ?", service).Scan(ctx, &seen)
		}))
		if seen != "active" {
			return fmt.Errorf("it is %s", seen)
		}
		return nil
	})
	must(m.t, m.orders.ServiceActive(ctx, s.db, service))
	return o
}

// enter is what the browser's card form does.
func (s *shop) enter(clientSecret string) error { return s.m.enter(s.public, clientSecret) }

func (m *market) enter(public, clientSecret string) error {
	return m.enterCard(public, clientSecret, "4242424242424242")
}

// The cards whose payment does not come about at once.
const (
	declinedCard = "4000000000000002"
	asksTheOwner = "4000002500003155" // until it is kept
)

// confirm is the owner's word to the bank that asked for it.
func (m *market) confirm(clientSecret string) error {
	id, _, _ := strings.Cut(clientSecret, "_secret_")
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.PostForm(m.cardsURL+"/authenticate/"+id, url.Values{"client_secret": {clientSecret}, "answer": {"confirm"}})
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (m *market) enterCard(public, clientSecret, number string) error {
	id, _, _ := strings.Cut(clientSecret, "_secret_")
	what := "payment_intents/"
	if strings.HasPrefix(id, "seti_") {
		what = "setup_intents/"
	}
	res, err := http.PostForm(m.cardsURL+"/v1/"+what+id+"/confirm", url.Values{
		"key": {public}, "client_secret": {clientSecret}, "return_url": {"http://alpha.localhost/back"}, "payment_method_data[type]": {"card"},
		"payment_method_data[card][number]": {number}, "payment_method_data[card][exp_month]": {"12"}, "payment_method_data[card][exp_year]": {"34"}, "payment_method_data[card][cvc]": {"123"},
	})
	if err != nil {
		return err
	}
	return res.Body.Close()
}
