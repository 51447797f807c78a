package checkout

import (
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// Stub is how a thing begins whose account has a bill day: today the time until then is
// paid for, and whole periods follow.
type Stub struct {
	billing.Share
	Day   int             `json:"day"`
	Until string          `json:"until"` // the day it ends on, as the account counts days
	Parts []billing.Money `json:"parts"` // what of each part of the price is due today
}

// Words are "12 days until 1 December 2026".
func (s Stub) Words() string {
	return billing.Span(s.Period.To.Sub(s.Period.From)) + " until " + s.Until
}

// sold is what is kept of it with the subscription; nil: none.
func (s *Stub) sold() *renewal.Stub {
	if s == nil {
		return nil
	}
	return &renewal.Stub{Quoted: s.Period.From, Day: s.Day}
}

// stub begins what is paid by the cycle with the time to the account's bill day. What is
// tried first keeps the day its trial ends on.
func (q *Quote) stub(who buyer, now time.Time) error {
	if who.BillDay == 0 {
		return nil
	}
	zone, err := time.LoadLocation(who.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	for i, x := range q.Items {
		if x.Trial != nil || x.Picked.Cycle.Months() == 0 {
			continue
		}
		share := billing.Stub(x.Picked.Cycle, now.Truncate(time.Microsecond), who.BillDay, zone)
		if !share.Period.To.After(share.Period.From) { // it begins on the bill day
			continue
		}
		s := Stub{Share: share, Day: who.BillDay, Until: share.Period.To.In(zone).Format("2 January 2006")}
		for _, part := range x.Parts {
			due, err := share.From(part.Amount, share.Period.From)
			if err != nil {
				return fmt.Errorf("price the time to the bill day: %w", err)
			}
			s.Parts = append(s.Parts, due)
		}
		q.Items[i].Stub = &s
	}
	return nil
}
