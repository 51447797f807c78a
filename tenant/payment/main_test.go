package payment_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/settings"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var olga = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

// drivers opens gateways as cmd does.
type drivers map[string]func(payment.Settings) (gateway.Gateway, error)

func (d drivers) Open(code string, s payment.Settings) (gateway.Gateway, error) {
	open, ok := d[code]
	if !ok {
		return nil, gateway.ErrUnsupported
	}
	return open(s)
}

func local() drivers {
	return drivers{
		sandbox.Code: func(payment.Settings) (gateway.Gateway, error) { return &sandbox.Gateway{}, nil },
		transfer.Code: func(s payment.Settings) (gateway.Gateway, error) {
			return transfer.New(transfer.Config{Holder: s.Public["holder"], IBAN: s.Public["iban"]})
		},
	}
}

func newRing(t *testing.T) *secrets.Keyring {
	t.Helper()
	key, err := secrets.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// shop is a sandbox with one customer and every local gateway switched on.
type shop struct {
	*tenancytest.World
	t       *testing.T
	db      *tenancy.DB
	desk    *payment.Desk
	account uuid.UUID
}

func open(t *testing.T, w *tenancytest.World, who tenancy.Tenant, desk *payment.Desk) *shop {
	t.Helper()
	who.Sandbox = true
	s := &shop{World: w, t: t, db: w.DB(who), desk: desk, account: uuid.New()}
	b := settings.DefaultBilling()
	b.Company, b.Line1, b.Postcode, b.City, b.Country = "Alpha GmbH", "Hauptstr. 1", "10115", "Berlin", "DE"
	if err := settings.SaveBilling(t.Context(), s.db, b, olga); err != nil {
		t.Fatal(err)
	}
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at, country, billing) VALUES (?, 'Ida Berg', 'EUR', now(), now(), 'DE', ?::jsonb)`,
			s.account, `{"name": "Ida Berg", "line1": "Way 1", "city": "Town", "email": "ida@example.com"}`).Exec(t.Context())
		return err
	})
	s.save(payment.Change{Code: sandbox.Code, On: true})
	s.save(payment.Change{Code: transfer.Code, On: true, Public: map[string]string{"holder": "Alpha GmbH", "iban": "DE02120300000000202051"}})
	return s
}

func (s *shop) save(c payment.Change) {
	s.t.Helper()
	if err := s.desk.SaveGateway(s.t.Context(), s.db, c, olga); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) update(fn func(tx *tenancy.Tx) error) {
	s.t.Helper()
	if err := s.db.Update(s.t.Context(), fn); err != nil {
		s.t.Fatal(err)
	}
}

// issue makes an invoice over 11.90 EUR with tax.
func (s *shop) issue(key string) (inv invoicing.Invoice) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Issue(s.t.Context(), tx, invoicing.Draft{Key: key, AccountID: s.account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS Small", Quantity: 1, Unit: eur(1000)}}})
		return err
	})
	return inv
}

func (s *shop) invoice(id uuid.UUID) (inv invoicing.Invoice) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		inv, err = invoicing.Get(s.t.Context(), tx, id)
		return err
	})
	return inv
}

func (s *shop) payments(f payment.Filter) (all []payment.Payment) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		all, err = payment.List(s.t.Context(), tx, f)
		return err
	})
	return all
}

// jobs counts the jobs of a kind.
func (s *shop) jobs(kind string) (n int) {
	s.t.Helper()
	if err := s.Owner.QueryRow(s.t.Context(), "SELECT count(*) FROM river.river_job WHERE kind = $1", kind).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// balanced checks that the books agree with the invoices and the payments.
func (s *shop) balanced() {
	s.t.Helper()
	var row struct{ Receivable, Owed, Cash, Kept int64 }
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT
			(SELECT coalesce(sum(CASE WHEN debit = 'receivable' THEN amount_minor WHEN credit = 'receivable' THEN -amount_minor ELSE 0 END), 0) FROM ledger_postings) AS receivable,
			(SELECT coalesce(sum(total_minor - paid_minor - credited_minor), 0) FROM invoices WHERE kind = 'invoice') AS owed,
			(SELECT coalesce(sum(CASE WHEN debit LIKE 'cash/%' OR debit LIKE 'dispute%' THEN amount_minor ELSE 0 END - CASE WHEN credit LIKE 'cash/%' OR credit LIKE 'dispute%' THEN amount_minor ELSE 0 END), 0) FROM ledger_postings) AS cash,
			(SELECT coalesce(sum(amount_minor), 0) FROM payments WHERE state = 'succeeded') - (SELECT coalesce(sum(amount_minor), 0) FROM refunds WHERE state = 'succeeded') AS kept`).Scan(s.t.Context(), &row)
	})
	if row.Receivable != row.Owed || row.Cash != row.Kept {
		s.t.Errorf("the books do not agree: %+v", row)
	}
}
