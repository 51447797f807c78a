package web

import (
	"html"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/letters"
)

// mailTextRoutes are the pages where the team puts mails in its own words.
func (s *Site) mailTextRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/mail-texts" + path, Needs: identity.MailsWrite, Handler: h}
	}
	return []surface.Route{
		at("GET", "", s.listMailTexts),
		at("GET", "/:template", s.showMailText),
		at("POST", "/:template", s.saveMailText),
		at("POST", "/:template/reset", s.resetMailText),
		at("GET", "/:template/preview", s.showLetter),
		at("POST", "/:template/preview", s.tryLetter),
	}
}

type mailTextRow struct {
	Template, Label, Subject string
	Own                      bool
}

func mailTextLabel(template string) string {
	words := strings.ReplaceAll(template, "_", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

func (s *Site) ownTexts(c *fiber.Ctx) (map[string]letters.Own, error) {
	own := map[string]letters.Own{}
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		found, err := letters.List(c.UserContext(), tx)
		for _, o := range found {
			own[o.Template] = o
		}
		return err
	})
	return own, err
}

// listMailTexts handles GET /manage/mail-texts.
func (s *Site) listMailTexts(c *fiber.Ctx) error {
	own, err := s.ownTexts(c)
	if err != nil {
		return err
	}
	t, _ := surface.Tenant(c)
	var rows []mailTextRow
	for _, name := range letters.Customers() {
		row := mailTextRow{Template: name, Label: mailTextLabel(name), Subject: s.Office.Letters.BuiltIn(t.Theme, name).Subject}
		if o, is := own[name]; is {
			row.Own, row.Subject = true, o.Subject
		}
		rows = append(rows, row)
	}
	return surface.Render(c, "manage", "manage/mail_texts", "Mail texts", rows)
}

type mailTextView struct {
	Template, Label, At string
	Subject, Body       string
	Own                 bool
	Values              []string // what may stand in the words
	Preview             *mail.Letter
}

func (s *Site) mailTextView(c *fiber.Ctx) (v mailTextView, from mail.Sender, err error) {
	name := c.Params("template")
	if err := letters.Known(name); err != nil {
		return v, from, err
	}
	if from, err = s.Office.Sender(c.UserContext(), surface.DB(c)); err != nil {
		return v, from, err
	}
	own, err := s.ownTexts(c)
	if err != nil {
		return v, from, err
	}
	words := s.Office.Letters.BuiltIn(from.Brand.Theme, name)
	o, is := own[name]
	if is {
		words = mail.Text{Subject: o.Subject, Body: o.Body}
	}
	v = mailTextView{Template: name, Label: mailTextLabel(name), At: "/manage/mail-texts/" + name, Subject: words.Subject, Body: words.Body, Own: is}
	for _, key := range mail.Templates[name] {
		if key != mail.Unsubscribe { // it stands below the words
			v.Values = append(v.Values, "{{ data."+key+" }}")
		}
	}
	v.Values = append(v.Values, "{{ brand.name }}", "{{ brand.host }}", "{{ brand.support }}")
	return v, from, nil
}

func (s *Site) previewMailText(v *mailTextView, from mail.Sender) error {
	words := mail.Text{Subject: v.Subject, Body: v.Body}
	if err := s.Office.Letters.Check(from, v.Template, words); err != nil {
		return err
	}
	letter, err := s.Office.Letters.RenderOwn(from, v.Template, mail.Sample(v.Template), words)
	v.Preview = &letter
	return err
}

// showMailText handles GET /manage/mail-texts/:template.
func (s *Site) showMailText(c *fiber.Ctx) error {
	v, from, err := s.mailTextView(c)
	if err != nil {
		return err
	}
	if err := s.previewMailText(&v, from); err != nil {
		v.Preview = nil // words of before a change of what they may hold
	}
	surface.Framing(c)
	return surface.Render(c, "manage", "manage/mail_text", v.Label, v)
}

// showLetter handles GET /manage/mail-texts/:template/preview: the mail as its readers see
// it, in the page's frame.
func (s *Site) showLetter(c *fiber.Ctx) error {
	v, from, err := s.mailTextView(c)
	if err != nil {
		return err
	}
	return s.letter(c, v, from)
}

// tryLetter handles POST /manage/mail-texts/:template/preview: the same with the words as
// they are typed, which the form sends into the frame. Nothing is kept.
func (s *Site) tryLetter(c *fiber.Ctx) error {
	v, from, err := s.mailTextView(c)
	if err != nil {
		return err
	}
	v.Subject, v.Body = c.FormValue("subject"), c.FormValue("body")
	return s.letter(c, v, from)
}

func (s *Site) letter(c *fiber.Ctx, v mailTextView, from mail.Sender) error {
	if err := s.previewMailText(&v, from); err != nil {
		f := fault.From(err)
		if f.Kind != fault.Invalid {
			return err
		}
		says := f.Message
		for _, field := range []string{"subject", "body"} {
			if m := f.Fields[field]; m != "" {
				says = m
			}
		}
		c.Status(fiber.StatusUnprocessableEntity)
		return surface.Letter(c, letterNote(`<!doctype html><html lang="en"><head><title>Preview</title></head><body></body></html>`, "Not shown", says))
	}
	return surface.Letter(c, letterNote(v.Preview.HTML, "Subject", v.Preview.Subject))
}

// letterNote puts a line above a letter.
func letterNote(letter, name, says string) string {
	at := strings.Index(letter, "<body")
	end := at + strings.Index(letter[max(at, 0):], ">") + 1
	line := `<p style="margin:0;padding:12px 16px;border-bottom:1px solid #d5d9df;background:#fff;color:#16181d;font:15px/1.5 system-ui,sans-serif"><span style="color:#5b6472">` +
		name + `:</span> <strong>` + html.EscapeString(says) + `</strong></p>`
	return letter[:end] + line + letter[end:]
}

// saveMailText handles POST /manage/mail-texts/:template.
func (s *Site) saveMailText(c *fiber.Ctx) error {
	v, from, err := s.mailTextView(c)
	if err != nil {
		return err
	}
	v.Subject, v.Body = c.FormValue("subject"), c.FormValue("body")
	if err := s.previewMailText(&v, from); err != nil {
		v.Preview = nil
		surface.Framing(c)
		return surface.FormError(c, err, "manage", "manage/mail_text", v.Label, v)
	}
	if err := letters.Save(c.UserContext(), surface.DB(c), v.Template, mail.Text{Subject: v.Subject, Body: v.Body}, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, v.At, "Saved. The next mail of this kind has your words.")
}

func (s *Site) resetMailText(c *fiber.Ctx) error {
	if err := letters.Reset(c.UserContext(), surface.DB(c), c.Params("template"), office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/mail-texts/"+c.Params("template"), "The built-in words are back.")
}
