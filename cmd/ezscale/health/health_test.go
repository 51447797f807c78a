package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/ezscale/ezscale/cmd/ezscale/health"
)

func ask(t *testing.T, r *health.Report) (int, health.Answer) {
	t.Helper()
	rec := httptest.NewRecorder()
	r.ServeReady(rec, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	var a health.Answer
	if err := json.NewDecoder(rec.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	return rec.Code, a
}

func TestReadiness(t *testing.T) {
	well := func(context.Context) error { return nil }
	ill := func(context.Context) error { return errors.New("connection refused") }
	for _, test := range []struct {
		name  string
		state func(*health.Report)
		redis func(context.Context) error
		want  int
	}{
		{"still starting", func(*health.Report) {}, well, 503},
		{"serving", (*health.Report).Serving, well, 200},
		{"serving without Redis", (*health.Report).Serving, ill, 503},
		{"draining", (*health.Report).Draining, well, 503},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := health.New()
			r.Part("database", well)
			r.Shared("redis", test.redis)
			test.state(r)
			code, a := ask(t, r)
			if code != test.want || a.Ready != (test.want == 200) {
				t.Errorf("got %d %+v, want %d", code, a, test.want)
			}
			if want := test.name == "serving" || test.name == "serving without Redis"; a.Serves != want {
				t.Errorf("may serve: %v, want %v", a.Serves, want)
			}
			if a.Parts["database"] != "ok" {
				t.Errorf("the database is said to be %q", a.Parts["database"])
			}
			if wrong := a.Parts["redis"] != "ok"; wrong != (test.redis(context.Background()) != nil) {
				t.Errorf("Redis is said to be %q", a.Parts["redis"])
			}
		})
	}
}

func TestLiveWhileAPartIsIll(t *testing.T) {
	r := health.New()
	r.Part("database", func(context.Context) error { return errors.New("gone") })
	rec := httptest.NewRecorder()
	r.Live(rec, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if rec.Code != http.StatusOK {
		t.Errorf("got %d", rec.Code)
	}
}

func TestManyWhoAskCostOne(t *testing.T) {
	var checks atomic.Int64
	r := health.New()
	r.Part("database", func(context.Context) error { checks.Add(1); return nil })
	r.Serving()
	for range 50 {
		ask(t, r)
	}
	if n := checks.Load(); n > 10 {
		t.Errorf("50 questions were %d checks", n)
	}
}
