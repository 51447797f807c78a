package surface

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Problem is an error for programs, RFC 9457.
type Problem struct {
	Type     string            `json:"type"` // about:blank; Code says what happened
	Title    string            `json:"title"`
	Status   int               `json:"status"`
	Detail   string            `json:"detail"`
	Instance string            `json:"instance,omitempty"` // the request's id
	Code     string            `json:"code"`
	Fields   map[string]string `json:"fields,omitempty"`
	Next     string            `json:"next,omitempty"` // path of the page on which a person gets further
}

// answerError is the one place that turns an error into an answer.
func (s *Surface) answerError(c *fiber.Ctx, err error) error {
	f := classify(err)
	if f.Kind == fault.Internal {
		s.cfg.Log.ErrorContext(c.UserContext(), "request failed", "request", RequestID(c), "error", err)
	} else if f.Err != nil {
		s.cfg.Log.InfoContext(c.UserContext(), "request refused", "request", RequestID(c), "code", f.Code, "error", f.Err)
	}
	status := f.Kind.Status()
	var fe *fiber.Error
	if errors.As(err, &fe) {
		status = fe.Code
	}
	switch f.Kind {
	case fault.Unavailable:
		retryAfter(&c.Response().Header, 10*time.Second)
	case fault.TooMany:
		retryAfter(&c.Response().Header, time.Minute)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	if wantsJSON(c) {
		return s.problem(c, status, f)
	}
	if f.Kind == fault.Unauthorized {
		if area, ok := areaOf(c); ok && area.SignIn != "" && c.Path() != area.SignIn {
			return s.toSignIn(c, area)
		}
	}
	if isHTMX(c) {
		return s.errorFragment(c, status, f)
	}
	return s.errorPage(c, status, f)
}

// classify finds the fault in an error; what Fiber and the database say of
// themselves becomes one too.
func classify(err error) *fault.Fault {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f
	}
	var fe *fiber.Error
	if errors.As(err, &fe) {
		return fiberFault(fe)
	}
	var made error
	switch {
	case tenancy.IsDown(err):
		made = fault.Wrap(err, fault.Unavailable, "database.unavailable", "We cannot reach our data at the moment. Please try again in a minute; nothing is lost.")
	case errors.Is(err, context.DeadlineExceeded):
		made = fault.Wrap(err, fault.Unavailable, "request.late", "This took too long. Please try again in a minute.")
	default:
		made = err
	}
	return fault.From(made)
}

func fiberFault(fe *fiber.Error) *fault.Fault {
	var made error
	switch fe.Code {
	case fiber.StatusNotFound:
		made = fault.New(fault.NotFound, "page.not_found", "There is no page at this address.")
	case fiber.StatusMethodNotAllowed:
		made = fault.New(fault.Malformed, "method.not_allowed", "This address does not take that kind of request.")
	case fiber.StatusRequestEntityTooLarge:
		made = fault.New(fault.TooLarge, "body.too_large", "That is more than we take at once.")
	default:
		if fe.Code >= 400 && fe.Code < 500 {
			made = fault.Wrap(fe, fault.Malformed, "request.malformed", "We could not read that request.")
		} else {
			made = fe
		}
	}
	return fault.From(made)
}

func (s *Surface) problem(c *fiber.Ctx, status int, f *fault.Fault) error {
	body, err := json.Marshal(Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: f.Message,
		Instance: RequestID(c), Code: f.Code, Fields: f.Fields, Next: f.Next,
	})
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/problem+json")
	return c.Status(status).Send(body)
}

// toSignIn sends a person to the sign-in page and back here afterwards.
func (s *Surface) toSignIn(c *fiber.Ctx, area Area) error {
	target := area.SignIn
	next := c.OriginalURL()
	if c.Method() != fiber.MethodGet || isHTMX(c) {
		next = ""
	}
	if next = LocalPath(next, ""); next != "" && next != "/" {
		target += "?next=" + url.QueryEscape(next)
	}
	if isHTMX(c) {
		c.Set("HX-Redirect", target)
		return c.SendStatus(fiber.StatusUnauthorized)
	}
	return c.Redirect(target, fiber.StatusSeeOther)
}

// errorFragment answers htmx: the words only, for where the page shows what went wrong.
func (s *Surface) errorFragment(c *fiber.Ctx, status int, f *fault.Fault) error {
	c.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
	c.Status(status)
	view := StateView{State: "error", Status: status, Code: f.Code, Text: f.Message}
	if s.cfg.Themes != nil {
		var out bytes.Buffer
		p := Page{Surface: "state", RequestID: RequestID(c), Locale: "en", Errors: f.Fields, View: view}
		if err := s.cfg.Themes.Fragment(&out, "base", "state/error", "fault", p); err == nil {
			return c.Send(out.Bytes())
		}
	}
	return c.SendString(bareFault(f.Message))
}

func (s *Surface) errorPage(c *fiber.Ctx, status int, f *fault.Fault) error {
	title := errorTitle(f)
	p := Page{
		Title: title, Surface: "state", Path: c.Path(), Locale: "en", RequestID: RequestID(c), Errors: f.Fields,
		View: StateView{State: "error", Status: status, Code: f.Code, Text: f.Message},
	}
	if t, ok := Tenant(c); ok {
		p.Site = Site{Name: t.Name, Theme: t.Theme, BaseURL: BaseURL(c)}
		if f.Kind != fault.Internal && f.Kind != fault.Unavailable {
			if site, err := s.site(c); err == nil {
				p.Site = site
			}
		}
	}
	if person, ok := Principal(c); ok {
		p.Person = &person
	}
	writeState(c.Context(), s.cfg.Themes, status, "error", p)
	return nil
}

func errorTitle(f *fault.Fault) string {
	if strings.HasPrefix(f.Code, "form.") {
		return "Please send that form again"
	}
	switch f.Kind {
	case fault.NotFound:
		return "There is no such page"
	case fault.Forbidden:
		return "You may not do this"
	case fault.Gone:
		return "This is no longer here"
	case fault.Unavailable:
		return "We will be right back"
	case fault.TooMany:
		return "Please wait a moment"
	case fault.Internal:
		return "Something went wrong"
	default:
		return "That did not work"
	}
}
