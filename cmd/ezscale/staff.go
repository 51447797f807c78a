package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/ezscale/ezscale/central/staff"
	"github.com/ezscale/ezscale/tenancy/identity"
)

type staffCmd struct {
	Create staffCreateCmd `cmd:"" help:"Create somebody who works at the console, with a password."`
}

type staffCreateCmd struct {
	output
	Email string `arg:"" help:"Address they sign in with."`
	Name  string `required:"" help:"Their name."`
	Role  string `default:"admin" enum:"admin,support,billing,read_only" help:"What they may do: admin, support, billing or read_only."`
}

// Run creates the person. The password is the first line of standard input, so that
// it stands in no list of processes and no history. The second factor is set up at
// the first sign-in.
func (c *staffCreateCmd) Run(ctx context.Context, t *terminal) error {
	if f, ok := t.in.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			_, _ = fmt.Fprint(t.err, "Password (it will be shown): ")
		}
	}
	line, err := bufio.NewReader(t.in).ReadString('\n')
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return &usageError{fmt.Errorf("give the password as the first line of standard input (%w)", err)}
	}
	if err := identity.CheckPassword(password, c.Email); err != nil {
		return err
	}
	passwords, err := identity.NewPasswords(1)
	if err != nil {
		return err
	}
	hash, err := passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	return withTools(ctx, func(x *tools) error {
		p, err := staff.First(ctx, x.central, identity.NewPerson{Email: c.Email, Name: c.Name, Role: identity.Role(c.Role)}, hash)
		if err != nil {
			return err
		}
		return c.print(t, map[string]string{"id": p.ID.String(), "email": p.Email, "role": string(p.Role)}, func() {
			t.say("%s can sign in at %s and will set up a second factor there.", p.Name, x.cfg.Hosts.Console)
		})
	})
}
