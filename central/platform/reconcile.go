package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Difference is the kind of one.
type Difference string

// The kinds of differences between what runs at a platform and what we know of.
const (
	Unbilled Difference = "unbilled" // runs there, and no service of ours has it
	Zombie   Difference = "zombie"   // runs there, although its service has ended
	Missing  Difference = "missing"  // billed, and not there
	Drift    Difference = "drift"    // there, in another state than it should be
)

// Finding is one difference.
type Finding struct {
	Kind    Difference
	Ref     provisioners.Ref
	Name    string    // as the platform calls it
	Since   time.Time // when it was created there, or last changed here
	Says    string
	Service *Service // nil: none is known
}

// Report is what a comparison found.
type Report struct {
	Platform Summary // also in a report that came with an error, but platform.unknown
	At       time.Time
	Running  int // services the platform has
	Known    int // services of ours that should be there
	Findings []Finding
	Young    int // too young to be judged: they may be under way
}

// Count is how many findings are of a kind.
func (r Report) Count(kind Difference) (n int) {
	for _, f := range r.Findings {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// tooYoung is how long a creation, an end or a change may be under way.
const tooYoung = 15 * time.Minute

// Reconcile compares what a platform runs with the services all tenants have there. It
// changes nothing. Faults: platform.unknown, platform.not_asked, platform.no_list.
func (r *Registry) Reconcile(ctx context.Context, id uuid.UUID) (Report, error) {
	p, d, err := r.openWith(ctx, id)
	rep := Report{Platform: p, At: r.Central.Now().UTC()}
	if err != nil {
		return rep, asked(err)
	}
	lister, ok := d.(provisioners.Lister)
	if !ok {
		return rep, fault.New(fault.Conflict, "platform.no_list", "This kind of platform does not tell what it runs.")
	}
	running := map[provisioners.Ref]provisioners.Listed{}
	if err := lister.List(ctx, func(l provisioners.Listed) bool { running[l.Ref] = l; return true }); err != nil {
		return rep, asked(err)
	}
	var ours []Service
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+serviceColumns+serviceTables+"WHERE v.platform_id = ?", id).Scan(ctx, &ours)
	})
	if err != nil {
		return rep, fmt.Errorf("reconcile platform %s: %w", id, err)
	}
	rep.compare(running, ours)
	return rep, nil
}

// compare fills the report.
func (r *Report) compare(running map[provisioners.Ref]provisioners.Listed, ours []Service) {
	r.Running = len(running)
	byRef, byKey := map[provisioners.Ref]*Service{}, map[string]*Service{}
	for i := range ours {
		s := &ours[i]
		byKey[Key(s.TenantID, s.ServiceID)] = s
		if s.Ref == "" {
			continue
		}
		if had, ok := byRef[provisioners.Ref(s.Ref)]; !ok || !had.EndedAt.IsZero() {
			byRef[provisioners.Ref(s.Ref)] = s
		}
		if s.EndedAt.IsZero() {
			r.Known++
		}
	}
	young := func(t time.Time) bool { return !t.IsZero() && r.At.Sub(t) < tooYoung }
	for ref, l := range running {
		s, ok := byRef[ref]
		if f := judge(l, s, byKey[l.Key]); f.Kind != "" {
			f.Ref, f.Name = ref, l.Name
			if !ok && young(l.Created) || ok && young(s.ChangedAt) {
				r.Young++
				continue
			}
			r.Findings = append(r.Findings, f)
		}
	}
	for ref, s := range byRef {
		if _, there := running[ref]; there || !s.EndedAt.IsZero() || s.Observed == "gone" || s.Desired == "terminated" {
			continue
		}
		if young(s.ChangedAt) {
			r.Young++
			continue
		}
		r.Findings = append(r.Findings, Finding{Kind: Missing, Ref: ref, Name: s.Label, Since: s.ChangedAt, Service: s,
			Says: "The reseller is billed for it, and the platform no longer has it."})
	}
	order := []Difference{Missing, Zombie, Unbilled, Drift}
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		if a.Kind != b.Kind {
			return slices.Index(order, a.Kind) - slices.Index(order, b.Kind)
		}
		return strings.Compare(string(a.Ref), string(b.Ref))
	})
}

// judge compares one running service with the one of ours that has it (s), or the one
// whose key it was made for.
func judge(l provisioners.Listed, s, made *Service) Finding {
	switch {
	case s == nil && made != nil:
		says := "It was made for this service, which has another one at the platform."
		if !made.EndedAt.IsZero() {
			return Finding{Kind: Zombie, Since: made.EndedAt, Service: made, Says: "Its service has ended, and it still runs."}
		}
		if made.Ref == "" {
			says = "It was made for this service, which does not know it yet."
		}
		return Finding{Kind: Unbilled, Since: l.Created, Service: made, Says: says}
	case s == nil:
		return Finding{Kind: Unbilled, Since: l.Created, Says: "It was not made by us, or its reseller is gone."}
	case !s.EndedAt.IsZero():
		return Finding{Kind: Zombie, Since: s.EndedAt, Service: s, Says: "Its service has ended, and it still runs."}
	case s.Observed == "gone":
		return Finding{Kind: Drift, Since: s.ChangedAt, Service: s, Says: "We took it for gone, and it is there."}
	case l.Suspended && s.Desired == "active" && s.Observed != "failed":
		return Finding{Kind: Drift, Since: s.ChangedAt, Service: s, Says: "It is suspended there and should run."}
	case !l.Suspended && s.Desired == "suspended":
		return Finding{Kind: Drift, Since: s.ChangedAt, Service: s, Says: "It runs there and should be suspended."}
	}
	return Finding{}
}

// Key is by what a platform finds what was made for a service.
func Key(tenant tenancy.ID, service uuid.UUID) string {
	return "t" + tenant.String() + "/" + service.String()
}

// ReconcileJob compares every platform with what is billed.
type ReconcileJob struct{}

// Kind names the job.
func (ReconcileJob) Kind() string { return "platform.reconcile" }

// ReconcileAll compares every platform that is not off, and tells staff once a day of
// what differs.
func (r *Registry) ReconcileAll(ctx context.Context) error {
	return r.each(ctx, func(ctx context.Context, p record) error {
		rep, err := r.Reconcile(ctx, p.ID)
		if fault.Is(err, "platform.not_asked") || fault.Is(err, "platform.no_list") {
			return nil // the check tells staff of the first
		}
		if err != nil || len(rep.Findings) == 0 {
			return err
		}
		text := fmt.Sprintf("%s differs from what is billed: %d missing, %d zombies, %d unbilled, %d in another state.",
			p.Name, rep.Count(Missing), rep.Count(Zombie), rep.Count(Unbilled), rep.Count(Drift))
		return r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: "platform.drift " + p.ID.String() + " " + rep.At.Format(time.DateOnly), Kind: "platform.drift", Text: text,
				Detail: map[string]string{"platform": p.Name}})
			return err
		})
	})
}

// Repair is what staff do about a finding.
type Repair string

// The repairs.
const (
	Remove Repair = "remove" // destroy what runs at the platform: a zombie, or what nobody is billed for
	Look   Repair = "look"   // have the reseller's side look at the platform now, and put right what it can
)

// Nudge has a tenant's own side look at a service now; cmd answers.
type Nudge func(ctx context.Context, tenant tenancy.ID, service uuid.UUID) error

// RepairRequest names a finding as it was seen.
type RepairRequest struct {
	Kind   Difference
	Ref    provisioners.Ref
	Repair Repair
}

// Find is the finding that a repair is for. Faults: platform.nothing_to_repair,
// platform.wrong_repair.
func (r Report) Find(q RepairRequest) (Finding, error) {
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Kind == q.Kind && f.Ref == q.Ref })
	if i < 0 {
		return Finding{}, fault.New(fault.Conflict, "platform.nothing_to_repair", "This difference is not there any more.")
	}
	if !slices.Contains(r.Findings[i].Repairs(), q.Repair) {
		return Finding{}, fault.New(fault.Conflict, "platform.wrong_repair", "This cannot be repaired that way.")
	}
	return r.Findings[i], nil
}

// Mend repairs one finding, after it was found again: what changed since the page was
// read is not touched. Faults: platform.nothing_to_repair, platform.wrong_repair,
// platform.not_asked.
func (r *Registry) Mend(ctx context.Context, id uuid.UUID, q RepairRequest, nudge Nudge, by audit.Origin) error {
	rep, err := r.Reconcile(ctx, id)
	if err != nil {
		return err
	}
	f, err := rep.Find(q)
	if err != nil {
		return err
	}
	// Before it is done, so that nothing is done that is not written down.
	err = r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		detail := map[string]any{"difference": f.Kind, "ref": f.Ref, "name": f.Name}
		if f.Service != nil {
			detail["tenant"], detail["service"] = f.Service.TenantID, f.Service.ServiceID
		}
		return by.Record(ctx, tx, "platform.repair_"+string(q.Repair), Target(id), detail)
	})
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if q.Repair == Look {
		return nudge(ctx, f.Service.TenantID, f.Service.ServiceID)
	}
	d, err := r.Open(ctx, id)
	if err == nil {
		err = d.Destroy(ctx, f.Ref)
	}
	var later *provisioners.RetryError
	if errors.As(err, &later) || errors.Is(err, provisioners.ErrRefused) {
		return asked(err)
	}
	return err
}

// Repairs are what can be done about it, the best first.
func (f Finding) Repairs() []Repair {
	switch {
	case f.Kind == Zombie:
		return []Repair{Remove}
	case f.Kind == Unbilled && f.Service != nil && f.Service.Ref == "":
		return []Repair{Look}
	case f.Kind == Unbilled:
		return []Repair{Remove}
	default:
		return []Repair{Look}
	}
}
