package coinbase_test

import (
	"bytes"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

var description = flag.String("openapi", "testdata/checkouts.json", "what requests and answers are held against: see testdata/README.md")

// interfaces is the description, read once.
var interfaces = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(*description)
	if err != nil {
		return nil, err
	}
	doc.Servers = openapi3.Servers{{URL: "/api/v1"}}
	if strings.HasPrefix(doc.OpenAPI, "3.1") {
		doc.OpenAPI = "3.0.3" // the paths are written alike, and the validator knows no other
		delete(doc.Extensions, "webhooks")
	}
	return gorillamux.NewRouter(doc)
})

// checked holds every request of the client, and every answer of the simulator, against
// the description.
func checked(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	router, err := interfaces()
	if err != nil {
		t.Fatal(err)
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		route, params, err := router.FindRoute(r)
		if err != nil {
			t.Errorf("Coinbase has no %s %s: %v", r.Method, r.URL.Path, err)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			t.Errorf("%s %s with %s is not Coinbase's: %v", r.Method, r.URL, body, err)
		}
		if r.Header.Get("Authorization") == "" {
			t.Errorf("%s %s carries no token", r.Method, r.URL)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r) // a cut connection panics through
		if rec.Code != http.StatusServiceUnavailable {
			out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: options, Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes()))}
			if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
				t.Errorf("the simulator's answer to %s %s is not Coinbase's: %v\n%s", r.Method, r.URL, err, rec.Body)
			}
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}
