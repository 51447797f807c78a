package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

func (s *Site) domainRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: "/manage/domains", Needs: identity.SiteDomains, Handler: s.domains},
		{Method: fiber.MethodPost, Path: "/manage/domains", Needs: identity.SiteDomains, Handler: s.addDomain},
		{Method: fiber.MethodPost, Path: "/manage/domains/own-address", Needs: identity.SiteDomains, Handler: s.useOwnAddress},
		{Method: fiber.MethodGet, Path: "/manage/domains/:id", Needs: identity.SiteDomains, Handler: s.domain},
		{Method: fiber.MethodGet, Path: "/manage/domains/:id/state", Needs: identity.SiteDomains, Handler: s.domainState},
		{Method: fiber.MethodPost, Path: "/manage/domains/:id/check", Needs: identity.SiteDomains, Handler: s.checkDomain},
		{Method: fiber.MethodPost, Path: "/manage/domains/:id/primary", Needs: identity.SiteDomains, Handler: s.makeDomainPrimary},
		{Method: fiber.MethodPost, Path: "/manage/domains/:id/remove", Needs: identity.SiteDomains, Handler: s.removeDomain},
	}
}

// domainsView is the list of a shop's addresses.
type domainsView struct {
	OwnHost    string
	OwnPrimary bool
	Domains    []domainLine
	Typed      string
}

type domainLine struct {
	domain.Domain
	Name string // as people write it
}

// domains handles GET /manage/domains.
func (s *Site) domains(c *fiber.Ctx) error {
	v, err := s.domainsView(c, "")
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/domains", "Domains", v)
}

func (s *Site) domainsView(c *fiber.Ctx, typed string) (domainsView, error) {
	t, _ := surface.Tenant(c)
	all, err := s.Domains.List(c.UserContext(), t.ID)
	if err != nil {
		return domainsView{}, err
	}
	v := domainsView{OwnHost: s.Domains.OwnHost(t), OwnPrimary: true, Typed: typed}
	for _, d := range all {
		v.OwnPrimary = v.OwnPrimary && !d.Primary
		v.Domains = append(v.Domains, domainLine{d, domain.Unicode(d.Host)})
	}
	return v, nil
}

// addDomain handles POST /manage/domains.
func (s *Site) addDomain(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	typed := strings.Clone(c.FormValue("host"))
	d, err := s.Domains.Add(c.UserContext(), t.ID, typed, actor(c))
	if err != nil {
		v, verr := s.domainsView(c, typed)
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "manage", "manage/domains", "Domains", v)
	}
	return surface.Redirect(c, "/manage/domains/"+d.ID.String(), "")
}

// actor is the signed-in person, for the audit trail.
func actor(c *fiber.Ctx) domain.By {
	p, _ := surface.Principal(c)
	return domain.By{Actor: audit.By(p), IP: surface.ClientIP(c), RequestID: surface.RequestID(c)}
}

// useOwnAddress handles POST /manage/domains/own-address.
func (s *Site) useOwnAddress(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	if err := s.Domains.ResetPrimary(c.UserContext(), t.ID, actor(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/domains", "Your main address is "+s.Domains.OwnHost(t)+" again.")
}

// domainView is one domain.
type domainView struct {
	domain.Domain
	Name     string
	Records  []domain.Record
	Steps    []domainStep
	Events   []domain.Event
	Sentence string
	Tone     string // kind of the notice that says the sentence
	NextTry  string
	Address  string    // where it is opened
	Since    time.Time // when it came into its state
	Every    string    // how often the page asks for news
	Seen     string    // what the page has seen of the row
	Valid    bool      // there is a certificate that holds
	Ready    bool      // can become the main address
}

type domainStep struct{ Label, Class, Note string }

// theDomain reads the domain the address names; another tenant's is not found.
func (s *Site) theDomain(c *fiber.Ctx) (tenancy.Tenant, domainView, error) {
	t, _ := surface.Tenant(c)
	id, err := domain.ParseID(c.Params("id"))
	if err != nil {
		return t, domainView{}, err
	}
	d, events, err := s.Domains.Get(c.UserContext(), t.ID, id)
	if err != nil {
		return t, domainView{}, err
	}
	return t, s.domainView(d, events), nil
}

func (s *Site) domainView(d domain.Domain, events []domain.Event) domainView {
	now := s.Domains.Central.Now()
	v := domainView{
		Domain: d, Name: domain.Unicode(d.Host), Records: s.Domains.Records(d), Events: events, Sentence: d.Sentence(),
		Address: s.Domains.Address(d.Host), Since: since(d, events), NextTry: d.NextTry(now), Every: "2s", Seen: strconv.FormatInt(d.ChangedAt.UnixMicro(), 36),
		Valid: d.HasCertificate(now), Ready: d.State == domain.Active && !d.Primary, Steps: domainSteps(d, now),
	}
	switch d.Status().Kind {
	case "good":
		v.Tone, v.Every = "good", "15s"
	case "bad", "warn":
		v.Tone = d.Status().Kind
	default:
		v.Tone = "info"
	}
	return v
}

// since is when the domain came into its state; events are the newest first.
func since(d domain.Domain, events []domain.Event) time.Time {
	at := d.CreatedAt
	for _, e := range events {
		if e.To != d.State {
			break
		}
		at = e.At
	}
	return at
}

// domainSteps is the way to a live domain, with where this one stands.
func domainSteps(d domain.Domain, now time.Time) []domainStep {
	pointed := d.Observed.Directed && d.Observed.Allowed
	certified := d.HasCertificate(now)
	done := []bool{d.State.Owned(), d.State.Owned() && (pointed || certified), certified, certified && d.Serving}
	steps := []domainStep{
		{Label: "Ownership proved", Note: "one TXT record"},
		{Label: "Leads here", Note: "CNAME or addresses"},
		{Label: "Certificate issued", Note: "usually in under a minute"},
		{Label: "Live"},
	}
	now1 := true
	for i := range steps {
		switch {
		case done[i]:
			steps[i].Class = "is-done"
		case now1:
			now1 = false
			steps[i].Class = "is-now"
			if d.Status().Kind == "bad" {
				steps[i].Class = "is-bad"
			}
		}
	}
	return steps
}

// domain handles GET /manage/domains/:id.
func (s *Site) domain(c *fiber.Ctx) error {
	_, v, err := s.theDomain(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/domain", v.Name, v)
}

// domainState handles GET /manage/domains/:id/state: the part of the page that moves.
// Nothing is answered while nothing has changed, so that what a person is doing on
// the page is not disturbed.
func (s *Site) domainState(c *fiber.Ctx) error {
	_, v, err := s.theDomain(c)
	if fault.Is(err, "domain.not_found") {
		c.Set("HX-Redirect", "/manage/domains") // removed, or moved to its owner: the page that asks has nothing more to show
	}
	if err != nil {
		return err
	}
	if c.Query("seen") == v.Seen {
		return c.SendStatus(fiber.StatusNoContent)
	}
	return surface.Fragment(c, "manage/domain", "domain-state", v)
}

// checkDomain handles POST /manage/domains/:id/check.
func (s *Site) checkDomain(c *fiber.Ctx) error {
	t, v, err := s.theDomain(c)
	if err != nil {
		return err
	}
	if _, err := s.Domains.CheckNow(c.UserContext(), t.ID, v.ID, actor(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/domain", v.Name, v)
	}
	return surface.Redirect(c, "/manage/domains/"+v.ID.String(), "We are checking "+v.Name+" now.")
}

// makeDomainPrimary handles POST /manage/domains/:id/primary.
func (s *Site) makeDomainPrimary(c *fiber.Ctx) error {
	t, v, err := s.theDomain(c)
	if err != nil {
		return err
	}
	if _, err := s.Domains.MakePrimary(c.UserContext(), t.ID, v.ID, actor(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/domain", v.Name, v)
	}
	return surface.Redirect(c, "/manage/domains/"+v.ID.String(), v.Name+" is your main address now. Links and mails name it.")
}

// removeDomain handles POST /manage/domains/:id/remove. The name must be typed.
func (s *Site) removeDomain(c *fiber.Ctx) error {
	t, v, err := s.theDomain(c)
	if err != nil {
		return err
	}
	if typed := strings.TrimSpace(c.FormValue("confirm")); !strings.EqualFold(typed, v.Host) && typed != v.Name {
		err := fault.Field("confirm", "domain.not_confirmed", "Type "+v.Name+" to confirm.")
		return surface.FormError(c, err, "manage", "manage/domain", v.Name, v)
	}
	if err := s.Domains.Remove(c.UserContext(), t.ID, v.ID, actor(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/domains", v.Name+" was removed. It does not answer any more.")
}
