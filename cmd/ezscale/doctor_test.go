package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestDoctorReadsEveryOutbox: mails that wait or failed are found in two tenants.
func TestDoctorReadsEveryOutbox(t *testing.T) {
	w := tenancytest.New(t)
	key, err := secrets.NewKey("k")
	must(t, err)
	t.Setenv("EZSCALE_DATABASE_URL", w.DSN)
	t.Setenv("EZSCALE_PLATFORM_DOMAIN", "localhost")
	t.Setenv("EZSCALE_MASTER_KEYS", key)
	x, err := openTools(t.Context())
	must(t, err)
	defer x.close()
	look := func() finding {
		t.Helper()
		d := &doctor{tools: x}
		must(t, d.mails(t.Context()))
		return d.found[0]
	}
	put := func(of tenancy.Tenant, state string, age time.Duration) {
		t.Helper()
		must(t, x.pool.Bind(of).Update(t.Context(), func(tx *tenancy.Tx) error {
			id := uuid.Must(uuid.NewV7())
			_, err := tx.NewRaw("INSERT INTO mails (id, key, template, to_address, subject, state, created_at) VALUES (?, ?, 'welcome', 'a@b.test', '', ?, ?)",
				id, id.String(), state, tx.Now().Add(-age)).Exec(t.Context())
			return err
		}))
	}
	put(w.A, "queued", 30*time.Minute)
	put(w.A, "failed", 8*24*time.Hour)
	if f := look(); f.State != well {
		t.Errorf("%+v", f)
	}
	put(w.A, "failed", time.Hour)
	if f := look(); f.State != warning || !strings.HasPrefix(f.Means, "1 could not") {
		t.Errorf("%+v", f)
	}
	put(w.B, "queued", 2*time.Hour)
	if f := look(); f.State != warning || !strings.HasPrefix(f.Means, "1 have waited for more than an hour and 1 failed this week, in 2 of 4") {
		t.Errorf("%+v", f)
	}
}

func TestDoctorTriesTheBucket(t *testing.T) {
	backend := s3mem.New()
	must(t, backend.CreateBucket("uploads"))
	server := httptest.NewServer(http.Handler(gofakes3.New(backend).Server()))
	defer server.Close()
	for bucket, there := range map[string]bool{"uploads": true, "elsewhere": false} {
		d := &doctor{cfg: &serveConfig{Storage: storageConfig{URL: "s3://id:secret@" + strings.TrimPrefix(server.URL, "http://") + "/" + bucket + "?region=eu&tls=off"}}}
		if err := d.uploads(t.Context()); there != (err == nil) {
			t.Errorf("%s: %v", bucket, err)
		}
	}
}

// TestDoctorAsksStripe: whose the platform's own keys are, and what is missing.
func TestDoctorAsksStripe(t *testing.T) {
	lab := stripelab.New(stripelab.Options{})
	lab.AddAccount("sk_test_platform", "pk_test_platform")
	server := httptest.NewServer(lab.Handler())
	defer server.Close()
	look := func(p paymentsConfig) (finding, error) {
		p.StripeAPI, p.StripeJS = server.URL, server.URL+"/v3/"
		d := &doctor{cfg: &serveConfig{Payments: p}}
		err := d.stripe(t.Context())
		if len(d.found) == 0 {
			return finding{}, err
		}
		return d.found[0], err
	}
	whole := paymentsConfig{Secret: "sk_test_platform", Publishable: "pk_test_platform", Webhook: "whsec_x"}
	if f, err := look(whole); err != nil || f.State != well || !strings.Contains(f.Means, "test payments") {
		t.Errorf("whole: %+v %v", f, err)
	}
	if f, err := look(paymentsConfig{}); err != nil || f.State != warning {
		t.Errorf("none: %+v %v", f, err)
	}
	deaf, mixed, others := whole, whole, whole
	deaf.Webhook, mixed.Publishable, others.Secret = "", "pk_live_platform", "sk_test_others"
	if f, err := look(deaf); err != nil || f.State != warning || !strings.Contains(f.Means, "without a webhook secret") {
		t.Errorf("deaf: %+v %v", f, err)
	}
	if f, err := look(mixed); err != nil || f.State != warning || !strings.Contains(f.Means, "One key is for live") {
		t.Errorf("mixed: %+v %v", f, err)
	}
	if _, err := look(others); err == nil || strings.Contains(err.Error(), "sk_test") {
		t.Errorf("others': %v", err)
	}
	lab.SetFaults(stripelab.Faults{Down: true})
	if _, err := look(whole); err == nil {
		t.Error("down")
	}
}
