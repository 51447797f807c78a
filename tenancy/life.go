package tenancy

import (
	"fmt"
	"time"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// HoldPeriod is how long an archived tenant can still be taken back, unless the
// platform's settings say otherwise.
const HoldPeriod = 30 * 24 * time.Hour

// next says where a tenant may go from each status. Maintenance returns to what
// was before; only an archived tenant can be dropped, and nothing returns from that.
func (s Status) next() []Status {
	switch s {
	case Trial:
		return []Status{Active, TrialEnded, Suspended, Maintenance, Archived}
	case Active:
		return []Status{Suspended, Maintenance, Archived}
	case TrialEnded:
		return []Status{Trial, Active, Suspended, Maintenance, Archived}
	case Suspended:
		return []Status{Trial, TrialEnded, Active, Maintenance, Archived}
	case Maintenance:
		return []Status{Trial, TrialEnded, Active, Suspended, Archived}
	case Archived:
		return []Status{Trial, TrialEnded, Active, Suspended, Dropped}
	default:
		return nil
	}
}

// Known reports whether s is one of the statuses a tenant can have.
func (s Status) Known() bool { return s == Dropped || s.next() != nil }

// To checks that a tenant may go from s to next. It answers nil, or a fault:
// tenant.status_unknown, tenant.dropped, tenant.unchanged or tenant.transition_refused.
func (s Status) To(next Status) error {
	switch {
	case !s.Known() || !next.Known():
		return fault.Wrap(fmt.Errorf("from %q to %q", s, next), fault.Invalid, "tenant.status_unknown", "There is no such status.")
	case s == Dropped:
		return fault.New(fault.Gone, "tenant.dropped", "This reseller was dropped. Nothing but its record is left.")
	case s == next:
		return fault.New(fault.Conflict, "tenant.unchanged", "The reseller is in this status already.")
	}
	for _, n := range s.next() {
		if n == next {
			return nil
		}
	}
	return fault.Wrap(fmt.Errorf("from %s to %s", s, next), fault.Conflict, "tenant.transition_refused",
		"A reseller cannot go from "+s.words()+" to "+next.words()+".")
}

func (s Status) words() string {
	switch s {
	case TrialEnded:
		return "trial ended"
	default:
		return string(s)
	}
}

// Resumed is the status a tenant returns to from suspension, maintenance or the
// archive: its trial when that still runs, the end of it when it is over, otherwise
// active. A tenant that left its trial has no end of trial any more (zero).
func Resumed(trialEndsAt, now time.Time) Status {
	switch {
	case trialEndsAt.IsZero():
		return Active
	case trialEndsAt.After(now):
		return Trial
	default:
		return TrialEnded
	}
}

// MayDrop checks that a tenant's data may be removed: it is archived and its hold
// period is over. It answers nil or the fault tenant.not_archived or tenant.on_hold.
func MayDrop(s Status, dropAfter, now time.Time) error {
	switch {
	case s == Dropped:
		return nil // what is left of an interrupted drop may go on
	case s != Archived:
		return fault.New(fault.Conflict, "tenant.not_archived", "Only an archived reseller can be dropped. Archive it first.")
	case dropAfter.IsZero() || dropAfter.After(now):
		return fault.New(fault.Conflict, "tenant.on_hold", "The hold period of this reseller is not over. Its data stays until then.")
	}
	return nil
}
