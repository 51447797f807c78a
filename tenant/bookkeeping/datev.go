package bookkeeping

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/datev"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Chart is a chart of accounts DATEV knows.
type Chart string

// The charts there are defaults for.
const (
	SKR03 Chart = "skr03"
	SKR04 Chart = "skr04"
)

// Settings are what a batch for DATEV needs besides the books. Accounts maps accounts of
// the books to numbers; what is missing has the chart's default.
type Settings struct {
	Chart      Chart             `json:"chart"`
	Consultant int               `json:"consultant"`  // Beraternummer
	Client     int               `json:"client"`      // Mandantennummer
	YearBegins int               `json:"year_begins"` // month, 1 to 12
	Accounts   map[string]string `json:"accounts"`
}

// settingsName is the shop setting.
const settingsName = "bookkeeping"

// Defaults are the numbers of a chart, by account of the books; cash/ and disputed/ stand
// for those of every gateway. None computes tax by itself ("Automatikkonto"): tax stands
// in the books as a movement of its own.
func Defaults(c Chart) map[string]string {
	if c == SKR04 {
		return map[string]string{
			billing.Receivable: "1210", billing.Revenue: "4200", billing.DeferredRevenue: "3900", billing.TaxPayable: "3800", "cash/": "1460", "cash/transfer": "1800", "disputed/": "1300", billing.DisputeLosses: "6930",
			billing.CustomerCredit: "3250", billing.GiftCodes: "3500", billing.CreditRefunds: "3500", billing.PromotionalCredit: "3500", billing.Promotions: "6600",
			billing.CreditExpired: "4830", billing.CreditLosses: "6930", billing.CreditHeld: "3500", billing.CreditTakenBack: "4830",
		}
	}
	return map[string]string{
		billing.Receivable: "1410", billing.Revenue: "8200", billing.DeferredRevenue: "0990", billing.TaxPayable: "1770", "cash/": "1360", "cash/transfer": "1200", "disputed/": "1500", billing.DisputeLosses: "2400",
		billing.CustomerCredit: "1710", billing.GiftCodes: "1700", billing.CreditRefunds: "1700", billing.PromotionalCredit: "1700", billing.Promotions: "4600",
		billing.CreditExpired: "2700", billing.CreditLosses: "2400", billing.CreditHeld: "1700", billing.CreditTakenBack: "2700",
	}
}

// Words says what an account of the books is, for people.
func Words(account string) string {
	switch {
	case strings.HasPrefix(account, "cash/"):
		return "Money received: " + gatewayWords(strings.TrimPrefix(account, "cash/"))
	case strings.HasPrefix(account, "disputed/"):
		return "Held back in disputes: " + gatewayWords(strings.TrimPrefix(account, "disputed/"))
	}
	words := map[string]string{
		billing.Receivable: "Owed by customers", billing.Revenue: "Revenue, net", billing.DeferredRevenue: "Invoiced ahead, not earned yet", billing.TaxPayable: "Tax collected", billing.DisputeLosses: "Lost in disputes", billing.CustomerCredit: "Credit paid ahead by customers",
		billing.GiftCodes: "Gift codes that were bought", billing.CreditRefunds: "Credit on its way back", billing.PromotionalCredit: "Credit that was given", billing.Promotions: "What giving credit costs",
		billing.CreditExpired: "Credit that expired", billing.CreditLosses: "Lost by giving used credit back", billing.CreditHeld: "Credit whose payment is disputed", billing.CreditTakenBack: "Credit whose payment was taken back",
	}
	if w, ok := words[account]; ok {
		return w
	}
	return account
}

func gatewayWords(code string) string {
	switch code {
	case "":
		return "other ways"
	case "transfer":
		return "bank transfer"
	case "platform":
		return "cards, by the platform"
	}
	return code
}

// Names are the accounts a number is set for, in the order of a form.
func Names() []string { return slices.Sorted(maps.Keys(Defaults(SKR03))) }

// number is the number of an account of the books.
func (s Settings) number(account string) string {
	numbers := Defaults(s.Chart)
	maps.Copy(numbers, s.Accounts)
	if n, ok := numbers[account]; ok {
		return n
	}
	before, _, _ := strings.Cut(account, "/")
	return numbers[before+"/"]
}

// padded is the number of an account with as many digits as all have in a file.
func (s Settings) padded(account string, digits int) string {
	n := s.number(account)
	return n + strings.Repeat("0", max(0, digits-len(n)))
}

// Of reads a shop's settings.
func Of(ctx context.Context, tx *tenancy.Tx) (Settings, error) {
	s := Settings{Chart: SKR03, YearBegins: 1}
	_, err := settings.Named(ctx, tx, settingsName, &s)
	return s, err
}

// Form is the settings as a form sends them.
type Form struct {
	Chart, Consultant, Client, YearBegins string
	Accounts                              map[string]string // empty: the chart's default
}

// FormOf is a shop's settings as the form shows them.
func FormOf(s Settings) Form {
	f := Form{Chart: string(s.Chart), YearBegins: strconv.Itoa(s.YearBegins), Accounts: s.Accounts}
	if s.Consultant > 0 {
		f.Consultant = strconv.Itoa(s.Consultant)
	}
	if s.Client > 0 {
		f.Client = strconv.Itoa(s.Client)
	}
	return f
}

// Save keeps a shop's settings. Faults stand at the fields.
func Save(ctx context.Context, db *tenancy.DB, f Form, by audit.Origin) error {
	s, err := f.check()
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := settings.Put(ctx, tx, settingsName, s); err != nil {
			return err
		}
		return by.Record(ctx, tx, "settings.changed", audit.Target{Kind: "settings", ID: "bookkeeping"}, map[string]any{"chart": string(s.Chart), "consultant": s.Consultant, "client": s.Client})
	})
}

func (f Form) check() (Settings, error) {
	bad := map[string]string{}
	s := Settings{Chart: Chart(f.Chart), Accounts: map[string]string{}}
	if s.Chart != SKR03 && s.Chart != SKR04 {
		bad["chart"] = "Please choose one of these."
	}
	number := func(field, typed string, least, most int, says string) (n int) {
		if typed = strings.TrimSpace(typed); typed == "" && field != "year_begins" {
			return 0
		}
		n, err := strconv.Atoi(typed)
		if err != nil || n < least || n > most {
			bad[field] = says
		}
		return n
	}
	s.Consultant = number("consultant", f.Consultant, 1001, 9_999_999, "Your adviser's number is between 1001 and 9999999.")
	s.Client = number("client", f.Client, 1, 99_999, "Your number at the adviser's is between 1 and 99999.")
	s.YearBegins = number("year_begins", f.YearBegins, 1, 12, "Please choose a month.")
	for _, name := range Names() {
		typed := strings.TrimSpace(f.Accounts[name])
		switch {
		case typed == "" || typed == Defaults(s.Chart)[name]:
		case len(typed) < 4 || len(typed) > 8 || strings.Trim(typed, "0123456789") != "":
			bad["account."+name] = "An account's number has 4 to 8 digits."
		default:
			s.Accounts[name] = typed
		}
	}
	return s, fault.Fields("bookkeeping.invalid", bad)
}

// digits is how long the longest number is.
func (s Settings) digits() int {
	most := 4
	for _, name := range Names() {
		most = max(most, len(s.number(name)))
	}
	return most
}

// Export writes a period, which lies in one year of the books, as a batch for DATEV, in a
// currency. Movements in other currencies are left out and counted. Faults:
// bookkeeping.not_set, bookkeeping.bad_period, bookkeeping.too_many.
func Export(ctx context.Context, tx *tenancy.Tx, p Period, zone *time.Location, name, currency string, out io.Writer) (left int, err error) {
	s, err := Of(ctx, tx)
	if err != nil {
		return 0, err
	}
	if s.Consultant == 0 || s.Client == 0 {
		return 0, fault.New(fault.Conflict, "bookkeeping.not_set", "Enter your adviser's number and yours under Settings, Bookkeeping first.")
	}
	if d, err := billing.Digits(currency); err != nil || d != 2 {
		return 0, fault.New(fault.Conflict, "bookkeeping.currency", "DATEV takes amounts in currencies with two decimals.")
	}
	from, to := p.From.In(zone), p.To.In(zone).AddDate(0, 0, -1)
	year := time.Date(from.Year(), time.Month(s.YearBegins), 1, 0, 0, 0, 0, zone)
	if from.Before(year) {
		year = year.AddDate(-1, 0, 0)
	}
	if to.Before(from) || !to.Before(year.AddDate(1, 0, 0)) {
		return 0, fault.Field("to", "bookkeeping.bad_period", "Choose days within one year of the books.")
	}
	w, err := datev.NewWriter(out, datev.Batch{Created: tx.Now(), Consultant: s.Consultant, Client: s.Client, YearBegins: year, Digits: s.digits(), From: from, To: to, Name: name, Currency: currency})
	if err != nil {
		return 0, fmt.Errorf("begin a batch: %w", err)
	}
	n, digits := 0, s.digits()
	err = Journal(ctx, tx, p, func(m Movement) error {
		debit, credit := s.padded(m.Debit, digits), s.padded(m.Credit, digits)
		switch {
		case m.Amount.Currency != currency:
			left++
			return nil
		case debit == credit: // one account there: nothing moves
			return nil
		}
		if n++; n > datev.MostPostings {
			return fault.New(fault.Conflict, "bookkeeping.too_many", "These are more postings than one batch may hold. Choose fewer days.")
		}
		text := m.Note
		if m.Account != "" {
			text = m.Account + ", " + m.Note
		}
		return w.Write(datev.Posting{Amount: m.Amount, Account: debit, Against: credit, Day: m.At.In(zone), Document: m.Document, Text: text})
	})
	if err != nil {
		return left, err
	}
	return left, w.Close()
}
