package web_test

import (
	"testing"
	"time"

	"github.com/go-rod/rod/lib/proto"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestBillingAMonthInABrowser: staff look at what a month that is over comes to, press the
// button, and follow an invoice down to the time a service ran.
func TestBillingAMonthInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Now()) // the browser's cookies live by its own clock
	last := wholesale.Last(w.Clock.Now())
	ctx, d, by := t.Context(), &wholesale.Desk{Central: w.Central}, seeder
	must(t, d.SaveSKU(ctx, wholesale.SKU{Code: "wvps-s", Type: "vps", Name: "VPS S", Kind: wholesale.Service, State: "active"}, by))
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "wvps-s", Currency: "EUR", Price: "4.20", From: last.From}, by))
	must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "49", Percent: "0", From: last.From}, by))
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: last.From}, by))
	must(t, w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.RecordUsage(ctx, tenancy.Usage{Key: "service/1/start", Subject: "service/1", SKU: "wvps-s", Kind: "start", Quantity: 1, At: last.From.Add(240 * time.Hour)})
		return err
	}))
	h := openOver(t, w, identity.StaffBilling)
	at := h.serve()
	p := browser.Open(t).Page(t, at+"/sign-in", browser.Desktop)
	var cookies []*proto.NetworkCookieParam
	for name, value := range h.cookies {
		cookies = append(cookies, &proto.NetworkCookieParam{Name: name, Value: value, URL: at})
	}
	must(t, p.SetCookies(cookies))
	p.Go(at + "/wholesale")
	p.Follow(`a[href="/wholesale/preview?period=` + last.Name + `"]`)
	p.Wait("main tbody", "alpha")
	p.Follow(`form[action="/wholesale/runs"] button[type="submit"]`)
	p.Wait("body", "The run has started")
	must(t, d.RunTold(ctx, last, audit.Origin{Actor: audit.System("test")})) // the job's work
	p.Go(at + "/wholesale")
	p.Follow(`tbody a[href="/wholesale/invoices?period=` + last.Name + `"]`)
	p.Follow("tbody th a")
	p.Wait("main", "Platform fee, tier Pro")
	p.Follow(`tbody a[href$="/lines/2"]`)
	p.Wait("main", "service/1")
	p.Go(at + "/wholesale/preview?period=" + last.Name)
	p.Wait("main", "nothing would change")
}
