package invoicing_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// The rates of a shop by region, kind of customer and class of product decide its
// invoices; a certificate counts where it says.
func TestTaxByRegionCustomerAndClass(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w, w.A), open(t, w, w.B)
	b := settings.DefaultBilling()
	b.Company, b.Country = "Alpha Inc", "CA"
	if err := settings.SaveBilling(t.Context(), s.db, b, olga); err != nil {
		t.Fatal(err)
	}
	rate := func(country, region, name, percent string, more func(*invoicing.NewRate)) {
		t.Helper()
		n := invoicing.NewRate{RatePlace: invoicing.RatePlace{Country: country, Region: region}, Name: name, Percent: percent, From: w.Clock.Now().AddDate(-1, 0, 0)}
		if more != nil {
			more(&n)
		}
		if err := invoicing.SetRate(t.Context(), s.db, n, olga); err != nil {
			t.Fatal(err)
		}
	}
	rate("CA", "", "GST", "5", nil)
	rate("CA", "British Columbia", "PST", "7", func(n *invoicing.NewRate) { n.Adds = true })
	rate("CA", "ca-on", "HST", "13", nil)
	rate("CA", "ON", "HST", "8", func(n *invoicing.NewRate) { n.Class = "service" })
	rate("US", "TX", "Sales tax", "6.25", func(n *invoicing.NewRate) { n.Customer = billing.Consumers })
	product, plan, quote, order, sub := uuid.New(), uuid.New(), uuid.New(), uuid.New(), uuid.New()
	s.update(func(tx *tenancy.Tx) error {
		for _, q := range []string{
			`INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at, tax_class) VALUES (?0, 'help', 'generic', 'Help', '', 1, 'public', now(), now(), 'service')`,
			`INSERT INTO plans (id, product_id, slug, name, summary, facts, position, visibility, created_at, changed_at) VALUES (?1, ?0, 'hour', 'Hour', '', '[]', 1, 'public', now(), now())`,
			`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?5, 'customer', 'x@example.com', 'x@example.com', 'X', '', now(), now())`,
			`INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES (?2, 'checkout', ?5, 'EUR', 1, 0, 1, '{}', now(), now())`,
			`INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at) VALUES (?3, 1, ?2, ?5, ?5, 'paid', 'EUR', 1, '', now(), now())`,
			`INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, renewals, cancel_reason, cancel_note, created_at, changed_at)
				VALUES (?4, ?5, ?3, ?1, 'Hour', 'active', 'monthly', 'EUR', 1, '[]', 0, '', '', now(), now())`,
		} {
			if _, err := tx.NewRaw(q, product, plan, quote, order, sub, s.account).Exec(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	for _, x := range []struct {
		what, kind, country, region, certificate string
		sub                                      bool
		tax                                      int64
		name                                     string
	}{
		{"British Columbia", "person", "CA", "British Columbia", "", false, 120, "GST + PST"},
		{"Ontario", "person", "CA", "ON", "", false, 130, "HST"},
		{"help in Ontario", "person", "CA", "ON", "", true, 80, "HST"},
		{"Yukon", "person", "CA", "YT", "", false, 50, "GST"},
		{"a consumer of Texas", "person", "US", "TX", "", false, 63, "Sales tax"},
		{"a business of Texas", "business", "US", "TX", "", false, 0, "VAT"},
		{"a certificate of the place", "person", "CA", "ON", "CA-ON US-TX", false, 0, "VAT"},
		{"a certificate of another", "person", "CA", "BC", "CA-ON", false, 120, "GST + PST"},
	} {
		buyer := uuid.New()
		s.customer(buyer, "Zoé", x.country, "")
		if err := account.SaveBillTo(t.Context(), s.db, buyer, account.BillTo{Kind: x.kind, Address: account.Address{Name: "Zoé", Company: "Z", Line1: "Way 1", City: "Town", Country: x.country, Region: x.region}}, olga); err != nil {
			t.Fatal(err)
		}
		if x.certificate != "" {
			if err := account.SaveExemption(t.Context(), s.db, buyer, account.Exemption{Number: "X-1", Places: x.certificate}, olga); err != nil {
				t.Fatal(err)
			}
		}
		d := s.draft("region/"+x.what, 1000)
		if d.AccountID = buyer; x.sub {
			d.Lines[0].SubscriptionID = sub.String()
		}
		inv := s.issue(d)
		doc := s.document(inv.ID)
		if inv.Tax != eur(x.tax) || doc.Taxes[0].Name != x.name {
			t.Errorf("%s: tax %v as %+v", x.what, inv.Tax, doc.Taxes[0])
		}
		s.update(func(tx *tenancy.Tx) error {
			_, e, err := invoicing.StoredWithEvidence(t.Context(), tx, inv.ID)
			if err != nil {
				return err
			}
			if country, agree, conflict := e.Judge(); country != x.country || agree != 1 || conflict || e.Region != doc.Buyer.Region {
				t.Errorf("%s: the evidence is %+v", x.what, e)
			}
			return nil
		})
	}
	if err := account.SaveBillTo(t.Context(), s.db, s.account, account.BillTo{Address: account.Address{Name: "Joe", Line1: "Way 1", City: "Town", Country: "US", Region: "Bavaria"}}, olga); !fault.Is(err, "account.address_invalid") {
		t.Errorf("an address without its state: %v", err)
	}
	if err := account.SaveExemption(t.Context(), s.db, s.account, account.Exemption{Number: "X", Places: "US-XX"}, olga); !fault.Is(err, "account.exemption_invalid") {
		t.Errorf("a certificate for nowhere: %v", err)
	}
	other.update(func(tx *tenancy.Tx) error {
		rates, err := invoicing.OwnRates(t.Context(), tx)
		if len(rates) != 0 {
			t.Errorf("the neighbour has %+v", rates)
		}
		return err
	})
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(t.Context(), tx)
		if err == nil && !r.Holds() {
			t.Error(r.Problems)
		}
		return err
	})
}
