package web_test

import (
	"net/url"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestWhatFollowsOnDisputes sets what becomes of what is disputed, and reads at the payment,
// the invoice and the customer what did; the neighbour's shop keeps its own.
func TestWhatFollowsOnDisputes(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, agent := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.ResellerAgent)
	const at = "/manage/settings/payments"
	before := e.state(t, e.B)
	says(t, "at first", owner.Send(t, "GET", at, nil), 200, "While the bank decides", `value="" selected>nothing: it runs on`)
	says(t, "chosen", owner.Send(t, "POST", at+"/disputes", url.Values{"disputes_opened": {"suspend"}, "disputes_lost": {"end"}}), 303)
	says(t, "shown", owner.Send(t, "GET", at, nil), 200, `value="suspend" selected>suspend it`, `value="end" selected>end it`)
	says(t, "too soon", owner.Send(t, "POST", at+"/disputes", url.Values{"disputes_opened": {"end"}}), 303)
	says(t, "as it was", owner.Send(t, "GET", at, nil), 200, `value="suspend" selected>suspend it`)
	says(t, "an agent", agent.Send(t, "POST", at+"/disputes", url.Values{"disputes_lost": {"end"}}), 403)

	things := e.things[e.A.ID]
	pages := []string{"/manage/payments/" + things[":payment"], "/manage/customers/" + things[":customer"]}
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return exec(t.Context(), tx, `UPDATE payments SET disputes = '[{"ref": "d1", "state": "needs_response", "amount_minor": 500, "opened_at": "2026-11-01T00:00:00Z"}]' WHERE id = ?`, things[":payment"])
	}))
	for _, page := range pages {
		says(t, page, owner.Send(t, "GET", page, nil), 200, "Nothing is suspended for it")
	}
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return exec(t.Context(), tx, `WITH v AS (UPDATE services SET holds = '{"dispute": "A payment is disputed."}', subscription_id = (SELECT id FROM subscriptions LIMIT 1) WHERE id = ? RETURNING subscription_id)
			UPDATE invoice_lines SET subscription_id = (SELECT subscription_id FROM v) WHERE invoice_id = (SELECT invoice_id FROM payments WHERE id = ?)`, things[":service"], things[":payment"])
	}))
	for _, page := range pages {
		says(t, page, owner.Send(t, "GET", page, nil), 200, "it paid for is suspended")
	}
	says(t, "the service", owner.Send(t, "GET", "/manage/services/"+things[":service"], nil), 200, "Payment disputed", "A payment is disputed.", "/release")
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}
