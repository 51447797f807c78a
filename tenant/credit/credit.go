// Package credit owns the credit of customers' accounts: what they paid ahead and what
// they were given, each piece with what is left of it, and what became of it. It owns
// gift codes as well. It knows what an invoice is owed and not what it is: invoicing asks
// for credit and books the invoice; payment brings the money of top-ups.
package credit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// Kind is what a piece of credit came of.
type Kind string

// The kinds of credit.
const (
	TopUp    Kind = "top_up"   // the customer paid it ahead
	Given    Kind = "given"    // the shop gave it
	Refund   Kind = "refund"   // of an invoice, instead of money
	OfGift   Kind = "gift"     // of a gift code
	Referral Kind = "referral" // for somebody who was brought
)

// Words is the kind as people read it.
func (k Kind) Words() string {
	switch k {
	case TopUp:
		return "Top-up"
	case Given:
		return "Given by us"
	case Refund:
		return "Refund"
	case OfGift:
		return "Gift code"
	case Referral:
		return "Referral"
	}
	return string(k)
}

// Grant is one piece of an account's credit.
type Grant struct {
	ID        uuid.UUID
	AccountID uuid.UUID
	Kind      Kind
	Bought    bool
	Amount    billing.Money
	Left      billing.Money
	ExpiresAt time.Time // zero: never
	SourceID  uuid.UUID
	Note      string
	CreatedBy string
	CreatedAt time.Time
}

// Rule is the grant as the rules of billing see it.
func (g Grant) Rule() billing.CreditGrant {
	return billing.CreditGrant{Bought: g.Bought, Left: g.Left, ExpiresAt: g.ExpiresAt, GrantedAt: g.CreatedAt}
}

type grantRow struct {
	ID, AccountID, SourceID         uuid.UUID
	Kind, Currency, Note, CreatedBy string
	Bought                          bool
	AmountMinor, LeftMinor          int64
	ExpiresAt, CreatedAt            time.Time
}

const grantColumns = `g.id, g.account_id, coalesce(g.source_id, '00000000-0000-0000-0000-000000000000') AS source_id, g.kind, g.currency, g.note, g.created_by,
	g.bought, g.amount_minor, g.left_minor, g.expires_at, g.created_at`

func (r grantRow) grant() Grant {
	return Grant{
		ID: r.ID, AccountID: r.AccountID, Kind: Kind(r.Kind), Bought: r.Bought, Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency},
		Left: billing.Money{Minor: r.LeftMinor, Currency: r.Currency}, ExpiresAt: r.ExpiresAt, SourceID: r.SourceID, Note: r.Note, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt,
	}
}

// keys is what ids of grants are made in.
var keys = uuid.MustParse("5f0c2c3e-9d0b-4a52-8f0e-6f6f5a4b7f10")

// IDOf is the id of the grant of a natural key: a key gives one piece of credit.
func IDOf(key string) uuid.UUID { return uuid.NewSHA1(keys, []byte(key)) }

// New is a piece of credit to be given.
type New struct {
	Key       string // natural key: payment/<id>, refund/<id>, form/<key>
	AccountID uuid.UUID
	Kind      Kind
	Bought    bool
	From      string // the account of the books it comes of
	Amount    billing.Money
	ExpiresAt time.Time // zero: never
	SourceID  uuid.UUID
	Note      string
	By        string // who gave it, as people read it
	Event     string // the key of its movement in the books; empty: its own
}

// MaxAmount is the most one piece of credit may come to, in minor units.
const MaxAmount = 100_000_000_00

var (
	errAccount = fault.New(fault.NotFound, "account.not_found", "There is no such account.")
	errClosed  = fault.New(fault.Conflict, "credit.account_closed", "This account is closed. It gets no credit any more.")
)

// Give adds a piece of credit, with its movement in the books. Giving again with the key
// gives once. Faults: account.not_found, credit.account_closed, credit.bad_amount.
func Give(ctx context.Context, tx *tenancy.Tx, n New) (Grant, error) {
	if _, err := billing.New(n.Amount.Minor, n.Amount.Currency); err != nil || n.Amount.Minor <= 0 || n.Amount.Minor > billing.MaxMinor {
		return Grant{}, fault.Field("amount", "credit.bad_amount", "Give an amount of more than nothing.")
	}
	var closed bool
	err := tx.NewRaw("SELECT closed_at IS NOT NULL FROM accounts WHERE id = ?", n.AccountID).Scan(ctx, &closed)
	if tenancy.IsNoRows(err) {
		return Grant{}, errAccount
	}
	if err != nil {
		return Grant{}, fmt.Errorf("read the account of credit: %w", err)
	}
	// What was paid belongs to the customer, whatever became of the account.
	if closed && !n.Bought {
		return Grant{}, errClosed
	}
	g := Grant{ID: IDOf(n.Key), AccountID: n.AccountID, Kind: n.Kind, Bought: n.Bought, Amount: n.Amount, Left: n.Amount, ExpiresAt: n.ExpiresAt, SourceID: n.SourceID,
		Note: clean(n.Note), CreatedBy: n.By, CreatedAt: tx.Now()}
	if g.CreatedBy == "" {
		g.CreatedBy = activity.System
	}
	var expires, source any
	if !g.ExpiresAt.IsZero() {
		expires = g.ExpiresAt
	}
	if g.SourceID != uuid.Nil {
		source = g.SourceID
	}
	r, err := tx.NewRaw(`WITH g AS (INSERT INTO credit_grants (id, account_id, kind, bought, currency, amount_minor, left_minor, expires_at, source_id, note, created_by, created_at)
			VALUES (?0, ?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (id) DO NOTHING RETURNING id)
		INSERT INTO credit_moves (grant_id, key, kind, minor, actor, at) SELECT id, 'granted', 'granted', ?5, ?9, ?10 FROM g`,
		g.ID, g.AccountID, string(g.Kind), g.Bought, g.Amount.Currency, g.Amount.Minor, expires, source, g.Note, g.CreatedBy, tx.Now()).Exec(ctx)
	if err != nil {
		return Grant{}, fmt.Errorf("give credit %s: %w", n.Key, err)
	}
	if made, err := r.RowsAffected(); err != nil || made == 0 {
		if err != nil {
			return Grant{}, err
		}
		return Get(ctx, tx, g.ID)
	}
	if n.Event == "" {
		n.Event = "credit/" + g.ID.String()
	}
	err = ledger.Post(ctx, tx, ledger.Event{Key: n.Event, AccountID: g.AccountID, SourceKind: "credit", SourceID: g.ID, Moves: billing.PostCreditGranted(n.From, g.Bought, g.Amount)})
	if err != nil {
		return Grant{}, err
	}
	if !g.ExpiresAt.IsZero() {
		if err := tx.AdvanceAgenda(ctx, Agenda, g.ExpiresAt); err != nil {
			return Grant{}, err
		}
	}
	return g, tell(ctx, tx, g)
}

// tell says on the account's timeline that there is credit, and has its people written to.
func tell(ctx context.Context, tx *tenancy.Tx, g Grant) error {
	text := g.Amount.Format("en") + " of credit: " + strings.ToLower(g.Kind.Words()) + "."
	if g.Note != "" {
		text += " " + g.Note
	}
	key := "credit/" + g.ID.String()
	err := activity.Tell(ctx, tx, activity.Event{Key: key, AccountID: g.AccountID, SubjectKind: activity.Account, SubjectID: g.AccountID,
		Kind: "credit.granted", Text: text, Actor: g.CreatedBy, CustomerSees: true})
	if err != nil {
		return err
	}
	_, err = tx.Enqueue(ctx, LetterJob{GrantID: g.ID}, tenancy.JobOptions{Key: key})
	return err
}

// Get is a piece of credit, or the fault credit.not_found.
func Get(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Grant, error) {
	var r grantRow
	err := tx.NewRaw("SELECT "+grantColumns+" FROM credit_grants g WHERE g.id = ?", id).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Grant{}, fault.New(fault.NotFound, "credit.not_found", "There is no such credit.")
	}
	if err != nil {
		return Grant{}, fmt.Errorf("read credit: %w", err)
	}
	return r.grant(), nil
}

// Form is credit a person of the shop gives.
type Form struct {
	Key       string // of the form: sent twice it gives once
	AccountID uuid.UUID
	Amount    string
	Currency  string
	ExpiresOn string // the last day, 2026-12-31; empty: never
	Note      string
}

// GiveByHand gives credit that costs the shop something and the customer nothing. Days
// are counted in a zone. Faults at the fields, and Give's.
func GiveByHand(ctx context.Context, db *tenancy.DB, f Form, zone *time.Location, by audit.Origin) (g Grant, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		n := New{Key: "form/" + f.AccountID.String() + "/" + f.Key, AccountID: f.AccountID, Kind: Given, From: billing.Promotions, Note: f.Note, By: by.Actor.Name}
		if err := f.check(&n, zone, tx.Now()); err != nil {
			return err
		}
		if g, err = Give(ctx, tx, n); err != nil {
			return err
		}
		return by.Record(ctx, tx, "credit.given", audit.Target{Kind: "account", ID: f.AccountID.String()},
			map[string]any{"amount": g.Amount.String(), "note": g.Note, "until": f.ExpiresOn})
	})
	return g, err
}

func (f Form) check(n *New, zone *time.Location, now time.Time) error {
	bad := map[string]string{}
	var err error
	if n.Amount, err = billing.Parse(strings.TrimSpace(f.Amount), f.Currency); err != nil || n.Amount.Minor <= 0 {
		bad["amount"] = "Give an amount in " + f.Currency + " such as 12.50."
	} else if n.Amount.Minor > MaxAmount {
		bad["amount"] = "This is more than can be given at once."
	}
	if f.ExpiresOn != "" {
		day, err := time.ParseInLocation(time.DateOnly, f.ExpiresOn, zone)
		n.ExpiresAt = day.AddDate(0, 0, 1)
		switch {
		case err != nil || day.Year() > 2100:
			bad["expires"] = "Please enter a day such as 2026-12-31."
		case !n.ExpiresAt.After(now):
			bad["expires"] = "This day is over."
		}
	}
	if len([]rune(f.Note)) > 200 {
		bad["note"] = "Please use at most 200 characters."
	}
	return fault.Fields("credit.invalid", bad)
}

// clean is text as the database takes it, on one line.
func clean(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")), " ")
}
