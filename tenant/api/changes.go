package api

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/renewal"
)

type changeLine struct {
	Text       string     `json:"text"`
	PeriodFrom *time.Time `json:"period_from"`
	PeriodTo   *time.Time `json:"period_to"`
	Net        amount     `json:"net"`
}

type changeQuote struct {
	ID             uuid.UUID         `json:"id"`
	SubscriptionID uuid.UUID         `json:"subscription_id"`
	Plan           string            `json:"plan"`
	Label          string            `json:"label"`
	Cycle          string            `json:"cycle"`
	Options        map[string]string `json:"options"`
	AtRenewal      bool              `json:"at_renewal"`
	From           time.Time         `json:"from"`    // when the new terms begin
	NextAt         *time.Time        `json:"next_at"` // begin of the first period still to be paid
	Lines          []changeLine      `json:"lines"`
	Net            amount            `json:"net"` // today
	Tax            amount            `json:"tax"`
	Taxes          []tax             `json:"taxes"`
	Total          amount            `json:"total"`
	Back           amount            `json:"back"`      // with tax
	Returns        string            `json:"returns"`   // how: credit, refund; empty: nothing is over
	Forfeited      amount            `json:"forfeited"` // worth of unused time for which nothing is given
	Price          amount            `json:"price"`     // net of tax, a cycle, afterwards
	Hour           *hour             `json:"hour"`      // of the cycle hourly, besides the price, afterwards
	InvoiceID      *uuid.UUID        `json:"invoice_id"`
	PayAt          *string           `json:"pay_at"`
	ExpiresAt      time.Time         `json:"expires_at"`
	AcceptedAt     *time.Time        `json:"accepted_at"`
}

func (c call) changeOf(q renewal.ChangeQuote) changeQuote {
	out := changeQuote{
		ID: q.ID, SubscriptionID: q.SubscriptionID, Plan: q.Terms.Picked.Product + "/" + q.Terms.Picked.Plan, Label: q.Terms.Label, Cycle: string(q.Terms.Cycle),
		Options: q.Terms.Picked.Options, AtRenewal: q.Price.AtRenewal, From: q.Price.From.UTC(), NextAt: moment(q.Price.NextAt), Lines: []changeLine{},
		Net: amountOf(q.Net), Tax: amountOf(q.Tax), Taxes: []tax{}, Total: amountOf(q.Total), Back: amountOf(q.Back), Returns: string(q.Price.Return),
		Forfeited: amountOf(q.Price.Forfeited), Price: amountOf(q.Amount), ExpiresAt: q.ExpiresAt.UTC(), AcceptedAt: moment(q.AcceptedAt),
	}
	if out.Options == nil {
		out.Options = map[string]string{}
	}
	if h, ok := q.Terms.Hour(); ok {
		out.Hour = hourOf(h.HourPrice)
	}
	for _, l := range q.Price.Lines {
		out.Lines = append(out.Lines, changeLine{l.Text, moment(l.Period.From), moment(l.Period.To), amountOf(l.Net)})
	}
	for _, t := range q.Taxes {
		out.Taxes = append(out.Taxes, tax{t.Label, t.Note, amountOf(t.Amount)})
	}
	if q.InvoiceID != uuid.Nil {
		at := surface.BaseURL(c.Ctx) + "/client/invoices/" + q.InvoiceID.String() + "/pay"
		out.InvoiceID, out.PayAt = &q.InvoiceID, &at
	}
	return out
}

// quoteChange handles POST /subscriptions/{id}/quotes.
func (a *API) quoteChange(c call) (int, any, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Plan    string            `json:"plan"`
		Cycle   string            `json:"cycle"`
		Options map[string]string `json:"options"`
		Prepay  int               `json:"prepay"`
		BillDay bool              `json:"bill_day"`
		Buy     map[string]string `json:"buy"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	plan := in.Plan[strings.LastIndexByte(in.Plan, '/')+1:] // of the same product
	q, err := a.Renewal.QuoteChange(c.ctx(), c.db, renewal.ChangeAsk{SubscriptionID: id, AccountID: c.caller.AccountID, Plan: plan, Cycle: billing.Cycle(in.Cycle), Options: in.Options, Prepay: in.Prepay, ToBillDay: in.BillDay, Buy: in.Buy})
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusCreated, c.changeOf(q), nil
}

var errChange = fault.New(fault.NotFound, "change.quote_unknown", "There is no such offer.")

// acceptChange handles POST /quotes/{id}/accept: what costs something is charged to the
// account's saved method, and made when it is paid.
func (a *API) acceptChange(c call) (int, any, error) {
	id, err := idOf(c, errChange)
	if err != nil {
		return 0, nil, err
	}
	q, err := a.Renewal.AcceptChange(c.ctx(), c.db, id, c.caller.AccountID, c.by())
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, c.changeOf(q), nil
}

type foreseen struct {
	SubscriptionID uuid.UUID   `json:"subscription_id"`
	All            []uuid.UUID `json:"subscription_ids"`
	Label          string      `json:"label"`
	IssueAt        time.Time   `json:"issue_at"`
	DueAt          time.Time   `json:"due_at"`
	PeriodTo       time.Time   `json:"period_to"`
	Net            amount      `json:"net"`
	Tax            amount      `json:"tax"`
	Total          amount      `json:"total"`
}

type foreseenList struct {
	Data []foreseen `json:"data"`
}

// upcomingInvoices handles GET /upcoming-invoices: the next twelve.
func (a *API) upcomingInvoices(c call) (int, any, error) {
	out := foreseenList{Data: []foreseen{}}
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		found, err := renewal.Upcoming(c.ctx(), tx, c.caller.AccountID, 12)
		for _, f := range found {
			all := []uuid.UUID{f.SubscriptionID}
			for _, o := range f.With {
				all = append(all, o.SubscriptionID)
			}
			out.Data = append(out.Data, foreseen{f.SubscriptionID, all, f.Label, f.IssueAt.UTC(), f.DueAt.UTC(), f.Period.To.UTC(), amountOf(f.Net), amountOf(f.Tax), amountOf(f.Total)})
		}
		return err
	})
	return fiber.StatusOK, out, err
}
