package coinbase

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
)

// refusal is an answer that will never be another one.
func refusal(err error) *problem {
	var p *problem
	if errors.As(err, &p) && p.status == http.StatusBadRequest {
		return p
	}
	return nil
}

// tolerance is how old a signature may be.
const tolerance = 5 * time.Minute

// Sign is what a notification is signed with: over its time, the names of the headers that
// are signed with it, their values and its body, with points between.
func Sign(secret string, at time.Time, names string, header http.Header, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	parts := []string{strconv.FormatInt(at.Unix(), 10), names}
	var values []string
	for name := range strings.FieldsSeq(names) {
		values = append(values, header.Get(name))
	}
	parts = append(parts, strings.Join(values, "."))
	mac.Write([]byte(strings.Join(parts, ".") + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// Event verifies a notification with the shop's secret.
func (g *Gateway) Event(_ context.Context, header http.Header, body []byte, now time.Time) (gateway.Event, error) {
	forged := func(why string) (gateway.Event, error) {
		return gateway.Event{}, fmt.Errorf("coinbase: %w: %s", gateway.ErrSignature, why)
	}
	said := map[string]string{}
	for part := range strings.SplitSeq(header.Get("X-Hook0-Signature"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		said[name] = value
	}
	seconds, err := strconv.ParseInt(said["t"], 10, 64)
	at := time.Unix(seconds, 0)
	if age := now.Sub(at); err != nil || age > tolerance || age < -tolerance {
		return forged("signed at another time")
	}
	if g.cfg.WebhookSecret == "" || !hmac.Equal([]byte(said["v1"]), []byte(Sign(g.cfg.WebhookSecret, at, said["h"], header, body))) {
		return forged("not signed with the shop's secret")
	}
	var e struct {
		ID   string `json:"id"`
		Type string `json:"eventType"`
	}
	if json.Unmarshal(body, &e) != nil || !isCheckout(e.ID) || e.Type == "" || len(e.Type) > 100 {
		return forged("it is not an event")
	}
	// Notifications have no name of their own: the same words are the same one.
	sum := sha256.Sum256(body)
	out := gateway.Event{ID: e.Type + "/" + e.ID + "/" + hex.EncodeToString(sum[:8]), Type: e.Type, Kind: gateway.OtherEvent, Ref: e.ID, Body: body}
	switch {
	case strings.HasPrefix(e.Type, "checkout.payment."):
		out.Kind = gateway.PaymentChanged
	case strings.HasPrefix(e.Type, "checkout.refund."):
		out.Kind, out.Ref, out.Payment = gateway.RefundChanged, "", e.ID
	}
	return out, nil
}
