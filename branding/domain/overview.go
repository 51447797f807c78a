package domain

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// Overview is what staff see of all tenants' domains.
type Overview struct {
	Central *tenancy.Central
	Budget  *Budget
}

// Listed is a domain with its tenant's name.
type Listed struct {
	Domain
	TenantName string
	TenantSlug string
}

// Filter chooses domains.
type Filter struct {
	Text  string // part of the host or of the tenant's slug
	State State  // empty: all live ones
	Limit int    // 0: 200
}

// List is the domains that fit, those in trouble first, then by name.
func (o *Overview) List(ctx context.Context, f Filter) (all []Listed, err error) {
	if f.Limit == 0 {
		f.Limit = 200
	}
	var rows []struct {
		row
		TenantName string
		TenantSlug string
	}
	err = o.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		like := "%" + likeEscape.Replace(strings.ToLower(f.Text)) + "%"
		return tx.NewRaw(`SELECT d.*, t.name AS tenant_name, t.slug AS tenant_slug
			FROM (SELECT `+columns+` FROM domains) d JOIN tenants t ON t.id = d.tenant_id
			WHERE (d.host LIKE ?0 OR t.slug LIKE ?0) AND (d.state = ?1 OR ?1 = '' AND d.state <> 'removed')
			ORDER BY array_position(ARRAY['failing', 'drifted', 'caa_forbids', 'rate_limited', 'misdirected', 'conflict', 'issuing', 'verified', 'pending', 'active'], d.state), d.host
			LIMIT ?2`, like, string(f.State), f.Limit).Scan(ctx, &rows)
	})
	for _, r := range rows {
		all = append(all, Listed{Domain: r.domain(), TenantName: r.TenantName, TenantSlug: r.TenantSlug})
	}
	return all, err
}

// Get is one domain, also a removed one, with its events.
func (o *Overview) Get(ctx context.Context, id uuid.UUID) (l Listed, events []Event, err error) {
	err = o.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		found, err := selectDomains(ctx, tx, "WHERE id = ?", id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return errNotFound
		}
		l.Domain = found[0]
		if err := tx.NewRaw("SELECT name, slug FROM tenants WHERE id = ?", l.Tenant).Scan(ctx, &l.TenantName, &l.TenantSlug); err != nil {
			return err
		}
		events, err = selectEvents(ctx, tx, id, 200)
		return err
	})
	return l, events, err
}

// Retry makes a domain due at once and forgets the wait after its failures. Fault:
// domain.not_found.
func (o *Overview) Retry(ctx context.Context, id uuid.UUID, by By) error {
	return o.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		d, err := lockDomain(ctx, tx, id)
		if err != nil {
			return err
		}
		if d == nil {
			return errNotFound
		}
		if _, err := tx.NewRaw("UPDATE domains SET next_at = ?, order_after = NULL WHERE id = ?", tx.Now(), id).Exec(ctx); err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Entry{Actor: by.Actor, Action: "domain.retried", Target: audit.Target{Kind: "domain", ID: id.String()},
			Detail: map[string]any{"host": d.Host}, IP: by.IP, RequestID: by.RequestID})
	})
}

// Summary is the figures on top of the console's page.
type Summary struct {
	ByState  map[State]int
	Overdue  int        // renewals whose time has passed by more than a day
	Soonest  *time.Time // the next certificate to expire
	Waiting  int        // due now
	OwnNames []OwnName
}

// OwnName is one of our own names with its certificate.
type OwnName struct {
	Name      string
	State     string
	NotAfter  *time.Time
	RenewAt   *time.Time
	LastError *string
}

// Summary reads the figures.
func (o *Overview) Summary(ctx context.Context) (s Summary, err error) {
	s.ByState = map[State]int{}
	err = o.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		now := tx.Now()
		var states []struct {
			State State
			N     int
		}
		if err := tx.NewRaw("SELECT state, count(*) AS n FROM domains WHERE state <> 'removed' GROUP BY state").Scan(ctx, &states); err != nil {
			return err
		}
		for _, r := range states {
			s.ByState[r.State] = r.N
		}
		err := tx.NewRaw(`SELECT count(*) FILTER (WHERE serving AND renew_at < ?) AS overdue, min(not_after) FILTER (WHERE serving) AS soonest,
				count(*) FILTER (WHERE next_at <= ?) AS waiting FROM domains WHERE state <> 'removed'`, now.Add(-24*time.Hour), now).
			Scan(ctx, &s.Overdue, &s.Soonest, &s.Waiting)
		if err != nil {
			return err
		}
		return tx.NewRaw(`SELECT name, state, not_after, renew_at, last_error FROM platform_names
			ORDER BY (state = 'active'), not_after NULLS FIRST, name LIMIT 100`).Scan(ctx, &s.OwnNames)
	})
	return s, err
}
