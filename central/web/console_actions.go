package web

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// action is one thing staff do to a reseller's life; each that is not undone by a
// click has a page of its own.
type action struct {
	name, label         string // in the path; on the button
	danger, confirm     bool
	reason, note, typed bool // what its form asks for
	possible            func(reseller.Reseller) bool
	says                func(reseller.Reseller) string
	done                string
	do                  func(ctx context.Context, d *reseller.Desk, id tenancy.ID, in actionInput, by audit.Origin) error
}

type actionInput struct{ Reason, Note, Typed string }

type actionLink struct {
	Href, Label, Says string
	Danger            bool
}

func in(statuses ...tenancy.Status) func(reseller.Reseller) bool {
	return func(r reseller.Reseller) bool {
		for _, s := range statuses {
			if r.Status == s && r.DropRequestedAt.IsZero() {
				return true
			}
		}
		return false
	}
}

func always(text string) func(reseller.Reseller) string {
	return func(reseller.Reseller) string { return text }
}

func actions() []action {
	return []action{
		{name: "resume", label: "Resume", possible: in(tenancy.Suspended, tenancy.Archived), says: always("Its sites serve again at once."), done: "serves again.",
			do: func(ctx context.Context, d *reseller.Desk, id tenancy.ID, _ actionInput, by audit.Origin) error {
				return d.Resume(ctx, id, by)
			}},
		{name: "activate", label: "Make active", possible: in(tenancy.Trial, tenancy.TrialEnded), says: always("Ends the trial by making it a regular reseller."), done: "is active.",
			do: func(ctx context.Context, d *reseller.Desk, id tenancy.ID, _ actionInput, by audit.Origin) error {
				return d.Activate(ctx, id, by)
			}},
		{name: "end-maintenance", label: "End maintenance", possible: in(tenancy.Maintenance), says: always("Returns to what the maintenance interrupted."), done: "is out of maintenance.",
			do: func(ctx context.Context, d *reseller.Desk, id tenancy.ID, _ actionInput, by audit.Origin) error {
				return d.StopMaintenance(ctx, id, by)
			}},
		{name: "maintenance", label: "Start maintenance", confirm: true, reason: true, note: true, possible: in(tenancy.Trial, tenancy.Active, tenancy.TrialEnded, tenancy.Suspended),
			says: always("Visitors see a maintenance page until you end it."), done: "is in maintenance.",
			do: func(ctx context.Context, d *reseller.Desk, id tenancy.ID, in actionInput, by audit.Origin) error {
				return d.StartMaintenance(ctx, id, reseller.Suspension{Reason: in.Reason, Note: in.Note}, by)
			}},
		{name: "end-trial", label: "End the trial", confirm: true, danger: true, possible: in(tenancy.Trial), says: always("Its sites stop now, and say that the trial is over."), done: "is at the end of its trial.",
			do: func(ctx context.Context, d *reseller.Desk, id tenancy.ID, _ actionInput, by audit.Origin) error {
				return d.EndTrial(ctx, id, by)
			}},
		{name: "suspend", label: "Suspend", confirm: true, danger: true, reason: true, note: true, possible: in(tenancy.Trial, tenancy.Active, tenancy.TrialEnded, tenancy.Maintenance),
			says: always("Its sites and its console close at once. Nothing is lost; resuming takes a click."), done: "is suspended.",
			do: func(ctx context.Context, d *reseller.Desk, id tenancy.ID, in actionInput, by audit.Origin) error {
				return d.Suspend(ctx, id, reseller.Suspension{Reason: in.Reason, Note: in.Note}, by)
			}},
		{name: "archive", label: "Archive", confirm: true, danger: true, reason: true, typed: true,
			possible: in(tenancy.Trial, tenancy.Active, tenancy.TrialEnded, tenancy.Suspended, tenancy.Maintenance),
			says:     always("Closes it for good. Its data is kept for the hold period, in which it can be taken back."), done: "is archived.",
			do: func(ctx context.Context, d *reseller.Desk, id tenancy.ID, in actionInput, by audit.Origin) error {
				return d.Archive(ctx, id, in.Typed, in.Reason, by)
			}},
		{name: "drop", label: "Drop", confirm: true, danger: true, typed: true, possible: in(tenancy.Archived),
			says: func(r reseller.Reseller) string {
				return "Exports its data, then removes it. Possible from " + r.DropAfter.UTC().Format("2 Jan 2006, 15:04 UTC") + ". This cannot be undone."
			}, done: "is being exported and removed.",
			do: func(ctx context.Context, d *reseller.Desk, id tenancy.ID, in actionInput, by audit.Origin) error {
				return d.Drop(ctx, id, in.Typed, by)
			}},
	}
}

type actionView struct {
	resellerView
	Name, Label, Says   string
	Danger              bool
	Reason, Note, Typed bool
	In                  actionInput
}

// action finds the reseller and the action in the path.
func (s *Console) action(c *fiber.Ctx) (reseller.Reseller, action, error) {
	r, err := s.one(c)
	if err != nil {
		return r, action{}, err
	}
	for _, a := range actions() {
		if a.name == c.Params("action") {
			return r, a, nil
		}
	}
	return r, action{}, fault.New(fault.NotFound, "action.unknown", "There is no such action.")
}

func (s *Console) actionView(c *fiber.Ctx, r reseller.Reseller, a action, in actionInput) actionView {
	return actionView{resellerView: s.resellerView(c, r, "/settings"), Name: a.name, Label: a.label, Says: a.says(r), Danger: a.danger,
		Reason: a.reason, Note: a.note, Typed: a.typed, In: in}
}

func (s *Console) showAction(c *fiber.Ctx) error {
	r, a, err := s.action(c)
	if err != nil {
		return err
	}
	if !a.possible(r) {
		return surface.RedirectFlash(c, "/resellers/"+r.ID.String(), surface.Flash{Kind: "info", Text: a.label + " is not possible now."})
	}
	return surface.Render(c, "console", "console/reseller_action", a.label+" "+r.Name, s.actionView(c, r, a, actionInput{}))
}

func (s *Console) doAction(c *fiber.Ctx) error {
	r, a, err := s.action(c)
	if err != nil {
		return err
	}
	in := actionInput{Reason: c.FormValue("reason"), Note: c.FormValue("note"), Typed: c.FormValue("typed")}
	if err := a.do(c.UserContext(), s.Office.Resellers, r.ID, in, office.By(c)); err != nil {
		if f := fault.From(err); !a.confirm || f.Kind == fault.Gone {
			return office.Refused(c, err, "/resellers/"+r.ID.String())
		}
		return surface.FormError(c, err, "console", "console/reseller_action", a.label+" "+r.Name, s.actionView(c, r, a, in))
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String(), r.Name+" "+a.done)
}
