package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Settings is what a driver is opened with: a shop's own keys.
type Settings struct {
	Secret map[string]string // never shown
	Public map[string]string
	Tenant tenancy.ID
	Name   string    // of the shop, as customers know it
	Test   bool      // the shop may take pretended payments: a sandbox, or in its trial
	Only   bool      // and no others: a sandbox moves no money, whatever keys it was given
	Now    time.Time // by the shop's clock
}

// Configured is a gateway as it is set up.
type Configured struct {
	Code       string
	On         bool
	Public     map[string]string
	HasSecrets bool
	CheckedAt  time.Time // zero: never
	CheckError string    // what the last connection test found; empty: it works
	Position   int
	Connected  Connection // of a connected account; zero: none
}

type gatewayRow struct {
	Code, State    string
	SealedSettings []byte
	PublicSettings []byte
	CheckedAt      time.Time
	CheckError     string
	Position       int
	Connected      []byte
}

const gatewayColumns = "code, state, sealed_settings, public_settings, checked_at, check_error, position, connected"

func (r gatewayRow) configured() (Configured, error) {
	g := Configured{Code: r.Code, On: r.State == "on", HasSecrets: len(r.SealedSettings) > 0, CheckedAt: r.CheckedAt, CheckError: r.CheckError, Position: r.Position, Public: map[string]string{}}
	if err := json.Unmarshal(r.PublicSettings, &g.Public); err != nil {
		return g, fmt.Errorf("read gateway %s: %w", r.Code, err)
	}
	if len(r.Connected) > 0 {
		if err := json.Unmarshal(r.Connected, &g.Connected); err != nil {
			return g, fmt.Errorf("read gateway %s: %w", r.Code, err)
		}
	}
	return g, nil
}

// Configurations lists the gateways that were ever set up, in the shop's order.
func Configurations(ctx context.Context, tx *tenancy.Tx) ([]Configured, error) {
	var rows []gatewayRow
	if err := tx.NewRaw("SELECT "+gatewayColumns+" FROM gateways ORDER BY position, code").Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("list gateways: %w", err)
	}
	all := make([]Configured, len(rows))
	for i, r := range rows {
		var err error
		if all[i], err = r.configured(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Offered are the codes of the gateways customers may use now, in the shop's order.
func Offered(ctx context.Context, tx *tenancy.Tx) (codes []string, err error) {
	if err := tx.NewRaw("SELECT code FROM gateways WHERE state = 'on' ORDER BY position, code").Scan(ctx, &codes); err != nil {
		return nil, fmt.Errorf("list gateways: %w", err)
	}
	return codes, nil
}

const sealPurpose = "gateway"

const paypalCode = "paypal"

// sealedFor names where a sealed value is kept: another shop's does not open.
func sealedFor(id tenancy.ID, code string) []byte {
	return []byte("gateways/" + id.String() + "/" + code)
}

// seal closes secrets; none is nothing.
func (d *Desk) seal(id tenancy.ID, code string, secret map[string]string) ([]byte, error) {
	if len(secret) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(secret)
	if err != nil {
		return nil, fmt.Errorf("seal gateway %s: %w", code, err)
	}
	return d.Keys.Seal(sealPurpose, sealedFor(id, code), plain)
}

// errUnknown is what is said of a gateway that is not there.
var errUnknown = fault.New(fault.NotFound, "gateway.unknown", "This way to pay is not offered here.")

// load reads a gateway with its secrets, or the fault gateway.unknown.
func (d *Desk) load(ctx context.Context, tx *tenancy.Tx, code string) (Configured, map[string]string, error) {
	if code == "" || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz") != "" {
		return Configured{}, nil, errUnknown // a code may come from an address
	}
	var r gatewayRow
	err := tx.NewRaw("SELECT "+gatewayColumns+" FROM gateways WHERE code = ?", code).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Configured{}, nil, errUnknown
	}
	if err != nil {
		return Configured{}, nil, fmt.Errorf("read gateway %.20q: %w", code, err)
	}
	return d.unseal(tx.TenantID(), r)
}

// unseal reads a row with its secrets.
func (d *Desk) unseal(id tenancy.ID, r gatewayRow) (Configured, map[string]string, error) {
	g, err := r.configured()
	if err != nil {
		return g, nil, err
	}
	secret := map[string]string{}
	if len(r.SealedSettings) == 0 {
		return g, secret, nil
	}
	plain, err := d.Keys.Open(sealPurpose, sealedFor(id, r.Code), r.SealedSettings)
	if err != nil {
		return g, nil, fmt.Errorf("gateway %s: %w", r.Code, err)
	}
	if err := json.Unmarshal(plain, &secret); err != nil {
		return g, nil, fmt.Errorf("gateway %s: %w", r.Code, err)
	}
	return g, secret, nil
}

// Open returns the driver of a gateway as the shop has set it up, also of one that is
// switched off: what was begun with it is brought to its end. The fault is
// gateway.unknown; errors of the driver are gateway's.
func (d *Desk) Open(ctx context.Context, db *tenancy.DB, code string) (gw gateway.Gateway, g Configured, err error) {
	var secret map[string]string
	var now time.Time
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		now = tx.Now()
		g, secret, err = d.load(ctx, tx, code)
		return err
	})
	if err != nil {
		return nil, g, err
	}
	t := db.Tenant()
	if code == sandbox.Code && !t.MayTest() {
		return nil, g, errUnknown
	}
	gw, err = d.Gateways.Open(code, Settings{Secret: secret, Public: g.Public, Tenant: t.ID, Name: t.Name, Test: t.MayTest(), Only: t.Sandbox, Now: now})
	if err != nil {
		return nil, g, fmt.Errorf("open gateway %s: %w", code, err)
	}
	return gw, g, nil
}

// Change is what is to be set of a gateway. A secret that is empty stays as it is.
type Change struct {
	Code   string
	On     bool
	Secret map[string]string
	Public map[string]string
}

// SaveGateway sets a gateway up. Switched on it must open. Faults: gateway.unknown,
// gateway.incomplete.
func (d *Desk) SaveGateway(ctx context.Context, db *tenancy.DB, c Change, by audit.Origin) error {
	position, known := map[string]int{"stripe": 1, paypalCode: 2, "coinbase": 3, "transfer": 2, sandbox.Code: 3}[c.Code]
	if !known || c.Code == sandbox.Code && !db.Tenant().MayTest() {
		return errUnknown
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		was, secret, err := d.load(ctx, tx, c.Code)
		if err != nil && !fault.Is(err, "gateway.unknown") {
			return err
		}
		fresh := map[string]string{}
		for _, m := range []map[string]string{secret, c.Secret} {
			for name, value := range m {
				if value != "" {
					fresh[name] = value
				}
			}
		}
		if c.On {
			_, err := d.Gateways.Open(c.Code, Settings{Secret: fresh, Public: c.Public, Tenant: tx.TenantID(), Name: db.Tenant().Name, Test: db.Tenant().MayTest(), Only: db.Tenant().Sandbox})
			if err != nil {
				return fault.Wrap(err, fault.Invalid, "gateway.incomplete", "This cannot be switched on yet: something that is needed is missing.")
			}
		}
		if err := d.store(ctx, tx, c, fresh, position); err != nil {
			return err
		}
		return by.Record(ctx, tx, "gateway.changed", audit.Target{Kind: "gateway", ID: c.Code}, map[string]any{"on": c.On, "was_on": was.On, "keys_changed": len(c.Secret) > 0})
	})
}

func (d *Desk) store(ctx context.Context, tx *tenancy.Tx, c Change, secret map[string]string, position int) error {
	sealed, err := d.seal(tx.TenantID(), c.Code, secret)
	if err != nil {
		return err
	}
	if c.Public == nil {
		c.Public = map[string]string{}
	}
	public, err := json.Marshal(c.Public)
	if err != nil {
		return fmt.Errorf("save gateway %s: %w", c.Code, err)
	}
	state := "off"
	if c.On {
		state = "on"
	}
	_, err = tx.NewRaw(`INSERT INTO gateways (code, state, sealed_settings, public_settings, check_error, position, changed_at)
		VALUES (?, ?, ?, ?::jsonb, '', ?, ?)
		ON CONFLICT (code) DO UPDATE SET state = excluded.state, sealed_settings = excluded.sealed_settings, public_settings = excluded.public_settings,
			checked_at = NULL, check_error = '', changed_at = excluded.changed_at`,
		c.Code, state, sealed, string(public), position, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save gateway %s: %w", c.Code, err)
	}
	return nil
}
