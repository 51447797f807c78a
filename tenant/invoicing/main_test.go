package invoicing_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var olga = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

// shop is a tenant in Germany with one customer.
type shop struct {
	*tenancytest.World
	t       *testing.T
	db      *tenancy.DB
	account uuid.UUID
}

func open(t *testing.T, w *tenancytest.World, who tenancy.Tenant) *shop {
	t.Helper()
	s := &shop{World: w, t: t, db: w.DB(who), account: uuid.New()}
	b := settings.DefaultBilling()
	b.Company, b.Line1, b.Postcode, b.City, b.Country, b.TaxID = "Alpha GmbH", "Hauptstr. 1", "10115", "Berlin", "DE", "DE123456789"
	b.OSS = true
	if err := settings.SaveBilling(t.Context(), s.db, b, olga); err != nil {
		t.Fatal(err)
	}
	s.customer(s.account, "Ida Berg", "DE", "")
	return s
}

func (s *shop) customer(id uuid.UUID, name, country, taxID string) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at, country, tax_id, billing) VALUES (?, ?, 'EUR', now(), now(), ?, ?, ?::jsonb)`,
			id, name, country, taxID, `{"name": "`+name+`", "line1": "Way 1", "city": "Town", "email": "ida@example.com"}`).Exec(s.t.Context())
		return err
	})
}

func (s *shop) update(fn func(tx *tenancy.Tx) error) {
	s.t.Helper()
	if err := s.db.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) draft(key string, nets ...int64) invoicing.Draft {
	d := invoicing.Draft{Key: key, AccountID: s.account, Currency: "EUR"}
	for _, n := range nets {
		d.Lines = append(d.Lines, billing.Line{Kind: "plan", Description: "VPS Small", Quantity: 1, Unit: eur(n)})
	}
	return d
}

func (s *shop) issue(d invoicing.Draft) (inv invoicing.Invoice) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(s.t.Context(), tx, d)
		return err
	})
	return inv
}

func (s *shop) pay(inv invoicing.Invoice, id uuid.UUID, minor int64) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		return invoicing.Applied(s.t.Context(), tx, invoicing.Application{InvoiceID: inv.ID, PaymentID: id, Gateway: "stripe", Amount: eur(minor)})
	})
}

func (s *shop) credit(r invoicing.CreditRequest) (note invoicing.Invoice, err error) {
	s.t.Helper()
	err = s.db.Update(s.t.Context(), func(tx *tenancy.Tx) (err error) {
		note, err = invoicing.Credit(s.t.Context(), tx, r)
		return err
	})
	return note, err
}

func (s *shop) get(id uuid.UUID) (inv invoicing.Invoice) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Get(s.t.Context(), tx, id)
		return err
	})
	return inv
}

// jobs counts the jobs of a kind.
func (s *shop) jobs(kind string) (n int) {
	s.t.Helper()
	if err := s.Owner.QueryRow(s.t.Context(), "SELECT count(*) FROM river.river_job WHERE kind = $1", kind).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestIssueAndPay(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	inv := s.issue(s.draft("order/1", 1000, 999))
	if inv.Number != "INV-2026-00001" || inv.Net != eur(1999) || inv.Tax != eur(380) || inv.Total != eur(2379) || inv.State != invoicing.Open {
		t.Errorf("%+v", inv)
	}
	if again := s.issue(s.draft("order/1", 5)); again.ID != inv.ID || again.Number != inv.Number || again.Total != inv.Total {
		t.Errorf("the second draft of one key: %+v", again)
	}
	if due := inv.IssuedAt.Add(7 * 24 * time.Hour); !inv.DueAt.Equal(due) {
		t.Errorf("due %v", inv.DueAt)
	}
	pay := uuid.New()
	s.pay(inv, pay, 379)
	s.pay(inv, pay, 379)
	if got := s.get(inv.ID); got.Paid != eur(379) || got.State != invoicing.Open || got.Due() != eur(2000) || s.jobs("invoice.paid") != 0 {
		t.Errorf("a part is paid: %+v", got)
	}
	s.pay(inv, uuid.New(), 2000)
	if got := s.get(inv.ID); got.State != invoicing.Paid || got.PaidAt.IsZero() || s.jobs("invoice.paid") != 1 {
		t.Errorf("all is paid: %+v", got)
	}
}
