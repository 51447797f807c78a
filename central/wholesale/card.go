package wholesale

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// Taker is the platform's own account at a gateway.
type Taker struct {
	Code    string // stripe
	Gateway gateway.Gateway
}

var (
	errNoTaker = fault.New(fault.NotFound, "card.not_taken", "Cards are not taken here. Our bank account stands on the invoice.")
	errNoCard  = fault.New(fault.NotFound, "card.unknown", "There is no such card.")
)

// Card is the card kept of a reseller; a zero Label: none.
type Card struct {
	Label string // Visa •••• 4242
	ref   string
}

// Kept reports whether there is one.
func (c Card) Kept() bool { return c.ref != "" }

func cardIn(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (Card, error) {
	p, err := profileIn(ctx, tx, of)
	return p.Card, err
}

// saver is the gateway, where it keeps cards.
func (d *Desk) saver() (gateway.Saver, error) {
	if d.Taker == nil {
		return nil, errNoTaker
	}
	s, ok := d.Taker.Gateway.(gateway.Saver)
	if !ok {
		return nil, errNoTaker
	}
	return s, nil
}

// payer is the reseller as the gateway knows it.
func payer(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (gateway.Customer, error) {
	var row struct{ Name, Email, Ref string }
	err := tx.NewRaw(`SELECT coalesce(nullif(p.billing->>'company', ''), nullif(p.billing->>'name', ''), t.name) AS name,
			coalesce(nullif(p.billing->>'email', ''), t.owner_email) AS email, coalesce(p.gateway_customer, '') AS ref
		FROM tenants t LEFT JOIN reseller_profiles p ON p.tenant_id = t.id WHERE t.id = ?`, of).Scan(ctx, &row)
	if err != nil {
		return gateway.Customer{}, fmt.Errorf("who pays for %s: %w", of, err)
	}
	return gateway.Customer{Key: "reseller/" + of.String(), Ref: row.Ref, Name: row.Name, Email: row.Email}, nil
}

// AddCard begins keeping a card of a reseller, which the browser enters. Faults:
// card.not_taken, wholesale_gateway.unavailable.
func (d *Desk) AddCard(ctx context.Context, of tenancy.ID, returnURL string) (gateway.Setup, error) {
	saver, err := d.saver()
	if err != nil {
		return gateway.Setup{}, err
	}
	var c gateway.Customer
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		c, err = payer(ctx, tx, of)
		return err
	})
	if err != nil {
		return gateway.Setup{}, err
	}
	for {
		id, err := uuid.NewV7()
		if err != nil {
			return gateway.Setup{}, err
		}
		s, err := saver.Setup(ctx, setupKey(of, id), c, returnURL)
		// A customer of an account that was changed: they are made anew in the new one.
		if errors.Is(err, gateway.ErrNotFound) && c.Ref != "" {
			c.Ref = ""
			continue
		}
		return s, d.trouble(ctx, err)
	}
}

// setupKey names keeping a card; the reseller stands in it, because nothing of it is
// kept here before it succeeded.
func setupKey(of tenancy.ID, id uuid.UUID) string { return "setup/" + of.String() + "/" + id.String() }

func resellerOfSetup(key string) (tenancy.ID, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 || parts[0] != "setup" {
		return tenancy.ID{}, false
	}
	id, err := tenancy.ParseID(parts[1])
	return id, err == nil
}

// FinishCard asks how keeping a card stands and keeps it when it succeeded: what is owed
// is charged to it from the day it is due. Of another reseller's it is the fault
// card.unknown.
func (d *Desk) FinishCard(ctx context.Context, of tenancy.ID, ref string, by audit.Origin) (gateway.Setup, error) {
	saver, err := d.saver()
	if err != nil {
		return gateway.Setup{}, err
	}
	s, err := saver.SetupState(ctx, ref)
	if errors.Is(err, gateway.ErrNotFound) {
		return s, errNoCard
	}
	if err != nil {
		return s, d.trouble(ctx, err)
	}
	if whose, ok := resellerOfSetup(s.Key); !ok || whose != of {
		return gateway.Setup{}, errNoCard
	}
	if s.State != gateway.Succeeded || s.Method == nil {
		return s, nil
	}
	return s, d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return keepCard(ctx, tx, of, s.CustomerRef, *s.Method, by) })
}

// keepCard makes a card the one a reseller's invoices are charged to. One that is kept
// already changes nothing.
func keepCard(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, customer string, m gateway.Method, by audit.Origin) error {
	if customer == "" {
		customer = m.CustomerRef
	}
	var replaced string
	err := tx.NewRaw("SELECT method_ref FROM reseller_profiles WHERE tenant_id = ? FOR UPDATE", of).Scan(ctx, &replaced)
	if err != nil && !tenancy.IsNoRows(err) {
		return fmt.Errorf("keep a card of %s: %w", of, err)
	}
	res, err := tx.NewRaw(`INSERT INTO reseller_profiles AS p (tenant_id, billing, tax_id, gateway_customer, method_ref, method_label, changed_at)
		VALUES (?, '{}', '', ?, ?, ?, ?) ON CONFLICT (tenant_id) DO UPDATE SET gateway_customer = excluded.gateway_customer,
			method_ref = excluded.method_ref, method_label = excluded.method_label, changed_at = excluded.changed_at
		WHERE p.method_ref <> excluded.method_ref`, of, customer, m.Ref, m.Label, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep a card of %s: %w", of, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = tx.NewRaw(`UPDATE wholesale_invoices SET next_try_at = greatest(due_at, ?0), changed_at = ?0 WHERE tenant_id = ?1 AND state = 'open' AND total_minor > paid_minor AND paid_at IS NULL`,
		tx.Now(), of).Exec(ctx)
	if err != nil {
		return fmt.Errorf("have what is owed by %s charged: %w", of, err)
	}
	if replaced != "" {
		if _, err := tx.Enqueue(ctx, ForgetJob{Ref: replaced}, tenancy.JobOptions{Key: replaced}); err != nil {
			return err
		}
	}
	return by.Record(ctx, tx, "wholesale.card_kept", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"card": m.Label})
}

// ForgetJob has the gateway forget a card that another one took the place of.
type ForgetJob struct {
	Ref string `json:"ref"`
}

// Kind names the job.
func (ForgetJob) Kind() string { return "wholesale.forget_card" }

var errCardInUse = errors.New("the card is being charged")

// Forget is ForgetJob's work. A card that is kept again is left alone, and one that is
// being charged is forgotten later.
func (d *Desk) Forget(ctx context.Context, job ForgetJob) error {
	saver, err := d.saver()
	if err != nil {
		return nil // there is no gateway any more that could
	}
	var kept, inUse bool
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT EXISTS (SELECT FROM reseller_profiles WHERE method_ref = ?0), EXISTS (SELECT FROM wholesale_payments p WHERE p.method_ref = ?0 AND "+underWay+")", job.Ref).Scan(ctx, &kept, &inUse)
	})
	switch {
	case err != nil:
		return fmt.Errorf("forget a card: %w", err)
	case kept:
		return nil
	case inUse:
		return queue.Retry(personWait, errCardInUse)
	}
	// What another account of ours kept cannot be forgotten by this one.
	if err := saver.Forget(ctx, job.Ref); err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return d.trouble(ctx, err)
	}
	return nil
}

// RemoveCard forgets the card kept of a reseller, here and at the gateway. Faults:
// card.unknown, wholesale_gateway.unavailable, and then nothing has changed.
func (d *Desk) RemoveCard(ctx context.Context, of tenancy.ID, by audit.Origin) error {
	var c Card
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		c, err = cardIn(ctx, tx, of)
		return err
	})
	if err == nil && !c.Kept() {
		err = errNoCard
	}
	if err != nil {
		return err
	}
	if saver, err := d.saver(); err == nil {
		// What another account of ours kept cannot be forgotten by this one.
		if err := saver.Forget(ctx, c.ref); err != nil && !errors.Is(err, gateway.ErrNotFound) {
			return d.trouble(ctx, err)
		}
	}
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if err := forgetCard(ctx, tx, of, c.ref); err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.card_removed", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"card": c.Label})
	})
}

// forgetCard takes a card out of the reseller's profile, unless it is another by now.
func forgetCard(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, ref string) error {
	_, err := tx.NewRaw("UPDATE reseller_profiles SET method_ref = '', method_label = '', changed_at = ? WHERE tenant_id = ? AND method_ref = ?", tx.Now(), of, ref).Exec(ctx)
	if err != nil {
		return fmt.Errorf("forget the card of %s: %w", of, err)
	}
	return nil
}

// FormScript is what a page with the gateway's card form loads; nil: there is none.
func (d *Desk) FormScript() *FormScript {
	if d.Taker == nil {
		return nil
	}
	b, ok := d.Taker.Gateway.(gateway.Browser)
	if !ok {
		return nil
	}
	var s FormScript
	s.URL, s.Key, s.Origins = b.Script()
	return &s
}

// FormScript is the gateway's script and the key it is opened with; Origins are those the
// page must allow.
type FormScript struct {
	URL, Key string
	Account  string // never any: the platform's own account
	Origins  []string
}

// tryOf is the try a payment's key names; false: a person began it.
func tryOf(key string) (int, bool) {
	if !strings.HasPrefix(key, "charge/") {
		return 0, false
	}
	n, err := strconv.Atoi(key[strings.LastIndexByte(key, '/')+1:])
	return n, err == nil
}

// unattended reports whether a payment's key says that nobody of the reseller is there.
func unattended(key string) bool {
	return strings.HasPrefix(key, "charge/") || strings.HasPrefix(key, autoTopUp)
}

// saveCard keeps the card that paid, where that was asked for.
func (a Attempt) saveCard(ctx context.Context, tx *tenancy.CentralTx, gp gateway.Payment) error {
	if gp.Method == nil || gp.Method.CustomerRef == "" || !strings.HasSuffix(a.Key, saveMark) {
		return nil
	}
	return keepCard(ctx, tx, a.TenantID, gp.CustomerRef, *gp.Method, audit.Origin{Actor: audit.System("payments")})
}

// forgetPayer forgets the reseller's card when the gateway does not know it, rather than the
// payment.
func (a Attempt) forgetPayer(ctx context.Context, tx *tenancy.CentralTx) error {
	if a.DeclineCode != gateway.Unknown || a.Ref != "" {
		return nil
	}
	_, err := tx.NewRaw("UPDATE reseller_profiles SET gateway_customer = '', method_ref = '', method_label = '', changed_at = ? WHERE tenant_id = ?", tx.Now(), a.TenantID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("forget the card of %s: %w", a.TenantID, err)
	}
	return nil
}
