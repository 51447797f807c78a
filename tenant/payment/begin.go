package payment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// BeginRequest is a customer who wants to pay an invoice now.
type BeginRequest struct {
	InvoiceID uuid.UUID
	Gateway   string
	MethodID  *uuid.UUID // a saved method of the invoice's account; nil: entered in the browser
	Choice    string     // of the sandbox: which outcome is tried
	Save      bool       // keep the method for later
	OnSession bool       // the customer is there
	Via       string     // what led here, for the report: see ByLink; empty: the customer signed in
	ReturnURL string     // where authenticating elsewhere leads back to; {payment} stands for the payment's id
}

// abandonedAfter is how long a payment may be without the gateway's answer. Requests
// are given up well before.
const abandonedAfter = time.Minute

// saveMark ends the key of a payment whose method is to be kept.
const saveMark = "/save"

var errBusy = fault.New(fault.Conflict, "payment.busy", "Another payment of this invoice is under way. Please look again in a minute.")

// Begin starts paying an invoice, or goes on with what was started: there is one payment
// under way an invoice, and a second tab gets the same. One that was begun in another
// way is ended at its gateway first. A decline is no error but a payment that failed.
// Faults: gateway.unknown, gateway.unavailable, invoice.not_found,
// payment.nothing_due, payment.busy, method.not_found.
func (d *Desk) Begin(ctx context.Context, db *tenancy.DB, r BeginRequest) (Payment, gateway.Payment, error) {
	gw, g, err := d.Open(ctx, db, r.Gateway)
	if err == nil && !g.On {
		err = errUnknown
	}
	if err != nil {
		return Payment{}, gateway.Payment{}, unavailable(err)
	}
	for range 3 {
		if err := creditFirst(ctx, db, r.InvoiceID); err != nil {
			return Payment{}, gateway.Payment{}, err
		}
		var p Payment
		var inTheWay bool
		err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
			if p, inTheWay, err = claim(ctx, tx, r); err != nil || inTheWay {
				return err
			}
			return d.announceNow(ctx, tx, p)
		})
		if err != nil {
			return p, gateway.Payment{}, err
		}
		if !inTheWay {
			p, gp, err := d.carry(ctx, db, gw, p, r)
			if err == nil && r.MethodID == nil && p.State == gateway.Failed && p.DeclineCode == gateway.Unknown {
				continue // it was begun with another account's keys
			}
			return p, gp, err
		}
		if err := d.end(ctx, db, p); err != nil {
			return p, gateway.Payment{}, unavailable(err)
		}
	}
	return Payment{}, gateway.Payment{}, errBusy
}

// invoice is what is asked of one to be paid.
type invoice struct {
	ID, AccountID           uuid.UUID
	Number, Currency, State string
	Kind                    string
	DueMinor                int64
	HasCredit               bool // of the account, that is spent by itself
}

// lockInvoice keeps an invoice and what is owed on it from others. Whoever locks a
// payment too locks its invoice first.
func lockInvoice(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (inv invoice, err error) {
	err = tx.NewRaw(`SELECT id, account_id, coalesce(number, '') AS number, currency, state, total_minor - paid_minor - credited_minor AS due_minor,
		kind, EXISTS (SELECT FROM credit_grants g WHERE g.account_id = invoices.account_id AND g.left_minor > 0 AND g.currency = invoices.currency) AS has_credit
		FROM invoices WHERE id = ? AND kind IN ('invoice', 'top_up') AND state <> 'draft' FOR UPDATE`, id).Scan(ctx, &inv)
	if tenancy.IsNoRows(err) {
		return inv, fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")
	}
	if err != nil {
		return inv, fmt.Errorf("lock invoice: %w", err)
	}
	return inv, nil
}

// creditFirst pays an invoice with its account's credit before money is asked for, unless
// its customer spends that themselves.
func creditFirst(ctx context.Context, db *tenancy.DB, id uuid.UUID) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		inv, err := lockInvoice(ctx, tx, id)
		if err != nil || !inv.HasCredit || inv.State != "open" {
			return err
		}
		_, err = invoicing.UseCredit(ctx, tx, id, false, "")
		return err
	})
}

const underWay = "p.state IN ('created', 'requires_action', 'processing')"

// claim finds the payment that is under way or makes one. It reports true for one that
// must be ended first.
func claim(ctx context.Context, tx *tenancy.Tx, r BeginRequest) (Payment, bool, error) {
	inv, err := lockInvoice(ctx, tx, r.InvoiceID)
	if err != nil {
		return Payment{}, false, err
	}
	if inv.DueMinor <= 0 || inv.State == "void" {
		return Payment{}, false, fault.New(fault.Conflict, "payment.nothing_due", "Nothing is owed on this invoice any more.")
	}
	if r.MethodID != nil {
		m, err := usable(ctx, tx, inv.AccountID, *r.MethodID, r.Gateway)
		if err != nil {
			return Payment{}, false, err
		}
		if m.Kind == gateway.DirectDebit && inv.Currency != debitCurrency {
			return Payment{}, false, fault.Field("with", "debit.not_offered", "A bank account is collected from in euros only. Please pay in another way.")
		}
	}
	p, ok, err := find(ctx, tx, "p.invoice_id = ? AND "+underWay, inv.ID)
	if err != nil {
		return p, false, err
	}
	if ok && p.State == gateway.Processing && p.MethodKind == gateway.DirectDebit && !r.goesOnWith(p, inv.DueMinor, tx.Now()) {
		return p, false, errDebitUnderWay(p) // a bank that was told takes nothing back
	}
	if !ok {
		if p, err = insert(ctx, tx, inv, r.Gateway, r.MethodID, newKey(r), r.OnSession); err == nil && r.Via != "" {
			_, err = tx.NewRaw("UPDATE payments SET via = ? WHERE id = ?", r.Via, p.ID).Exec(ctx)
		}
		return p, false, err
	}
	if inv.HasCredit && inv.Kind == document.Invoice {
		// It was begun before there was credit: what is charged is what the page says now.
		if m, byHand, err := credit.Available(ctx, tx, inv.AccountID, inv.Currency); err != nil || !byHand && m.Minor > 0 {
			return p, true, err
		}
	}
	return p, !r.goesOnWith(p, inv.DueMinor, tx.Now()), nil
}

// newKey names an attempt that a person begins.
func newKey(r BeginRequest) func(id uuid.UUID) string {
	return func(id uuid.UUID) string {
		key := "pay/" + id.String()
		if r.Choice != "" {
			key += "/" + r.Choice
		}
		if r.Save {
			key += saveMark
		}
		return key
	}
}

// goesOnWith reports whether the payment under way is what is asked for now.
func (r BeginRequest) goesOnWith(p Payment, due int64, now time.Time) bool {
	var method uuid.UUID
	if r.MethodID != nil {
		method = *r.MethodID
	}
	if p.Gateway != r.Gateway || p.MethodID != method || p.Amount.Minor != due || p.OnSession != r.OnSession || p.Key != newKey(r)(p.ID) {
		return false
	}
	// Without an answer and without a method nothing can have been charged: a new key
	// is simpler than asking what became of the old one.
	return p.Ref != "" || method != uuid.Nil || now.Sub(p.CreatedAt) < abandonedAfter
}

func insert(ctx context.Context, tx *tenancy.Tx, inv invoice, code string, method *uuid.UUID, key func(uuid.UUID) string, onSession bool) (Payment, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, err
	}
	p := Payment{
		ID: id, Key: key(id), InvoiceID: inv.ID, Invoice: inv.Number, AccountID: inv.AccountID, Gateway: code,
		Amount: billing.Money{Minor: inv.DueMinor, Currency: inv.Currency}, Refunded: billing.Money{Currency: inv.Currency},
		State: gateway.Created, OnSession: onSession, CreatedAt: tx.Now(), ChangedAt: tx.Now(),
	}
	if method != nil {
		p.MethodID = *method
	}
	_, err = tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, method_id, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 'created', '', '', ?, ?, ?)`,
		p.ID, p.Key, p.InvoiceID, p.AccountID, p.Gateway, method, inv.Currency, inv.DueMinor, onSession, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return p, fmt.Errorf("insert payment: %w", err)
	}
	return p, watch(ctx, tx)
}

// carry asks the gateway for a payment, or how it stands, and keeps the answer.
func (d *Desk) carry(ctx context.Context, db *tenancy.DB, gw gateway.Gateway, p Payment, r BeginRequest) (Payment, gateway.Payment, error) {
	gp, err := d.ask(ctx, db, gw, p, strings.ReplaceAll(r.ReturnURL, "{payment}", p.ID.String()))
	if err != nil {
		return p, gp, unavailable(d.noteRefusedKeys(ctx, db, p.Gateway, err))
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		p, err = Settle(ctx, tx, p.ID, gp)
		return err
	})
	if err != nil {
		return p, gp, err
	}
	if by, ok := gw.(gateway.Instructor); ok {
		gp.Instructions = by.Instructions(p.Amount, p.Invoice)
	}
	return p, gp, nil
}

// ask charges, or asks how a payment stands that the gateway knows already.
func (d *Desk) ask(ctx context.Context, db *tenancy.DB, gw gateway.Gateway, p Payment, returnURL string) (gateway.Payment, error) {
	known := gateway.Payment{Key: p.Key, Ref: p.Ref, Amount: p.Amount}
	if p.Ref != "" {
		gp, err := stands(ctx, gw, p.Ref)
		return gateway.OrLost(gp, err, known)
	}
	c := gateway.Charge{
		Key: p.Key, Amount: p.Amount, OnSession: p.OnSession, Save: strings.HasSuffix(p.Key, saveMark),
		Description: "Invoice " + p.Invoice, Reference: p.Invoice, ReturnURL: returnURL,
	}
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		if c.Customer, err = customer(ctx, tx, p.AccountID, p.Gateway); err != nil {
			return err
		}
		if p.MethodID == uuid.Nil {
			c.Method = choiceOf(p.Key)
			return nil
		}
		m, err := methodByID(ctx, tx, p.MethodID)
		c.Method, c.Kind, c.Customer.Ref = m.Ref, m.Kind, m.CustomerRef
		return err
	})
	if err != nil {
		return gateway.Payment{}, err
	}
	gp, err := gw.Charge(ctx, c)
	return gateway.OrLost(gp, err, known)
}

// choiceOf is what a sandbox payment was begun with.
func choiceOf(key string) string {
	parts := strings.Split(strings.TrimSuffix(key, saveMark), "/")
	if len(parts) < 3 || parts[0] != "pay" {
		return ""
	}
	return parts[2]
}

// end brings a payment that is under way to its end at its gateway. One that the gateway
// never heard of, and whose method cannot have been charged, ends here.
func (d *Desk) end(ctx context.Context, db *tenancy.DB, p Payment) error {
	gp := gateway.Payment{Key: p.Key, State: gateway.Cancelled}
	if p.Ref != "" || p.MethodID != uuid.Nil {
		gw, _, err := d.Open(ctx, db, p.Gateway)
		if err != nil {
			return err
		}
		if p.Ref == "" { // find out what became of it, by its key
			if gp, err = d.ask(ctx, db, gw, p, ""); err != nil {
				return err
			}
		}
		if p.Ref != "" || !gp.State.Final() {
			ref := p.Ref
			if ref == "" {
				ref = gp.Ref
			}
			gp, err = gw.Cancel(ctx, ref)
			if gp, err = gateway.OrLost(gp, err, gateway.Payment{Key: p.Key, Ref: ref, Amount: p.Amount}); err != nil {
				return err
			}
		}
	}
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		p, err = Settle(ctx, tx, p.ID, gp)
		return err
	})
	return err
}

// unavailable says in words for people what a gateway's error means; faults and what is
// not a gateway's are left as they are.
func unavailable(err error) error {
	switch {
	case errors.Is(err, gateway.ErrUnavailable), errors.Is(err, gateway.ErrCredentials):
		return fault.Wrap(err, fault.Unavailable, "gateway.unavailable", "The payment service does not answer at the moment. Nothing is lost: please try again in a few minutes, or pay in another way.")
	case errors.Is(err, gateway.ErrUnsupported):
		return fault.Wrap(err, fault.NotFound, "gateway.unknown", "This way to pay is not offered here.")
	}
	return err
}

// noteRefusedKeys shows the reseller that its keys do not work any more.
func (d *Desk) noteRefusedKeys(ctx context.Context, db *tenancy.DB, code string, err error) error {
	if !errors.Is(err, gateway.ErrCredentials) {
		return err
	}
	return errors.Join(err, db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE gateways SET check_error = ?, checked_at = ? WHERE code = ?", "The keys are refused. Payments do not work until new ones are entered.", tx.Now(), code).Exec(ctx)
		return err
	}))
}
