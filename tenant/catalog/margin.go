package catalog

import (
	"math/big"

	"github.com/ezscale/ezscale/billing"
)

// Margin is what is left of a price for the reseller.
type Margin struct {
	Currency string
	Cycle    Cycle
	Price    billing.Money
	Cost     billing.Money // wholesale for the cycle, rounded up
	Fee      billing.Money // of the payment, estimated
	Tax      billing.Money // that the price holds
	Left     billing.Money
	Percent  int  // of the price without tax, rounded down
	Known    bool // the cost is of the price's currency
}

// The estimate of what a gateway keeps: parts per thousand and minor units a payment.
const (
	feePerMille = 29
	feeFixed    = 30
)

// MarginOf says what is left of a price for a cycle after the tax it holds (held, in parts
// per million on top of the net; 0 where prices are without), the wholesale cost and the
// estimated fee of the payment. A cost of another currency is not converted.
func MarginOf(price billing.Money, cycle Cycle, cost Cost, held int64) Margin {
	m := Margin{Currency: price.Currency, Cycle: cycle, Price: price, Cost: billing.Money{Currency: price.Currency}, Tax: billing.Money{Currency: price.Currency}}
	net, err := price.Ratio(billing.PpmWhole, billing.PpmWhole+held)
	if err != nil {
		return m
	}
	m.Tax.Minor = price.Minor - net.Minor
	fee, err := price.Ratio(feePerMille, 1000)
	if err != nil {
		return m
	}
	if price.Minor > 0 {
		fee.Minor += feeFixed
	}
	m.Fee = fee
	months := int64(cycle.Months())
	if cost.Currency != "" && (cost.Currency != price.Currency || months == 0) {
		return m
	}
	if cost.Currency != "" {
		minor, ok := new(big.Rat).SetString(cost.Minor)
		if !ok {
			return m
		}
		minor.Mul(minor, new(big.Rat).SetInt64(months))
		// Rounded up: an estimate must not promise more than there is.
		up := new(big.Int).Add(minor.Num(), new(big.Int).Sub(minor.Denom(), big.NewInt(1)))
		up.Quo(up, minor.Denom())
		if !up.IsInt64() {
			return m
		}
		m.Cost.Minor = up.Int64()
	}
	rest, err := net.Sub(m.Cost)
	if err != nil {
		return m
	}
	if m.Left, err = rest.Sub(fee); err != nil {
		return m
	}
	m.Known = true
	if net.Minor > 0 {
		share := new(big.Rat).SetFrac64(m.Left.Minor, net.Minor)
		share.Mul(share, big.NewRat(100, 1))
		floor := new(big.Int).Div(share.Num(), share.Denom())
		m.Percent = int(floor.Int64())
	}
	return m
}
