package wholesale

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// Desk is where the platform's staff and the clock look after wholesale billing. It is
// safe for concurrent use.
type Desk struct {
	Central    *tenancy.Central
	Mail       Mailer // who is told of invoices; not needed for prices and runs
	PartnerURL string // of the partner centre, for links in mails; no slash at the end
	Taker      *Taker // takes resellers' money; nil: only people do
	// Deliver hands a notification about a payment that is taken for a reseller to its shop,
	// verified; nil: nobody hears. A shop that is gone is the fault hook.unknown.
	Deliver func(ctx context.Context, of tenancy.ID, e gateway.Event) error
}

// skuTarget and tierTarget are what an entry of the trail is about.
func skuTarget(sku string) audit.Target   { return audit.Target{Kind: "sku", ID: sku} }
func tierTarget(tier string) audit.Target { return audit.Target{Kind: "tier", ID: tier} }

// closedUntil is the end of the last month that was billed: nothing before it may change
// any more. Zero: nothing was billed yet.
func closedUntil(ctx context.Context, tx *tenancy.CentralTx) (until time.Time, err error) {
	err = tx.NewRaw("SELECT coalesce(max(period_to), '0001-01-01') FROM wholesale_runs").Scan(ctx, &until)
	if err != nil {
		return until, fmt.Errorf("last billed month: %w", err)
	}
	return until.UTC(), nil
}

// line reads a text of one line that a person typed.
func line(field, s string, most int, wrong map[string]string) string {
	s = strings.Join(strings.Fields(plain(s)), " ")
	switch n := len([]rune(s)); {
	case n == 0:
		wrong[field] = "Please fill this in."
	case n > most:
		wrong[field] = fmt.Sprintf("Please use at most %d characters.", most)
	}
	return s
}

// plain is s without what Postgres cannot keep in a text.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

// day is how a moment is written in faults: only the date when it is midnight.
func day(t time.Time) string {
	if t = t.UTC(); t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format("2006-01-02")
	}
	return t.Format("2006-01-02 15:04 UTC")
}

// sortedKeys are a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
