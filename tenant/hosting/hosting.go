// Package hosting owns the running things that customers bought: the table services,
// what is wanted of each, what was last seen of it, and the work that brings the two
// together at a platform (see drive.go and docs/services.md). From here the platform
// learns what to bill the reseller for. It does not own what customers pay
// (tenant/renewal), what is offered (tenant/catalog) or how a platform is spoken to
// (provisioners, reached through Platforms).
package hosting

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Desired is what is wanted of a service.
type Desired string

// What can be wanted.
const (
	WantActive     Desired = "active"
	WantSuspended  Desired = "suspended"
	WantTerminated Desired = "terminated"
)

// Observed is what was last seen of a service.
type Observed string

// What can be seen.
const (
	SeenNone       Observed = "none" // not created yet
	SeenInstalling Observed = "installing"
	SeenActive     Observed = "active"
	SeenSuspended  Observed = "suspended"
	SeenFailed     Observed = "failed"
	SeenGone       Observed = "gone"
)

// Operation is what is being done to a service; empty: nothing.
type Operation string

// The operations.
const (
	OpCreate        Operation = "create"
	OpRebuild       Operation = "rebuild"
	OpSuspend       Operation = "suspend"
	OpRelease       Operation = "release"
	OpTerminate     Operation = "terminate"
	OpResize        Operation = "resize"
	OpRename        Operation = "rename"
	OpResetPassword Operation = "reset_password"
	OpStart         Operation = "start"
	OpStop          Operation = "stop"
	OpRestart       Operation = "restart"
	OpForceOff      Operation = "force_off"
)

// Step is where an operation stands.
type Step string

// The steps. Not every operation has all of them.
const (
	StepWaiting    Step = "waiting"    // nothing was asked of the platform yet
	StepAsking     Step = "asking"     // the platform is, or was, being asked; the answer is not kept yet
	StepInstalling Step = "installing" // the platform works; we look again and again
	StepPassword   Step = "password"   // it runs, and a password is still to be had
	StepChecking   Step = "checking"   // it was asked; has it happened?
	StepFinding    Step = "finding"    // perhaps something was created whose name we do not know
)

// Hold is why a service is suspended. A service is released when no hold is left.
type Hold string

// The holds.
const (
	HoldBilling  Hold = "billing"  // not paid
	HoldReseller Hold = "reseller" // by the reseller's team
	HoldPause    Hold = "pause"    // its subscription is paused
	HoldSpend    Hold = "spend"    // what the customer wants to spend is used up
	HoldDispute  Hold = "dispute"  // a payment for it is disputed at the customer's bank
)

// Service is one running thing.
type Service struct {
	ID             uuid.UUID
	SubscriptionID uuid.UUID
	AccountID      uuid.UUID
	Type           string
	SKU            string `bun:"sku"` // empty: the team delivers it
	Label          string // product and plan as sold
	Name           string // what the customer calls it
	PlatformID     uuid.UUID
	Region         string
	Image          string
	Spec           provisioners.Spec
	Hostname       string
	SSHKeys        []string `bun:"ssh_keys"`
	Desired        Desired
	Observed       Observed
	Operation      Operation
	Step           Step
	OperationKey   uuid.UUID
	OperationSince time.Time // zero: no operation
	OperationArgs  Args
	Progress       int    // percent; 0: unknown
	Problem        string // why it cannot go on, for the reseller; empty: none
	Attempts       int
	Ref            provisioners.Ref
	Address        string // the main one; empty: none yet
	Addresses      []string
	Power          provisioners.Power
	OnSince        time.Time // since when it is seen to be on; zero: it is off
	Sealed         []byte
	Holds          map[Hold]string
	BeganAt        time.Time // billed to the reseller from here; zero: never ran
	EndedAt        time.Time
	SeenAt         time.Time
	NextAt         time.Time // zero: never
	Addons         []Addon   // of the price book, that it has or had besides
	Lease          uuid.UUID
	LeasedUntil    time.Time
	CreatedAt      time.Time
	ChangedAt      time.Time
}

// Args is what an operation was asked with.
type Args struct {
	Image  string            `json:"image,omitempty"`
	SKU    string            `json:"sku,omitempty"` // of a change of size, with what follows
	Label  string            `json:"label,omitempty"`
	Spec   provisioners.Spec `json:"spec,omitzero"`
	Change uuid.UUID         `json:"change,omitzero"`
}

// HasCredentials reports whether there is something to reveal.
func (s *Service) HasCredentials() bool { return len(s.Sealed) > 0 }

// Busy reports whether something is being done to it.
func (s *Service) Busy() bool { return s.Operation != "" && s.Problem == "" }

// Over reports whether it has ended for good.
func (s *Service) Over() bool { return s.Observed == SeenGone }

// New asks for a service.
type New struct {
	SubscriptionID uuid.UUID // one service a subscription
	AccountID      uuid.UUID
	Type           string
	SKU            string
	Label          string
	Name           string // empty: the label
	Hostname       string
	PlatformID     uuid.UUID
	Region         string
	Image          string // the offer's code of it: debian-13
	Spec           provisioners.Spec
	SSHKeys        []string
	Addons         []Addon // of the price book, that it begins with
}

// Platforms is how this package reaches what delivers; central/platform answers.
type Platforms interface {
	// Open makes the driver of a platform.
	Open(ctx context.Context, platformID uuid.UUID) (provisioners.Driver, error)
	// Delivery is what the driver needs to know to create the SKU there: the offer's
	// parameters and the platform's id of the image.
	Delivery(ctx context.Context, sku string, platformID uuid.UUID, region, image string) (map[string]any, string, error)
}

var errNotFound = fault.New(fault.NotFound, "service.not_found", "There is no such service.")

// columns of a Service, in one place. Null becomes the zero value.
const columns = `s.id, s.subscription_id, s.account_id, s.type, s.sku, s.label, s.name, s.platform_id, s.region, s.image, s.spec, s.hostname, s.ssh_keys,
	s.desired, s.observed, s.operation, s.step, coalesce(s.operation_key, '00000000-0000-0000-0000-000000000000') AS operation_key, s.operation_since, s.operation_args,
	s.progress, s.problem, s.attempts, s.ref, s.address, s.addresses, s.power, s.on_since, s.sealed_credentials AS sealed, s.holds, s.began_at, s.ended_at, s.seen_at, s.next_at,
	coalesce(s.lease, '00000000-0000-0000-0000-000000000000') AS lease, s.leased_until, s.created_at, s.changed_at, coalesce(s.addons, '[]') AS addons`

// Get returns one service, or the fault service.not_found.
func Get(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Service, error) {
	return read(ctx, tx, "s.id = ?", id)
}

// OfSubscription returns the service of a subscription, or the fault service.not_found.
func OfSubscription(ctx context.Context, tx *tenancy.Tx, subscription uuid.UUID) (Service, error) {
	return read(ctx, tx, "s.subscription_id = ?", subscription)
}

// locked is the service, held until the transaction ends.
func locked(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Service, error) {
	return read(ctx, tx, "s.id = ? FOR UPDATE", id)
}

func read(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (s Service, err error) {
	err = tx.NewRaw("SELECT "+columns+" FROM services s WHERE "+where, args...).Scan(ctx, &s)
	if tenancy.IsNoRows(err) {
		return Service{}, errNotFound
	}
	if err != nil {
		return Service{}, fmt.Errorf("read service: %w", err)
	}
	return s, nil
}

// save writes what changes in a service's life, shows it to the platform's staff and
// sets the tenant's agenda.
func (s *Service) save(ctx context.Context, tx *tenancy.Tx) error {
	s.ChangedAt = tx.Now()
	addresses, err := json.Marshal(slices.Clip(append([]string{}, s.Addresses...)))
	if err != nil {
		return err
	}
	holds, err := json.Marshal(s.Holds)
	if err != nil {
		return err
	}
	args, err := json.Marshal(s.OperationArgs)
	if err != nil {
		return err
	}
	addons, err := addonsOrNull(s.Addons)
	if err != nil {
		return err
	}
	var sold string
	err = tx.NewRaw(`UPDATE services SET name = ?, image = ?, desired = ?, observed = ?, operation = ?, step = ?, operation_key = ?, operation_since = ?,
			operation_args = ?::jsonb, progress = ?, problem = ?, attempts = ?, ref = ?, address = ?, addresses = ?::jsonb, power = ?, on_since = ?, sealed_credentials = ?, holds = ?::jsonb,
			began_at = ?, ended_at = ?, seen_at = ?, next_at = ?, lease = ?, leased_until = ?, changed_at = ?, addons = ?::jsonb WHERE id = ? RETURNING `+soldFor("services"),
		s.Name, s.Image, s.Desired, s.Observed, s.Operation, s.Step, idOrNull(s.OperationKey), timeOrNull(s.OperationSince),
		string(args), s.Progress, s.Problem, s.Attempts, string(s.Ref), s.Address, string(addresses), string(s.Power), timeOrNull(s.OnSince), s.Sealed, string(holds),
		timeOrNull(s.BeganAt), timeOrNull(s.EndedAt), timeOrNull(s.SeenAt), timeOrNull(s.NextAt), idOrNull(s.Lease), timeOrNull(s.LeasedUntil), s.ChangedAt, addons, s.ID).Scan(ctx, &sold)
	if err != nil {
		return fmt.Errorf("save service %s: %w", s.ID, err)
	}
	if err := s.show(ctx, tx, sold); err != nil {
		return err
	}
	return setAgenda(ctx, tx)
}

// RetailMinor is what is paid for a subscription b a cycle, as the platform hears it: by the
// hour, what a full month of them comes to.
const RetailMinor = `b.amount_minor + (SELECT coalesce(sum((i->'hour'->>'month_minor')::bigint), 0) FROM jsonb_array_elements(b.items) i)`

// RetailCycle is how often what is paid for a subscription b comes, as the platform hears it:
// what costs nothing a month and was sold by the hour before that was a cycle is paid by the
// hour, too, and compared with no wholesale price of a month.
const RetailCycle = `CASE WHEN b.amount_minor = 0 AND EXISTS (SELECT FROM meters h WHERE h.plan_id = b.plan_id AND h.feed = 'life' AND h.created_at <= coalesce(b.metered_at, b.created_at)
	AND (h.retired_at IS NULL OR h.retired_at > coalesce(b.metered_at, b.created_at))) THEN 'hourly' ELSE b.cycle END`

// soldFor reads what the customer pays for a service, with whatever is read or written of
// it; services go by the name given.
func soldFor(services string) string {
	return `(SELECT jsonb_build_object('retail_minor', ` + RetailMinor + `, 'retail_currency', b.currency, 'retail_cycle', ` + RetailCycle + `)::text
		FROM subscriptions b WHERE b.id = ` + services + `.subscription_id) AS sold`
}

// show keeps the platform's picture of the service; sold is what soldFor answered.
func (s *Service) show(ctx context.Context, tx *tenancy.Tx, sold string) error {
	if s.ByHand() { // nothing of a platform's
		return nil
	}
	shown := tenancy.ServiceShown{
		ID: s.ID, SKU: s.SKU, Label: s.Label, PlatformID: s.PlatformID, Region: s.Region, Ref: string(s.Ref), Desired: string(s.Desired), Observed: string(s.Observed),
		Problem: s.Problem, Address: s.Address, BeganAt: timeOrNull(s.BeganAt), EndedAt: timeOrNull(s.EndedAt), ChangedAt: s.ChangedAt,
	}
	if len(s.Addons) > 0 {
		shown.Addons = s.Addons
	}
	if err := json.Unmarshal([]byte(sold), &shown.Retail); err != nil {
		return fmt.Errorf("what service %s is sold for: %w", s.ID, err)
	}
	return tx.ShowService(ctx, shown)
}

// Show tells the platform of a service once more: what the customer pays for it may have
// changed.
func Show(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	return showAll(ctx, tx, "WHERE s.id = ?", id)
}

// ShowAll tells the platform of every service the tenant has, as after a restore, and
// answers how many there are.
func ShowAll(ctx context.Context, db *tenancy.DB) (n int, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := showAll(ctx, tx, ""); err != nil {
			return err
		}
		return tx.NewRaw("SELECT count(*) FROM services").Scan(ctx, &n)
	})
	return n, err
}

func showAll(ctx context.Context, tx *tenancy.Tx, where string, args ...any) error {
	var rows []struct {
		Service
		Sold string
	}
	err := tx.NewRaw("SELECT "+columns+", "+soldFor("s")+" FROM services s "+where, args...).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("read what is shown of services: %w", err)
	}
	for _, r := range rows {
		if err := r.show(ctx, tx, r.Sold); err != nil {
			return err
		}
	}
	return nil
}

// Agenda is the kind under which a tenant's services stand on the agenda.
const Agenda = "services"

// patience is how long after its time a service in the middle of something is left to
// its own job before the agenda's tick drives it.
const patience = time.Minute

// setAgenda says when the tick is to look: at the first service, or after some patience
// where that one is in the middle of something, unless another at rest comes before.
func setAgenda(ctx context.Context, tx *tenancy.Tx) error {
	err := tx.SetAgendaTo(ctx, Agenda, `SELECT least(
		(SELECT next_at + CASE WHEN operation = '' THEN interval '0' ELSE ? * interval '1 second' END FROM services WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1),
		(SELECT next_at FROM services WHERE next_at IS NOT NULL AND operation = '' ORDER BY next_at LIMIT 1))`, int(patience/time.Second))
	if err != nil {
		return fmt.Errorf("find the next service to look at: %w", err)
	}
	return nil
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func idOrNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}
