package web

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// changeRoutes are the pages on which a subscription is changed: the customer's, or the
// team's on their behalf.
func (s *Site) changeRoutes(root string, needs identity.Permission) []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: root + "/:subscription/" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "change", s.chooseChange),
		at("POST", "change", s.quoteChange),
		at("POST", "drop-change", s.dropChange),
		at("POST", "prepay", s.quoteAhead),
		at("POST", "bill-day", s.quoteBillDay),
		at("POST", "buy", s.quoteExtras),
		at("GET", "change/:offer", s.showChange),
		at("POST", "change/:offer", s.acceptChange),
	}
}

// changer is who changes a subscription.
type changer struct {
	id, account uuid.UUID // account uuid.Nil: the team
	at, surface string
}

// changes says who asks, and refuses who may not.
func (s *Site) changes(c *fiber.Ctx) (w changer, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error { w, err = s.changing(c, tx); return err })
	return w, err
}

func (s *Site) changing(c *fiber.Ctx, tx *tenancy.Tx) (w changer, err error) {
	if strings.HasPrefix(c.Path(), "/manage/") {
		w.id, err = subscriptionID(c)
		w.at, w.surface = "/manage/subscriptions/"+w.id.String(), "manage"
		return w, err
	}
	x, _, err := s.theirSubscription(c, tx, account.Buy)
	return changer{id: x.ID, account: x.AccountID, at: "/client/subscriptions/" + x.ID.String(), surface: "client"}, err
}

// mayChange is changing where what follows reads the subscription and whose it is.
func (s *Site) mayChange(c *fiber.Ctx, tx *tenancy.Tx) (w changer, err error) {
	if strings.HasPrefix(c.Path(), "/manage/") {
		return s.changing(c, tx)
	}
	if w.id, err = subscriptionID(c); err != nil {
		return w, err
	}
	who, err := acting(c, tx)
	if err == nil {
		err = who.Must(account.Buy)
	}
	if fault.Is(err, "account.none") {
		err = errNoSubscription()
	}
	return changer{id: w.id, account: who.AccountID, at: "/client/subscriptions/" + w.id.String(), surface: "client"}, err
}

// changePage is where somebody chooses.
type changePage struct {
	At, Label     string
	Plans, Cycles groupView
	Options       []groupView
	Paid          string // what it costs, in words
}

func (s *Site) changePage(c *fiber.Ctx) (w changer, v changePage, err error) {
	var offers []catalog.Offer
	if s.Selling != nil {
		if offers, err = s.Selling.Offers.Offers(c.UserContext(), surface.DB(c).Tenant().ID); err != nil {
			return w, v, err
		}
	}
	var got renewal.ChangeChoice
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		if w, err = s.mayChange(c, tx); err == nil {
			got, err = renewal.Choices(c.UserContext(), tx, offers, w.id, w.account)
		}
		return err
	})
	if fault.From(err).Kind == fault.NotFound { // no page to go back to
		w = changer{}
	}
	if err != nil {
		return w, v, err
	}
	x, now, locale := got.Subscription, got.Picked, surface.DB(c).Tenant().Locale
	if c.Method() == fiber.MethodPost { // it comes again, with what was chosen
		now = fill(pickedFrom(c), now)
	}
	v = changePage{At: w.at, Label: x.Label, Paid: x.Paid(locale)}
	v.Plans = groupView{Name: "plan", Code: "plan", Label: "Plan"}
	v.Cycles = groupView{Name: "cycle", Code: "cycle", Label: "How often you pay"}
	for _, p := range got.Plans {
		one := choiceView{ID: "p-" + p.Slug, Value: p.Slug, Label: p.Name, Checked: p.Slug == now.Plan, Disabled: p.Stock != nil && *p.Stock == 0 && p.ID != got.Plan.ID}
		var prices []string
		for _, price := range p.InCurrency(x.Amount.Currency) {
			if price.Cycle.Months() == 0 {
				continue
			}
			view := viewPrice(price)
			if view.Hours != nil {
				prices = append(prices, view.words(locale))
			} else {
				prices = append(prices, view.Amount.Format(locale)+" "+view.Per)
			}
			if !slices.ContainsFunc(v.Cycles.Choices, func(y choiceView) bool { return y.Value == string(price.Cycle) }) {
				v.Cycles.Choices = append(v.Cycles.Choices, choiceView{ID: "c-" + string(price.Cycle), Value: string(price.Cycle), Label: view.Cycle, Checked: price.Cycle == now.Cycle})
			}
		}
		one.Note = strings.Join(prices, " · ")
		if p.ID == got.Plan.ID {
			one.Label += " (as now)"
		}
		if one.Disabled {
			one.Note = "sold out"
		}
		v.Plans.Choices = append(v.Plans.Choices, one)
	}
	for _, o := range got.Plan.Options {
		if o.Visibility == catalog.Shown {
			v.Options = append(v.Options, optionChoices(o, x.Amount.Currency, now, locale))
		}
	}
	return w, v, nil
}

// chooseChange handles GET …/:subscription/change.
func (s *Site) chooseChange(c *fiber.Ctx) error {
	w, v, err := s.changePage(c)
	if err != nil && w.at != "" && fault.From(err).Kind != fault.Forbidden {
		return office.Refused(c, err, w.at)
	}
	if err != nil {
		return err
	}
	return surface.Render(c, w.surface, "client/subscription_change", "Change "+v.Label, v)
}

// quoteChange handles POST …/:subscription/change.
func (s *Site) quoteChange(c *fiber.Ctx) error {
	w, err := s.changes(c)
	if err != nil {
		return err
	}
	in := pickedFrom(c)
	q, err := s.renewalDesk().QuoteChange(c.UserContext(), surface.DB(c), renewal.ChangeAsk{SubscriptionID: w.id, AccountID: w.account, Plan: in.Plan, Cycle: in.Cycle, Options: in.Options})
	if err == nil {
		return surface.Redirect(c, w.at+"/change/"+q.ID.String(), "")
	}
	if fault.From(err).Kind != fault.Invalid {
		return office.Refused(c, err, w.at)
	}
	_, v, again := s.changePage(c)
	if again != nil {
		return office.Refused(c, again, w.at)
	}
	return surface.FormError(c, err, w.surface, "client/subscription_change", "Change "+v.Label, v)
}

// quoteAhead handles POST …/:subscription/prepay: what some cycles paid ahead come to.
func (s *Site) quoteAhead(c *fiber.Ctx) error {
	w, err := s.changes(c)
	if err != nil {
		return err
	}
	cycles, err := strconv.Atoi(table.Text(c.FormValue("cycles"), 10))
	if err != nil || cycles < 1 {
		cycles = -1 // refused with what may be given
	}
	q, err := s.renewalDesk().QuoteChange(c.UserContext(), surface.DB(c), renewal.ChangeAsk{SubscriptionID: w.id, AccountID: w.account, Prepay: cycles})
	if err != nil {
		return office.Refused(c, err, w.at)
	}
	return surface.Redirect(c, w.at+"/change/"+q.ID.String(), "")
}

// quoteExtras handles POST …/:subscription/buy: what add-ons that are charged once come to.
func (s *Site) quoteExtras(c *fiber.Ctx) error {
	w, err := s.changes(c)
	if err != nil {
		return err
	}
	wanted := pickedFrom(c).Options
	if len(wanted) == 0 {
		wanted[""] = "" // refused
	}
	q, err := s.renewalDesk().QuoteChange(c.UserContext(), surface.DB(c), renewal.ChangeAsk{SubscriptionID: w.id, AccountID: w.account, Buy: wanted})
	if err != nil {
		return office.Refused(c, err, w.at)
	}
	return surface.Redirect(c, w.at+"/change/"+q.ID.String(), "")
}

// offerPage is a change with its price.
type offerPage struct {
	At      string
	Q       renewal.ChangeQuote
	Every   string
	Hours   string // what is paid then, by the hour; empty: not so
	Expired bool
	Confirm string   // on the button
	Losses  []string // by the change, said before anything else
	Notes   []string
	Parts   []lineView // of a cycle, afterwards
}

func (s *Site) offerPage(c *fiber.Ctx, w changer) (v offerPage, err error) {
	id, err := uuid.Parse(c.Params("offer"))
	if err != nil {
		return v, errNoOffer()
	}
	v.At = w.at
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		if v.Q, err = renewal.GetChange(c.UserContext(), tx, id, w.account); err != nil {
			return err
		}
		v.Expired = !tx.Now().Before(v.Q.ExpiresAt)
		return nil
	})
	if err == nil && v.Q.SubscriptionID != w.id {
		err = errNoOffer()
	}
	if err != nil {
		return v, err
	}
	v.Every = v.Q.Terms.Cycle.Words()
	locale := surface.DB(c).Tenant().Locale
	for _, it := range v.Q.Terms.Items {
		one := lineView{Label: it.Label, Amount: billing.Money{Minor: it.AmountMinor, Currency: v.Q.Amount.Currency}}
		if it.Kind == "plan" {
			one.Label = v.Q.Terms.Label
		}
		if h := it.Hour; !h.Rate.IsZero() {
			one.Words = h.Words(locale)
		}
		v.Parts = append(v.Parts, one)
	}
	v.Hours = v.Q.Terms.Paid(locale)
	v.words(locale)
	return v, nil
}

func errNoOffer() error {
	return fault.New(fault.NotFound, "change.quote_unknown", "There is no such offer.")
}

// words say what the numbers do not.
func (v *offerPage) words(locale string) {
	p, pay := v.Q.Price, "Pay "
	if strings.HasPrefix(v.At, "/manage/") { // the team has somebody else pay
		pay = "Charge "
	}
	switch {
	case v.Q.Ask.Prepay > 0:
		v.Confirm = pay + v.Q.Total.Format(locale) + " ahead"
		v.Notes = append(v.Notes, "It is paid until then as soon as the invoice is paid. The price does not change meanwhile.")
		return
	case len(v.Q.Bought) > 0:
		v.Confirm = "Buy for " + v.Q.Total.Format(locale)
		v.Notes = append(v.Notes, "It is charged once. What you pay for "+v.Q.Was+" otherwise stays as it is.", "Our team hears of it as soon as it is paid.")
		return
	case v.Q.Move != nil:
		v.Confirm = "Move it"
		if v.Q.Total.Minor > 0 {
			v.Confirm = pay + v.Q.Total.Format(locale) + " and move it"
		}
		v.Notes = append(v.Notes, "Every period after that begins on this day of the month.")
		if p.Return == billing.DowngradeCredit {
			v.Notes = append(v.Notes, "What you have paid beyond that day is taken off your next invoices.")
		}
		return
	case p.AtRenewal:
		v.Confirm = "Change at the renewal"
	case v.Q.Total.Minor > 0:
		v.Confirm = pay + v.Q.Total.Format(locale) + " and change"
	default:
		v.Confirm = "Change now"
	}
	if p.Restarts && !p.AtRenewal {
		v.Notes = append(v.Notes, "A new period begins today.")
	}
	if p.Forfeited.Minor > 0 {
		v.Losses = append(v.Losses, "Nothing is given for the unused time of "+v.Q.Was+", which is worth "+p.Forfeited.Format(locale)+" before tax.")
	}
	switch p.Return {
	case billing.DowngradeCredit:
		v.Notes = append(v.Notes, "What is left over is taken off your next invoices.")
	case billing.DowngradeRefund:
		v.Notes = append(v.Notes, "What is left over goes back to where you paid from.")
	}
	if v.Q.Lost != "" {
		v.Losses = append(v.Losses, v.Q.Lost+" takes nothing off "+v.Q.Terms.Label+": it is for other plans. The prices here are without it.")
	}
	if v.Q.Goes != "" {
		v.Notes = append(v.Notes, "What "+v.Q.Goes+" takes off is taken off the next invoice, too.")
	}
	if v.Q.KeepsDisk > 0 {
		v.Notes = append(v.Notes, "The disk keeps its present size: disks do not shrink.")
	}
	if v.Q.Total.Minor > 0 {
		v.Notes = append(v.Notes, "The change is made as soon as it is paid. Should it turn out to be impossible, the money goes back by itself.")
	}
}

// showChange handles GET …/:subscription/change/:offer.
func (s *Site) showChange(c *fiber.Ctx) error {
	w, err := s.changes(c)
	if err != nil {
		return err
	}
	v, err := s.offerPage(c, w)
	if err != nil {
		return err
	}
	if !v.Q.AcceptedAt.IsZero() {
		return surface.Redirect(c, w.at, "")
	}
	return surface.Render(c, w.surface, "client/subscription_offer", "Change "+v.Q.Was, v)
}

// acceptChange handles POST …/:subscription/change/:offer.
func (s *Site) acceptChange(c *fiber.Ctx) error {
	w, err := s.changes(c)
	if err != nil {
		return err
	}
	v, err := s.offerPage(c, w)
	if err != nil {
		return err
	}
	q, err := s.renewalDesk().AcceptChange(c.UserContext(), surface.DB(c), v.Q.ID, w.account, office.By(c))
	if err != nil {
		return office.Refused(c, err, w.at+"/change")
	}
	switch {
	case q.Price.AtRenewal:
		return surface.Redirect(c, w.at, "The change is made with the next period.")
	case q.InvoiceID == uuid.Nil:
		return surface.Redirect(c, w.at, "The change is being made.")
	}
	method := ""
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		method, err = renewal.Method(c.UserContext(), tx, q.AccountID)
		return err
	})
	if err != nil {
		return err
	}
	if method == "" && w.surface == "client" {
		return surface.Redirect(c, "/client/invoices/"+q.InvoiceID.String()+"/pay", "")
	}
	if q.Move != nil {
		return surface.Redirect(c, w.at, "The invoice is made. It is moved as soon as that is paid.")
	}
	if len(q.Bought) > 0 {
		return surface.Redirect(c, w.at, "The invoice is made. Our team hears of it as soon as that is paid.")
	}
	if q.Ask.Prepay > 0 {
		return surface.Redirect(c, w.at, "The invoice is made. It is paid ahead as soon as that is paid.")
	}
	return surface.Redirect(c, w.at, "The invoice over the change is made. It is changed as soon as that is paid.")
}

// dropChange handles POST …/:subscription/drop-change.
func (s *Site) dropChange(c *fiber.Ctx) error {
	w, err := s.changes(c)
	if err != nil {
		return err
	}
	if _, err := s.renewalDesk().DropChange(c.UserContext(), surface.DB(c), w.id, w.account, office.By(c)); err != nil {
		return office.Refused(c, err, w.at)
	}
	return surface.Redirect(c, w.at, "The change is taken back. Everything stays as it is.")
}
