package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/ezscale/ezscale/cmd/ezscale/setting"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

type versionCmd struct{ output }

// build is what version tells.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// release is set by the linker when a release is built.
var release = "development"

func buildInfo() build {
	b := build{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value[:min(len(s.Value), 12)]
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// Run prints the version.
func (c *versionCmd) Run(t *terminal) error {
	b := buildInfo()
	return c.print(t, b, func() {
		t.say("ezscale %s %s %s %s", b.Version, b.Revision, b.Go, b.Platform)
	})
}

type configCmd struct {
	output
	Manual bool `help:"Print the table of all variables, as in docs/configuration.md."`
}

// Run prints what serve and work would use.
func (c *configCmd) Run(t *terminal) error {
	if c.Manual {
		t.say("%s", strings.TrimSuffix(setting.Table(knownVars()), "\n"))
		return nil
	}
	cfg, err := configure[serveConfig]()
	if err != nil {
		return err
	}
	values := setting.Redacted(cfg)
	return c.print(t, values, func() {
		for _, v := range values {
			t.say("%s=%s", v.Name, v.Value)
		}
	})
}

type secretsCmd struct {
	New   secretsNewCmd   `cmd:"" help:"Print a new master key, to be put first in EZSCALE_MASTER_KEYS."`
	Check secretsCheckCmd `cmd:"" help:"Check that EZSCALE_MASTER_KEYS can be read and opens what it sealed."`

	Rotate secretsRotateCmd `cmd:"" help:"Seal everything again with the first of EZSCALE_MASTER_KEYS, so that the others can go."`
}

type secretsNewCmd struct {
	output
	ID string `help:"Name of the key: letters, digits and dashes." default:"k1"`
}

// Run prints a key.
func (c *secretsNewCmd) Run(t *terminal) error {
	k, err := secrets.NewKey(c.ID)
	if err != nil {
		return &usageError{err}
	}
	return c.print(t, map[string]string{"key": k}, func() { t.say("%s", k) })
}

type secretsCheckCmd struct{ output }

// Run checks the keys.
func (c *secretsCheckCmd) Run(_ context.Context, t *terminal) error {
	var cfg struct {
		Keys keysConfig `group:"Secrets"`
	}
	if err := loadInto(&cfg); err != nil {
		return err
	}
	ring, err := secrets.Parse(cfg.Keys.Master)
	if err != nil {
		return &usageError{setting.Problem{Name: "EZSCALE_MASTER_KEYS", Text: "cannot be used: " + err.Error()}}
	}
	sealed, err := ring.Seal("check", nil, []byte("check"))
	if err != nil {
		return err
	}
	if _, err := ring.Open("check", nil, sealed); err != nil {
		return err
	}
	return c.print(t, map[string]bool{"ok": true}, func() { t.say("The master keys can be read, seal and open.") })
}
