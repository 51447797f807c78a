package invoicing_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// TestManyAreIssuedAtOnce covers that many drafts become what each alone would have
// become: numbers in their order, one chain, the invoice of a key that was used before,
// and that one bad draft leaves nothing behind, not even a number.
func TestManyAreIssuedAtOnce(t *testing.T) {
	w := tenancytest.New(t)
	s, theirs := open(t, w, w.A), open(t, w, w.B)
	other := uuid.New()
	s.customer(other, "Bo", "FR", "")
	before := s.issue(s.draft("order/2", 500))

	drafts := []invoicing.Draft{s.draft("order/1", 1000, 999), s.draft("order/2", 7), s.draft("order/3", 0), s.draft("order/4", 100)}
	drafts[3].AccountID, drafts[3].CollectAt = other, tenancytest.Start
	all := func(d []invoicing.Draft) (made []invoicing.Invoice, err error) {
		err = s.db.Update(t.Context(), func(tx *tenancy.Tx) (err error) {
			made, err = invoicing.IssueAll(t.Context(), tx, d)
			return err
		})
		return made, err
	}
	bad := append([]invoicing.Draft{s.draft("order/9", 1)}, invoicing.Draft{Key: "order/10", AccountID: s.account, Currency: "EUR"})
	if _, err := all(bad); !fault.Is(err, "invoice.no_lines") {
		t.Fatalf("a draft without lines: %v", err)
	}
	if _, err := all([]invoicing.Draft{drafts[0], drafts[0]}); err == nil {
		t.Error("two drafts of one key are taken at once")
	}
	made, err := all(drafts)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		number string
		total  int64
		state  invoicing.State
	}{{"INV-2026-00002", 2379, invoicing.Open}, {"INV-2026-00001", 595, invoicing.Open}, {"INV-2026-00003", 0, invoicing.Paid}, {"INV-2026-00004", 120, invoicing.Open}} {
		if got := made[i]; got.Number != want.number || got.Total.Minor != want.total || got.State != want.state || s.get(got.ID).Total != got.Total {
			t.Errorf("draft %d became %+v, want %+v", i, got, want)
		}
	}
	if made[1].ID != before.ID {
		t.Error("the second draft of a key became another invoice")
	}
	s.pay(made[0], uuid.New(), 2379)
	var collected []string
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT number FROM invoices WHERE next_try_at IS NOT NULL").Scan(t.Context(), &collected)
	})
	if len(collected) != 1 || collected[0] != made[3].Number {
		t.Errorf("collected are %v", collected)
	}
	for _, shop := range []*shop{s, theirs} {
		shop.update(func(tx *tenancy.Tx) error {
			r, err := invoicing.Books(t.Context(), tx)
			if err == nil && !r.Holds() {
				t.Error(r.Problems)
			}
			return err
		})
	}
	// Four were issued, one of them paid at once; a letter for each, and a receipt.
	if paid, letters := s.jobs("invoice.paid"), s.jobs("invoice.letter"); paid != 2 || letters != 5 {
		t.Errorf("%d jobs of paid invoices and %d letters", paid, letters)
	}
}
