package web

import (
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// What moved a reseller's balance in a month, and where it is paid out to.

const statementsPath = balancePath + "/statements"

// setPayoutAccount handles POST /balance/payout-account.
func (s *Partner) setPayoutAccount(c *fiber.Ctx) error {
	me, v, err := s.readBalance(c)
	if err != nil {
		return err
	}
	v.Account = wholesale.PayoutAccount{Holder: table.Text(c.FormValue("payout_holder"), 200), IBAN: table.Text(c.FormValue("payout_iban"), 60), BIC: table.Text(c.FormValue("payout_bic"), 20)}
	if err := s.SignIn.Proven(c); fault.Is(err, "session.not_fresh") {
		return signin.AskPassword(c, "/security", balancePath) // money goes where this says
	} else if err != nil {
		return err
	}
	if err := s.Wholesale.SetPayoutAccount(c.UserContext(), me.ID, v.Account, office.By(c)); err != nil {
		return surface.FormError(c, err, "partner", "partner/balance", "Balance", v)
	}
	return surface.Redirect(c, balancePath, "You are paid out to this account from now on.")
}

type statementView struct {
	S      wholesale.BalanceStatement
	Months []string
	Sums   []statementSum
	Rows   []movementRow
	CSV    string
}

type statementSum struct {
	What   string
	Count  int
	Amount billing.Money
}

// mostShown is how many movements the page of a month shows; the file has all.
const mostShown = 200

// balanceStatement handles GET /balance/statements, of the newest month, and
// /balance/statements/:month, as a page or a file.
func (s *Partner) balanceStatement(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	st, err := s.Wholesale.BalanceStatement(c.UserContext(), me.ID, c.Params("month"))
	if err != nil {
		return err
	}
	if table.Read(c).CSV {
		return statementCSV(c, st)
	}
	months := st.Months
	if !slices.Contains(months, st.Month) {
		months = append([]string{st.Month}, months...)
	}
	v := statementView{S: st, Months: months, CSV: statementsPath + "/" + st.Month + "?format=csv", Rows: movementsOf(st.Rows[:min(len(st.Rows), mostShown)], "/invoices")}
	for _, x := range st.Sums {
		v.Sums = append(v.Sums, statementSum{sumWord(x.Kind), x.Count, x.Amount})
	}
	return surface.Render(c, "partner", "partner/balance_statement", "Statement", v)
}

// sumWord says in words what the movements of a kind are together.
func sumWord(kind string) string {
	return map[string]string{"collected": "Customers' payments", "fee": "Fees for taking them", "customer_refund": "Refunds to customers", "dispute": "Asked back by banks", "topup": "Top-ups", "invoice": "Your invoices, paid from the balance",
		"refund": "Top-ups given back", "returned": "Top-ups that came back", "payout": "Payouts to you"}[kind]
}

// statementCSV is a month's statement as a file: the opening, each movement, the closing.
func statementCSV(c *fiber.Ctx, st wholesale.BalanceStatement) error {
	currency := st.Opening.Currency
	rows := [][]string{{table.Time(st.From), "opening", "", "", st.Opening.Decimal(), currency}}
	for _, m := range st.Rows {
		rows = append(rows, []string{table.Time(m.At), m.Kind, m.Note, m.Amount().Decimal(), m.Left().Decimal(), m.Currency})
	}
	rows = append(rows, []string{table.Time(st.To), "closing", "", "", st.Closing.Decimal(), currency})
	return table.CSV(c, "statement-"+st.Month, []string{"at", "kind", "note", "amount", "left", "currency"}, rows)
}
