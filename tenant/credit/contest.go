package credit

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// Contest has credit follow a dispute about the payment that bought it: id is the grant of a
// top-up, away what the bank holds or took of the money, gone what of that is lost for good.
// What is not spent is held, given back when the money comes back, and taken when it is gone.
// Of a gift code all is held, or what its redeemer has not spent. It goes by how things
// stand, and may be repeated.
func Contest(ctx context.Context, tx *tenancy.Tx, payment, id uuid.UUID, away, gone int64) error {
	var code giftRow
	err := tx.NewRaw(`SELECT code_hash, bought_by, currency, amount_minor, redeemed_at, withdrawn_at, disputed_at FROM gift_codes WHERE batch_id = ? AND bought_by IS NOT NULL FOR UPDATE`, payment).Scan(ctx, &code)
	switch {
	case tenancy.IsNoRows(err):
	case err != nil:
		return fmt.Errorf("read the gift code of payment %s: %w", payment, err)
	case code.RedeemedAt.IsZero():
		return code.contest(ctx, tx, payment, away > 0, gone > 0)
	default:
		id = IDOf(giftKey(code.CodeHash))
	}
	grants, err := locked(ctx, tx, "g.id = ? AND g.bought", id)
	if err != nil || len(grants) == 0 {
		return err
	}
	return grants[0].contest(ctx, tx, away, gone)
}

// ContestRefunds has the credit that a payment of an invoice became in place of going back follow
// its disputes as Contest says, as far as they are about more than the invoice kept of it.
func ContestRefunds(ctx context.Context, tx *tenancy.Tx, payment uuid.UUID, away, gone int64) error {
	var kept int64
	if err := tx.NewRaw("SELECT amount_minor - refunded_minor FROM payments WHERE id = ?", payment).Scan(ctx, &kept); err != nil {
		return fmt.Errorf("read what payment %s paid: %w", payment, err)
	}
	grants, err := locked(ctx, tx, "g.bought AND g.id IN (SELECT r.grant_id FROM refunds r WHERE r.payment_id = ?)", payment)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if err := g.contest(ctx, tx, away-kept, gone-kept); err != nil {
			return err
		}
		kept += g.Amount.Minor // the next one is held for what is beyond this one
	}
	return nil
}

// giftKey is the natural key of the credit of a code.
func giftKey(hash []byte) string { return "gift/" + hex.EncodeToString(hash) }

// contest settles a locked grant.
func (g Grant) contest(ctx context.Context, tx *tenancy.Tx, away, gone int64) error {
	was := billing.ContestedCredit{Left: g.Left.Minor}
	err := tx.NewRaw(`SELECT coalesce(-sum(minor) FILTER (WHERE kind = 'held'), 0)::bigint, coalesce(-sum(minor) FILTER (WHERE kind = 'lost'), 0)::bigint FROM credit_moves WHERE grant_id = ?`, g.ID).Scan(ctx, &was.Held, &was.Lost)
	if err != nil {
		return fmt.Errorf("read what is held of credit %s: %w", g.ID, err)
	}
	is := was.Settle(away, gone)
	if is == was {
		return nil
	}
	key, err := uuid.NewV7()
	if err != nil {
		return err
	}
	var steps []step
	for _, s := range []step{{Kind: "held", Minor: was.Held - is.Held}, {Kind: "lost", Minor: was.Lost - is.Lost}} {
		if s.Minor != 0 {
			s.GrantID, s.Key, s.Actor = g.ID, key.String()+"/"+s.Kind, activity.System
			steps = append(steps, s)
		}
	}
	if err := keep(ctx, tx, steps); err != nil {
		return err
	}
	m := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: g.Amount.Currency} }
	name := "credit/contested/" + key.String()
	err = ledger.Post(ctx, tx, ledger.Event{Key: name, AccountID: g.AccountID, SourceKind: "credit", SourceID: g.ID, Moves: billing.PostCreditContested(billing.CustomerCredit, m(was.Left-is.Left), m(is.Lost-was.Lost))})
	if err != nil {
		return err
	}
	if is.Left > 0 && !g.ExpiresAt.IsZero() {
		if err := tx.AdvanceAgenda(ctx, Agenda, g.ExpiresAt); err != nil {
			return err
		}
	}
	return tellContest(ctx, tx, name, g.AccountID, m(is.Held-was.Held), m(is.Lost-was.Lost))
}

// tellContest says on the account's timeline what became of credit.
func tellContest(ctx context.Context, tx *tenancy.Tx, key string, account uuid.UUID, held, lost billing.Money) error {
	kind, text := "credit.held", held.Format("en")+" of credit are held: the payment they were bought with is disputed at the bank."
	switch {
	case lost.Minor > 0:
		kind, text = "credit.taken_back", lost.Format("en")+" of credit were taken back: the bank took back the payment they were bought with."
	case held.Minor+lost.Minor < 0:
		back := billing.Money{Minor: -held.Minor - lost.Minor, Currency: held.Currency}
		kind, text = "credit.released", back.Format("en")+" of credit count again: the money they were bought with came back."
	}
	return activity.Tell(ctx, tx, activity.Event{Key: key, AccountID: account, SubjectKind: activity.Account, SubjectID: account, Kind: kind, Text: text, CustomerSees: true})
}

// giftRow is a code that was bought.
type giftRow struct {
	CodeHash                            []byte
	BoughtBy                            uuid.UUID
	Currency                            string
	AmountMinor                         int64
	RedeemedAt, WithdrawnAt, DisputedAt time.Time
}

// contest settles a locked code that nobody redeemed: it counts no more while some of its
// money is away, and never again once some is gone.
func (r giftRow) contest(ctx context.Context, tx *tenancy.Tx, payment uuid.UUID, away, gone bool) error {
	was := billing.ContestedCredit{Left: r.AmountMinor}
	switch {
	case r.DisputedAt.IsZero() && !r.WithdrawnAt.IsZero(): // it was given back
		return nil
	case !r.DisputedAt.IsZero() && !r.WithdrawnAt.IsZero():
		was = billing.ContestedCredit{Lost: r.AmountMinor}
	case !r.DisputedAt.IsZero():
		was = billing.ContestedCredit{Held: r.AmountMinor}
	}
	var all, lost int64
	if away {
		all = r.AmountMinor
	}
	if gone {
		lost = all
	}
	is := was.Settle(all, lost)
	if is == was {
		return nil
	}
	_, err := tx.NewRaw(`UPDATE gift_codes SET disputed_at = CASE WHEN ? THEN coalesce(disputed_at, ?) END, withdrawn_at = CASE WHEN ? THEN ?::timestamptz END WHERE batch_id = ? AND bought_by IS NOT NULL`,
		is.Left == 0, tx.Now(), is.Lost > 0, tx.Now(), payment).Exec(ctx)
	if err != nil {
		return fmt.Errorf("hold the gift code of payment %s: %w", payment, err)
	}
	key, err := uuid.NewV7()
	if err != nil {
		return err
	}
	m := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: r.Currency} }
	name := "credit/contested/" + key.String()
	err = ledger.Post(ctx, tx, ledger.Event{Key: name, AccountID: r.BoughtBy, SourceKind: "payment", SourceID: payment, Moves: billing.PostCreditContested(billing.GiftCodes, m(was.Left-is.Left), m(is.Lost-was.Lost))})
	if err != nil {
		return err
	}
	return tellContest(ctx, tx, name, r.BoughtBy, m(is.Held-was.Held), m(is.Lost-was.Lost))
}

// contestReturned holds what came back to pieces whose payment is disputed or was taken back.
func contestReturned(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, ids []uuid.UUID) error {
	var from []struct {
		ID, GrantID uuid.UUID // GrantID uuid.Nil: its invoice's money became credit
	}
	err := tx.NewRaw(`SELECT p.id, g.id AS grant_id FROM credit_grants g JOIN payments p ON p.id = g.source_id WHERE g.account_id = ?0 AND g.bought AND g.id IN (?1) AND p.disputes IS NOT NULL
		UNION SELECT p.id, '00000000-0000-0000-0000-000000000000' FROM credit_grants g JOIN payments p ON p.invoice_id = g.source_id JOIN refunds r ON r.payment_id = p.id AND r.grant_id = g.id
		WHERE g.account_id = ?0 AND g.bought AND g.id IN (?1) AND p.disputes IS NOT NULL ORDER BY 1, 2`, account, bun.List(ids)).Scan(ctx, &from)
	if err != nil {
		return fmt.Errorf("look for disputes about credit that came back: %w", err)
	}
	for _, p := range from {
		away, gone, err := contested(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		if p.GrantID == uuid.Nil {
			if err := ContestRefunds(ctx, tx, p.ID, away, gone); err != nil {
				return err
			}
			continue
		}
		grants, err := locked(ctx, tx, "g.id = ?", p.GrantID) // not by Contest: its codes are locked before what became of them
		if err != nil {
			return err
		}
		if err := grants[0].contest(ctx, tx, away, gone); err != nil {
			return err
		}
	}
	return nil
}

// contested is what banks hold or took of a payment, and what of that is lost for good.
func contested(ctx context.Context, tx *tenancy.Tx, payment uuid.UUID) (away, gone int64, err error) {
	err = tx.NewRaw(`SELECT coalesce(sum(d.withdrawn_minor), 0)::bigint, coalesce(sum(d.lost_minor), 0)::bigint FROM payments p, jsonb_to_recordset(p.disputes) AS d(withdrawn_minor bigint, lost_minor bigint) WHERE p.id = ?`, payment).Scan(ctx, &away, &gone)
	if err != nil {
		return 0, 0, fmt.Errorf("read the disputes of payment %s: %w", payment, err)
	}
	return away, gone, nil
}

// unhold makes so much of a locked grant that is held count again, as far as so much is held, and
// says how much: what went back meanwhile is not there to be held.
func (g Grant) unhold(ctx context.Context, tx *tenancy.Tx, minor int64) (int64, error) {
	var held int64
	err := tx.NewRaw("SELECT coalesce(-sum(minor), 0)::bigint FROM credit_moves WHERE grant_id = ? AND kind = 'held'", g.ID).Scan(ctx, &held)
	if err != nil {
		return 0, fmt.Errorf("read what is held of credit %s: %w", g.ID, err)
	}
	if minor = min(minor, held); minor <= 0 {
		return 0, nil
	}
	key, err := uuid.NewV7()
	if err != nil {
		return 0, err
	}
	if err := keep(ctx, tx, []step{{GrantID: g.ID, Key: key.String() + "/held", Kind: "held", Minor: minor, Actor: activity.System}}); err != nil {
		return 0, err
	}
	m := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: g.Amount.Currency} }
	return minor, ledger.Post(ctx, tx, ledger.Event{Key: "credit/contested/" + key.String(), AccountID: g.AccountID, SourceKind: "credit", SourceID: g.ID, Moves: billing.PostCreditContested(billing.CustomerCredit, m(-minor), m(0))})
}
