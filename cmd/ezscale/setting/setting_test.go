package setting_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/cmd/ezscale/setting"
)

type store struct {
	URL     string        `env:"STORE_URL" secret:"true" need:"true" about:"Where things are kept."`
	Conns   int           `env:"STORE_CONNS" envDefault:"4" about:"How many at once."`
	Timeout time.Duration `env:"STORE_TIMEOUT" envDefault:"5s" about:"How long one may take."`
}

// Validate refuses no connections.
func (s *store) Validate() error {
	if s.Conns < 1 {
		return setting.Problem{Name: "EZSCALE_STORE_CONNS", Text: "must be 1 or more"}
	}
	return nil
}

type command struct {
	Store store    `group:"Storage"`
	Hosts []string `env:"HOSTS" about:"Names."`
}

func load(environ ...string) (command, error) {
	var c command
	err := setting.Load(&c, environ, nil)
	return c, err
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("redis://from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		environ []string
		want    string // what the error says; empty: none
	}{
		{"all that is needed", []string{"EZSCALE_STORE_URL=redis://x", "HOME=/root"}, ""},
		{"a secret from a file", []string{"EZSCALE_STORE_URL_FILE=" + file}, ""},
		{"a needed one is missing", nil, "EZSCALE_STORE_URL must be set: where things are kept."},
		{"empty counts as missing", []string{"EZSCALE_STORE_URL="}, "EZSCALE_STORE_URL must be set"},
		{"a number that is none", []string{"EZSCALE_STORE_URL=x", "EZSCALE_STORE_CONNS=many"}, `EZSCALE_STORE_CONNS is "many", which is no number`},
		{"a duration that is none", []string{"EZSCALE_STORE_URL=x", "EZSCALE_STORE_TIMEOUT=soon"}, `EZSCALE_STORE_TIMEOUT is "soon", which is no duration`},
		{"a misspelt name", []string{"EZSCALE_STORE_URL=x", "EZSCALE_STORE_CONN=4"}, "EZSCALE_STORE_CONN is not a variable of this program; did you mean EZSCALE_STORE_CONNS?"},
		{"a name like none", []string{"EZSCALE_STORE_URL=x", "EZSCALE_ZZZZZZZZ=4"}, "EZSCALE_ZZZZZZZZ is not a variable of this program"},
		{"a value out of range", []string{"EZSCALE_STORE_URL=x", "EZSCALE_STORE_CONNS=0"}, "EZSCALE_STORE_CONNS must be 1 or more"},
		{"a file that is not there", []string{"EZSCALE_STORE_URL_FILE=/nowhere/at/all"}, "EZSCALE_STORE_URL_FILE cannot be read"},
		{"only secrets come from files", []string{"EZSCALE_STORE_URL=x", "EZSCALE_STORE_CONNS_FILE=" + file}, "EZSCALE_STORE_CONNS_FILE is not a variable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(test.environ...)
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Fatalf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := load("EZSCALE_STORE_CONNS=many", "EZSCALE_WRONG=1")
	for _, want := range []string{"EZSCALE_STORE_CONNS", "EZSCALE_WRONG", "EZSCALE_STORE_URL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	var p setting.Problem
	if !errors.As(err, &p) {
		t.Errorf("%T is no Problem", err)
	}
}

func TestValues(t *testing.T) {
	c, err := load("EZSCALE_STORE_URL=redis://u:geheim@host/0", "EZSCALE_HOSTS=a,b")
	if err != nil {
		t.Fatal(err)
	}
	if c.Store.Conns != 4 || c.Store.Timeout != 5*time.Second || len(c.Hosts) != 2 {
		t.Errorf("got %+v", c)
	}
	var shown []string
	for _, v := range setting.Redacted(&c) {
		shown = append(shown, v.Name+"="+v.Value)
	}
	all := strings.Join(shown, "\n")
	if strings.Contains(all, "geheim") {
		t.Errorf("a secret is shown:\n%s", all)
	}
	if !strings.Contains(all, "EZSCALE_STORE_URL=redis://u:xxxxx@host/0") || !strings.Contains(all, "EZSCALE_HOSTS=a,b") {
		t.Errorf("got\n%s", all)
	}
}

func TestMalformedSecretsAreNotShown(t *testing.T) {
	var c struct {
		Key time.Duration `env:"KEY" secret:"true" about:"A key."`
	}
	err := setting.Load(&c, []string{"EZSCALE_KEY=geheim"}, nil)
	if err == nil || strings.Contains(err.Error(), "geheim") || !strings.Contains(err.Error(), "EZSCALE_KEY") {
		t.Errorf("got %v", err)
	}
}

func TestTable(t *testing.T) {
	got := setting.Table(append(setting.Vars(command{}), setting.Vars(&command{})...))
	for _, want := range []string{"### Storage", "| `EZSCALE_STORE_URL` | text, secret | **needed** | Where things are kept. |", "| `EZSCALE_STORE_CONNS` | number | `4` |", "| `EZSCALE_HOSTS` | list of text |"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not there once in\n%s", want, got)
		}
	}
}
