package web_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/settings"
)

// TestRenewalSettings sets when subscriptions are billed and what follows; what makes no
// sense is refused at its field, and the neighbour keeps its own.
func TestRenewalSettings(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.ResellerOwner)
	const at = "/manage/settings/renewals"
	before := e.state(t, e.B)
	says(t, "as it is", c.Send(t, "GET", at, nil), 200, "0, 1, 3, 5, 7")
	form := func(lead, remind, tries, suspend, end string) url.Values {
		return url.Values{"lead_days": {lead}, "reminders.annual": {remind}, "reminders.monthly": {"10"}, "try_days": {tries}, "suspend_days": {suspend}, "end_days": {end},
			"notice_days": {"2"}, "fee_days": {"14"}, "fee_percent": {"2.5"}, "fee.EUR": {"5.00"}}
	}
	but := func(field, value string) url.Values {
		v := form("3", "14", "0", "7", "21")
		v.Set(field, value)
		return v
	}
	with := func(field, value string) url.Values {
		v := but("loyal", "on")
		v.Set(field, value)
		return v
	}
	for _, wrong := range []url.Values{
		form("15", "14", "0, 1", "7", "21"), form("-1", "14", "0", "7", "21"), form("3", "x", "0", "7", "21"), form("3", "7, 30", "0", "7", "21"), form("3", "91", "0", "7", "21"), but("reminders.monthly", "28"), but("reminders.ending", "0"), form("3", "14", "", "7", "21"),
		form("3", "14", "3, 1", "7", "21"), form("3", "14", "0, 22", "7", "21"), form("3", "14", "0", "7", "7"), form("3", "14", "0", "99999999999999999999", "21"),
		form("3", "14", "0,1,2,3,4,5,6,7,8", "7", "21"), form("1e1", "14", "0", "7", "21"),
		but("notice_days", "31"), but("notice_days", ""), with("loyalty", "12"), with("loyalty", "12: 5, 12: 10"), with("loyalty", "12: 101"), with("loyalty", ""),
		but("fee_days", "0"), but("fee_days", "22"), but("fee_days", ""), but("fee_percent", "26"), but("fee_percent", "x"), but("fee.EUR", "5,00"), but("fee.EUR", "-5"),
	} {
		says(t, wrong.Encode(), c.Send(t, "POST", at, wrong), 422, `aria-invalid="true"`)
	}
	says(t, "saved", c.Send(t, "POST", at, form("5", "45, 14", "0, 2 4", "10", "30")), 303)
	says(t, "as it is now", c.Send(t, "GET", at, nil), 200, "0, 2, 4", `value="45, 14"`, `value="30"`, "12: 5, 24: 10, 36: 15, 60: 20")
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		p, err := renewal.PolicyOf(t.Context(), tx)
		const day = 24 * time.Hour
		if p.LeadDays != 5 || !slices.Equal(p.Reminders.Renewal[billing.Annual], billing.Reminders{45, 14}) || !slices.Equal(p.Reminders.Renewal[billing.Monthly], billing.Reminders{10}) || len(p.Reminders.Ending) != 0 || len(p.Dunning.Tries) != 3 || p.Dunning.Tries[2] != 4*day || p.Dunning.SuspendAfter != 10*day || p.Dunning.EndAfter != 30*day {
			t.Errorf("the policy is %+v", p)
		}
		if p.Week || p.Dunning.NoticeBefore != 2*day || p.Fee.After != 14*day || p.Fee.Ppm != 25_000 || len(p.Fee.Amounts) != 1 || p.Fee.Amounts[0].Minor != 500 || p.FeeSince.IsZero() {
			t.Errorf("what follows late payers is %+v", p)
		}
		return err
	}))
	says(t, "written down", c.Send(t, "GET", "/manage/activity", nil), 200, "settings.renewals_changed")
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}

// TestRatesOfExchange enters them by hand and has the daily ones fetched; the page says what is
// missing for the currencies that the shop sells in.
func TestRatesOfExchange(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.ResellerOwner)
	const at = "/manage/settings/tax"
	before := e.state(t, e.B)
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		b, err := settings.BillingOf(t.Context(), tx)
		b.Country = "SE"
		if err != nil {
			return err
		}
		return settings.Put(t.Context(), tx, settings.BillingName, b)
	}))
	says(t, "what is missing", c.Send(t, "GET", at, nil), 200, "Tax in SEK", "There is no rate of EUR", "daily rates can be fetched")
	rate := url.Values{"rate_from": {"EUR"}, "rate_into": {"SEK"}, "value": {"11.5"}, "rate_day": {"2026-10-10"}}
	for field, bad := range map[string]string{"rate_from": "SEK", "rate_into": "XXX", "value": "-1", "rate_day": "2099-01-01"} {
		wrong := maps.Clone(rate)
		wrong.Set(field, bad)
		says(t, field, c.Send(t, "POST", at+"/exchange", wrong), 422, `id="`+field+`-error"`)
	}
	says(t, "entered", c.Send(t, "POST", at+"/exchange", rate), 303)
	says(t, "shown", c.Send(t, "GET", at, nil), 200, "1 EUR is 11.500000 SEK", "1 EUR = 11.5 SEK")
	says(t, "fetched from now on", c.Send(t, "POST", at+"/exchange/daily", url.Values{"daily": {"on"}}), 303)
	says(t, "shown", c.Send(t, "GET", at, nil), 200, "Fetch them no more")
	says(t, "written down", c.Send(t, "GET", "/manage/activity", nil), 200, "exchange.entered", "exchange.daily")
	says(t, "taken out", c.Send(t, "POST", at+"/exchange/remove", rate), 303)
	says(t, "gone", c.Send(t, "GET", at, nil), 200, "There is no rate of EUR")
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}

// TestOwnTaxRates enters rates with days: each ends where the next begins.
func TestOwnTaxRates(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.ResellerOwner)
	const at = "/manage/settings/tax"
	before := e.state(t, e.B)
	rate := func(country, percent, from string) url.Values {
		return url.Values{"country": {country}, "percent": {percent}, "name": {"GST"}, "from": {from}}
	}
	rates := func() (all string) {
		t.Helper()
		must(t, e.Owner.QueryRow(t.Context(), "SELECT coalesce(string_agg(country || ' ' || trim_scale(percent) || ' ' || valid_from || ' ' || coalesce(valid_to::text, '-'), ', ' ORDER BY country, valid_from), '') FROM "+e.A.ID.Schema()+".tax_rates").Scan(&all))
		return all
	}
	was := rates()
	for _, wrong := range []url.Values{rate("", "5", "2026-01-01"), rate("XX", "5", "2026-01-01"), rate("AU", "101", "2026-01-01"), rate("AU", "1e1", "2026-01-01"), rate("AU", "-1", "2026-01-01"), rate("AU", "5", "soon"), rate("AU", "5.12345", "2026-01-01")} {
		says(t, wrong.Encode(), c.Send(t, "POST", at, wrong), 422)
	}
	if got := rates(); got != was {
		t.Fatalf("refused forms changed %q to %q", was, got)
	}
	regional := rate("CA", "7", "2026-01-01")
	regional.Set("region", "british columbia")
	regional.Set("customer", "consumer")
	regional.Set("class", "software")
	regional.Set("adds", "on")
	for field, bad := range map[string]string{"region": "Bavaria", "customer": "everyone", "class": "compensation"} {
		wrong := maps.Clone(regional)
		wrong.Set(field, bad)
		says(t, bad, c.Send(t, "POST", at, wrong), 422)
	}
	says(t, "on top of nothing", c.Send(t, "POST", at, url.Values{"country": {"AU"}, "percent": {"5"}, "name": {"GST"}, "from": {"2026-01-01"}, "adds": {"on"}}), 422, "comes on top")
	says(t, "of a province", c.Send(t, "POST", at, regional), 303)
	says(t, "shown in words", c.Send(t, "GET", at, nil), 200, "Canada, British Columbia", "Software, consumers, on top")
	says(t, "ended", c.Send(t, "POST", at+"/end", url.Values{"country": {"CA"}, "region": {"BC"}, "customer": {"consumer"}, "class": {"software"}, "from": {"2026-01-01"}}), 303)
	for _, good := range []url.Values{rate("AU", "10", "2026-01-01"), rate("AU", "12.5", "2027-01-01"), rate("AU", "11", "2026-07-01")} {
		says(t, good.Encode(), c.Send(t, "POST", at, good), 303)
	}
	says(t, "the same day again", c.Send(t, "POST", at, rate("AU", "9", "2026-07-01")), 422, "begins on that day already")
	if got, want := rates(), "AU 10 2026-01-01 2026-07-01, AU 11 2026-07-01 2027-01-01, AU 12.5 2027-01-01 -"; !strings.Contains(got, want) {
		t.Errorf("the rates are %q, want %q", got, want)
	}
	says(t, "shown", c.Send(t, "GET", at, nil), 200, "Australia", "12.5 %", "planned", "End today")
	says(t, "take the planned one out", c.Send(t, "POST", at+"/end", url.Values{"country": {"AU"}, "from": {"2027-01-01"}}), 303)
	says(t, "end the one that holds", c.Send(t, "POST", at+"/end", url.Values{"country": {"AU"}, "from": {"2026-07-01"}}), 303)
	if got, want := rates(), "AU 10 2026-01-01 2026-07-01, AU 11 2026-07-01 2026-10-15, CA 7 2026-01-01 2026-10-15"; !strings.HasSuffix(got, want) {
		t.Errorf("the rates are %q, want %q", got, want)
	}
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}
