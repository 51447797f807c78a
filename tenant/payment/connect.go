package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Connect opens accounts of shops at the platform's gateway; central/connect does, by cmd.
// Errors are gateway's.
type Connect interface {
	// Offered reports whether accounts can be connected now.
	Offered() bool
	// Open returns the shop's account, opened where there is none.
	Open(ctx context.Context, of tenancy.ID, c gateway.Customer, country string) (account string, err error)
	// Link is where its owner tells the gateway who they are; see gateway.Connector.
	Link(ctx context.Context, of tenancy.ID, back, again string) (url string, err error)
	// State is how it stands. gateway.ErrNotFound: there is none any more.
	State(ctx context.Context, of tenancy.ID) (gateway.Connected, error)
	// Ended forgets an account for which the platform may act no more.
	Ended(ctx context.Context, of tenancy.ID, account string) error
}

// connectCode is the gateway shops connect accounts at.
const connectCode = "stripe"

// accountSecret is the sealed setting with the account in whose name payments are taken.
// It is sealed for the shop it was opened for, so that no row of another shop's opens it.
const accountSecret = "account"

// Connection is how a shop's connected account stood when it was asked about last.
type Connection struct {
	gateway.Connected
	CheckedAt time.Time `json:"checked_at"`
}

var errNoConnect = fault.New(fault.NotFound, "connect.not_offered", "Accounts cannot be connected here. Please enter the keys of your own account.")

// Connects reports whether shops can connect accounts.
func (d *Desk) Connects() bool { return d.Connect != nil && d.Connect.Offered() }

// BeginConnect opens the shop's account at the platform's gateway, which from now on is
// what payments are taken with once the gateway allows it. The shop's own keys stay and
// count again when the account is disconnected. Faults: connect.not_offered,
// gateway.unavailable.
func (d *Desk) BeginConnect(ctx context.Context, db *tenancy.DB, by audit.Origin) error {
	if !d.Connects() || db.Tenant().Sandbox {
		return errNoConnect
	}
	var seller settings.Billing
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		seller, err = settings.BillingOf(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	account, err := d.Connect.Open(ctx, db.Tenant().ID, gateway.Customer{Name: seller.Company, Email: seller.Email}, seller.Country)
	if err != nil {
		return unavailable(err)
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		return d.setAccount(ctx, tx, account, Connection{Connected: gateway.Connected{Account: account}, CheckedAt: tx.Now().UTC()}, by)
	})
}

// setAccount makes an account the one payments are taken with; empty: none. What is as it
// was changes nothing.
func (d *Desk) setAccount(ctx context.Context, tx *tenancy.Tx, account string, c Connection, by audit.Origin) error {
	was, secret, err := d.load(ctx, tx, connectCode)
	if err != nil && !fault.Is(err, "gateway.unknown") {
		return err
	}
	if secret[accountSecret] == account {
		return nil
	}
	if secret == nil {
		secret = map[string]string{}
	}
	action, on := "gateway.connected", was.On
	if secret[accountSecret] = account; account == "" {
		delete(secret, accountSecret)
		action, on = "gateway.disconnected", was.On && secret["secret_key"] != ""
	}
	if err := d.store(ctx, tx, Change{Code: connectCode, On: on, Public: was.Public}, secret, 1); err != nil {
		return err
	}
	if err := keepConnection(ctx, tx, account, c); err != nil {
		return err
	}
	return by.Record(ctx, tx, action, audit.Target{Kind: "gateway", ID: connectCode}, map[string]any{"account": c.Account})
}

// keepConnection keeps how an account stands; without one, nothing.
func keepConnection(ctx context.Context, tx *tenancy.Tx, account string, c Connection) error {
	var text any
	if account != "" {
		b, err := json.Marshal(c)
		if err != nil {
			return err
		}
		text = string(b)
	}
	if _, err := tx.NewRaw("UPDATE gateways SET connected = ?::jsonb WHERE code = ?", text, connectCode).Exec(ctx); err != nil {
		return fmt.Errorf("keep how the connected account stands: %w", err)
	}
	return nil
}

// ConnectLink is where the shop's owner tells the gateway who they are. Faults as
// BeginConnect's.
func (d *Desk) ConnectLink(ctx context.Context, db *tenancy.DB, back, again string) (string, error) {
	if d.Connect == nil {
		return "", errNoConnect
	}
	url, err := d.Connect.Link(ctx, db.Tenant().ID, back, again)
	if errors.Is(err, gateway.ErrNotFound) {
		return "", errNoConnect
	}
	return url, unavailable(err)
}

// RefreshConnect asks how the shop's connected account stands and keeps the answer. One for
// which the platform may act no more is forgotten, and staff and the team see it. The zero
// Connection: there is none. The fault is gateway.unavailable.
func (d *Desk) RefreshConnect(ctx context.Context, db *tenancy.DB) (c Connection, err error) {
	if d.Connect == nil {
		return c, nil
	}
	var account string
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		_, secret, err := d.load(ctx, tx, connectCode)
		account = secret[accountSecret]
		if fault.Is(err, "gateway.unknown") {
			err = nil
		}
		return err
	})
	if err != nil || account == "" {
		return c, err
	}
	said, err := d.Connect.State(ctx, db.Tenant().ID)
	if errors.Is(err, gateway.ErrNotFound) {
		return c, d.lost(ctx, db, account)
	}
	if err != nil {
		return c, unavailable(err)
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		c = Connection{Connected: said, CheckedAt: tx.Now().UTC()}
		if said.Account != account { // another one by now
			return d.setAccount(ctx, tx, said.Account, c, audit.Origin{Actor: audit.System("payments")})
		}
		return keepConnection(ctx, tx, account, c)
	})
	return c, err
}

// lost forgets an account whose owner ended at the gateway that the platform may act for it.
func (d *Desk) lost(ctx context.Context, db *tenancy.DB, account string) error {
	if err := d.Connect.Ended(ctx, db.Tenant().ID, account); err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.RaiseAlert(ctx, tenancy.Alert{Key: "gateway/disconnected/" + account, Kind: "gateway.disconnected",
			Text: "The connected Stripe account was disconnected at Stripe: no cards are taken with it any more.", Detail: map[string]any{"account": account}})
		if err != nil {
			return err
		}
		return d.setAccount(ctx, tx, "", Connection{Connected: gateway.Connected{Account: account}}, audit.Origin{Actor: audit.System("payments")})
	})
}

// Disconnect ends that payments are taken with the connected account. It stays the shop's:
// connecting again goes on with it. What was begun with it can be neither finished nor
// given back until then.
func (d *Desk) Disconnect(ctx context.Context, db *tenancy.DB, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		_, secret, err := d.load(ctx, tx, connectCode)
		if err != nil || secret[accountSecret] == "" {
			return err
		}
		return d.setAccount(ctx, tx, "", Connection{Connected: gateway.Connected{Account: secret[accountSecret]}}, by)
	})
}
