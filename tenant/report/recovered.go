package report

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Recovery is what one rule of dunning brought: money for invoices of renewals that were
// due and not paid.
type Recovery struct {
	Rule      string // try/2, link/due, card, customer, transfer
	Payments  int
	Amount    billing.Money // less what was given back
	AfterWeek billing.Money // of it, for invoices whose customer had taken a week more
	Days      float64       // from due to paid, on average
}

// Words names a rule for people.
func (r Recovery) Words() string {
	kind, rest, _ := strings.Cut(r.Rule, "/")
	switch kind {
	case "try":
		return "Try " + rest + " of the saved card"
	case "card":
		return "A new card, charged at once"
	case "link":
		if words := linkWords(rest); words != "" {
			return "Link in the letter " + words
		}
		return "Link in a letter"
	case "transfer":
		return "Bank transfer"
	}
	return "The customer, signed in"
}

func linkWords(letter string) string {
	switch letter {
	case "due":
		return "that asks to pay"
	case "failed":
		return "about a failed charge"
	case "suspended":
		return "about being turned off"
	case "ending":
		return "that announces the end"
	case "week":
		return "that gives a week"
	}
	return ""
}

// Recovered is what dunning brought in [from, to), by currency and rule, the most first.
// A charge on the day an invoice is due is no recovery: nothing was late.
func Recovered(ctx context.Context, tx *tenancy.Tx, from, to time.Time) ([]Recovery, error) {
	var rows []struct {
		Rule, Currency         string
		N                      int
		AmountMinor, WeekMinor int64
		Days                   float64
	}
	err := tx.NewRaw(`SELECT r.rule, r.currency, count(*) AS n, sum(r.amount_minor)::bigint AS amount_minor,
			coalesce(sum(r.amount_minor) FILTER (WHERE r.week_at <= r.settled_at), 0)::bigint AS week_minor,
			avg(extract(epoch FROM r.settled_at - r.due_at) / 86400)::float8 AS days
		FROM (SELECT p.currency, p.amount_minor - p.refunded_minor AS amount_minor, i.week_at, i.due_at, p.settled_at,
				CASE WHEN p.via IS NOT NULL THEN p.via
					WHEN p.key LIKE 'charge/%/method/%' THEN 'card'
					WHEN p.key LIKE 'charge/%' THEN 'try/' || (split_part(p.key, '/', 3)::int + 1)
					WHEN p.gateway = 'transfer' THEN 'transfer' ELSE 'customer' END AS rule
			FROM payments p JOIN invoices i ON i.id = p.invoice_id
			WHERE p.state = 'succeeded' AND p.settled_at >= ? AND p.settled_at < ? AND p.settled_at > i.due_at AND i.key LIKE 'renewal/%') r
		WHERE r.rule <> 'try/1' GROUP BY r.rule, r.currency`, from, to).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("report what was recovered: %w", err)
	}
	all := make([]Recovery, len(rows))
	for i, r := range rows {
		m := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: r.Currency} }
		all[i] = Recovery{Rule: r.Rule, Payments: r.N, Amount: m(r.AmountMinor), AfterWeek: m(r.WeekMinor), Days: r.Days}
	}
	slices.SortFunc(all, func(a, b Recovery) int {
		if c := strings.Compare(a.Amount.Currency, b.Amount.Currency); c != 0 {
			return c
		}
		if a.Amount.Minor != b.Amount.Minor {
			return int(max(min(b.Amount.Minor-a.Amount.Minor, 1), -1))
		}
		return strings.Compare(a.Rule, b.Rule)
	})
	return all, nil
}
