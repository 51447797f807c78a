package web

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

const booksPath = "/wholesale/books"

// booksRoutes are the platform's own books: trial balance, journal, and what resellers owe.
func (s *Console) booksRoutes() []surface.Route {
	at := func(path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: fiber.MethodGet, Path: booksPath + path, Needs: identity.WholesaleRead, Handler: h}
	}
	return []surface.Route{
		at("", s.showBooks), at("/trial-balance.csv", s.trialCSV), at("/receivables.csv", s.agedCSV), at("/journal.csv", s.journalCSV),
	}
}

// booksRow is an account of the books in people's words.
type booksRow struct {
	billing.TrialLine
	Words string
}

type booksView struct {
	Tabs     []map[string]any
	From, To string // first and last day
	Query    string
	Trial    []booksRow
	Sums     []booksRow
	Aged     []wholesale.Owing
}

// bookDays reads the days of a report, in UTC as wholesale months are; without any, the
// year so far. The fault is at the fields from and to.
func bookDays(c *fiber.Ctx, now time.Time) (from, to time.Time, err error) {
	today := now.UTC()
	from = time.Date(today.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	to = time.Date(today.Year(), today.Month(), today.Day()+1, 0, 0, 0, 0, time.UTC)
	bad := map[string]string{}
	read := func(field string, at *time.Time, plus int) {
		typed := table.Text(c.Query(field), 20)
		if typed == "" {
			return
		}
		day, err := time.Parse(time.DateOnly, typed)
		if err != nil || day.Year() < 2000 || day.Year() > 2100 {
			bad[field] = "Please enter a day such as 2026-12-31."
			return
		}
		*at = day.AddDate(0, 0, plus)
	}
	read("from", &from, 0)
	read("to", &to, 1)
	if len(bad) == 0 && !from.Before(to) {
		bad["to"] = "It would end before it begins."
	}
	return from, to, fault.Fields("books.bad_period", bad)
}

// showBooks handles GET /wholesale/books.
func (s *Console) showBooks(c *fiber.Ctx) error {
	v := booksView{Tabs: wholesaleTabs(booksPath)}
	from, to, err := bookDays(c, s.Central.Now())
	if err != nil {
		v.From, v.To = table.Text(c.Query("from"), 20), table.Text(c.Query("to"), 20)
		return surface.FormError(c, err, "console", "console/wholesale_books", "Books", v)
	}
	lines, err := s.Wholesale.Trial(c.UserContext(), from, to)
	if err != nil {
		return err
	}
	for _, l := range lines {
		v.Trial = append(v.Trial, booksRow{l, wholesale.AccountWords(l.Account)})
	}
	for _, sum := range billing.TrialSums(lines) {
		v.Sums = append(v.Sums, booksRow{sum, "All accounts"})
	}
	if v.Aged, err = s.Wholesale.Aged(c.UserContext()); err != nil {
		return err
	}
	v.From, v.To = from.Format(time.DateOnly), to.AddDate(0, 0, -1).Format(time.DateOnly)
	v.Query = "?from=" + v.From + "&to=" + v.To
	return surface.Render(c, "console", "console/wholesale_books", "Books", v)
}

// trialCSV handles GET /wholesale/books/trial-balance.csv. Balances are debits less credits.
func (s *Console) trialCSV(c *fiber.Ctx) error {
	from, to, err := bookDays(c, s.Central.Now())
	if err != nil {
		return err
	}
	lines, err := s.Wholesale.Trial(c.UserContext(), from, to)
	if err != nil {
		return err
	}
	rows := make([][]string, len(lines))
	for i, l := range lines {
		rows[i] = []string{l.Account, wholesale.AccountWords(l.Account), l.Currency, l.Opening.Decimal(), l.Debit.Decimal(), l.Credit.Decimal(), l.Closing().Decimal()}
	}
	return table.CSV(c, "trial-balance", []string{"account", "name", "currency", "opening", "debit", "credit", "closing"}, rows)
}

// agedCSV handles GET /wholesale/books/receivables.csv.
func (s *Console) agedCSV(c *fiber.Ctx) error {
	all, err := s.Wholesale.Aged(c.UserContext())
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, o := range all {
		rows[i] = []string{o.TenantID.String(), o.Shop, o.Currency, o.NotDue.Decimal(), o.Days30.Decimal(), o.Days60.Decimal(), o.Days90.Decimal(), o.Older.Decimal(), o.Credit.Decimal(), o.Net().Decimal()}
	}
	return table.CSV(c, "receivables", []string{"reseller", "shop", "currency", "not due", "due up to 30 days", "31 to 60", "61 to 90", "over 90", "credits", "total"}, rows)
}

// mostJournal is how many movements one file holds.
const mostJournal = 200_000

// journalCSV handles GET /wholesale/books/journal.csv.
func (s *Console) journalCSV(c *fiber.Ctx) error {
	from, to, err := bookDays(c, s.Central.Now())
	if err != nil {
		return err
	}
	var rows [][]string
	err = s.Wholesale.Journal(c.UserContext(), from, to, func(m wholesale.JournalLine) error {
		if len(rows) == mostJournal {
			return fault.New(fault.Conflict, "books.too_many", "These are more movements than one file holds. Choose fewer days.")
		}
		rows = append(rows, []string{m.At.UTC().Format(time.DateOnly), table.Time(m.At), m.Debit, m.Credit, m.Amount.Decimal(), m.Amount.Currency, m.Document, m.Shop, m.Note, m.Key + "/" + strconv.Itoa(m.Position)})
		return nil
	})
	if err != nil {
		return err
	}
	return table.CSV(c, "journal", []string{"day", "time", "debit", "credit", "amount", "currency", "document", "shop", "note", "key"}, rows)
}
