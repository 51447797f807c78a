package web

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/twin"
)

// TwinShown is a sandbox twin as its shop's team sees it.
type TwinShown struct {
	ID                       uuid.UUID
	Name, Host, State        string
	Problem, Differs         string // why it failed; what was changed in it
	Began, Now, Goal, Expire time.Time
	Percent                  int
	Jobs, Failures           int64
	Ready, Moving            bool
}

// TwinAsked is the form that makes one, as it was typed.
type TwinAsked struct {
	Key                                uuid.UUID
	Name                               string
	Raise, Leave, Short, Expired, Days string
	Running, Names                     bool
	ByName, ByEmail                    string
}

// Twins is where a shop's sandbox twins are kept. Every call is about the twins of one shop:
// another's is the fault twin.unknown.
type Twins interface {
	List(ctx context.Context, of tenancy.ID) ([]TwinShown, error)
	Get(ctx context.Context, of tenancy.ID, id uuid.UUID) (TwinShown, error)
	Ask(ctx context.Context, of tenancy.ID, a TwinAsked, by audit.Origin) (TwinShown, error)
	Advance(ctx context.Context, of tenancy.ID, id uuid.UUID, to func(now time.Time) time.Time, by audit.Origin) error
	Halt(ctx context.Context, of tenancy.ID, id uuid.UUID, by audit.Origin) error
	Drop(ctx context.Context, of tenancy.ID, id uuid.UUID, by audit.Origin) error
	Report(ctx context.Context, of tenancy.ID, id uuid.UUID) (twin.Report, error)
	Mails(ctx context.Context, of tenancy.ID, id uuid.UUID, f mail.LogFilter) ([]mail.Logged, int, error)
	Mail(ctx context.Context, of tenancy.ID, id, letter uuid.UUID) (mail.Logged, mail.Letter, error)
}

func (s *Site) twinRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/twins" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.ReportsRead, s.listTwins),
		at("POST", "", identity.SiteSettings, s.askTwin),
		at("GET", "/compare", identity.ReportsRead, s.compareTwins),
		at("GET", "/one/:twin", identity.ReportsRead, s.showTwin),
		at("POST", "/one/:twin/advance", identity.SiteSettings, s.advanceTwin),
		at("POST", "/one/:twin/stop", identity.SiteSettings, s.changeTwin("Its clock stops as soon as the work of its day is done.", Twins.Halt)),
		at("POST", "/one/:twin/drop", identity.SiteSettings, s.changeTwin("The twin is being removed.", Twins.Drop)),
		at("GET", "/one/:twin/mails", identity.SiteSettings, s.listTwinMails),
		at("GET", "/one/:twin/mails/:letter", identity.SiteSettings, s.showTwinMail),
	}
}

// twins is where they are, or the fault that there are none here.
func (s *Site) twins() (Twins, error) {
	if s.Office == nil || s.Office.Twins == nil {
		return nil, fault.New(fault.NotFound, "twin.unknown", "There is no such twin.")
	}
	return s.Office.Twins, nil
}

func twinParam(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("twin"))
	if err != nil {
		return id, fault.New(fault.NotFound, "twin.unknown", "There is no such twin.")
	}
	return id, nil
}

type twinRow struct {
	TwinShown
	Status map[string]any
}

func rowOf(t TwinShown) twinRow {
	v := twinRow{TwinShown: t}
	switch {
	case t.Moving:
		v.Status = office.Status("busy", "Lives ahead, "+strconv.Itoa(t.Percent)+" %")
	case t.Ready:
		v.Status = office.Status("good", "Ready")
	case t.State == "making":
		v.Status = office.Status("busy", "Being made")
	case t.State == "failed":
		v.Status = office.Status("bad", "Could not be made")
	default:
		v.Status = office.Status("idle", "Being removed")
	}
	return v
}

type twinsView struct {
	Rows    []twinRow
	Form    TwinAsked
	MayEdit bool
	Waiting bool     // one is being made or removed, or lives ahead
	Ready   []option // to be compared; the first two of them at first
	First   string
	Second  string
	Sandbox bool // this shop is itself a twin
}

// listTwins handles GET /manage/twins.
func (s *Site) listTwins(c *fiber.Ctx) error {
	v, err := s.twinsView(c, TwinAsked{Key: uuid.New(), Name: "Next year", Short: "4", Expired: "1", Raise: "0", Leave: "0", Days: "14"})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/twins", "Twins", v)
}

func (s *Site) twinsView(c *fiber.Ctx, f TwinAsked) (v twinsView, err error) {
	t, _ := surface.Tenant(c)
	who, _ := surface.Principal(c)
	v = twinsView{Form: f, MayEdit: who.May(identity.SiteSettings), Sandbox: t.Sandbox}
	kept, err := s.twins()
	if err != nil {
		return v, err
	}
	all, err := kept.List(c.UserContext(), t.ID)
	for _, x := range all {
		r := rowOf(x)
		v.Rows = append(v.Rows, r)
		v.Waiting = v.Waiting || x.Moving || !x.Ready && x.State != "failed"
		if x.Ready {
			v.Ready = append(v.Ready, option{x.ID.String(), x.Name})
		}
	}
	if len(v.Ready) >= 2 {
		v.First, v.Second = v.Ready[0].Value, v.Ready[1].Value
	}
	return v, err
}

// askTwin handles POST /manage/twins.
func (s *Site) askTwin(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	who, _ := surface.Principal(c)
	kept, err := s.twins()
	if err != nil {
		return err
	}
	f := TwinAsked{
		Name: c.FormValue("name"), Raise: c.FormValue("raise"), Leave: c.FormValue("leave"), Short: c.FormValue("short"), Expired: c.FormValue("expired"), Days: c.FormValue("days"),
		Running: c.FormValue("running") != "", Names: c.FormValue("names") != "", ByName: who.Name, ByEmail: who.Email,
	}
	if f.Key, err = uuid.Parse(c.FormValue("key")); err != nil {
		f.Key = uuid.New()
	}
	made, err := kept.Ask(c.UserContext(), t.ID, f, office.By(c))
	if err == nil {
		err = s.noteTwin(c, "twin.asked", made.ID, map[string]any{"name": made.Name})
	}
	if err != nil {
		v, verr := s.twinsView(c, f)
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "manage", "manage/twins", "Twins", v)
	}
	return surface.Redirect(c, "/manage/twins/one/"+made.ID.String(), "The twin is being made.")
}

// noteTwin writes the shop's own trail.
func (s *Site) noteTwin(c *fiber.Ctx, action string, id uuid.UUID, detail map[string]any) error {
	return surface.DB(c).Update(c.UserContext(), func(tx *tenancy.Tx) error {
		return office.By(c).Record(c.UserContext(), tx, action, audit.Target{Kind: "twin", ID: id.String()}, detail)
	})
}

type twinView struct {
	T       twinRow
	URL     string
	MayEdit bool
	Report  *twin.Report
	Points  []branding.Point // received
	Margins []branding.Point
	Ended   string // how subscriptions did, beside their number
}

// showTwin handles GET /manage/twins/one/:twin.
func (s *Site) showTwin(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	who, _ := surface.Principal(c)
	kept, err := s.twins()
	if err != nil {
		return err
	}
	id, err := twinParam(c)
	if err != nil {
		return err
	}
	x, err := kept.Get(c.UserContext(), t.ID, id)
	if err != nil {
		return err
	}
	v := twinView{T: rowOf(x), MayEdit: who.May(identity.SiteSettings)}
	if x.Ready {
		r, err := kept.Report(c.UserContext(), t.ID, id)
		if err != nil {
			return err
		}
		v.Report, v.Points, v.Margins = &r, pointsOfTwin(r, receivedOf), pointsOfTwin(r, marginOf)
		if v.Ended = strconv.Itoa(r.Sum.Ended) + " ended"; r.Sum.Unpaid > 0 {
			v.Ended += ", " + strconv.Itoa(r.Sum.Unpaid) + " of them unpaid"
		}
		v.URL = besides(c, x.Host)
	}
	return surface.Render(c, "manage", "manage/twin", x.Name, v)
}

// besides is a site of the platform's by the scheme and port this one was asked by.
func besides(c *fiber.Ctx, host string) string {
	scheme, rest, _ := strings.Cut(surface.BaseURL(c), "://")
	if _, port, ok := strings.Cut(rest, ":"); ok {
		host += ":" + port
	}
	return scheme + "://" + host
}

func receivedOf(m twin.Month) (int64, bool) { return m.Received.Whole(), true }

func marginOf(m twin.Month) (int64, bool) { return m.Margin.Whole(), m.Margin.Currency != "" }

// pointsOfTwin draws one figure of every month; nothing when it is not known.
func pointsOfTwin(r twin.Report, of func(twin.Month) (int64, bool)) []branding.Point {
	var points []branding.Point
	for _, m := range r.Months {
		v, known := of(m)
		if !known {
			return nil
		}
		points = append(points, branding.Point{Label: m.From.Format("Jan 06"), Value: v})
	}
	return points
}

// advanceTwin handles POST /manage/twins/one/:twin/advance.
func (s *Site) advanceTwin(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	kept, err := s.twins()
	if err != nil {
		return err
	}
	id, err := twinParam(c)
	if err != nil {
		return err
	}
	by := strings.ToValidUTF8(c.FormValue("by"), "")
	steps := map[string][3]int{"due": {}, "day": {0, 0, 1}, "month": {0, 1, 0}, "year": {1, 0, 0}}
	step, known := steps[by]
	if !known {
		if _, err := kept.Get(c.UserContext(), t.ID, id); err != nil {
			return err // another shop's is unknown whatever is asked of it
		}
		return fault.New(fault.Invalid, "twin.bad_step", "Advance a twin by a day, a month or a year.")
	}
	to := func(now time.Time) time.Time { return now.AddDate(step[0], step[1], step[2]) }
	if err := kept.Advance(c.UserContext(), t.ID, id, to, office.By(c)); err != nil {
		return err
	}
	if err := s.noteTwin(c, "twin.advanced", id, map[string]any{"by": by}); err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/twins/one/"+id.String(), "Its time passes.")
}

// changeTwin is one change of one twin.
func (s *Site) changeTwin(said string, do func(Twins, context.Context, tenancy.ID, uuid.UUID, audit.Origin) error) fiber.Handler {
	return func(c *fiber.Ctx) error {
		t, _ := surface.Tenant(c)
		kept, err := s.twins()
		if err != nil {
			return err
		}
		id, err := twinParam(c)
		if err != nil {
			return err
		}
		if err := do(kept, c.UserContext(), t.ID, id, office.By(c)); err != nil {
			return err
		}
		if err := s.noteTwin(c, "twin.changed", id, map[string]any{"said": said}); err != nil {
			return err
		}
		return surface.Redirect(c, "/manage/twins", said)
	}
}
