package reseller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
)

// MaxTrialDays is the longest trial staff can give at once.
const MaxTrialDays = 365

// NewReseller is the form that makes one.
type NewReseller struct {
	Key        string // of the form: sending it twice makes one reseller
	Name       string
	Slug       string // empty: suggested from the name
	OwnerName  string
	OwnerEmail string
	OwnerHash  identity.HashedPassword // of the password the owner has elsewhere; empty: they are invited to choose one
	Locale     string                  // BCP 47; empty: en
	Currency   string                  // ISO 4217; empty: EUR
	TimeZone   string                  // IANA; empty: UTC
	TrialDays  int                     // 0: active at once
}

// check fills in what is left open and answers with everything that is wrong at once.
func (n *NewReseller) check() error {
	wrong := map[string]string{}
	n.Name = name(n.Name, wrong)
	n.Slug = strings.ToLower(strings.TrimSpace(plain(n.Slug)))
	if n.Slug == "" {
		n.Slug = SuggestSlug(n.Name)
	}
	collect(wrong, "slug", CheckSlug(n.Slug))
	var err error
	n.OwnerName, err = identity.ParseName(n.OwnerName)
	collect(wrong, "owner_name", err)
	n.OwnerEmail, err = identity.ParseEmail(plain(n.OwnerEmail))
	collect(wrong, "owner_email", err)
	at := place.Parse(place.Place{Locale: n.Locale, Currency: n.Currency, TimeZone: n.TimeZone}, wrong)
	n.Locale, n.Currency, n.TimeZone = at.Locale, at.Currency, at.TimeZone
	if n.TrialDays < 0 || n.TrialDays > MaxTrialDays {
		wrong["trial_days"] = fmt.Sprintf("Give 0 to %d days; 0 makes the reseller active at once.", MaxTrialDays)
	}
	if n.Key = plain(n.Key); n.Key == "" || len(n.Key) > 100 {
		wrong[""] = "This form has lost its key. Please open it again."
	}
	return fault.Fields("reseller.invalid", wrong)
}

func collect(wrong map[string]string, field string, err error) {
	if err != nil {
		wrong[field] = fault.From(err).Message
	}
}

func name(s string, wrong map[string]string) string {
	s = strings.Join(strings.Fields(plain(s)), " ")
	switch n := len([]rune(s)); {
	case n == 0:
		wrong["name"] = "Give the name of the business."
	case n > 100:
		wrong["name"] = "Please use at most 100 characters."
	}
	return s
}

// Create makes a reseller of a spare, invites its owner and writes the trail. It is
// idempotent in the form's key, also when an earlier attempt died half-way. Faults:
// reseller.invalid and tenant.slug_taken about fields, tenant.none_spare.
func (d *Desk) Create(ctx context.Context, n NewReseller, by audit.Origin) (Reseller, error) {
	if err := n.check(); err != nil {
		return Reseller{}, err
	}
	c := tenancy.Claim{
		Key: claimKey(by.Actor, n.Key), Slug: n.Slug, Name: n.Name, OwnerEmail: n.OwnerEmail, Status: tenancy.Active,
		Locale: n.Locale, Currency: n.Currency, TimeZone: n.TimeZone,
	}
	if n.TrialDays > 0 {
		c.Status, c.TrialEndsAt = tenancy.Trial, d.Central.Now().UTC().Add(time.Duration(n.TrialDays)*24*time.Hour)
	}
	t, err := d.Claimer.Claim(ctx, c, func(t tenancy.Tenant, tx *tenancy.Tx) error {
		t.PrimaryHost = t.Slug + "." + d.Platform
		return d.Seed(ctx, t, tx, Owner{Name: n.OwnerName, Email: n.OwnerEmail, Locale: n.Locale, Hash: n.OwnerHash})
	})
	if fault.Is(err, "tenant.slug_taken") {
		return Reseller{}, d.taken(ctx, n)
	}
	if err != nil {
		return Reseller{}, err
	}
	return d.noteCreated(ctx, t.ID, by)
}

// claimKey names the form and who sent it: should the process die before the trail
// is written, CompleteTrail still knows whose doing the tenant is.
func claimKey(a audit.Actor, form string) string { return a.Kind + ":" + a.ID + ":" + form }

// taken says precisely what is in the way.
func (d *Desk) taken(ctx context.Context, n NewReseller) error {
	r, err := d.BySlug(ctx, n.Slug)
	if err != nil {
		return fault.Field("slug", "reseller.slug_taken", "This name was taken a moment ago. Choose another.")
	}
	return &fault.Fault{
		Kind: fault.Conflict, Code: "reseller.slug_taken", Message: "This name is taken.",
		Fields: map[string]string{"slug": fmt.Sprintf("%s.%s belongs to %s since %s. Choose another name.",
			n.Slug, d.Platform, r.Name, r.CreatedAt.UTC().Format("2 Jan 2006, 15:04 UTC"))},
	}
}

// noteCreated writes the trail once.
func (d *Desk) noteCreated(ctx context.Context, id tenancy.ID, by audit.Origin) (r Reseller, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if r, err = byID(ctx, tx, id, "FOR UPDATE OF t"); err != nil {
			return err
		}
		var noted bool
		err := tx.NewRaw("SELECT EXISTS (SELECT FROM audit_entries WHERE target_kind = 'tenant' AND target_id = ? AND action = 'tenant.created')",
			id.String()).Scan(ctx, &noted)
		if err != nil || noted {
			return err
		}
		return by.Record(ctx, tx, "tenant.created", Target(id), map[string]any{
			"name": r.Name, "slug": r.Slug, "owner": r.OwnerEmail, "status": r.Status,
			"locale": r.Locale, "currency": r.Currency, "time_zone": r.TimeZone,
		})
	})
	if err != nil {
		return Reseller{}, fmt.Errorf("note the creation of %s: %w", id, err)
	}
	return r, nil
}

// CompleteTrail writes the entry of tenants whose creation was interrupted between
// the claim and the trail, and answers how many it wrote. The clock runs it.
func (d *Desk) CompleteTrail(ctx context.Context) (int, error) {
	var found []struct {
		ID  tenancy.ID
		Key string
	}
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		// Young ones only: an older one was seen by an earlier run. A minute's grace
		// leaves those alone whose creation is still under way.
		return tx.NewRaw(`SELECT t.id, t.key FROM tenants t
			WHERE t.created_at > ?::timestamptz - interval '7 days' AND t.created_at < ?::timestamptz - interval '1 minute'
			AND NOT EXISTS (SELECT FROM audit_entries a WHERE a.target_kind = 'tenant' AND a.target_id = t.id::text AND a.action = 'tenant.created')
			ORDER BY t.id`, tx.Now(), tx.Now()).Scan(ctx, &found)
	})
	if err != nil {
		return 0, fmt.Errorf("complete the trail: %w", err)
	}
	for _, f := range found {
		by := audit.Origin{Actor: audit.System("reseller desk")}
		if parts := strings.SplitN(f.Key, ":", 3); len(parts) == 3 && slices.Contains([]string{"staff", "system", "partner"}, parts[0]) {
			by.Actor = audit.Actor{Kind: parts[0], ID: parts[1], Name: "(interrupted)"}
		}
		if _, err := d.noteCreated(ctx, f.ID, by); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// SlugAnswer is what the form says about a slug while it is typed.
type SlugAnswer struct {
	Slug, Host string
	Free       bool
	Message    string // why not
}

// AskSlug says whether a slug is free now; typed empty, about the one suggested
// from name.
func (d *Desk) AskSlug(ctx context.Context, typed, name string) (SlugAnswer, error) {
	slug := strings.ToLower(strings.TrimSpace(plain(typed)))
	if slug == "" {
		slug = SuggestSlug(name)
	}
	a := SlugAnswer{Slug: slug, Host: slug + "." + d.Platform}
	if slug == "" {
		return a, nil
	}
	if err := CheckSlug(slug); err != nil {
		a.Host, a.Message = "", fault.From(err).Message
		return a, nil
	}
	r, err := d.BySlug(ctx, slug)
	switch {
	case fault.Is(err, "tenant.unknown"):
		a.Free = true
	case err != nil:
		return a, err
	default:
		a.Message = "Taken by " + r.Name + "."
	}
	return a, nil
}
