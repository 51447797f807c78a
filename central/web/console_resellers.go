package web

import (
	"fmt"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
)

type resellerRow struct {
	reseller.Row
	Host   string
	Status map[string]any
}

type resellersView struct {
	List      table.Request
	Rows      []resellerRow
	Total     int
	Statuses  []choice
	Version   int
	MayCreate bool
}

type choice struct{ Value, Label string }

func statusChoices() []choice {
	return []choice{
		{"", "All but dropped"}, {"trial", "Trial"}, {"active", "Active"}, {"trial_ended", "Trial ended"}, {"suspended", "Suspended"},
		{"maintenance", "Maintenance"}, {"archived", "Archived"}, {"dropped", "Dropped"},
	}
}

func (s *Console) listResellers(c *fiber.Ctx) error {
	r := table.Read(c, "status", "behind")
	f := reseller.Filter{Text: r.Text, Status: tenancy.Status(r.Filters["status"]), Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if r.Filters["behind"] != "" {
		f.Behind = s.Office.Watch.SchemaVersion
	}
	if r.CSV {
		return s.resellersCSV(c, f)
	}
	found, total, err := s.Office.Resellers.List(c.UserContext(), f)
	if err != nil {
		return err
	}
	p, _ := surface.Principal(c)
	v := resellersView{List: r, Total: total, Statuses: statusChoices(), Version: s.Office.Watch.SchemaVersion, MayCreate: p.May(identity.ResellersWrite)}
	for _, x := range found {
		v.Rows = append(v.Rows, resellerRow{x, s.host(x.Reseller), tenantStatus(x.Reseller)})
	}
	return surface.Render(c, "console", "console/resellers", "Resellers", v)
}

func (s *Console) host(r reseller.Reseller) string {
	if r.PrimaryHost != "" {
		return r.PrimaryHost
	}
	return r.Slug + "." + s.Office.Resellers.Platform
}

func (s *Console) resellersCSV(c *fiber.Ctx, f reseller.Filter) error {
	all, err := table.Collect(func(offset, limit int) ([]reseller.Row, int, error) {
		f.Offset, f.Limit = offset, limit
		return s.Office.Resellers.List(c.UserContext(), f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		rows[i] = []string{x.ID.String(), x.Name, x.Slug, s.host(x.Reseller), x.OwnerEmail, string(x.Status), table.Time(x.StatusSince), strconv.Itoa(x.SchemaVersion),
			strconv.Itoa(x.Domains), strconv.Itoa(x.FailingDomains), x.Locale, x.Currency, x.TimeZone, table.Time(x.TrialEndsAt), table.Time(x.CreatedAt)}
	}
	return table.CSV(c, "resellers", []string{"number", "name", "slug", "host", "owner", "status", "since", "schema version",
		"domains", "failing domains", "locale", "currency", "time zone", "trial ends", "created"}, rows)
}

type newResellerView struct {
	In         reseller.NewReseller
	TrialDays  string // as typed
	Platform   string
	Locales    []place.Choice
	Currencies []place.Choice
	Zones      []place.Choice
	Address    reseller.SlugAnswer
}

func (s *Console) newResellerView(in reseller.NewReseller, days string) newResellerView {
	return newResellerView{In: in, TrialDays: days, Platform: s.Office.Resellers.Platform, Locales: place.Locales(in.Locale),
		Currencies: place.Currencies(in.Currency), Zones: place.Zones(in.TimeZone)}
}

func (s *Console) newReseller(c *fiber.Ctx) error {
	key, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("key of a form: %w", err)
	}
	in := reseller.NewReseller{Key: key.String(), Locale: "en", Currency: "EUR", TimeZone: "UTC"}
	return surface.Render(c, "console", "console/reseller_new", "New reseller", s.newResellerView(in, "14"))
}

// askSlug answers while the form is filled in.
func (s *Console) askSlug(c *fiber.Ctx) error {
	answer, err := s.Office.Resellers.AskSlug(c.UserContext(), c.Query("slug"), c.Query("name"))
	if err != nil {
		return err
	}
	return surface.Fragment(c, "console/reseller_new", "address", newResellerView{Address: answer})
}

func (s *Console) createReseller(c *fiber.Ctx) error {
	in := reseller.NewReseller{
		Key: c.FormValue("key"), Name: c.FormValue("name"), Slug: c.FormValue("slug"), OwnerName: c.FormValue("owner_name"),
		OwnerEmail: c.FormValue("owner_email"), Locale: c.FormValue("locale"), Currency: c.FormValue("currency"), TimeZone: c.FormValue("time_zone"),
	}
	days := table.Text(c.FormValue("trial_days"), 10)
	var err error
	if in.TrialDays, err = strconv.Atoi(days); err != nil && days != "" {
		in.TrialDays = -1 // is refused at its field
	}
	r, err := s.Office.Resellers.Create(c.UserContext(), in, office.By(c))
	if err != nil {
		return surface.FormError(c, err, "console", "console/reseller_new", "New reseller", s.newResellerView(in, days))
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String(), r.Name+" is open. Its owner has been sent an invitation.")
}

// one finds the reseller in the path.
func (s *Console) one(c *fiber.Ctx) (reseller.Reseller, error) {
	id, err := tenancy.ParseID(c.Params("id"))
	if err != nil {
		return reseller.Reseller{}, fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")
	}
	return s.Office.Resellers.Get(c.UserContext(), id)
}

// look is one with its figures.
func (s *Console) look(c *fiber.Ctx, more ...reseller.More) (reseller.Reseller, reseller.Figures, error) {
	id, err := tenancy.ParseID(c.Params("id"))
	if err != nil {
		return reseller.Reseller{}, reseller.Figures{}, fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")
	}
	return s.Office.Resellers.Look(c.UserContext(), id, more...)
}
