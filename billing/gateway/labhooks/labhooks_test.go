package labhooks_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/labhooks"
)

func TestHooksAreTriedAgainAndGoWrongAsTold(t *testing.T) {
	var told []string
	up := true
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Signature") != "of "+string(body) {
			t.Errorf("%q is signed %q (%v)", body, r.Header.Get("Signature"), err)
		}
		if !up {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		told = append(told, string(body))
	}))
	defer shop.Close()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	p := labhooks.New(shop.Client(), func() time.Time { return now }, time.Second)
	add := func(bodies ...string) {
		for _, b := range bodies {
			p.Add(labhooks.Hook{URL: shop.URL, Body: []byte(b), Sign: func(h http.Header, _ time.Time) { h.Set("Signature", "of "+b) }})
		}
	}
	deliver := func(taken int, want ...string) {
		t.Helper()
		told = nil
		if n := p.Deliver(t.Context()); n != taken || !slices.Equal(told, want) {
			t.Errorf("%d were taken: %q, want %d: %q", n, told, taken, want)
		}
	}
	add("a", "b")
	deliver(2, "a", "b")
	deliver(0)

	up = false
	add("c")
	deliver(0)
	up = true
	deliver(0) // its time has not come
	now = now.Add(time.Second)
	deliver(1, "c")

	p.SetFaults(labhooks.Faults{Double: true, Turn: true})
	add("d", "e")
	deliver(2, "e", "e", "d", "d")
	p.SetFaults(labhooks.Faults{Lose: true})
	add("f")
	deliver(0)
	p.SetFaults(labhooks.Faults{})
	deliver(0)

	up = false
	add("g")
	for range 20 { // it is given up
		deliver(0)
		now = now.Add(time.Hour)
	}
	up = true
	deliver(0)
}
