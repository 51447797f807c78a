package api

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/metering"
)

// maxUsageBody is the most of a batch of events that is read: a thousand of a kilobyte.
const maxUsageBody = 1 << 20

// text is a member whose content is looked at with its event: what is wrong with one
// event refuses that event and no other.
type text string

// UnmarshalJSON takes a string or a number; anything else is kept as it stands.
func (t *text) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		*t = text(s)
		return nil
	}
	if !bytes.Equal(raw, []byte("null")) {
		*t = text(raw)
	}
	return nil
}

type usageEvent struct {
	Source         text            `json:"source"`
	ID             text            `json:"id"`
	SubscriptionID text            `json:"subscription_id"`
	ServiceID      text            `json:"service_id"`
	Meter          text            `json:"meter"`
	At             text            `json:"at"`
	Value          text            `json:"value"`
	Phase          text            `json:"phase"`
	Attributes     map[string]text `json:"attributes"`
}

// event is what was sent; what is no id or no time becomes none, and is refused as that.
func (e usageEvent) event() metering.Event {
	out := metering.Event{Source: string(e.Source), ID: string(e.ID), Meter: string(e.Meter), Value: string(e.Value), Phase: string(e.Phase)}
	out.SubscriptionID, out.ServiceID = named(e.SubscriptionID), named(e.ServiceID)
	if at, err := time.Parse(time.RFC3339Nano, string(e.At)); err == nil {
		out.At = at
	}
	if len(e.Attributes) > 0 {
		out.Attributes = make(map[string]string, len(e.Attributes))
		for k, v := range e.Attributes {
			out.Attributes[k] = string(v)
		}
	}
	return out
}

// named is an id; what is none names nothing that is there.
func named(s text) uuid.UUID {
	if s == "" {
		return uuid.Nil
	}
	id, err := uuid.Parse(string(s))
	if err != nil {
		return uuid.Max
	}
	return id
}

type usageResult struct {
	Source  string `json:"source"`
	ID      string `json:"id"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

type usageAnswer struct {
	Accepted  int           `json:"accepted"`
	Duplicate int           `json:"duplicate"`
	Late      int           `json:"late"`
	Free      int           `json:"free"`
	Refused   int           `json:"refused"`
	Upgrade   *string       `json:"upgrade,omitempty"` // where more can be had
	Results   []usageResult `json:"results"`
}

// recordUsage handles POST /usage-events. Its idempotency is that of the events: each has
// a name of its own.
func (a *API) recordUsage(c call) (int, any, error) {
	var in struct {
		Events []usageEvent `json:"events"`
	}
	if err := decodeUpTo(c, &in, maxUsageBody); err != nil {
		return 0, nil, err
	}
	if len(in.Events) == 0 {
		return 0, nil, fault.Field("events", "usage.no_events", "Send from 1 to 1,000 events.")
	}
	events := make([]metering.Event, len(in.Events))
	for i, e := range in.Events {
		events[i] = e.event()
	}
	done, err := a.Metering.Record(c.ctx(), c.db, events)
	if err != nil {
		return 0, nil, err
	}
	out := usageAnswer{Results: make([]usageResult, len(done))}
	quota := ""
	for i, o := range done {
		out.Results[i] = usageResult{string(in.Events[i].Source), string(in.Events[i].ID), string(o.Status), o.Reason, o.Message}
		switch o.Status {
		case metering.Accepted:
			out.Accepted++
		case metering.Duplicate:
			out.Duplicate++
		case metering.Late:
			out.Late++
		case metering.Free:
			out.Free++
		default:
			out.Refused++
			if o.Reason == metering.QuotaUsedUp {
				quota = o.More
			}
		}
	}
	if quota != "" {
		out.Upgrade = &quota
	}
	return out.status(quota != ""), out, nil
}

// status is 200 when every event was taken or known, 202 when some were; when none was,
// 402 where a plan grants no more, and 422 otherwise.
func (u usageAnswer) status(quota bool) int {
	switch {
	case u.Refused == 0:
		return fiber.StatusOK
	case u.Refused < len(u.Results):
		return fiber.StatusAccepted
	case quota:
		return fiber.StatusPaymentRequired
	}
	return fiber.StatusUnprocessableEntity
}

type grant struct {
	SubscriptionID uuid.UUID  `json:"subscription_id"`
	Meter          string     `json:"meter"`
	Capped         bool       `json:"capped"`
	Used           string     `json:"used"`
	Included       string     `json:"included"`
	Left           string     `json:"left"`
	PeriodTo       *time.Time `json:"period_to"`
}

// checkUsage handles POST /usage-checks: whether a plan would still grant something. Nothing is
// used by asking; 402 says that it would not, and where there is more.
func (a *API) checkUsage(c call) (int, any, error) {
	var in struct {
		SubscriptionID text `json:"subscription_id"`
		ServiceID      text `json:"service_id"`
		Meter          text `json:"meter"`
		Value          text `json:"value"`
	}
	if err := decode(c, &in); err != nil {
		return 0, nil, err
	}
	var g metering.Grant
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		g, err = metering.Ask(c.ctx(), tx, metering.Question{SubscriptionID: named(in.SubscriptionID), ServiceID: named(in.ServiceID), Meter: string(in.Meter), Value: string(in.Value)}, c.caller.AccountID)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, grant{g.SubscriptionID, g.Meter.Code, g.Meter.Capped, g.Used.FloatString(6), g.Meter.Included, g.Left.FloatString(6), moment(g.Period.To)}, nil
}

type meterUsage struct {
	Code     string `json:"code"`
	Name     string `json:"name"`
	Unit     string `json:"unit"`
	Quantity string `json:"quantity"`
	Included string `json:"included"`
	Left     string `json:"left"`
	Events   int64  `json:"events"`
	Running  int    `json:"running"`
	Amount   amount `json:"amount"`
}

type usage struct {
	SubscriptionID uuid.UUID    `json:"subscription_id"`
	PeriodFrom     *time.Time   `json:"period_from"`
	PeriodTo       *time.Time   `json:"period_to"`
	Amount         amount       `json:"amount"`
	Limit          *amount      `json:"limit"`
	StopsAtLimit   bool         `json:"stops_at_limit"`
	Meters         []meterUsage `json:"meters"`
}

// getUsage handles GET /subscriptions/{id}/usage.
func (a *API) getUsage(c call) (int, any, error) {
	id, err := idOf(c, errSubscription)
	if err != nil {
		return 0, nil, err
	}
	var u metering.Usage
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) (err error) {
		u, err = metering.Of(c.ctx(), tx, id, c.caller.AccountID)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	out := usage{SubscriptionID: u.SubscriptionID, PeriodFrom: moment(u.Period.From), PeriodTo: moment(u.Period.To), Amount: amountOf(u.Net), Meters: []meterUsage{}}
	if u.Limit != nil {
		limit := amountOf(billing.Money{Minor: u.Limit.Minor, Currency: u.Net.Currency})
		out.Limit, out.StopsAtLimit = &limit, u.Limit.Stop
	}
	for _, m := range u.Meters {
		out.Meters = append(out.Meters, meterUsage{
			Code: m.Meter.Code, Name: m.Meter.Name, Unit: m.Meter.Unit, Quantity: m.Quantity.FloatString(6), Included: m.Charge.Included.FloatString(6), Left: m.Left.FloatString(6),
			Events: m.Events, Running: m.Running, Amount: amountOf(m.Charge.Net),
		})
	}
	return fiber.StatusOK, out, nil
}
