package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/cmd/ezscale/setting"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

var update = flag.Bool("update", false, "write generated parts of the manual anew")

const (
	manual     = "../../docs/configuration.md"
	tableBegin = "<!-- the tables are written by: go test ./cmd/ezscale -run TestManual -update -->\n"
)

// TestManual holds the tables of docs/configuration.md against the structs.
func TestManual(t *testing.T) {
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	head, got, ok := strings.Cut(string(b), tableBegin)
	if !ok {
		t.Fatalf("%s has no line %q", manual, tableBegin)
	}
	want := "\n" + setting.Table(knownVars())
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("the tables of %s are not those of the structs; run: go test ./cmd/ezscale -run TestManual -update", manual)
	}
	if err := os.WriteFile(manual, []byte(head+tableBegin+want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEveryVariableIsDescribed(t *testing.T) {
	for _, v := range knownVars() {
		if v.About == "" || v.Group == "" || !strings.HasSuffix(v.About, ".") {
			t.Errorf("%s: about %q, group %q", v.Name, v.About, v.Group)
		}
	}
}

// needed is the least serve can be started with.
func needed(t *testing.T, more ...string) []string {
	t.Helper()
	key, err := secrets.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"EZSCALE_DATABASE_URL=postgres://owner:geheim@db/ezscale", "EZSCALE_REDIS_URL=redis://:geheim@cache:6379/0",
		"EZSCALE_MASTER_KEYS=" + key, "EZSCALE_PLATFORM_DOMAIN=Shops.Example.",
	}, more...)
}

func TestServeConfig(t *testing.T) {
	var c serveConfig
	if err := setting.Load(&c, needed(t, "EZSCALE_TRUSTED_PROXIES=10.0.0.0/8,192.0.2.1/32"), knownVars()); err != nil {
		t.Fatal(err)
	}
	if c.Hosts.Console != "console.shops.example" || c.Hosts.Partner != "partners.shops.example" {
		t.Errorf("the platform's hosts are %q and %q", c.Hosts.Console, c.Hosts.Partner)
	}
	if len(c.HTTP.TrustedProxies) != 2 || c.Database.LaneURL() != c.Database.URL {
		t.Errorf("got %+v", c.HTTP)
	}
	for _, v := range setting.Redacted(&c) {
		if strings.Contains(v.Value, "geheim") || strings.Contains(v.Value, c.Keys.Master) {
			t.Errorf("%s shows a secret", v.Name)
		}
	}
}

func TestServeConfigRefuses(t *testing.T) {
	for _, test := range []struct{ name, set, want string }{
		{"another database", "EZSCALE_DATABASE_URL=mysql://x", "EZSCALE_DATABASE_URL must begin with postgres://"},
		{"an address without a port", "EZSCALE_HTTP_ADDR=localhost", "EZSCALE_HTTP_ADDR must be host:port"},
		{"a host with a scheme", "EZSCALE_CONSOLE_HOST=https://c.example", "EZSCALE_CONSOLE_HOST must be a host name"},
		{"a proxy that is no network", "EZSCALE_TRUSTED_PROXIES=everyone", "EZSCALE_TRUSTED_PROXIES is \"everyone\""},
		{"a reserve above the budget", "EZSCALE_ACME_RESERVE=5000", "EZSCALE_ACME_RESERVE must not be more"},
		{"half an account binding", "EZSCALE_ACME_EAB_KID=x", "EZSCALE_ACME_EAB_KID and EZSCALE_ACME_EAB_HMAC go together"},
		{"a level there is not", "EZSCALE_LOG_LEVEL=loud", "EZSCALE_LOG_LEVEL must be one of"},
		{"a misspelt name", "EZSCALE_REDIS_ULR=x", "did you mean EZSCALE_REDIS_URL?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c serveConfig
			err := setting.Load(&c, needed(t, test.set), knownVars())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// command runs the program as its process would.
func command(t *testing.T, args ...string) (out, complaint string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(context.Background(), args, &terminal{in: strings.NewReader(""), out: &o, err: &e})
	return o.String(), e.String(), code
}

func TestExitStatus(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		env  string
		want int
	}{
		{"help", []string{"--help"}, "", exitDone},
		{"nothing asked is help", nil, "", exitDone},
		{"version", []string{"version", "--json"}, "", exitDone},
		{"no such command", []string{"frobnicate"}, "", exitUsage},
		{"no such flag", []string{"version", "--loud"}, "", exitUsage},
		{"an incomplete environment", []string{"config"}, "", exitUsage},
		{"a variable nobody knows", []string{"config"}, "EZSCALE_REDIS", exitUsage},
		{"a key of a bad name", []string{"secrets", "new", "--id", "not a name"}, "", exitUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.env != "" {
				t.Setenv(test.env, "x")
			}
			out, complaint, code := command(t, test.args...)
			if code != test.want {
				t.Errorf("got %d, want %d\n%s%s", code, test.want, out, complaint)
			}
			if test.env != "" && !strings.Contains(complaint, test.env) {
				t.Errorf("%q does not name %s", complaint, test.env)
			}
		})
	}
}

func TestHelpOfEveryCommand(t *testing.T) {
	for _, name := range []string{"config", "secrets", "secrets new", "bench", "version", "tenant", "tenant create", "tenant drop", "migrate", "lanes", "serve", "work", "demo", "doctor", "staff create"} {
		out, complaint, code := command(t, append(strings.Fields(name), "--help")...)
		if code != exitDone || !strings.Contains(out, "Usage: ezscale "+name) {
			t.Errorf("%s --help: %d %s%s", name, code, out, complaint)
		}
	}
}
