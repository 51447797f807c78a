package virtfusion_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// document is the published description of the API, read once.
var document = sync.OnceValues(func() (routers.Router, error) {
	b, err := os.ReadFile("testdata/virtfusion-global-api-1.0.0.yaml")
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(b)
	if err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: "/api/v1"}}
	return gorillamux.NewRouter(doc)
})

// beyond are fields that are in the page about VirtFusion and not in the document's
// samples of the same endpoint, and why they are sent.
var beyond = map[string]string{
	"GET /servers/{serverId}: data.remoteState": "an object when it was asked for",
}

// validated has every request of the driver and every answer of the lab looked at:
// requests against the document's schemas, answers, for which the document has samples
// and no schemas, against the form of the samples.
func validated(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	router, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, params, err := router.FindRoute(r)
		if err != nil {
			if !strings.Contains(r.URL.Path, "..") {
				t.Errorf("the document has no %s %s: %v", r.Method, r.URL.Path, err)
			}
			next.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, MultiError: true}}
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			t.Errorf("%s %s with %s: %v", r.Method, r.URL, body, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r) // a cut connection panics through
		if rec.Code >= 200 && rec.Code < 300 && !strings.HasPrefix(strings.TrimSpace(rec.Body.String()), "<") {
			checkAnswer(t, route, rec)
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// checkAnswer compares an answer's status and form with the document's.
func checkAnswer(t testing.TB, route *routers.Route, rec *httptest.ResponseRecorder) {
	t.Helper()
	name := route.Method + " " + route.Path
	res := route.Operation.Responses.Status(rec.Code)
	if res == nil {
		t.Errorf("%s answers %d, which the document does not know", name, rec.Code)
		return
	}
	media := res.Value.Content.Get("application/json")
	if media == nil {
		if rec.Body.Len() != 0 {
			t.Errorf("%s answers with a body: %s", name, rec.Body)
		}
		return
	}
	sample := media.Example
	for _, e := range media.Examples {
		sample = e.Value.Value
	}
	if sample == nil {
		return
	}
	var got any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	for _, wrong := range differences("", got, sample) {
		path, _, _ := strings.Cut(wrong, " ")
		if _, known := beyond[name+": "+path]; known || strings.HasPrefix(wrong, "data[].") && name == "GET /servers" && strings.Contains(rec.Body.String(), `"ownerId"`) {
			continue
		}
		t.Errorf("%s: %s", name, wrong)
	}
}

// differences are the places where got has something of another kind than the sample, or
// something the sample does not have. Null fits everything; of a sample's list any
// element may be fitted.
func differences(at string, got, sample any) []string {
	if got == nil || sample == nil {
		return nil
	}
	switch g := got.(type) {
	case map[string]any:
		s, ok := sample.(map[string]any)
		if !ok {
			if list, isList := sample.([]any); isList && len(list) == 0 {
				return nil // PHP writes an empty object so
			}
			return []string{fmt.Sprintf("%s is an object, not %T", at, sample)}
		}
		var all []string
		for k, v := range g {
			below := strings.TrimPrefix(at+"."+k, ".")
			want, there := s[k]
			if !there {
				if below != "data.settings.decryptedPassword" && below != "data.settings.resources.decryptedPassword" {
					all = append(all, below+" is not in the sample")
				}
				continue
			}
			all = append(all, differences(below, v, want)...)
		}
		return all
	case []any:
		s, ok := sample.([]any)
		if !ok {
			return []string{fmt.Sprintf("%s is a list, not %T", at, sample)}
		}
		var all []string
		for _, e := range g {
			var fewest []string
			for i, want := range s {
				if d := differences(at+"[]", e, want); i == 0 || len(d) < len(fewest) {
					fewest = d
				}
			}
			all = append(all, fewest...)
		}
		return all
	}
	if kind(got) != kind(sample) {
		return []string{fmt.Sprintf("%s is %T, the sample has %T", at, got, sample)}
	}
	return nil
}

func kind(v any) string {
	switch v.(type) {
	case float64, int, int64, uint64:
		return "number"
	default:
		return fmt.Sprintf("%T", v)
	}
}

// TestTheFormIsCompared: the comparison finds what it is for.
func TestTheFormIsCompared(t *testing.T) {
	sample := map[string]any{"data": map[string]any{"id": 1.0, "name": "x", "list": []any{map[string]any{"a": 1.0}}}}
	for want, got := range map[string]any{
		"data.id is string, the sample has float64":   map[string]any{"data": map[string]any{"id": "1"}},
		"data.new is not in the sample":               map[string]any{"data": map[string]any{"new": 1.0}},
		"data.list[].b is not in the sample":          map[string]any{"data": map[string]any{"list": []any{map[string]any{"b": 1.0}}}},
		"data is a list, not map[string]interface {}": map[string]any{"data": []any{}},
	} {
		if d := differences("", got, sample); len(d) != 1 || d[0] != want {
			t.Errorf("%v: %v, want %s", got, d, want)
		}
	}
}
