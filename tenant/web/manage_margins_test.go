package web_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/report"
)

// oneMonth is the last month, billed with a fee and one service that nobody knows.
type oneMonth struct{}

func (oneMonth) Billed(_ context.Context, _ tenancy.ID, _, to time.Time) ([]report.MonthCost, error) {
	return []report.MonthCost{{From: to.AddDate(0, -1, 0), Currency: "EUR", Services: map[uuid.UUID]int64{{1}: 367}, Rest: 4900}}, nil
}

func (oneMonth) Planned(context.Context, tenancy.ID) ([]report.PlannedPrice, error) {
	return []report.PlannedPrice{{SKU: "vps-s", Name: "VPS S", From: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Will: billing.Rate{Units: 1e12, Currency: "EUR"}}}, nil
}

func TestTheMarginsPage(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.ResellerOwner)
	for path, want := range map[string]string{
		"":                              "Everything else",
		"?by=customer&months=12":        "Fees and what belongs to no customer",
		"?by=month&months=1":            "€52.67",
		"?by=plan&format=csv":           ",Of no plan,0,49.00,'-49.00,EUR",
		"?by=month&format=csv":          ",0.00,52.67,'-52.67,EUR",
		"?by=%00&months=-1e9&format=xx": "€3.67",
	} {
		if a := c.Send(t, "GET", "/manage/reports/margins"+path, nil); a.Status != 200 || !strings.Contains(a.Page, want) {
			t.Errorf("%s: %d without %q", path, a.Status, want)
		}
	}
	if a := e.as(t, e.A, identity.ResellerAgent).Send(t, "GET", "/manage/reports/margins", nil); a.Status != 403 {
		t.Errorf("an agent: %d", a.Status)
	}
}
