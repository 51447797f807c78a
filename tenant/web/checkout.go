package web

import (
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/coupon"
	"github.com/ezscale/ezscale/tenant/payment"
)

// sells says whether anything can be ordered.
type sells struct {
	Open bool
	Why  string
}

// sells asks whether the shop takes orders: something must take the money, and the
// platform must let it sell.
func (s *Site) sells(c *fiber.Ctx) (sells, error) {
	db := surface.DB(c)
	if s.Selling == nil {
		return sells{Why: "This shop does not take orders yet."}, nil
	}
	if err := checkout.MaySell(db.Tenant()); err != nil {
		return sells{Why: fault.From(err).Message}, nil
	}
	open, err := checkout.TakesMoney(c.UserContext(), db)
	if err != nil || open {
		return sells{Open: open}, err
	}
	return sells{Why: "This shop cannot take payments at the moment."}, nil
}

// quoteView is a priced cart.
type quoteView struct {
	Items    []quoteItem
	Coupon   couponField
	Off      billing.Money // what the code takes off
	Net      billing.Money
	Total    billing.Money
	Taxes    []checkout.Tax
	Again    []againView
	Country  string // whose tax it is; empty: the shop's, until there is an address
	Problems bool
	Delivers bool      // something takes keys
	Hours    bool      // something is paid by the hour
	HoursOff bool      // and codes take something off it
	Held     time.Time // until when what is counted is kept; zero: nothing is
}

type quoteItem struct {
	Index    int
	Label    string
	EditHref string
	Chosen   []catalog.Fact
	Lines    []lineView
	Amount   billing.Money
	Setup    billing.Money // all that is due once
	Fee      billing.Money // of it, for setting up
	Once     []lineView    // of it, add-ons
	Per      string
	Hours    string // what is paid by the hour; empty: nothing
	HoursOff string // what codes take off it; empty: nothing
	Trial    string // "14 days free"; empty: it is paid at once
	Stub     string // "12 days until 1 December 2026"; empty: a whole period is paid
	Problem  string
}

// againView is what is due again.
type againView struct {
	Free      bool // nothing of it was due today: it is tried first
	BeforeTax bool
	Amount    billing.Money
	Per       string
	From      time.Time     // zero: it counts from the delivery
	Times     string        // "the next 2 times"; empty: every time
	Full      billing.Money // after that
	FullFrom  time.Time
}

// preview prices the visitor's cart.
func (s *Site) preview(c *fiber.Ctx, k cart) (quoteView, error) {
	if s.Selling == nil || len(k.Items) == 0 {
		return quoteView{}, nil
	}
	ask := checkout.Ask{Items: k.Items, Coupon: k.Coupon, Visitor: k.Who}
	if _, ok := surface.Principal(c); ok {
		err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
			acting, err := acting(c, tx)
			if err == nil {
				ask.AccountID = acting.AccountID
			}
			if fault.Is(err, "account.none") {
				return nil
			}
			return err
		})
		if err != nil {
			return quoteView{}, err
		}
	}
	q, err := s.Selling.Checkout.Preview(c.UserContext(), surface.DB(c), ask)
	if err != nil {
		return quoteView{}, err
	}
	return viewQuote(surface.DB(c).Tenant(), k, q), nil
}

func viewQuote(t tenancy.Tenant, k cart, q checkout.Quote) quoteView {
	v := quoteView{Net: q.Net, Total: q.Total, Taxes: q.Taxes, Problems: len(q.Problems) > 0, Off: q.Off, Held: q.HeldUntil, Coupon: couponField{Code: strings.ReplaceAll(q.Coupon, " ", " and "), Codes: strings.Fields(q.Coupon), More: q.Coupon == "" || q.MoreCodes, Longer: q.Longer}}
	if q.CouponErr != nil {
		v.Coupon.Typed, v.Coupon.Problem = k.Coupon, words(q.CouponErr)
	}
	if q.Country != "" {
		v.Country = place.CountryName(q.Country)
	}
	problem := map[int]string{}
	for _, p := range q.Problems {
		problem[p.Index] = words(p.Err)
	}
	next := 0
	for i, picked := range k.Items {
		href := "/products/" + picked.Product + "/" + picked.Plan + "?item=" + strconv.Itoa(i)
		if why, bad := problem[i]; bad {
			v.Items = append(v.Items, quoteItem{Index: i, Label: picked.Product + " " + picked.Plan, EditHref: href, Problem: why})
			continue
		}
		if next < len(q.Items) {
			x := viewItem(q.Items[next], t.Locale)
			x.Index, x.EditHref = i, href
			v.Items = append(v.Items, x)
			v.Delivers, v.Hours = v.Delivers || q.Items[next].SKU != "", v.Hours || x.Hours != ""
			v.HoursOff = v.HoursOff || x.HoursOff != ""
			next++
		}
	}
	zone := zoneOf(t)
	for _, again := range checkout.Recurring(q.Items) {
		one := againView{Free: again.Free > 0, BeforeTax: !q.TaxIn, Amount: again.Net, Per: perWords[again.Cycle][0], From: again.Next(q.CreatedAt, zone), Full: again.Full, FullFrom: again.FullFrom(q.CreatedAt, zone)}
		if again.Times > 0 {
			one.Times = timesWords(again.Times)
		}
		v.Again = append(v.Again, one)
	}
	return v
}

// words are what a fault says to people, the fields' before the whole's.
func words(err error) string {
	f := fault.From(err)
	for _, text := range f.Fields {
		return text
	}
	return f.Message
}

func viewItem(x checkout.Item, locale string) quoteItem {
	v := quoteItem{Label: x.Label, Chosen: x.Chosen, Amount: x.Amount, Setup: x.Setup, Fee: x.SetupFee(), Once: onceLines(x.Once), Per: perWords[x.Picked.Cycle][0]}
	if x.Trial != nil {
		v.Trial = trialWords(x.Trial.Days)
	}
	if h := x.Hours(); !h.Rate.IsZero() {
		if v.Hours = h.Words(locale); !x.Amount.IsZero() {
			v.Hours = x.Amount.Format(locale) + " " + v.Per + " and " + v.Hours
		}
		v.HoursOff = x.HoursOff(locale)
	}
	for i, part := range x.Parts {
		one := lineView{Label: part.Label, Amount: part.Amount, Words: hourWords(part, locale)}
		if x.Stub != nil {
			v.Stub, one.Amount = x.Stub.Words(), x.Stub.Parts[i]
		}
		v.Lines = append(v.Lines, one)
	}
	return v
}

// checkoutView is the one page of the checkout. Stage says which of its steps is open.
type checkoutView struct {
	Stage     string // who, code, address, order
	Cart      quoteView
	Email     string // of whom a code was sent, or who is signed in
	Name      string
	Account   string
	BillTo    account.BillTo
	Lines     []string // the address, to read
	Countries []place.Choice
	Kinds     []place.Choice
	QuoteID   uuid.UUID
	Pay       string // "€12.34"
	Free      bool
	Terms     bool
	Privacy   bool
	SSHKeys   string
	Why       string // why nothing can be ordered
	Tries     bool   // something of it begins with a trial
	NeedsCard bool   // a card has to be saved first
	HasCard   string // the one that is; empty: none
	Choices   payment.Choices
}

const checkoutTitle = "Checkout"

// showCheckout handles GET /checkout.
func (s *Site) showCheckout(c *fiber.Ctx) error {
	surface.FormToken(c)
	k := s.cartOf(c)
	if len(k.Items) == 0 {
		return surface.Redirect(c, "/cart", "")
	}
	v, err := s.checkoutPage(c, k, c.Query("edit") == "address")
	if err != nil {
		return office.Refused(c, err, "/cart")
	}
	return surface.Render(c, "pay", "shop/checkout", checkoutTitle, v)
}

// checkoutPage is the page as far as the visitor has come.
func (s *Site) checkoutPage(c *fiber.Ctx, k cart, edit bool) (checkoutView, error) {
	db := surface.DB(c)
	v := checkoutView{Stage: "who"}
	open, err := s.sells(c)
	if err != nil {
		return v, err
	}
	if !open.Open {
		v.Why = open.Why
	}
	shown, err := s.Shown(c.UserContext(), db)
	if err != nil {
		return v, err
	}
	for _, l := range shown.Legal {
		v.Terms = v.Terms || l.Href == "/legal/terms"
		v.Privacy = v.Privacy || l.Href == "/legal/privacy"
	}
	person, ok := surface.Principal(c)
	if !ok {
		if a, waits := s.customers().Awaited(c); waits {
			v.Stage, v.Email, v.Name = "code", a.Email, a.Name
		}
		v.Cart, err = s.preview(c, k)
		return v, err
	}
	v.Email, v.Name = person.Email, person.Name
	var party account.Party
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		acting, err := acting(c, tx)
		if err != nil {
			return err
		}
		if err := acting.Must(account.Buy); err != nil {
			return err
		}
		v.Account = acting.Name
		party, err = account.ForInvoice(c.UserContext(), tx, acting.AccountID)
		return err
	})
	if err != nil {
		return v, err
	}
	v.BillTo = account.BillTo{Kind: party.Kind, Address: party.Address, TaxID: party.TaxID}
	if v.Stage = "order"; edit || !party.Complete() {
		v.address()
		v.Cart, err = s.preview(c, k)
		return v, err
	}
	v.Lines = addressLines(party)
	q, err := s.Selling.Checkout.Quote(c.UserContext(), db, checkout.Ask{AccountID: party.AccountID, Items: k.Items, Coupon: k.Coupon, Visitor: k.Who})
	if refused := err; coupon.Is(refused) { // it is offered without the codes that do not count, and says so
		ask := checkout.Ask{AccountID: party.AccountID, Items: k.Items, Coupon: k.Coupon, Visitor: k.Who}
		if q, err = s.Selling.Checkout.Preview(c.UserContext(), db, ask); err == nil {
			ask.Coupon = q.Coupon // those that count
			q, err = s.Selling.Checkout.Quote(c.UserContext(), db, ask)
		}
		q.CouponErr = refused
	}
	if err != nil {
		return v, err
	}
	v.Cart = viewQuote(db.Tenant(), k, q)
	v.QuoteID, v.Pay, v.Free = q.ID, q.Total.Format(db.Tenant().Locale), q.Total.IsZero()
	return v, s.cardFirst(c, &v, q)
}

// cardFirst opens the step of the card, where something is tried that needs one.
func (s *Site) cardFirst(c *fiber.Ctx, v *checkoutView, q checkout.Quote) error {
	needed := false
	for _, x := range q.Items {
		v.Tries = v.Tries || x.Trial != nil
		needed = needed || x.Trial != nil && x.Trial.Card
	}
	if !v.Tries {
		return nil
	}
	return surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		m, err := payment.DefaultMethod(c.UserContext(), tx, q.AccountID)
		if v.HasCard = m.Label; err != nil || !needed || m.Label != "" || s.Payments == nil {
			return err
		}
		v.NeedsCard = true
		if v.Choices, err = s.Payments.Choices(c.UserContext(), surface.DB(c), tx, q.AccountID); err == nil && v.Choices.Script != nil {
			surface.AllowOrigins(c, v.Choices.Script.Origins...)
		}
		return err
	})
}

// checkoutRefused shows the page again with what was typed and what is wrong with it.
func (s *Site) checkoutRefused(c *fiber.Ctx, err error, put func(*checkoutView)) error {
	k := s.cartOf(c)
	if len(k.Items) == 0 {
		return office.Refused(c, err, "/cart")
	}
	v, perr := s.checkoutPage(c, k, false)
	if perr != nil {
		return office.Refused(c, perr, "/cart")
	}
	if put != nil {
		put(&v)
	}
	return surface.FormError(c, err, "pay", "shop/checkout", checkoutTitle, v)
}

// order handles POST /checkout: the quote on the page is accepted.
func (s *Site) order(c *fiber.Ctx) error {
	acting, err := s.buyingFor(c)
	if err != nil {
		return err
	}
	person, _ := surface.Principal(c)
	id, err := uuid.Parse(c.FormValue("quote"))
	if err != nil || s.Selling == nil {
		return surface.Redirect(c, "/checkout", "")
	}
	keys, err := checkout.ParseSSHKeys(c.FormValue("ssh_keys"))
	if err == nil && c.FormValue("terms") == "" {
		err = fault.Field("terms", "checkout.terms", "Please agree, so that we may deliver.")
	}
	if err != nil {
		return s.checkoutRefused(c, err, func(v *checkoutView) { v.SSHKeys = c.FormValue("ssh_keys") })
	}
	o, err := s.Selling.Checkout.Place(c.UserContext(), surface.DB(c), checkout.PlaceRequest{
		QuoteID: id, AccountID: acting.AccountID, PersonID: person.PersonID, SSHKeys: keys, By: office.By(c),
	})
	if err != nil {
		return s.notPlaced(c, err)
	}
	if err := s.keepCart(c, cart{}); err != nil {
		return err
	}
	page := "/client/orders/" + o.ID.String()
	if o.InvoiceID == nil || o.Total.IsZero() || o.State != checkout.AwaitingPayment {
		return surface.Redirect(c, page, "")
	}
	// Who has paid wants to see it come alive, not the invoice.
	return surface.Redirect(c, "/client/invoices/"+o.InvoiceID.String()+"/pay?next="+page, "")
}

// notPlaced leads back to where what is wrong can be put right.
func (s *Site) notPlaced(c *fiber.Ctx, err error) error {
	switch {
	case coupon.Is(err): // the page says what is wrong with the code, beside the new total
		return surface.RedirectFlash(c, "/checkout", surface.Flash{Kind: "warn", Text: words(err) + " Please look at the new total and order again."})
	case fault.Is(err, "checkout.quote_expired"), fault.Is(err, "checkout.price_changed"), fault.Is(err, "checkout.quote_unknown"), fault.Is(err, "checkout.trial_used"), fault.Is(err, "checkout.card_needed"), fault.Is(err, "checkout.unverified"):
		return surface.RedirectFlash(c, "/checkout", surface.Flash{Kind: "warn", Text: fault.From(err).Message})
	}
	return office.Refused(c, err, "/cart")
}
