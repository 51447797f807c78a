package web

import (
	"slices"
	"strconv"
	"strings"
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
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/coupon"
)

func (s *Site) couponRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/coupons" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.CatalogRead, s.listCoupons),
		at("GET", "/new", identity.CatalogWrite, s.newCoupon),
		at("POST", "/new", identity.CatalogWrite, s.addCoupon),
		at("GET", "/codes/:coupon", identity.CatalogRead, s.showCoupon),
		at("POST", "/codes/:coupon", identity.CatalogWrite, s.changeCoupon),
		at("POST", "/codes/:coupon/switch", identity.CatalogWrite, s.switchCoupon),
		at("POST", "/together", identity.CatalogWrite, s.saveTogether),
	}
}

// couponView is a code as the list and its page show it.
type couponView struct {
	coupon.Reported
	Takes  []string // "20 %", "€5.00"
	Other  []string // what half of those who use it get instead; empty: nothing else
	For    string   // "first 3 invoices"
	Status map[string]any
	Uses   string // "3 of 10"
	Days   string
}

func viewCoupon(r coupon.Reported, t tenancy.Tenant, now time.Time) couponView {
	v := couponView{Reported: r, For: cyclesWords(r.Cycles), Uses: strconv.Itoa(r.Uses)}
	if r.MaxUses > 0 {
		v.Uses += " of " + strconv.Itoa(r.MaxUses)
	}
	v.Takes = takes(r.Kind, coupon.Terms{Ppm: r.Ppm, Amounts: r.Amounts, Cycles: r.Cycles, Days: r.Days}, t.Locale)
	if r.Other != nil {
		v.Other = takes(r.Kind, *r.Other, t.Locale)
	}
	if r.Kind == coupon.Longer {
		v.For = ""
	}
	switch {
	case r.State == coupon.Off:
		v.Status = office.Status("idle", "Off")
	case !r.EndsAt.IsZero() && !now.Before(r.EndsAt):
		v.Status = office.Status("idle", "Ended")
	case !r.StartsAt.IsZero() && now.Before(r.StartsAt):
		v.Status = office.Status("info", "Begins later")
	case r.MaxUses > 0 && r.Uses >= r.MaxUses:
		v.Status = office.Status("warn", "Used up")
	default:
		v.Status = office.Status("good", "Counts")
	}
	zone, layout := zoneOf(t), "2 Jan 2006"
	from, until := r.StartsAt.In(zone).Format(layout), r.EndsAt.In(zone).AddDate(0, 0, -1).Format(layout)
	switch {
	case !r.StartsAt.IsZero() && !r.EndsAt.IsZero():
		v.Days = from + " to " + until
	case !r.StartsAt.IsZero():
		v.Days = "from " + from
	case !r.EndsAt.IsZero():
		v.Days = "until " + until
	default:
		v.Days = "always"
	}
	return v
}

// takes says what terms take off.
func takes(kind coupon.Kind, x coupon.Terms, locale string) (all []string) {
	switch kind {
	case coupon.Percent:
		return []string{billing.Percent(x.Ppm)}
	case coupon.Free:
		return []string{"everything"}
	case coupon.Longer:
		return []string{"a trial is " + strconv.Itoa(x.Days) + " days longer"}
	}
	for currency, minor := range x.Amounts {
		all = append(all, billing.Money{Minor: minor, Currency: currency}.Format(locale))
	}
	slices.Sort(all)
	return all
}

// cyclesWords says for which invoices a code counts.
func cyclesWords(cycles int) string {
	switch cycles {
	case 0:
		return "every invoice"
	case 1:
		return "the first invoice"
	default:
		return "the first " + strconv.Itoa(cycles) + " invoices"
	}
}

// zoneOf is the shop's time zone.
func zoneOf(t tenancy.Tenant) *time.Location {
	zone, err := time.LoadLocation(t.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

type couponsView struct {
	Rows    []couponView
	MayEdit bool
	Most    string // codes on one order, as it is or as it was typed
}

func (s *Site) couponsView(c *fiber.Ctx) (v couponsView, err error) {
	t, _ := surface.Tenant(c)
	who, _ := surface.Principal(c)
	v.MayEdit = who.May(identity.CatalogWrite)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		most, err := coupon.Most(c.UserContext(), tx)
		if err != nil {
			return err
		}
		v.Most = strconv.Itoa(most)
		all, err := coupon.List(c.UserContext(), tx)
		for _, r := range all {
			v.Rows = append(v.Rows, viewCoupon(r, t, tx.Now()))
		}
		return err
	})
	return v, err
}

// listCoupons handles GET /manage/coupons.
func (s *Site) listCoupons(c *fiber.Ctx) error {
	v, err := s.couponsView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/coupons", "Coupons", v)
}

// saveTogether handles POST /manage/coupons/together: how many codes count on one order.
func (s *Site) saveTogether(c *fiber.Ctx) error {
	typed := strings.TrimSpace(table.Text(c.FormValue("most"), 10))
	most, err := strconv.Atoi(typed)
	if err != nil {
		most = 0 // refused with what may be given
	}
	if err := coupon.SaveMost(c.UserContext(), surface.DB(c), most, office.By(c)); err != nil {
		v, verr := s.couponsView(c)
		if verr != nil {
			return verr
		}
		v.Most = typed
		return surface.FormError(c, err, "manage", "manage/coupons", "Coupons", v)
	}
	return surface.Redirect(c, "/manage/coupons", "Saved. It counts for orders from now on.")
}

// couponEdit is the editor of a code.
type couponEdit struct {
	Form     coupon.Form
	Code     *couponView // nil: a new one
	Kinds    []place.Choice
	Stacks   []place.Choice
	Amounts  []amountCell
	Others   []amountCell // of the other variant
	Compared []coupon.Compared
	Plans    []checkView
	Action   string
	Currency string
	MayEdit  bool
}

type amountCell struct{ Currency, Name, Value string }

// editCoupon builds the editor's page around what was typed, or the code as it is.
func (s *Site) editCoupon(c *fiber.Ctx, f coupon.Form, code string, typed bool) (couponEdit, error) {
	t, _ := surface.Tenant(c)
	who, _ := surface.Principal(c)
	v := couponEdit{Action: c.Path(), Currency: t.Currency, MayEdit: who.May(identity.CatalogWrite),
		Kinds: []place.Choice{{Value: string(coupon.Percent), Label: "A percentage"}, {Value: string(coupon.Amount), Label: "An amount"},
			{Value: string(coupon.Free), Label: "Everything, of some invoices"}, {Value: string(coupon.Longer), Label: "Nothing: it makes a trial longer"}},
		Stacks: []place.Choice{{Value: "", Label: "With no other code"}, {Value: string(coupon.OtherKinds), Label: "With codes of other kinds"}, {Value: string(coupon.WithAny), Label: "With any other code"}}}
	currencies := []string{t.Currency}
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if code != "" {
			r, err := coupon.Get(c.UserContext(), tx, code)
			if err != nil {
				return err
			}
			if !typed {
				f = coupon.Of(r.Coupon, zoneOf(t))
			}
			view := viewCoupon(r, t, tx.Now())
			v.Code = &view
			if v.Compared, err = coupon.Compare(c.UserContext(), tx, code); err != nil {
				return err
			}
		}
		shelf, err := catalog.Everything(c.UserContext(), tx)
		if err != nil {
			return err
		}
		for _, product := range shelf {
			for _, p := range product.Plans {
				id := p.ID.String()
				if checked := slices.Contains(f.Plans, id); checked || p.Visibility != catalog.Archived {
					v.Plans = append(v.Plans, checkView{id, product.Name + " " + p.Name, checked})
				}
				for _, x := range p.Prices {
					currencies = append(currencies, x.Currency)
				}
			}
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	v.Form = f
	for currency, typed := range f.Amounts {
		if typed != "" {
			currencies = append(currencies, currency)
		}
	}
	slices.Sort(currencies[1:])
	for i, currency := range currencies {
		if !slices.Contains(currencies[:i], currency) {
			v.Amounts = append(v.Amounts, amountCell{currency, "amount." + currency, f.Amounts[currency]})
			v.Others = append(v.Others, amountCell{currency, "other_amount." + currency, f.OtherAmounts[currency]})
		}
	}
	return v, nil
}

// couponForm reads what the editor sends.
func couponForm(c *fiber.Ctx) coupon.Form {
	f := coupon.Form{
		Code: c.FormValue("code"), Kind: c.FormValue("kind"), Percent: c.FormValue("percent"), Amounts: map[string]string{}, Cycles: c.FormValue("cycles"), Setup: c.FormValue("setup") != "",
		Days: c.FormValue("days"), Accounts: c.FormValue("accounts"), Other: c.FormValue("other") != "", OtherPercent: c.FormValue("other_percent"), OtherAmounts: map[string]string{}, OtherCycles: c.FormValue("other_cycles"), OtherDays: c.FormValue("other_days"),
		Countries: c.FormValue("countries"), NewCustomers: c.FormValue("new_customers") != "", MaxUses: c.FormValue("max_uses"), MaxPerAccount: c.FormValue("max_per_account"),
		StartsOn: c.FormValue("starts"), EndsOn: c.FormValue("ends"), Note: c.FormValue("note"), Stacks: c.FormValue("stacks"),
	}
	c.Request().PostArgs().VisitAll(func(k, v []byte) {
		if string(k) == "plan" && len(f.Plans) < 500 {
			f.Plans = append(f.Plans, strings.ToValidUTF8(string(v), ""))
		}
	})
	for _, currency := range knownCurrencies() {
		if typed := c.FormValue("amount." + currency); typed != "" {
			f.Amounts[currency] = typed
		}
		if typed := c.FormValue("other_amount." + currency); typed != "" {
			f.OtherAmounts[currency] = typed
		}
	}
	return f
}

// newCoupon handles GET /manage/coupons/new.
func (s *Site) newCoupon(c *fiber.Ctx) error {
	v, err := s.editCoupon(c, coupon.Form{Kind: string(coupon.Percent), Cycles: "1"}, "", true)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/coupon", "New coupon", v)
}

// addCoupon handles POST /manage/coupons/new.
func (s *Site) addCoupon(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	f := couponForm(c)
	code, err := coupon.Add(c.UserContext(), surface.DB(c), f, zoneOf(t), office.By(c))
	if err != nil {
		v, verr := s.editCoupon(c, f, "", true)
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "manage", "manage/coupon", "New coupon", v)
	}
	return surface.Redirect(c, "/manage/coupons/codes/"+code, "Saved. "+code+" can be used at the checkout.")
}

// couponParam is the code of a path; what cannot be one is unknown.
func couponParam(c *fiber.Ctx) (string, error) {
	code := coupon.Normal(c.Params("coupon"))
	if code == "" {
		return "", fault.New(fault.NotFound, "coupon.not_found", "There is no such code.")
	}
	return code, nil
}

// showCoupon handles GET /manage/coupons/codes/:coupon.
func (s *Site) showCoupon(c *fiber.Ctx) error {
	code, err := couponParam(c)
	if err != nil {
		return err
	}
	v, err := s.editCoupon(c, coupon.Form{}, code, false)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/coupon", code, v)
}

// changeCoupon handles POST /manage/coupons/codes/:coupon.
func (s *Site) changeCoupon(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	code, err := couponParam(c)
	if err != nil {
		return err
	}
	f := couponForm(c)
	f.Code = code
	if err := coupon.Change(c.UserContext(), surface.DB(c), f, zoneOf(t), office.By(c)); err != nil {
		v, verr := s.editCoupon(c, f, code, true)
		if verr != nil {
			return verr
		}
		return surface.FormError(c, err, "manage", "manage/coupon", code, v)
	}
	return surface.Redirect(c, "/manage/coupons/codes/"+code, "Saved. What was bought with it stays as it was sold.")
}

// switchCoupon handles POST /manage/coupons/codes/:coupon/switch.
func (s *Site) switchCoupon(c *fiber.Ctx) error {
	code, err := couponParam(c)
	if err != nil {
		return err
	}
	to, says := coupon.Off, code+" does not count any more."
	if c.FormValue("to") == string(coupon.Active) {
		to, says = coupon.Active, code+" counts again."
	}
	if err := coupon.Switch(c.UserContext(), surface.DB(c), code, to, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/coupons/codes/"+code, says)
}
