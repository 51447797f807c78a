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

// TestAResellersMoneyInABrowser: a reseller who pays ahead questions a line, tops its balance
// up with a card whose bank asks, and reads the month's statement; staff answer the question
// and read the platform's books.
func TestAResellersMoneyInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Now()) // the browser's cookies live by its own clock
	last, ctx, d := wholesale.Last(w.Clock.Now()), t.Context(), &wholesale.Desk{Central: w.Central}
	must(t, d.SaveSKU(ctx, wholesale.SKU{Code: "wvps-s", Type: "vps", Name: "VPS S", Kind: wholesale.Service, State: "active"}, seeder))
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "wvps-s", Currency: "EUR", Price: "4.20", From: last.From}, seeder))
	must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "49", Percent: "0", From: last.From}, seeder))
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: last.From}, seeder))
	must(t, w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.RecordUsage(ctx, tenancy.Usage{Key: "service/1/start", Subject: "service/1", SKU: "wvps-s", Kind: "start", Quantity: 1, At: last.From.Add(240 * time.Hour)})
		return err
	}))
	must(t, d.RunTold(ctx, last, audit.Origin{Actor: audit.System("test")}))
	staff, partner := openOver(t, w, identity.StaffBilling), openPartner(t, w)
	staff.desk.Taker = partner.bank.desk.Taker
	staff.want("pays ahead", staff.post("/resellers/"+w.A.ID.String()+"/balance/terms", "prepaid", "on"), 303, "/balance")
	drive := browser.Open(t)
	tab := func(h *house) (*browser.Page, string) {
		at := h.serve()
		p := drive.Page(t, at+"/sign-in", browser.Desktop)
		var cookies []*proto.NetworkCookieParam
		for name, value := range h.cookies {
			cookies = append(cookies, &proto.NetworkCookieParam{Name: name, Value: value, URL: at})
		}
		must(t, p.SetCookies(cookies))
		return p, at
	}
	p, at := tab(partner)
	p.Go(at + "/invoices/" + invoiceOf(t, w, w.A) + "/lines/2")
	p.Fill("text", "Which customer is this?")
	p.Follow(`form[action$="/question"] button`)
	p.Go(at + "/questions")
	p.Wait("tbody", "VPS S")
	p.CheckViews("partner_questions")

	p.Go(at + "/balance")
	p.Fill("amount", "20")
	p.Follow(`form[action="/balance/top-up"] button`)
	p.Click(`input[value="card"]`)
	p.CheckViews("partner_top_up")
	p.Look(browser.Desktop)
	p.FillFrame("#pay-card iframe", [2]string{"#number", "4000002760003184"}, [2]string{"#expiry", "1234"}, [2]string{"#cvc", "123"})
	p.FollowTo(`form[data-pay] button[type="submit"]`, "/authenticate/")
	p.FollowTo("#confirm", "/balance")
	p.Wait("main", "€20.00")
	p.CheckViews("partner_topped_up")
	p.Go(at + "/balance/statements/" + w.Clock.Now().UTC().Format("2006-01"))
	p.Wait("main", "Closing balance")
	p.CheckViews("partner_statement")

	p, at = tab(staff)
	p.Go(at + "/wholesale/questions")
	p.Wait("tbody", "VPS S")
	p.CheckViews("console_questions")
	p.Go(at + "/wholesale/books")
	p.Wait("main", "Balances of resellers, owed to them")
	p.CheckViews("console_books")
	p.Go(at + "/wholesale/preview?period=" + w.Clock.Now().UTC().Format("2006-01"))
	p.CheckViews("console_preview")
}
