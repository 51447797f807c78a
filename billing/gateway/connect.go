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
