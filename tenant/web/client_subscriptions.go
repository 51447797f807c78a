package web

import (
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// clientSubscriptionRoutes are the customer's pages about subscriptions.
func (s *Site) clientSubscriptionRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/client/subscriptions" + path, Needs: identity.SignedIn, Handler: h}
	}
	return append([]surface.Route{
		at("GET", "", s.clientSubscriptions),
		at("GET", "/:subscription", s.clientSubscription),
		at("GET", "/:subscription/pro-forma.pdf", s.clientProForma),
		at("GET", "/:subscription/add", s.addToSubscription),
		at("GET", "/:subscription/cancel", s.askToCancel),
		at("POST", "/:subscription/cancel", s.cancelSubscription),
		at("POST", "/:subscription/resume", s.resumeSubscription),
		at("POST", "/:subscription/method", s.methodOfSubscription),
	}, append(s.changeRoutes("/client/subscriptions", identity.SignedIn), append(s.pauseRoutes("/client/subscriptions", identity.SignedIn), s.trialRoutes("/client/subscriptions", identity.SignedIn)...)...)...)
}

func (s *Site) renewalDesk() *renewal.Desk {
	d := &renewal.Desk{Mail: s.SignIn.Mail}
	if s.Selling != nil {
		d.Offers = s.Selling.Offers
	}
	return d
}

func subscriptionStatus(x renewal.Subscription) map[string]any {
	switch x.State {
	case renewal.Pending:
		if x.AwaitsTeam {
			return office.Status("info", "Being prepared")
		}
		return office.Status("info", "Waits for the payment")
	case renewal.InTrial:
		if x.CancelAt.IsZero() {
			return office.Status("info", "Trial")
		}
	case renewal.PastDue:
		return office.Status("warn", "Payment overdue")
	case renewal.Suspended:
		return office.Status("bad", "Off: not paid")
	case renewal.Paused:
		return office.Status("info", "Paused")
	case renewal.Ended:
		m := office.Status("idle", "Ended")
		m["Since"] = x.EndedAt
		return m
	}
	if !x.CancelAt.IsZero() {
		return office.Status("warn", "Cancelled")
	}
	return office.Status("good", "Active")
}

type subscriptionRow struct {
	renewal.Subscription
	Status map[string]any
	Every  string
	Hours  bool // it is paid by the hour
}

func subscriptionRows(found []renewal.Subscription) []subscriptionRow {
	rows := make([]subscriptionRow, len(found))
	for i, x := range found {
		_, hours := x.Hour()
		rows[i] = subscriptionRow{x, subscriptionStatus(x), x.Cycle.Words(), hours}
	}
	return rows
}

// clientSubscriptions handles GET /client/subscriptions.
func (s *Site) clientSubscriptions(c *fiber.Ctx) error {
	v := struct {
		Rows []subscriptionRow
		Next []renewal.Foreseen // what will be paid; of whom may see invoices
		// Metered says that use is billed besides.
		Metered bool
		Hours   bool // something is paid by the hour
	}{}
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		acting, err := acting(c, tx)
		if err != nil {
			return err
		}
		if err := acting.Must(account.ServicesSee); err != nil {
			return err
		}
		found, err := renewal.List(c.UserContext(), tx, renewal.Filter{AccountID: acting.AccountID})
		if v.Rows = subscriptionRows(found); err == nil && len(found) > 0 && acting.May(account.InvoicesSee) {
			v.Next, err = renewal.UpcomingOf(c.UserContext(), tx, acting.AccountID, found, 6)
			v.Metered = slices.ContainsFunc(found, func(x renewal.Subscription) bool { return !x.MeteredTo.IsZero() })
			v.Hours = slices.ContainsFunc(v.Rows, func(x subscriptionRow) bool { return x.Hours })
		}
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/subscriptions", "Subscriptions", v)
}

// changeUnderWay says what becomes of a subscription, and whether it can be taken back.
func changeUnderWay(x renewal.Subscription) (words string, droppable bool) {
	c := x.Change
	if c == nil {
		return "", false
	}
	on := c.At.In(x.Zone()).Format("2 January 2006")
	if c.Cycles > 0 {
		if c.State == renewal.ChangeAwaitsPayment {
			return "It is paid ahead as soon as the invoice is paid. That offer lapses on " + c.At.In(x.Zone()).Format("2 January 2006, 15:04") + ".", true
		}
		return "It is being paid ahead.", false
	}
	if c.Move != nil {
		if c.State == renewal.ChangeAwaitsPayment {
			return "It is moved to the bill day as soon as the invoice is paid. That offer lapses on " + c.At.In(x.Zone()).Format("2 January 2006, 15:04") + ".", true
		}
		return "It is being moved to the bill day.", false
	}
	if len(c.Bought) > 0 {
		if c.State == renewal.ChangeAwaitsPayment {
			return renewal.BoughtWords(c.Bought) + " is bought as soon as the invoice is paid. That offer lapses on " + c.At.In(x.Zone()).Format("2 January 2006, 15:04") + ".", true
		}
		return renewal.BoughtWords(c.Bought) + " is being bought.", false
	}
	switch c.State {
	case renewal.ChangeAwaitsPayment:
		return "It changes to " + c.Terms.Label + " as soon as the invoice over the change is paid. The change lapses on " + c.At.In(x.Zone()).Format("2 January 2006, 15:04") + ".", true
	case renewal.ChangeScheduled:
		return "It changes to " + c.Terms.Label + " on " + on + ", with the next period.", true
	case renewal.ChangeInvoiced:
		return "The next invoice is for " + c.Terms.Label + ". The service is changed on " + on + ".", false
	}
	return "It is being changed to " + c.Terms.Label + ".", false
}

type billedRow struct {
	renewal.Billed
	Status map[string]any
}

func billedStatus(b renewal.Billed) map[string]any {
	switch b.State {
	case "paid":
		return office.Status("good", "Paid")
	case "void":
		return office.Status("idle", "Withdrawn")
	case "uncollectible":
		return office.Status("idle", "Given up")
	}
	return office.Status("warn", "Open")
}

// subscriptionView is one subscription with what belongs to it, for both sides.
type subscriptionView struct {
	X         subscriptionRow
	At        string
	Invoices  []billedRow
	Events    []activity.Told
	Method    string
	Methods   []payment.Method // to choose from
	MayPay    bool
	Next      billing.Period // that will be invoiced; zero: none
	Reason    string
	MayCancel bool
	MayChange bool   // whoever looks may
	Changes   string // what is under way, in words
	Droppable bool
	Team      bool
	SeesMoney bool
	Reasons   []renewal.Reason
	AtEnd     bool // it can run until the end of what is paid
	Note      string
	Picked    string
	When      string
	Ahead     int             // cycles that can be paid ahead; 0: none
	PauseDays int             // for which it may be paused by whoever looks, if they may cancel; 0: it may not
	MayAdd    bool            // the customer, at a page of its own: there is no service's
	Extras    []renewal.Addon // that can be bought for it and are charged once
	BillDay   string          // "1st": it can be moved there; empty: it cannot, or renews then
	Continues bool            // whoever looks may end the pause, if they may cancel
	NewPaid   string          // a cycle, from NewFrom on
	NewFrom   time.Time       // zero: no other price waits
	Raised    bool
	TryNext   billing.Money // the first invoice after a trial, before tax
	TryUntil  time.Time     // when a trial ends; zero: it is in none
	Usage     *usageView    // this month, on its own page; nil: nothing is billed by use
}

func subscriptionID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("subscription"))
	if err != nil {
		return uuid.Nil, errNoSubscription()
	}
	return id, nil
}

func errNoSubscription() error {
	return fault.New(fault.NotFound, "subscription.not_found", "There is no such subscription.")
}

// theirSubscription reads a subscription of an account the person belongs to; any other
// is unknown.
func (s *Site) theirSubscription(c *fiber.Ctx, tx *tenancy.Tx, needs account.Permission) (renewal.Subscription, account.Acting, error) {
	id, err := subscriptionID(c)
	if err != nil {
		return renewal.Subscription{}, account.Acting{}, err
	}
	x, err := renewal.Get(c.UserContext(), tx, id)
	if err != nil {
		return x, account.Acting{}, err
	}
	acting, err := actingFor(c, tx, x.AccountID)
	if fault.Is(err, "account.none") || err == nil && acting.AccountID != x.AccountID {
		return renewal.Subscription{}, acting, errNoSubscription()
	}
	if err == nil {
		err = acting.Must(needs)
	}
	return x, acting, err
}

func (s *Site) subscriptionView(c *fiber.Ctx, tx *tenancy.Tx, x renewal.Subscription, customer bool) (v subscriptionView, err error) {
	ctx := c.UserContext()
	v = subscriptionView{X: subscriptionRows([]renewal.Subscription{x})[0], Reasons: renewal.Reasons(), When: "end"}
	v.AtEnd = x.Period.To.After(tx.Now()) && x.State != renewal.Paused
	if !v.AtEnd {
		v.When = "now"
	}
	v.Reason = renewal.ReasonLabel(x.CancelReason)
	if x.Runs() && x.CancelAt.IsZero() && x.Cycle.Months() > 0 {
		v.Next = x.Next()
	}
	if x.Trying() {
		v.TryNext, v.TryUntil = x.AfterTrial()
	}
	v.Changes, v.Droppable = changeUnderWay(x)
	v.Ahead = x.MayPrepay(tx.Now())
	if x.MayMove(tx.Now()) {
		v.BillDay = billing.Ordinal(x.BillDay)
	}
	if next, from, waits := x.NextPriced(); waits && x.CancelAt.IsZero() {
		v.NewPaid, v.NewFrom, v.Raised = next.Paid(surface.DB(c).Tenant().Locale), from, next.Dearer(x)
	}
	v.Continues = x.State == renewal.Paused && (!customer || !x.Pause.Team)
	if x.Pausable(tx.Now()) == nil {
		v.PauseDays = x.PauseDays(tx.Now(), !customer)
	}
	if !customer && x.Buyable(tx.Now()) == nil { // customers buy at the service's page
		all, err := renewal.Addons(ctx, tx, x)
		if err != nil {
			return v, err
		}
		_, v.Extras = splitAddons(all)
	}
	found, err := renewal.Invoices(ctx, tx, x.ID)
	if err != nil {
		return v, err
	}
	for _, b := range found {
		v.Invoices = append(v.Invoices, billedRow{b, billedStatus(b)})
	}
	if v.Methods, err = payment.Methods(ctx, tx, x.AccountID); err != nil {
		return v, err
	}
	for _, m := range v.Methods { // the default is the first
		if m.ID == x.MethodID || m.IsDefault {
			v.Method = m.Label
		}
		if m.ID == x.MethodID && m.State == "active" {
			break
		}
	}
	subjects := []uuid.UUID{x.ID}
	if x.ServiceID != uuid.Nil && !customer {
		subjects = append(subjects, x.ServiceID)
	}
	v.Events, err = activity.List(ctx, tx, activity.Filter{Subjects: subjects, CustomerView: customer, Limit: 30})
	return v, err
}

func (s *Site) clientSubscriptionView(c *fiber.Ctx, needs account.Permission) (v subscriptionView, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, acting, err := s.theirSubscription(c, tx, needs)
		if err != nil {
			return err
		}
		v, err = s.subscriptionView(c, tx, x, true)
		v.At, v.MayCancel, v.SeesMoney = "/client/subscriptions/"+x.ID.String(), acting.May(account.CancelContract), acting.May(account.InvoicesSee)
		v.MayChange, v.MayPay = acting.May(account.Buy), acting.May(account.Pay)
		v.MayAdd = v.mayAdd(tx)
		return err
	})
	return v, err
}

// clientSubscription handles GET /client/subscriptions/:subscription.
func (s *Site) clientSubscription(c *fiber.Ctx) error {
	v, err := s.clientSubscriptionView(c, account.ServicesSee)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/subscription", v.X.Label, v)
}

// methodOfSubscription handles POST /client/subscriptions/:subscription/method: what its
// invoices are collected with.
func (s *Site) methodOfSubscription(c *fiber.Ctx) error {
	v, err := s.clientSubscriptionView(c, account.Pay)
	if err != nil {
		return err
	}
	method, words := uuid.Nil, "It is paid with your usual method from now on."
	if text := c.FormValue("method"); text != "" {
		if method, err = uuid.Parse(text); err != nil {
			return errNoMethod
		}
		words = "It is paid with this from now on."
	}
	if err := payment.ForSubscription(c.UserContext(), surface.DB(c), v.X.AccountID, v.X.ID, method, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, v.At, words)
}
