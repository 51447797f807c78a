package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/payment"
)

// Engine is the business as people and the clock drive it; history is made through it
// and through nothing else.
type Engine struct {
	Clock    *Clock
	Pool     *tenancy.Pool
	Shops    []tenancy.Tenant
	Checkout *checkout.Desk
	Payments *payment.Desk
	Usage    *metering.Desk
	Services *hosting.Desk
	Stripe   string // where the simulated gateway is
	// Due does everything that is due at the clock's time, and waits until it is done.
	Due func(ctx context.Context) error
	// Bill runs wholesale billing for every month that is over.
	Bill func(ctx context.Context) error
}

// Slugs are the shops of the demo.
func Slugs() (all []string) {
	for _, b := range cast() {
		all = append(all, b.slug)
	}
	return all
}

// Begins is the first day of a history of so many months that ends now: the first of a
// month, and early enough for those who came lately.
func Begins(now time.Time, months int) time.Time {
	begins := time.Date(now.Year(), now.Month()-time.Month(months), 1, 8, 0, 0, 0, time.UTC)
	if months > 0 && begins.After(now.AddDate(0, 0, -lately)) {
		begins = begins.AddDate(0, -1, 0)
	}
	return begins
}

// lately is how many days ago somebody came whose first renewal could not be collected:
// what they bought is suspended since some days, and does not end yet.
const lately = 41

// purchase is one customer of the history with what they buy.
type purchase struct {
	name, email  string
	day          int // of the history
	shop         string
	product      string
	plan         string
	cycle        billing.Cycle
	region       string // empty: the team delivers it
	ago          int    // days before the history ends, in place of day
	late         bool   // stops paying after the first invoice
	asked        bool   // pays with a card whose bank wants to be asked each time, and is away since
	existing     bool   // one of the cast
	cancelsAfter int    // days; 0: never
}

// purchases are who bought what, when. Names are invented.
func purchases() []purchase {
	return []purchase{
		{name: "Priya Nair", email: "priya@brightbooks.test", day: 2, shop: "nimbus", product: "cloud-vps", plan: "drift", cycle: billing.Monthly, region: "ams", existing: true},
		{name: "Tom Fields", email: "tom@fieldsandco.test", day: 9, shop: "nimbus", product: "cloud-vps", plan: "gale", cycle: billing.Annual, region: "fra", existing: true},
		{name: "Lena Hoff", email: "lena@hoffprint.test", day: 14, shop: "nimbus", product: "cloud-vps", plan: "breeze", cycle: billing.Monthly, region: "ams"},
		{name: "Omar Aziz", email: "omar@azizlabs.test", day: 22, shop: "nimbus", product: "cloud-vps", plan: "drift", cycle: billing.Monthly, region: "fra"},
		{name: "Grace Liu", email: "grace@inkandpaper.test", day: 31, shop: "nimbus", product: "cloud-vps", plan: "storm", cycle: billing.Monthly, region: "ams"},
		{name: "Piet Vermeer", email: "piet@vermeer.test", day: 38, shop: "nimbus", product: "cloud-vps", plan: "breeze", cycle: billing.Monthly, region: "ams", late: true},
		{name: "Sofia Rossi", email: "sofia@rossi.test", day: 47, shop: "nimbus", product: "cloud-vps", plan: "drift", cycle: billing.Quarterly, region: "fra"},
		{name: "Hugo Brandt", email: "hugo@brandt.test", day: 63, shop: "nimbus", product: "cloud-vps", plan: "breeze", cycle: billing.Monthly, region: "ams", cancelsAfter: 40},
		{name: "Nia Okafor", email: "nia@okafor.test", day: 80, shop: "nimbus", product: "cloud-vps", plan: "gale", cycle: billing.Monthly, region: "fra"},
		{name: "Yuki Tan", email: "yuki@tanstudio.test", day: 101, shop: "nimbus", product: "cloud-vps", plan: "drift", cycle: billing.Monthly, region: "ams"},
		{name: "Casey Doyle", email: "casey@northguild.test", day: 5, shop: "pixelforge", product: "build-servers", plan: "bellows", cycle: billing.Monthly, region: "fra", existing: true},
		{name: "Mina Sato", email: "mina@latenightlan.test", day: 18, shop: "pixelforge", product: "build-servers", plan: "furnace", cycle: billing.Monthly, region: "ams", existing: true},
		{name: "Rui Costa", email: "rui@costagames.test", day: 29, shop: "pixelforge", product: "build-servers", plan: "anvil", cycle: billing.Monthly, region: "ams"},
		{name: "Dana Fox", email: "dana@foxden.test", day: 55, shop: "pixelforge", product: "build-servers", plan: "bellows", cycle: billing.Annual, region: "fra"},
		{name: "Igor Petrov", email: "igor@petrov.test", day: 74, shop: "pixelforge", product: "build-servers", plan: "anvil", cycle: billing.Monthly, region: "ams"},
		{name: "Ayla Demir", email: "ayla@demirmods.test", ago: lately, shop: "pixelforge", product: "build-servers", plan: "anvil", cycle: billing.Monthly, region: "ams", existing: true, late: true, asked: true},
		{name: "Casey Doyle", email: "casey@northguild.test", ago: 26, shop: "pixelforge", product: "block-worlds", plan: "guild", cycle: billing.Monthly, existing: true},
		{name: "Mina Sato", email: "mina@latenightlan.test", ago: 1, shop: "pixelforge", product: "survival", plan: "fort", cycle: billing.Monthly, existing: true},
		{name: "Ines Moreau", email: "ines@moreau.test", day: 7, shop: "ezscale", product: "cloud-servers", plan: "m", cycle: billing.Monthly, region: "fra", existing: true},
		{name: "Karl Otto", email: "karl@otto.test", day: 33, shop: "ezscale", product: "cloud-servers", plan: "s", cycle: billing.Monthly, region: "fra"},
		{name: "Marta Silva", email: "marta@silva.test", day: 69, shop: "ezscale", product: "cloud-servers", plan: "l", cycle: billing.Monthly, region: "ams"},
	}
}

// History lives the days from the beginning to now: customers come, order and pay,
// subscriptions renew, months are billed. It moves the clock and leaves it released.
func History(ctx context.Context, e Engine, begins, now time.Time) error {
	defer e.Clock.Release()
	h := &historian{Engine: e, late: map[uuid.UUID]bool{}}
	days := int(now.Sub(begins) / (24 * time.Hour))
	for day := 0; ; day++ {
		at := begins.AddDate(0, 0, day)
		if !at.Before(now) {
			return h.addOffers(ctx)
		}
		e.Clock.Set(at)
		if day == 0 {
			if err := h.addMeter(ctx); err != nil {
				return err
			}
		}
		if err := h.use(ctx, day, at); err != nil {
			return fmt.Errorf("usage of %s: %w", at.Format(time.DateOnly), err)
		}
		for _, p := range purchases() {
			if p.ago == 0 && p.day == day || p.ago > 0 && days-p.ago == day {
				if err := h.buy(ctx, p); err != nil {
					return fmt.Errorf("%s buys at %s: %w", p.name, p.shop, err)
				}
			}
		}
		if err := e.Due(ctx); err != nil {
			return err
		}
		done, err := h.payInvoices(ctx)
		if err != nil {
			return err
		}
		delivered, err := h.deliverByHand(ctx)
		if err != nil {
			return err
		}
		done += delivered
		billed := at.Day() == 2 && day > 1
		if billed {
			if err := e.Bill(ctx); err != nil {
				return fmt.Errorf("bill wholesale: %w", err)
			}
		}
		if done == 0 && !billed {
			continue // nothing follows from this day
		}
		if err := e.Due(ctx); err != nil {
			return err
		}
	}
}

type historian struct {
	Engine
	late map[uuid.UUID]bool // accounts that stopped paying
}

func (h *historian) shop(slug string) (*tenancy.DB, business, error) {
	for _, b := range cast() {
		if b.slug != slug {
			continue
		}
		for _, t := range h.Shops {
			if t.Slug == slug {
				return h.Pool.Bind(t), b, nil
			}
		}
	}
	return nil, business{}, fmt.Errorf("there is no shop %s", slug)
}

func (h *historian) buy(ctx context.Context, p purchase) error {
	db, b, err := h.shop(p.shop)
	if err != nil {
		return err
	}
	account, person, err := h.customer(ctx, db, b, p)
	if err != nil {
		return err
	}
	picked := catalog.Picked{Product: p.product, Plan: p.plan, Cycle: p.cycle, Region: p.region}
	if p.region != "" { // a platform delivers it
		picked.Image = "debian-13"
	}
	q, err := h.Checkout.Quote(ctx, db, checkout.Ask{AccountID: account, Items: []catalog.Picked{picked}})
	if err != nil {
		return err
	}
	o, err := h.Checkout.Place(ctx, db, checkout.PlaceRequest{QuoteID: q.ID, AccountID: account, PersonID: person, By: audit.Origin{Actor: audit.Actor{Kind: "customer", ID: person.String(), Name: p.name}}})
	if err != nil {
		return err
	}
	if o.InvoiceID == nil {
		return fmt.Errorf("order %d has nothing to pay", o.Number)
	}
	pay := h.pay
	if p.asked {
		pay = h.payByCard
	}
	if err := pay(ctx, db, *o.InvoiceID); err != nil {
		return err
	}
	if p.late {
		h.late[account] = true
	}
	return nil
}

// customer is one of the cast, or somebody new.
func (h *historian) customer(ctx context.Context, db *tenancy.DB, b business, p purchase) (account, person uuid.UUID, err error) {
	people := identity.People{World: identity.Customer}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		known, err := people.ByEmail(ctx, tx, p.email)
		if fault.From(err).Kind == fault.NotFound && !p.existing {
			if known, err = people.Add(ctx, tx, identity.NewPerson{Email: p.email, Name: p.name, Role: identity.CustomerMember, Verified: true}, ""); err == nil {
				err = addAccount(ctx, tx, known, b)
			}
		}
		if err != nil {
			return err
		}
		person = known.ID
		return tx.NewRaw("SELECT account_id FROM memberships WHERE person_id = ?", person).Scan(ctx, &account)
	})
	return account, person, err
}

// pay sends the money of an invoice and has it confirmed.
func (h *historian) pay(ctx context.Context, db *tenancy.DB, invoice uuid.UUID) error {
	p, _, err := h.Payments.Begin(ctx, db, payment.BeginRequest{InvoiceID: invoice, Gateway: "transfer", OnSession: true})
	if err != nil {
		return err
	}
	_, err = payment.ConfirmTransfer(ctx, db, p.ID, p.Amount, by)
	return err
}

// payInvoices pays what is open in every shop, but for those who stopped, and says how
// many were paid.
func (h *historian) payInvoices(ctx context.Context) (paid int, err error) {
	for _, t := range h.Shops {
		db := h.Pool.Bind(t)
		open, _, err := invoicing.List(ctx, db, invoicing.Filter{State: invoicing.Open})
		if err != nil {
			return paid, err
		}
		for _, inv := range open {
			if h.late[inv.AccountID] {
				continue
			}
			if err := h.pay(ctx, db, inv.ID); err != nil {
				return paid, fmt.Errorf("%s pays %s: %w", inv.AccountName, inv.Number, err)
			}
			paid++
		}
	}
	return paid, nil
}
