package payment

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Choices are the ways an account can pay now.
type Choices struct {
	Methods  []Method // saved, the default first
	Script   *Script  // a card can be entered
	Card     string   // code of the gateway it is entered for
	Transfer bool
	Sandbox  bool
}

// Script is what a page with a card form loads.
type Script struct {
	URL, Key string
	Origins  []string
}

// Choices reads them in two statements. A gateway that does not open is not offered.
func (d *Desk) Choices(ctx context.Context, db *tenancy.DB, tx *tenancy.Tx, account uuid.UUID) (c Choices, err error) {
	var rows []gatewayRow
	if err := tx.NewRaw("SELECT "+gatewayColumns+" FROM gateways WHERE state = 'on' ORDER BY position, code").Scan(ctx, &rows); err != nil {
		return c, fmt.Errorf("list gateways: %w", err)
	}
	on := map[string]bool{}
	for _, r := range rows {
		gw, err := d.openRow(db.Tenant(), r)
		if err != nil {
			continue
		}
		on[r.Code] = true
		if b, ok := gw.(gateway.Browser); ok && c.Script == nil {
			url, key, origins := b.Script()
			c.Script, c.Card = &Script{url, key, origins}, r.Code
		}
		_, byHand := gw.(gateway.Instructor)
		c.Transfer = c.Transfer || byHand
		c.Sandbox = c.Sandbox || r.Code == sandbox.Code
	}
	saved, err := Methods(ctx, tx, account)
	for _, m := range saved {
		if on[m.Gateway] {
			c.Methods = append(c.Methods, m)
		}
	}
	return c, err
}

// openRow opens the driver of a gateway's row.
func (d *Desk) openRow(t tenancy.Tenant, r gatewayRow) (gateway.Gateway, error) {
	g, secret, err := d.unseal(t.ID, r)
	if err != nil {
		return nil, err
	}
	if r.Code == sandbox.Code && !t.MayTest() {
		return nil, errUnknown
	}
	return d.Gateways.Open(r.Code, Settings{Secret: secret, Public: g.Public, Tenant: t.ID, Test: t.MayTest()})
}

// AddMethod begins saving a method of an account. Where it is saved at once, it says
// which overdue invoices are charged to it. Faults: gateway.unknown,
// gateway.unavailable.
func (d *Desk) AddMethod(ctx context.Context, db *tenancy.DB, account uuid.UUID, code, returnURL string) (gateway.Setup, []Charging, error) {
	gw, g, err := d.Open(ctx, db, code)
	if err != nil {
		return gateway.Setup{}, nil, unavailable(err)
	}
	saver, ok := gw.(gateway.Saver)
	if !ok || !g.On {
		return gateway.Setup{}, nil, errUnknown
	}
	var c gateway.Customer
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		c, err = customer(ctx, tx, account, code)
		return err
	})
	if err != nil {
		return gateway.Setup{}, nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return gateway.Setup{}, nil, err
	}
	s, err := saver.Setup(ctx, setupKey(account, id), c, returnURL)
	if err != nil {
		return s, nil, unavailable(d.noteRefusedKeys(ctx, db, code, err))
	}
	charged, err := d.keepSetup(ctx, db, account, code, s)
	return s, charged, err
}

// FinishMethod asks how saving a method stands and keeps it when it succeeded; then it
// says which overdue invoices are charged to it. A setup of another account is the fault
// method.not_found.
func (d *Desk) FinishMethod(ctx context.Context, db *tenancy.DB, account uuid.UUID, code, ref string) (gateway.Setup, []Charging, error) {
	gw, _, err := d.Open(ctx, db, code)
	if err != nil {
		return gateway.Setup{}, nil, unavailable(err)
	}
	saver, ok := gw.(gateway.Saver)
	if !ok {
		return gateway.Setup{}, nil, errUnknown
	}
	s, err := saver.SetupState(ctx, ref)
	if errors.Is(err, gateway.ErrNotFound) {
		return s, nil, errNoMethod
	}
	if err != nil {
		return s, nil, unavailable(d.noteRefusedKeys(ctx, db, code, err))
	}
	if of, ok := accountOfSetup(s.Key); !ok || of != account {
		return gateway.Setup{}, nil, errNoMethod
	}
	charged, err := d.keepSetup(ctx, db, account, code, s)
	return s, charged, err
}

func (d *Desk) keepSetup(ctx context.Context, db *tenancy.DB, account uuid.UUID, code string, s gateway.Setup) (charged []Charging, err error) {
	if s.State != gateway.Succeeded || s.Method == nil {
		return nil, nil
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		charged, err = keepNewMethod(ctx, tx, account, code, *s.Method)
		return err
	})
	return charged, err
}

// keepNewMethod saves a method that was added on its own, and has what is overdue charged
// to it.
func keepNewMethod(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, code string, m gateway.Method) ([]Charging, error) {
	id, err := keepMethod(ctx, tx, account, code, m)
	if err != nil {
		return nil, err
	}
	return chargeOverdue(ctx, tx, Method{ID: id, AccountID: account})
}

// RemoveMethod forgets a saved method, here and at its gateway. The fault is
// method.not_found, or gateway.unavailable, and then nothing has changed.
func (d *Desk) RemoveMethod(ctx context.Context, db *tenancy.DB, account, id uuid.UUID, by audit.Origin) error {
	var m Method
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		found, ok, err := oneMethod(ctx, tx, "m.id = ? AND m.account_id = ? AND m.state <> 'removed'", id, account)
		if err == nil && !ok {
			err = errNoMethod
		}
		m = found
		return err
	})
	if err != nil {
		return err
	}
	gw, _, err := d.Open(ctx, db, m.Gateway)
	if err == nil {
		if saver, ok := gw.(gateway.Saver); ok {
			err = saver.Forget(ctx, m.Ref)
		}
	}
	// Keys that were changed to another account's cannot forget what this one kept.
	if err != nil && !errors.Is(err, gateway.ErrNotFound) && !fault.Is(err, "gateway.unknown") {
		return unavailable(err)
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := forgetRow(ctx, tx, "id = ?", id); err != nil {
			return err
		}
		return by.Record(ctx, tx, "payment_method.removed", audit.Target{Kind: "account", ID: account.String()}, map[string]any{"method": m.Label})
	})
}
