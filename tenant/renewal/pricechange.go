package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// PriceState is how far a change of prices has come.
type PriceState string

// The states of a change of prices.
const (
	PriceScheduled PriceState = "scheduled"
	PriceBegun     PriceState = "begun" // it is what the shop asks for
	PriceCancelled PriceState = "cancelled"
)

// The bounds of a change of prices.
const (
	DefaultNotice = 30 // days between the letter and the first period at the new price
	MostNotice    = 365
	mostPriceLead = 2 * 365 * day // so far ahead a change may be scheduled
)

// PriceCell is one price that changes.
type PriceCell struct {
	Choice   string        `json:"choice,omitempty"` // of an option: which of its choices
	Label    string        `json:"label,omitempty"`  // what the choice is called on invoices
	Currency string        `json:"currency"`
	Cycle    billing.Cycle `json:"cycle"`
	Was      int64         `json:"was"` // of hours: what a full month of them comes to
	Minor    int64         `json:"minor"`

	WasHour *billing.HourPrice `json:"was_hour,omitempty"` // what an hour costs; nil: it is another cycle
	Hour    *billing.HourPrice `json:"hour,omitempty"`
	Follows bool               `json:"follows,omitempty"` // the hour costs a share of the month, and changes with it
}

// Name is the cell's field in forms: price.EUR.monthly, price.<choice>.EUR.monthly.
func (c PriceCell) Name() string {
	at := c.Currency + "." + string(c.Cycle)
	if c.Choice != "" {
		at = c.Choice + "." + at
	}
	return "price." + at
}

// MostName is the field of the most a month, of the hours of a plan; empty: there is none.
func (c PriceCell) MostName() string {
	if c.WasHour == nil || c.Choice != "" {
		return ""
	}
	return "most." + c.Currency
}

// Words are what was paid and what is to be.
func (c PriceCell) Words(locale string) (was, now string) {
	if c.Hour != nil && c.WasHour != nil {
		return c.WasHour.Words(locale), c.Hour.Words(locale)
	}
	return billing.Money{Minor: c.Was, Currency: c.Currency}.Format(locale), billing.Money{Minor: c.Minor, Currency: c.Currency}.Format(locale)
}

// hourCell is the cell of what an hour costs.
func hourCell(c PriceCell, h billing.HourPrice) (PriceCell, error) {
	month, err := h.Month()
	c.Cycle, c.Was, c.Minor, c.WasHour, c.Hour = billing.Hourly, month.Minor, month.Minor, &h, &h
	return c, err
}

// PriceChange is what a plan, or an option of a product, is to cost from a day on.
type PriceChange struct {
	ID          uuid.UUID
	PlanID      uuid.UUID // uuid.Nil: an option's
	OptionID    uuid.UUID
	ProductID   uuid.UUID
	Subject     string // "Cloud VPS Small", "Cloud VPS: Backups"
	Code        string // of the option
	Quantity    bool   // the option is a number
	From        time.Time
	Cells       []PriceCell
	Running     bool // also for who has it already
	NoticeDays  int
	State       PriceState
	DueAt       time.Time
	AnnouncedAt time.Time // zero: not everybody is told
	BegunAt     time.Time
	CancelledAt time.Time
	CreatedAt   time.Time
}

// PriceForm is a change of prices as a form sends it.
type PriceForm struct {
	PlanID, OptionID uuid.UUID
	From             string // a day, 2027-03-01
	Running          bool
	NoticeDays       string
	Prices           map[string]string // typed, by the name of the cell; empty: it stays
}

var (
	errNoPriceChange = fault.New(fault.NotFound, "price_change.not_found", "There is no such change of prices.")
	errPriceOver     = fault.New(fault.Conflict, "price_change.over", "This change has begun or was cancelled. What has begun is changed by another one.")
)

// PriceSubject is what a change of prices is about, with its prices of today. Faults:
// plan.not_found, option.not_found.
func PriceSubject(ctx context.Context, tx *tenancy.Tx, plan, option uuid.UUID) (c PriceChange, err error) {
	c = PriceChange{PlanID: plan, OptionID: option}
	if option == uuid.Nil {
		p, err := catalog.ByID(ctx, tx, plan)
		if err != nil {
			return c, err
		}
		c.ProductID, c.Subject = p.ProductID, p.ProductName+" "+p.Name
		for _, x := range p.Shown() {
			if h, hourly := p.HourAt(x); hourly {
				if row, listed := p.Listed(x.Currency, billing.Hourly); !listed || row.Cycle != billing.Hourly {
					continue // sold so before hours were a cycle: it becomes one when the plan is saved
				}
				cell, err := hourCell(PriceCell{Currency: x.Currency}, h)
				if err != nil {
					return c, err
				}
				c.Cells = append(c.Cells, cell)
				continue
			}
			c.Cells = append(c.Cells, PriceCell{Currency: x.Currency, Cycle: x.Cycle, Was: x.Amount, Minor: x.Amount})
		}
		return c, nil
	}
	o, product, err := catalog.OptionByID(ctx, tx, option)
	if err != nil {
		return c, err
	}
	var name string
	if err := tx.NewRaw("SELECT name FROM products WHERE id = ?", product).Scan(ctx, &name); err != nil {
		return c, fmt.Errorf("read an option's product: %w", err)
	}
	c.ProductID, c.Subject, c.Code, c.Quantity = product, name+": "+o.Label, o.Code, o.Counted()
	for _, x := range o.Choices {
		for currency, cycles := range x.Prices {
			for cycle, minor := range cycles {
				c.Cells = append(c.Cells, PriceCell{Choice: x.Code, Label: o.Label + ": " + x.Label, Currency: currency, Cycle: cycle, Was: minor, Minor: minor})
			}
		}
		if err := c.hoursOf(o, x); err != nil {
			return c, err
		}
	}
	slices.SortStableFunc(c.Cells, func(a, b PriceCell) int {
		if n := strings.Compare(a.Currency, b.Currency); n != 0 {
			return n
		}
		if n := strings.Compare(a.Label, b.Label); n != 0 {
			return n
		}
		if n := a.Cycle.Months() - b.Cycle.Months(); n != 0 || a.Cycle == b.Cycle {
			return n
		}
		return strings.Compare(string(b.Cycle), string(a.Cycle)) // the month before the hour
	})
	return c, nil
}

// hoursOf adds what an hour of a choice costs.
func (c *PriceChange) hoursOf(o catalog.Option, x catalog.Choice) error {
	currencies := map[string]bool{}
	for currency := range x.Prices {
		currencies[currency] = true
	}
	for currency := range x.Hour {
		currencies[currency] = true
	}
	for currency := range currencies {
		h, ok := x.Hours(currency)
		if !ok || h.Rate.IsZero() || o.Kind == catalog.Once {
			continue
		}
		cell, err := hourCell(PriceCell{Choice: x.Code, Label: o.Label + ": " + x.Label, Currency: currency}, h)
		if err != nil {
			return err
		}
		_, said := x.Hour[currency]
		cell.Follows = !said
		c.Cells = append(c.Cells, cell)
	}
	return nil
}

// SchedulePrice keeps a change of prices for a day to come. Where who has it already is
// concerned, they are written to at once. Faults: those of PriceSubject,
// price_change.invalid, price_change.scheduled_before.
func SchedulePrice(ctx context.Context, db *tenancy.DB, f PriceForm, by audit.Origin) (c PriceChange, err error) {
	zone := zone(db.Tenant().TimeZone)
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if c, err = PriceSubject(ctx, tx, f.PlanID, f.OptionID); err != nil {
			return err
		}
		if err := c.read(f, tx.Now(), zone); err != nil {
			return err
		}
		if c.ID, err = uuid.NewV7(); err != nil {
			return err
		}
		cells, err := json.Marshal(c.Cells)
		if err != nil {
			return err
		}
		c.CreatedAt, c.DueAt = tx.Now(), c.From
		if c.Running {
			c.DueAt = tx.Now()
		}
		_, err = tx.NewRaw(`INSERT INTO price_changes (id, plan_id, option_id, from_at, prices, running, notice_days, state, due_at, created_at)
			VALUES (?, nullif(?, '00000000-0000-0000-0000-000000000000'::uuid), nullif(?, '00000000-0000-0000-0000-000000000000'::uuid), ?, ?::jsonb, ?, ?, 'scheduled', ?, ?)`,
			c.ID, c.PlanID, c.OptionID, c.From, string(cells), c.Running, c.NoticeDays, c.DueAt, c.CreatedAt).Exec(ctx)
		if err != nil {
			return fmt.Errorf("schedule prices: %w", err)
		}
		if err := settlePrices(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "price_change.scheduled", c.target(), map[string]any{"subject": c.Subject, "from": c.From, "running": c.Running, "notice_days": c.NoticeDays, "prices": c.Cells})
	})
	if tenancy.IsTaken(err, "price_changes_next") {
		err = fault.New(fault.Conflict, "price_change.scheduled_before", "Another change of these prices is scheduled. Cancel it first, or wait until it has begun.")
	}
	return c, err
}

func (c PriceChange) target() audit.Target {
	return audit.Target{Kind: "price_change", ID: c.ID.String()}
}

// CancelPrice takes back a change that has not begun and at whose price nothing was
// invoiced. Who was told of it is written to again. Faults: price_change.not_found,
// price_change.over, price_change.invoiced.
func CancelPrice(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		c, err := priceChange(ctx, tx, "c.id = ? FOR UPDATE OF c", id)
		if err != nil {
			return err
		}
		if c.State != PriceScheduled || !tx.Now().Before(c.From) {
			return errPriceOver
		}
		var invoiced bool
		if err := tx.NewRaw(`SELECT EXISTS (SELECT FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE l.price_id = ? AND i.issued_at >= ? AND i.state <> 'void')`, id, c.CreatedAt).Scan(ctx, &invoiced); err != nil {
			return fmt.Errorf("look for invoices of prices: %w", err)
		}
		if invoiced {
			return fault.New(fault.Conflict, "price_change.invoiced", "Invoices at the new price were made already: renewals are invoiced some days ahead. Schedule another change instead.")
		}
		if _, err := tx.NewRaw("UPDATE price_changes SET state = 'cancelled', cancelled_at = ?, due_at = ? WHERE id = ?", tx.Now(), tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("cancel prices: %w", err)
		}
		if err := settlePrices(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "price_change.cancelled", c.target(), map[string]any{"subject": c.Subject})
	})
}

// GetPrice is a change of prices. Fault: price_change.not_found.
func GetPrice(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (PriceChange, error) {
	return priceChange(ctx, tx, "c.id = ?", id)
}

// PriceChanges are those of a plan or an option, the latest first.
func PriceChanges(ctx context.Context, tx *tenancy.Tx, of uuid.UUID) ([]PriceChange, error) {
	return priceChanges(ctx, tx, "coalesce(c.plan_id, c.option_id) = ? ORDER BY c.from_at DESC, c.id DESC LIMIT 20", of)
}

func priceChange(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (PriceChange, error) {
	found, err := priceChanges(ctx, tx, where, args...)
	if err == nil && len(found) == 0 {
		err = errNoPriceChange
	}
	if err != nil {
		return PriceChange{}, err
	}
	return found[0], nil
}

func priceChanges(ctx context.Context, tx *tenancy.Tx, where string, args ...any) ([]PriceChange, error) {
	var rows []struct {
		PriceChange
		Prices []byte
	}
	err := tx.NewRaw(`SELECT c.id, coalesce(c.plan_id, '00000000-0000-0000-0000-000000000000') AS plan_id, coalesce(c.option_id, '00000000-0000-0000-0000-000000000000') AS option_id,
		p.id AS product_id, coalesce(p.name || ' ' || pl.name, p.name || ': ' || o.label) AS subject, coalesce(o.code, '') AS code, coalesce(o.kind = 'quantity', false) AS quantity,
		c.from_at AS "from", c.prices, c.running, c.notice_days, c.state, c.due_at, c.announced_at, c.begun_at, c.cancelled_at, c.created_at
		FROM price_changes c LEFT JOIN plans pl ON pl.id = c.plan_id LEFT JOIN options o ON o.id = c.option_id JOIN products p ON p.id = coalesce(pl.product_id, o.product_id) WHERE `+where, args...).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read changes of prices: %w", err)
	}
	all := make([]PriceChange, len(rows))
	for i, r := range rows {
		all[i] = r.PriceChange
		if err := json.Unmarshal(r.Prices, &all[i].Cells); err != nil {
			return nil, fmt.Errorf("read change of prices %s: %w", r.ID, err)
		}
	}
	return all, nil
}
