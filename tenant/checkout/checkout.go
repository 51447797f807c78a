// Package checkout turns what a customer chose into an order: a quote with its price to
// the cent, the order placed on it once, and what follows when it is paid or is not. It
// owns the tables quotes and orders. What is sold is the catalog's, the invoice is
// invoicing's, the subscription renewal's, the running thing hosting's, and room at the
// platforms is asked of the Supply.
package checkout

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/payment"
)

// Supply keeps room at platforms for what is ordered. Each call is idempotent in the key
// and made outside any transaction.
type Supply interface {
	// Hold keeps room for one piece until a time; asked again it keeps it no shorter.
	// Faults: platform.unknown_region, platform.full.
	Hold(ctx context.Context, tenant tenancy.ID, r HoldRequest) (Placement, error)
	// Use says that the service is being made.
	Use(ctx context.Context, tenant tenancy.ID, key string) error
	// Free gives the room back, unless it was used.
	Free(ctx context.Context, tenant tenancy.ID, key string) error
}

// HoldRequest asks to keep room for one piece.
type HoldRequest struct {
	Key    string
	SKU    string
	Region string
	Until  time.Time
}

// Placement is where room is kept.
type Placement struct {
	PlatformID uuid.UUID
	Region     string
}

// Taxes has a tax service asked what it has not said yet, outside of any transaction. No answer
// is no error.
type Taxes interface {
	Ask(ctx context.Context, db *tenancy.DB, all []billing.TaxQuestion) error
}

// Desk is where orders are made. It is safe for concurrent use.
type Desk struct {
	Offers catalog.Wholesale
	Supply Supply
	Mail   Mailer
	Links  *payment.Links // in letters about a payment that failed; nil: they lead to the page that asks to sign in
	Taxes  Taxes          // nil: no tax service is asked
}

// Mailer takes letters within a transaction; mail.Outbox does.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// Ask is a cart to be priced.
type Ask struct {
	AccountID uuid.UUID // zero: a stranger's; such a quote is not kept
	Items     []catalog.Picked
	Coupon    string // codes, as they were typed, with blanks between; empty: none
	Visitor   string // under which somebody came as a stranger; decides between variants of a code
}

// Problem is why one thing in a cart cannot be ordered as it is.
type Problem struct {
	Index int
	Err   error
}

// Item is one thing that is ordered, as it was priced. The last fields are known once
// the order is placed.
type Item struct {
	PlanID     uuid.UUID         `json:"plan_id"`
	Type       catalog.Type      `json:"type"`
	SKU        string            `json:"sku,omitempty"`
	TaxClass   string            `json:"tax_class,omitempty"`
	Label      string            `json:"label"`
	Picked     catalog.Picked    `json:"picked"`
	RegionName string            `json:"region_name,omitempty"`
	ImageName  string            `json:"image_name,omitempty"`
	Spec       provisioners.Spec `json:"spec"`
	Parts      []catalog.Item    `json:"parts"` // what a cycle's amount is made of
	Chosen     []catalog.Fact    `json:"chosen,omitempty"`
	Amount     billing.Money     `json:"amount"` // a cycle
	Setup      billing.Money     `json:"setup"`  // once: for setting up, and for Once
	Once       []catalog.Item    `json:"once,omitempty"`
	// What it has of the platform's price book besides the plan's own product.
	Additions []catalog.Addition `json:"additions,omitempty"`
	ByHand    bool               `json:"by_hand,omitempty"` // the team delivers it
	// What the order's code takes off this thing, now and at its renewals; nil: nothing.
	Discount *billing.Discount `json:"discount,omitempty"`
	// It is tried first, and nothing of it is due before that is over; nil: it is not.
	Trial *Trial `json:"trial,omitempty"`
	// It begins with the time to the account's bill day; nil: with a whole period.
	Stub *Stub `json:"stub,omitempty"`

	SubscriptionID uuid.UUID `json:"subscription_id,omitzero"`
	PlatformID     uuid.UUID `json:"platform_id,omitzero"`
	SSHKeys        []string  `json:"ssh_keys,omitempty"`
}

// Quote is an offer with its price, to the cent, until it expires. Accepted, it is one
// order, however often.
type Quote struct {
	TaxIn     bool // the prices of items hold the tax
	ID        uuid.UUID
	AccountID uuid.UUID
	Currency  string
	Items     []Item
	Country   string // tax is that of this country
	Taxes     []Tax
	Net       billing.Money
	Tax       billing.Money
	Total     billing.Money
	Coupon    string            // the codes that count, with blanks between, in order; empty: none
	Variants  map[string]string // of those that have two, by code
	MoreCodes bool              // another code may count with them
	Longer    int               // days by which the code makes trials longer
	Off       billing.Money     // what it takes off, of prices as they are shown
	Problems  []Problem         // only of a preview
	CouponErr error             // why the first code that was asked for and does not count does not; only of a preview
	CreatedAt time.Time
	ExpiresAt time.Time
	counted   bool // some of it is of a stock
	open      []billing.TaxQuestion
	HeldUntil time.Time // of what is counted, so much is kept for the account; zero: nothing is counted
}

// Tax is what one rate comes to on the whole quote.
type Tax struct {
	Label  string        `json:"label"` // "VAT 19 %"
	Note   string        `json:"note,omitempty"`
	Amount billing.Money `json:"amount"`
}

// State is where an order stands.
type State string

// The states of an order.
const (
	AwaitingPayment State = "awaiting_payment"
	PaidState       State = "paid"      // being delivered
	Fulfilled       State = "fulfilled" // everything runs
	Cancelled       State = "cancelled"
)

// Order is a quote somebody accepted.
type Order struct {
	ID        uuid.UUID
	Number    int64
	QuoteID   uuid.UUID
	AccountID uuid.UUID
	PersonID  uuid.UUID
	State     State
	InvoiceID *uuid.UUID // nil: nothing to pay
	Currency  string
	Total     billing.Money
	Coupon    string        // the codes it was placed with, with blanks between; empty: none
	Off       billing.Money // what the code took off
	Items     []Item
	Taxes     []Tax
	IP        string
	PlacedAt  time.Time
	PaidAt    time.Time // zero: not paid
	ChangedAt time.Time

	AccountName, PersonName string

	remade bool // an option may be made of something else than when it was placed
}

// Codes are the codes an order was placed with.
func (o Order) Codes() []string { return strings.Fields(o.Coupon) }

// QuoteFor is how long a quote counts.
const QuoteFor = 15 * time.Minute

// LapseAfter is how long an order may wait for its payment.
const LapseAfter = 7 * 24 * time.Hour
