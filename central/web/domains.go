package web

import (
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
)

func (s *Console) domainRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: "/domains", Needs: identity.DomainsRead, Handler: s.domains},
		{Method: fiber.MethodPost, Path: "/domains/pause", Needs: identity.DomainsOperate, Handler: s.pauseOrders},
		{Method: fiber.MethodPost, Path: "/domains/resume", Needs: identity.DomainsOperate, Handler: s.resumeOrders},
		{Method: fiber.MethodGet, Path: "/domains/:id", Needs: identity.DomainsRead, Handler: s.domain},
		{Method: fiber.MethodPost, Path: "/domains/:id/retry", Needs: identity.DomainsOperate, Handler: s.retryDomain},
	}
}

// domainsView is all tenants' domains.
type domainsView struct {
	Q        string
	State    string
	States   []stateOption
	Rows     []domain.Listed
	Summary  domain.Summary
	Trouble  int
	Live     int
	Total    int
	Budget   domain.BudgetState
	Used     int
	Until    string // the authority told us to wait
	MayWrite bool
	Full     bool // more fit than are shown
}

type stateOption struct {
	Value, Label string
}

const shownDomains = 200

// domains handles GET /domains.
func (s *Console) domains(c *fiber.Ctx) error {
	ctx := c.UserContext()
	person, _ := surface.Principal(c)
	v := domainsView{Q: strings.Clone(c.Query("q")), State: strings.Clone(c.Query("state")), MayWrite: person.May(identity.DomainsOperate)}
	v.States = []stateOption{{"", "All states"}}
	for _, st := range domain.States() {
		v.States = append(v.States, stateOption{string(st), domain.Domain{State: st}.Status().Text})
	}
	if !slices.ContainsFunc(v.States, func(o stateOption) bool { return o.Value == v.State }) {
		v.State = ""
	}
	var err error
	if v.Rows, err = s.Domains.List(ctx, domain.Filter{Text: v.Q, State: domain.State(v.State), Limit: shownDomains}); err != nil {
		return err
	}
	v.Full = len(v.Rows) == shownDomains
	if v.Summary, err = s.Domains.Summary(ctx); err != nil {
		return err
	}
	if v.Budget, err = s.Domains.Budget.State(ctx); err != nil {
		return err
	}
	if until := v.Budget.PausedUntil; until != nil && until.After(s.now()) {
		v.Until = until.UTC().Format("2 Jan 2006, 15:04 UTC")
	}
	v.Used = v.Budget.New + v.Budget.Renewals
	for st, n := range v.Summary.ByState {
		v.Total += n
		if kind := (domain.Domain{State: st}).Status().Kind; kind == "bad" || kind == "warn" {
			v.Trouble += n
		}
		if st == domain.Active {
			v.Live = n
		}
	}
	return surface.Render(c, "console", "console/domains", "Domains", v)
}

// domainView is one domain as staff see it.
type domainView struct {
	domain.Listed
	Events   []domain.Event
	Sentence string
	NextTry  string
	Removed  bool
	MayWrite bool
}

// domain handles GET /domains/:id.
func (s *Console) domain(c *fiber.Ctx) error {
	id, err := domain.ParseID(c.Params("id"))
	if err != nil {
		return err
	}
	l, events, err := s.Domains.Get(c.UserContext(), id)
	if err != nil {
		return err
	}
	person, _ := surface.Principal(c)
	return surface.Render(c, "console", "console/domain", l.Host, domainView{
		Listed: l, Events: events, Sentence: l.Sentence(), NextTry: l.NextTry(s.now()), Removed: l.State == domain.Removed,
		MayWrite: person.May(identity.DomainsOperate),
	})
}

func (s *Console) now() time.Time { return s.Domains.Central.Now() }

// retryDomain handles POST /domains/:id/retry.
func (s *Console) retryDomain(c *fiber.Ctx) error {
	id, err := domain.ParseID(c.Params("id"))
	if err != nil {
		return err
	}
	if err := s.Domains.Retry(c.UserContext(), id, staffBy(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/domains/"+id.String(), "It is next in the queue.")
}

// pauseOrders handles POST /domains/pause.
func (s *Console) pauseOrders(c *fiber.Ctx) error {
	if err := s.Domains.Budget.Pause(c.UserContext(), strings.Clone(c.FormValue("reason")), staffBy(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/domains", "No certificates are ordered until you resume. Sites keep serving the ones they have.")
}

// resumeOrders handles POST /domains/resume.
func (s *Console) resumeOrders(c *fiber.Ctx) error {
	if err := s.Domains.Budget.Resume(c.UserContext(), staffBy(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/domains", "Certificates are ordered again.")
}

// staffBy is the signed-in person, for the audit trail.
func staffBy(c *fiber.Ctx) domain.By {
	p, _ := surface.Principal(c)
	return domain.By{Actor: audit.By(p), IP: surface.ClientIP(c), RequestID: surface.RequestID(c)}
}
