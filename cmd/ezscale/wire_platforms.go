package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/metrics"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/provisioners/virtfusion"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// platformTimeout bounds one call of a platform; those that take longer are asked again.
const platformTimeout = 20 * time.Second

// newPlatforms knows every driver the program has, and where it may call.
func newPlatforms(central *tenancy.Central, ring *secrets.Keyring, calls egressConfig) *platform.Registry {
	return &platform.Registry{
		Central: central, Keys: ring, Prices: wholesalePrices{}, Admit: wholesale.AdmitService, PlainHTTP: len(calls.Allow) > 0,
		Client: egress.Client(egress.Options{Allow: calls.Allow, Timeout: platformTimeout}),
		Drivers: map[string]platform.Factory{
			"virtfusion": func(c platform.Connection) (provisioners.Driver, error) { return virtfusion.New(virtfusion.Config(c)) },
		},
	}
}

// platforms are the program's, made once: drivers are kept from one use to the next.
func (a *app) platforms() *platform.Registry {
	if a.registry == nil {
		a.registry = newPlatforms(a.central, a.ring, a.cfg.Egress)
	}
	return a.registry
}

// wholesalePrices has the price book say what a reseller pays.
type wholesalePrices struct{}

// Prices answers for all SKUs that have a price now.
func (wholesalePrices) Prices(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID) (map[string]platform.Price, error) {
	listed, err := wholesale.PricesAt(ctx, tx, tenant, "", tx.Now())
	if err != nil {
		return nil, err
	}
	all := make(map[string]platform.Price, len(listed))
	for _, l := range listed {
		all[l.Code] = platform.Price{Minor: l.Net.Minor(), Currency: l.Net.Currency}
	}
	return all, nil
}

// wholesaleOffers answers what a reseller can buy, for the catalog.
type wholesaleOffers struct{ platforms *platform.Registry }

var _ catalog.Wholesale = wholesaleOffers{}

// Offers translates.
func (w wholesaleOffers) Offers(ctx context.Context, tenant tenancy.ID) ([]catalog.Offer, error) {
	found, err := w.platforms.Offers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	all := make([]catalog.Offer, len(found))
	for i, o := range found {
		all[i] = catalog.Offer{SKU: o.SKU, Type: catalog.Type(o.Type), Name: o.Name, Summary: o.Summary, Spec: o.Spec, Cost: catalog.Cost(o.Price), Available: o.Available}
		for _, r := range o.Regions {
			region := catalog.Region{Code: r.Code, Name: r.Name, Available: r.Available}
			for _, im := range r.Images {
				region.Images = append(region.Images, catalog.Image(im))
			}
			all[i].Regions = append(all[i].Regions, region)
		}
	}
	return all, nil
}

// supply keeps room at the platforms, for the checkout. A sandbox takes no room: what is
// ordered there is delivered by no platform.
type supply struct {
	platforms *platform.Registry
	sandbox   func(tenancy.ID) bool
	full      func(context.Context, tenancy.ID) error // tells a reseller that its tier gives no service more; nil: nobody
	log       *slog.Logger
}

var _ checkout.Supply = supply{}

// Hold keeps room.
func (s supply) Hold(ctx context.Context, tenant tenancy.ID, r checkout.HoldRequest) (checkout.Placement, error) {
	if s.sandbox(tenant) {
		return checkout.Placement{PlatformID: hosting.SandboxPlatform, Region: r.Region}, nil
	}
	h, err := s.platforms.Hold(ctx, tenant, platform.HoldRequest(r))
	if errors.Is(err, wholesale.ErrFull) && s.full != nil {
		if terr := s.full(context.WithoutCancel(ctx), tenant); terr != nil { // the customer is refused all the same
			s.log.ErrorContext(ctx, "a reseller was not told of its tier's room", "tenant", tenant, "error", terr)
		}
	}
	return checkout.Placement{PlatformID: h.PlatformID, Region: h.Region}, err
}

// Use says that the service is being made.
func (s supply) Use(ctx context.Context, tenant tenancy.ID, key string) error {
	if s.sandbox(tenant) {
		return nil
	}
	return s.platforms.Use(ctx, tenant, key)
}

// Free gives the room back.
func (s supply) Free(ctx context.Context, tenant tenancy.ID, key string) error {
	if s.sandbox(tenant) {
		return nil
	}
	return s.platforms.Free(ctx, tenant, key)
}

// isSandbox asks the directory.
func (a *app) isSandbox(id tenancy.ID) bool {
	t, ok := a.resolver.ByID(id)
	return ok && t.Sandbox
}

// platformJobs are the jobs that look after the platforms.
func (a *app) platformJobs(w *queue.Workers) {
	all := a.platforms()
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ platform.CheckJob) error { return all.CheckAll(ctx) }, queue.Timeout(5*time.Minute))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ platform.CapacityJob) error {
		return all.CapacityAll(ctx)
	}, queue.Timeout(10*time.Minute))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ platform.ReconcileJob) error {
		return all.ReconcileAll(ctx)
	}, queue.Timeout(time.Hour))
	a.countPlatforms(all)
}

// platformTicks are when.
func platformTicks(s *queue.Scheduler) error {
	if err := queue.Schedule(s, "platform check", time.Minute, platform.CheckJob{}); err != nil {
		return err
	}
	if err := queue.Schedule(s, "platform capacity", 5*time.Minute, platform.CapacityJob{}); err != nil {
		return err
	}
	return queue.Schedule(s, "platform reconcile", 6*time.Hour, platform.ReconcileJob{})
}

// countPlatforms tells which platforms answer and how much they still take.
func (a *app) countPlatforms(all *platform.Registry) {
	read := func(of func(platform.Summary) (float64, bool)) func() ([]metrics.Sample, error) {
		return func() (samples []metrics.Sample, err error) {
			ctx, cancel := context.WithTimeout(a.loopCtx, figureTimeout)
			defer cancel()
			found, err := all.List(ctx)
			for _, p := range found {
				if v, ok := of(p); ok {
					samples = append(samples, metrics.Sample{Label: p.Name, Value: v})
				}
			}
			return samples, err
		}
	}
	a.metrics.Group("ezscale_platform_up", "1 when the platform answered the last checks; those that are off are left out.", "platform", read(func(p platform.Summary) (float64, bool) {
		if p.Health == platform.Down {
			return 0, p.State != platform.Off
		}
		return 1, p.State != platform.Off
	}))
	a.metrics.Group("ezscale_platform_free", "Pieces of all offers of the platform together that it still takes, as it last said.", "platform",
		read(func(p platform.Summary) (float64, bool) { return float64(p.Free), p.State != platform.Off }))
	a.metrics.Group("ezscale_platform_services", "Services of all resellers at the platform.", "platform",
		read(func(p platform.Summary) (float64, bool) { return float64(p.Services), true }))
}

// lookAgain has a tenant's own side look at its services now.
func (a *app) lookAgain(ctx context.Context, tenant tenancy.ID, service uuid.UUID) error {
	return a.pool.Bind(tenancy.Tenant{ID: tenant}).Update(ctx, func(tx *tenancy.Tx) error { return hosting.LookNow(ctx, tx, service) })
}
