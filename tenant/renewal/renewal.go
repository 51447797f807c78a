// Package renewal owns subscriptions: when they begin, what they cost a cycle, when the
// next invoice is made, what follows when one is not paid, and how they end. It owns the
// table subscriptions. Invoices are tenant/invoicing's, money is taken by
// tenant/payment, and what runs is tenant/hosting's: renewal tells them and never calls
// a gateway or a platform itself.
//
// Nothing here happens because a timer rang: the agenda says when a tenant is to be
// looked at, and a pass does whatever is due by then. Each invoice, letter, charge and
// line of the timeline has a natural key, so a pass that was interrupted is made again.
package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// State is where a subscription stands.
type State string

// The states of a subscription.
const (
	Pending   State = "pending"   // its order is not paid
	InTrial   State = "trial"     // it runs, and nothing is owed yet
	Active    State = "active"    //
	PastDue   State = "past_due"  // an invoice should have been paid; it runs on
	Suspended State = "suspended" // its service is off until it is paid
	Paused    State = "paused"    // its service is off and nothing is invoiced, as was asked for
	Ended     State = "ended"
)

// Item is one part of what a cycle costs, as it was sold.
type Item struct {
	Kind        string    `json:"kind"` // plan, option
	Code        string    `json:"code"`
	Label       string    `json:"label"`
	Quantity    int64     `json:"quantity"`
	AmountMinor int64     `json:"amount_minor"`      // of all of them
	PriceID     uuid.UUID `json:"price_id,omitzero"` // of the change of prices, or the agreed price, that set it; zero: as it was sold
	Hour        Hour      `json:"hour,omitzero"`     // of what is paid by the hour, besides the amount
}

// Each is the price of one, in the subscription's currency. An amount is a whole multiple of it.
func (x Item) Each(currency string) billing.Money {
	return billing.Money{Minor: x.AmountMinor / max(x.Quantity, 1), Currency: currency}
}

// Amount is what all of it costs, in the subscription's currency.
func (x Item) Amount(currency string) billing.Money {
	return billing.Money{Minor: x.AmountMinor, Currency: currency}
}

// Subscription is what is paid for again and again, at the price it was sold for.
type Subscription struct {
	ID           uuid.UUID
	AccountID    uuid.UUID
	AccountName  string
	OrderID      uuid.UUID
	PlanID       uuid.UUID
	Label        string
	State        State
	Cycle        billing.Cycle
	Amount       billing.Money // a cycle, net
	Items        []Item
	Discount     *billing.Discount // what a code takes off its invoices; nil: nothing
	MethodID     uuid.UUID         // uuid.Nil: the account's default
	AnchorAt     time.Time         // zero: not begun
	Period       billing.Period
	Renewals     int       // invoices after the first
	RenewsAt     time.Time // when it is looked at next; zero: never
	CancelAt     time.Time // zero: not cancelled
	CancelReason string
	CancelNote   string
	EndedAt      time.Time
	CreatedAt    time.Time
	ServiceID    uuid.UUID // uuid.Nil: none
	ServiceName  string
	AwaitsTeam   bool           // the team has not delivered it yet
	TimeZone     string         // of the account
	HasMethod    bool           // it or its account has a method that can be charged
	Debit        bool           // what it is collected with is a bank account: it is announced before
	Unreminded   bool           // its account wants no letters before renewals
	Change       *Change        // under way; nil: none
	Picked       catalog.Picked // by the last change; zero: as ordered
	Credit       billing.Money  // net, to be taken off the next invoices
	Pause        *Pause         // its pauses; nil: never paused
	Trial        *Trial         // it began with, also once it is over; nil: none
	Stays        *Stays         // what was offered for staying; nil: nothing
	Taken        []Taken        // what was taken off periods that are invoiced and not over, where loyalty counts
	Loyalty      billing.Loyalty
	Since        time.Time   // of the account's first paid order; zero: none is known
	PlanPause    int         // days a year for which the plan lets its customer pause it
	MeteredTo    time.Time   // end of the month whose usage is invoiced next; zero: nothing is metered
	Reprices     []Repricing // prices that wait for its next periods, the soonest first
	Stub         *Stub       // what is paid before its anchor, by a bill day; nil: nothing
	BillDay      int         // of its account; 0: each has its own
	TermDays     int         // its account has to pay what it is invoiced; 0: none of its own
	Together     *bool       // of its account: its renewals of a day make one invoice; nil: as the shop says
	Total        int         // of the whole list
	folded       []folded
	hoursOff     bool // something is taken off its hours
	metered      bool // what it has is billed by use; said where MeteredTo is, and in a trial
	meteredThen  bool // what it changes to is
	noPrices     bool // it is known that there is no change of prices of which it may yet be told
}

// Zone is the time zone that decides on which day a period begins.
func (s Subscription) Zone() *time.Location { return zone(s.TimeZone) }

// Next is the period after those that were invoiced; To is zero for what is paid once.
func (s Subscription) Next() billing.Period {
	return s.Cycle.Period(s.AnchorAt, s.Renewals+1, s.Zone())
}

// Runs reports whether the subscription is paid for: it has begun, is in no trial and has
// not ended.
func (s Subscription) Runs() bool {
	return s.State == Active || s.State == PastDue || s.State == Suspended
}

// Cancellable reports whether it has an end to come: it runs, rests, is tried, or is to be
// tried as soon as the team has delivered it.
func (s Subscription) Cancellable() bool {
	return s.Runs() || s.State == Paused || s.State == InTrial || s.State == Pending && s.Trial != nil && s.AwaitsTeam
}

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil || name == "" {
		return time.UTC
	}
	return z
}

// New is a subscription about to be sold.
type New struct {
	ID        uuid.UUID // uuid.Nil: a new one. With an ID that is known already nothing happens twice
	AccountID uuid.UUID
	OrderID   uuid.UUID
	PlanID    uuid.UUID
	Label     string // product and plan as sold
	Cycle     billing.Cycle
	Currency  string
	Amount    billing.Money // a cycle, net
	Items     []Item
	Discount  *billing.Discount // nil: none
	Trial     *Trial            // it begins with; nil: none
	Stub      *Stub             // it begins with; nil: none
}

// Open keeps a subscription that begins when its order is paid (see Paid).
func Open(ctx context.Context, tx *tenancy.Tx, n New) (Subscription, error) {
	if n.Amount.Currency != n.Currency || n.Amount.Minor < 0 {
		return Subscription{}, fmt.Errorf("open a subscription: %s is no amount in %s", n.Amount, n.Currency)
	}
	if n.ID == uuid.Nil {
		id, err := uuid.NewV7()
		if err != nil {
			return Subscription{}, err
		}
		n.ID = id
	}
	items, err := json.Marshal(n.Items)
	if err != nil {
		return Subscription{}, err
	}
	if n.Items == nil {
		items = []byte("[]")
	}
	discount, err := orNull(n.Discount)
	if err != nil {
		return Subscription{}, err
	}
	trial, err := orNull(n.Trial)
	if err != nil {
		return Subscription{}, err
	}
	stub, err := orNull(n.Stub)
	if err != nil {
		return Subscription{}, err
	}
	opened, err := read(ctx, tx, `WITH s AS (INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, discount, trial, stub, renewals, cancel_reason, cancel_note, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?::jsonb, ?::jsonb, ?::jsonb, ?::jsonb, 0, '', '', ?, ?) ON CONFLICT (id) DO NOTHING RETURNING *)
		SELECT `+columns+` FROM s JOIN accounts a ON a.id = s.account_id LEFT JOIN services v ON v.subscription_id = s.id`,
		n.ID, n.AccountID, n.OrderID, n.PlanID, n.Label, string(n.Cycle), n.Currency, n.Amount.Minor, string(items), discount, trial, stub, tx.Now(), tx.Now())
	if err != nil {
		return Subscription{}, fmt.Errorf("open a subscription: %w", err)
	}
	if len(opened) == 0 { // it was opened before
		return Get(ctx, tx, n.ID)
	}
	return opened[0], nil
}

// orNull is a value as JSON; nil: NULL.
func orNull[T any](v *T) (*string, error) {
	if v == nil {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	text := string(raw)
	return &text, err
}

// Drop ends the subscriptions of an order that was never paid. It does nothing to those
// that have begun.
func Drop(ctx context.Context, tx *tenancy.Tx, order uuid.UUID) error {
	_, err := tx.NewRaw("UPDATE subscriptions SET state = 'ended', ended_at = ?, changed_at = ? WHERE order_id = ? AND state = 'pending'", tx.Now(), tx.Now(), order).Exec(ctx)
	if err != nil {
		return fmt.Errorf("drop the subscriptions of order %s: %w", order, err)
	}
	return nil
}

type row struct {
	ID, AccountID, OrderID, PlanID, MethodID, ServiceID                                               uuid.UUID
	AccountName, Label, State, Cycle, Currency, CancelReason, CancelNote, TimeZone                    string
	ServiceName, Items, Discount, Change, Picked, Pause, Trial, Taken, Loyalty, Reprices, Stays, Stub string
	AmountMinor, CreditMinor                                                                          int64
	AnchorAt, PeriodFrom, PeriodTo, RenewsAt, CancelAt, EndedAt, CreatedAt, Since                     time.Time
	MeteredTo                                                                                         time.Time
	Renewals, Total, PlanPause, BillDay, TermDays                                                     int
	HasMethod, Debit, AwaitsTeam, Unreminded, HoursOff, Metered, MeteredThen, NoPrices                bool
	OneInvoice                                                                                        *bool
}

const columns = account.Unreminded + ` AS unreminded, s.id, s.account_id, a.name AS account_name, a.time_zone, a.one_invoice, coalesce(a.bill_day, 0) AS bill_day, coalesce(a.term_days, 0) AS term_days, coalesce(s.stub::text, '') AS stub, s.order_id, s.plan_id, s.label, s.state, s.cycle, s.currency, s.amount_minor,
	s.items::text AS items, coalesce(jsonb_exists(s.hours->-1, 'off'), false) AS hours_off, coalesce(s.discount::text, '') AS discount, coalesce(s.method_id, '00000000-0000-0000-0000-000000000000') AS method_id, s.anchor_at, s.period_from, s.period_to, s.renewals,
	s.renews_at, coalesce(s.change::text, '') AS change, coalesce(s.picked::text, '') AS picked, coalesce(s.pause::text, '') AS pause, coalesce(s.taken::text, '') AS taken, coalesce(s.stays::text, '') AS stays, coalesce(s.trial::text, '') AS trial, coalesce(s.reprices::text, '') AS reprices,
	coalesce((SELECT x.value->'loyalty' FROM shop_settings x WHERE x.name = 'renewal')::text, '') AS loyalty, (SELECT min(o.paid_at) FROM orders o WHERE o.account_id = s.account_id) AS since, (SELECT coalesce(pl.pause_days, 0) FROM plans pl WHERE pl.id = s.plan_id) AS plan_pause, coalesce(s.credit_minor, 0) AS credit_minor, s.metered_to, s.cancel_at, s.cancel_reason, s.cancel_note, s.ended_at, s.created_at,
	coalesce(v.id, '00000000-0000-0000-0000-000000000000') AS service_id, coalesce(v.name, '') AS service_name, coalesce(v.sku = '' AND v.began_at IS NULL, false) AS awaits_team,
	EXISTS (SELECT FROM payment_methods m WHERE m.id IN (a.default_method_id, s.method_id) AND m.account_id = a.id AND m.state = 'active') AS has_method,
	EXISTS (SELECT FROM payment_methods m WHERE m.id = coalesce(s.method_id, a.default_method_id) AND m.kind = 'sepa_debit' AND m.state = 'active') AS debit,
	CASE WHEN s.metered_to IS NULL AND s.state <> 'trial' THEN false ELSE EXISTS (SELECT FROM meters m WHERE m.plan_id = s.plan_id AND (m.feed <> 'hours' OR s.cycle = 'hourly')
		AND m.created_at <= coalesce(s.metered_at, s.created_at) AND (m.retired_at IS NULL OR m.retired_at > coalesce(s.metered_at, s.created_at))) END AS metered,
	CASE WHEN s.change IS NULL THEN false ELSE EXISTS (SELECT FROM meters m WHERE m.plan_id = (s.change->'terms'->>'plan_id')::uuid AND m.retired_at IS NULL
		AND (m.feed <> 'hours' OR s.change->'terms'->>'cycle' = 'hourly')) END AS metered_then`

// ahead is read with subscriptions whose invoices may be foreseen.
const ahead = `, NOT EXISTS (SELECT FROM price_changes x WHERE x.running AND x.due_at IS NOT NULL AND x.state <> 'cancelled') AS no_prices`

const tables = ` FROM subscriptions s JOIN accounts a ON a.id = s.account_id LEFT JOIN services v ON v.subscription_id = s.id`

func (r row) subscription() (Subscription, error) {
	s := Subscription{
		ID: r.ID, AccountID: r.AccountID, AccountName: r.AccountName, OrderID: r.OrderID, PlanID: r.PlanID, Label: r.Label, State: State(r.State),
		Cycle: billing.Cycle(r.Cycle), Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, MethodID: r.MethodID, AnchorAt: r.AnchorAt,
		Period: billing.Period{From: r.PeriodFrom, To: r.PeriodTo}, Renewals: r.Renewals, RenewsAt: r.RenewsAt, CancelAt: r.CancelAt,
		CancelReason: r.CancelReason, CancelNote: r.CancelNote, EndedAt: r.EndedAt, CreatedAt: r.CreatedAt,
		ServiceID: r.ServiceID, ServiceName: r.ServiceName, AwaitsTeam: r.AwaitsTeam, TimeZone: r.TimeZone, HasMethod: r.HasMethod, Debit: r.Debit, MeteredTo: r.MeteredTo, Total: r.Total, PlanPause: r.PlanPause, Since: r.Since, Together: r.OneInvoice, BillDay: r.BillDay, TermDays: r.TermDays, Unreminded: r.Unreminded, hoursOff: r.HoursOff, metered: r.Metered, meteredThen: r.MeteredThen, noPrices: r.NoPrices,
	}
	s.Credit = billing.Money{Minor: r.CreditMinor, Currency: r.Currency}
	for _, x := range []struct {
		text string
		into any
	}{{r.Items, &s.Items}, {r.Change, &s.Change}, {r.Picked, &s.Picked}, {r.Discount, &s.Discount}, {r.Pause, &s.Pause}, {r.Trial, &s.Trial}, {r.Taken, &s.Taken}, {r.Stays, &s.Stays}, {r.Stub, &s.Stub}, {r.Reprices, &s.Reprices}, {r.Loyalty, &s.Loyalty}} {
		if x.text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(x.text), x.into); err != nil {
			return s, fmt.Errorf("read subscription %s: %w", r.ID, err)
		}
	}
	return s, nil
}

var errNone = fault.New(fault.NotFound, "subscription.not_found", "There is no such subscription.")

// Get returns a subscription, or the fault subscription.not_found.
func Get(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Subscription, error) {
	return one(ctx, tx, ahead, "s.id = ?", id)
}

// Theirs is Get of a subscription that must be an account's.
func Theirs(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (Subscription, error) {
	return one(ctx, tx, ahead, "s.id = ? AND s.account_id = ?", id, account)
}

// lock reads a subscription and keeps it from others until the transaction ends.
func lock(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Subscription, error) {
	return one(ctx, tx, "", "s.id = ? FOR UPDATE OF s", id)
}

func one(ctx context.Context, tx *tenancy.Tx, more, where string, args ...any) (Subscription, error) {
	found, err := read(ctx, tx, "SELECT "+columns+more+tables+" WHERE "+where, args...)
	if err != nil {
		return Subscription{}, err
	}
	if len(found) == 0 {
		return Subscription{}, errNone
	}
	return found[0], nil
}

func read(ctx context.Context, tx *tenancy.Tx, query string, args ...any) ([]Subscription, error) {
	var rows []row
	if err := tx.NewRaw(query, args...).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read subscriptions: %w", err)
	}
	found := make([]Subscription, len(rows))
	for i, r := range rows {
		s, err := r.subscription()
		if err != nil {
			return nil, err
		}
		s.fold(tx.Now())
		found[i] = s
	}
	return found, nil
}
