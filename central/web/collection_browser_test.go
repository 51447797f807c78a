package web_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-rod/rod/lib/proto"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestCollectingInABrowser: staff record what they paid out, and the reseller reads it in its
// statement.
func TestCollectingInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Now()) // the browser's cookies live by its own clock
	ctx, last := t.Context(), wholesale.Last(w.Clock.Now())
	h, s := openOver(t, w, identity.StaffBilling), openPartner(t, w)
	h.desk.Taker = s.bank.desk.Taker
	must(t, h.desk.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "49", Percent: "0", From: last.From}, seeder))
	must(t, h.desk.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: last.From}, seeder))
	must(t, h.desk.SetCollectionTerms(ctx, w.A.ID, wholesale.NewCollectionTerms{Allowed: true, Percent: "2.9", Fixed: "0.25", HoldDays: "0"}, seeder))
	must(t, h.desk.SetPayoutAccount(ctx, w.A.ID, wholesale.PayoutAccount{Holder: "Alpha Hosting GmbH", IBAN: "DE02120300000000202051", BIC: "BYLADEM1001"}, seeder))
	w.Clock.Advance(time.Second)
	g, err := stripe.NewShared(stripe.Config{SecretKey: platformKey, PublishableKey: "pk_test_platform", APIURL: s.bank.url, Shop: w.A.ID.String()}, "EUR")
	must(t, err)
	for _, number := range []string{"ALP-2026-00017", "ALP-2026-00018"} {
		pay, err := g.Charge(ctx, gateway.Charge{Key: number, Amount: billing.Money{Minor: 20_000, Currency: "EUR"}, Customer: gateway.Customer{Key: "x"}, Reference: number})
		must(t, err)
		s.bank.enter("payment_intents", pay.ClientSecret, "4242424242424242")
		must(t, w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error { return tx.TellCollected(ctx, pay.Ref) }))
	}
	must(t, h.desk.BookCollected(ctx))
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
	p, at := tab(h)
	p.Go(at + "/wholesale/payouts")
	p.Wait("main", "€387.90")
	p.CheckViews("console_payouts")
	p.Follow(`tbody a[href="/resellers/` + w.A.ID.String() + `/balance"]`)
	p.CheckViews("console_reseller_balance")
	p.Follow(`form[action$="/balance/payout"] button[type="submit"]`)
	p.Wait("main", "-€387.90")
	p, at = tab(s)
	p.Go(at + "/balance")
	p.CheckViews("partner_balance")
	p.Follow(`a[href="/balance/statements"]`)
	p.CheckViews("partner_balance_statement")
	if text := p.Text("main"); !strings.Contains(text, "Payouts to you") || !strings.Contains(text, "-€387.90") {
		t.Error(text)
	}
}
