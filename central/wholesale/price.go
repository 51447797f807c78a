package wholesale

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// BookPrice is one row of the price book.
type BookPrice struct {
	ID        uuid.UUID
	SKU       string `bun:"sku"`
	Tier      string // empty: for all that have none of their own
	Price     billing.Rate
	From      time.Time
	To        time.Time // zero: until another follows
	CreatedBy string
	CreatedAt time.Time
}

// At reports whether the price holds at t.
func (p BookPrice) At(t time.Time) bool { return period{p.From, p.To}.at(t) }

// priceRow is a row as the database has it.
type priceRow struct {
	ID         uuid.UUID
	SKU        string `bun:"sku"`
	Tier       string
	Currency   string
	PriceMinor string
	ValidFrom  time.Time
	ValidTo    time.Time
	CreatedBy  string
	CreatedAt  time.Time
}

const priceColumns = "p.id, p.sku, p.tier, p.currency, p.price_minor::text AS price_minor, p.valid_from, p.valid_to, p.created_by, p.created_at"

func (r priceRow) price() (BookPrice, error) {
	rate, err := billing.ParseMinorRate(r.PriceMinor, r.Currency)
	return BookPrice{r.ID, r.SKU, r.Tier, rate, r.ValidFrom.UTC(), utcOrZero(r.ValidTo), r.CreatedBy, r.CreatedAt.UTC()}, err
}

func utcOrZero(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// Book is the whole price book of one SKU, or of all when sku is empty: by SKU, tier and
// currency, the newest first.
func (d *Desk) Book(ctx context.Context, sku string) (all []BookPrice, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		all, err = bookIn(ctx, tx, sku)
		return err
	})
	return all, err
}

func bookIn(ctx context.Context, tx *tenancy.CentralTx, sku string) (all []BookPrice, err error) {
	var rows []priceRow
	err = tx.NewRaw("SELECT "+priceColumns+` FROM wholesale_prices p JOIN skus s USING (sku) WHERE ? IN ('', p.sku)
		ORDER BY s.position, p.sku, p.tier, p.currency, p.valid_from DESC`, plain(sku)).Scan(ctx, &rows)
	for _, r := range rows {
		if err != nil {
			break
		}
		var p BookPrice
		p, err = r.price()
		all = append(all, p)
	}
	if err != nil {
		return nil, fmt.Errorf("price book: %w", err)
	}
	return all, nil
}

// Shelf is the whole price book of one moment: SKUs, prices and tiers.
type Shelf struct {
	SKUs   []SKU
	Prices []BookPrice
	Tiers  []Tier
}

// Shelf reads all of it.
func (d *Desk) Shelf(ctx context.Context) (s Shelf, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		if s.SKUs, err = skusIn(ctx, tx); err != nil {
			return err
		}
		if s.Prices, err = bookIn(ctx, tx, ""); err != nil {
			return err
		}
		s.Tiers, err = tiersIn(ctx, tx)
		return err
	})
	return s, err
}

// NewPrice is a price as a person sets it.
type NewPrice struct {
	SKU      string
	Tier     string // empty: for all
	Currency string
	Price    string // a decimal of whole units: 4.20, or finer
	From     time.Time
}

// SetPrice lets a price hold from a day on: the one before it ends there, and one that is
// planned for later stays planned. Months that were billed are closed. The fault
// price.invalid is about fields; others are sku.unknown and price.closed.
func (d *Desk) SetPrice(ctx context.Context, n NewPrice, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return n.set(ctx, tx, by) })
	if err != nil {
		return fmt.Errorf("set price: %w", err)
	}
	return nil
}

// set is SetPrice as a part of a larger change.
func (n NewPrice) set(ctx context.Context, tx *tenancy.CentralTx, by audit.Origin) error {
	wrong := map[string]string{}
	rate, err := billing.ParseRate(n.Price, n.Currency)
	switch {
	case err != nil && wrongCurrency(n.Currency):
		wrong["currency"] = "Choose a currency."
	case err != nil:
		wrong["price"] = "Enter an amount such as 4.20, not negative."
	}
	if n.From.IsZero() || n.From.Year() < 2000 || n.From.Year() > 2200 {
		wrong["from"] = "Choose the day from which it holds."
	}
	if n.Tier != "" && !tierName.MatchString(n.Tier) {
		wrong["tier"] = "Choose a tier."
	}
	if err := fault.Fields("price.invalid", wrong); err != nil {
		return err
	}
	if _, err := skuByName(ctx, tx, n.SKU, "FOR UPDATE"); err != nil {
		return err
	}
	if err := mustBeOpen(ctx, tx, n.From); err != nil {
		return err
	}
	if n.Tier != "" {
		if err := mustKnowTier(ctx, tx, n.Tier, n.Currency); err != nil {
			return err
		}
	}
	return storePrice(ctx, tx, n, rate, by)
}

func wrongCurrency(code string) bool {
	_, err := billing.Digits(code)
	return err != nil
}

// mustBeOpen refuses a day within months that were billed.
func mustBeOpen(ctx context.Context, tx *tenancy.CentralTx, from time.Time) error {
	closed, err := closedUntil(ctx, tx)
	return openFrom(from, closed, err)
}

// mustBeOpenFor is mustBeOpen of what concerns one reseller alone.
func mustBeOpenFor(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, from time.Time) error {
	closed, err := closedFor(ctx, tx, of)
	return openFrom(from, closed, err)
}

func openFrom(from, closed time.Time, err error) error {
	if err != nil {
		return err
	}
	if from.Before(closed) {
		return fault.Field("from", "price.closed", "Everything before "+day(closed)+" is billed. Choose that day or a later one.")
	}
	return nil
}

func storePrice(ctx context.Context, tx *tenancy.CentralTx, n NewPrice, rate billing.Rate, by audit.Origin) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	const same = " sku = ? AND tier = ? AND currency = ? "
	// The SKU's row is locked: nobody else moves its prices meanwhile.
	_, err = tx.NewRaw("UPDATE wholesale_prices SET valid_to = ? WHERE"+same+"AND valid_from < ? AND (valid_to IS NULL OR valid_to > ?)",
		n.From, n.SKU, n.Tier, n.Currency, n.From, n.From).Exec(ctx)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO wholesale_prices (id, sku, tier, currency, price_minor, valid_from, valid_to, created_by, created_at)
		VALUES (?, ?, ?, ?, ?::numeric, ?, (SELECT min(valid_from) FROM wholesale_prices WHERE`+same+`AND valid_from > ?), ?, ?)
		ON CONFLICT (sku, tier, currency, valid_from) DO UPDATE SET price_minor = excluded.price_minor, valid_to = excluded.valid_to,
			created_by = excluded.created_by, created_at = excluded.created_at`,
		id, n.SKU, n.Tier, n.Currency, rate.Minor(), n.From, n.SKU, n.Tier, n.Currency, n.From, by.Actor.Name, tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	return by.Record(ctx, tx, "price.set", skuTarget(n.SKU), map[string]any{"tier": n.Tier, "price": rate.String(), "from": day(n.From)})
}

// EndPrice ends a price at a moment; usage after it is priced by the row for all tiers or,
// without one, cannot be billed until it has a price.
func (d *Desk) EndPrice(ctx context.Context, id uuid.UUID, at time.Time, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var r priceRow
		err := tx.NewRaw("SELECT "+priceColumns+" FROM wholesale_prices p WHERE p.id = ? FOR UPDATE", id).Scan(ctx, &r)
		if tenancy.IsNoRows(err) {
			return fault.New(fault.NotFound, "price.unknown", "There is no such price.")
		}
		if err != nil {
			return err
		}
		if err := mustBeOpen(ctx, tx, at); err != nil {
			return err
		}
		if !at.After(r.ValidFrom) || (!r.ValidTo.IsZero() && at.After(r.ValidTo)) {
			return fault.Field("from", "price.not_then", "The price does not hold on that day.")
		}
		if _, err := tx.NewRaw("UPDATE wholesale_prices SET valid_to = ? WHERE id = ?", bun.NullZero(at), id).Exec(ctx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "price.ended", skuTarget(r.SKU), map[string]any{"tier": r.Tier, "currency": r.Currency, "at": day(at)})
	})
	if err != nil {
		return fmt.Errorf("end price: %w", err)
	}
	return nil
}
