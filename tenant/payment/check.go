package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// CheckGateway asks a gateway who we are to it, and keeps what came of it. What the
// gateway says against us is in the error and not an error of ours: the faults are
// gateway.refused, gateway.unavailable, gateway.incomplete, gateway.unknown.
func (d *Desk) CheckGateway(ctx context.Context, db *tenancy.DB, code string) (h gateway.Health, err error) {
	gw, _, err := d.Open(ctx, db, code)
	if err == nil {
		h, err = gw.Check(ctx)
	}
	switch {
	case fault.Is(err, "gateway.unknown"):
		return h, err
	case errors.Is(err, gateway.ErrCredentials) && gw == nil:
		err = fault.Wrap(err, fault.Conflict, "gateway.incomplete", "Enter the keys first.")
	case errors.Is(err, gateway.ErrCredentials):
		err = fault.Wrap(err, fault.Conflict, "gateway.refused", "The keys are refused. Copy them anew: both of the same account, and of the same kind.")
	case errors.Is(err, gateway.ErrUnavailable):
		err = fault.Wrap(err, fault.Conflict, "gateway.unavailable", "The payment service does not answer at the moment. Please try again in a few minutes.")
	case err != nil:
		return h, err
	}
	said := ""
	if err != nil {
		said = fault.From(err).Message
	}
	noted := db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE gateways SET checked_at = ?, check_error = ? WHERE code = ?", tx.Now(), said, code).Exec(ctx)
		return err
	})
	return h, errors.Join(err, noted)
}

// ListenTo has a gateway send its notifications to an address of the shop, and keeps the
// secret they are signed with. Faults as CheckGateway's.
func (d *Desk) ListenTo(ctx context.Context, db *tenancy.DB, code, address string, by audit.Origin) error {
	gw, g, err := d.Open(ctx, db, code)
	if errors.Is(err, gateway.ErrCredentials) {
		return fault.Wrap(err, fault.Conflict, "gateway.incomplete", "Enter the keys first.")
	}
	if err != nil {
		return err
	}
	listener, ok := gw.(gateway.Listener)
	if !ok {
		return errUnknown
	}
	secret, err := listener.Listen(ctx, address)
	switch {
	case errors.Is(err, gateway.ErrCredentials):
		return fault.Wrap(err, fault.Conflict, "gateway.refused", "The keys are refused. Copy them anew: both of the same account, and of the same kind.")
	case errors.Is(err, gateway.ErrUnavailable):
		return fault.Wrap(err, fault.Conflict, "gateway.unavailable", "The payment service does not answer at the moment. Please try again in a few minutes.")
	case err != nil:
		return fault.Wrap(err, fault.Conflict, "gateway.no_webhook", "The payment service does not take this address. Set the webhook up there by hand, and enter its secret here.")
	}
	return d.SaveGateway(ctx, db, Change{Code: code, On: g.On, Public: g.Public, Secret: map[string]string{"webhook_secret": secret}}, by)
}

// Rewrap seals the keys of gateways again that another key than the first sealed, and
// returns how many.
func Rewrap(ctx context.Context, tx *tenancy.Tx, ring *secrets.Keyring) (n int, err error) {
	var rows []gatewayRow
	if err := tx.NewRaw("SELECT "+gatewayColumns+" FROM gateways WHERE sealed_settings IS NOT NULL FOR UPDATE").Scan(ctx, &rows); err != nil {
		return 0, fmt.Errorf("list gateways: %w", err)
	}
	for _, r := range rows {
		fresh, changed, err := ring.Rewrap(sealPurpose, sealedFor(tx.TenantID(), r.Code), r.SealedSettings)
		if err != nil {
			return n, fmt.Errorf("gateway %s: %w", r.Code, err)
		}
		if !changed {
			continue
		}
		if _, err := tx.NewRaw("UPDATE gateways SET sealed_settings = ? WHERE code = ?", fresh, r.Code).Exec(ctx); err != nil {
			return n, fmt.Errorf("gateway %s: %w", r.Code, err)
		}
		n++
	}
	return n, nil
}

// SealedBy is the SQL for the keys that sealed a shop's gateways.
func SealedBy() string {
	return "SELECT " + secrets.KeyIDSQL("sealed_settings") + " AS key FROM gateways WHERE sealed_settings IS NOT NULL"
}
