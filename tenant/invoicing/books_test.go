package invoicing_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

func (s *shop) books() (r invoicing.Report) {
	s.t.Helper()
	err := s.db.View(s.t.Context(), func(tx *tenancy.Tx) (err error) {
		r, err = invoicing.Books(s.t.Context(), tx)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *shop) hold(documents int) {
	s.t.Helper()
	if r := s.books(); !r.Holds() || r.Documents != documents {
		s.t.Errorf("the books: %+v", r)
	}
}

// Issuers at once, some of whom fail after they have their number, some with the same
// key: the numbers have no gap and every key one invoice.
func TestNumbersWithoutGapsWhileManyIssue(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	boom := errors.New("rolled back")
	var wait sync.WaitGroup
	for i := range 50 {
		wait.Go(func() {
			err := s.db.Update(t.Context(), func(tx *tenancy.Tx) error {
				_, err := invoicing.Issue(t.Context(), tx, s.draft(fmt.Sprintf("order/%d", i%25), 100))
				if err == nil && i%4 == 3 {
					err = boom
				}
				return err
			})
			if err != nil && !errors.Is(err, boom) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	made := map[string]bool{}
	for i := range 50 {
		if i%4 != 3 {
			made[fmt.Sprint(i%25)] = true
		}
	}
	s.hold(len(made))
}

// Any life of any invoices leaves books that hold and sum to nothing.
func TestBooksHoldThroughAnyLife(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	other := open(t, w, w.B)
	fr, biz, us := uuid.New(), uuid.New(), uuid.New()
	s.customer(fr, "Élodie", "FR", "")
	s.customer(biz, "Kostas AE", "GR", "EL123456789")
	s.customer(us, "Ann", "US", "")
	documents, n := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		d := s.draft(fmt.Sprintf("order/%d", n))
		d.AccountID = rapid.SampledFrom([]uuid.UUID{s.account, fr, biz, us}).Draw(t, "customer")
		for range rapid.IntRange(1, 4).Draw(t, "lines") {
			class := rapid.SampledFrom([]string{"", billing.Zero}).Draw(t, "class")
			d.Lines = append(d.Lines, billing.Line{
				Kind: "plan", Description: "VPS", Quantity: rapid.Int64Range(1, 5).Draw(t, "quantity"), Unit: eur(rapid.Int64Range(0, 9999).Draw(t, "unit")),
				Tax: billing.TaxRule{Class: class},
			})
		}
		inv := s.issue(d)
		documents++
		for range rapid.IntRange(0, 6).Draw(t, "events") {
			now := s.get(inv.ID)
			switch rapid.IntRange(0, 2).Draw(t, "event") {
			case 0:
				s.pay(inv, uuid.New(), rapid.Int64Range(1, inv.Total.Minor+2).Draw(t, "paid"))
			case 1:
				r := invoicing.CreditRequest{Key: "credit/" + uuid.NewString(), InvoiceID: inv.ID, Reason: "as drawn"}
				if left := inv.Total.Minor - now.Credited.Minor; left > 0 && rapid.Bool().Draw(t, "partly") {
					r.Amount = eur(rapid.Int64Range(1, left).Draw(t, "credited"))
				}
				if _, err := s.credit(r); err == nil {
					documents++
				} else if now.Credited != inv.Total {
					t.Fatalf("credit of %+v: %v", now, err)
				}
			case 2:
				if now.Paid.Minor > 0 {
					s.update(func(tx *tenancy.Tx) error {
						return invoicing.GivenBack(s.t.Context(), tx, invoicing.GivenBackMoney{
							InvoiceID: inv.ID, RefundID: uuid.New(), Gateway: "stripe", Amount: eur(rapid.Int64Range(1, now.Paid.Minor).Draw(t, "back")),
						})
					})
				}
			}
		}
		s.hold(documents)
		sum := int64(0)
		for _, b := range s.books().Balances {
			sum += b.Minor
		}
		if sum != 0 {
			t.Fatalf("the trial balance is %d", sum)
		}
	})
	other.hold(0)
}

// Whoever changes what was issued is found out.
func TestBooksFindWhatWasChanged(t *testing.T) {
	w := tenancytest.New(t)
	for name, change := range map[string]string{
		"document was changed": "UPDATE invoices SET document = jsonb_set(document, '{buyer,name}', '\"Eve\"') WHERE number = 'INV-2026-00002'",
		"does not follow":      "UPDATE invoices SET prev_hash = 'x' WHERE number = 'INV-2026-00002'",
		"is missing":           "UPDATE invoices SET sequence = 9, series = NULL WHERE number = 'INV-2026-00002'",
		"goes on at":           "UPDATE number_series SET next = next + 1 WHERE code = 'invoice'",
		"disagree":             "UPDATE invoices SET net_minor = net_minor + 1, total_minor = total_minor + 1 WHERE number = 'INV-2026-00002'",
		"are open":             "UPDATE invoices SET state = 'open' WHERE number = 'INV-2026-00001'",
		"in the books":         "UPDATE invoices SET paid_minor = paid_minor - 1 WHERE number = 'INV-2026-00001'",
		"its lines come to":    "UPDATE invoice_lines SET net_minor = 1",
		"credited":             "UPDATE invoices SET credited_minor = 1 WHERE number = 'INV-2026-00002'",
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, w, w.A)
			boom := errors.New("undo")
			err := s.db.Update(t.Context(), func(tx *tenancy.Tx) error {
				for i, key := range []string{"a", "b", "c"} {
					inv, err := invoicing.Issue(t.Context(), tx, s.draft(key, 1000))
					if err != nil {
						return err
					}
					if i == 0 {
						err = invoicing.Applied(t.Context(), tx, invoicing.Application{InvoiceID: inv.ID, PaymentID: uuid.New(), Gateway: "stripe", Amount: inv.Total})
						if err != nil {
							return err
						}
					}
				}
				if _, err := tx.NewRaw(change).Exec(t.Context()); err != nil {
					return err
				}
				r, err := invoicing.Books(t.Context(), tx)
				if err != nil {
					return err
				}
				if !strings.Contains(strings.Join(r.Problems, "\n"), name) {
					t.Errorf("%+v", r)
				}
				return boom
			})
			if !errors.Is(err, boom) {
				t.Error(err)
			}
		})
	}
}
