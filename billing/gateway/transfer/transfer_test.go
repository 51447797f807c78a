package transfer_test

import (
	"errors"
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/gatewaytest"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
)

func TestContract(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) gatewaytest.Rig {
		g, err := transfer.New(transfer.Config{Holder: "Alpha GmbH", IBAN: "DE02120300000000202051"})
		if err != nil {
			t.Fatal(err)
		}
		return gatewaytest.Rig{Gateway: g, Customer: gateway.Customer{Key: "a1"}, ByHand: true, Later: gateway.Processing}
	})
}

func TestInstructions(t *testing.T) {
	if _, err := transfer.New(transfer.Config{Holder: "Alpha GmbH"}); !errors.Is(err, gateway.ErrCredentials) {
		t.Errorf("without an account: %v", err)
	}
	g, err := transfer.New(transfer.Config{Holder: "Alpha GmbH", IBAN: "DE02120300000000202051"})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, i := range g.Instructions(billing.Money{Minor: 1190, Currency: "EUR"}, "INV-1") {
		said[i.Label] = i.Value
	}
	if said["IBAN"] != "DE02 1203 0000 0000 2020 51" || said["Amount"] != "11.90 EUR" || said["Reference"] != "INV-1" || len(said) != 4 {
		t.Errorf("%v", said)
	}
}
