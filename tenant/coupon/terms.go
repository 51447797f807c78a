package coupon

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// maxAccounts bounds for how many customers a code is made.
const maxAccounts = 200

// read reads what a code takes off; fields of the other variant have a prefix.
func (f Form) read(bad wrong, c *Coupon, prefix string) {
	own := wrong{}
	switch c.Kind {
	case Percent:
		c.Ppm = own.percent(f.Percent)
	case Amount:
		own.amounts(f.Amounts, c.Amounts)
	case Free:
	case Longer:
		c.Days = own.number("days", f.Days, 1, billing.MostTrial)
	default:
		bad["kind"] = "Please choose one of these."
	}
	switch c.Kind {
	case Longer: // it counts for no invoice
	case Free:
		c.Cycles = own.number("cycles", f.Cycles, 1, maxCycles)
	default:
		c.Cycles = own.number("cycles", f.Cycles, 0, maxCycles)
	}
	for field, says := range own {
		bad[prefix+field] = says
	}
}

// more shows what the editor has of a code besides.
func (f *Form) more(c Coupon) {
	days := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	f.Days = days(c.Days)
	for _, n := range c.Accounts {
		f.Accounts += n.Who + "\n"
	}
	o := c.Other
	if f.Other, f.OtherAmounts = o != nil, map[string]string{}; o == nil {
		return
	}
	f.OtherCycles, f.OtherDays = strconv.Itoa(o.Cycles), days(o.Days)
	if o.Ppm > 0 {
		f.OtherPercent = strings.TrimSuffix(billing.Percent(o.Ppm), " %")
	}
	for currency, minor := range o.Amounts {
		f.OtherAmounts[currency] = billing.Money{Minor: minor, Currency: currency}.Decimal()
	}
}

// name finds the accounts a code is for, by the addresses of their owners.
func (c *Coupon) name(ctx context.Context, tx *tenancy.Tx, typed string) error {
	addresses := strings.Fields(strings.NewReplacer(",", " ", ";", " ", "\x00", "").Replace(strings.ToLower(strings.ToValidUTF8(typed, ""))))
	if len(addresses) == 0 {
		return nil
	}
	if slices.Sort(addresses); len(slices.Compact(addresses)) > maxAccounts {
		return fault.Field("accounts", "coupon.many_accounts", fmt.Sprintf("Please name at most %d customers.", maxAccounts))
	}
	addresses = slices.Compact(addresses)
	var found []struct {
		AccountID uuid.UUID
		Email     string
	}
	err := tx.NewRaw(`SELECT m.account_id, lower(p.email) AS email FROM people p JOIN memberships m ON m.person_id = p.id AND m.role = 'owner' JOIN accounts a ON a.id = m.account_id
		WHERE p.world = 'customer' AND lower(p.email) IN (?) AND a.closed_at IS NULL ORDER BY 2, 1`, bun.List(addresses)).Scan(ctx, &found)
	if err != nil {
		return fmt.Errorf("find the customers of a coupon: %w", err)
	}
	known := map[string]bool{}
	for _, x := range found {
		known[x.Email] = true
		c.Accounts = append(c.Accounts, Named{ID: x.AccountID, Who: x.Email})
	}
	for _, a := range addresses {
		if !known[a] {
			return fault.Field("accounts", "coupon.no_account", "No customer's account is owned by "+a+".")
		}
	}
	return nil
}

func orNull(v any, null bool) (*string, error) {
	if null {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	text := string(raw)
	return &text, err
}
