package wholesale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Attempt is one attempt to pay an invoice, or ahead, by card.
type Attempt struct {
	ID          uuid.UUID
	Key         string
	InvoiceID   uuid.UUID // zero: it tops the reseller's balance up
	TenantID    tenancy.ID
	Number      string // of the invoice; what it is for, otherwise
	Gateway     string
	Currency    string
	AmountMinor int64
	MethodRef   string
	State       gateway.State
	Ref         string
	DeclineCode string
	DeclineText string
	CreatedAt   time.Time
	ChangedAt   time.Time
}

// Amount is what is asked for.
func (a Attempt) Amount() billing.Money {
	return billing.Money{Minor: a.AmountMinor, Currency: a.Currency}
}

// TopUp reports whether it is money to be kept ahead.
func (a Attempt) TopUp() bool { return a.InvoiceID == uuid.Nil }

const attemptSQL = `SELECT p.id, p.key, p.invoice_id, p.tenant_id, coalesce(i.number, 'a balance top-up') AS number, p.gateway, p.currency, p.amount_minor, p.method_ref, p.state, coalesce(p.ref, '') AS ref,
	p.decline_code, p.decline_text, p.created_at, p.changed_at FROM wholesale_payments p LEFT JOIN wholesale_invoices i ON i.id = p.invoice_id WHERE `

const underWay = "p.state IN ('created', 'requires_action', 'processing')"

func findAttempt(ctx context.Context, tx *tenancy.CentralTx, where string, args ...any) (a Attempt, ok bool, err error) {
	err = tx.NewRaw(attemptSQL+where, args...).Scan(ctx, &a)
	if tenancy.IsNoRows(err) {
		return Attempt{}, false, nil
	}
	if err != nil {
		return Attempt{}, false, fmt.Errorf("read a wholesale payment: %w", err)
	}
	return a, true, nil
}

var errNoAttempt = fault.New(fault.NotFound, "wholesale_payment.unknown", "There is no such payment.")

// PayRequest is a reseller who wants to pay an invoice now.
type PayRequest struct {
	Invoice   uuid.UUID
	Kept      bool   // with the card that is kept; otherwise one is entered in the browser
	Save      bool   // keep the card that is entered
	ReturnURL string // where authenticating elsewhere leads back to; {payment} stands for the attempt's id
}

// abandonedAfter is how long an attempt may be without the gateway's answer.
const abandonedAfter = time.Minute

// saveMark ends the key of a payment whose card is to be kept.
const saveMark = "/save"

var (
	errBusy       = fault.New(fault.Conflict, "wholesale_payment.busy", "Another payment of this invoice is under way. Please look again in a minute.")
	errNothingDue = fault.New(fault.Conflict, "wholesale_payment.nothing_due", "Nothing is owed on this invoice any more.")
)

// Pay starts paying an invoice of a reseller, or goes on with what was started: one
// payment of an invoice is under way at a time, and a second tab gets the same. One that
// was begun in another way is ended at the gateway first. A decline is no error but an
// attempt that failed. Faults: card.not_taken, card.unknown, wholesale_invoice.unknown,
// wholesale_payment.nothing_due, wholesale_payment.busy, wholesale_gateway.unavailable.
func (d *Desk) Pay(ctx context.Context, of tenancy.ID, r PayRequest) (Attempt, gateway.Payment, error) {
	if d.Taker == nil {
		return Attempt{}, gateway.Payment{}, errNoTaker
	}
	for range 3 {
		var a Attempt
		var inTheWay bool
		err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) (err error) {
			a, inTheWay, err = d.claim(ctx, tx, of, r)
			return err
		})
		if err != nil {
			return a, gateway.Payment{}, err
		}
		if !inTheWay {
			a, gp, err := d.carry(ctx, a, strings.ReplaceAll(r.ReturnURL, "{payment}", a.ID.String()))
			if err == nil && !r.Kept && a.State == gateway.Failed && a.DeclineCode == gateway.Unknown {
				continue // it was begun with another account's keys
			}
			return a, gp, err
		}
		if err := d.end(ctx, a); err != nil {
			return a, gateway.Payment{}, d.trouble(ctx, err)
		}
	}
	return Attempt{}, gateway.Payment{}, errBusy
}

// ToPay is an invoice of a reseller and the card it may be paid with. Fault:
// wholesale_invoice.unknown.
func (d *Desk) ToPay(ctx context.Context, of tenancy.ID, id uuid.UUID) (row InvoiceRow, c Card, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		if row, _, err = invoiceIn(ctx, tx, id, of); err != nil {
			return err
		}
		c, err = cardIn(ctx, tx, of)
		return err
	})
	return row, c, err
}

// lockOpen keeps an invoice and what is owed on it from others. Whoever locks a payment
// too locks its invoice first.
func lockOpen(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID) (row InvoiceRow, tries int, err error) {
	var found struct {
		InvoiceRow
		Tries int
	}
	err = tx.NewRaw("SELECT id, tenant_id, number, state, currency, total_minor, paid_minor, due_at, tries FROM wholesale_invoices WHERE id = ? FOR UPDATE", id).Scan(ctx, &found)
	if tenancy.IsNoRows(err) {
		return row, 0, errUnknownInvoice
	}
	if err != nil {
		return row, 0, fmt.Errorf("lock invoice %s: %w", id, err)
	}
	return found.InvoiceRow, found.Tries, nil
}

func (d *Desk) claim(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, r PayRequest) (Attempt, bool, error) {
	inv, _, err := lockOpen(ctx, tx, r.Invoice)
	if err == nil && inv.TenantID != of {
		err = errUnknownInvoice
	}
	if err != nil {
		return Attempt{}, false, err
	}
	if inv.State != "open" || inv.Open().Minor <= 0 {
		return Attempt{}, false, errNothingDue
	}
	method := ""
	if r.Kept {
		card, err := cardIn(ctx, tx, of)
		if err == nil && !card.Kept() {
			err = errNoCard
		}
		if err != nil {
			return Attempt{}, false, err
		}
		method = card.ref
	}
	a, ok, err := findAttempt(ctx, tx, "p.invoice_id = ? AND "+underWay, inv.ID)
	if err != nil {
		return a, false, err
	}
	if !ok {
		a, err = d.insert(ctx, tx, inv, method, r.key)
		return a, false, err
	}
	// Without an answer and without a card nothing can have been charged: a new key is
	// simpler than asking what became of the old one.
	fresh := a.Ref != "" || method != "" || tx.Now().Sub(a.CreatedAt) < abandonedAfter
	return a, !fresh || a.Gateway != d.Taker.Code || a.MethodRef != method || a.AmountMinor != inv.Open().Minor || a.Key != r.key(a.ID), nil
}

// key names an attempt that a person begins.
func (r PayRequest) key(id uuid.UUID) string {
	key := "wholesale/" + id.String()
	if r.Save && !r.Kept {
		key += saveMark
	}
	return key
}

func (d *Desk) insert(ctx context.Context, tx *tenancy.CentralTx, inv InvoiceRow, method string, key func(uuid.UUID) string) (Attempt, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Attempt{}, err
	}
	a := Attempt{
		ID: id, Key: key(id), InvoiceID: inv.ID, TenantID: inv.TenantID, Number: inv.Number, Gateway: d.Taker.Code, Currency: inv.Currency,
		AmountMinor: inv.Open().Minor, MethodRef: method, State: gateway.Created, CreatedAt: tx.Now(), ChangedAt: tx.Now(),
	}
	_, err = tx.NewRaw(`INSERT INTO wholesale_payments (id, key, invoice_id, tenant_id, gateway, currency, amount_minor, state, method_ref, decline_code, decline_text, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'created', ?, '', '', ?, ?)`, a.ID, a.Key, uuid.NullUUID{UUID: a.InvoiceID, Valid: !a.TopUp()}, a.TenantID, a.Gateway, a.Currency, a.AmountMinor, method, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return a, fmt.Errorf("insert a wholesale payment: %w", err)
	}
	return a, nil
}

// carry asks the gateway for a payment, or how it stands, and keeps the answer.
func (d *Desk) carry(ctx context.Context, a Attempt, returnURL string) (Attempt, gateway.Payment, error) {
	gp, err := d.ask(ctx, a, returnURL)
	if err != nil {
		return a, gp, d.trouble(ctx, err)
	}
	a, err = d.keep(ctx, a, gp)
	return a, gp, err
}

func (d *Desk) keep(ctx context.Context, a Attempt, gp gateway.Payment) (Attempt, error) {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) (err error) {
		a, err = d.settle(ctx, tx, a.ID, gp)
		return err
	})
	if err == nil && a.TopUp() && a.State == gateway.Succeeded {
		err = d.watchLimit(ctx, a.TenantID) // who has paid sells again
	}
	return a, err
}

// ask charges, or asks how a payment stands that the gateway knows already.
func (d *Desk) ask(ctx context.Context, a Attempt, returnURL string) (gateway.Payment, error) {
	if a.Ref != "" {
		gp, err := d.Taker.Gateway.Payment(ctx, a.Ref)
		return gateway.OrLost(gp, err, a.known())
	}
	c := gateway.Charge{
		Key: a.Key, Amount: a.Amount(), Method: a.MethodRef, OnSession: !unattended(a.Key), Save: strings.HasSuffix(a.Key, saveMark),
		Description: "Wholesale invoice " + a.Number, Reference: a.Number, ReturnURL: returnURL,
	}
	if a.TopUp() {
		c.Description, c.Reference = "Top-up of the wholesale balance", "TOPUP"
	}
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		c.Customer, err = payer(ctx, tx, a.TenantID)
		return err
	})
	if err != nil {
		return gateway.Payment{}, err
	}
	gp, err := d.Taker.Gateway.Charge(ctx, c)
	return gateway.OrLost(gp, err, a.known())
}

// known is what we know of a payment whose gateway may know nothing.
func (a Attempt) known() gateway.Payment {
	return gateway.Payment{Key: a.Key, Ref: a.Ref, Amount: a.Amount()}
}

// end brings a payment that is under way to its end at the gateway. One that the gateway
// never heard of, and whose card cannot have been charged, ends here.
func (d *Desk) end(ctx context.Context, a Attempt) error {
	gp := gateway.Payment{Key: a.Key, State: gateway.Cancelled}
	if a.Ref != "" || a.MethodRef != "" {
		ref := a.Ref
		if ref == "" { // find out what became of it, by its key
			var err error
			if gp, err = d.ask(ctx, a, ""); err != nil {
				return err
			}
			ref = gp.Ref
		}
		if a.Ref != "" || !gp.State.Final() {
			var err error
			gp, err = d.Taker.Gateway.Cancel(ctx, ref)
			if gp, err = gateway.OrLost(gp, err, gateway.Payment{Key: a.Key, Ref: ref, Amount: a.Amount()}); err != nil {
				return err
			}
		}
	}
	_, err := d.keep(ctx, a, gp)
	return err
}

// lockPaid locks what an attempt pays, as lockOpen does: the invoice, or the balance.
func lockPaid(ctx context.Context, tx *tenancy.CentralTx, a Attempt) (InvoiceRow, int, error) {
	if a.TopUp() {
		return InvoiceRow{TenantID: a.TenantID, Currency: a.Currency}, 0, lockBalance(ctx, tx, a.TenantID)
	}
	return lockOpen(ctx, tx, a.InvoiceID)
}

// settle keeps what the gateway says of a payment. Money that came is booked exactly
// once, whatever was believed before.
func (d *Desk) settle(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID, gp gateway.Payment) (Attempt, error) {
	a, ok, err := findAttempt(ctx, tx, "p.id = ?", id)
	if err == nil && !ok {
		err = errNoAttempt
	}
	if err != nil {
		return a, err
	}
	inv, tries, err := lockPaid(ctx, tx, a)
	if err != nil {
		return a, err
	}
	if a, _, err = findAttempt(ctx, tx, "p.id = ?", id); err != nil { // as it is now that nobody else changes it
		return a, err
	}
	if !a.hears(gp) {
		return a, nil
	}
	if a.Ref == "" || gp.State == gateway.Succeeded && gp.Ref != "" {
		a.Ref = gp.Ref
	}
	a.State, a.DeclineCode, a.DeclineText = gp.State, "", ""
	if gp.Decline != nil && gp.State != gateway.Succeeded {
		a.DeclineCode, a.DeclineText = gp.Decline.Code, gp.Decline.Text
	}
	if gp.State == gateway.Succeeded && gp.Received.Minor > 0 {
		a.AmountMinor = gp.Received.Minor
	}
	if err := a.update(ctx, tx); err != nil {
		return a, err
	}
	return a, d.follow(ctx, tx, a, inv, tries, gp)
}

// hears reports whether what the gateway says is new.
func (a Attempt) hears(gp gateway.Payment) bool {
	return gateway.Moves(a.State, gp.State) && (a.State != gp.State || a.Ref != gp.Ref || gp.Decline != nil)
}

func (a Attempt) update(ctx context.Context, tx *tenancy.CentralTx) error {
	_, err := tx.NewRaw(`UPDATE wholesale_payments SET state = ?, ref = nullif(?, ''), amount_minor = ?, decline_code = ?, decline_text = ?,
		settled_at = CASE WHEN ? THEN ?::timestamptz END, changed_at = ? WHERE id = ?`,
		string(a.State), a.Ref, a.AmountMinor, a.DeclineCode, a.DeclineText, a.State.Final(), tx.Now(), tx.Now(), a.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update a wholesale payment: %w", err)
	}
	return nil
}

// follow is what comes of an attempt's new state.
func (d *Desk) follow(ctx context.Context, tx *tenancy.CentralTx, a Attempt, inv InvoiceRow, tries int, gp gateway.Payment) error {
	if a.TopUp() {
		return d.followTopUp(ctx, tx, a, gp)
	}
	switch a.State {
	case gateway.Succeeded:
		if err := a.saveCard(ctx, tx, gp); err != nil {
			return err
		}
		return d.applied(ctx, tx, inv, a.ID, Payment{Gateway: a.Gateway, Currency: a.Currency, AmountMinor: a.AmountMinor})
	case gateway.Failed:
		if err := a.forgetPayer(ctx, tx); err != nil {
			return err
		}
		if try, absent := tryOf(a.Key); absent && try == tries {
			decline := gateway.Decline{Kind: gateway.Soft, Code: a.DeclineCode, Text: a.DeclineText}
			if gp.Decline != nil {
				decline = *gp.Decline
			}
			return d.failed(ctx, tx, inv, try, decline)
		}
	case gateway.Cancelled: // somebody began to pay in another way; should they stop, it is tried again
		if try, absent := tryOf(a.Key); absent && try == tries {
			_, err := d.countTry(ctx, tx, inv, try, false)
			return err
		}
	}
	return nil
}

// trouble says in words for people what a gateway's error means; faults and what is not a
// gateway's are left as they are. That our own keys are refused, staff are told.
func (d *Desk) trouble(ctx context.Context, err error) error {
	if errors.Is(err, gateway.ErrCredentials) {
		err = errors.Join(err, d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: "gateway.refused " + tx.Now().UTC().Format(time.DateOnly), Kind: "gateway.refused",
				Text: "The gateway refuses the platform's own keys: wholesale invoices cannot be charged."})
			return err
		}))
	}
	if errors.Is(err, gateway.ErrUnavailable) || errors.Is(err, gateway.ErrCredentials) {
		return fault.Wrap(err, fault.Unavailable, "wholesale_gateway.unavailable", "The payment service does not answer at the moment. Nothing is lost: please try again in a few minutes.")
	}
	return err
}
