package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

type partnerOverview struct {
	Partner wholesale.Partner
	Shops   []wholesale.Partner // all the person speaks for
	wholesale.Account
	Recent []invoiceRow
}

// overview is what a reseller owes.
func (s *Partner) overview(c *fiber.Ctx) error {
	me, all, err := s.mineOf(c)
	if fault.Is(err, "partner.none") {
		return surface.Redirect(c, "/open", "")
	}
	if err != nil {
		return err
	}
	a, err := s.Wholesale.AccountOf(c.UserContext(), me.ID, 6)
	if err != nil {
		return err
	}
	if a.Use.Team > 0 && s.Team != nil {
		if a.Use.HasTeam, err = s.Team(c.UserContext(), me.ID); err != nil {
			a.Use.HasTeam = -1 // the shop is being migrated or gone: what is owed must be seen all the same
		}
	}
	return surface.Render(c, "partner", "partner/overview", "Overview", partnerOverview{me, all, a, withStatus(a.Recent, s.Central.Now())})
}

type monthView struct {
	Partner wholesale.Partner
	P       wholesale.Preview
}

// month is what the month under way will cost.
func (s *Partner) month(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	p, err := s.Wholesale.Preview(c.UserContext(), me.ID)
	if err != nil {
		return err
	}
	return surface.Render(c, "partner", "partner/month", "This month", monthView{me, p})
}

type pricesView struct {
	Partner wholesale.Partner
	Rows    []wholesale.Listed
	Plans   []wholesale.Planned
}

func (s *Partner) prices(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	rows, plans, err := s.Wholesale.PriceListAndPlans(c.UserContext(), me.ID)
	if err != nil {
		return err
	}
	return surface.Render(c, "partner", "partner/prices", "Price list", pricesView{Partner: me, Rows: rows, Plans: plans})
}

func (s *Partner) invoices(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	r := table.Read(c, "period", "state")
	f := wholesale.InvoiceFilter{Tenant: me.ID, Text: r.Text, Period: r.Filters["period"], State: r.Filters["state"], Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if r.CSV {
		return invoicesCSV(c, s.Wholesale, f)
	}
	rows, total, err := s.Wholesale.Invoices(c.UserContext(), f)
	if err != nil {
		return err
	}
	return surface.Render(c, "partner", "partner/invoices", "Invoices", invoicesView{List: r, Rows: withStatus(rows, s.Central.Now()), Total: total})
}

func (s *Partner) invoice(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	v, err := lookAtInvoice(c, s.Wholesale, "/invoices", me.ID)
	if err != nil {
		return err
	}
	p, _ := surface.Principal(c)
	v.May = p.May(identity.StatementPay) && v.I.State == "open" && v.I.Open().Minor > 0
	return surface.Render(c, "partner", "partner/invoice", "Invoice "+v.I.Number, v)
}

func (s *Partner) pdf(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	v, err := lookAtInvoice(c, s.Wholesale, "/invoices", me.ID)
	if err != nil {
		return err
	}
	return sendPDF(c, v.I)
}

// sendPDF prints an invoice from its stored document.
func sendPDF(c *fiber.Ctx, inv wholesale.Invoice) error {
	return printDocument(c, inv.Document, inv.Number)
}

// credit prints a credit note of the reseller's.
func (s *Partner) credit(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	return sendCredit(c, s.Wholesale, me.ID)
}

// questions are the lines the reseller questioned.
func (s *Partner) questions(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	r := table.Read(c, "state")
	rows, total, err := s.Wholesale.Questions(c.UserContext(), wholesale.QuestionFilter{Tenant: me.ID, State: r.Filters["state"], Offset: r.Offset(), Limit: r.Limit()})
	if err != nil {
		return err
	}
	v := questionsView{List: r, Total: total, States: questionStates()}
	for _, q := range rows {
		v.Rows = append(v.Rows, questionRow{q, questionStatus(q)})
	}
	return surface.Render(c, "partner", "partner/questions", "Questions", v)
}

func (s *Partner) line(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	v, err := lookAtLine(c, s.Wholesale, "/invoices", me.ID)
	if err != nil {
		return err
	}
	v.Ask = true
	return surface.Render(c, "partner", "partner/line", "A line of "+v.I.Number, v)
}

// ask tells staff that the reseller questions a line.
func (s *Partner) ask(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	v, err := lookAtLine(c, s.Wholesale, "/invoices", me.ID)
	if err != nil {
		return err
	}
	v.Ask, v.Text = true, table.Text(c.FormValue("text"), 2000)
	q := wholesale.Question{Invoice: v.I.ID, Position: v.L.Position, Text: v.Text}
	if err := s.Wholesale.Ask(c.UserContext(), me.ID, q, office.By(c)); err != nil {
		return surface.FormError(c, err, "partner", "partner/line", "A line of "+v.I.Number, v)
	}
	return surface.Redirect(c, strings.TrimSuffix(c.Path(), "/question"), "Thank you. We look at it and write to you; the answer stands here too.")
}
