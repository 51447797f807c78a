package web

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/bank"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/bankbook"
)

const bankPath = "/manage/payments/bank"

func (s *Site) bankRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: bankPath, Needs: identity.SalesRead, Handler: s.showBank},
		{Method: fiber.MethodPost, Path: bankPath, Needs: identity.SalesWrite, Handler: s.importBank},
		{Method: fiber.MethodPost, Path: bankPath + "/apply", Needs: identity.SalesWrite, Handler: s.applyBank},
		{Method: fiber.MethodPost, Path: bankPath + "/aside", Needs: identity.SalesWrite, Handler: s.asideBank},
	}
}

// bankLine is a booking with what it seems to pay, or what was typed.
type bankLine struct {
	bankbook.Line
	Numbers string
	Take    bool
	Sure    bool
	Why     string
	Refused string
}

type bankView struct {
	State    bankbook.State
	Rows     []bankLine
	Total    int
	Page     int
	Next     string // empty: this is the last page
	Back     string
	Columns  bank.Columns
	MayEdit  bool
	OpenForm bool // of the columns
}

// bankPage is how many bookings a page has.
const bankPage = 100

func (s *Site) readBank(c *fiber.Ctx) (v bankView, err error) {
	who, _ := surface.Principal(c)
	v = bankView{State: bankbook.State(c.Query("state")), MayEdit: who.May(identity.SalesWrite)}
	if v.State != bankbook.Applied && v.State != bankbook.Aside {
		v.State = bankbook.Open
	}
	if v.Page, err = strconv.Atoi(c.Query("page")); err != nil || v.Page < 1 || v.Page > 10_000 {
		v.Page = 1
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if v.Columns, err = bankbook.ColumnsOf(c.UserContext(), tx); err != nil {
			return err
		}
		lines, err := bankbook.List(c.UserContext(), tx, v.State, (v.Page-1)*bankPage, bankPage)
		if err != nil {
			return err
		}
		var fits []bankbook.Fit
		if v.State == bankbook.Open {
			if fits, err = bankbook.Suggest(c.UserContext(), tx, lines); err != nil {
				return err
			}
		}
		for i, l := range lines {
			row := bankLine{Line: l}
			if i < len(fits) {
				row.Numbers, row.Take, row.Sure, row.Why = strings.Join(fits[i].Numbers, ", "), fits[i].Sure, fits[i].Sure, fits[i].Why
			}
			v.Rows, v.Total = append(v.Rows, row), l.Total
		}
		return nil
	})
	at := func(page int) string { return bankPath + "?state=" + string(v.State) + "&page=" + strconv.Itoa(page) }
	if v.Page > 1 {
		v.Back = at(v.Page - 1)
	}
	if v.Page*bankPage < v.Total {
		v.Next = at(v.Page + 1)
	}
	return v, err
}

// showBank handles GET /manage/payments/bank.
func (s *Site) showBank(c *fiber.Ctx) error {
	v, err := s.readBank(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/bank", "Bank statements", v)
}

// importBank handles POST /manage/payments/bank: a statement is handed in.
func (s *Site) importBank(c *fiber.Ctx) error {
	u, err := uploadOf(c)
	var done bankbook.Imported
	if err == nil {
		done, err = bankbook.Import(c.UserContext(), surface.DB(c), u, office.By(c))
	}
	if err != nil {
		v, rerr := s.readBank(c)
		if rerr != nil {
			return rerr
		}
		v.Columns, v.OpenForm = u.Columns, fault.Is(err, "bank.columns")
		return surface.FormError(c, err, "manage", "manage/bank", "Bank statements", v)
	}
	text := fmt.Sprintf("%d new bookings of %d, %d of them money that came.", done.Fresh, done.Found, done.Incoming)
	if done.Fresh == 0 {
		text = "All of these bookings were here already. Nothing has changed."
	}
	return surface.Redirect(c, bankPath, text)
}

// uploadOf reads the form of a statement.
func uploadOf(c *fiber.Ctx) (u bankbook.Upload, err error) {
	name := func(field string) string { return table.Text(strings.TrimSpace(c.FormValue(field)), 100) }
	u.Columns = bank.Columns{
		Date: name("date"), Amount: name("amount_column"), Currency: strings.ToUpper(table.Text(strings.TrimSpace(c.FormValue("currency")), 3)), Party: name("party"),
		PartyAccount: name("party_account"), Text: name("text"), Reference: name("reference_column"), MonthFirst: c.FormValue("month_first") == "on",
	}
	head, err := c.FormFile("file")
	if err != nil {
		return u, fault.Field("file", "upload.empty", "Choose a file first.")
	}
	f, err := head.Open()
	if err != nil {
		return u, fmt.Errorf("open the upload: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	u.Name = head.Filename
	if u.File, err = io.ReadAll(io.LimitReader(f, bank.MaxFile+1)); err != nil {
		return u, fmt.Errorf("read the upload: %w", err)
	}
	return u, nil
}

// taken are the bookings that were ticked.
func taken(c *fiber.Ctx) (all []uuid.UUID) {
	for _, raw := range c.Request().PostArgs().PeekMulti("take") {
		if id, err := uuid.ParseBytes(raw); err == nil && len(all) < bankPage {
			all = append(all, id)
		}
	}
	return all
}

// applyBank handles POST /manage/payments/bank/apply: what is ticked is booked.
func (s *Site) applyBank(c *fiber.Ctx) error {
	var chosen []bankbook.Choice
	for _, id := range taken(c) {
		chosen = append(chosen, bankbook.Choice{ID: id, Numbers: table.Text(c.FormValue("numbers_"+id.String()), 1000)})
	}
	if len(chosen) == 0 {
		return surface.RedirectFlash(c, bankPath, surface.Flash{Kind: "info", Text: "Tick what is to be booked."})
	}
	out, err := bankbook.Apply(c.UserContext(), surface.DB(c), chosen, office.By(c))
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%d bookings were applied to their invoices.", out.Applied)
	if out.Applied == 1 {
		text = "One booking was applied."
	}
	if len(out.Refused) == 0 {
		return surface.Redirect(c, bankPath, text)
	}
	v, err := s.readBank(c)
	if err != nil {
		return err
	}
	for i := range v.Rows {
		r := &v.Rows[i]
		if why, refused := out.Refused[r.ID]; refused {
			r.Refused, r.Take, r.Numbers = why, true, table.Text(c.FormValue("numbers_"+r.ID.String()), 1000)
		}
	}
	return surface.FormError(c, fault.New(fault.Conflict, "bank.some_refused", text+" Some could not be: see there."), "manage", "manage/bank", "Bank statements", v)
}

// asideBank handles POST /manage/payments/bank/aside: what is ticked is no customer's
// payment, or is one after all.
func (s *Site) asideBank(c *fiber.Ctx) error {
	back := c.FormValue("back") == "on"
	n, err := bankbook.PutAside(c.UserContext(), surface.DB(c), taken(c), !back, office.By(c))
	switch {
	case err != nil:
		return err
	case n == 0:
		return surface.RedirectFlash(c, bankPath, surface.Flash{Kind: "info", Text: "Nothing has changed."})
	case back:
		return surface.Redirect(c, bankPath, "They are looked at again.")
	}
	return surface.Redirect(c, bankPath, "They are set aside.")
}
