package web_test

import (
	"net/url"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// The checkout says until when the last piece is kept, others hear that it is being
// ordered, and the team sees where it is.
func TestTheLastPieceIsHeld(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		if err := exec(t.Context(), tx, `UPDATE accounts SET country = 'DE', kind = 'person', billing = '{"name":"Ida Buyer","line1":"Street 2","postcode":"10115","city":"Berlin","country":"DE"}'`); err != nil {
			return err
		}
		return exec(t.Context(), tx, "UPDATE plans SET stock = 1 WHERE id = ?", e.things[e.A.ID][":size"])
	}))
	pick := url.Values{"product": {"running"}, "plan": {"small"}, "cycle": {"monthly"}}
	c, other := e.shopper(t, identity.CustomerMember), e.shopper(t, "")
	c.send(t, "POST", "/cart", pick)
	for range 2 {
		says(t, "the checkout", c.send(t, "GET", "/checkout", nil), 200, "Held for you until <time")
	}
	other.send(t, "POST", "/cart", pick)
	says(t, "somebody else", other.send(t, "GET", "/cart", nil), 200, "are being ordered by others at the moment")
	says(t, "the team", e.as(t, e.A, identity.ResellerOwner).Send(t, "GET", "/manage/catalog/plans/"+e.things[e.A.ID][":size"], nil), 200, "1 of them kept for customers in the checkout")
	e.Clock.Advance(16 * 60e9)
	says(t, "a quarter of an hour later", other.send(t, "GET", "/cart", nil), 200, "€10.00")
}
