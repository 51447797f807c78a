package checkout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// A quote keeps the pieces it is over for its account until it expires, or until the
// account has another one with something that is counted: it has one hold of a plan, so that who looks at the
// checkout ten times does not keep ten pieces. Whoever takes from a stock reads it under
// its lock with all holds; one that is over counts no more without anybody taking it away.

// pieces are how many of each plan things are.
func pieces(items []Item) map[uuid.UUID]int {
	n := map[uuid.UUID]int{}
	for _, x := range items {
		n[x.PlanID]++
	}
	return n
}

// counted is a plan of which there are so many, locked.
type counted struct {
	ID    uuid.UUID
	Stock int
	Held  []byte
	held  map[string]billing.StockHold
}

// lockStock locks plans that are counted, and those of which the account holds something,
// in the order of their ids: two carts cannot lock each other out.
func lockStock(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, wanted map[uuid.UUID]int) ([]counted, error) {
	ids := []uuid.UUID{uuid.Nil}
	for id := range wanted {
		ids = append(ids, id)
	}
	var rows []counted
	err := tx.NewRaw("SELECT id, stock, held FROM plans WHERE stock IS NOT NULL AND (id IN (?) OR jsonb_exists(held, ?)) ORDER BY id FOR UPDATE", bun.List(ids), account.String()).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("lock the stock: %w", err)
	}
	for i, r := range rows {
		if len(r.Held) == 0 {
			continue
		}
		if err := json.Unmarshal(r.Held, &rows[i].held); err != nil {
			return nil, fmt.Errorf("read the stock of plan %s: %w", r.ID, err)
		}
	}
	return rows, nil
}

func (c counted) keep(ctx context.Context, tx *tenancy.Tx) error {
	var held *string
	if len(c.held) > 0 {
		raw, err := json.Marshal(c.held)
		if err != nil {
			return err
		}
		text := string(raw)
		held = &text
	}
	if _, err := tx.NewRaw("UPDATE plans SET stock = ?, held = ?::jsonb WHERE id = ?", c.Stock, held, c.ID).Exec(ctx); err != nil {
		return fmt.Errorf("count plan %s: %w", c.ID, err)
	}
	return nil
}

// holdStock keeps what a quote is over for its account until the quote expires, and gives
// up what was kept of other plans. Faults: checkout.out_of_stock, checkout.held.
func (q *Quote) holdStock(ctx context.Context, tx *tenancy.Tx) error {
	if !q.counted {
		return nil
	}
	wanted := pieces(q.Items)
	rows, err := lockStock(ctx, tx, q.AccountID, wanted)
	if err != nil {
		return err
	}
	for _, r := range rows {
		n, ok := wanted[r.ID], false
		was := r.held
		r.held, ok = billing.HoldStock(r.Stock, was, q.AccountID.String(), billing.StockHold{Pieces: n, Until: q.ExpiresAt.UTC()}, tx.Now())
		if !ok {
			return tooFew(r, q.Items, q.AccountID, tx)
		}
		if err := r.keep(ctx, tx); err != nil {
			return err
		}
		if n > 0 {
			q.HeldUntil = q.ExpiresAt
		}
	}
	return nil
}

// tooFew says that a stock is empty, or that others have the rest in their checkout.
func tooFew(r counted, items []Item, account uuid.UUID, tx *tenancy.Tx) error {
	label := items[slices.IndexFunc(items, func(x Item) bool { return x.PlanID == r.ID })].Label
	if free := billing.HeldUntil(r.held, account.String(), tx.Now()); r.Stock > 0 && !free.IsZero() {
		return heldByOthers(label)
	}
	return outOfStock(label)
}

func heldByOthers(label string) error {
	return fault.New(fault.Conflict, "checkout.held", "The last of "+label+" are being ordered by others at the moment. What they do not order is free again within 15 minutes.")
}

// takeStock counts the pieces of an order off, and what was kept of them for its account.
// Faults: checkout.out_of_stock, checkout.held.
func takeStock(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, items []Item) error {
	wanted := pieces(items)
	rows, err := lockStock(ctx, tx, account, wanted)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if wanted[r.ID] > billing.StockLeft(r.Stock, r.held, account.String(), tx.Now()) {
			return tooFew(r, items, account, tx)
		}
		r.Stock -= wanted[r.ID]
		r.held, _ = billing.HoldStock(r.Stock, r.held, account.String(), billing.StockHold{}, tx.Now())
		if err := r.keep(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// inStock refuses a plan of which nothing can be had now by an account; uuid.Nil: by a
// stranger.
func inStock(p catalog.FullPlan, account uuid.UUID, tx *tenancy.Tx) error {
	switch {
	case p.Stock == nil:
	case *p.Stock == 0:
		return outOfStock(p.ProductName + " " + p.Name)
	case billing.StockLeft(*p.Stock, p.Held, account.String(), tx.Now()) == 0:
		return heldByOthers(p.ProductName + " " + p.Name)
	}
	return nil
}
