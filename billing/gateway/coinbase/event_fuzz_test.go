package coinbase_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/coinbase"
	"github.com/ezscale/ezscale/billing/gateway/coinbaselab"
)

// FuzzEvent: nothing that is not signed is an event, and whatever is signed is one with a
// name that can be kept or none.
func FuzzEvent(f *testing.F) {
	for _, body := range []string{`{"id": "0123456789abcdef01234567", "eventType": "checkout.payment.success"}`, `{"id": {}, "eventType": 1}`, `[]`, "", "\x00"} {
		f.Add([]byte(body), "t=1,h=a b,v1=00")
	}
	f.Add([]byte("{}"), "t=-9223372036854775808,,=,v1")
	gw, err := coinbase.New(coinbase.Config{KeyID: key, KeySecret: coinbaselab.New(coinbaselab.Options{}).AddAccount(key), WebhookSecret: hookSecret, APIURL: "http://127.0.0.1:1/api/v1"})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_790_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		if _, err := gw.Event(t.Context(), http.Header{"X-Hook0-Signature": {signature}}, body, now); !errors.Is(err, gateway.ErrSignature) {
			t.Fatalf("unsigned, and %v", err)
		}
		signed := http.Header{"X-Hook0-Signature": {fmt.Sprintf("t=%d,h=,v1=%s", now.Unix(), coinbase.Sign(hookSecret, now, "", nil, body))}}
		e, err := gw.Event(t.Context(), signed, body, now)
		if err == nil && (e.ID == "" || len(e.ID) > 255 || len(e.Type) > 255) || err != nil && !errors.Is(err, gateway.ErrSignature) {
			t.Fatalf("%+v %v", e, err)
		}
	})
}
