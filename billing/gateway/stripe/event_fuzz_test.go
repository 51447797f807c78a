package stripe_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
)

// FuzzEvent: nothing that is not signed is an event, and whatever is signed is one with a
// name that can be kept or none.
func FuzzEvent(f *testing.F) {
	for _, body := range []string{
		`{"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}}`, `{"id": "evt_2", "type": "charge.refunded", "data": {"object": {"payment_intent": {"id": 7}}}}`,
		`{"account": "acct_1", "id": "evt_3"}`, `{"id": ["evt"]}`, `[]`, `null`, "", "\x00", `{"id": "evt_4", "type": "charge.dispute.created", "data": {"object": {"payment_intent": "pi_2"}}}`,
	} {
		f.Add([]byte(body), "t=1,v1=00")
	}
	f.Add([]byte("{}"), "t=99999999999999999999,v1=,v1=zz,,=")
	gw, err := stripe.New(stripe.Config{SecretKey: secret, PublishableKey: publishable, WebhookSecrets: []string{"whsec_fuzz"}, APIURL: "http://127.0.0.1:1", Shop: "42"})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_790_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		if _, err := gw.Event(t.Context(), http.Header{"Stripe-Signature": {signature}}, body, now); !errors.Is(err, gateway.ErrSignature) {
			t.Fatalf("unsigned, and %v", err)
		}
		mac := hmac.New(sha256.New, []byte("whsec_fuzz"))
		fmt.Fprintf(mac, "%d.%s", now.Unix(), body)
		signed := http.Header{"Stripe-Signature": {fmt.Sprintf("t=%d,v1=%s", now.Unix(), hex.EncodeToString(mac.Sum(nil)))}}
		e, err := gw.Event(t.Context(), signed, body, now)
		if err == nil && (e.ID == "" || len(e.ID) > 255 || len(e.Type) > 255) || err != nil && !errors.Is(err, gateway.ErrSignature) {
			t.Fatalf("%+v %v", e, err)
		}
	})
}
