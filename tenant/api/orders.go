package api

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

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
	Price          amount            `json:"price"` // net of tax, a cycle
	Setup          amount            `json:"setup"` // once
	SubscriptionID *uuid.UUID        `json:"subscription_id"`
}

func itemsOf(items []checkout.Item) []item {
	out := []item{}
	for _, x := range items {
		v := item{
			Plan: x.Picked.Product + "/" + x.Picked.Plan, Label: x.Label, Cycle: string(x.Picked.Cycle), Region: x.Picked.Region, Image: x.Picked.Image,
			Hostname: x.Picked.Hostname, Options: x.Picked.Options, Price: amountOf(x.Amount), Setup: amountOf(x.Setup),
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
	ID        uuid.UUID `json:"id"`
	Items     []item    `json:"items"`
	Net       amount    `json:"net"`
	Tax       amount    `json:"tax"`
	Taxes     []tax     `json:"taxes"`
	Total     amount    `json:"total"`
	ExpiresAt time.Time `json:"expires_at"`
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
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	ask := checkout.Ask{AccountID: c.caller.AccountID}
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
		ID: q.ID, Items: itemsOf(q.Items), Net: amountOf(q.Net), Tax: amountOf(q.Tax), Taxes: taxesOf(q.Taxes), Total: amountOf(q.Total), ExpiresAt: q.ExpiresAt.UTC(),
	}, nil
}

type order struct {
	ID        uuid.UUID  `json:"id"`
	Number    int64      `json:"number"`
	State     string     `json:"state"`
	Items     []item     `json:"items"`
	Taxes     []tax      `json:"taxes"`
	Total     amount     `json:"total"`
	InvoiceID *uuid.UUID `json:"invoice_id"`
	PayAt     *string    `json:"pay_at"` // where people pay; null: nothing is to be paid
	PlacedAt  time.Time  `json:"placed_at"`
	PaidAt    *time.Time `json:"paid_at"`
}

func (c call) orderOf(o checkout.Order) order {
	out := order{
		ID: o.ID, Number: o.Number, State: string(o.State), Items: itemsOf(o.Items), Taxes: taxesOf(o.Taxes), Total: amountOf(o.Total),
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
	return fiber.StatusCreated, c.orderOf(o), nil
}

// listOrders handles GET /orders, the newest first.
func (a *API) listOrders(c call) (int, any, error) {
	w, err := windowOf(c, ofOrders)
	if err != nil {
		return 0, nil, err
	}
	found, _, err := a.Checkout.List(c.ctx(), c.db, checkout.Filter{AccountID: c.caller.AccountID, Limit: w.limit + 1, BeforeAt: w.at, BeforeID: w.id})
	if err != nil {
		return 0, nil, err
	}
	place := func(o checkout.Order) (time.Time, uuid.UUID) { return o.PlacedAt, o.ID }
	return fiber.StatusOK, pageOf(found, w, ofOrders, place, c.orderOf), nil
}

// getOrder handles GET /orders/{id}.
func (a *API) getOrder(c call) (int, any, error) {
	id, err := idOf(c, fault.New(fault.NotFound, "order.not_found", "There is no such order."))
	if err != nil {
		return 0, nil, err
	}
	o, err := a.Checkout.Get(c.ctx(), c.db, id, c.caller.AccountID)
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, c.orderOf(o), nil
}
