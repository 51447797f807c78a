package domain

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Limits bound what one tenant may ask for.
type Limits struct {
	Domains    int           // live ones
	Pending    int           // without proof at once
	AddsPerDay int           // also those removed again
	CheckEvery time.Duration // "check now" for one domain
}

// DefaultLimits are those of an ordinary plan.
var DefaultLimits = Limits{Domains: 25, Pending: 10, AddsPerDay: 20, CheckEvery: 30 * time.Second}

// LimitsOf says what a tenant may ask for, by what it pays for.
type LimitsOf func(context.Context, *tenancy.CentralTx, tenancy.ID) (Limits, error)

// By is who asks, for the audit trail.
type By struct {
	Actor     audit.Actor
	IP        string
	RequestID string
}

// Desk is where tenants and staff change domains.
type Desk struct {
	Central   *tenancy.Central
	Names     NamePolicy
	Zone      string   // the tenants' own hosts stand below it
	HTTPSPort int      // public; 0: 443
	Limits    LimitsOf // nil: DefaultLimits
	Preflight *Preflight
	News      News   // may be nil
	Wake      func() // the worker of this process, that something is due; may be nil
}

var errNotFound = fault.New(fault.NotFound, "domain.not_found", "There is no such domain.")

func (k *Desk) limits(ctx context.Context, tx *tenancy.CentralTx, t tenancy.ID) (Limits, error) {
	if k.Limits == nil {
		return DefaultLimits, nil
	}
	return k.Limits(ctx, tx, t)
}

// ParseID reads a domain's id from an address; what is none is not found.
func ParseID(s string) (uuid.UUID, error) {
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.Nil, errNotFound
	}
	return id, nil
}

// OwnHost is where the tenant's shop answers without a domain of its own.
func (k *Desk) OwnHost(t tenancy.Tenant) string { return t.Slug + "." + k.Zone }

// Address is where a host is opened.
func (k *Desk) Address(host string) string {
	if k.HTTPSPort == 0 || k.HTTPSPort == 443 {
		return "https://" + host + "/"
	}
	return fmt.Sprintf("https://%s:%d/", host, k.HTTPSPort)
}

func (k *Desk) wake() {
	if k.Wake != nil {
		k.Wake()
	}
}

// Add claims a name for the tenant, as a person typed it. The claim proves nothing
// yet: the answer says which records to set. A name the tenant removed before gets a
// new row and a new token. Faults: those of NamePolicy.Normalize, domain.exists,
// domain.limit, domain.pending_limit, domain.daily_limit.
func (k *Desk) Add(ctx context.Context, t tenancy.ID, typed string, by By) (Domain, error) {
	host, err := k.Names.Normalize(typed)
	if err != nil {
		return Domain{}, err
	}
	var d Domain
	err = k.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		label, err := k.admit(ctx, tx, t)
		if err != nil {
			return err
		}
		others, err := lockHost(ctx, tx, host)
		if err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		now := tx.Now()
		d = Domain{ID: id, Tenant: t, Host: host, State: Pending, Token: newToken(), EdgeLabel: label,
			PendingSince: now, NextAt: &now, CreatedBy: by.Actor.Name, CreatedAt: now, ChangedAt: now}
		for _, o := range others {
			if o.Serving && o.Tenant != t {
				d.State = Conflict
			}
		}
		if err := insertDomain(ctx, tx, d); err != nil {
			return err
		}
		if err := k.record(ctx, tx, d, by, "domain.added", Pending); err != nil {
			return err
		}
		return k.audit(ctx, tx, d, by, "domain.added", nil)
	})
	if tenancy.IsTaken(err, "domains_one_per_tenant") {
		return Domain{}, fault.Field("host", "domain.exists", host+" is in your list already.")
	}
	if err != nil {
		return Domain{}, fmt.Errorf("add %s: %w", host, err)
	}
	k.wake()
	return d, nil
}

func newToken() string { return strings.ToLower(rand.Text()) }

// admit checks the tenant's limits, one add of a tenant at a time, and finds the
// tenant's edge label.
func (k *Desk) admit(ctx context.Context, tx *tenancy.CentralTx, t tenancy.ID) (label string, err error) {
	var locked int64
	if err := tx.NewRaw("SELECT id FROM tenants WHERE id = ? AND status <> 'dropped' FOR UPDATE", t).Scan(ctx, &locked); err != nil {
		if tenancy.IsNoRows(err) {
			return "", errNotFound
		}
		return "", err
	}
	var n struct {
		Live, Pending, Today int
		Label                *string
	}
	err = tx.NewRaw(`SELECT count(*) FILTER (WHERE state <> 'removed') AS live,
			count(*) FILTER (WHERE state IN ('pending', 'conflict')) AS pending,
			count(*) FILTER (WHERE created_at > ?) AS today,
			max(edge_label) AS label
		FROM domains WHERE tenant_id = ?`, tx.Now().Add(-24*time.Hour), t).Scan(ctx, &n)
	if err != nil {
		return "", err
	}
	l, err := k.limits(ctx, tx, t)
	if err != nil {
		return "", err
	}
	switch {
	case l.Domains == 0:
		return "", fault.Field("host", "domain.limit", "Your plan has no domains of your own.")
	case n.Live >= l.Domains:
		return "", fault.Field("host", "domain.limit", fmt.Sprintf("Your plan has room for %d domains. Remove one first.", l.Domains))
	case n.Pending >= l.Pending:
		return "", fault.Field("host", "domain.pending_limit", fmt.Sprintf("%d domains wait for their proof already. Finish or remove one first.", n.Pending))
	case n.Today >= l.AddsPerDay:
		return "", fault.Field("host", "domain.daily_limit", fmt.Sprintf("At most %d domains can be added in a day. Please go on tomorrow.", l.AddsPerDay))
	case n.Label != nil:
		return *n.Label, nil
	}
	return newToken()[:16], nil
}

// List is the tenant's live domains, the primary one first.
func (k *Desk) List(ctx context.Context, t tenancy.ID) (all []Domain, err error) {
	err = k.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		all, err = selectDomains(ctx, tx, "WHERE tenant_id = ? AND state <> 'removed' ORDER BY is_primary DESC, host", t)
		return err
	})
	return all, err
}

// Get is one of the tenant's live domains with its latest events; another tenant's is not found.
func (k *Desk) Get(ctx context.Context, t tenancy.ID, id uuid.UUID) (d Domain, events []Event, err error) {
	err = k.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		found, err := selectDomains(ctx, tx, "WHERE id = ? AND tenant_id = ? AND state <> 'removed'", id, t)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return errNotFound
		}
		d = found[0]
		events, err = selectEvents(ctx, tx, id, 50)
		return err
	})
	return d, events, err
}

// Records is the table of records to set, with what was found when it was looked up.
func (k *Desk) Records(d Domain) []Record {
	if len(d.Observed.Records) > 0 {
		return d.Observed.Records
	}
	return k.Preflight.Wanted(d)
}

// change runs fn on one of the tenant's live domains, locked.
func (k *Desk) change(ctx context.Context, t tenancy.ID, id uuid.UUID, fn func(*tenancy.CentralTx, *Domain) error) (Domain, error) {
	var out Domain
	err := k.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		d, err := lockDomain(ctx, tx, id)
		if err != nil {
			return err
		}
		if d == nil || d.Tenant != t {
			return errNotFound
		}
		if err := fn(tx, d); err != nil {
			return err
		}
		out = *d
		return nil
	})
	return out, err
}

// CheckNow asks the worker to look at the domain at once. Fault: domain.check_too_soon.
// After a failed order it looks at DNS and orders again only when its time has come.
func (k *Desk) CheckNow(ctx context.Context, t tenancy.ID, id uuid.UUID, _ By) (Domain, error) {
	d, err := k.change(ctx, t, id, func(tx *tenancy.CentralTx, d *Domain) error {
		l, err := k.limits(ctx, tx, t)
		if err != nil {
			return err
		}
		every := l.CheckEvery
		var asked int64
		err = tx.NewRaw(`UPDATE domains SET asked_at = ?, next_at = ? WHERE id = ? AND (asked_at IS NULL OR asked_at <= ?) RETURNING 1`,
			tx.Now(), tx.Now(), id, tx.Now().Add(-every)).Scan(ctx, &asked)
		if tenancy.IsNoRows(err) {
			return fault.New(fault.TooMany, "domain.check_too_soon", fmt.Sprintf("It was checked a moment ago. You can check again every %d seconds.", int(every/time.Second)))
		}
		return err
	})
	if err == nil {
		k.wake()
	}
	return d, err
}

// MakePrimary makes links and mails name this domain. It must be active, and a
// request to it over HTTPS must arrive here. Faults: domain.not_active, domain.self_test.
func (k *Desk) MakePrimary(ctx context.Context, t tenancy.ID, id uuid.UUID, by By) (Domain, error) {
	notActive := fault.New(fault.Conflict, "domain.not_active", "A domain can become the main address once it is active.")
	d, _, err := k.Get(ctx, t, id)
	if err != nil {
		return Domain{}, err
	}
	if d.State != Active {
		return Domain{}, notActive
	}
	if k.Preflight.Self != nil {
		if err := k.Preflight.Self.OverHTTPS(ctx, d.Host); err != nil {
			return Domain{}, fault.Wrap(err, fault.Conflict, "domain.self_test", "We opened https://"+d.Host+"/ and did not arrive here. "+err.Error())
		}
	}
	return k.change(ctx, t, id, func(tx *tenancy.CentralTx, d *Domain) error {
		if d.State != Active {
			return notActive
		}
		if _, err := tx.NewRaw("UPDATE domains SET is_primary = (id = ?) WHERE tenant_id = ? AND state <> 'removed'", id, t).Exec(ctx); err != nil {
			return err
		}
		d.Primary = true
		return k.setPrimaryHost(ctx, tx, *d, &d.Host, by, "domain.made_primary")
	})
}

// ResetPrimary makes the tenant's own host the main address again.
func (k *Desk) ResetPrimary(ctx context.Context, t tenancy.ID, by By) error {
	return k.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		found, err := selectDomains(ctx, tx, "WHERE tenant_id = ? AND is_primary ORDER BY id FOR UPDATE", t)
		if err != nil || len(found) == 0 {
			return err
		}
		if _, err := tx.NewRaw("UPDATE domains SET is_primary = false WHERE tenant_id = ? AND is_primary", t).Exec(ctx); err != nil {
			return err
		}
		return k.setPrimaryHost(ctx, tx, found[0], nil, by, "domain.reset_primary")
	})
}

func (k *Desk) setPrimaryHost(ctx context.Context, tx *tenancy.CentralTx, d Domain, host *string, by By, code string) error {
	_, err := tx.NewRaw("UPDATE tenants SET primary_host = ?, content_version = content_version + 1, changed_at = ? WHERE id = ?", host, tx.Now(), d.Tenant).Exec(ctx)
	if err != nil {
		return err
	}
	if err := tx.NotifyDirectory(ctx, d.Tenant); err != nil {
		return err
	}
	if err := k.record(ctx, tx, d, by, code, d.State); err != nil {
		return err
	}
	return k.audit(ctx, tx, d, by, code, nil)
}

// Remove gives the name up: every node stops serving it at once. Removing what is
// gone is not found.
func (k *Desk) Remove(ctx context.Context, t tenancy.ID, id uuid.UUID, by By) error {
	_, err := k.change(ctx, t, id, func(tx *tenancy.CentralTx, d *Domain) error {
		return k.remove(ctx, tx, d, by, "domain.removed")
	})
	return err
}

func (k *Desk) remove(ctx context.Context, tx *tenancy.CentralTx, d *Domain, by By, code string) error {
	now := tx.Now()
	d.NextAt, d.RemovedAt = nil, &now
	if err := apply(ctx, tx, d, change{Removed, by.Actor.Name, code, ""}, k.News); err != nil {
		return err
	}
	return k.audit(ctx, tx, *d, by, code, nil)
}

// RemoveAll is the part of a tenant's end that gives up all its names.
func (k *Desk) RemoveAll(ctx context.Context, tx *tenancy.CentralTx, t tenancy.ID, by By) error {
	all, err := selectDomains(ctx, tx, "WHERE tenant_id = ? AND state <> 'removed' ORDER BY id FOR UPDATE", t)
	if err != nil {
		return err
	}
	for i := range all {
		if err := k.remove(ctx, tx, &all[i], by, "domain.tenant_ended"); err != nil {
			return err
		}
	}
	return nil
}

func (k *Desk) record(ctx context.Context, tx *tenancy.CentralTx, d Domain, by By, code string, from State) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	return insertEvent(ctx, tx, d.ID, Event{ID: id, At: tx.Now(), Actor: by.Actor.Name, From: from, To: d.State, Code: code})
}

func (k *Desk) audit(ctx context.Context, tx *tenancy.CentralTx, d Domain, by By, action string, detail map[string]any) error {
	if detail == nil {
		detail = map[string]any{}
	}
	detail["host"], detail["tenant"] = d.Host, d.Tenant.String()
	return audit.Append(ctx, tx, audit.Entry{Actor: by.Actor, Action: action, Target: audit.Target{Kind: "domain", ID: d.ID.String()},
		Detail: detail, IP: by.IP, RequestID: by.RequestID})
}
