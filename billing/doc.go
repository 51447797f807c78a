// Package billing is money and time as rules: pure functions over values, exact to
// the minor unit. It owns Money and the one way of rounding. It has no context, no
// SQL, no HTTP and no clock, and knows neither orders nor gateways.
package billing
