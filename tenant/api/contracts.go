package api

import (
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

type contractItem struct {
	Kind     string `json:"kind"` // plan, option
	Label    string `json:"label"`
	Quantity int64  `json:"quantity"`
	Amount   amount `json:"amount"`
	Hour     *hour  `json:"hour"` // of the cycle hourly, besides the amount
}

type priceFrom struct {
	Price amount    `json:"price"`
	Hour  *hour     `json:"hour"` // of the cycle hourly
	From  time.Time `json:"from"`
}

type subscription struct {
	ID         uuid.UUID      `json:"id"`
	Label      string         `json:"label"`
	State      string         `json:"state"`
	Cycle      string         `json:"cycle"`
	Price      amount         `json:"price"` // net of tax, a cycle
	Hour       *hour          `json:"hour"`  // of the cycle hourly, besides the price
	Items      []contractItem `json:"items"`
	NextPrice  *priceFrom     `json:"next_price"` // that waits for its first period
	PeriodFrom *time.Time     `json:"period_from"`
	PeriodTo   *time.Time     `json:"period_to"`
	CancelAt   *time.Time     `json:"cancel_at"`
	PauseUntil *time.Time     `json:"paused_until"`
	TrialUntil *time.Time     `json:"trial_until"`
	EndedAt    *time.Time     `json:"ended_at"`
	OrderID    uuid.UUID      `json:"order_id"`
	ServiceID  *uuid.UUID     `json:"service_id"`
	MethodID   *uuid.UUID     `json:"payment_method"` // of its own; null: the account's default
	CreatedAt  time.Time      `json:"created_at"`
}

func subscriptionOf(s renewal.Subscription) subscription {
	out := subscription{
		ID: s.ID, Label: s.Label, State: string(s.State), Cycle: string(s.Cycle), Price: amountOf(s.Amount), Items: []contractItem{}, OrderID: s.OrderID,
		PeriodFrom: moment(s.Period.From), PeriodTo: moment(s.Period.To), CancelAt: moment(s.CancelAt), EndedAt: moment(s.EndedAt), CreatedAt: s.CreatedAt.UTC(),
	}
	for _, i := range s.Items {
		out.Items = append(out.Items, contractItem{i.Kind, i.Label, i.Quantity, amountOf(billing.Money{Minor: i.AmountMinor, Currency: s.Amount.Currency}), hourOf(i.Hour.HourPrice)})
	}
	if h, ok := s.Hour(); ok {
		out.Hour = hourOf(h.HourPrice)
	}
	if next, from, waits := s.NextPriced(); waits {
		out.NextPrice = &priceFrom{Price: amountOf(next.Amount), From: from.UTC()}
		if h, ok := next.Hour(); ok {
			out.NextPrice.Hour = hourOf(h.HourPrice)
		}
	}
	if s.State == renewal.Paused {
		out.PauseUntil = moment(s.Pause.Until)
	}
	if s.Trying() {
		out.TrialUntil = moment(s.Trial.Until)
	}
	if s.ServiceID != uuid.Nil {
		out.ServiceID = &s.ServiceID
	}
	if s.MethodID != uuid.Nil {
		out.MethodID = &s.MethodID
	}
	return out
}

var errSubscription = fault.New(fault.NotFound, "subscription.not_found", "There is no such subscription.")

// listSubscriptions handles GET /subscriptions, the newest first.
func (a *API) listSubscriptions(c call) (int, any, error) {
	w, err := windowOf(c, ofContracts)
	if err != nil {
		return 0, nil, err
	}
	var found []renewal.Subscription
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		found, err = renewal.List(c.ctx(), tx, renewal.Filter{AccountID: c.caller.AccountID, Limit: w.limit + 1, BeforeAt: w.at, BeforeID: w.id, Uncounted: true})
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	place := func(s renewal.Subscription) (time.Time, uuid.UUID) { return s.CreatedAt, s.ID }
	return fiber.StatusOK, pageOf(found, w, ofContracts, place, subscriptionOf), nil
}

// getSubscription handles GET /subscriptions/{id}.
func (a *API) getSubscription(c call) (int, any, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return 0, nil, err
	}
	var s renewal.Subscription
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		s, err = renewal.Theirs(c.ctx(), tx, id, c.caller.AccountID)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, subscriptionOf(s), nil
}

// changeSubscription handles PATCH /subscriptions/{id}: what its invoices are collected
// with.
func (a *API) changeSubscription(c call) (int, any, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Method json.RawMessage `json:"payment_method"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	var method *uuid.UUID
	if in.Method == nil || json.Unmarshal(in.Method, &method) != nil {
		return 0, nil, fault.Field("payment_method", "subscription.bad_method", "Give the id of a saved payment method, or null for the account's default.")
	}
	if method == nil {
		method = &uuid.UUID{}
	}
	if err := payment.ForSubscription(c.ctx(), c.db, c.caller.AccountID, id, *method, c.by()); err != nil {
		return 0, nil, err
	}
	return a.getSubscription(c)
}

// cancelSubscription handles POST /subscriptions/{id}/cancel.
func (a *API) cancelSubscription(c call) (int, any, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Now    bool   `json:"now"`
		Reason string `json:"reason"`
		Note   string `json:"note"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	s, err := a.Renewal.Cancel(c.ctx(), c.db, renewal.CancelRequest{SubscriptionID: id, AccountID: c.caller.AccountID, Now: in.Now, Reason: in.Reason, Note: in.Note}, c.by())
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, subscriptionOf(s), nil
}

// resumeSubscription handles POST /subscriptions/{id}/resume: a cancellation that has not
// come into effect is taken back.
func (a *API) resumeSubscription(c call) (int, any, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return 0, nil, err
	}
	s, err := a.Renewal.Resume(c.ctx(), c.db, id, c.caller.AccountID, c.by())
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, subscriptionOf(s), nil
}

// pauseSubscription handles POST /subscriptions/{id}/pause.
func (a *API) pauseSubscription(c call) (int, any, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return 0, nil, err
	}
	var in struct {
		Days int `json:"days"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	s, err := a.Renewal.Pause(c.ctx(), c.db, renewal.PauseRequest{SubscriptionID: id, AccountID: c.caller.AccountID, Days: in.Days}, c.by())
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, subscriptionOf(s), nil
}

// continueSubscription handles POST /subscriptions/{id}/continue.
func (a *API) continueSubscription(c call) (int, any, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return 0, nil, err
	}
	s, err := a.Renewal.Continue(c.ctx(), c.db, id, c.caller.AccountID, c.by())
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, subscriptionOf(s), nil
}

type method struct {
	ID        uuid.UUID `json:"id"`
	Kind      string    `json:"kind"`
	Label     string    `json:"label"`
	ExpiresOn *string   `json:"expires_on"` // first day of which it is of no use
	Mandate   *string   `json:"mandate"`    // reference of what the owner of a bank account agreed to
	Default   bool      `json:"default"`
	CreatedAt time.Time `json:"created_at"`
}

func methodOf(m payment.Method) method {
	out := method{ID: m.ID, Kind: m.Kind, Label: m.Label, Default: m.IsDefault, CreatedAt: m.CreatedAt.UTC()}
	if m.Mandate != nil {
		out.Mandate = &m.Mandate.Reference
	}
	if !m.ExpiresOn.IsZero() {
		day := m.ExpiresOn.UTC().Format(time.DateOnly)
		out.ExpiresOn = &day
	}
	return out
}

var errMethod = fault.New(fault.NotFound, "method.not_found", "There is no such payment method.")

// listMethods handles GET /payment-methods, the newest first.
func (a *API) listMethods(c call) (int, any, error) {
	w, err := windowOf(c, ofMethods)
	if err != nil {
		return 0, nil, err
	}
	var found []payment.Method
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		found, err = payment.MethodsBefore(c.ctx(), tx, c.caller.AccountID, w.at, w.id, w.limit+1)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	place := func(m payment.Method) (time.Time, uuid.UUID) { return m.CreatedAt, m.ID }
	return fiber.StatusOK, pageOf(found, w, ofMethods, place, methodOf), nil
}

// defaultMethod handles POST /payment-methods/{id}/default.
func (a *API) defaultMethod(c call) (int, any, error) {
	id, err := idOf(c, errMethod)
	if err != nil {
		return 0, nil, err
	}
	if _, err := payment.MakeDefault(c.ctx(), c.db, c.caller.AccountID, id, c.by()); err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, done{true}, nil
}

// removeMethod handles DELETE /payment-methods/{id}.
func (a *API) removeMethod(c call) (int, any, error) {
	id, err := idOf(c, errMethod)
	if err != nil {
		return 0, nil, err
	}
	if err := a.Payments.RemoveMethod(c.ctx(), c.db, c.caller.AccountID, id, c.by()); err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, done{true}, nil
}

// done answers what leaves nothing to show.
type done struct {
	Done bool `json:"done"`
}

type credentials struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// serviceCredentials handles GET /services/{id}/credentials. It stands in the audit trail
// and on the service's timeline.
func (a *API) serviceCredentials(c call) (int, any, error) {
	id, err := idOf(c, errService)
	if err != nil {
		return 0, nil, err
	}
	found, err := a.Hosting.Reveal(c.ctx(), c.db, id, c.customer())
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, credentials{found.User, found.Password}, nil
}

// resetPassword handles POST /services/{id}/password.
func (a *API) resetPassword(c call) (int, any, error) {
	id, err := idOf(c, errService)
	if err != nil {
		return 0, nil, err
	}
	if err := hosting.ResetPassword(c.ctx(), c.db, id, c.customer()); err != nil {
		return 0, nil, err
	}
	return a.shown(c, id, fiber.StatusAccepted)
}

type told struct {
	ID    uuid.UUID `json:"id"`
	Kind  string    `json:"kind"`
	Text  string    `json:"text"`
	Actor string    `json:"actor"`
	At    time.Time `json:"at"`
}

func toldOf(t activity.Told) told { return told{t.ID, t.Kind, t.Text, t.Actor, t.At.UTC()} }

// serviceTimeline handles GET /services/{id}/timeline.
func (a *API) serviceTimeline(c call) (int, any, error) {
	return c.timeline(errService, func(tx *tenancy.Tx, id uuid.UUID) error {
		_, _, err := hosting.Mine(c.ctx(), tx, id, c.customer())
		return err
	})
}

// invoiceTimeline handles GET /invoices/{id}/timeline.
func (a *API) invoiceTimeline(c call) (int, any, error) {
	return c.timeline(errInvoice, func(tx *tenancy.Tx, id uuid.UUID) error {
		inv, err := invoicing.Get(c.ctx(), tx, id)
		if err == nil && inv.AccountID != c.caller.AccountID {
			err = errInvoice
		}
		return err
	})
}

// timeline is what happened to a thing of the caller's, as the customer sees it, the
// newest first.
func (c call) timeline(missing error, mine func(tx *tenancy.Tx, id uuid.UUID) error) (int, any, error) {
	id, err := idOf(c, missing)
	if err != nil {
		return 0, nil, err
	}
	w, err := windowOf(c, ofTimeline)
	if err != nil {
		return 0, nil, err
	}
	var found []activity.Told
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		if err := mine(tx, id); err != nil {
			return err
		}
		found, err = activity.List(c.ctx(), tx, activity.Filter{Subjects: []uuid.UUID{id}, AccountID: c.caller.AccountID, CustomerView: true, Before: w.at, BeforeID: w.id, Limit: w.limit + 1})
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	place := func(t activity.Told) (time.Time, uuid.UUID) { return t.At, t.ID }
	return fiber.StatusOK, pageOf(found, w, ofTimeline, place, toldOf), nil
}
