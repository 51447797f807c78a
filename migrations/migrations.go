// Package migrations holds the SQL that shapes the database: the central
// schema, the schema every tenant gets a copy of, and the doors between them.
// Files are numbered, plain SQL, forward only, and safe while the code before
// them still runs (expand, then contract). The package has no logic of its own;
// tenancy/fleet applies what is here.
package migrations

import "embed"

// Central holds central/NNNN_name.sql, applied in order to the schema central.
//
//go:embed central/*.sql
var Central embed.FS

// Tenant holds tenant/NNNN_name.sql, applied in order to every tenant's schema.
// No file in it names a schema: the binding does.
//
//go:embed tenant/*.sql
var Tenant embed.FS

// TenantBaseline is what the tenants' migrations up to the version in its first line come
// to, as one script: a new schema is made of it in nine tenths of the time, and the older the
// house, the more it saves. It is written by `go test ./tenancy -run Baseline -update`, which
// without -update holds it against the migrations; those that follow it are run one by one.
//
//go:embed baseline.sql
var TenantBaseline string

// Doors is the idempotent script of grants, revokes and SECURITY DEFINER
// functions that is run, as the owner of the database, after every change of
// the central schema.
//
//go:embed doors.sql
var Doors string
