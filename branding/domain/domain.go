// Package domain brings customers' own names to our sites: it proves who owns a
// name, checks where the name points, orders and renews its certificate, and
// serves TLS with HTTP/2 for every name it knows. It owns the tables domains,
// domain_events, acme_*, tls_* and platform_names.
//
// It does not own the directory that says which tenant a host belongs to
// (tenancy), nor any page (tenant/web, central/web).
//
// Certificates are ordered by a worker when a name is verified; a handshake only
// ever loads. See docs/domains.md for the whole life of a name.
package domain

import (
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Domain is one tenant's claim on one name.
type Domain struct {
	ID           uuid.UUID
	Tenant       tenancy.ID
	Host         string // ASCII, lower case, no trailing dot
	State        State
	Token        string // see TXTValue
	EdgeLabel    string // first label of the tenant's CNAME target
	Primary      bool
	Serving      bool // the resolver answers for it and TLS may load its certificate
	PendingSince time.Time
	VerifiedAt   *time.Time
	DNSOkAt      *time.Time
	DriftedAt    *time.Time
	CertSerial   string
	CertIssuer   string // issuer's common name
	Authority    string // storage key of the authority that issued it
	NotBefore    *time.Time
	NotAfter     *time.Time
	RenewAt      *time.Time
	NextAt       *time.Time
	OrderAfter   *time.Time // no order before this
	Attempts     int
	CheckedAt    *time.Time
	OwnerCheckAt *time.Time
	Observed     Observation
	ErrorCode    string
	Error        string // in the words the reseller reads
	CreatedBy    string
	CreatedAt    time.Time
	ChangedAt    time.Time
	RemovedAt    *time.Time
}

// Event is one change in the life of a domain.
type Event struct {
	ID     uuid.UUID
	At     time.Time
	Actor  string
	From   State
	To     State
	Code   string
	Detail string
}

// TXTPrefix is the label under which the proof of ownership is looked up.
const TXTPrefix = "_ezscale-verify."

// TXTName is the name of the record that proves ownership.
func (d Domain) TXTName() string { return TXTPrefix + d.Host }

// TXTValue is the value of the record that proves ownership. The token is made
// for this row, that is for one tenant and one name.
func (d Domain) TXTValue() string { return "ezscale-verify=" + d.Token }

// HasCertificate reports whether a certificate that is valid at now is known.
func (d Domain) HasCertificate(now time.Time) bool {
	return d.NotAfter != nil && now.Before(*d.NotAfter)
}

// Sentence is the one line that says what is missing right now.
func (d Domain) Sentence() string { return sentence(d) }
