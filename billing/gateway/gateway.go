// Package gateway is the contract with those who take money. A gateway charges a
// saved method or lets the customer complete a payment, gives money back, and tells
// of what happened later. It owns no rows and knows no invoice: a payment has our key,
// an amount and a description. Each driver is a package below this one and passes the
// suite in gatewaytest.
package gateway

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// State is where a payment or a refund stands.
type State string

// The states. Succeeded, Failed and Cancelled are final.
const (
	Created        State = "created"         // known to us; nothing happened yet
	RequiresAction State = "requires_action" // the customer must enter a method or authenticate
	Processing     State = "processing"      // under way; the gateway will tell
	Succeeded      State = "succeeded"
	Failed         State = "failed"
	Cancelled      State = "cancelled"
)

// Final reports whether the state will not change any more.
func (s State) Final() bool { return s == Succeeded || s == Failed || s == Cancelled }

var (
	// ErrUnavailable says that the gateway could not be asked or did not know: nothing is
	// decided, the same call may be made again with the same key. It is never the
	// customer's fault.
	ErrUnavailable = errors.New("gateway: not available")
	// ErrCredentials says that the gateway refuses our keys.
	ErrCredentials = errors.New("gateway: the keys are refused")
	// ErrSignature says that a notification does not prove where it comes from.
	ErrSignature = errors.New("gateway: the signature is not valid")
	// ErrNotFound says that the gateway knows no such thing.
	ErrNotFound = errors.New("gateway: no such payment")
	// ErrUnsupported says that this gateway cannot do that at all.
	ErrUnsupported = errors.New("gateway: not supported")
)

// Kind says what a decline asks of us.
type Kind = billing.Refusal

// The kinds of decline.
const (
	Hard         = billing.RefusedHard        // the method is of no more use: ask for another
	Soft         = billing.RefusedSoft        // later it may work
	Authenticate = billing.RefusedUnconfirmed // the customer must come and authenticate
)

// Decline is why a payment failed, in the gateway's code and in words for the customer.
type Decline struct {
	Kind Kind
	Code string
	Text string
}

// Customer is who pays, to the gateway.
type Customer struct {
	Key   string // ours, unique in the shop: the account's id
	Ref   string // the gateway's; empty: it is made
	Name  string
	Email string
}

// Charge asks for money. With a method it is taken from that, off session unless
// OnSession; without one the customer completes it in the browser with the payment's
// ClientSecret or at its ActionURL.
type Charge struct {
	Key         string // names the attempt; the same key charges once, however often it is sent
	Amount      billing.Money
	Customer    Customer
	Method      string // saved method's ref; empty: the customer chooses
	Kind        string // of the method, as Method has it; empty: a card
	OnSession   bool
	Save        bool   // keep the method for later charges
	Description string // on the gateway's side
	Reference   string // invoice number, on the customer's statement where there is room
	ReturnURL   string // where the customer comes back to from elsewhere, with GivenUp when they turned back
}

// GivenUp is the name of what a gateway may add to the address a customer comes back to:
// they have not agreed.
const GivenUp = "given_up"

// Payment is an attempt as the gateway knows it.
type Payment struct {
	Ref          string
	Key          string // ours, as sent with the charge
	State        State
	Amount       billing.Money
	Received     billing.Money // what was really taken
	CustomerRef  string
	Method       *Method // once it is known
	ClientSecret string  // for the browser, while the customer must act
	ActionURL    string  // where to send the customer instead; empty: the page's script goes on
	Agreed       bool    // the customer has agreed, and the money is still to be taken: see Finisher
	Instructions []Instruction
	Decline      *Decline // of a failed one, and of one that asks for another method
	Shop         string   // for which it was begun in an account that several share; empty: in the keys' own
	Reference    string   // as sent with the charge; empty: not said
	BegunAt      time.Time
}

// Instruction is one line a customer must know to pay by hand: "IBAN", "DE…".
type Instruction struct{ Label, Value string }

// Method is a way to pay.
type Method struct {
	Ref         string
	CustomerRef string    // whose it is kept for; empty: it is not kept for later
	Kind        string    // card, paypal, DirectDebit
	Label       string    // Visa •••• 4242, PayPal ida@example.com
	ExpiresOn   time.Time // first day of which it is of no use; zero: never
	Mandate     *Mandate  // of a bank account, once its owner gave one
	Country     string    // in which it was issued, ISO 3166; empty: the gateway does not say
	Fingerprint string    // tells the same card from another one; empty: the gateway does not say
}

// DirectDebit is the kind of a bank account that is collected from by a SEPA mandate.
// Such a payment is Processing for days.
const DirectDebit = "sepa_debit"

// Mandate is what the owner of a bank account agreed to.
type Mandate struct {
	Ref       string `json:"ref"`       // the gateway's
	Reference string `json:"reference"` // what the owner's bank writes beside each debit
	URL       string `json:"url,omitempty"`
	Bank      string `json:"bank,omitempty"`    // the bank's country and code
	Account   string `json:"account,omitempty"` // the same of one and the same account
}

// Agreement is the owner of a bank account agreeing to be collected from.
type Agreement struct {
	Key          string // the same key makes one mandate
	Customer     Customer
	Holder, IBAN string
	IP, Browser  string // of whoever agreed
	At           time.Time
}

// Debitor is a gateway that collects from bank accounts, in EUR.
type Debitor interface {
	// Agree has a mandate made and the account kept. An account that cannot be is a Setup
	// that failed.
	Agree(ctx context.Context, a Agreement) (Setup, error)
}

// Setup is a method being saved without a payment.
type Setup struct {
	Ref          string
	Key          string // ours, as sent
	State        State
	CustomerRef  string
	Method       *Method
	ClientSecret string
	ActionURL    string
	Decline      *Decline
	Shop         string // as Payment's
}

// Refund gives a payment's money back, all or part of it.
type Refund struct {
	Key     string // the same key gives back once
	Payment string // ref
	Amount  billing.Money
	Reason  string // in our words
}

// Refunded is a refund as the gateway knows it.
type Refunded struct {
	Ref     string
	Key     string // ours; empty: somebody asked for it at the gateway's own pages
	Payment string // ref of what was paid; empty: the gateway does not say
	State   State
	Amount  billing.Money
	Text    string // why it failed
}

// EventKind says what a notification is about.
type EventKind string

// The kinds of event; others are stored and left alone.
const (
	PaymentChanged EventKind = "payment"
	RefundChanged  EventKind = "refund"
	DisputeChanged EventKind = "dispute"
	SetupChanged   EventKind = "setup"
	MethodChanged  EventKind = "method"
	MethodGone     EventKind = "method_gone" // the gateway does not keep it any more
	OtherEvent     EventKind = "other"
)

// Event is a verified notification. It names what changed; what the state is now is
// asked of the gateway, because notifications come late, twice and out of order.
type Event struct {
	ID      string
	Type    string // the gateway's word
	Kind    EventKind
	Ref     string // of the payment, refund, dispute, setup or method; empty: any refund of Payment
	Payment string // of a refund or dispute: the payment's ref
	Body    []byte // as received, JSON
}

// Health is what a connection test found.
type Health struct {
	Account string   // who we are to the gateway
	Live    bool     // real money moves
	Notes   []string // what will not work as it is set up
}

// Gateway takes money. Calls that change something are idempotent in their key. Errors
// are ErrUnavailable, ErrCredentials, ErrNotFound or ErrUnsupported, wrapped; a decline is
// no error but a Payment that failed.
type Gateway interface {
	// Charge begins a payment or finds the one begun with the key.
	Charge(ctx context.Context, c Charge) (Payment, error)
	// Payment is how a payment stands now.
	Payment(ctx context.Context, ref string) (Payment, error)
	// Cancel ends a payment that is not final; a final one is returned as it is.
	Cancel(ctx context.Context, ref string) (Payment, error)
	// Refund begins a refund or finds the one begun with the key.
	Refund(ctx context.Context, r Refund) (Refunded, error)
	// Refunded is how a refund stands now.
	Refunded(ctx context.Context, ref string) (Refunded, error)
	// Event verifies a notification at the time now. ErrSignature when it proves nothing,
	// ErrUnsupported of a gateway that notifies nobody, ErrUnavailable when the gateway must
	// be asked for it and does not answer.
	Event(ctx context.Context, header http.Header, body []byte, now time.Time) (Event, error)
	// Check asks the gateway who we are.
	Check(ctx context.Context) (Health, error)
}

// Finisher is a gateway at whose pages customers only agree: the money is taken by a call
// of ours after that. Payment never takes any.
type Finisher interface {
	// Finish takes the money of a payment that its customer has agreed to, once. Of any
	// other it says how it stands; one that the gateway does not know any more was
	// cancelled. Only a payment that is still wanted may be finished.
	Finish(ctx context.Context, ref string) (Payment, error)
}

// Redirector is a gateway that customers are sent to, to pay or to have a method saved.
type Redirector interface {
	// Redirects is what the gateway is called on pages, and what it says of itself there.
	Redirects() (name, says string)
}

// Instant is a gateway that asks nobody: its answers are worked out, at once and the same
// every time, so that they may be had within a transaction.
type Instant interface{ Instant() }

// Saver is a gateway that keeps methods for later.
type Saver interface {
	// Setup begins saving a method without a payment; the key makes it one. Where the
	// customer is sent to another page, returnURL is where that leads back to.
	Setup(ctx context.Context, key string, c Customer, returnURL string) (Setup, error)
	// SetupState is how it stands now; one the customer has agreed to is saved by it.
	SetupState(ctx context.Context, ref string) (Setup, error)
	// Forget removes a saved method; one that is gone is no error.
	Forget(ctx context.Context, methodRef string) error
}

// Instructor is a gateway whose payments customers make by hand.
type Instructor interface {
	// Instructions are what a customer must know to pay an amount.
	Instructions(amount billing.Money, reference string) []Instruction
}

// Browser is a gateway whose card form runs in the customer's browser.
type Browser interface {
	// Script is what the page loads and the key it is opened with; Origins are those the
	// page's content policy must allow.
	Script() (url, publicKey string, origins []string)
}

// OnBehalf is a Browser whose form may be opened in the name of a connected account.
type OnBehalf interface {
	// OnBehalf is the account; empty: the keys' own.
	OnBehalf() string
}

// Sharer is a gateway whose one account may take payments for several shops.
type Sharer interface {
	// Whose says for which shop that was made which a notification is about, as Payment's;
	// empty: for none, or nobody knows.
	Whose(ctx context.Context, e Stored) (shop string, err error)
	// DisputesOf are all disputes of a payment.
	DisputesOf(ctx context.Context, paymentRef string) ([]Dispute, error)
}

// Listener is a gateway that can be told where to send its notifications.
type Listener interface {
	// Listen registers an address and returns what notifications are verified with.
	Listen(ctx context.Context, url string) (secret string, err error)
}
