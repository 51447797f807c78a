// Package tenancy answers two questions: whose request is this, and what may it
// touch. It hands out database handles that are bound to one tenant, keeps the
// map from host names to tenants, and makes and changes tenants' schemas. It has
// no notion of invoices, servers or themes.
//
// Tenant 42 lives in schema t_42, owned by role t_42. The program never logs in
// as that role: it logs in as a lane (lane_00, lane_01, …), a role without rights
// of its own that may become the tenants of its lane. Every statement a caller can
// send runs inside a transaction whose first message names the tenant.
package tenancy

import "time"

// Status is where a tenant stands in its life.
type Status string

// The statuses of a tenant. Trial and Active serve; the others answer with a page
// of their own.
const (
	Trial       Status = "trial"
	Active      Status = "active"
	TrialEnded  Status = "trial_ended"
	Suspended   Status = "suspended"
	Maintenance Status = "maintenance"
	Archived    Status = "archived"
	Dropped     Status = "dropped"
)

// Serves reports whether a tenant in this status serves its sites.
func (s Status) Serves() bool { return s == Trial || s == Active }

// Tenant is what a request needs to know about a tenant. Values are copied out of
// the directory and never change; a change is a new value.
type Tenant struct {
	ID             ID
	Slug           string
	Name           string
	Status         Status
	StatusNote     string
	Sandbox        bool
	PrimaryHost    string // where links and mails point to
	Theme          string
	BrandVersion   int64
	ContentVersion int64
	SchemaVersion  int
	Locale         string // BCP 47
	Currency       string // ISO 4217
	TimeZone       string // IANA
	RequireTOTP    bool   // the reseller's team must use a second factor
	Restriction    Restriction

	// Clock is the tenant's own; nil is the pool's. Sandboxes and tests turn it.
	Clock Clock
}

// MayTest reports whether the tenant may take pretended payments: a sandbox, and a
// reseller in its trial, who tries out its first order.
func (t Tenant) MayTest() bool { return t.Sandbox || t.Status == Trial }

// Restriction is what a reseller who does not pay the platform may no longer do. Each
// includes the ones before it. Services of its customers run on under all of them.
type Restriction string

// The restrictions.
const (
	Unrestricted Restriction = ""
	NoNewSales   Restriction = "no_new_sales" // nothing new is sold; renewals go on
	ReadOnly     Restriction = "read_only"    // and the reseller's console changes nothing
	Notice       Restriction = "notice"       // and the shop tells its visitors
)

// SellsNew reports whether new orders may be taken.
func (r Restriction) SellsNew() bool { return r == Unrestricted }

// Changes reports whether the reseller's team may change anything.
func (r Restriction) Changes() bool { return r == Unrestricted || r == NoNewSales }

// Tells reports whether visitors of the shop are told.
func (r Restriction) Tells() bool { return r == Notice }

// Clock tells the time. The domain never asks time.Now: it asks its transaction.
type Clock func() time.Time
