package stripe_test

import (
	"testing"
	"time"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/gatewaytest"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
)

// Stripe's test accounts of Germany.
const (
	ibanWorks = "DE89 3704 0044 0532 0130 00"
	ibanFails = "DE62370400440532013001"
	ibanBack  = "DE35370400440532013002"
)

// agreedAt is when the mandates here were given. One moment, for what is sent twice with one
// key has to be the same, as it is where the desk keeps the moment with the form.
var agreedAt = time.Date(2026, 10, 5, 9, 30, 0, 0, time.UTC)

// agree keeps a bank account with its owner's mandate.
func (w world) agree(t *testing.T, customer, iban string) gateway.Setup {
	t.Helper()
	s, err := w.gw.Agree(t.Context(), gateway.Agreement{
		Key: "agree/" + iban, Customer: gateway.Customer{Key: "a1", Ref: customer, Email: "ida@example.com"}, Holder: "Ida Berg", IBAN: iban,
		IP: "192.0.2.7", Browser: "Firefox", At: agreedAt,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestContractOfDebits holds bank accounts to what every saved method does, but for the
// days a debit takes.
func TestContractOfDebits(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) gatewaytest.Rig {
		w := newWorld(t, "whsec_x")
		c := w.customer(t)
		return gatewaytest.Rig{
			Gateway: w.gw, Customer: gateway.Customer{Key: "a1", Ref: c, Name: "Ida", Email: "ida@example.com"}, Kind: gateway.DirectDebit,
			Good: w.agree(t, c, ibanWorks).Method.Ref, Bad: w.agree(t, c, ibanFails).Method.Ref, Later: gateway.RequiresAction,
			Settle: func(string) { w.turn(6 * 24 * time.Hour) },
			Down:   func(d bool) { w.lab.SetFaults(stripelab.Faults{Down: d}) },
		}
	})
}

func TestAMandate(t *testing.T) {
	w := newWorld(t)
	c := w.customer(t)
	s := w.agree(t, c, ibanWorks)
	m := s.Method
	if s.State != gateway.Succeeded || s.Key != "agree/"+ibanWorks || m == nil || m.Kind != gateway.DirectDebit || m.Label != "Bank account DE •••• 3000" || m.CustomerRef != c || m.Mandate == nil || m.Mandate.Reference == "" || m.Mandate.Bank != "DE 37040044" {
		t.Fatalf("%+v %+v", s, m)
	}
	if again := w.agree(t, c, ibanWorks); again.Ref != s.Ref || again.Method.Mandate.Reference != m.Mandate.Reference {
		t.Errorf("the same key made %+v", again)
	}
	if found, err := w.gw.SetupState(t.Context(), s.Ref); err != nil || found.Method == nil || found.Method.Mandate == nil || *found.Method.Mandate != *m.Mandate {
		t.Errorf("found %+v %v", found, err)
	}
	if bad := w.agree(t, c, "DE00370400440532013000"); bad.State != gateway.Failed || bad.Decline == nil || bad.Decline.Code != "invalid_bank_account_iban" || bad.Decline.Text == "" {
		t.Errorf("no account: %+v", bad)
	}
	p, err := w.gw.Charge(t.Context(), gateway.Charge{Key: "usd", Amount: billing.Money{Minor: 100, Currency: "USD"}, Customer: gateway.Customer{Key: "a", Ref: c}, Method: m.Ref, Kind: m.Kind})
	if err != nil || p.State != gateway.Failed || p.Decline == nil || p.Decline.Kind != gateway.Hard {
		t.Errorf("dollars: %+v %v", p, err)
	}
}

// TestADebitThatIsSentBack: eight weeks after it came its owner has it sent back, which is
// a dispute that is lost.
func TestADebitThatIsSentBack(t *testing.T) {
	w := newWorld(t)
	c := w.customer(t)
	m := w.agree(t, c, ibanBack).Method
	p, err := w.gw.Charge(t.Context(), gateway.Charge{Key: "k", Amount: eur(999), Customer: gateway.Customer{Key: "a", Ref: c}, Method: m.Ref, Kind: m.Kind})
	if err != nil || p.State != gateway.Processing {
		t.Fatalf("%+v %v", p, err)
	}
	w.turn(6 * 24 * time.Hour)
	if p, err = w.gw.Payment(t.Context(), p.Ref); err != nil || p.State != gateway.Succeeded {
		t.Fatalf("%+v %v", p, err)
	}
	if minor, n := w.lab.Taken(secret); n != 1 || minor["eur"] != 0 {
		t.Errorf("%d debits left %v", n, minor)
	}
	all := w.api.Events.List(&stripego.EventListParams{Type: stripego.String("charge.dispute.created")})
	for all.Next() {
		if e := all.Event(); e.Type == "charge.dispute.created" {
			d, err := w.gw.Dispute(t.Context(), e.Data.Object["id"].(string))
			if err != nil || d.State != gateway.Lost || d.Withdrawn != eur(999) || d.Payment != p.Ref || gateway.Why(d.Reason) != "the account's owner says they allowed no debit" {
				t.Errorf("%+v %v", d, err)
			}
			return
		}
	}
	t.Error("no dispute was told")
}
