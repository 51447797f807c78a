package payment

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Platform is the gateway of payments that the platform takes for the shop in its own
// account: it credits the shop's reseller with them.
const Platform = "platform"

// currencySecret is the sealed setting that says in which currency the platform takes
// payments. It is sealed for the shop, so that no row of another shop's opens the account.
// The public one of the name is for pages.
const currencySecret = "currency"

// CollectionTerms are what the platform takes payments for a shop on.
type CollectionTerms struct {
	Fee      billing.CollectionFee
	Currency string
	HoldDays int // before what came is paid out
}

// Collector is the platform that may take payments for shops; central/wholesale is, by cmd.
type Collector interface {
	// CollectionFor says on what terms it takes a shop's payments now; false: it does not.
	CollectionFor(ctx context.Context, of tenancy.ID) (CollectionTerms, bool, error)
}

var errNoCollection = fault.New(fault.NotFound, "collection.not_offered", "The platform takes no payments for your shop. Please use an account of your own, or ask the platform's staff.")

// Collection says on what terms the platform would take the shop's payments; false: it
// does not offer it. A sandbox moves no money.
func (d *Desk) Collection(ctx context.Context, db *tenancy.DB) (t CollectionTerms, offered bool, err error) {
	if d.Collector == nil || db.Tenant().Sandbox {
		return t, false, nil
	}
	return d.Collector.CollectionFor(ctx, db.Tenant().ID)
}

// BeginCollection has the platform take the shop's cards from now on. The shop's own
// account stays as it is; cards that are entered go to the platform's. The fault is
// collection.not_offered.
func (d *Desk) BeginCollection(ctx context.Context, db *tenancy.DB, by audit.Origin) error {
	t, offered, err := d.Collection(ctx, db)
	if err == nil && !offered {
		err = errNoCollection
	}
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := d.store(ctx, tx, Change{Code: Platform, On: true, Public: map[string]string{currencySecret: t.Currency}}, map[string]string{currencySecret: t.Currency}, 0); err != nil {
			return err
		}
		if err := tx.SetFigure(ctx, "collecting", "", 1); err != nil {
			return err
		}
		return by.Record(ctx, tx, "gateway.collection_begun", audit.Target{Kind: "gateway", ID: Platform},
			map[string]any{"fee_ppm": t.Fee.Ppm, "fee_minor": t.Fee.Fixed, "currency": t.Currency, "hold_days": t.HoldDays})
	})
}

// EndCollection ends that the platform takes new payments for the shop, also of cards that
// it keeps. What is under way, refunds and disputes are brought to their end.
func (d *Desk) EndCollection(ctx context.Context, db *tenancy.DB, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		res, err := tx.NewRaw("UPDATE gateways SET state = 'off', changed_at = ? WHERE code = ? AND state = 'on'", tx.Now(), Platform).Exec(ctx)
		if err != nil {
			return fmt.Errorf("end that the platform takes payments: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if err := tx.SetFigure(ctx, "collecting", "", 0); err != nil {
			return err
		}
		return by.Record(ctx, tx, "gateway.collection_ended", audit.Target{Kind: "gateway", ID: Platform}, nil)
	})
}

// takesNoMore reports whether a saved method is kept by the platform, which takes nothing
// new for the shop any more.
func (m Method) takesNoMore(ctx context.Context, tx *tenancy.Tx) (bool, error) {
	if m.Gateway != Platform {
		return false, nil
	}
	var off bool
	if err := tx.NewRaw("SELECT state = 'off' FROM gateways WHERE code = ?", Platform).Scan(ctx, &off); err != nil {
		return false, fmt.Errorf("does the platform take payments: %w", err)
	}
	return off, nil
}

// tellPlatform tells the platform that something happened to a payment that it takes for
// the shop; it asks the gateway what.
func tellPlatform(ctx context.Context, tx *tenancy.Tx, p Payment) error {
	if p.Gateway != Platform || p.Ref == "" {
		return nil
	}
	return tx.TellCollected(ctx, p.Ref)
}

// Told takes a notification about one of the shop's payments in the platform's account,
// which the platform has verified; it is kept by its id and worked on once. What it names
// is looked for among the shop's own alone. The fault is hook.unknown.
func (d *Desk) Told(ctx context.Context, db *tenancy.DB, e gateway.Event) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, _, err := d.load(ctx, tx, Platform); err != nil {
			if fault.Is(err, "gateway.unknown") {
				err = fault.Wrap(err, fault.NotFound, "hook.unknown", "Nothing is expected here.")
			}
			return err
		}
		return keepEvent(ctx, tx, Platform, e)
	})
}

// paysInAnother reports whether the platform takes payments in another currency than an
// account pays in; of any other gateway it does not.
func paysInAnother(ctx context.Context, tx *tenancy.Tx, r gatewayRow, account uuid.UUID) (bool, error) {
	if r.Code != Platform {
		return false, nil
	}
	var currency []string
	if err := tx.NewRaw("SELECT currency FROM accounts WHERE id = ?", account).Scan(ctx, &currency); err != nil {
		return false, fmt.Errorf("what an account pays in: %w", err)
	}
	g, err := r.configured()
	return len(currency) > 0 && currency[0] != g.Public[currencySecret], err
}
