package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/fault"
)

type twinMailsView struct {
	T                TwinShown
	Rows             []twinMailRow
	All              int
	Q                string
	Page, Prev, Next int
}

type twinMailRow struct {
	mail.Logged
	Label string
}

const twinMailsPage = 50

// listTwinMails handles GET /manage/twins/one/:twin/mails: the trap.
func (s *Site) listTwinMails(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	kept, err := s.twins()
	if err != nil {
		return err
	}
	id, err := twinParam(c)
	if err != nil {
		return err
	}
	v := twinMailsView{Q: strings.ToValidUTF8(c.Query("q"), ""), Page: max(1, min(c.QueryInt("page", 1), 10_000))}
	if v.T, err = kept.Get(c.UserContext(), t.ID, id); err != nil {
		return err
	}
	found, all, err := kept.Mails(c.UserContext(), t.ID, id, mail.LogFilter{Text: v.Q, Offset: (v.Page - 1) * twinMailsPage, Limit: twinMailsPage})
	if err != nil {
		return err
	}
	v.All = all
	for _, m := range found {
		v.Rows = append(v.Rows, twinMailRow{m, mailTextLabel(m.Template)})
	}
	if v.Page > 1 {
		v.Prev = v.Page - 1
	}
	if v.Page*twinMailsPage < v.All {
		v.Next = v.Page + 1
	}
	return surface.Render(c, "manage", "manage/twin-mails", "Mails of "+v.T.Name, v)
}

type twinMailView struct {
	T     TwinShown
	M     mail.Logged
	Text  string
	Title string
}

// showTwinMail handles GET /manage/twins/one/:twin/mails/:mail.
func (s *Site) showTwinMail(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	kept, err := s.twins()
	if err != nil {
		return err
	}
	id, err := twinParam(c)
	if err != nil {
		return err
	}
	letter, err := uuid.Parse(c.Params("letter"))
	if err != nil {
		return fault.New(fault.NotFound, "mail.not_found", "There is no such mail.")
	}
	var v twinMailView
	if v.T, err = kept.Get(c.UserContext(), t.ID, id); err != nil {
		return err
	}
	var said mail.Letter
	if v.M, said, err = kept.Mail(c.UserContext(), t.ID, id, letter); err != nil {
		return err
	}
	v.Title, v.Text = said.Subject, said.Text
	return surface.Render(c, "manage", "manage/twin-mail", said.Subject, v)
}
