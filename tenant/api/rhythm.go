package api

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/renewal"
)

type rhythm struct {
	OneInvoice *bool `json:"one_invoice"` // null: as the shop says
	Together   bool  `json:"together"`    // what follows
}

func rhythmOf(c call) (r renewal.Rhythm, err error) {
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		r, err = renewal.RhythmOf(c.ctx(), tx, c.caller.AccountID)
		return err
	})
	return r, err
}

// getRhythm handles GET /account/invoicing.
func (a *API) getRhythm(c call) (int, any, error) {
	r, err := rhythmOf(c)
	return fiber.StatusOK, rhythm{r.Together, r.Joins()}, err
}

// setRhythm handles PATCH /account/invoicing.
func (a *API) setRhythm(c call) (int, any, error) {
	var in struct {
		OneInvoice *bool `json:"one_invoice"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	if err := renewal.SetTogether(c.ctx(), c.db, c.caller.AccountID, in.OneInvoice, c.by()); err != nil {
		return 0, nil, err
	}
	return a.getRhythm(c)
}
