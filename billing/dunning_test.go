package billing_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

// The codes of https://docs.stripe.com/declines/codes and what Stripe advises of each.
func TestWhatADeclineCodeAsksFor(t *testing.T) {
	want := map[billing.Refusal][]string{
		billing.RefusedSoft: {
			"approve_with_id", "call_issuer", "card_velocity_exceeded", "do_not_honor", "duplicate_transaction", "generic_decline",
			"incorrect_cvc", "insufficient_funds", "issuer_not_available", "processing_error", "reenter_transaction", "service_not_allowed",
			"try_again_later", "withdrawal_count_limit_exceeded", "a code nobody knows", "",
		},
		billing.RefusedHard: {
			"card_not_supported", "currency_not_supported", "do_not_try_again", "expired_card", "fraudulent", "incorrect_number", "invalid_account", "invalid_number",
			"lost_card", "pickup_card", "restricted_card", "revocation_of_all_authorizations", "revocation_of_authorization", "stolen_card",
			"stop_payment_order", "transaction_not_allowed", "method_gone", "unknown_there",
		},
		billing.RefusedUnconfirmed: {"authentication_required", "authentication_not_handled", "payment_intent_authentication_failure"},
	}
	for r, codes := range want {
		for _, code := range codes {
			if got := billing.RefusalOf(code); got != r {
				t.Errorf("%q is %s, want %s", code, got, r)
			}
		}
	}
}

func TestWhatFollowsARefusal(t *testing.T) {
	d, berlin := billing.DefaultDunning(), zoneOf(t, "Europe/Berlin")
	due := time.Date(2026, 10, 24, 3, 30, 0, 0, time.UTC) // 05:30 in Berlin, the day before its clocks go back
	at := func(day, hour int) time.Time { return time.Date(2026, 10, day, hour, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		what   string
		r      billing.Refusal
		now    time.Time
		failed int
		want   billing.Step
	}{
		{"soft, in winter time by now", billing.RefusedSoft, due, 0, billing.Step{Counts: true, Next: at(25, 8)}},
		{"soft, the second", billing.RefusedSoft, at(25, 8), 1, billing.Step{Counts: true, Next: at(27, 8)}},
		{"an outage kept it until the evening before", billing.RefusedSoft, at(26, 22), 1, billing.Step{Counts: true, Next: at(28, 8)}},
		{"the last", billing.RefusedSoft, at(31, 8), 4, billing.Step{Counts: true}},
		{"hard", billing.RefusedHard, due, 0, billing.Step{Counts: true, Replace: true}},
		{"to be confirmed", billing.RefusedUnconfirmed, due, 0, billing.Step{Confirm: true}},
		{"of no kind", "", due, 0, billing.Step{Counts: true, Next: at(25, 8)}},
	} {
		if got := d.Refused(c.r, due, c.now, c.failed, berlin); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

func TestMorningsAreTheCustomers(t *testing.T) {
	zones := []*time.Location{time.UTC, zoneOf(t, "Europe/Berlin"), zoneOf(t, "America/Los_Angeles"), zoneOf(t, "Asia/Kolkata"), zoneOf(t, "Pacific/Kiritimati")}
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(1.7e9, 2e9).Draw(t, "at"), 0)
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		m := billing.Morning(at, zone)
		if h := m.In(zone); h.Hour() != billing.MorningHour || h.Minute() != 0 || h.Second() != 0 {
			t.Fatalf("%s is no morning", h)
		}
		if wait := m.Sub(at); wait < 0 || wait > 25*time.Hour || !billing.Morning(m, zone).Equal(m) {
			t.Fatalf("%s waits %s", at, wait)
		}
	})
}

func zoneOf(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}
