package sandbox_test

import (
	"testing"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/gatewaytest"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
)

func TestContract(t *testing.T) {
	gatewaytest.Run(t, func(*testing.T) gatewaytest.Rig {
		return gatewaytest.Rig{Gateway: &sandbox.Gateway{}, Customer: gateway.Customer{Key: "a1"}, Good: sandbox.Works + "/a1", Bad: sandbox.Declined + "/a1"}
	})
}
