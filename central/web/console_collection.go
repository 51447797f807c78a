package web

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// What the platform takes for resellers in its own account, for staff: on what terms, what
// is due to each, and what was paid out.

const payoutsPath = "/wholesale/payouts"

func (s *Console) collectionRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", payoutsPath, identity.WholesaleRead, s.listPayouts),
		at("POST", "/resellers/:id/balance/collection", identity.WholesaleWrite, s.setCollection),
		at("POST", "/resellers/:id/balance/payout", identity.WholesaleWrite, s.payOut),
		at("POST", "/resellers/:id/balance/payout-returned", identity.WholesaleWrite, s.payoutReturned),
	}
}

// typedTerms are terms as the form has them.
func typedTerms(t wholesale.CollectionTerms) wholesale.NewCollectionTerms {
	n := wholesale.NewCollectionTerms{Allowed: t.Allowed, Percent: t.Percent(), Fixed: typedMoney(t.Fixed()), HoldDays: strconv.Itoa(t.HoldDays)}
	if t.From.IsZero() { // a proposal
		n.Percent, n.HoldDays = "", "14"
	}
	return n
}

// setCollection handles POST /resellers/:id/balance/collection.
func (s *Console) setCollection(c *fiber.Ctx) error {
	n := wholesale.NewCollectionTerms{Allowed: c.FormValue("collect") == "on", Percent: table.Text(c.FormValue("collect_percent"), 20), Fixed: table.Text(c.FormValue("collect_fixed"), 20), HoldDays: table.Text(c.FormValue("collect_hold"), 10)}
	said := "The platform takes no new payments for them."
	if n.Allowed {
		said = "They may have the platform take cards on these terms."
	}
	return s.changeBalance(c, said, func(r reseller.Reseller) error {
		return s.Wholesale.SetCollectionTerms(c.UserContext(), r.ID, n, office.By(c))
	}, func(v *consoleBalanceView) { v.Collect = n })
}

// payOut handles POST /resellers/:id/balance/payout.
func (s *Console) payOut(c *fiber.Ctx) error {
	n := wholesale.NewPayout{Amount: table.Text(c.FormValue("payout"), 40), Ref: table.Text(c.FormValue("payout_ref"), 200)}
	return s.changeBalance(c, "The payout is recorded, and they are told.", func(r reseller.Reseller) error {
		return s.Wholesale.PayOut(c.UserContext(), r.ID, n, office.By(c))
	}, func(v *consoleBalanceView) { v.Payout = n })
}

// payoutReturned handles POST /resellers/:id/balance/payout-returned.
func (s *Console) payoutReturned(c *fiber.Ctx) error {
	ref := table.Text(c.FormValue("returned_ref"), 200)
	return s.changeBalance(c, "It is on the balance again.", func(r reseller.Reseller) error {
		return s.Wholesale.PayoutCameBack(c.UserContext(), r.ID, ref, office.By(c))
	}, func(v *consoleBalanceView) { v.ReturnedRef = ref })
}

type payoutsView struct {
	Tabs []map[string]any
	Rows []wholesale.Collection
	Sums []billing.Money // of what is due, by currency
	CSV  string
}

// listPayouts handles GET /wholesale/payouts: what is due to each reseller, as a page or as
// the list that a bank's transfers are made from.
func (s *Console) listPayouts(c *fiber.Ctx) error {
	rows, err := s.Wholesale.Payouts(c.UserContext())
	if err != nil {
		return err
	}
	if table.Read(c).CSV {
		return payoutsCSV(c, rows, s.Wholesale.Central.Now())
	}
	v := payoutsView{Tabs: wholesaleTabs(payoutsPath), Rows: rows, CSV: payoutsPath + "?format=csv"}
	at := map[string]int{}
	for _, r := range rows {
		i, known := at[r.Payable.Currency]
		if !known {
			i, at[r.Payable.Currency] = len(v.Sums), len(v.Sums)
			v.Sums = append(v.Sums, billing.Money{Currency: r.Payable.Currency})
		}
		v.Sums[i].Minor += r.Payable.Minor
	}
	return surface.Render(c, "console", "console/wholesale_payouts", "Payouts", v)
}

// payoutsCSV are those to whom something may be paid out and whose account is known. The
// reference is one a payout can be recorded with.
func payoutsCSV(c *fiber.Ctx, all []wholesale.Collection, now time.Time) error {
	var rows [][]string
	for _, r := range all {
		if r.Payable.Minor > 0 && r.Account.Known() {
			rows = append(rows, []string{r.Tenant.String(), r.Shop, r.Account.Holder, r.Account.IBAN, r.Account.BIC, r.Payable.Decimal(), r.Payable.Currency, r.PayoutRef(now)})
		}
	}
	return table.CSV(c, "payouts", []string{"reseller", "shop", "holder", "iban", "bic", "amount", "currency", "reference"}, rows)
}
