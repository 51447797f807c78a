package web

import (
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/overview"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// The rows of a customer's page. What the lists of their own pages show is shown in the
// same words.
type officeServiceRow struct {
	overview.Service
	Status map[string]any
}

type officeSubscriptionRow struct {
	overview.Subscription
	Status map[string]any
	Price  billing.Money
	Every  string
	Paid   string // of what is paid by the hour: all of it in words
}

type officeOrderRow struct {
	overview.Order
	Status map[string]any
	Sum    billing.Money
}

type officeMemberRow struct {
	overview.Member
	RoleLabel string
}

type outstandingRow struct {
	Open, Overdue billing.Money
	Invoices      int
}

// look reads the account that was asked for, or the first; one the customer does not
// belong to is unknown.
func (v *customerView) look(c *fiber.Ctx, tx *tenancy.Tx) error {
	if len(v.X.In) == 0 {
		return nil
	}
	chosen := v.X.In[0].ID
	if asked := c.Query("account"); asked != "" {
		id, err := uuid.Parse(asked)
		if err != nil {
			return errNoAccount()
		}
		chosen = id
	}
	for _, a := range v.X.In {
		row := accountChoice{Account: a, RoleLabel: account.Role(a.Role).Label(), Href: "/manage/customers/" + v.X.ID.String() + "?account=" + a.ID.String(), Current: a.ID == chosen}
		if row.Current {
			v.InName, v.InRole = a.Name, row.RoleLabel
		}
		v.Accounts = append(v.Accounts, row)
	}
	if v.InRole == "" {
		return fault.New(fault.NotFound, "account.not_found", "There is no such account.")
	}
	in, err := overview.Customer(c.UserContext(), tx, chosen)
	if err != nil {
		return err
	}
	v.In = &in
	if v.SeesSales {
		if v.Party, err = account.TaxOf(in.Tax.Country, in.Tax.TaxID, in.Tax.Check, in.Tax.Exemption); err != nil {
			return err
		}
	}
	v.fill(tx.Now(), surface.DB(c).Tenant().Locale)
	told, err := activity.List(c.UserContext(), tx, activity.Filter{AccountID: chosen, Limit: 15})
	v.Events = eventRows(told, "/manage")
	return err
}

// fill says what was read in people's words.
func (v *customerView) fill(now time.Time, locale string) {
	money := func(minor int64, currency string) billing.Money {
		return billing.Money{Minor: minor, Currency: currency}
	}
	for _, x := range v.In.Services {
		s := hosting.Service{Observed: hosting.Observed(x.Observed), Desired: hosting.Desired(x.Desired), Operation: hosting.Operation(x.Operation), Problem: x.Problem, Power: provisioners.Power(x.Power)}
		v.Services = append(v.Services, officeServiceRow{x, officeStatus(&s)})
	}
	for _, x := range v.In.Subscriptions {
		s := renewal.Subscription{State: renewal.State(x.State), CancelAt: x.Cancelled}
		row := officeSubscriptionRow{x, subscriptionStatus(s), money(x.Amount, x.Currency), billing.Cycle(x.Cycle).Words(), ""}
		if s.Cycle, s.Amount = billing.Cycle(x.Cycle), row.Price; s.Cycle == billing.Hourly && json.Unmarshal(x.Items, &s.Items) == nil {
			row.Paid = s.Paid(locale)
		}
		v.Subscriptions = append(v.Subscriptions, row)
	}
	for _, x := range v.In.Orders {
		v.Orders = append(v.Orders, officeOrderRow{x, orderStatus(checkout.State(x.State)), money(x.Total, x.Currency)})
	}
	for _, x := range v.In.Invoices {
		i := invoicing.Invoice{ID: x.ID, Number: x.Number, Kind: x.Kind, State: invoicing.State(x.State), Currency: x.Currency, Total: money(x.Total, x.Currency),
			Paid: money(x.Paid, x.Currency), Credited: money(x.Credited, x.Currency), IssuedAt: x.Issued, DueAt: x.Due}
		v.Invoices = append(v.Invoices, invoiceRow{i, invoiceStatus(i, now), i.Due()})
	}
	for _, x := range v.In.Members {
		v.Members = append(v.Members, officeMemberRow{x, account.Role(x.Role).Label()})
	}
	for _, x := range v.In.Outstanding {
		v.Outstanding = append(v.Outstanding, outstandingRow{money(x.Open, x.Currency), money(x.Overdue, x.Currency), x.Invoices})
	}
}
