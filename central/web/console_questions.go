package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

type questionsView struct {
	Tabs   []map[string]any
	List   table.Request
	Rows   []questionRow
	Total  int
	States []choice
}

type questionRow struct {
	wholesale.Asked
	Status map[string]any
}

func questionStatus(q wholesale.Asked) map[string]any {
	switch q.State {
	case wholesale.QuestionAccepted:
		return office.Status("good", "Accepted")
	case wholesale.QuestionDeclined:
		return office.Status("idle", "Declined")
	}
	if q.ByStaff {
		return office.Status("busy", "Answered")
	}
	return office.Status("warn", "Open")
}

func questionStates() []choice {
	return []choice{{"", "All"}, {wholesale.QuestionOpen, "Open"}, {wholesale.QuestionAccepted, "Accepted"}, {wholesale.QuestionDeclined, "Declined"}}
}

func (s *Console) listQuestions(c *fiber.Ctx) error {
	r := table.Read(c, "state")
	rows, total, err := s.Wholesale.Questions(c.UserContext(), wholesale.QuestionFilter{State: r.Filters["state"], Offset: r.Offset(), Limit: r.Limit()})
	if err != nil {
		return err
	}
	v := questionsView{Tabs: wholesaleTabs("/wholesale/questions"), List: r, Total: total, States: questionStates()}
	for _, q := range rows {
		v.Rows = append(v.Rows, questionRow{q, questionStatus(q)})
	}
	return surface.Render(c, "console", "console/wholesale_questions", "Questions", v)
}

// answerLine answers the open question of a line in one of three ways, and shows the line
// again as the form was filled in when that is refused.
func (s *Console) answerLine(c *fiber.Ctx) error {
	v, err := lookAtLine(c, s.Wholesale, "/wholesale/invoices", tenancy.ID{})
	if err != nil {
		return err
	}
	v.May, v.Text, v.Amount = true, table.Text(c.FormValue("text"), 2000), table.Text(c.FormValue("amount"), 40)
	id, err := uuid.Parse(c.FormValue("question"))
	if err != nil {
		return fault.New(fault.NotFound, "question.unknown", "There is no such question.")
	}
	said := "Your answer is sent."
	switch c.FormValue("do") {
	case "accept":
		var n wholesale.CreditNote
		n, err = s.Wholesale.Accept(c.UserContext(), wholesale.Acceptance{Question: id, Amount: v.Amount, Text: v.Text}, office.By(c))
		said = "Accepted with credit note " + n.Number + "."
	case "decline":
		err = s.Wholesale.Decline(c.UserContext(), id, v.Text, office.By(c))
		said = "The question is declined."
	default:
		err = s.Wholesale.Answer(c.UserContext(), id, v.Text, office.By(c))
	}
	path := v.Base + "/lines/" + c.Params("line")
	switch {
	case fault.Is(err, "question.decided"):
		return office.Refused(c, err, path)
	case err != nil:
		return surface.FormError(c, err, "console", "console/wholesale_line", "A line of "+v.I.Number, v)
	}
	return surface.Redirect(c, path, said)
}

func (s *Console) creditPDF(c *fiber.Ctx) error {
	return sendCredit(c, s.Wholesale, tenancy.ID{})
}

// sendCredit prints a credit note of anybody, or of the tenant given.
func sendCredit(c *fiber.Ctx, d *wholesale.Desk, of tenancy.ID) error {
	id, err := uuid.Parse(c.Params("credit"))
	if err != nil {
		return fault.New(fault.NotFound, "wholesale_credit.unknown", "There is no such credit note.")
	}
	n, err := d.CreditNote(c.UserContext(), id, of)
	if err != nil {
		return err
	}
	return printDocument(c, n.Document, n.Number)
}

// printDocument sends a stored document as PDF.
func printDocument(c *fiber.Ctx, d document.Document, number string) error {
	file, err := document.PDF(d, document.Look{})
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/pdf")
	c.Set(fiber.HeaderContentDisposition, `inline; filename="`+number+`.pdf"`)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Send(file)
}
