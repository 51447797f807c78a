package metrics_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/cmd/ezscale/metrics"
)

func scrape(s *metrics.Set) string {
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return rec.Body.String()
}

func TestMetrics(t *testing.T) {
	s := metrics.New()
	s.Observe("shop", "GET", "/products/:slug", 200, 3*time.Millisecond)
	s.Observe("shop", "GET", "/products/:slug", 404, time.Millisecond)
	done := s.InFlight("shop")
	s.JobEnded("mail.send", "done", 0, time.Second)
	s.JobEnded("mail.send", "failed", 0, time.Second)
	s.Denied("unknown_host")
	s.Gauge("ezscale_spares", "Spares.", nil, func() float64 { return 3 })
	s.Group("ezscale_domains", "Domains by state.", "state", func() ([]metrics.Sample, error) {
		return []metrics.Sample{{"active", 2}, {"pending", 1}}, nil
	})
	s.Group("ezscale_broken", "Cannot be read.", "state", func() ([]metrics.Sample, error) { return nil, errors.New("no") })
	got := scrape(s)
	for _, want := range []string{
		`ezscale_http_requests_total{method="GET",route="/products/:slug",status="2xx",surface="shop"} 1`,
		`ezscale_http_requests_total{method="GET",route="/products/:slug",status="4xx",surface="shop"} 1`,
		`ezscale_http_in_flight{surface="shop"} 1`, `ezscale_jobs_total{kind="mail.send",outcome="failed"} 1`,
		`ezscale_denied_total{reason="unknown_host"} 1`, `ezscale_spares 3`, `ezscale_domains{state="active"} 2`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing", want)
		}
	}
	done()
	if got := scrape(s); !strings.Contains(got, `ezscale_http_in_flight{surface="shop"} 0`) {
		t.Error("the request still counts as in flight")
	}
}
