package api

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/hosting"
)

type service struct {
	ID             uuid.UUID  `json:"id"`
	SubscriptionID uuid.UUID  `json:"subscription_id"`
	Name           string     `json:"name"`
	Label          string     `json:"label"`
	Type           string     `json:"type"`
	State          string     `json:"state"`
	Wanted         string     `json:"wanted"`
	Operation      *string    `json:"operation"` // under way; null: none
	Progress       int        `json:"progress"`  // percent; 0: unknown
	Trouble        bool       `json:"trouble"`   // it cannot go on; the shop has been told
	Power          string     `json:"power"`
	Address        string     `json:"address"`
	Addresses      []string   `json:"addresses"`
	Hostname       string     `json:"hostname"`
	Region         string     `json:"region"`
	Image          string     `json:"image"`
	CPU            int        `json:"cpu"`
	MemoryMB       int        `json:"memory_mb"`
	DiskGB         int        `json:"disk_gb"`
	CreatedAt      time.Time  `json:"created_at"`
	BeganAt        *time.Time `json:"began_at"`
	EndedAt        *time.Time `json:"ended_at"`
}

// serviceOf leaves out what is the shop's own matter: the platform and its words.
func serviceOf(s *hosting.Service) service {
	out := service{
		ID: s.ID, SubscriptionID: s.SubscriptionID, Name: s.Name, Label: s.Label, Type: s.Type, State: string(s.Observed), Wanted: string(s.Desired),
		Progress: s.Progress, Trouble: s.Problem != "", Power: string(s.Power), Address: s.Address, Addresses: append([]string{}, s.Addresses...),
		Hostname: s.Hostname, Region: s.Region, Image: s.Image, CPU: s.Spec.CPU, MemoryMB: s.Spec.MemoryMB, DiskGB: s.Spec.DiskGB,
		CreatedAt: s.CreatedAt.UTC(), BeganAt: moment(s.BeganAt), EndedAt: moment(s.EndedAt),
	}
	if op := string(s.Operation); op != "" {
		out.Operation = &op
	}
	if out.Power == "" {
		out.Power = "unknown"
	}
	return out
}

// by is how the caller is known to the parts of the shop.
func (c call) by() audit.Origin {
	return audit.Origin{Actor: c.caller.Actor(), IP: surface.ClientIP(c.Ctx), Country: surface.ClientCountry(c.Ctx), RequestID: surface.RequestID(c.Ctx)}
}

func (c call) customer() hosting.Caller {
	return hosting.Caller{Person: c.caller.PersonID, Account: c.caller.AccountID, Origin: c.by()}
}

// listServices handles GET /services, the newest first.
func (a *API) listServices(c call) (int, any, error) {
	w, err := windowOf(c, ofServices)
	if err != nil {
		return 0, nil, err
	}
	var found []hosting.Listed
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		found, _, err = hosting.List(c.ctx(), tx, hosting.Filter{AccountID: c.caller.AccountID, Limit: w.limit + 1, BeforeAt: w.at, BeforeID: w.id, Uncounted: true})
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	place := func(s hosting.Listed) (time.Time, uuid.UUID) { return s.CreatedAt, s.ID }
	return fiber.StatusOK, pageOf(found, w, ofServices, place, func(s hosting.Listed) service { return serviceOf(&s.Service) }), nil
}

var errService = fault.New(fault.NotFound, "service.not_found", "There is no such service.")

// getService handles GET /services/{id}.
func (a *API) getService(c call) (int, any, error) {
	id, err := idOf(c, errService)
	if err != nil {
		return 0, nil, err
	}
	return a.shown(c, id, fiber.StatusOK)
}

// shown answers with a service as it stands.
func (a *API) shown(c call, id uuid.UUID, status int) (int, any, error) {
	var s hosting.Service
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		s, _, err = hosting.Mine(c.ctx(), tx, id, c.customer())
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return status, serviceOf(&s), nil
}

// renameService handles PATCH /services/{id}.
func (a *API) renameService(c call) (int, any, error) {
	var in struct {
		Name string `json:"name"`
	}
	return a.asked(c, &in, fiber.StatusOK, func(id uuid.UUID) error {
		return hosting.Rename(c.ctx(), c.db, id, in.Name, c.customer())
	})
}

// powerService handles POST /services/{id}/power.
func (a *API) powerService(c call) (int, any, error) {
	var in struct {
		Action string `json:"action"`
	}
	return a.asked(c, &in, fiber.StatusAccepted, func(id uuid.UUID) error {
		return hosting.Power(c.ctx(), c.db, id, provisioners.PowerAction(in.Action), c.customer())
	})
}

// rebuildService handles POST /services/{id}/rebuild.
func (a *API) rebuildService(c call) (int, any, error) {
	var in struct {
		Image   string `json:"image"`
		Confirm string `json:"confirm"`
	}
	return a.asked(c, &in, fiber.StatusAccepted, func(id uuid.UUID) error {
		return a.Hosting.Rebuild(c.ctx(), c.db, id, in.Image, in.Confirm, c.customer())
	})
}

// asked decodes what is asked of a service, does it, and answers with the service.
func (a *API) asked(c call, in any, status int, do func(id uuid.UUID) error) (int, any, error) {
	id, err := idOf(c, errService)
	if err != nil {
		return 0, nil, err
	}
	if err := decode(c, in); err != nil {
		return 0, nil, err
	}
	if err := do(id); err != nil {
		return 0, nil, err
	}
	return a.shown(c, id, status)
}
