package gateway

import (
	"context"
	"net/http"
	"time"
)

// Connected is a seller's own account at a gateway for which the platform may act.
type Connected struct {
	Account   string   `json:"account"`
	Charges   bool     `json:"charges"`   // it may take payments
	Payouts   bool     `json:"payouts"`   // and is paid out
	Submitted bool     `json:"submitted"` // its owner has told the gateway who they are
	Due       []string `json:"due"`       // what the gateway still wants to know, in its words
	Disabled  string   `json:"disabled"`  // why it may not take payments; empty: see Due
}

// AccountChanged is a notification about a connected account itself.
const AccountChanged EventKind = "account"

// Connector is a gateway at which sellers open accounts of their own, for which the
// platform may act.
type Connector interface {
	// NewAccount opens one, once a key. The seller's name and address begin the form that
	// Onboard leads to.
	NewAccount(ctx context.Context, key string, c Customer, country string) (account string, err error)
	// Onboard is where its owner tells the gateway who they are, at once: it leads back to
	// the one address, and to the other when it was used before or is too old.
	Onboard(ctx context.Context, account, back, again string) (url string, err error)
	// Account is how one stands. ErrCredentials and ErrNotFound: its owner has ended that
	// the platform may act for it.
	Account(ctx context.Context, account string) (Connected, error)
	// Heard verifies a notification about any connected account and names the account.
	// ErrSignature when it proves nothing.
	Heard(header http.Header, body []byte, now time.Time) (account string, err error)
}

// Endpoint is where a gateway sends notifications, as the gateway has it.
type Endpoint struct {
	Ref     string
	URL     string
	Key     string // that it was registered with by us; empty: by somebody else
	On      bool
	Missing []string // kinds of news that are needed and not sent there
}

// Endpoints registers where a gateway tells of all accounts that are connected to it.
type Endpoints interface {
	// Endpoints are all of the account.
	Endpoints(ctx context.Context) ([]Endpoint, error)
	// NewEndpoint registers one, once a key for as long as the gateway knows that, and says
	// what notifications to it are signed with: later nobody says so.
	NewEndpoint(ctx context.Context, key, url string) (e Endpoint, secret string, err error)
	// DropEndpoint removes one; what is gone is removed.
	DropEndpoint(ctx context.Context, ref string) error
}
