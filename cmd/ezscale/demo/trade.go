package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/gateway/coinbase"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/settings"
)

// platformName is what staff call the demo's platform.
const platformName = "VirtFusion Europe"

// regions are where the demo's platform has machines: the groups of the simulator.
var regions = []struct {
	code, name string
	group      int
}{{"ams", "Amsterdam", 1}, {"fra", "Frankfurt", 2}, {"nyc", "New York", 3}}

// platform connects the simulated VirtFusion and says what each SKU is there, once.
func (s *seeder) platform(ctx context.Context) error {
	id, err := s.connected(ctx)
	if err != nil {
		return err
	}
	known, err := s.Platforms.OffersOf(ctx, id)
	if err != nil || len(known) > 0 {
		return err
	}
	for _, x := range servers() {
		for _, r := range regions {
			_, err := s.Platforms.Map(ctx, id, platform.MapForm{SKU: x.sku, Region: r.code, RegionName: r.name, Parameters: map[string]string{
				"packageId": strconv.Itoa(x.Package), "hypervisorGroupId": strconv.Itoa(r.group),
			}}, by)
			if err != nil {
				return fmt.Errorf("%s in %s: %w", x.sku, r.code, err)
			}
		}
	}
	return nil
}

func (s *seeder) connected(ctx context.Context) (uuid.UUID, error) {
	all, err := s.Platforms.List(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	for _, p := range all {
		if p.Name == platformName {
			return p.ID, nil
		}
	}
	return s.Platforms.Connect(ctx, platform.Form{Name: platformName, Driver: "virtfusion", BaseURL: s.VirtFusionURL, Token: PlatformToken}, by)
}

// seller is what stands on a business's invoices.
type seller struct {
	company, line1, postcode, city, country, taxID string
	iban, bic                                      string
}

// trade lets a business issue invoices and take money, once.
func (s *seeder) trade(ctx context.Context, db *tenancy.DB, b business) error {
	terms := settings.DefaultBilling()
	x := b.seller
	terms.Company, terms.Line1, terms.Postcode, terms.City, terms.Country, terms.TaxID = x.company, x.line1, x.postcode, x.city, x.country, x.taxID
	terms.Email = b.brand.Texts.SupportEmail
	if err := settings.SaveBilling(ctx, db, terms, by); err != nil {
		return fmt.Errorf("billing: %w", err)
	}
	var known []payment.Configured
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		known, err = payment.Configurations(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.cards(ctx, db, b); err != nil {
		return err
	}
	if err := s.paypal(ctx, db, b); err != nil {
		return err
	}
	if err := s.dollars(ctx, db, b); err != nil || len(known) > 0 {
		return err
	}
	return s.Payments.SaveGateway(ctx, db, payment.Change{Code: "transfer", On: true, Public: map[string]string{
		"holder": x.company, "iban": x.iban, "bic": x.bic, "bank": "Demo Bank",
	}}, by)
}

// cards sets the simulated Stripe up, at every start: it remembers nothing.
func (s *seeder) cards(ctx context.Context, db *tenancy.DB, b business) error {
	secret, publishable := StripeKeys(b.slug)
	signed, err := hookAt(ctx, s.StripeURL, secret, s.addresses.http(b.slug+"."+s.addresses.Platform)+"hooks/stripe")
	if err != nil {
		return err
	}
	// An account that was connected before the last start is one the simulator knows no more.
	if _, err := s.Payments.RefreshConnect(ctx, db); err != nil {
		return err
	}
	return s.Payments.SaveGateway(ctx, db, payment.Change{
		Code: "stripe", On: true, Public: map[string]string{"publishable_key": publishable},
		Secret: map[string]string{"secret_key": secret, "webhook_secret": signed},
	}, by)
}

// paypal sets the simulated PayPal up, at every start too.
func (s *seeder) paypal(ctx context.Context, db *tenancy.DB, b business) error {
	client, secret := PayPalKeys(b.slug)
	err := s.Payments.SaveGateway(ctx, db, payment.Change{
		Code: "paypal", On: true, Public: map[string]string{"client_id": client, "sandbox": "on"}, Secret: map[string]string{"client_secret": secret},
	}, by)
	if err != nil {
		return err
	}
	return s.Payments.ListenTo(ctx, db, "paypal", s.addresses.http(b.slug+"."+s.addresses.Platform)+"hooks/paypal", by)
}

// dollars sets the simulated Coinbase up for the shop that has it, at every start too.
func (s *seeder) dollars(ctx context.Context, db *tenancy.DB, b business) error {
	if b.slug != takesDollars {
		return nil
	}
	return s.Payments.SaveGateway(ctx, db, payment.Change{
		Code: coinbase.Code, On: true, Public: map[string]string{"key_id": CoinbaseKeyID},
		Secret: map[string]string{"key_secret": s.CoinbaseSecret, "webhook_secret": coinbaseHook},
	}, by)
}

// hookAt has the simulated Stripe tell an address of what happens to an account, and
// returns the secret it signs with.
func hookAt(ctx context.Context, stripe, secret, address string) (string, error) {
	form := url.Values{"url": {address}, "enabled_events[]": {"*"}, "api_version": {"2023-10-16"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, stripe+"/v1/webhook_endpoints", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.SetBasicAuth(secret, "")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := localClient().Do(req)
	if err != nil {
		return "", fmt.Errorf("stripe: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read to the end
	var endpoint struct{ Secret string }
	if err := json.NewDecoder(res.Body).Decode(&endpoint); err != nil || endpoint.Secret == "" {
		return "", fmt.Errorf("stripe: the endpoint was answered with %s: %w", res.Status, err)
	}
	return endpoint.Secret, nil
}

// PlatformStripe are the platform's own keys at the simulated Stripe, which from now on
// tells an address of what happens to that account; signed is the secret it does so with.
func (l *Lab) PlatformStripe(ctx context.Context, address string) (secret, publishable, signed string, err error) {
	secret, publishable = StripeKeys("platform")
	signed, err = hookAt(ctx, l.StripeURL(), secret, address)
	return secret, publishable, signed, err
}

// partner lets a business's owner speak for it at the partner centre, with the same
// password, and says who the business is on the platform's invoices.
func (s *seeder) partner(ctx context.Context, id tenancy.ID, b business, hash identity.HashedPassword) error {
	err := s.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		people := identity.People{World: identity.Partner}
		p, err := people.ByEmail(ctx, tx, b.owner.email)
		if fault.Is(err, "person.not_found") {
			p, err = people.Add(ctx, tx, identity.NewPerson{Email: b.owner.email, Name: b.owner.name, Role: identity.PartnerOwner, Locale: b.locale, Verified: true}, hash)
		}
		if err != nil {
			return err
		}
		return wholesale.Link(ctx, tx, p.ID, id)
	})
	if err != nil {
		return err
	}
	known, err := s.Wholesale.Profile(ctx, id)
	if err != nil || known.Company != "" {
		return err
	}
	x := b.seller
	return s.Wholesale.SetProfile(ctx, id, document.Party{
		Name: b.owner.name, Company: x.company, Line1: x.line1, Postcode: x.postcode, City: x.city, Country: x.country, TaxID: x.taxID, Email: b.owner.email,
	}, by)
}
