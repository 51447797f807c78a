package web_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/twin"
	"github.com/ezscale/ezscale/tenant/web"
)

// twinShelf has one twin of every shop, which it looks after in the shop's own schema.
type twinShelf struct {
	pool  *tenancy.Pool
	shops map[tenancy.ID]tenancy.Tenant
}

var _ web.Twins = twinShelf{}

func twinOf(of tenancy.ID) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("twin of "+of.String()))
}

func (s twinShelf) one(ctx context.Context, of tenancy.ID, id uuid.UUID) (web.TwinShown, error) {
	err := s.pool.Bind(s.shops[of]).View(ctx, func(tx *tenancy.Tx) error {
		var n int
		return tx.NewRaw("SELECT count(*) FROM plans").Scan(ctx, &n)
	})
	if err == nil && id != twinOf(of) {
		err = fault.New(fault.NotFound, "twin.unknown", "There is no such twin.")
	}
	at := tenancytest.Start
	return web.TwinShown{ID: twinOf(of), Name: "Twin of " + s.shops[of].Slug, Host: "twin.localhost", State: "ready", Differs: "Today's prices", Began: at, Now: at.AddDate(0, 1, 0), Expire: at.AddDate(0, 2, 0), Percent: 100, Ready: true}, err
}

func (s twinShelf) List(ctx context.Context, of tenancy.ID) ([]web.TwinShown, error) {
	t, err := s.one(ctx, of, twinOf(of))
	return []web.TwinShown{t, t}, err
}

func (s twinShelf) Get(ctx context.Context, of tenancy.ID, id uuid.UUID) (web.TwinShown, error) {
	return s.one(ctx, of, id)
}

func (s twinShelf) Ask(ctx context.Context, of tenancy.ID, a web.TwinAsked, _ audit.Origin) (web.TwinShown, error) {
	if a.Raise == "much" {
		return web.TwinShown{}, fault.Field("raise", "twin.invalid", "Give a number, such as 5 or 2.5.")
	}
	return s.one(ctx, of, twinOf(of))
}

func (s twinShelf) Advance(ctx context.Context, of tenancy.ID, id uuid.UUID, _ func(time.Time) time.Time, _ audit.Origin) error {
	_, err := s.one(ctx, of, id)
	return err
}

func (s twinShelf) Halt(ctx context.Context, of tenancy.ID, id uuid.UUID, _ audit.Origin) error {
	_, err := s.one(ctx, of, id)
	return err
}

func (s twinShelf) Drop(ctx context.Context, of tenancy.ID, id uuid.UUID, _ audit.Origin) error {
	_, err := s.one(ctx, of, id)
	return err
}

func (s twinShelf) Report(ctx context.Context, of tenancy.ID, id uuid.UUID) (twin.Report, error) {
	_, err := s.one(ctx, of, id)
	eur := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: "EUR"} }
	m := twin.Month{From: tenancytest.Start, To: tenancytest.Start.AddDate(0, 1, 0), Invoices: 3, Invoiced: eur(2997), Received: eur(1998), Refunded: eur(0), Wholesale: eur(1000), Margin: eur(1997)}
	return twin.Report{Currency: "EUR", Months: []twin.Month{m, m}, Sum: m, Running: 3, Open: eur(999)}, err
}

func (s twinShelf) Mails(ctx context.Context, of tenancy.ID, id uuid.UUID, _ mail.LogFilter) ([]mail.Logged, int, error) {
	_, err := s.one(ctx, of, id)
	return []mail.Logged{{ID: twinOf(of), Template: mail.Invitation, ToAddress: "owner@example.test", CreatedAt: tenancytest.Start}}, 1, err
}

func (s twinShelf) Mail(ctx context.Context, of tenancy.ID, id, _ uuid.UUID) (mail.Logged, mail.Letter, error) {
	_, err := s.one(ctx, of, id)
	return mail.Logged{ToAddress: "owner@example.test", CreatedAt: tenancytest.Start}, mail.Letter{Subject: "You are invited", Text: "Follow the link"}, err
}

// What the pages say of twins is the shop's own, and what is wrong with a form stands in it.
func TestTwinsAtTheOffice(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.ResellerOwner)
	own, foreign := "/manage/twins/one/"+twinOf(e.A.ID).String(), "/manage/twins/one/"+twinOf(e.B.ID).String()
	for path, says := range map[string]string{
		"/manage/twins": "Try it in a twin", own: "A year ahead", own + "/mails": "owner@example.test",
		own + "/mails/" + twinOf(e.A.ID).String():                                              "Follow the link",
		"/manage/twins/compare?a=" + twinOf(e.A.ID).String() + "&b=" + twinOf(e.A.ID).String(): "Twin of " + e.A.Slug + ": received",
	} {
		if a := c.Send(t, "GET", path, nil); a.Status != 200 || !strings.Contains(a.Page, says) {
			t.Errorf("GET %s: %d, without %q", path, a.Status, says)
		}
	}
	for _, x := range []struct{ method, path string }{
		{"GET", foreign}, {"GET", foreign + "/mails"}, {"POST", foreign + "/drop"}, {"POST", foreign + "/stop"}, {"GET", "/manage/twins/one/none"},
		{"GET", "/manage/twins/compare?a=" + twinOf(e.A.ID).String() + "&b=" + twinOf(e.B.ID).String()},
	} {
		if a := c.Send(t, x.method, x.path, url.Values{}); a.Status != 404 {
			t.Errorf("%s %s: %d, want 404", x.method, x.path, a.Status)
		}
	}
	if a := c.Send(t, "POST", own+"/advance", url.Values{"by": {"century"}}); a.Status != 400 && a.Status != 422 {
		t.Errorf("a century: %d", a.Status)
	}
	if a := c.Send(t, "POST", own+"/advance", url.Values{"by": {"year"}}); a.Status != 303 {
		t.Errorf("a year: %d", a.Status)
	}
	if a := c.Send(t, "POST", "/manage/twins", url.Values{"name": {"x"}, "raise": {"much"}}); a.Status != 422 || !strings.Contains(a.Page, "Give a number") {
		t.Errorf("a raise of much: %d", a.Status)
	}
	if a := e.as(t, e.A, identity.ResellerAgent).Send(t, "POST", own+"/drop", url.Values{}); a.Status != 403 {
		t.Errorf("support removes a twin: %d", a.Status)
	}
}
