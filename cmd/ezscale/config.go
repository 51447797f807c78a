package main

import (
	"encoding/base64"
	"errors"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/cmd/ezscale/setting"
)

// databaseConfig is where PostgreSQL is.
type databaseConfig struct {
	URL          string        `env:"DATABASE_URL" need:"true" secret:"true" about:"PostgreSQL 15 or newer, as the owner of the database: postgres://owner:password@host/ezscale. The owner installs, migrates and makes tenants."`
	LanesURL     string        `env:"LANES_URL" secret:"true" about:"Where tenants' transactions connect to, when that is another address, such as a pooler in transaction mode. User and password in it are not used."`
	Lanes        int           `env:"LANES" about:"Number of lanes a new database gets (0: 32). One that is installed keeps its own; see ezscale lanes."`
	ConnsPerLane int32         `env:"LANE_CONNS" envDefault:"2" about:"Connections a lane and process."`
	CentralConns int32         `env:"CENTRAL_CONNS" envDefault:"8" about:"Connections of the central plane, a process."`
	InFlight     int           `env:"TRANSACTIONS" about:"Tenant transactions at once, a process; more wait their turn (0: no bound). Four for each core of the database is a good start."`
	ConnLifetime time.Duration `env:"CONN_LIFETIME" envDefault:"30m" about:"How long a connection lives. A backend remembers every tenant it met until it is closed."`
}

// Validate checks what the types cannot.
func (c *databaseConfig) Validate() error {
	return errors.Join(
		postgresURL("EZSCALE_DATABASE_URL", c.URL), postgresURL("EZSCALE_LANES_URL", c.LanesURL),
		between("EZSCALE_LANES", c.Lanes, 0, 100), between("EZSCALE_LANE_CONNS", int(c.ConnsPerLane), 1, 64),
		between("EZSCALE_CENTRAL_CONNS", int(c.CentralConns), 2, 256), between("EZSCALE_TRANSACTIONS", c.InFlight, 0, 100_000),
		atLeast("EZSCALE_CONN_LIFETIME", c.ConnLifetime, time.Minute),
	)
}

// LaneURL is where lanes connect.
func (c *databaseConfig) LaneURL() string {
	if c.LanesURL != "" {
		return c.LanesURL
	}
	return c.URL
}

type redisConfig struct {
	URL string `env:"REDIS_URL" need:"true" secret:"true" about:"Redis 6.2 or newer, for sessions and throttling: redis://:password@host:6379/0, or rediss:// with TLS."`
}

// Validate checks what the types cannot.
func (c *redisConfig) Validate() error {
	return urlOf("EZSCALE_REDIS_URL", c.URL, "redis", "rediss", "unix")
}

type keysConfig struct {
	Master string `env:"MASTER_KEYS" need:"true" secret:"true" about:"Master keys as id:base64, separated by commas; the first seals, all open. Make one with ezscale secrets new. Passwords of the database logins are derived from the last."`
}

// hostsConfig is which names the platform itself answers to.
type hostsConfig struct {
	Platform string `env:"PLATFORM_DOMAIN" need:"true" about:"Every reseller's site works at once below this name: nimbus.<platform>."`
	Console  string `env:"CONSOLE_HOST" about:"Host of the staff console; empty: console.<platform>."`
	Partner  string `env:"PARTNER_HOST" about:"Host of the partner centre; empty: partners.<platform>."`
}

// Validate fills in what follows from the platform's name.
func (c *hostsConfig) Validate() error {
	c.Platform = strings.ToLower(strings.TrimSuffix(c.Platform, "."))
	if c.Console == "" {
		c.Console = "console." + c.Platform
	}
	if c.Partner == "" {
		c.Partner = "partners." + c.Platform
	}
	return errors.Join(hostName("EZSCALE_PLATFORM_DOMAIN", c.Platform), hostName("EZSCALE_CONSOLE_HOST", c.Console), hostName("EZSCALE_PARTNER_HOST", c.Partner))
}

// httpConfig is where serve listens and whom it believes.
type httpConfig struct {
	Addr           string         `env:"HTTP_ADDR" envDefault:":80" about:"Address of plain HTTP: it answers challenges and sends everybody else to HTTPS, unless EZSCALE_PLAIN_HTTP is set."`
	TLSAddr        string         `env:"HTTPS_ADDR" envDefault:":443" about:"Address of HTTPS. Certificates are loaded from the database by name."`
	Plain          bool           `env:"PLAIN_HTTP" about:"Serve the sites on plain HTTP too: behind a load balancer that ends TLS, and in the demo. Sign-in cookies are then not marked Secure on that port."`
	PublicHTTPS    int            `env:"PUBLIC_HTTPS_PORT" envDefault:"443" about:"Port visitors reach HTTPS at, for redirects and links in mails."`
	CountryHeader  string         `env:"COUNTRY_HEADER" about:"Header in which those proxies say the country of the visitor's address, such as CF-IPCountry: it is kept as evidence of where a buyer is. Empty: the country of an address is not known."`
	TrustedProxies []netip.Prefix `env:"TRUSTED_PROXIES" about:"Networks of proxies whose X-Forwarded-For, -Host and -Proto are believed: 10.0.0.0/8,192.0.2.7/32."`
	Deadline       time.Duration  `env:"REQUEST_DEADLINE" envDefault:"15s" about:"How long one request may take."`
	Drain          time.Duration  `env:"DRAIN" envDefault:"5s" about:"How long a stopping process keeps serving after it has reported itself not ready, so that a load balancer can notice."`
	Grace          time.Duration  `env:"GRACE" envDefault:"20s" about:"How long requests and jobs in flight may take to end after that."`
	PageCacheMB    int            `env:"PAGE_CACHE_MB" envDefault:"256" about:"Memory for rendered anonymous pages, in megabytes."`
}

// Validate checks what the types cannot.
func (c *httpConfig) Validate() error {
	return errors.Join(address("EZSCALE_HTTP_ADDR", c.Addr), address("EZSCALE_HTTPS_ADDR", c.TLSAddr),
		between("EZSCALE_PUBLIC_HTTPS_PORT", c.PublicHTTPS, 1, 65535), between("EZSCALE_PAGE_CACHE_MB", c.PageCacheMB, 0, 1<<20),
		atLeast("EZSCALE_REQUEST_DEADLINE", c.Deadline, time.Second), atLeast("EZSCALE_DRAIN", c.Drain, 0), atLeast("EZSCALE_GRACE", c.Grace, time.Second))
}

// metricsConfig is where the operator looks.
type metricsConfig struct {
	Addr    string `env:"METRICS_ADDR" envDefault:"127.0.0.1:9090" about:"Address of /metrics, /healthz and /readyz; off: none."`
	Profile bool   `env:"PROFILE" envDefault:"false" about:"Also serve Go's profiles there, below /debug/pprof/: what the program spends its time and memory on."`
}

// Validate checks what the types cannot.
func (c *metricsConfig) Validate() error {
	if c.Addr == "off" {
		return nil
	}
	return address("EZSCALE_METRICS_ADDR", c.Addr)
}

// acmeConfig is who signs certificates, and how many may be ordered.
type acmeConfig struct {
	Directory   string   `env:"ACME_DIRECTORY" envDefault:"https://acme-v02.api.letsencrypt.org/directory" about:"Directory of the certificate authority."`
	Email       string   `env:"ACME_EMAIL" about:"Contact of the account at the authority."`
	Roots       string   `env:"ACME_ROOTS" about:"File with the PEM certificates that the authority's own address is trusted by; empty: the system's."`
	Profile     string   `env:"ACME_PROFILE" about:"Certificate profile to order, where the authority has several."`
	Identities  []string `env:"ACME_CAA" envDefault:"letsencrypt.org" about:"What CAA records must allow for this authority to issue."`
	Challenge   string   `env:"ACME_CHALLENGE" envDefault:"http-01" about:"http-01 or tls-alpn-01."`
	Budget      int      `env:"ACME_BUDGET" envDefault:"300" about:"Orders in three hours."`
	Reserve     int      `env:"ACME_RESERVE" envDefault:"60" about:"Orders of the budget that only renewals may use."`
	ExternalKID string   `env:"ACME_EAB_KID" about:"Key id of an external account binding, where the authority asks for one."`
	ExternalMAC string   `env:"ACME_EAB_HMAC" secret:"true" about:"Key of the external account binding, base64url."`
}

// Validate checks what the types cannot.
func (c *acmeConfig) Validate() error {
	var kind error
	if c.Challenge != "http-01" && c.Challenge != "tls-alpn-01" {
		kind = setting.Problem{Name: "EZSCALE_ACME_CHALLENGE", Text: "must be http-01 or tls-alpn-01"}
	}
	if c.Reserve > c.Budget {
		kind = errors.Join(kind, setting.Problem{Name: "EZSCALE_ACME_RESERVE", Text: "must not be more than EZSCALE_ACME_BUDGET"})
	}
	if (c.ExternalKID == "") != (c.ExternalMAC == "") {
		kind = errors.Join(kind, setting.Problem{Name: "EZSCALE_ACME_EAB_KID", Text: "and EZSCALE_ACME_EAB_HMAC go together"})
	}
	if _, err := base64.RawURLEncoding.DecodeString(c.ExternalMAC); err != nil {
		kind = errors.Join(kind, setting.Problem{Name: "EZSCALE_ACME_EAB_HMAC", Text: "must be base64url without padding, as the authority gives it"})
	}
	return errors.Join(kind, urlOf("EZSCALE_ACME_DIRECTORY", c.Directory, "https"), between("EZSCALE_ACME_BUDGET", c.Budget, 1, 1_000_000), between("EZSCALE_ACME_RESERVE", c.Reserve, 0, 1_000_000))
}

// dns01Config is how our own zone is edited, for a wildcard below the platform's name.
type dns01Config struct {
	Provider  string `env:"ACME_DNS01" about:"rfc2136: one wildcard certificate serves all resellers' own hosts below the platform's name, proved by signed dynamic updates of its zone; empty: each host gets its own."`
	Server    string `env:"ACME_DNS01_SERVER" about:"Primary name server of the zone, host:port; it takes updates over TCP."`
	Zone      string `env:"ACME_DNS01_ZONE" about:"The zone as the name server knows it; empty: the platform's name."`
	KeyName   string `env:"ACME_DNS01_KEY" about:"Name of the TSIG key that may set TXT records."`
	Secret    string `env:"ACME_DNS01_SECRET" secret:"true" about:"Secret of the TSIG key, base64."`
	Algorithm string `env:"ACME_DNS01_ALGORITHM" envDefault:"hmac-sha256" about:"Algorithm of the TSIG key: hmac-sha224, -sha256, -sha384 or -sha512."`
}

// Validate checks what the types cannot.
func (c *dns01Config) Validate() error {
	if c.Provider == "" {
		return nil
	}
	all := []error{oneOf("EZSCALE_ACME_DNS01", c.Provider, "rfc2136"), address("EZSCALE_ACME_DNS01_SERVER", c.Server),
		oneOf("EZSCALE_ACME_DNS01_ALGORITHM", c.Algorithm, domain.TSIGAlgorithms()...)}
	if c.KeyName == "" || c.Secret == "" {
		all = append(all, setting.Problem{Name: "EZSCALE_ACME_DNS01_KEY", Text: "and EZSCALE_ACME_DNS01_SECRET are needed with EZSCALE_ACME_DNS01"})
	}
	if c.Zone != "" {
		c.Zone = strings.ToLower(strings.TrimSuffix(c.Zone, "."))
		all = append(all, hostName("EZSCALE_ACME_DNS01_ZONE", c.Zone))
	}
	return errors.Join(all...)
}

// edgeConfig is where customers' names must point.
type edgeConfig struct {
	Domain    string       `env:"EDGE_DOMAIN" about:"CNAME targets are made below this name; empty: edge.<platform>."`
	IPv4      []netip.Addr `env:"EDGE_IPV4" about:"Addresses for A records of names that cannot have a CNAME."`
	IPv6      []netip.Addr `env:"EDGE_IPV6" about:"The same for AAAA records."`
	TLDs      []string     `env:"EDGE_TLDS" about:"Top-level domains that are taken although no public list knows them, for a laboratory: test."`
	Resolvers []string     `env:"DNS_RESOLVERS" about:"Resolvers that checks of customers' records use, host:port; empty: the system's, then public ones."`
}

// Validate checks what the types cannot.
func (c *edgeConfig) Validate() error {
	var all []error
	for _, r := range c.Resolvers {
		all = append(all, address("EZSCALE_DNS_RESOLVERS", r))
	}
	if c.Domain != "" {
		all = append(all, hostName("EZSCALE_EDGE_DOMAIN", c.Domain))
	}
	return errors.Join(all...)
}

// smtpConfig is how mails leave.
type smtpConfig struct {
	URL  string `env:"SMTP_URL" secret:"true" about:"Mail server: smtp://user:password@host:587 with STARTTLS, smtps:// with TLS from the start, smtp+plain:// without, for a server on this machine. Empty: mails stay queued and doctor says so."`
	From string `env:"SMTP_FROM" about:"Sender of the platform's own mails, and of resellers that named none; empty: no-reply@<platform>."`
}

// Validate checks what the types cannot.
func (c *smtpConfig) Validate() error {
	return urlOf("EZSCALE_SMTP_URL", c.URL, "smtp", "smtps", "smtp+plain")
}

// storageConfig is where uploads are kept.
type storageConfig struct {
	URL string `env:"STORAGE_URL" secret:"true" envDefault:"file:///var/lib/ezscale/uploads" about:"Uploads: file:///directory for one node, s3://key:secret@host/bucket?region=… for more."`
}

// Validate checks what the types cannot.
func (c *storageConfig) Validate() error { return urlOf("EZSCALE_STORAGE_URL", c.URL, "file", "s3") }

// logConfig is what is written about the running program.
type logConfig struct {
	Level  string `env:"LOG_LEVEL" envDefault:"info" about:"debug, info, warn or error. debug prints the configuration at the start, without secrets."`
	Format string `env:"LOG_FORMAT" envDefault:"json" about:"json or text."`
}

// Validate checks what the types cannot.
func (c *logConfig) Validate() error {
	return errors.Join(oneOf("EZSCALE_LOG_LEVEL", c.Level, "debug", "info", "warn", "error"), oneOf("EZSCALE_LOG_FORMAT", c.Format, "json", "text"))
}

type traceConfig struct {
	Endpoint string  `env:"OTLP_ENDPOINT" about:"Where traces are sent by OTLP over HTTP, as http(s)://host:4318; empty: none are made."`
	Sample   float64 `env:"OTLP_SAMPLE" envDefault:"0.05" about:"Fraction of requests that are traced."`
}

// Validate checks what the types cannot.
func (c *traceConfig) Validate() error {
	if c.Sample < 0 || c.Sample > 1 {
		return setting.Problem{Name: "EZSCALE_OTLP_SAMPLE", Text: "must be from 0 to 1"}
	}
	return urlOf("EZSCALE_OTLP_ENDPOINT", c.Endpoint, "http", "https")
}

type workConfig struct {
	Workers   int    `env:"WORKERS" envDefault:"10" about:"Jobs at once, a process."`
	Spares    int    `env:"SPARES" envDefault:"2" about:"Empty tenants kept ready for each lane, so that creating one takes milliseconds."`
	ExportDir string `env:"EXPORT_DIR" envDefault:"/var/lib/ezscale/exports" about:"Where the archive of a reseller is kept before it is dropped."`
}

// Validate checks what the types cannot.
func (c *workConfig) Validate() error {
	return errors.Join(between("EZSCALE_WORKERS", c.Workers, 1, 1000), between("EZSCALE_SPARES", c.Spares, 0, 1000))
}

// demoConfig is where the demo listens and keeps its data.
type demoConfig struct {
	HTTP     int           `env:"DEMO_HTTP" envDefault:"8080" about:"Port of the demo's plain HTTP."`
	HTTPS    int           `env:"DEMO_HTTPS" envDefault:"8443" about:"Port of the demo's HTTPS."`
	DNS      int           `env:"DEMO_DNS" envDefault:"8053" about:"Port of the demo's name server, UDP and TCP."`
	ACME     int           `env:"DEMO_ACME" envDefault:"14000" about:"Port of the demo's certificate authority."`
	SMTP     int           `env:"DEMO_SMTP" envDefault:"8025" about:"Port of the demo's mail trap."`
	Metrics  int           `env:"DEMO_METRICS" envDefault:"9090" about:"Port of the demo's metrics and health."`
	Dir      string        `env:"DEMO_DIR" envDefault:".demo" about:"Where the demo keeps keys, logins and uploads."`
	Data     string        `env:"DEMO_DATA" about:"Where the demo keeps its database; empty: in EZSCALE_DEMO_DIR, or for root, whom PostgreSQL refuses, in /var/lib/ezscale."`
	Platform int           `env:"DEMO_VIRTFUSION" envDefault:"8181" about:"Port of the demo's simulated VirtFusion."`
	Stripe   int           `env:"DEMO_STRIPE" envDefault:"8182" about:"Port of the demo's simulated Stripe."`
	PayPal   int           `env:"DEMO_PAYPAL" envDefault:"8184" about:"Port of the demo's simulated PayPal."`
	Coinbase int           `env:"DEMO_COINBASE" envDefault:"8185" about:"Port of the demo's simulated Coinbase."`
	VIES     int           `env:"DEMO_VIES" envDefault:"8183" about:"Port of the demo's simulated register of VAT numbers."`
	Install  time.Duration `env:"DEMO_INSTALL" envDefault:"20s" about:"How long the demo's simulated platform takes to install a server."`
	Months   int           `env:"DEMO_MONTHS" envDefault:"4" about:"Months of history the demo makes at its first start, 0 to 24."`
	PGBin    string        `env:"PG_BIN" about:"Directory with initdb and postgres, for the demo, the tests and the benchmarks; empty: found. The demo takes the release that made its data."`
}

// egressConfig is where the program may call when an address was typed in by somebody.
type egressConfig struct {
	Allow []netip.Prefix `env:"EGRESS_ALLOW" about:"Networks besides the public ones where platforms, webhooks and alert channels may lie: 10.20.0.0/16. Plain HTTP is spoken to these only."`
}

// paymentsConfig is where gateways are, and the platform's own account for what resellers
// owe it. Resellers' keys are their own and stand in the database.
type paymentsConfig struct {
	Secret      string `env:"STRIPE_SECRET_KEY" secret:"true" about:"Secret key of the platform's own Stripe account, which charges resellers' cards for wholesale invoices: sk_… or rk_…. Empty: resellers pay by bank transfer."`
	Publishable string `env:"STRIPE_PUBLISHABLE_KEY" about:"Publishable key of the same account: pk_…."`
	Webhook     string `env:"STRIPE_WEBHOOK_SECRET" secret:"true" about:"Signing secret of that account's webhook, whose address is https://<partner host>/hooks/stripe; two, with a comma, while one is exchanged."`

	ConnectWebhook string  `env:"STRIPE_CONNECT_WEBHOOK_SECRET" secret:"true" about:"Signing secret of that account's Connect webhook (events of connected accounts), whose address is https://<partner host>/hooks/connect. Resellers may connect Stripe accounts of their own in place of entering keys with it, or with an endpoint that is registered at the console (Wholesale, Connect); it wins over that one."`
	ConnectFee     float64 `env:"STRIPE_CONNECT_FEE" envDefault:"0" about:"Percentage of what connected accounts take that stays with the platform, such as 0.5."`

	StripeAPI   string `env:"STRIPE_API_URL" envDefault:"https://api.stripe.com" about:"Where Stripe's API is; another one for a simulator."`
	PayPalAPI   string `env:"PAYPAL_API_URL" about:"Where PayPal's API is, for a simulator. Empty: PayPal's own, and its sandbox for shops with keys of that."`
	CoinbaseAPI string `env:"COINBASE_API_URL" envDefault:"https://business.coinbase.com/api/v1" about:"Where Coinbase Business's API is; another one for a simulator."`
	StripeJS    string `env:"STRIPE_JS_URL" envDefault:"https://js.stripe.com/v3/" about:"Script of Stripe's card form; another one for a simulator. Pages with the form allow its origin."`
}

// Validate checks what the types cannot.
func (c *paymentsConfig) Validate() error {
	var keys error
	if c.ConnectFee < 0 || c.ConnectFee > 50 {
		return setting.Problem{Name: "EZSCALE_STRIPE_CONNECT_FEE", Text: "must be a percentage from 0 to 50"}
	}
	if _, err := newTaker(*c); err != nil {
		keys = setting.Problem{Name: "EZSCALE_STRIPE_SECRET_KEY and EZSCALE_STRIPE_PUBLISHABLE_KEY", Text: "must be the two keys of one Stripe account"}
	}
	return errors.Join(keys, urlOf("EZSCALE_STRIPE_API_URL", c.StripeAPI, "https", "http"), urlOf("EZSCALE_STRIPE_JS_URL", c.StripeJS, "https", "http"), urlOf("EZSCALE_PAYPAL_API_URL", c.PayPalAPI, "https", "http"), urlOf("EZSCALE_COINBASE_API_URL", c.CoinbaseAPI, "https", "http"))
}

// taxConfig is who is asked about VAT numbers and rates of exchange.
type taxConfig struct {
	VIES  string `env:"VIES_URL" about:"Where the EU's register of VAT numbers (VIES) is asked: https://ec.europa.eu/taxation_customs/vies/rest-api, or a simulator. Empty: nobody is asked, and numbers count by their form."`
	ECB   string `env:"ECB_URL" about:"Where the daily reference rates of the European Central Bank are: https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml. Empty: shops enter rates of exchange by hand."`
	Again int    `env:"VIES_DAYS" envDefault:"30" about:"Days after which the register is asked about a number again; an order asks when the answer is older than a day."`
}

// Validate checks what the types cannot.
func (c *taxConfig) Validate() error {
	return errors.Join(urlOf("EZSCALE_VIES_URL", c.VIES, "https", "http"), urlOf("EZSCALE_ECB_URL", c.ECB, "https", "http"), between("EZSCALE_VIES_DAYS", c.Again, 1, 365))
}

// serveConfig is everything serve reads.
type serveConfig struct {
	Database databaseConfig `group:"Database"`
	Redis    redisConfig    `group:"Redis"`
	Keys     keysConfig     `group:"Secrets"`
	Hosts    hostsConfig    `group:"Names"`
	HTTP     httpConfig     `group:"HTTP"`
	ACME     acmeConfig     `group:"Certificates"`
	DNS01    dns01Config    `group:"Certificates"`
	Edge     edgeConfig     `group:"Customers' domains"`
	SMTP     smtpConfig     `group:"Mail"`
	Storage  storageConfig  `group:"Uploads"`
	Egress   egressConfig   `group:"Calls to others"`
	Payments paymentsConfig `group:"Payments"`
	Tax      taxConfig      `group:"Tax"`
	Work     workConfig     `group:"Jobs"`
	Metrics  metricsConfig  `group:"Metrics and health"`
	Log      logConfig      `group:"Log"`
	Trace    traceConfig    `group:"Traces"`
}

// adminConfig is what commands read that look after the database.
type adminConfig struct {
	Database databaseConfig `group:"Database"`
	Keys     keysConfig     `group:"Secrets"`
	Log      logConfig      `group:"Log"`
}

// demoCommandConfig is everything demo reads.
type demoCommandConfig struct {
	Demo  demoConfig  `group:"Demo and development"`
	Log   logConfig   `group:"Log"`
	Trace traceConfig `group:"Traces"`
}

// developmentConfig is read by tests only; it is here so that its names are known.
type developmentConfig struct {
	TestCitus string `env:"TEST_CITUS" about:"Set it to run tests on a Citus cluster that they start; PostgreSQL must have Citus. See docs/tenancy.md."`
	TestSaid  string `env:"TEST_STATEMENTS" about:"Directory in which the servers of tests write down every statement, as JSON; everybody must be able to write there. See docs/tenancy.md."`
	TestLog   string `env:"TEST_PG_LOG" about:"Set it to see the log of the tests' PostgreSQL."`
	Program   string `env:"TEST_PROGRAM" about:"The built program that tests start. Without it each package builds one."`
	Kills     int    `env:"TEST_KILLS" about:"How many nodes the test in cmd/ezscale/faults kills while shops are at work (0: a few); 200 is the long form."`
	Chromium  string `env:"CHROMIUM" about:"Chromium for the browser tests and screenshots; empty: found."`
}

type testOnly struct {
	Development developmentConfig `group:"Demo and development"`
}

// knownVars is every variable any command reads.
func knownVars() []setting.Var {
	var all []setting.Var
	for _, of := range []any{serveConfig{}, demoCommandConfig{}, testOnly{}} {
		all = append(all, setting.Vars(of)...)
	}
	return all
}

// configure loads a command's struct from the environment.
func configure[T any]() (*T, error) {
	c := new(T)
	return c, loadInto(c)
}

func loadInto(c any) error {
	if err := setting.Load(c, os.Environ(), knownVars()); err != nil {
		return &usageError{err}
	}
	return nil
}
