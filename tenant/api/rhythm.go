package api

import (
	"encoding/json"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/renewal"
)

type rhythm struct {
	OneInvoice *bool `json:"one_invoice"` // null: as the shop says
	Together   bool  `json:"together"`    // what follows
	BillDay    *int  `json:"bill_day"`    // null: each its own
	TermDays   *int  `json:"term_days"`   // null: none of the account's own
}

type notices struct {
	RenewalReminders bool `json:"renewal_reminders"`
}

// getNotices handles GET /account/notifications.
func (a *API) getNotices(c call) (int, any, error) {
	var out notices
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		n, err := account.GetNotices(c.ctx(), tx, c.caller.AccountID)
		out.RenewalReminders = n.Reminds()
		return err
	})
	return fiber.StatusOK, out, err
}

// setNotices handles PATCH /account/notifications.
func (a *API) setNotices(c call) (int, any, error) {
	if err := (account.Acting{Role: c.caller.Role}).Must(account.Manage); err != nil {
		return 0, nil, err
	}
	var in struct {
		RenewalReminders *bool `json:"renewal_reminders"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	if in.RenewalReminders != nil {
		by := account.Caller{Person: c.caller.PersonID, Origin: c.by()}
		if err := (&account.Desk{}).SetReminders(c.ctx(), c.db, c.caller.AccountID, *in.RenewalReminders, by); err != nil {
			return 0, nil, err
		}
	}
	return a.getNotices(c)
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
	out := rhythm{OneInvoice: r.Together, Together: r.Joins()}
	if r.BillDay > 0 {
		out.BillDay = &r.BillDay
	}
	if r.TermDays > 0 {
		out.TermDays = &r.TermDays
	}
	return fiber.StatusOK, out, err
}

// setRhythm handles PATCH /account/invoicing: what is left out stays.
func (a *API) setRhythm(c call) (int, any, error) {
	var in struct {
		OneInvoice json.RawMessage `json:"one_invoice"`
		BillDay    json.RawMessage `json:"bill_day"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	is, err := rhythmOf(c)
	if err != nil {
		return 0, nil, err
	}
	if in.OneInvoice != nil {
		is.Together = nil
		if err := json.Unmarshal(in.OneInvoice, &is.Together); err != nil {
			return 0, nil, fault.Field("one_invoice", "account.bad_invoicing", "Give true, false or null.")
		}
	}
	if in.BillDay != nil {
		is.BillDay = 0
		if err := json.Unmarshal(in.BillDay, &is.BillDay); err != nil || is.BillDay == 0 && string(in.BillDay) != "null" {
			is.BillDay = -1 // refused with what may be given
		}
	}
	if err := renewal.SetRhythm(c.ctx(), c.db, c.caller.AccountID, is, c.by()); err != nil {
		return 0, nil, err
	}
	return a.getRhythm(c)
}
