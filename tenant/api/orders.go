package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/payment"
)

// item is one thing of a quote or an order.
type item struct {
	Plan           string            `json:"plan"` // product/plan
	Label          string            `json:"label"`
	Cycle          string            `json:"cycle"`
	Region         string            `json:"region"`
	Image          string            `json:"image"`
	Hostname       string            `json:"hostname"`
	Options        map[string]string `json:"options"`
	Price          amount            `json:"price"`      // net of tax, a cycle
	Setup          amount            `json:"setup"`      // once
	Hour           *hour             `json:"hour"`       // of the cycle hourly, besides the price
	TrialDays      int               `json:"trial_days"` // nothing of it is due before they are over
	StubUntil      *time.Time        `json:"stub_until"` // the bill day until which today's payment is
	SubscriptionID *uuid.UUID        `json:"subscription_id"`
}

func itemsOf(items []checkout.Item) []item {
	out := []item{}
	for _, x := range items {
		v := item{
			Plan: x.Picked.Product + "/" + x.Picked.Plan, Label: x.Label, Cycle: string(x.Picked.Cycle), Region: x.Picked.Region, Image: x.Picked.Image,
			Hostname: x.Picked.Hostname, Options: x.Picked.Options, Price: amountOf(x.Amount), Setup: amountOf(x.Setup),
		}
		v.Hour = hourOf(x.Hours())
		if x.Trial != nil {
			v.TrialDays = x.Trial.Days
		}
		if x.Stub != nil {
			v.StubUntil = moment(x.Stub.Period.To)
		}
		if v.Options == nil {
			v.Options = map[string]string{}
		}
		if x.SubscriptionID != uuid.Nil {
			v.SubscriptionID = &x.SubscriptionID
		}
		out = append(out, v)
	}
	return out
}

type tax struct {
	Label  string `json:"label"`
	Note   string `json:"note"`
	Amount amount `json:"amount"`
}

func taxesOf(taxes []checkout.Tax) []tax {
	out := []tax{}
	for _, t := range taxes {
		out = append(out, tax{t.Label, t.Note, amountOf(t.Amount)})
	}
	return out
}

type quote struct {
	ID        uuid.UUID  `json:"id"`
	Items     []item     `json:"items"`
	Coupon    *string    `json:"coupon"` // the codes that count, with blanks between; null: none
	Discount  amount     `json:"discount"`
	Net       amount     `json:"net"`
	Tax       amount     `json:"tax"`
	Taxes     []tax      `json:"taxes"`
	Total     amount     `json:"total"`
	ExpiresAt time.Time  `json:"expires_at"`
	HeldUntil *time.Time `json:"held_until"` // what it takes of stocks is kept so long; null: nothing is counted
}

// makeQuote handles POST /quotes.
func (a *API) makeQuote(c call) (int, any, error) {
	var in struct {
		Items []struct {
			Plan     string            `json:"plan"`
			Cycle    string            `json:"cycle"`
			Region   string            `json:"region"`
			Image    string            `json:"image"`
			Hostname string            `json:"hostname"`
			Options  map[string]string `json:"options"`
		} `json:"items"`
		Coupon string `json:"coupon"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	for _, code := range strings.Fields(in.Coupon) { // codes are guessed: each is a try
		if err := a.tried(c, code); err != nil {
			return 0, nil, err
		}
	}
	ask := checkout.Ask{AccountID: c.caller.AccountID, Coupon: in.Coupon}
	for _, x := range in.Items {
		product, plan, ok := strings.Cut(x.Plan, "/")
		if !ok {
			return 0, nil, fault.Field("plan", "api.plan_invalid", "plan is the id of a plan, as GET /products gives it: product/plan.")
		}
		ask.Items = append(ask.Items, catalog.Picked{
			Product: product, Plan: plan, Cycle: catalog.Cycle(x.Cycle), Region: x.Region, Image: x.Image, Hostname: x.Hostname, Options: x.Options,
		})
	}
	q, err := a.Checkout.Quote(c.ctx(), c.db, ask)
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusCreated, quote{
		ID: q.ID, Items: itemsOf(q.Items), Coupon: codeOf(q.Coupon), Discount: amountOf(q.Off), Net: amountOf(q.Net), Tax: amountOf(q.Tax), Taxes: taxesOf(q.Taxes), Total: amountOf(q.Total), ExpiresAt: q.ExpiresAt.UTC(), HeldUntil: moment(q.HeldUntil),
	}, nil
}

func codeOf(code string) *string {
	if code == "" {
		return nil
	}
	return &code
}

// couponsPerMinute is how many codes one account may try: codes are guessed.
const couponsPerMinute = 20

// tried counts a code that somebody tries.
func (a *API) tried(c call, code string) error {
	if code == "" || a.Limits == nil {
		return nil
	}
	left, err := a.Limits.Take(c.ctx(), fmt.Sprintf("coupon/%s/%s", c.db.Tenant().ID, c.caller.AccountID), couponsPerMinute)
	if err != nil || left.OK {
		return nil //nolint:nilerr // a counter that is down stops nobody
	}
	c.Set(fiber.HeaderRetryAfter, seconds(left.Again))
	return fault.New(fault.TooMany, "coupon.throttled", "Those were many codes in a short time. Please wait a moment.")
}

type order struct {
	ID        uuid.UUID  `json:"id"`
	Number    int64      `json:"number"`
	State     string     `json:"state"`
	Items     []item     `json:"items"`
	Coupon    *string    `json:"coupon"` // the code it was placed with; null: none
	Discount  amount     `json:"discount"`
	Taxes     []tax      `json:"taxes"`
	Total     amount     `json:"total"`
	InvoiceID *uuid.UUID `json:"invoice_id"`
	PayAt     *string    `json:"pay_at"`  // where people pay, signed in; null: nothing is to be paid
	Payment   *attempt   `json:"payment"` // the last attempt; null: none was made yet
	PlacedAt  time.Time  `json:"placed_at"`
	PaidAt    *time.Time `json:"paid_at"`
}

// attempt is the last attempt to pay an order.
type attempt struct {
	State   string  `json:"state"`
	Code    *string `json:"code"`    // of one that failed: why, in the gateway's word
	Message *string `json:"message"` // the same for people
}

func attemptOf(p payment.Payment) *attempt {
	t := &attempt{State: "under_way"}
	switch p.State {
	case gateway.Succeeded, gateway.Failed, gateway.Cancelled:
		t.State = string(p.State)
	}
	if p.DeclineCode != "" {
		t.Code, t.Message = &p.DeclineCode, &p.DeclineText
	}
	return t
}

// withAttempts adds to orders how paying them went.
func (c call) withAttempts(tx *tenancy.Tx, orders []order) error {
	var of []uuid.UUID
	for _, o := range orders {
		if o.InvoiceID != nil {
			of = append(of, *o.InvoiceID)
		}
	}
	if len(of) == 0 {
		return nil
	}
	last, err := payment.Latest(c.ctx(), tx, of)
	for i, o := range orders {
		if o.InvoiceID == nil {
			continue
		}
		if p, ok := last[*o.InvoiceID]; ok {
			orders[i].Payment = attemptOf(p)
		}
	}
	return err
}

// shownOrder is an order of the caller's with how paying it went.
func (c call) shownOrder(id uuid.UUID, status int) (int, any, error) {
	one := make([]order, 1)
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		o, err := checkout.GetIn(c.ctx(), tx, id, c.caller.AccountID)
		if err != nil {
			return err
		}
		one[0] = c.orderOf(o)
		return c.withAttempts(tx, one)
	})
	return status, one[0], err
}

func (c call) orderOf(o checkout.Order) order {
	out := order{
		ID: o.ID, Number: o.Number, State: string(o.State), Items: itemsOf(o.Items), Coupon: codeOf(o.Coupon), Discount: amountOf(o.Off), Taxes: taxesOf(o.Taxes), Total: amountOf(o.Total),
		InvoiceID: o.InvoiceID, PlacedAt: o.PlacedAt.UTC(), PaidAt: moment(o.PaidAt),
	}
	if o.State == checkout.AwaitingPayment && o.InvoiceID != nil {
		at := surface.BaseURL(c.Ctx) + "/client/invoices/" + o.InvoiceID.String() + "/pay"
		out.PayAt = &at
	}
	return out
}

// placeOrder handles POST /orders: the quote becomes an order, and the account's saved
// method is charged for it. Without one, or when it fails, people pay at pay_at.
func (a *API) placeOrder(c call) (int, any, error) {
	var in struct {
		QuoteID     uuid.UUID `json:"quote_id"`
		AcceptTerms bool      `json:"accept_terms"`
		SSHKeys     []string  `json:"ssh_keys"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	if !in.AcceptTerms {
		return 0, nil, fault.Field("accept_terms", "checkout.terms", "Please agree, so that we may deliver.")
	}
	keys, err := checkout.ParseSSHKeys(strings.Join(in.SSHKeys, "\n"))
	if err != nil {
		return 0, nil, err
	}
	o, err := a.Checkout.Place(c.ctx(), c.db, checkout.PlaceRequest{QuoteID: in.QuoteID, AccountID: c.caller.AccountID, PersonID: c.caller.PersonID, SSHKeys: keys, By: c.by()})
	if err != nil {
		return 0, nil, err
	}
	if o.State == checkout.AwaitingPayment && o.InvoiceID != nil {
		err := c.db.Update(c.ctx(), func(tx *tenancy.Tx) error {
			_, err := payment.ChargeSaved(c.ctx(), tx, *o.InvoiceID)
			return err
		})
		if err != nil {
			return 0, nil, err
		}
	}
	return c.shownOrder(o.ID, fiber.StatusCreated)
}

// listOrders handles GET /orders, the newest first.
func (a *API) listOrders(c call) (int, any, error) {
	w, err := windowOf(c, ofOrders)
	if err != nil {
		return 0, nil, err
	}
	var p page[order]
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		found, _, err := checkout.ListIn(c.ctx(), tx, checkout.Filter{AccountID: c.caller.AccountID, Limit: w.limit + 1, BeforeAt: w.at, BeforeID: w.id, Uncounted: true})
		if err != nil {
			return err
		}
		p = pageOf(found, w, ofOrders, func(o checkout.Order) (time.Time, uuid.UUID) { return o.PlacedAt, o.ID }, c.orderOf)
		return c.withAttempts(tx, p.Data)
	})
	return fiber.StatusOK, p, err
}

// getOrder handles GET /orders/{id}.
func (a *API) getOrder(c call) (int, any, error) {
	id, err := idOf(c, fault.New(fault.NotFound, "order.not_found", "There is no such order."))
	if err != nil {
		return 0, nil, err
	}
	return c.shownOrder(id, fiber.StatusOK)
}
