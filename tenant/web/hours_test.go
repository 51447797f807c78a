package web_test

import (
	"net/url"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// The team sells a plan by the hour; visitors read it on the shelf and on its page.
func TestHoursOnThePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	owner, things := e.as(t, e.A, identity.ResellerOwner), e.things[e.A.ID]
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return exec(t.Context(), tx, "UPDATE products SET visibility = 'public' WHERE slug = 'running'")
	}))
	at := "/manage/catalog/products/" + things[":shelf"] + "/plans/new"
	says(t, "the editor", owner.Send(t, "GET", at, nil), 200, `name="hour.EUR"`, `name="hours_most"`)
	plan := url.Values{"slug": {"by-the-hour"}, "name": {"Drift"}, "visibility": {"public"}, "hour.EUR": {"0.02"}, "hour_most.EUR": {"11.50"}, "hours_most": {"600"}, "price.EUR.monthly": {"9.00"}, "setup.EUR": {"3.00"}}
	wrong := url.Values{"slug": {"by-the-hour"}, "name": {"Drift"}, "visibility": {"public"}, "hour.EUR": {"a lot"}, "hours_most": {"-3"}}
	says(t, "what is no price", owner.Send(t, "POST", at, wrong), 422, "Please enter a price such as 0.02")
	says(t, "a plan by the hour", owner.Send(t, "POST", at, plan), 303)
	c := e.shopper(t, "")
	says(t, "the shelf", c.send(t, "GET", "/products/running", nil), 200, "€9.00", "or €0.02 an hour")
	says(t, "its page", c.send(t, "GET", "/products/running/by-the-hour", nil), 200, "By the hour", "€0.02 an hour, at most €11.50 a month", "Monthly")
	picked := url.Values{"product": {"running"}, "plan": {"by-the-hour"}, "cycle": {"hourly"}}
	says(t, "picked by the hour", c.send(t, "POST", "/products/running/by-the-hour", picked), 200, "Hours are invoiced every month afterwards, each that is begun", "€0.02 an hour, at most €11.50 a month", "€3.00")
	picked.Set("go", "cart")
	says(t, "into the cart", c.send(t, "POST", "/cart", picked), 303)
	says(t, "the cart", c.send(t, "GET", "/cart", nil), 200, "€0.02 an hour, at most €11.50 a month", "€3.00")
	only := url.Values{"slug": {"hours-only"}, "name": {"Gust"}, "visibility": {"public"}, "hour.EUR": {"0.03"}}
	says(t, "only by the hour", owner.Send(t, "POST", at, only), 303)
	says(t, "the shelf with it", c.send(t, "GET", "/products/running", nil), 200, "€0.03", "an hour")
	free := url.Values{"slug": {"free"}, "name": {"Free"}, "visibility": {"public"}, "hour.EUR": {"0.03"}, "price.EUR.monthly": {"0.00"}, "hour_most.EUR": {"x"}}
	says(t, "free by the month", owner.Send(t, "POST", at, free), 422, "Paid so, it would cost nothing", "Please enter an amount such as 12.50")
}
