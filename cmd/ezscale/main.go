// Command ezscale is the whole product in one program: the web processes, the
// workers, the tools that look after the database, and a demo that needs nothing
// else. It is the only place that sees both planes; it wires the parts and has no
// business of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/ezscale/ezscale/cmd/ezscale/setting"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// What the program answers to the shell.
const (
	exitDone        = 0
	exitFailed      = 1   // it was tried and failed, or a check found something wrong
	exitUsage       = 2   // the command line or the environment is wrong; nothing was tried
	exitInterrupted = 130 // stopped by Ctrl-C before it was done
)

const exitHelp = `
Exit status: 0 done; 1 failed, or a check found something wrong; 2 the command
line or the environment is wrong; 130 interrupted. Settings come from EZSCALE_*
variables: see docs/configuration.md and ezscale config.`

// commands is the command line.
type commands struct {
	Serve   serveCmd   `cmd:"" help:"Serve the sites: shops, client areas, consoles, TLS."`
	Work    workCmd    `cmd:"" help:"Do the work behind them: jobs, schedules, certificates, spares, mail."`
	Demo    demoCmd    `cmd:"" help:"Run everything on this machine, with nothing else installed."`
	Tenant  tenantCmd  `cmd:"" help:"Create and look after resellers."`
	Twin    twinCmd    `cmd:"" help:"Live in a shop's sandbox twin ahead of time: turn its clock, read what came of it."`
	Bill    billCmd    `cmd:"" help:"Bill the resellers, and audit what was billed."`
	Lanes   lanesCmd   `cmd:"" help:"Show or change the number of lanes the tenants are spread over."`
	Migrate migrateCmd `cmd:"" help:"Install or update the database: platform, template, spares, then every tenant."`
	Staff   staffCmd   `cmd:"" help:"Create people who work at the console."`
	Doctor  doctorCmd  `cmd:"" help:"Say what is wrong and which command mends it."`
	Secrets secretsCmd `cmd:"" help:"Make and check master keys."`
	Config  configCmd  `cmd:"" help:"Print the configuration that serve and work would use, without its secrets."`
	Bench   benchCmd   `cmd:"" help:"Measure what is promised to be fast."`
	Version versionCmd `cmd:"" help:"Print the version."`

	BenchServer benchServerCmd `cmd:"" name:"bench-server" hidden:""`
}

// terminal is where a command prints.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	_ = nameSessions(os.Args[1:]) // without a name they work as well
	os.Exit(run(ctx, os.Args[1:], &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run is the program without its process: tests call it.
func run(ctx context.Context, args []string, t *terminal) int {
	var cmds commands
	exited := -1
	parser, err := kong.New(&cmds,
		kong.Name("ezscale"),
		kong.Description("A hosting company's business system, and its resellers' under their own names.\n"+exitHelp),
		kong.UsageOnError(), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Writers(t.out, t.err), kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(t))
	if err != nil {
		_, _ = fmt.Fprintln(t.err, "ezscale:", err)
		return exitUsage
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help printed and asked to end
		return exited
	}
	if err != nil {
		_, _ = fmt.Fprintln(t.err, "ezscale:", err)
		return exitUsage
	}
	return report(ctx, k.Run(), t)
}

// usageError says that nothing was tried.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errFound is returned by checks that printed what they found.
var errFound = errors.New("something is wrong")

func report(ctx context.Context, err error, t *terminal) int {
	var usage *usageError
	var f *fault.Fault
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFound):
		return exitFailed
	case errors.As(err, &usage):
		printProblems(t, usage.err)
		return exitUsage
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(t.err, "ezscale: interrupted")
		return exitInterrupted
	case errors.As(err, &f) && f.Kind != fault.Internal:
		_, _ = fmt.Fprintf(t.err, "ezscale: %s (%s)\n", f.Message, f.Code)
		for field, text := range f.Fields {
			_, _ = fmt.Fprintf(t.err, "  %s: %s\n", field, text)
		}
		return exitFailed
	}
	_, _ = fmt.Fprintln(t.err, "ezscale:", err)
	return exitFailed
}

func printProblems(t *terminal, err error) {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		for _, e := range many.Unwrap() {
			printProblems(t, e)
		}
		return
	}
	var p setting.Problem
	if errors.As(err, &p) {
		_, _ = fmt.Fprintln(t.err, "ezscale:", p.Error())
		return
	}
	_, _ = fmt.Fprintln(t.err, "ezscale:", err)
}

func itoa(n int) string { return strconv.Itoa(n) }
