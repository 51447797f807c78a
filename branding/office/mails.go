package office

import (
	"context"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Mails are the pages about which mails went out.
type Mails struct {
	Path   string
	Layout string
	Lead   string
	Needs  identity.Permission
	Plane  func(*fiber.Ctx) identity.Plane
	// Again sends a failed mail once more; mail.Outbox does.
	Again func(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error
}

// Routes are the pages' routes.
func (m *Mails) Routes() []surface.Route {
	return []surface.Route{
		{Method: "GET", Path: m.Path, Needs: m.Needs, Handler: m.show},
		{Method: "POST", Path: m.Path + "/:mail/again", Needs: m.Needs, Handler: m.again},
	}
}

type mailRow struct {
	mail.Logged
	Status map[string]any
}

type mailsView struct {
	Path, Lead string
	List       table.Request
	Rows       []mailRow
	Total      int
}

func (m *Mails) show(c *fiber.Ctx) error {
	r := table.Read(c, "state")
	f := mail.LogFilter{Text: r.Text, State: r.Filters["state"], Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if r.CSV {
		return m.csv(c, f)
	}
	found, total, err := m.read(c, f)
	if err != nil {
		return err
	}
	v := mailsView{Path: m.Path, Lead: m.Lead, List: r, Total: total}
	for _, x := range found {
		status := Status("busy", "Waiting")
		switch x.State {
		case mail.Sent:
			status = Status("good", "Sent")
			status["Since"] = x.SentAt
		case mail.Failed:
			status = Status("bad", "Failed")
		}
		v.Rows = append(v.Rows, mailRow{x, status})
	}
	return surface.Render(c, m.Layout, "office/mails", "Mails", v)
}

func (m *Mails) read(c *fiber.Ctx, f mail.LogFilter) (found []mail.Logged, total int, err error) {
	err = m.Plane(c).View(c.UserContext(), func(tx tenancy.Statements) error {
		found, total, err = mail.Log(c.UserContext(), tx, f)
		return err
	})
	return found, total, err
}

func (m *Mails) csv(c *fiber.Ctx, f mail.LogFilter) error {
	all, err := table.Collect(func(offset, limit int) ([]mail.Logged, int, error) {
		f.Offset, f.Limit = offset, limit
		return m.read(c, f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		rows[i] = []string{table.Time(x.CreatedAt), x.ToAddress, x.Template, x.Subject, x.State, strconv.Itoa(x.Attempts), x.LastError, table.Time(x.SentAt)}
	}
	return table.CSV(c, "mails", []string{"written", "to", "kind", "subject", "state", "attempts", "error", "sent"}, rows)
}

func (m *Mails) again(c *fiber.Ctx) error {
	id, err := uuid.Parse(c.Params("mail"))
	if err != nil {
		return fault.New(fault.NotFound, "mail.not_found", "There is no such mail.")
	}
	by := By(c)
	err = m.Plane(c).Update(c.UserContext(), func(tx tenancy.Statements) error {
		x, err := mail.Find(c.UserContext(), tx, id)
		if err != nil {
			return err
		}
		if err := m.Again(c.UserContext(), tx, id); err != nil {
			return err
		}
		return by.Record(c.UserContext(), tx, "mail.sent_again", audit.Target{Kind: "mail", ID: id.String()}, map[string]any{"to": x.ToAddress, "kind": x.Template})
	})
	if err != nil {
		return Refused(c, err, m.Path)
	}
	return surface.Redirect(c, m.Path, "The mail is on its way again.")
}
