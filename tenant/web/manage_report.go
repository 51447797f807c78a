package web

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/overview"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/report"
)

// todo is one thing the shop lacks, or has, or that wants a person today.
type todo struct {
	Done              bool
	Title, Says, Href string
	Action            string
}

type dashboardView struct {
	glance
	Points   []branding.Point
	Todo     []todo
	Open     int // how many are not done
	Domains  int // of the reseller's own that serve
	Greet    string
	SeesSums bool
}

// dashboard handles GET /manage.
func (s *Site) dashboard(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	p, _ := surface.Principal(c)
	v := dashboardView{Greet: t.Name, SeesSums: p.May(identity.ReportsRead)}
	if s.Office.Hosts != nil {
		v.Domains = max(len(s.Office.Hosts(t.ID))-1, 0) // the first is the shop's own for ever
	}
	var err error
	if v.glance, err = s.glance(c.UserContext(), surface.DB(c), v.SeesSums); err != nil {
		return err
	}
	if v.SeesSums {
		v.Points = pointsOf(v.Business)
	}
	v.Todo = append(wants(v, p), todos(v, p)...)
	for _, x := range v.Todo {
		if !x.Done {
			v.Open++
		}
	}
	return surface.Render(c, "manage", "manage/dashboard", "Overview", v)
}

// glance counts what the dashboard shows, or remembers it.
func (s *Site) glance(ctx context.Context, db *tenancy.DB, sums bool) (g glance, err error) {
	t, now := db.Tenant(), db.Now()
	key := glanceKey{t.Currency, sums}
	if g, known := s.Office.Glances.find(t.ID, key, now); known {
		return g, nil
	}
	err = db.View(ctx, func(tx *tenancy.Tx) (err error) {
		if g.Figures, g.Shop, err = overview.Look(ctx, tx); err != nil {
			return err
		}
		if g.Wanting, err = report.Wants(ctx, tx); err != nil || !sums {
			return err
		}
		g.Business, err = report.Gather(ctx, tx, t.Currency, s.Office.Months)
		return err
	})
	if err == nil && sums {
		err = g.Business.Compare(ctx, t.ID, s.Office.Costs)
	}
	if err == nil && s.Office.Room != nil {
		g.Room, err = s.Office.Room(ctx, t.ID)
	}
	if err != nil {
		return glance{}, err
	}
	s.Office.Glances.keep(t.ID, key, now, g)
	return g, nil
}

// pointsOf draws what was invoiced, in whole units of the currency; nothing when there
// was nothing.
func pointsOf(f report.Figures) []branding.Point {
	var points []branding.Point
	any := false
	for _, m := range f.Months {
		any = any || m.Invoiced.Minor != 0
		points = append(points, branding.Point{Label: m.From.Format("Jan 06"), Value: m.Invoiced.Whole()})
	}
	if !any {
		return nil
	}
	return points
}

// wants is what a person should look at today.
func wants(v dashboardView, p identity.Principal) []todo {
	var out []todo
	add := func(needs identity.Permission, n int, one, many, says, href, action string) {
		if n == 0 || !p.May(needs) {
			return
		}
		title := fmt.Sprintf("%d %s", n, many)
		if n == 1 {
			title = "1 " + one
		}
		out = append(out, todo{Title: title, Says: says, Href: href, Action: action})
	}
	w := v.Wanting
	if r := v.Room; r.Full() && p.May(identity.ServicesRead) {
		out = append(out, todo{Title: "No service more can be sold", Href: "/manage/services", Action: "See them",
			Says: fmt.Sprintf("New orders are refused: %d of %d your tier gives, unpaid ones included. Ask the platform for a larger tier.", r.HasServices, r.Services)})
	}
	add(identity.ServicesRead, w.ServicesFailed, "service needs you", "services need you", "The platform refused something; the customer waits.", "/manage/services?state=trouble", "Look")
	add(identity.ServicesRead, w.ServicesByHand, "task for your team", "tasks for your team", "Customers wait for what you deliver, change or end by hand.", "/manage/services?state=team", "See them")
	add(identity.SalesRead, w.TransfersWaiting, "transfer to confirm", "transfers to confirm", "Customers said they pay by bank transfer. Confirm what has arrived.", "/manage/payments?gateway=transfer&state=processing", "Confirm")
	add(identity.SalesRead, w.DisputesOpen, "payment is disputed", "payments are disputed", "Customers took back money at their banks. Evidence that comes too late loses it.", "/manage/payments?state=disputed", "Look")
	add(identity.SalesRead, w.BookingsOpen, "booking to assign", "bookings to assign", "Money came by bank. Say what it is for, or set it aside.", bankPath, "Assign")
	add(identity.SalesRead, w.RefundsWaiting, "refund to send", "refunds to send", "You promised money back that no payment service sends for you.", "/manage/payments?state=refund_waiting", "Send")
	add(identity.SalesRead, w.PaymentsFailing, "payment fails", "payments fail", "Customers were asked for another card. Services are suspended if nothing happens.", "/manage/invoices?state=overdue", "See who")
	return out
}

// todos is what a shop needs before it is worth visiting, as far as the person can
// do something about it.
func todos(v dashboardView, p identity.Principal) []todo {
	var out []todo
	add := func(needs identity.Permission, x todo) {
		if p.May(needs) {
			out = append(out, x)
		}
	}
	add(identity.CatalogWrite, todo{v.Wanting.Sellable > 0, "Put a plan on the shelf", "Choose what you sell and for how much; the margin is shown before you save.", "/manage/catalog", "Make a plan"})
	add(identity.GatewaysWrite, todo{v.Wanting.GatewaysOn > 0, "Take payments", "Your keys of Stripe or PayPal, or your bank details for transfers.", "/manage/settings/payments", "Set it up"})
	add(identity.DashboardRead, todo{v.Wanting.Ordered, "Place a test order", "Buy from your own shop, as a customer would.", "/", "Open the shop"})
	add(identity.BrandWrite, todo{v.Shop.OwnBrand, "Publish your brand", "Logo, colours and the first words visitors read.", "/manage/brand", "Open the brand"})
	add(identity.SiteDomains, todo{v.Domains > 0, "Bring your own domain", "Your shop also answers at the address it came with.", "/manage/domains", "Add a domain"})
	add(identity.BrandWrite, todo{v.Shop.Sender, "Say who your mails are from", "Until then they come from the platform's address.", "/manage/brand", "Set the sender"})
	add(identity.BrandWrite, todo{v.Shop.Legal(), "Add your legal texts", missing(v.Shop), "/manage/brand", "Write them"})
	add(identity.SignedIn, todo{p.HasTOTP, "Set up your second factor", "A code from an app beside your password.", "/manage/security", "Set it up"})
	return out
}

func missing(s overview.Shop) string {
	says := "Missing:"
	for _, x := range []struct {
		there bool
		name  string
	}{{s.Imprint, "imprint"}, {s.Terms, "terms"}, {s.Privacy, "privacy"}} {
		if !x.there {
			if says != "Missing:" {
				says += ","
			}
			says += " " + x.name
		}
	}
	if s.Legal() {
		return "Imprint, terms and privacy are there."
	}
	return says + "."
}

type reportView struct {
	report.Figures
	Points    []branding.Point
	Recovered []report.Recovery
	Days      int // back to which Recovered reaches
	Spans     []int
	Trials    []renewal.Tried
}

// recoveredSpans are the days the report of what was recovered can reach back to.
func recoveredSpans() []int { return []int{30, 90, 365} }

// recoveredDays is how far back the page asks for what was recovered.
func recoveredDays(c *fiber.Ctx) int {
	for _, n := range recoveredSpans() {
		if c.Query("days") == strconv.Itoa(n) {
			return n
		}
	}
	return 90
}

func sendRecovered(c *fiber.Ctx, all []report.Recovery) error {
	rows := make([][]string, len(all))
	for i, r := range all {
		rows[i] = []string{r.Rule, r.Words(), strconv.Itoa(r.Payments), r.Amount.Decimal(), r.AfterWeek.Decimal(), r.Amount.Currency, strconv.FormatFloat(r.Days, 'f', 1, 64)}
	}
	return table.CSV(c, "recovered", []string{"rule", "what", "payments", "amount", "of it after a week more", "currency", "days late"}, rows)
}

// showReport handles GET /manage/reports; with ?format=csv the months as a table, with
// ?format=recovered what dunning brought.
func (s *Site) showReport(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	v := reportView{Days: recoveredDays(c), Spans: recoveredSpans()}
	format := c.Query("format")
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		v.Recovered, err = report.Recovered(c.UserContext(), tx, tx.Now().AddDate(0, 0, -v.Days), tx.Now())
		if err == nil && format != "recovered" {
			v.Figures, err = report.Gather(c.UserContext(), tx, t.Currency, s.Office.Months)
		}
		if err == nil && format == "" {
			v.Trials, err = renewal.Trials(c.UserContext(), tx)
		}
		return err
	})
	if err != nil {
		return err
	}
	if format == "recovered" {
		return sendRecovered(c, v.Recovered)
	}
	if err := v.Compare(c.UserContext(), t.ID, s.Office.Costs); err != nil {
		return err
	}
	v.Points = pointsOf(v.Figures)
	if format == "csv" {
		return sendMonths(c, v.Figures)
	}
	return surface.Render(c, "manage", "manage/report", "Reports", v)
}

func sendMonths(c *fiber.Ctx, f report.Figures) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"month", "invoiced_net", "received", "currency"}}
	for _, m := range f.Months {
		rows = append(rows, []string{m.From.Format("2006-01"), m.Invoiced.Decimal(), m.Received.Decimal(), f.Currency})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	c.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="revenue-`+strconv.Itoa(len(f.Months))+`-months.csv"`)
	return c.Send(b.Bytes())
}
