package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/ezscale/ezscale/cmd/ezscale/bench"
)

type benchCmd struct {
	output
	Names     []string      `arg:"" optional:"" help:"What to measure; all when none is named."`
	Tenants   int           `help:"Size of the big fleet." default:"10000"`
	Duration  time.Duration `help:"Length of each load." default:"4s"`
	Customers int           `help:"Customers of the shop whose twin is lived in." default:"1000"`
	Full      bool          `help:"Also the sizes that take minutes to build."`
	Strict    bool          `help:"Exit with 1 when a promise is not kept."`
}

// Run measures and prints.
func (c *benchCmd) Run(ctx context.Context, t *terminal) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := bench.Run(ctx, c.Names, bench.Options{
		Tenants: c.Tenants, Customers: c.Customers, Duration: c.Duration, Full: c.Full, BinDir: os.Getenv("EZSCALE_PG_BIN"), NPMRoot: ".", Self: self, Progress: t.err,
	})
	if err != nil {
		return err
	}
	if c.JSON {
		err = r.JSON(t.out)
	} else {
		err = r.Print(t.out)
	}
	if err != nil {
		return err
	}
	for _, x := range r.Results {
		if c.Strict && x.Target != "" && !x.Met {
			return errFound
		}
	}
	return nil
}

// Help lists what can be measured.
func (c *benchCmd) Help() string { return "Benches: " + strings.Join(bench.All(), ", ") + "." }

// benchServerCmd is a measured server, started by bench as a process of its own.
type benchServerCmd struct{}

// Run serves until standard input ends.
func (c *benchServerCmd) Run(ctx context.Context, t *terminal) error {
	return bench.ServeChild(ctx, t.in, t.out)
}
