package credit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// Want is an invoice that credit may pay. Its caller holds its lock.
type Want struct {
	AccountID uuid.UUID
	InvoiceID uuid.UUID
	Owed      billing.Money
	Actor     string // empty: it was done by itself
}

// step is what becomes of a grant.
type step struct {
	GrantID   uuid.UUID  `json:"grant_id"`
	Key       string     `json:"key"`
	Kind      string     `json:"kind"`
	Minor     int64      `json:"minor"`
	InvoiceID *uuid.UUID `json:"invoice_id"`
	Actor     string     `json:"actor"`
	grant     Grant
}

// Spend pays invoices with what their accounts have, in their order, and says how much of
// each was paid: what expires soonest first, what was given before what was bought. Two
// that ask at once wait for each other, so that nothing is spent twice. Without byHand,
// accounts that spend their credit themselves are left alone. Closed accounts spend
// nothing. Expired credit, and credit in another currency, does not count.
func Spend(ctx context.Context, tx *tenancy.Tx, wants []Want, byHand bool) (map[uuid.UUID]billing.Money, error) {
	if len(wants) == 0 {
		return nil, nil
	}
	of := make([]uuid.UUID, len(wants))
	for i, w := range wants {
		of[i] = w.AccountID
	}
	// Everybody locks in the order of the ids; who waited sees what was left.
	grants, err := locked(ctx, tx, "g.left_minor > 0 AND g.account_id IN (?) AND a.closed_at IS NULL AND (? OR a.credit_by_hand IS NOT TRUE)", bun.List(of), byHand)
	if err != nil || len(grants) == 0 {
		return nil, err
	}
	spent, steps := map[uuid.UUID]billing.Money{}, []step(nil)
	var events []ledger.Event
	for _, w := range wants {
		if w.Owed.Minor <= 0 {
			continue
		}
		rules := make([]billing.CreditGrant, len(grants))
		for i, g := range grants {
			if rules[i] = g.Rule(); g.AccountID != w.AccountID {
				rules[i].Left.Minor = 0
			}
		}
		parts, err := billing.Spend(rules, w.Owed, tx.Now())
		if err != nil {
			return nil, fmt.Errorf("spend credit on %s: %w", w.InvoiceID, err)
		}
		key, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		event := ledger.Event{Key: "credit/spent/" + key.String(), AccountID: w.AccountID, SourceKind: "credit", SourceID: w.InvoiceID}
		sum := billing.Money{Currency: w.Owed.Currency}
		for i, p := range parts {
			if p.Minor == 0 {
				continue
			}
			grants[i].Left.Minor -= p.Minor
			sum.Minor += p.Minor
			steps = append(steps, step{GrantID: grants[i].ID, Key: key.String(), Kind: "spent", Minor: -p.Minor, InvoiceID: &w.InvoiceID, Actor: actorOf(w.Actor)})
			event.Moves = append(event.Moves, billing.PostCreditSpent(grants[i].Bought, p)...)
		}
		if sum.Minor > 0 {
			spent[w.InvoiceID] = sum
			events = append(events, event)
		}
	}
	if err := keep(ctx, tx, steps); err != nil {
		return nil, err
	}
	return spent, ledger.Post(ctx, tx, events...)
}

func actorOf(name string) string {
	if name == "" {
		return activity.System
	}
	return name
}

// locked reads grants and keeps them from others until the transaction ends.
func locked(ctx context.Context, tx *tenancy.Tx, where string, args ...any) ([]Grant, error) {
	var rows []grantRow
	err := tx.NewRaw("SELECT "+grantColumns+" FROM credit_grants g JOIN accounts a ON a.id = g.account_id WHERE "+where+" ORDER BY g.id FOR UPDATE OF g", args...).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("lock credit: %w", err)
	}
	all := make([]Grant, len(rows))
	for i, r := range rows {
		all[i] = r.grant()
	}
	return all, nil
}

// keep writes what became of locked grants, and what is left of them.
func keep(ctx context.Context, tx *tenancy.Tx, steps []step) error {
	if len(steps) == 0 {
		return nil
	}
	rows, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`WITH s AS MATERIALIZED (SELECT * FROM jsonb_to_recordset(?::jsonb) AS s(grant_id uuid, key text, kind text, minor bigint, invoice_id uuid, actor text)),
		moved AS (INSERT INTO credit_moves (grant_id, key, kind, minor, invoice_id, actor, at) SELECT grant_id, key, kind, minor, invoice_id, actor, ? FROM s)
		UPDATE credit_grants g SET left_minor = g.left_minor + m.minor FROM (SELECT grant_id, sum(minor) AS minor FROM s GROUP BY 1) m WHERE g.id = m.grant_id`,
		string(rows), tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("move credit: %w", err)
	}
	return nil
}

// Used is how much of an invoice credit has paid, piece by piece, the last spent first.
func used(ctx context.Context, tx *tenancy.Tx, account, invoice uuid.UUID) ([]step, error) {
	var rows []struct {
		grantRow
		Used int64
	}
	err := tx.NewRaw(`SELECT `+grantColumns+`, u.used FROM credit_grants g JOIN (SELECT m.grant_id, -sum(m.minor) AS used, max(m.key) AS last FROM credit_moves m
			JOIN credit_grants o ON o.id = m.grant_id WHERE o.account_id = ? AND m.invoice_id = ? GROUP BY 1 HAVING sum(m.minor) < 0) u ON u.grant_id = g.id
		ORDER BY u.last DESC, g.expires_at DESC NULLS FIRST, g.bought DESC, g.created_at DESC, g.id`, account, invoice).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the credit of %s: %w", invoice, err)
	}
	all := make([]step, len(rows))
	for i, r := range rows {
		all[i] = step{GrantID: r.ID, Minor: r.Used, grant: r.grant()}
	}
	return all, nil
}

// Return takes an amount that credit paid of an invoice back to the pieces it came of,
// the last spent first; what has expired since expires again. Its caller holds the
// invoice's lock and lowers what was paid. The fault is credit.too_much.
func Return(ctx context.Context, tx *tenancy.Tx, w Want, amount billing.Money) error {
	of, err := used(ctx, tx, w.AccountID, w.InvoiceID)
	if err != nil {
		return err
	}
	if _, err := locked(ctx, tx, "g.account_id = ?", w.AccountID); err != nil {
		return err
	}
	key, err := uuid.NewV7()
	if err != nil {
		return err
	}
	event := ledger.Event{Key: "credit/returned/" + key.String(), AccountID: w.AccountID, SourceKind: "credit", SourceID: w.InvoiceID}
	rest, expires, steps := amount.Minor, time.Time{}, []step(nil)
	for _, u := range of {
		n := min(rest, u.Minor)
		if n == 0 || u.grant.Amount.Currency != amount.Currency {
			continue
		}
		rest -= n
		steps = append(steps, step{GrantID: u.GrantID, Key: key.String(), Kind: "returned", Minor: n, InvoiceID: &w.InvoiceID, Actor: actorOf(w.Actor)})
		event.Moves = append(event.Moves, billing.PostCreditSpent(u.grant.Bought, billing.Money{Minor: -n, Currency: amount.Currency})...)
		if at := u.grant.ExpiresAt; !at.IsZero() && (expires.IsZero() || at.Before(expires)) {
			expires = at
		}
	}
	if rest > 0 || amount.Minor <= 0 {
		return fault.Field("amount", "credit.too_much", "Credit paid less than that.")
	}
	if err := keep(ctx, tx, steps); err != nil {
		return err
	}
	if !expires.IsZero() {
		if err := tx.AdvanceAgenda(ctx, Agenda, expires); err != nil {
			return err
		}
	}
	if err := ledger.Post(ctx, tx, event); err != nil {
		return err
	}
	ids := make([]uuid.UUID, len(steps))
	for i, s := range steps {
		ids[i] = s.GrantID
	}
	return contestReturned(ctx, tx, w.AccountID, ids)
}

// takeGiven takes what is left of a locked grant that was given.
func takeGiven(ctx context.Context, tx *tenancy.Tx, g Grant, actor string) error {
	key := "credit/taken/" + g.ID.String() + "/" + tx.Now().UTC().Format(time.RFC3339Nano)
	if err := keep(ctx, tx, []step{{GrantID: g.ID, Key: key, Kind: "expired", Minor: -g.Left.Minor, Actor: actorOf(actor)}}); err != nil {
		return err
	}
	if err := ledger.Post(ctx, tx, ledger.Event{Key: key, AccountID: g.AccountID, SourceKind: "credit", SourceID: g.ID, Moves: billing.PostCreditExpired(g.Bought, g.Left)}); err != nil {
		return err
	}
	return activity.Tell(ctx, tx, activity.Event{Key: key, AccountID: g.AccountID, SubjectKind: activity.Account, SubjectID: g.AccountID, Kind: "credit.taken_back",
		Text: g.Left.Format("en") + " of credit were taken back.", Actor: actor, CustomerSees: true})
}

// Agenda is the kind under which a shop says when credit expires.
const Agenda = "credit"

// expireAtOnce is how many pieces one transaction books out.
const expireAtOnce = 200

// Expire books out what nobody used in its time, and sets the agenda to the next.
func Expire(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	for {
		var n int
		err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
			n, err = expireSome(ctx, tx)
			return err
		})
		if err != nil || n < expireAtOnce {
			return err
		}
	}
}

func expireSome(ctx context.Context, tx *tenancy.Tx) (int, error) {
	grants, err := locked(ctx, tx, "g.id IN (SELECT id FROM credit_grants WHERE left_minor > 0 AND expires_at <= ? ORDER BY id LIMIT ?) AND g.left_minor > 0", tx.Now(), expireAtOnce)
	if err != nil {
		return 0, err
	}
	steps, events, told := make([]step, len(grants)), make([]ledger.Event, len(grants)), make([]activity.Event, len(grants))
	for i, g := range grants {
		key, err := uuid.NewV7() // what was returned later expires once more
		if err != nil {
			return 0, err
		}
		steps[i] = step{GrantID: g.ID, Key: key.String(), Kind: "expired", Minor: -g.Left.Minor, Actor: activity.System}
		name := "credit/expired/" + key.String()
		events[i] = ledger.Event{Key: name, AccountID: g.AccountID, SourceKind: "credit", SourceID: g.ID, Moves: billing.PostCreditExpired(g.Bought, g.Left)}
		told[i] = activity.Event{Key: name, AccountID: g.AccountID, SubjectKind: activity.Account, SubjectID: g.AccountID, Kind: "credit.expired",
			Text: g.Left.Format("en") + " of credit expired.", CustomerSees: true}
	}
	if err := keep(ctx, tx, steps); err != nil {
		return 0, err
	}
	if err := ledger.Post(ctx, tx, events...); err != nil {
		return 0, err
	}
	if err := activity.Tell(ctx, tx, told...); err != nil {
		return 0, err
	}
	// The first waits for others who set it; what they committed is seen by the second.
	return len(grants), errors.Join(watch(ctx, tx), watch(ctx, tx))
}

// watch puts what expires next on the agenda.
func watch(ctx context.Context, tx *tenancy.Tx) error {
	var next struct{ At time.Time }
	if err := tx.NewRaw("SELECT min(expires_at) AS at FROM credit_grants WHERE left_minor > 0 AND expires_at IS NOT NULL").Scan(ctx, &next); err != nil {
		return fmt.Errorf("look for credit that expires: %w", err)
	}
	return tx.SetAgenda(ctx, Agenda, next.At)
}
