package payment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Choices are the ways an account can pay now.
type Choices struct {
	Methods  []Method // saved, the default first
	Script   *Script  // a card can be entered
	Card     string   // code of the gateway it is entered for
	Away     []Away   // where the customer can be sent to pay
	Transfer bool
	Sandbox  bool
	Debit    *DebitChoice // from a bank account that is entered
}

// DebitChoice is what a page says to who pays from a bank account.
type DebitChoice struct {
	Code    string // of the gateway
	Mandate string // what they agree to
	Form    string // names this showing of it, see AgreeRequest
}

// Away is a gateway at whose own pages customers pay.
type Away struct {
	Code, Name, Says string
	Keeps            bool // it can keep a method for later
}

// Script is what a page with a card form loads.
type Script struct {
	URL, Key string
	Account  string // connected, in whose name the form is opened; empty: the key's own
	Origins  []string
}

// Choices reads them in two statements, one more each where bank accounts are collected from and where the platform takes cards. A gateway that does not open is not offered.
func (d *Desk) Choices(ctx context.Context, db *tenancy.DB, tx *tenancy.Tx, account uuid.UUID) (c Choices, err error) {
	var rows []gatewayRow
	if err := tx.NewRaw("SELECT "+gatewayColumns+" FROM gateways WHERE state = 'on' ORDER BY position, code").Scan(ctx, &rows); err != nil {
		return c, fmt.Errorf("list gateways: %w", err)
	}
	on := map[string]bool{}
	for _, r := range rows {
		gw, closed := d.openRow(db.Tenant(), r)
		if closed != nil {
			continue
		}
		if other, err := paysInAnother(ctx, tx, r, account); err != nil {
			return c, err
		} else if other {
			continue // another way, should there be one
		}
		on[r.Code] = true
		if c.Debit == nil {
			if c.Debit, err = debitChoice(ctx, tx, gw, r, account); err != nil {
				return c, err
			}
		}
		if b, ok := gw.(gateway.Browser); ok && c.Script == nil {
			url, key, origins := b.Script()
			c.Script, c.Card = &Script{URL: url, Key: key, Origins: origins}, r.Code
			if of, ok := gw.(gateway.OnBehalf); ok {
				c.Script.Account = of.OnBehalf()
			}
		}
		if to, ok := gw.(gateway.Redirector); ok {
			away := Away{Code: r.Code}
			away.Name, away.Says = to.Redirects()
			_, away.Keeps = gw.(gateway.Saver)
			c.Away = append(c.Away, away)
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

// debitChoice is how an account is collected from by a mandate; nil: it cannot be.
func debitChoice(ctx context.Context, tx *tenancy.Tx, gw gateway.Gateway, r gatewayRow, account uuid.UUID) (*DebitChoice, error) {
	g, err := r.configured()
	if err != nil {
		return nil, err
	}
	terms := debitsOf(g)
	if _, can := gw.(gateway.Debitor); !can || !terms.On {
		return nil, nil
	}
	var row struct{ Currency, Company string }
	err = tx.NewRaw("SELECT a.currency, coalesce((SELECT s.value->>'company' FROM shop_settings s WHERE s.name = ?), '') AS company FROM accounts a WHERE a.id = ?", settings.BillingName, account).Scan(ctx, &row)
	if err != nil {
		return nil, fmt.Errorf("read who is collected from: %w", err)
	}
	if row.Currency != debitCurrency {
		return nil, nil
	}
	return &DebitChoice{Code: r.Code, Mandate: MandateText(row.Company, terms.NoticeDays), Form: uuid.NewString()}, nil
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
	return d.Gateways.Open(r.Code, Settings{Secret: secret, Public: g.Public, Tenant: t.ID, Name: t.Name, Test: t.MayTest(), Only: t.Sandbox})
}

// SetupHole stands for the id of a setup in the address its customer comes back to.
const SetupHole = "{setup}"

// AddMethod begins saving a method of an account. Where it is saved at once, it says
// which overdue invoices are charged to it. Where the customer is sent to another page,
// the setup is kept for FinishSetup, and SetupHole in the address to come back to is its
// id, which is returned. Faults: gateway.unknown, gateway.unavailable, gateway.keeps_none.
func (d *Desk) AddMethod(ctx context.Context, db *tenancy.DB, account uuid.UUID, code, returnURL string) (st gateway.Setup, id uuid.UUID, charged []Charging, err error) {
	gw, g, err := d.Open(ctx, db, code)
	if err != nil {
		return st, id, nil, unavailable(err)
	}
	saver, ok := gw.(gateway.Saver)
	if !ok || !g.On {
		return st, id, nil, errUnknown
	}
	var c gateway.Customer
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		c, err = customer(ctx, tx, account, code)
		return err
	})
	if err != nil {
		return st, id, nil, err
	}
	if id, err = uuid.NewV7(); err != nil {
		return st, id, nil, err
	}
	st, err = saver.Setup(ctx, setupKey(account, id), c, strings.ReplaceAll(returnURL, SetupHole, id.String()))
	switch {
	case errors.Is(err, gateway.ErrUnsupported):
		return st, id, nil, fault.Wrap(err, fault.Conflict, "gateway.keeps_none", "This payment service cannot keep your account for later yet. You can still pay each invoice with it.")
	case err != nil:
		return st, id, nil, unavailable(d.noteRefusedKeys(ctx, db, code, err))
	}
	if st.State == gateway.RequiresAction && st.ActionURL != "" {
		return st, id, nil, db.Update(ctx, func(tx *tenancy.Tx) error { return rememberSetup(ctx, tx, account, id, code, st.Ref) })
	}
	charged, err = d.keepSetup(ctx, db, account, code, st)
	return st, id, charged, err
}

// setupLasts is how long a setup that nobody ended is kept. Gateways forget theirs sooner.
const setupLasts = 72 * time.Hour

// rememberSetup notes a setup, once.
func rememberSetup(ctx context.Context, tx *tenancy.Tx, account, id uuid.UUID, code, ref string) error {
	if _, err := tx.NewRaw("DELETE FROM method_setups WHERE account_id = ? AND created_at < ?", account, tx.Now().Add(-setupLasts)).Exec(ctx); err != nil {
		return fmt.Errorf("forget old setups: %w", err)
	}
	_, err := tx.NewRaw("INSERT INTO method_setups (id, account_id, gateway, ref, created_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING", id, account, code, ref, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("remember a setup: %w", err)
	}
	return nil
}

// FinishSetup asks how a setup stands that sent its customer away, and keeps the method
// when it succeeded, as FinishMethod does. The fault is method.not_found, also of one that
// ended before or is another account's.
func (d *Desk) FinishSetup(ctx context.Context, db *tenancy.DB, account, id uuid.UUID) (gateway.Setup, []Charging, error) {
	var row struct{ Gateway, Ref string }
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT gateway, ref FROM method_setups WHERE id = ? AND account_id = ?", id, account).Scan(ctx, &row)
	})
	if tenancy.IsNoRows(err) {
		return gateway.Setup{}, nil, errNoMethod
	}
	if err != nil {
		return gateway.Setup{}, nil, fmt.Errorf("read a setup: %w", err)
	}
	s, charged, err := d.FinishMethod(ctx, db, account, row.Gateway, row.Ref)
	if err != nil || !s.State.Final() {
		return s, charged, err
	}
	return s, charged, db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("DELETE FROM method_setups WHERE id = ?", id).Exec(ctx)
		return err
	})
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
