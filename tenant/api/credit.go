package api

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

type creditBody struct {
	Balances  []amount     `json:"balances"`  // one a currency
	Held      []amount     `json:"held"`      // one a currency: does not count while its payment is disputed
	Automatic bool         `json:"automatic"` // it pays new invoices by itself
	Grants    []creditPart `json:"grants"`    // what something is left of, in the order in which it is spent
}

type creditPart struct {
	ID        uuid.UUID  `json:"id"`
	Kind      string     `json:"kind"`
	Amount    amount     `json:"amount"`
	Left      amount     `json:"left"`
	ExpiresAt *time.Time `json:"expires_at"`
	Note      string     `json:"note"`
	CreatedAt time.Time  `json:"created_at"`
}

// getCredit handles GET /credit.
func (a *API) getCredit(c call) (int, any, error) {
	var p credit.Purse
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		p, err = credit.Of(c.ctx(), tx, c.caller.AccountID)
		return err
	})
	out := creditBody{Balances: []amount{}, Held: []amount{}, Grants: []creditPart{}, Automatic: !p.ByHand}
	for _, b := range p.Balances {
		out.Balances = append(out.Balances, amountOf(b))
	}
	for _, h := range p.Held {
		out.Held = append(out.Held, amountOf(h))
	}
	for _, g := range p.Open {
		out.Grants = append(out.Grants, creditPart{ID: g.ID, Kind: string(g.Kind), Amount: amountOf(g.Amount), Left: amountOf(g.Left), ExpiresAt: moment(g.ExpiresAt), Note: g.Note, CreatedAt: g.CreatedAt.UTC()})
	}
	return fiber.StatusOK, out, err
}

// payWithCredit handles POST /invoices/{id}/credit.
func (a *API) payWithCredit(c call) (int, any, error) {
	var inv invoicing.Invoice
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		inv, err = own(c, tx)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	if _, err := invoicing.PayWithCredit(c.ctx(), c.db, inv.ID, c.by()); err != nil {
		return 0, nil, err
	}
	return a.getInvoice(c)
}
