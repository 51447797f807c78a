package api

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/referral"
)

type referralsBody struct {
	Link    string         `json:"link"`
	On      bool           `json:"on"` // something is given for newcomers at the moment
	Brought []referralBody `json:"brought"`
}

type referralBody struct {
	State    string     `json:"state"`
	Reason   *string    `json:"reason"` // why there is no credit; null: none of it yet, or there is some
	Credit   *amount    `json:"credit"` // null: none
	JoinedAt time.Time  `json:"joined_at"`
	DueAt    *time.Time `json:"due_at"` // while it is pending
}

// listReferrals handles GET /referrals.
func (a *API) listReferrals(c call) (int, any, error) {
	out := referralsBody{Link: surface.BaseURL(c.Ctx) + "/r/" + referral.Code(c.caller.AccountID), Brought: []referralBody{}}
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		p, err := referral.Of(c.ctx(), tx)
		if err != nil {
			return err
		}
		out.On = p.On
		found, err := referral.By(c.ctx(), tx, c.caller.AccountID)
		for _, r := range found {
			one := referralBody{State: string(r.State), JoinedAt: r.JoinedAt.UTC(), DueAt: moment(r.DueAt)}
			if says := referral.Says(r.Reason); says != "" {
				one.Reason = &says
			}
			if !r.ToReferrer.IsZero() {
				credit := amountOf(r.ToReferrer)
				one.Credit = &credit
			}
			out.Brought = append(out.Brought, one)
		}
		return err
	})
	return fiber.StatusOK, out, err
}
