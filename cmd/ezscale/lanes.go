package main

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

type lanesCmd struct {
	output
	Number int           `arg:"" optional:"" help:"Spread the tenants over so many lanes; none: say how many there are."`
	Grace  time.Duration `default:"45s" help:"How long running processes have to take the new number before the old memberships go."`
}

// Run shows or changes the number of lanes. Everything keeps running.
func (c *lanesCmd) Run(ctx context.Context, t *terminal) error {
	return withTools(ctx, func(x *tools) error {
		owner, err := x.owner(ctx)
		if err != nil {
			return err
		}
		defer owner.Close(ctx) //nolint:errcheck // nothing is lost
		if c.Number != 0 {
			if err := tenancy.ChangeLanes(ctx, owner, c.Number, tenancy.LaneChange{Password: x.ring.DerivePassword, Grace: c.Grace}); err != nil {
				return err
			}
		}
		n, err := tenancy.LanesOf(ctx, owner)
		if err != nil {
			return err
		}
		return c.print(t, map[string]int{"lanes": n}, func() { t.say("%d lanes.", n) })
	})
}
