package hosting

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// What the reseller's team does to a service, each a whole change with its entry in the
// audit trail.

// MaxReason is how long a reason may be, in characters.
const MaxReason = 200

func reasonOf(s string) (string, error) {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")), " ")
	if s == "" || len([]rune(s)) > MaxReason {
		return "", fault.Field("reason", "service.bad_reason", fmt.Sprintf("Say why, in at most %d characters. The customer reads it.", MaxReason))
	}
	return s, nil
}

// office runs one change by the team and records it.
func office(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin, action string, detail map[string]any, do func(*tenancy.Tx, Service) error) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := locked(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := do(tx, s); err != nil {
			return err
		}
		detail["name"] = s.Name
		return s.record(ctx, tx, by, action, detail)
	})
}

// SuspendBy suspends a service for the reseller's own reason.
// Faults: service.not_found, service.bad_reason, service.ended, service.suspended.
func SuspendBy(ctx context.Context, db *tenancy.DB, id uuid.UUID, reason string, by audit.Origin) error {
	detail := map[string]any{}
	return office(ctx, db, id, by, "service.suspended", detail, func(tx *tenancy.Tx, s Service) error {
		reason, err := reasonOf(reason)
		if err != nil {
			return err
		}
		detail["reason"] = reason
		if s.Over() || s.Desired == WantTerminated {
			return fault.New(fault.Gone, "service.ended", "This service has ended.")
		}
		if _, held := s.Holds[HoldReseller]; held {
			return fault.New(fault.Conflict, "service.suspended", "This service is suspended.")
		}
		return Suspend(ctx, tx, id, HoldReseller, reason)
	})
}

// ReleaseBy takes the reseller's own reason away, and that of a disputed payment, which the
// reseller may overlook. A service that is not paid for stays suspended.
// Faults: service.not_found, service.not_held.
func ReleaseBy(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return office(ctx, db, id, by, "service.released", map[string]any{}, func(tx *tenancy.Tx, s Service) error {
		if !s.HeldByTeam() {
			return fault.New(fault.Conflict, "service.not_held", "You did not suspend this service.")
		}
		if err := Release(ctx, tx, id, HoldDispute); err != nil {
			return err
		}
		return Release(ctx, tx, id, HoldReseller)
	})
}

// HeldByTeam reports whether it is suspended for something the reseller's team decides:
// their own reason, or what their shop does about disputed payments.
func (s *Service) HeldByTeam() bool {
	_, own := s.Holds[HoldReseller]
	_, disputed := s.Holds[HoldDispute]
	return own || disputed
}

// RetryBy lets a service that could not go on try again.
// Faults: service.not_found, service.nothing_to_retry.
func RetryBy(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return office(ctx, db, id, by, "service.retried", map[string]any{}, func(tx *tenancy.Tx, _ Service) error {
		_, err := Retry(ctx, tx, id)
		return err
	})
}

// TerminateBy ends a service for good. confirm is its name, typed by the person.
// Faults: service.not_found, service.not_confirmed, service.bad_reason, service.ended.
func TerminateBy(ctx context.Context, db *tenancy.DB, id uuid.UUID, reason, confirm string, by audit.Origin) error {
	detail := map[string]any{}
	return office(ctx, db, id, by, "service.terminated", detail, func(tx *tenancy.Tx, s Service) error {
		reason, err := reasonOf(reason)
		if err != nil {
			return err
		}
		detail["reason"] = reason
		if s.Desired == WantTerminated {
			return fault.New(fault.Gone, "service.ended", "This service has ended.")
		}
		if strings.TrimSpace(confirm) != s.Name {
			return fault.Field("confirm", "service.not_confirmed", "Type the service's name exactly as it is written here.")
		}
		return Terminate(ctx, tx, id, reason)
	})
}

// LookNow has a service at rest looked at by the next tick; one that is gone is not.
func LookNow(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	_, err := tx.NewRaw("UPDATE services SET next_at = ? WHERE id = ? AND next_at > ? AND operation = ''", tx.Now(), id, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("look at service %s: %w", id, err)
	}
	return setAgenda(ctx, tx)
}

// AccountName is the customer's name.
func AccountName(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (name string, err error) {
	if err := tx.NewRaw("SELECT name FROM accounts WHERE id = ?", id).Scan(ctx, &name); err != nil {
		return "", fmt.Errorf("read the account: %w", err)
	}
	return name, nil
}

// Listed is a service in a list.
type Listed struct {
	Service
	AccountName string
	Total       int `json:"-"` // of the whole list
}

// MaxPage is the most services List returns at once.
const MaxPage = 200

// Filter narrows and orders a list. Zero fields do not.
type Filter struct {
	AccountID uuid.UUID
	Text      string // part of a name, an address, a label or the customer's name
	State     string // running, installing, suspended, trouble, team (waits for the team to do something by hand), ended; empty: all; current: all but ended
	Sort      string // name, customer, created, address; empty: created, newest first
	Desc      bool
	Offset    int
	Limit     int
	// BeforeID and BeforeAt leave out the rows up to this one, in the usual order: the
	// last row of the page before.
	BeforeID uuid.UUID
	BeforeAt time.Time
	// Uncounted leaves out how many there are in all: for that every row is read.
	Uncounted bool
}

// List returns one page in one statement, and how many there are in all.
func List(ctx context.Context, tx *tenancy.Tx, f Filter) (found []Listed, total int, err error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	order, ok := map[string]string{"name": "lower(s.name)", "customer": "lower(a.name)", "created": "s.created_at", "address": "s.address"}[f.Sort]
	if !ok {
		order, f.Desc = "s.created_at", true
	}
	tie := ", s.id"
	if f.Desc {
		order, tie = order+" DESC", tie+" DESC"
	}
	where, args := f.where()
	count := "count(*) OVER ()"
	if f.Uncounted {
		count = "0"
	}
	err = tx.NewRaw("SELECT "+columns+", a.name AS account_name, "+count+" AS total FROM services s JOIN accounts a ON a.id = s.account_id WHERE "+where+
		" ORDER BY "+order+tie+" LIMIT ? OFFSET ?", append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &found)
	if err != nil {
		return nil, 0, fmt.Errorf("list services: %w", err)
	}
	if len(found) > 0 {
		total = found[0].Total
	}
	return found, total, nil
}

// Newest lists the newest services of an account: every role may see them. Those that
// have ended are left out unless asked for.
func Newest(ctx context.Context, tx *tenancy.Tx, of uuid.UUID, limit int, ended bool) (found []Listed, err error) {
	err = tx.NewRaw("SELECT "+columns+`, a.name AS account_name FROM services s JOIN accounts a ON a.id = s.account_id
		WHERE s.account_id = ? AND (? OR s.observed <> 'gone' OR s.problem <> '')
		ORDER BY s.created_at DESC, s.id LIMIT ?`, of, ended, limit).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("list newest services: %w", err)
	}
	return found, nil
}

func (f Filter) where() (string, []any) {
	where, args := "true", []any{}
	if f.AccountID != uuid.Nil {
		where += " AND s.account_id = ?"
		args = append(args, f.AccountID)
	}
	if f.BeforeID != uuid.Nil {
		where += " AND (s.created_at, s.id) < (?, ?)"
		args = append(args, f.BeforeAt, f.BeforeID)
	}
	switch f.State {
	case "running":
		where += " AND s.observed = 'active' AND s.problem = ''"
	case "installing":
		where += " AND s.observed IN ('none', 'installing') AND s.problem = ''"
	case "suspended":
		where += " AND s.observed = 'suspended'"
	case "team":
		where += " AND s.sku = '' AND s.operation <> ''"
	case "trouble":
		where += " AND s.problem <> ''"
	case "ended":
		where += " AND s.observed = 'gone'"
	case "current":
		where += " AND s.observed <> 'gone'"
	}
	if text := strings.TrimSpace(f.Text); text != "" {
		like := roster.Like(text)
		where += " AND (s.name ILIKE ? OR s.label ILIKE ? OR s.address ILIKE ? OR a.name ILIKE ?)"
		args = append(args, like, like, like, like)
	}
	return where, args
}

// Usually is how long services of a SKU have taken from the order until they ran: the
// median of the latest twenty; zero when fewer than three are known.
func Usually(ctx context.Context, tx *tenancy.Tx, sku string) (time.Duration, error) {
	var seconds []float64
	err := tx.NewRaw(`SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM x.began_at - x.created_at)) FROM (
			SELECT began_at, created_at FROM services WHERE sku = ? AND began_at IS NOT NULL ORDER BY created_at DESC LIMIT 20) x HAVING count(*) >= 3`, sku).Scan(ctx, &seconds)
	if err != nil {
		return 0, fmt.Errorf("read how long it usually takes: %w", err)
	}
	if len(seconds) == 0 {
		return 0, nil
	}
	return time.Duration(seconds[0] * float64(time.Second)), nil
}
