package browser_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

const judged = `<!doctype html><html lang="en"><title>Cards</title><meta name="viewport" content="width=device-width"><main><h1>Cards</h1>
<div style="position:relative"><p>Mastercard 4444, the card you pay with</p>BUTTON</div>LABEL</main></html>`

// Words under a button and a box away from its words are seen; what is in order is not.
func TestWhatIsMisplacedIsFound(t *testing.T) {
	pages := map[string]string{
		"/covered": strings.NewReplacer("BUTTON", `<button style="position:absolute;top:0;left:40px">Remove the card</button>`, "LABEL", "").Replace(judged),
		"/apart":   strings.NewReplacer("BUTTON", "", "LABEL", `<label style="display:block"><input type="checkbox"><span style="display:block">See invoices</span></label>`).Replace(judged),
		"/fine":    strings.NewReplacer("BUTTON", `<button>Remove the card</button>`, "LABEL", `<label><input type="checkbox"> See invoices</label>`).Replace(judged),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(pages[r.URL.Path]))
	}))
	t.Cleanup(server.Close)
	tab := browser.Open(t).Page(t, server.URL+"/fine", browser.Phone)
	tab.Allow("favicon")
	for path, want := range map[string]string{"/covered": "lies under <button", "/apart": "is not beside its box", "/fine": ""} {
		tab.Go(server.URL + path)
		found := strings.Join(tab.Trouble(), "\n")
		if want == "" && found != "" || !strings.Contains(found, want) {
			t.Errorf("%s: %s", path, found)
		}
	}
}
