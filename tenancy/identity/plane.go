package identity

import (
	"context"

	"github.com/ezscale/ezscale/tenancy"
)

// Plane is a database that keeps people: one tenant's, or the platform's own.
type Plane interface {
	View(ctx context.Context, fn func(tenancy.Statements) error) error
	Update(ctx context.Context, fn func(tenancy.Statements) error) error
}

// InTenant is the tenant's plane.
func InTenant(db *tenancy.DB) Plane { return tenantPlane{db} }

// InCentral is the platform's plane.
func InCentral(c *tenancy.Central) Plane { return centralPlane{c} }

type tenantPlane struct{ db *tenancy.DB }

func (p tenantPlane) View(ctx context.Context, fn func(tenancy.Statements) error) error {
	return p.db.View(ctx, func(tx *tenancy.Tx) error { return fn(tx) })
}

func (p tenantPlane) Update(ctx context.Context, fn func(tenancy.Statements) error) error {
	return p.db.Update(ctx, func(tx *tenancy.Tx) error { return fn(tx) })
}

type centralPlane struct{ c *tenancy.Central }

func (p centralPlane) View(ctx context.Context, fn func(tenancy.Statements) error) error {
	return p.c.View(ctx, func(tx *tenancy.CentralTx) error { return fn(tx) })
}

func (p centralPlane) Update(ctx context.Context, fn func(tenancy.Statements) error) error {
	return p.c.Update(ctx, func(tx *tenancy.CentralTx) error { return fn(tx) })
}
