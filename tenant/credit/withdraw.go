package credit

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// Withdraw takes bought credit out, which goes back to who paid for it: once a refund.
// What was spent cannot be taken, unless the money has gone already (gone): what is
// missing then is the shop's loss, once what is held is taken too. Faults: credit.not_found, credit.spent.
func Withdraw(ctx context.Context, tx *tenancy.Tx, id, refund uuid.UUID, amount billing.Money, gone bool, actor string) error {
	key := "credit/withdrawn/" + refund.String()
	grants, err := locked(ctx, tx, "g.id = ? AND g.bought AND g.currency = ?", id, amount.Currency)
	if err != nil {
		return err
	}
	if len(grants) == 0 {
		return fault.New(fault.NotFound, "credit.not_found", "There is no such credit.")
	}
	if known, err := ledger.Posted(ctx, tx, key); err != nil || known {
		return err
	}
	g := grants[0]
	if gone {
		free, err := g.unhold(ctx, tx, amount.Minor-g.Left.Minor)
		if err != nil {
			return err
		}
		g.Left.Minor += free
	}
	taken := billing.Money{Minor: min(amount.Minor, g.Left.Minor), Currency: amount.Currency}
	if taken.Minor < amount.Minor && !gone {
		return fault.Field("amount", "credit.spent", "Only "+g.Left.Format("en")+" of this credit are left. What was spent on invoices is given back there.")
	}
	moves := billing.PostCreditWithdrawn(taken)
	if taken.Minor > 0 {
		if err := keep(ctx, tx, []step{{GrantID: g.ID, Key: key, Kind: "withdrawn", Minor: -taken.Minor, Actor: actorOf(actor)}}); err != nil {
			return err
		}
	}
	moves = append(moves, billing.PostCreditLost(billing.Money{Minor: amount.Minor - taken.Minor, Currency: amount.Currency})...)
	return ledger.Post(ctx, tx, ledger.Event{Key: key, AccountID: g.AccountID, SourceKind: "credit", SourceID: g.ID, Moves: moves})
}

// Restore puts back what was withdrawn for a refund that failed, once. Where its payment is
// disputed it is held.
func Restore(ctx context.Context, tx *tenancy.Tx, id, refund uuid.UUID, amount billing.Money) error {
	key, back := "credit/withdrawn/"+refund.String(), "credit/restored/"+refund.String()
	grants, err := locked(ctx, tx, "g.id = ?", id)
	if err != nil || len(grants) == 0 {
		return err
	}
	if known, err := ledger.Posted(ctx, tx, back); err != nil || known {
		return err
	}
	var taken int64
	if err := tx.NewRaw("SELECT coalesce(-sum(minor), 0)::bigint FROM credit_moves WHERE grant_id = ? AND key = ?", id, key).Scan(ctx, &taken); err != nil {
		return fmt.Errorf("read what was withdrawn: %w", err)
	}
	moves := billing.PostCreditWithdrawn(billing.Money{Minor: -taken, Currency: amount.Currency})
	if taken > 0 {
		if err := keep(ctx, tx, []step{{GrantID: id, Key: back, Kind: "withdrawn", Minor: taken, Actor: actorOf("")}}); err != nil {
			return err
		}
	}
	moves = append(moves, billing.PostCreditLost(billing.Money{Minor: taken - amount.Minor, Currency: amount.Currency})...)
	if err := ledger.Post(ctx, tx, ledger.Event{Key: back, AccountID: grants[0].AccountID, SourceKind: "credit", SourceID: id, Moves: moves}); err != nil {
		return err
	}
	return contestReturned(ctx, tx, grants[0].AccountID, []uuid.UUID{id})
}
