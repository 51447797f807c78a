package account_test

import (
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenant/account"
)

// A certificate is entered, counts within its days, and is taken away; the neighbour's
// account is unknown.
func TestCertificatesOfExemption(t *testing.T) {
	h := newHouse(t)
	db, id, ctx := h.DB(h.A), h.ids[h.A.ID], t.Context()
	by := audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "olga", Name: "Olga"}}
	read := func() (e account.Exemption, number string) {
		must(t, db.View(ctx, func(tx *tenancy.Tx) error {
			p, err := account.ForInvoice(ctx, tx, id)
			e, number = p.Exemption, p.Taxed(tx.Now()).Exemption
			return err
		}))
		return e, number
	}
	want := account.Exemption{Number: "15.10/7", Note: "seen", From: "2020-01-01", To: "2099-12-31"}
	for range 2 { // the same again is no change
		must(t, account.SaveExemption(ctx, db, id, want, by))
	}
	if e, number := read(); e != want || number != "15.10/7" {
		t.Errorf("%+v, counts %q", e, number)
	}
	must(t, account.SaveExemption(ctx, db, id, account.Exemption{Number: "15.10/7", To: "2020-12-31"}, by))
	if _, number := read(); number != "" {
		t.Errorf("counts after its last day: %q", number)
	}
	must(t, account.SaveExemption(ctx, db, id, account.Exemption{}, by))
	if e, _ := read(); e != (account.Exemption{}) {
		t.Errorf("still there: %+v", e)
	}
	var entries int
	must(t, db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT count(*) FROM audit_entries WHERE action LIKE 'account.exemption_%'").Scan(ctx, &entries)
	}))
	if entries != 3 {
		t.Errorf("%d entries in the trail, want 3", entries)
	}
	refused(t, "days the wrong way round", account.SaveExemption(ctx, db, id, account.Exemption{Number: "1", From: "2026-02-01", To: "2026-01-01"}, by), "account.exemption_invalid")
	refused(t, "the neighbour's", account.SaveExemption(ctx, db, h.ids[h.B.ID], want, by), "account.not_found")
}
