package referral

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/likeness"
)

// Visit is how somebody came who may sign up.
type Visit struct {
	Code string    // of the link they came by; empty: none
	At   time.Time // when they followed it
	IP   string    // of theirs now
}

// CookieFor is how long a link is remembered by who followed it.
const CookieFor = 60 * 24 * time.Hour

type visitKey struct{}

// Carry gives a visit to whoever opens accounts below ctx: signing up is of another part,
// which knows nothing of links.
func Carry(ctx context.Context, v Visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

// Carried is the visit a context carries; the zero one when it carries none.
func Carried(ctx context.Context) Visit {
	v, _ := ctx.Value(visitKey{}).(Visit)
	return v
}

// Join says of an account that was opened just now who brought it, where the visit names
// somebody and the programme is on. What names nobody changes nothing: the newcomer is
// welcome all the same. It may be repeated.
func Join(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, v Visit) error {
	low, high, ok := bounds(v.Code)
	if !ok || tx.Now().Sub(v.At) > CookieFor {
		return nil
	}
	p, err := Of(ctx, tx)
	if err != nil || !p.On {
		return err
	}
	var by uuid.UUID
	err = tx.NewRaw("SELECT id FROM accounts WHERE id BETWEEN ? AND ? AND id <> ? AND closed_at IS NULL LIMIT 1", low, high, account).Scan(ctx, &by)
	if tenancy.IsNoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a referrer: %w", err)
	}
	k := kept{By: by, State: billing.ReferralJoined, JoinedAt: tx.Now().UTC()}
	if network := likeness.Network(v.IP); network != "" {
		k.Network = likeness.Hash(network)
	}
	r, err := tx.NewRaw(`UPDATE accounts SET brought = coalesce(brought, '[]') || to_jsonb(?::text)
		WHERE id = ? AND EXISTS (SELECT FROM accounts n WHERE n.id = ? AND n.referral IS NULL)`, account, by, account).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep who was brought: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if err := k.save(ctx, tx, account); err != nil {
		return err
	}
	return activity.Tell(ctx, tx, activity.Event{Key: "referral/" + account.String() + "/joined", AccountID: by, SubjectKind: activity.Account, SubjectID: by,
		Kind: "referral.joined", Text: "Somebody signed up by your link.", CustomerSees: true})
}
