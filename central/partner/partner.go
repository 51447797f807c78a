// Package partner is how a business becomes a reseller by itself: what it applies with,
// and the shop it gets for it, in trial. It owns no table: the shop is central/reseller's,
// who speaks for it and how it is billed are central/wholesale's, and people and their
// passwords are tenancy/identity's. It charges nothing.
package partner

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
)

// TrialDays is how long a shop that opened by itself may be tried out.
const TrialDays = 14

// Mailer takes letters within a transaction; mail.Outbox does.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// Desk is where a business opens its shop. It is safe for concurrent use.
type Desk struct {
	Central   *tenancy.Central
	Resellers *reseller.Desk
	Mail      Mailer
}

// Application is what a business opens its shop with.
type Application struct {
	Shop     string `json:"shop"`
	Slug     string `json:"slug"`
	Currency string `json:"currency"`
	Country  string `json:"country"` // ISO 3166, two letters
}

// Address is what a form says of an address while it is typed. Whose a taken one is, is
// not told to strangers.
func (d *Desk) Address(ctx context.Context, typed, shop string) (reseller.SlugAnswer, error) {
	a, err := d.Resellers.AskSlug(ctx, typed, shop)
	if err == nil && !a.Free && a.Host != "" {
		a.Message = a.Host + " is taken. Choose another."
	}
	return a, err
}

// Check tidies an application and answers with everything that is wrong at once, also
// that the address is taken. Faults: application.invalid about fields.
func (d *Desk) Check(ctx context.Context, a *Application) error {
	wrong := map[string]string{}
	a.Shop = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(a.Shop, ""), "\x00", "")), " ")
	if n := len([]rune(a.Shop)); n == 0 || n > 100 {
		wrong["shop"] = "Give your shop a name of at most 100 characters."
	}
	at := place.Parse(place.Place{Currency: a.Currency}, wrong)
	a.Currency = at.Currency
	if a.Country = strings.ToUpper(strings.TrimSpace(a.Country)); !place.IsCountry(a.Country) {
		wrong["country"] = "Choose the country your business is in."
	}
	said, err := d.Address(ctx, a.Slug, a.Shop)
	if err != nil {
		return err
	}
	switch a.Slug = said.Slug; {
	case said.Slug == "":
		wrong["slug"] = "Give your shop an address."
	case !said.Free:
		wrong["slug"] = said.Message
	}
	return fault.Fields("application.invalid", wrong)
}

// OpenJob opens a shop should the request that asked for it not come to its end.
type OpenJob struct {
	Person uuid.UUID   `json:"person"`
	Key    string      `json:"key"`
	Asked  Application `json:"asked"`
}

// Kind names the job.
func (OpenJob) Kind() string { return "partner.open" }

// openAgain is after how long the job looks whether the request came to its end.
const openAgain = time.Minute

// Open opens the shop a person applied for, in trial, and lets them speak for it. Its
// owner is the same person, with the same password. It is idempotent in key: a second
// call finds the first one's shop, also when that died half-way, and a job sees to that
// if nobody calls again. Faults: those of reseller.Desk.Create.
func (d *Desk) Open(ctx context.Context, person uuid.UUID, a Application, key string, by audit.Origin) (reseller.Reseller, error) {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.Enqueue(ctx, OpenJob{Person: person, Key: key, Asked: a}, tenancy.JobOptions{Key: "open/" + person.String() + "/" + key, At: tx.Now().Add(openAgain)})
		return err
	})
	if err != nil {
		return reseller.Reseller{}, fmt.Errorf("open a shop: %w", err)
	}
	return d.open(ctx, person, a, key, by)
}

// Finish is Open's job. What was refused meanwhile (the address was taken) stays refused:
// the person was told.
func (d *Desk) Finish(ctx context.Context, _ *tenancy.Central, j OpenJob) error {
	_, err := d.open(ctx, j.Person, j.Asked, j.Key, audit.Origin{Actor: audit.System("partner centre")})
	if k := fault.From(err).Kind; err != nil && (k == fault.Invalid || k == fault.Conflict || k == fault.NotFound) {
		return nil
	}
	return err
}

func (d *Desk) open(ctx context.Context, person uuid.UUID, a Application, key string, by audit.Origin) (reseller.Reseller, error) {
	people := identity.People{World: identity.Partner}
	var who identity.Person
	var hash identity.HashedPassword
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		if who, err = people.ByID(ctx, tx, person); err != nil {
			return err
		}
		hash, err = people.HashOf(ctx, tx, person)
		return err
	})
	if err != nil {
		return reseller.Reseller{}, fmt.Errorf("open a shop: %w", err)
	}
	// Whoever goes on with it, the claim's key must be the same.
	claim := audit.Origin{Actor: audit.Actor{Kind: string(identity.Partner), ID: who.ID.String(), Name: who.Name}, IP: by.IP, RequestID: by.RequestID}
	r, err := d.Resellers.Create(ctx, reseller.NewReseller{
		Key: key, Name: a.Shop, Slug: a.Slug, OwnerName: who.Name, OwnerEmail: who.Email, OwnerHash: hash,
		Locale: who.Locale, Currency: a.Currency, TrialDays: TrialDays,
	}, claim)
	if err != nil {
		return r, err
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return d.welcome(ctx, tx, who, r, a, claim) })
	if err != nil {
		return r, fmt.Errorf("open a shop: %w", err)
	}
	return r, nil
}

// welcome makes the person the shop's partner, and tells them and staff; each of it once.
func (d *Desk) welcome(ctx context.Context, tx *tenancy.CentralTx, who identity.Person, r reseller.Reseller, a Application, by audit.Origin) error {
	if err := wholesale.Link(ctx, tx, who.ID, r.ID); err != nil {
		return err
	}
	_, err := tx.NewRaw(`INSERT INTO reseller_profiles (tenant_id, billing, tax_id, gateway_customer, method_ref, method_label, changed_at)
		VALUES (?, jsonb_build_object('name', ?::text, 'company', ?::text, 'country', ?::text, 'email', ?::text), '', '', '', '', ?) ON CONFLICT (tenant_id) DO NOTHING`,
		r.ID, who.Name, r.Name, a.Country, who.Email, tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	if err := d.terms(ctx, tx, r, by); err != nil {
		return err
	}
	host := r.Slug + "." + d.Resellers.Platform
	err = d.Mail.Enqueue(ctx, tx, mail.Message{Key: "partner_welcome/" + r.ID.String(), Template: mail.PartnerWelcome, To: who.Email, Data: map[string]string{
		"name": who.Name, "shop": r.Name, "host": host, "until": r.TrialEndsAt.UTC().Format("2 January 2006"), "link": "/shop",
	}})
	if err != nil {
		return err
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: "reseller.new " + r.ID.String(), Tenant: r.ID, Kind: "reseller.new",
		Text: r.Name + " signed up at the partner centre.", Detail: map[string]string{"shop": host, "country": a.Country, "currency": a.Currency}})
	return err
}

// terms bill the shop from the end of its trial on, by the lowest tier there is in its
// currency. Where there is none, staff agree on terms with the reseller.
func (d *Desk) terms(ctx context.Context, tx *tenancy.CentralTx, r reseller.Reseller, by audit.Origin) error {
	if r.TrialEndsAt.IsZero() {
		return nil // a late retry: it is active already
	}
	var known bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM tenant_terms WHERE tenant_id = ?)", r.ID).Scan(ctx, &known); err != nil || known {
		return err
	}
	var tier string
	err := tx.NewRaw(`SELECT tier FROM tiers WHERE currency = ? AND valid_from <= ? AND (valid_to IS NULL OR valid_to > ?) ORDER BY greatest(fee_minor, minimum_minor), commission_percent, tier LIMIT 1`,
		r.Currency, r.TrialEndsAt, r.TrialEndsAt).Scan(ctx, &tier)
	if tenancy.IsNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return wholesale.SetTerms(ctx, tx, r.ID, wholesale.NewTerms{Tier: tier, Currency: r.Currency, From: r.TrialEndsAt}, by)
}

// Shop is a partner's shop as the partner centre shows it.
type Shop struct {
	reseller.Reseller
	Host string // where it answers
}

// Shops are those a person speaks for, the newest first.
func (d *Desk) Shops(ctx context.Context, person uuid.UUID) (all []Shop, err error) {
	var rows []struct{ TenantID tenancy.ID }
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT tenant_id FROM partners WHERE person_id = ? ORDER BY created_at DESC, tenant_id LIMIT 50", person).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("shops of a partner: %w", err)
	}
	for _, row := range rows {
		r, err := d.Resellers.Get(ctx, row.TenantID)
		if err != nil {
			return nil, err
		}
		if r.Status == tenancy.Dropped {
			continue
		}
		host := r.PrimaryHost
		if host == "" {
			host = r.Slug + "." + d.Resellers.Platform
		}
		all = append(all, Shop{Reseller: r, Host: host})
	}
	return all, nil
}

// Until says when a trial ends; zero: the shop is in none.
func (s Shop) Until() time.Time {
	if s.Status != tenancy.Trial {
		return time.Time{}
	}
	return s.TrialEndsAt
}
