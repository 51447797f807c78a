package renewal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// ChangeFor is how long a quote of a change counts.
const ChangeFor = 15 * time.Minute

// ChangeAsk is what somebody would like to have instead. Empty fields stay as they are.
type ChangeAsk struct {
	SubscriptionID uuid.UUID
	AccountID      uuid.UUID // whose it must be; uuid.Nil: anybody's, for the reseller's team
	Plan           string    // of the same product
	Cycle          billing.Cycle
	Options        map[string]string
	Prepay         int               // instead: so many cycles paid ahead
	ToBillDay      bool              `json:",omitempty"` // instead: moved to the account's bill day
	Buy            map[string]string `json:",omitempty"` // instead: add-ons that are charged once, by code how many
}

// read reads the subscription with all that the ask depends on.
func (a ChangeAsk) read(ctx context.Context, tx *tenancy.Tx, account uuid.UUID, locked bool) (changing, error) {
	if len(a.Buy) > 0 {
		return readBuying(ctx, tx, a.SubscriptionID, account, locked)
	}
	return readChanging(ctx, tx, a.SubscriptionID, account, locked)
}

// ChangeTax is what one rate comes to.
type ChangeTax struct {
	Label  string        `json:"label"`
	Note   string        `json:"note,omitempty"`
	Amount billing.Money `json:"amount"`
}

// ChangeQuote is a change with its price, to the cent, until it expires. Accepted, it is
// one change, however often.
type ChangeQuote struct {
	ID             uuid.UUID       `json:"-"`
	SubscriptionID uuid.UUID       `json:"subscription_id"`
	AccountID      uuid.UUID       `json:"account_id"`
	At             time.Time       `json:"at"` // the moment it is priced for
	Was            string          `json:"was"`
	Ask            ChangeAsk       `json:"ask"`
	Terms          Terms           `json:"terms"`
	Price          billing.Changed `json:"price"`
	Net            billing.Money   `json:"net"` // today; less than nothing is in Back
	Tax            billing.Money   `json:"tax"`
	Total          billing.Money   `json:"total"`
	Taxes          []ChangeTax     `json:"taxes,omitempty"`
	Back           billing.Money   `json:"back"`   // with tax, what is given back or kept as credit
	Amount         billing.Money   `json:"amount"` // a cycle, net, afterwards
	InvoiceID      uuid.UUID       `json:"invoice_id,omitzero"`
	Move           *Move           `json:"move,omitempty"`   // to the bill day
	Bought         []Item          `json:"bought,omitempty"` // and charged once
	Facts          []catalog.Fact  `json:"facts,omitempty"`
	HourEnd        time.Time       `json:"hour_end,omitzero"`    // until when the hour that is begun is paid as before, where hours end or begin
	WasHours       bool            `json:"was_hours,omitempty"`  // it is paid by the hour until then
	KeepsDisk      int             `json:"keeps_disk,omitempty"` // GB that stay although the new plan has fewer
	Lost           string          `json:"lost,omitempty"`       // codes that are not for the new plan, and count no more
	Goes           string          `json:"goes,omitempty"`       // codes that are taken off the invoice after it, too
	CreatedAt      time.Time       `json:"-"`
	ExpiresAt      time.Time       `json:"-"`
	AcceptedAt     time.Time       `json:"-"` // zero: not accepted
	open           []billing.TaxQuestion
}

// QuoteChange prices a change and keeps the offer for ChangeFor. Faults:
// subscription.not_found, those of Changeable and of a service that cannot be changed,
// change.unknown_plan, change.plan_archived, change.sold_out, change.nothing, change.unpaid, and
// those of catalog.Configure.
func (d *Desk) QuoteChange(ctx context.Context, db *tenancy.DB, a ChangeAsk) (q ChangeQuote, err error) {
	offers, err := d.offers(ctx, db)
	if err != nil {
		return q, err
	}
	for asked := false; ; asked = true {
		if q, err = quoteChange(ctx, db, offers, a, !asked && d.Taxes != nil); !errors.Is(err, errAsk) {
			return q, err
		}
		if err := d.Taxes.Ask(ctx, db, q.open); err != nil {
			return q, err
		}
	}
}

// errAsk ends a transaction of which nothing is kept, because a tax service is asked first.
var errAsk = errors.New("renewal: a tax service is asked first")

// quoteChange is one try at a quote: errAsk where a tax service is to be asked first.
func quoteChange(ctx context.Context, db *tenancy.DB, offers []catalog.Offer, a ChangeAsk, mayAsk bool) (q ChangeQuote, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		c, err := a.read(ctx, tx, a.AccountID, false)
		if err != nil {
			return err
		}
		if q, err = c.price(ctx, tx, offers, a, tx.Now().Truncate(time.Microsecond)); err != nil {
			return err
		}
		if mayAsk && len(q.open) > 0 {
			return errAsk
		}
		return q.keep(ctx, tx)
	})
	return q, err
}

func (d *Desk) offers(ctx context.Context, db *tenancy.DB) ([]catalog.Offer, error) {
	if d.Offers == nil {
		return nil, nil
	}
	return d.Offers.Offers(ctx, db.Tenant().ID)
}

func (q *ChangeQuote) keep(ctx context.Context, tx *tenancy.Tx) (err error) {
	if q.ID, err = uuid.NewV7(); err != nil {
		return err
	}
	q.CreatedAt, q.ExpiresAt = tx.Now(), tx.Now().Add(ChangeFor)
	raw, err := json.Marshal(q)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at)
		VALUES (?, 'change', ?, ?, ?, ?, ?, ?::jsonb, ?, ?)`,
		q.ID, q.AccountID, q.Total.Currency, q.Net.Minor, q.Tax.Minor, q.Total.Minor, string(raw), q.CreatedAt, q.ExpiresAt).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep the quote: %w", err)
	}
	return nil
}

// GetChange returns a quote of a change; account uuid.Nil: anybody's. Fault:
// change.quote_unknown.
func GetChange(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (ChangeQuote, error) {
	return readChange(ctx, tx, id, account, "")
}

func readChange(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID, lock string) (q ChangeQuote, err error) {
	var r struct {
		Body                             []byte
		CreatedAt, ExpiresAt, AcceptedAt time.Time
	}
	err = tx.NewRaw("SELECT body, created_at, expires_at, accepted_at FROM quotes WHERE id = ? AND kind = 'change'"+lock, id).Scan(ctx, &r)
	if err == nil {
		if err = json.Unmarshal(r.Body, &q); err == nil && account != uuid.Nil && q.AccountID != account {
			return ChangeQuote{}, errNoQuote
		}
	}
	if tenancy.IsNoRows(err) {
		return q, errNoQuote
	}
	if err != nil {
		return q, fmt.Errorf("read the quote: %w", err)
	}
	q.ID, q.CreatedAt, q.ExpiresAt, q.AcceptedAt = id, r.CreatedAt, r.ExpiresAt, r.AcceptedAt
	return q, nil
}

var errNoQuote = fault.New(fault.NotFound, "change.quote_unknown", "There is no such offer.")

// same reports whether two quotes promise and cost the same.
func (q ChangeQuote) same(o ChangeQuote) bool {
	one, err := json.Marshal(q.Terms) // as they are kept: what is empty is left out
	two, err2 := json.Marshal(o.Terms)
	if (q.Move == nil) != (o.Move == nil) || q.Move != nil && !q.Move.To.Equal(o.Move.To) {
		return false
	}
	if !slices.Equal(q.Bought, o.Bought) {
		return false
	}
	return err == nil && err2 == nil && bytes.Equal(one, two) && q.Net == o.Net && q.Total == o.Total && q.Back == o.Back && q.Amount == o.Amount &&
		q.Price.AtRenewal == o.Price.AtRenewal && q.Price.NextAt.Equal(o.Price.NextAt) && q.Price.Return == o.Price.Return
}
