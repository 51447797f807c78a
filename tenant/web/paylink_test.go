package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/payment"
)

func TestALinkPaysOneInvoiceWithoutSigningIn(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	id := uuid.MustParse(e.bill(t, e.A, "link/1"))
	var account, number string
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT a.name, i.number FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE i.id = ?", id).Scan(t.Context(), &account, &number)
	}))
	now := e.Clock.Now()
	path := e.site.Links.Path(e.A.ID, id, payment.LetterDue, now.Add(time.Hour))
	get := func(path string) surfacetest.Answer { return e.as(t, e.A, "").Send(t, "GET", path, nil) }
	a := get(path)
	if a.Status != 200 || !strings.Contains(a.Page, number) || strings.Contains(a.Page, account) || strings.Contains(a.Page, "/client/invoices/") {
		t.Fatalf("the page: %d, names the account: %v", a.Status, strings.Contains(a.Page, account))
	}
	if !strings.Contains(a.Page, `content="noindex"`) {
		t.Error("it may be found")
	}
	// What was signed for another shop, is too old, or was changed, is nothing.
	forged := path[:len(path)-1] + "A"
	if forged == path {
		forged = path[:len(path)-1] + "B"
	}
	for what, wrong := range map[string]string{
		"another shop's": e.site.Links.Path(e.B.ID, id, payment.LetterDue, now.Add(time.Hour)), "too old": e.site.Links.Path(e.A.ID, id, payment.LetterDue, now.Add(-time.Second)),
		"forged": forged, "cut": path[:len(path)-4], "none": "/pay/x", "of no invoice": e.site.Links.Path(e.A.ID, uuid.New(), payment.LetterDue, now.Add(time.Hour)),
	} {
		if a := get(wrong); a.Status != 404 || strings.Contains(a.Page, number) {
			t.Errorf("%s: %d", what, a.Status)
		}
	}
	v := e.shopper(t, "")
	v.send(t, "GET", path, nil)
	if a := v.send(t, "POST", path, url.Values{"with": {"transfer"}}); a.Status != 303 || !strings.HasPrefix(a.Where, path+"/payments/") {
		t.Fatalf("paying: %d to %q", a.Status, a.Where)
	} else if b := get(a.Where); b.Status != 200 || !strings.Contains(b.Page, number) || strings.Contains(b.Page, account) {
		t.Errorf("the payment's page: %d", b.Status)
	}
	var via string
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		if err := tx.NewRaw("SELECT via FROM payments WHERE invoice_id = ?", id).Scan(t.Context(), &via); err != nil {
			return err
		}
		_, err := tx.NewRaw("UPDATE invoices SET state = 'paid', paid_minor = total_minor WHERE id = ?", id).Exec(t.Context())
		return err
	}))
	if via != "link/due" {
		t.Errorf("the payment was made by %q", via)
	}
	if a := get(path); a.Status != 404 {
		t.Errorf("paid, the link still works: %d", a.Status)
	}
}
