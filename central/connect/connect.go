// Package connect owns which reseller has which account of its own at the platform's
// gateway (Stripe Connect). What is paid to such an account, and whether a shop takes
// payments with it, is the shop's: see tenant/payment.
package connect

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Desk opens accounts and knows whose they are. It is safe for concurrent use.
type Desk struct {
	Central *tenancy.Central
	Gateway gateway.Connector
	// Deliver hands what the gateway tells of an account to its reseller's shop, which
	// verifies it once more. It may be nil where nothing is received.
	Deliver func(ctx context.Context, of tenancy.ID, header http.Header, body []byte) error
	Ready   func() bool // whether news of accounts are taken, without which none is opened; nil: yes
}

// Offered reports whether resellers can connect accounts.
func (d *Desk) Offered() bool { return d.Ready == nil || d.Ready() }

type row struct {
	Account string
	Attempt int
}

func read(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (r row, err error) {
	err = tx.NewRaw("SELECT coalesce(account, '') AS account, attempt FROM connected_accounts WHERE tenant_id = ?", of).Scan(ctx, &r)
	if err != nil {
		return r, fmt.Errorf("read the connected account of %s: %w", of, err)
	}
	return r, nil
}

// Open returns a reseller's account, opened where there is none. It may be called again
// however it ended: a reseller has one. Errors are the gateway's.
func (d *Desk) Open(ctx context.Context, of tenancy.ID, c gateway.Customer, country string) (string, error) {
	var r row
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("INSERT INTO connected_accounts (tenant_id, attempt, opened_at, changed_at) VALUES (?, 1, ?, ?) ON CONFLICT DO NOTHING", of, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("open an account for %s: %w", of, err)
		}
		r, err = read(ctx, tx, of)
		return err
	})
	if err != nil || r.Account != "" {
		return r.Account, err
	}
	c.Key = of.String()
	account, err := d.Gateway.NewAccount(ctx, fmt.Sprintf("connect/%s/%d", of, r.Attempt), c, country)
	if err != nil {
		return "", err
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE connected_accounts SET account = ?, changed_at = ? WHERE tenant_id = ? AND account IS NULL AND attempt = ?", account, tx.Now(), of, r.Attempt).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep the connected account of %s: %w", of, err)
		}
		r, err = read(ctx, tx, of) // whoever was faster
		return err
	})
	return r.Account, err
}

// Link is where a reseller tells the gateway who they are.
func (d *Desk) Link(ctx context.Context, of tenancy.ID, back, again string) (string, error) {
	account, err := d.mine(ctx, of)
	if err != nil {
		return "", err
	}
	return d.Gateway.Onboard(ctx, account, back, again)
}

// State is how a reseller's account stands. gateway.ErrNotFound: it has none, or ended that
// the platform may act for it.
func (d *Desk) State(ctx context.Context, of tenancy.ID) (gateway.Connected, error) {
	account, err := d.mine(ctx, of)
	if err != nil {
		return gateway.Connected{}, err
	}
	c, err := d.Gateway.Account(ctx, account)
	if errors.Is(err, gateway.ErrCredentials) {
		err = fmt.Errorf("%w: %w", gateway.ErrNotFound, err)
	}
	return c, err
}

func (d *Desk) mine(ctx context.Context, of tenancy.ID) (string, error) {
	var r row
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		r, err = read(ctx, tx, of)
		if tenancy.IsNoRows(err) {
			err = nil
		}
		return err
	})
	if err == nil && r.Account == "" {
		err = fmt.Errorf("connected account of %s: %w", of, gateway.ErrNotFound)
	}
	return r.Account, err
}

// Ended forgets a reseller's account, for which the platform may act no more: the next one
// is another.
func (d *Desk) Ended(ctx context.Context, of tenancy.ID, account string) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE connected_accounts SET account = NULL, attempt = attempt + 1, changed_at = ? WHERE tenant_id = ? AND account = ?", tx.Now(), of, account).Exec(ctx)
		if err != nil {
			return fmt.Errorf("forget the connected account of %s: %w", of, err)
		}
		return nil
	})
}

// Receive takes a notification about a connected account to its reseller's shop. Faults:
// hook.forged, hook.unknown of an account that is nobody's.
func (d *Desk) Receive(ctx context.Context, header http.Header, body []byte) error {
	account, err := d.Gateway.Heard(header, body, d.Central.Now())
	if err != nil {
		return fault.Wrap(err, fault.Malformed, "hook.forged", "The signature of this notification is not valid.")
	}
	var of tenancy.ID
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT tenant_id FROM connected_accounts WHERE account = ?", account).Scan(ctx, &of)
	})
	if tenancy.IsNoRows(err) {
		return fault.New(fault.NotFound, "hook.unknown", "Nothing is expected here.")
	}
	if err != nil {
		return fmt.Errorf("whose account %.40q is: %w", account, err)
	}
	return d.Deliver(ctx, of, header, body)
}
