package web

import (
	"bytes"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/bookkeeping"
)

const (
	booksPath       = "/manage/books"
	bookkeepingPath = "/manage/settings/bookkeeping"
)

func (s *Site) booksRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", booksPath, identity.ReportsRead, s.showBooks),
		at("GET", booksPath+"/trial-balance.csv", identity.ReportsRead, s.trialCSV),
		at("GET", booksPath+"/receivables.csv", identity.ReportsRead, s.agedCSV),
		at("GET", booksPath+"/journal.csv", identity.ReportsRead, s.journalCSV),
		at("GET", booksPath+"/tax", identity.ReportsRead, s.showTaxReport),
		at("GET", booksPath+"/tax.csv", identity.ReportsRead, s.taxReportCSV),
		at("GET", booksPath+"/revenue", identity.ReportsRead, s.showRevenue),
		at("GET", booksPath+"/revenue.csv", identity.ReportsRead, s.revenueCSV),
		at("GET", booksPath+"/datev.csv", identity.ReportsRead, s.datevCSV),
		at("GET", bookkeepingPath, identity.SiteSettings, s.showBookkeeping),
		at("POST", bookkeepingPath, identity.SiteSettings, s.saveBookkeeping),
	}
}

// trialRow is an account of the books in people's words.
type trialRow struct {
	bookkeeping.Line
	Words string
}

// booksView is the page of the books.
type booksView struct {
	From, To string // first and last day
	Query    string
	Trial    []trialRow
	Sums     []trialRow // of each currency: nothing, when the books balance
	Aged     []bookkeeping.Owing
	Ready    bool // for DATEV
	MaySet   bool
}

// period reads the days of a report, in the shop's zone; without any, the month so far.
// The fault is at the fields from and to.
func period(c *fiber.Ctx, now time.Time) (p bookkeeping.Period, from, to string, err error) {
	t, _ := surface.Tenant(c)
	zone := zoneOf(t)
	today := now.In(zone)
	p.From = time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, zone)
	p.To = time.Date(today.Year(), today.Month(), today.Day()+1, 0, 0, 0, 0, zone)
	bad := map[string]string{}
	read := func(field string, at *time.Time, plus int) {
		typed := table.Text(c.Query(field), 20)
		if typed == "" {
			return
		}
		day, err := time.ParseInLocation(time.DateOnly, typed, zone)
		if err != nil || day.Year() < 2000 || day.Year() > 2100 {
			bad[field] = "Please enter a day such as 2026-12-31."
			return
		}
		*at = day.AddDate(0, 0, plus)
	}
	read("from", &p.From, 0)
	read("to", &p.To, 1)
	if len(bad) == 0 && !p.From.Before(p.To) {
		bad["to"] = "It would end before it begins."
	}
	return p, p.From.Format(time.DateOnly), p.To.AddDate(0, 0, -1).Format(time.DateOnly), fault.Fields("books.bad_period", bad)
}

// showBooks handles GET /manage/books.
func (s *Site) showBooks(c *fiber.Ctx) error {
	who, _ := surface.Principal(c)
	v := booksView{MaySet: who.May(identity.SiteSettings)}
	var refused error
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		var p bookkeeping.Period
		if p, v.From, v.To, refused = period(c, tx.Now()); refused != nil {
			return nil
		}
		lines, err := bookkeeping.Trial(c.UserContext(), tx, p)
		if err != nil {
			return err
		}
		v.add(lines)
		if v.Aged, err = bookkeeping.Aged(c.UserContext(), tx); err != nil {
			return err
		}
		set, err := bookkeeping.Of(c.UserContext(), tx)
		v.Ready = set.Consultant > 0 && set.Client > 0
		return err
	})
	if err != nil {
		return err
	}
	if refused != nil {
		v.From, v.To = table.Text(c.Query("from"), 20), table.Text(c.Query("to"), 20)
		return surface.FormError(c, refused, "manage", "manage/books", "Books", v)
	}
	v.Query = "?from=" + v.From + "&to=" + v.To
	return surface.Render(c, "manage", "manage/books", "Books", v)
}

// add puts the lines in words, and sums them by currency.
func (v *booksView) add(lines []bookkeeping.Line) {
	for _, l := range lines {
		v.Trial = append(v.Trial, trialRow{l, bookkeeping.Words(l.Account)})
	}
	for _, sum := range billing.TrialSums(lines) {
		v.Sums = append(v.Sums, trialRow{sum, "All accounts"})
	}
}

// sides writes a balance in a column for debits and one for credits.
func sides(m billing.Money) (debit, credit string) {
	if m.Minor < 0 {
		return "", billing.Money{Minor: -m.Minor, Currency: m.Currency}.Decimal()
	}
	return m.Decimal(), ""
}

// trialCSV handles GET /manage/books/trial-balance.csv.
func (s *Site) trialCSV(c *fiber.Ctx) error {
	var rows [][]string
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		p, _, _, err := period(c, tx.Now())
		if err != nil {
			return err
		}
		lines, err := bookkeeping.Trial(c.UserContext(), tx, p)
		for _, l := range lines {
			od, oc := sides(l.Opening)
			cd, cc := sides(l.Closing())
			rows = append(rows, []string{l.Account, bookkeeping.Words(l.Account), l.Currency, od, oc, l.Debit.Decimal(), l.Credit.Decimal(), cd, cc})
		}
		return err
	})
	if err != nil {
		return err
	}
	return table.CSV(c, "trial-balance", []string{"account", "name", "currency", "opening debit", "opening credit", "debit", "credit", "closing debit", "closing credit"}, rows)
}

// agedCSV handles GET /manage/books/receivables.csv.
func (s *Site) agedCSV(c *fiber.Ctx) error {
	var rows [][]string
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := bookkeeping.Aged(c.UserContext(), tx)
		for _, o := range all {
			rows = append(rows, []string{o.Account, o.Currency, o.NotDue.Decimal(), o.Days30.Decimal(), o.Days60.Decimal(), o.Days90.Decimal(), o.Older.Decimal(), o.GivenUp.Decimal(), o.Total().Decimal()})
		}
		return err
	})
	if err != nil {
		return err
	}
	return table.CSV(c, "receivables", []string{"customer", "currency", "not due", "due up to 30 days", "31 to 60", "61 to 90", "over 90", "given up", "total"}, rows)
}

// mostJournal is how many movements one file holds.
const mostJournal = 200_000

// journalCSV handles GET /manage/books/journal.csv.
func (s *Site) journalCSV(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	var rows [][]string
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		p, _, _, err := period(c, tx.Now())
		if err != nil {
			return err
		}
		return bookkeeping.Journal(c.UserContext(), tx, p, func(m bookkeeping.Movement) error {
			if len(rows) == mostJournal {
				return fault.New(fault.Conflict, "books.too_many", "These are more movements than one file holds. Choose fewer days.")
			}
			rows = append(rows, []string{m.At.In(zoneOf(t)).Format(time.DateOnly), table.Time(m.At), m.Debit, m.Credit, m.Amount.Decimal(), m.Amount.Currency, m.Document, m.Account, m.TaxID, m.Country, m.Note, m.Key + "/" + strconv.Itoa(m.Position)})
			return nil
		})
	})
	if err != nil {
		return err
	}
	return table.CSV(c, "journal", []string{"day", "time", "debit", "credit", "amount", "currency", "document", "customer", "tax id", "country", "note", "key"}, rows)
}

// datevCSV handles GET /manage/books/datev.csv.
func (s *Site) datevCSV(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	var out bytes.Buffer
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		p, _, _, err := period(c, tx.Now())
		if err != nil {
			return err
		}
		_, err = bookkeeping.Export(c.UserContext(), tx, p, zoneOf(t), t.Name, t.Currency, &out)
		return err
	})
	if fault.Is(err, "bookkeeping.not_set") {
		return surface.RedirectFlash(c, booksPath, surface.Flash{Kind: "bad", Text: fault.From(err).Message})
	}
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/csv; charset=windows-1252")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="EXTF_Buchungsstapel.csv"`)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Send(out.Bytes())
}

// bookkeepingView is the settings for DATEV, as they are or as they were typed.
type bookkeepingView struct {
	Tabs   []settingsTab
	Form   bookkeeping.Form
	Charts []place.Choice
	Months []place.Choice
	Rows   []accountNumber
}

type accountNumber struct{ Name, Words, Value, Default string }

func newBookkeepingView(c *fiber.Ctx, f bookkeeping.Form) bookkeepingView {
	v := bookkeepingView{Tabs: settingsTabs(c), Form: f, Charts: []place.Choice{{Value: string(bookkeeping.SKR03), Label: "SKR03"}, {Value: string(bookkeeping.SKR04), Label: "SKR04"}}}
	for m := time.January; m <= time.December; m++ {
		v.Months = append(v.Months, place.Choice{Value: strconv.Itoa(int(m)), Label: m.String()})
	}
	defaults := bookkeeping.Defaults(bookkeeping.Chart(f.Chart))
	for _, name := range bookkeeping.Names() {
		v.Rows = append(v.Rows, accountNumber{name, bookkeeping.Words(name), f.Accounts[name], defaults[name]})
	}
	return v
}

// showBookkeeping handles GET /manage/settings/bookkeeping.
func (s *Site) showBookkeeping(c *fiber.Ctx) error {
	var set bookkeeping.Settings
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		set, err = bookkeeping.Of(c.UserContext(), tx)
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/settings-bookkeeping", "Bookkeeping", newBookkeepingView(c, bookkeeping.FormOf(set)))
}

// saveBookkeeping handles POST /manage/settings/bookkeeping.
func (s *Site) saveBookkeeping(c *fiber.Ctx) error {
	f := bookkeeping.Form{Chart: table.Text(c.FormValue("chart"), 10), Consultant: table.Text(c.FormValue("consultant"), 10), Client: table.Text(c.FormValue("client"), 10),
		YearBegins: table.Text(c.FormValue("year_begins"), 4), Accounts: map[string]string{}}
	for _, name := range bookkeeping.Names() {
		f.Accounts[name] = table.Text(c.FormValue("account."+name), 12)
	}
	if err := bookkeeping.Save(c.UserContext(), surface.DB(c), f, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/settings-bookkeeping", "Bookkeeping", newBookkeepingView(c, f))
	}
	return surface.Redirect(c, bookkeepingPath, "Saved.")
}
