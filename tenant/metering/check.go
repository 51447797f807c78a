package metering

import (
	"math/big"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Event is one thing that was used, as it is told.
type Event struct {
	Source         string // who tells, and ID, which is its own: the two name the event
	ID             string
	SubscriptionID uuid.UUID // or the service of it
	ServiceID      uuid.UUID
	Meter          string // its code
	At             time.Time
	Value          string // a plain decimal; empty: one
	Phase          string // of a session: start or stop
	Attributes     map[string]string

	feed string // who may tell; empty: catalog.FeedAPI
}

// Status is what became of an event.
type Status string

// The statuses.
const (
	Accepted  Status = "accepted"
	Duplicate Status = "duplicate" // told before; the first telling stands
	Late      Status = "late"      // its month is invoiced: it is settled on the next invoice
	Free      Status = "free"      // of a trial, in which nothing is counted but quotas
	Refused   Status = "refused"   // never counted; see the reason
)

// Outcome is what became of one event.
type Outcome struct {
	Status  Status
	Reason  string // of a refusal, for programs
	Message string // and for people
	More    string // of a quota that is used up: the page of the shop where there is more
}

// The reasons of refusals.
const (
	BadEvent            = "bad_event" // its own fields
	UnknownSubscription = "unknown_subscription"
	UnknownMeter        = "unknown_meter"
	NotRunning          = "not_running"
	TooOld              = "too_old"
	InTheFuture         = "in_the_future"
	NotYours            = "told_by_service"
	QuotaUsedUp         = "quota_used_up"
)

func refused(reason, message string) Outcome {
	return Outcome{Status: Refused, Reason: reason, Message: message}
}

const (
	maxSource     = 80
	maxEventID    = 120
	maxAttributes = 16
	maxAttribute  = 200
)

// plainText reports whether a name is short and printable.
func plainText(s string, most int) bool {
	if s == "" || len(s) > most || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// check looks at an event by itself and answers with its value.
func (e Event) check() (value *big.Rat, wrong string) {
	switch {
	case !plainText(e.Source, maxSource):
		return nil, "source is 1 to 80 printable characters."
	case !plainText(e.ID, maxEventID):
		return nil, "id is 1 to 120 printable characters."
	case (e.SubscriptionID == uuid.Nil) == (e.ServiceID == uuid.Nil):
		return nil, "Name a subscription or a service, and not both."
	case e.At.IsZero() || e.At.Year() < 2000 || e.At.Year() > 9999:
		return nil, "at is a time in RFC 3339."
	case e.Phase != "" && e.Phase != billing.PhaseStart && e.Phase != billing.PhaseStop:
		return nil, "phase is start or stop."
	case len(e.Attributes) > maxAttributes:
		return nil, "At most 16 attributes."
	}
	for k, v := range e.Attributes {
		if !plainText(k, 40) || v != "" && !plainText(v, maxAttribute) {
			return nil, "Attributes are printable: names of 1 to 40 characters, values of at most 200."
		}
	}
	if e.Value == "" {
		return big.NewRat(1, 1), ""
	}
	value, err := billing.ParseQuantity(e.Value)
	if err != nil {
		return nil, "value is a decimal such as 1.5, not negative, with at most 15 digits and 6 decimals."
	}
	return value, ""
}

// suits looks whether an event is one of its meter.
func (e Event) suits(m catalog.Meter) (mark, wrong string) {
	if m.Attribute != "" {
		mark = e.Attributes[m.Attribute]
	}
	if e.feed == catalog.FeedPower {
		return e.Attributes["session"], ""
	}
	switch m.Aggregation {
	case billing.MeterSessions:
		if e.Phase == "" || mark == "" {
			return "", "An event of a session has phase start or stop and the attribute " + m.Attribute + "."
		}
	case billing.MeterUnique:
		if mark == "" {
			return "", "This meter counts the attribute " + m.Attribute + ", which is missing."
		}
		if e.Phase != "" {
			return "", "Only sessions have a phase."
		}
	default:
		if e.Phase != "" {
			return "", "Only sessions have a phase."
		}
	}
	return mark, ""
}

// place finds the meter and the month of an event.
func place(e Event, s sub, meters []catalog.Meter, now time.Time) (m catalog.Meter, out Outcome) {
	if s.State == "trial" {
		return placeTried(e, s, meters, now)
	}
	switch {
	case !s.runs():
		return m, refused(NotRunning, "The subscription does not run.")
	case e.At.After(now.Add(ahead)):
		return m, refused(InTheFuture, "The time lies ahead.")
	case e.At.Before(now.Add(-MaxAge)), e.At.Before(s.floor(now)):
		return m, refused(TooOld, "Events are taken up to 92 days back, and none from before the subscription began or began anew.")
	}
	feed := e.feed
	if feed == "" {
		feed = catalog.FeedAPI
	}
	for _, x := range s.sold(meters) {
		if x.Code != e.Meter {
			continue
		}
		if x.Feed != feed {
			return m, refused(NotYours, "The service itself tells this meter.")
		}
		return x, Outcome{}
	}
	return m, refused(UnknownMeter, "The plan has no such meter.")
}

// placeTried is place in a trial: what has a quota is counted, all else is free.
func placeTried(e Event, s sub, meters []catalog.Meter, now time.Time) (catalog.Meter, Outcome) {
	if s.tries() && e.feed == "" && !e.At.After(now.Add(ahead)) && !e.At.Before(s.AnchorAt) {
		for _, m := range s.sold(meters) {
			if m.Code == e.Meter && m.Capped && m.Feed == catalog.FeedAPI {
				return m, Outcome{}
			}
		}
	}
	return catalog.Meter{}, Outcome{Status: Free, Message: "It is a trial: nothing is counted yet."}
}
