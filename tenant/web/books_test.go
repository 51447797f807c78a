package web_test

import (
	"archive/zip"
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestTheBooksOnThePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner := e.as(t, e.A, identity.ResellerOwner)
	if a := owner.Send(t, "GET", "/manage/books/datev.csv", nil); a.Status != 303 {
		t.Errorf("without the adviser's number: %d", a.Status)
	}
	set := url.Values{"chart": {"skr03"}, "consultant": {"29098"}, "client": {"55003"}, "year_begins": {"1"}, "account.revenue": {"8210"}}
	if a := owner.Send(t, "POST", "/manage/settings/bookkeeping", set); a.Status != 303 {
		t.Fatalf("set: %d %s", a.Status, a.Page)
	}
	if a := owner.Send(t, "GET", "/manage/settings/bookkeeping", nil); !strings.Contains(a.Page, `value="8210"`) || !strings.Contains(a.Page, `value="29098"`) {
		t.Errorf("what was set is not shown")
	}
	set.Set("account.revenue", "abc")
	if a := owner.Send(t, "POST", "/manage/settings/bookkeeping", set); a.Status != 422 || !strings.Contains(a.Page, "4 to 8 digits") {
		t.Errorf("a bad number: %d", a.Status)
	}
	for path, want := range map[string][]string{
		"/manage/books":                   {"Owed by customers", "All accounts, EUR", "DATEV"},
		"/manage/books/journal.csv":       {"receivable,revenue", "cash/transfer,receivable"},
		"/manage/books/trial-balance.csv": {"receivable,Owed by customers,EUR"},
		"/manage/books/receivables.csv":   {"customer,currency,not due"},
		"/manage/books/tax":               {"Taxed sales", "No tax was charged in these days."}, // the shop has not said its country
		"/manage/books/tax.csv":           {"country,region,tax"},
		"/manage/books/revenue":           {"Deferred at its end", "Expected"},
		"/manage/books/revenue.csv":       {"month,currency,earned", ",EUR,"},
		"/manage/books/datev.csv":         {`"EXTF";700;21;`, ";1410;8210;"},
	} {
		a := owner.Send(t, "GET", path, nil)
		for _, w := range want {
			if a.Status != 200 || !strings.Contains(a.Page, w) {
				t.Errorf("%s: %d does not say %q", path, a.Status, w)
			}
		}
	}
	for _, bad := range []string{"?from=tomorrow", "?from=2026-10-31&to=2026-10-01", "?to=9999-99-99"} {
		if a := owner.Send(t, "GET", "/manage/books"+bad, nil); a.Status != 422 {
			t.Errorf("%s: %d", bad, a.Status)
		}
		if a := owner.Send(t, "GET", "/manage/books/journal.csv"+bad, nil); a.Status != 422 {
			t.Errorf("the journal of %s: %d", bad, a.Status)
		}
	}
	if a := e.as(t, e.A, identity.ResellerAgent).Send(t, "GET", "/manage/books", nil); a.Status != 403 {
		t.Errorf("support: %d", a.Status)
	}
}

func TestStatementsAndArchives(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, buyer := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.CustomerMember)
	customer := "/manage/customers/" + e.things[e.A.ID][":customer"]
	for path, c := range map[string]*surfacetest.Client{"/client/statement": buyer, customer + "/statement": owner} {
		a := c.Send(t, "GET", path, nil)
		for _, want := range []string{"Owed before", "Invoice INV-2026-00002", "Payment INV-2026-00002", "Credit note CN-2026-00001", "Owed at the end"} {
			if a.Status != 200 || !strings.Contains(a.Page, want) {
				t.Errorf("%s: %d does not say %q", path, a.Status, want)
			}
		}
		if a := c.Send(t, "GET", path+".pdf?from=2026-10-01&to=2026-10-31", nil); a.Status != 200 || !strings.HasPrefix(a.Page, "%PDF-") {
			t.Errorf("%s.pdf: %d", path, a.Status)
		}
		if a := c.Send(t, "GET", path+"?from=nonsense", nil); a.Status != 422 {
			t.Errorf("%s of nonsense: %d", path, a.Status)
		}
	}
	for path, c := range map[string]*surfacetest.Client{"/client/invoices.zip": buyer, "/manage/invoices.zip": owner} {
		for as, name := range map[string]string{"": "INV-2026-00002.pdf", "?as=ubl": "not-electronic.txt"} {
			a := c.Send(t, "GET", path+as, nil)
			z, err := zip.NewReader(strings.NewReader(a.Page), int64(len(a.Page)))
			if a.Status != 200 || err != nil {
				t.Fatalf("%s%s: %d %v", path, as, a.Status, err)
			}
			found := false
			for _, f := range z.File {
				found = found || f.Name == name
			}
			if !found {
				t.Errorf("%s%s holds no %s among %d files", path, as, name, len(z.File))
			}
		}
		for _, bad := range []string{"?as=exe", "?from=x"} {
			if a := c.Send(t, "GET", path+bad, nil); a.Status != 422 {
				t.Errorf("%s%s: %d", path, bad, a.Status)
			}
		}
	}
}
