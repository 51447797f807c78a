package api

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
)

type stayOffer struct {
	Kind     string  `json:"kind"`
	Percent  *string `json:"percent"`
	Invoices int     `json:"invoices"`
	Days     int     `json:"days"`
	Plan     *string `json:"plan"`
	Price    *amount `json:"price"`
}

func reasonOf(c call) (uuid.UUID, string, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return id, "", err
	}
	var in struct {
		Reason string `json:"reason"`
	}
	err = decode(c, &in)
	return id, in.Reason, err
}

// offerToStay handles POST /subscriptions/{id}/offer.
func (a *API) offerToStay(c call) (int, any, error) {
	id, reason, err := reasonOf(c)
	if err != nil {
		return 0, nil, err
	}
	o, ok, err := a.Renewal.Offer(c.ctx(), c.db, id, c.caller.AccountID, reason)
	out := struct {
		Offer *stayOffer `json:"offer"`
	}{}
	if err != nil || !ok {
		return fiber.StatusOK, out, err
	}
	out.Offer = &stayOffer{Kind: string(o.Kind), Invoices: o.Cycles, Days: o.Days}
	if o.Ppm > 0 {
		percent := strings.TrimSuffix(billing.Percent(o.Ppm), " %")
		out.Offer.Percent = &percent
	}
	if o.Plan != "" {
		out.Offer.Plan = &o.Plan
	}
	if o.Kind != billing.StayPause {
		price := amountOf(o.Price)
		out.Offer.Price = &price
	}
	return fiber.StatusOK, out, nil
}

// stay handles POST /subscriptions/{id}/stay.
func (a *API) stay(c call) (int, any, error) {
	id, reason, err := reasonOf(c)
	if err != nil {
		return 0, nil, err
	}
	got, err := a.Renewal.Stay(c.ctx(), c.db, id, c.caller.AccountID, reason, c.by())
	if err != nil {
		return 0, nil, err
	}
	out := struct {
		Subscription subscription `json:"subscription"`
		QuoteID      *uuid.UUID   `json:"quote_id"`
	}{Subscription: subscriptionOf(got.Subscription)}
	if got.Quote != uuid.Nil {
		out.QuoteID = &got.Quote
	}
	return fiber.StatusOK, out, nil
}
