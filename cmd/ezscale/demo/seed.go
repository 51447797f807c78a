package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/payment"
)

// Doors are where people do by hand what the seed does.
type Doors struct {
	Resellers reseller.Desk // its Seed is replaced: the demo's owners have a password
	Brands    *branding.Desk
	Pool      *tenancy.Pool
	Central   *tenancy.Central
	Passwords *identity.Passwords
	Factors   identity.Factors // of staff
	Wholesale *wholesale.Desk
	Platforms *platform.Registry
	Payments  *payment.Desk
	// VirtFusionURL is where the simulated platform is.
	VirtFusionURL string
	// StripeURL is where the simulated gateway is.
	StripeURL string
	// CoinbaseSecret is the secret of CoinbaseKeyID.
	CoinbaseSecret string
	Clock          tenancy.Clock
	// Upload keeps a picture of a brand and returns its id.
	Upload func(ctx context.Context, db *tenancy.DB, purpose, name string, body []byte) (id string, err error)
}

// Addresses are where the demo can be reached.
type Addresses struct {
	Platform             string
	HTTP, HTTPS, Metrics int
	File                 string // the guide's
}

func (a Addresses) http(host string) string { return fmt.Sprintf("http://%s:%d/", host, a.HTTP) }

func (a Addresses) https(host string) string { return fmt.Sprintf("https://%s:%d/", host, a.HTTPS) }

// Seed fills an empty platform and leaves alone what is there: it may be repeated,
// also after an interruption at any point. It returns the guide.
func Seed(ctx context.Context, d Doors, a Addresses, dir string) (Guide, error) {
	s := &seeder{Doors: d, addresses: a}
	s.guide = Guide{
		Index: a.http(a.Platform), DNS: a.http(a.Platform) + "dns", Mail: a.http("mail." + a.Platform), Root: a.http(a.Platform) + "root.pem",
		Metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", a.Metrics), File: a.File, TLSPort: a.HTTPS,
	}
	now := d.Clock()
	opened := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	if err := s.book(ctx, opened); err != nil {
		return Guide{}, fmt.Errorf("price book: %w", err)
	}
	if err := s.platform(ctx); err != nil {
		return Guide{}, fmt.Errorf("platform: %w", err)
	}
	for _, b := range cast() {
		if err := s.business(ctx, b, opened); err != nil {
			return Guide{}, fmt.Errorf("%s: %w", b.slug, err)
		}
	}
	if err := s.staff(ctx, dir); err != nil {
		return Guide{}, fmt.Errorf("staff: %w", err)
	}
	s.guide.Example = a.https("nimbus." + a.Platform)
	return s.guide, nil
}

type seeder struct {
	Doors
	addresses Addresses
	guide     Guide
}

var by = audit.Origin{Actor: audit.System("demo")}

func (s *seeder) business(ctx context.Context, b business, opened time.Time) error {
	hash, err := s.Passwords.Hash(ctx, b.owner.password)
	if err != nil {
		return err
	}
	desk := s.Resellers
	desk.Seed = func(ctx context.Context, _ tenancy.Tenant, tx *tenancy.Tx, o reseller.Owner) error {
		people := identity.People{World: identity.Reseller}
		_, err := people.Add(ctx, tx, identity.NewPerson{Email: o.Email, Name: o.Name, Role: identity.ResellerOwner, Locale: o.Locale, Verified: true}, hash)
		return err
	}
	r, err := desk.Create(ctx, reseller.NewReseller{
		Key: "demo " + b.slug, Name: b.name, Slug: b.slug, OwnerName: b.owner.name, OwnerEmail: b.owner.email,
		Locale: b.locale, Currency: b.currency, TimeZone: b.timeZone,
	}, by)
	if err != nil {
		return err
	}
	if err := s.terms(ctx, r.ID, b, opened); err != nil {
		return err
	}
	if err := s.partner(ctx, r.ID, b, hash); err != nil {
		return fmt.Errorf("partner: %w", err)
	}
	db := s.Pool.Bind(tenancy.Tenant{ID: r.ID, Slug: r.Slug, Name: r.Name, Status: r.Status, PrimaryHost: b.slug + "." + s.addresses.Platform,
		Theme: r.Theme, BrandVersion: r.BrandVersion, Locale: r.Locale, Currency: r.Currency, TimeZone: r.TimeZone})
	for _, step := range []func(context.Context, *tenancy.DB, business) error{s.shelf, s.trade, s.customers, s.brand} {
		if err := step(ctx, db, b); err != nil {
			return err
		}
	}
	s.announce(b)
	return nil
}

func (s *seeder) announce(b business) {
	host := b.slug + "." + s.addresses.Platform
	s.guide.Sites = append(s.guide.Sites, Site{Name: b.name, Slug: b.slug, HTTP: s.addresses.http(host), HTTPS: s.addresses.https(host), About: b.about})
	s.guide.Logins = append(s.guide.Logins, Login{
		Who: b.owner.name + ", owner of " + b.name, World: "reseller", Tenant: b.slug, URL: s.addresses.http(host) + "manage/sign-in",
		Email: b.owner.email, Password: b.owner.password,
	}, Login{
		Who: b.owner.name + " at the partner centre", World: "partner", Tenant: b.slug, URL: s.addresses.http("partners.ezscale."+s.addresses.Platform) + "sign-in",
		Email: b.owner.email, Password: b.owner.password,
	})
	for _, c := range b.customers {
		s.guide.Logins = append(s.guide.Logins, Login{
			Who: c.name + ", customer of " + b.name, World: "customer", Tenant: b.slug, URL: s.addresses.http(host) + "sign-in",
			Email: c.email, Password: c.password,
		})
	}
}

// customers adds the people who buy.
func (s *seeder) customers(ctx context.Context, db *tenancy.DB, b business) error {
	people := identity.People{World: identity.Customer}
	for _, c := range b.customers {
		hash, err := s.Passwords.Hash(ctx, c.password)
		if err != nil {
			return err
		}
		err = db.Update(ctx, func(tx *tenancy.Tx) error {
			p, err := people.Add(ctx, tx, identity.NewPerson{Email: c.email, Name: c.name, Role: identity.CustomerMember, Verified: true}, hash)
			if err != nil {
				return err
			}
			return addAccount(ctx, tx, p, b)
		})
		if err != nil && !fault.Is(err, "person.taken") {
			return err
		}
	}
	return nil
}

// brand publishes the business's looks, unless something was published already.
func (s *seeder) brand(ctx context.Context, db *tenancy.DB, b business) error {
	now, err := s.Brands.Current(ctx, db)
	if err != nil || now.Number > 0 {
		return err
	}
	content := b.brand
	pictures := []struct {
		purpose, svg string
		id           *string
	}{{"logo", b.logo, &content.Tokens.Logo}, {"logo_dark", b.logoDark, &content.Tokens.LogoDark}, {"favicon", b.favicon, &content.Tokens.Favicon}}
	for _, picture := range pictures {
		if *picture.id, err = s.Upload(ctx, db, picture.purpose, picture.purpose+".svg", []byte(picture.svg)); err != nil {
			return fmt.Errorf("upload the %s: %w", picture.purpose, err)
		}
	}
	who := branding.Actor{Actor: by.Actor}
	draft, published, err := s.Brands.Draft(ctx, db)
	if err != nil {
		return err
	}
	if draft, err = s.Brands.SaveDraft(ctx, db, branding.Edit{Content: content, Revision: draft.Revision, By: who}); err != nil {
		return err
	}
	_, err = s.Brands.Publish(ctx, db, branding.PublishOrder{Revision: draft.Revision, Published: published, Note: "The demo's looks", By: who})
	return err
}

// staff makes the person at the console, with a second factor whose secret the
// guide tells. A secret that nobody knows any more is replaced.
func (s *seeder) staff(ctx context.Context, dir string) error {
	people := identity.People{World: identity.Staff}
	hash, err := s.Passwords.Hash(ctx, staff.password)
	if err != nil {
		return err
	}
	secret := savedSecret(dir)
	err = s.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		p, err := people.ByEmail(ctx, tx, staff.email)
		if fault.From(err).Kind == fault.NotFound {
			p, err = people.Add(ctx, tx, identity.NewPerson{Email: staff.email, Name: staff.name, Role: identity.StaffAdmin, Verified: true}, hash)
		}
		if err != nil || p.HasTOTP() && secret != "" {
			return err
		}
		if p.HasTOTP() {
			if err := s.Factors.Remove(ctx, tx, p.ID); err != nil {
				return err
			}
		}
		e, err := s.Factors.Begin(ctx, tx, p, "EZSCALE demo")
		if err != nil {
			return err
		}
		secret = strings.ReplaceAll(e.Secret, " ", "")
		// The code before the present one: the present one stays good for signing in.
		code, err := totp.GenerateCode(secret, s.Clock().Add(-30*time.Second))
		if err != nil {
			return err
		}
		_, err = s.Factors.Confirm(ctx, tx, p.ID, code)
		return err
	})
	if err != nil {
		return err
	}
	host := "console.ezscale." + s.addresses.Platform
	s.guide.Sites = append(s.guide.Sites, Site{Name: "Staff console", HTTP: s.addresses.http(host), HTTPS: s.addresses.https(host), About: "Where EZSCALE's people look after resellers"})
	partners := "partners.ezscale." + s.addresses.Platform
	s.guide.Sites = append(s.guide.Sites, Site{Name: "Partner centre", HTTP: s.addresses.http(partners), HTTPS: s.addresses.https(partners), About: "Where resellers see and pay what EZSCALE bills them; their owners sign in as at their shop"})
	login := Login{Who: staff.name + ", staff", World: "staff", URL: s.addresses.http(host) + "sign-in", Email: staff.email, Password: staff.password, Secret: secret}
	s.guide.Logins = append([]Login{login}, s.guide.Logins...)
	return nil
}

// savedSecret is the staff's secret from the last start's guide.
func savedSecret(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "logins.json")) //nolint:gosec // the demo's own directory
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	var g Guide
	if err != nil || json.Unmarshal(b, &g) != nil {
		return ""
	}
	for _, l := range g.Logins {
		if l.World == "staff" {
			return l.Secret
		}
	}
	return ""
}

// Print writes the guide as a table for the terminal.
func (g Guide) Print(out io.Writer, took time.Duration) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "\nEZSCALE demo, ready in %.1f s. Ctrl-C stops everything.\n\n", took.Seconds())
	_, _ = fmt.Fprintln(w, "SITE\tHTTP\tHTTPS")
	for _, s := range g.Sites {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.HTTP, s.HTTPS)
	}
	for _, x := range [][2]string{{"Guide and logins", g.Index}, {"DNS zone", g.DNS}, {"Mails", g.Mail}, {"Root certificate", g.Root}, {"Metrics", g.Metrics}} {
		_, _ = fmt.Fprintf(w, "%s\t%s\t\n", x[0], x[1])
	}
	_, _ = fmt.Fprintln(w, "\nLOGIN\tADDRESS\tPASSWORD\tSECOND FACTOR")
	for _, l := range g.Logins {
		second := "-"
		if l.Secret != "" {
			second = l.Secret + " (code: " + g.Index + ")"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Who, l.Email, l.Password, second)
	}
	_, _ = fmt.Fprintf(w, "\nAll of it is in %s.\n", g.File)
	_ = w.Flush()
}
