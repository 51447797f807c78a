package surface_test

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ezscale/ezscale/tenancy"
)

// A request is a span of its route's pattern, with the tenant and the request's number and
// nothing of host, path or visitor.
func TestRequestsAreTraced(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	cfg := ground
	cfg.Routes, cfg.Tracer = routes(), sdktrace.NewTracerProvider(sdktrace.WithSyncer(kept)).Tracer("test")
	f := mustFront(t)
	f.Tenants = mustSurface(t, cfg)
	f.Hosts = hosts{"nimbus.test": tenancy.Tenant{ID: mustID(t, 41), Slug: "nimbus", Status: tenancy.Active, Theme: "base", Locale: "en"}}
	for _, c := range []struct {
		path, name, status string
		failed             bool
	}{
		{"/?secret=1", "GET /", "200", false}, {"/broken", "GET /broken", "500", true}, {"/nowhere/secret", "GET none", "404", false},
	} {
		kept.Reset()
		res := ask(t, f, "203.0.113.9", "GET "+c.path+" HTTP/1.1\r\nHost: nimbus.test\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n")
		_ = body(t, res)
		spans := kept.GetSpans()
		if len(spans) != 1 {
			t.Fatalf("%s: %d spans", c.path, len(spans))
		}
		s, said := spans[0], map[string]string{}
		for _, a := range s.Attributes {
			said[string(a.Key)] = a.Value.String()
			if v := a.Value.String(); strings.Contains(v, "secret") || strings.Contains(v, "nimbus") || strings.Contains(v, "203.0.113.9") {
				t.Errorf("%s: %s is %s", c.path, a.Key, v)
			}
		}
		if s.Name != c.name || said["http.response.status_code"] != c.status || said["ezscale.tenant"] != "41" || said["ezscale.request"] == "" || (s.Status.Code == codes.Error) != c.failed {
			t.Errorf("%s: %s %v %v", c.path, s.Name, said, s.Status)
		}
		if s.Parent.IsValid() || s.SpanContext.TraceID().String() == "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("%s: a visitor's trace is gone on with", c.path)
		}
	}
}
