package account

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Role is what a member is in an account.
type Role string

// The roles of members, the most powerful first.
const (
	Owner     Role = "owner"
	Admin     Role = "admin"
	Billing   Role = "billing"
	Technical Role = "technical"
	ReadOnly  Role = "read_only"
)

// Roles lists them with what people read.
func Roles() []RoleInfo {
	return []RoleInfo{
		{Owner, "Owner", "Everything, and the only one who changes owners."},
		{Admin, "Administrator", "Everything but the owners."},
		{Billing, "Billing contact", "Orders, invoices, payment methods and cancellation. Sees services."},
		{Technical, "Technical contact", "Runs services. Sees neither invoices nor payment methods."},
		{ReadOnly, "Read only", "Sees services and invoices and changes nothing."},
	}
}

// RoleInfo is a role as people read it.
type RoleInfo struct {
	Value Role
	Label string
	Says  string
}

// Label is the role in words.
func (r Role) Label() string {
	for _, known := range Roles() {
		if known.Value == r {
			return known.Label
		}
	}
	return string(r)
}

func (r Role) known() bool { return r.Label() != string(r) }

// Permission is one thing a member does for an account.
type Permission string

// What members do.
const (
	See            Permission = "account.see"      // the account and its members
	Manage         Permission = "account.manage"   // profile, members, invitations
	ServicesSee    Permission = "services.see"     // and subscriptions
	ServicesRun    Permission = "services.run"     // power, rebuild, credentials, rename
	InvoicesSee    Permission = "invoices.see"     // and orders and payments
	Pay            Permission = "invoices.pay"     // pay, and keep payment methods
	Buy            Permission = "orders.place"     //
	CancelContract Permission = "contracts.cancel" // cancel subscriptions
)

// May reports whether a member of this role may do it.
func May(r Role, p Permission) bool {
	switch r {
	case Owner, Admin:
		return true
	case Billing:
		return p == See || p == ServicesSee || p == InvoicesSee || p == Pay || p == Buy || p == CancelContract
	case Technical:
		return p == See || p == ServicesSee || p == ServicesRun
	case ReadOnly:
		return p == See || p == ServicesSee || p == InvoicesSee
	default:
		return false
	}
}

// Acting is the account a signed-in customer acts for, and as what.
type Acting struct {
	AccountID uuid.UUID
	Name      string
	Role      Role
	Currency  string
	Country   string // empty: not given
	TimeZone  string
	Accounts  int // how many the person belongs to
}

// May reports whether the person may do it for the account.
func (a Acting) May(p Permission) bool { return May(a.Role, p) }

// Must is nil when the person may do it, and else the fault account.forbidden.
func (a Acting) Must(p Permission) error {
	if a.May(p) {
		return nil
	}
	return fault.New(fault.Forbidden, "account.forbidden", "Your role in this account does not allow that. Its owner can change your role.")
}

// Current is the account a person acts for: the chosen one when they belong to it, and
// else the one they have belonged to for longest. The choice comes from a cookie and is
// trusted with nothing. Somebody without an account gets the fault account.none.
func Current(ctx context.Context, tx *tenancy.Tx, person, chosen uuid.UUID) (a Acting, err error) {
	err = tx.NewRaw(`SELECT a.id AS account_id, a.name, m.role, a.currency, coalesce(a.country, '') AS country, a.time_zone, count(*) OVER () AS accounts
		FROM memberships m JOIN accounts a ON a.id = m.account_id
		WHERE m.person_id = ? ORDER BY a.id = ? DESC, m.created_at, a.id LIMIT 1`, person, chosen).Scan(ctx, &a)
	if tenancy.IsNoRows(err) {
		return Acting{}, fault.New(fault.NotFound, "account.none", "You do not belong to an account any more.")
	}
	if err != nil {
		return Acting{}, fmt.Errorf("read the current account: %w", err)
	}
	return a, nil
}
