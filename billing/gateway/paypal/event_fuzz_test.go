package paypal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/paypal"
)

// FuzzEvent: whatever is sent in, PayPal is asked about it under our webhook and no other,
// and what PayPal does not call its own is no event.
func FuzzEvent(f *testing.F) {
	for _, body := range []string{
		`{"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "C1", "supplementary_data": {"related_ids": {"order_id": "O1"}}}}`,
		`{"id": "WH-2", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {"dispute_id": "PP-D-1"}}`,
		`{"id": "WH-3"}, "webhook_id": "another"`, `{"id": "WH-4"}}`, `{"id": 7}`, `[]`, `null`, "", "\x00",
	} {
		f.Add([]byte(body), "sig", true)
		f.Add([]byte(body), "", false)
	}
	var own bool
	var sent []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/oauth2/token") {
			_, _ = io.WriteString(w, `{"access_token": "token", "token_type": "Bearer", "expires_in": 32400}`)
			return
		}
		sent, _ = io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(map[string]string{"verification_status": map[bool]string{true: "SUCCESS", false: "FAILURE"}[own]})
	}))
	f.Cleanup(server.Close)
	gw, err := paypal.New(paypal.Config{ClientID: client, Secret: secret, WebhookID: "WH-OURS", APIURL: server.URL})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, signature string, says bool) {
		own, sent = says, nil
		e, err := gw.Event(t.Context(), http.Header{"Paypal-Auth-Algo": {"SHA256withRSA"}, "Paypal-Cert-Url": {server.URL + "/cert"}, "Paypal-Transmission-Id": {"1"},
			"Paypal-Transmission-Sig": {signature}, "Paypal-Transmission-Time": {"2026-10-15T09:30:00Z"}}, body, time.Unix(1_790_000_000, 0))
		if err != nil && !errors.Is(err, gateway.ErrSignature) {
			t.Fatal(err)
		}
		if err == nil && (!says || sent == nil || e.ID == "" || len(e.ID) > 255 || len(e.Type) > 255 || !bytes.Equal(e.Body, body)) {
			t.Fatalf("an event: %+v; PayPal said %t of %s", e, says, sent)
		}
		if sent == nil {
			return
		}
		var asked map[string]json.RawMessage
		if err := json.Unmarshal(sent, &asked); err != nil || len(asked) != 7 || string(asked["webhook_id"]) != `"WH-OURS"` || !bytes.Equal(bytes.TrimSpace(asked["webhook_event"]), bytes.TrimSpace(body)) {
			t.Fatalf("PayPal was asked %q: %v", sent, err)
		}
	})
}
