package alerts_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/mail/mailtrap"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/themes"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// discord answers as told and keeps what it was sent.
type discord struct {
	mu     sync.Mutex
	answer func(n int) (status int, header http.Header, body string)
	got    []map[string]any
	asked  int
}

func (d *discord) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	status, header, body := d.answer(d.asked)
	for k, v := range header {
		w.Header()[k] = v
	}
	b, _ := io.ReadAll(r.Body)
	if status < 300 && r.URL.Query().Get("wait") == "true" {
		var m map[string]any
		if json.Unmarshal(b, &m) == nil {
			d.got = append(d.got, m)
		}
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func fine(int) (int, http.Header, string) { return 200, nil, "{}" }

var by = audit.Origin{Actor: audit.System("test")}

// house is a desk whose Discord is a server of ours.
func house(t *testing.T) (*alerts.Desk, *discord, *tenancytest.World, string) {
	t.Helper()
	w, d := tenancytest.New(t), &discord{answer: fine}
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	desk := &alerts.Desk{Central: w.Central, Keys: ring, Mail: mail.NewOutbox(ring), Console: "https://console.test",
		Client: egress.Client(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}), Hooks: func(*url.URL) bool { return true }}
	return desk, d, w, srv.URL + "/api/webhooks/1/secret"
}

func raise(t *testing.T, w *tenancytest.World, key, text string) bool {
	t.Helper()
	var fresh bool
	must(t, w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) (err error) {
		fresh, err = alerts.Raise(t.Context(), tx, alerts.Alert{Key: key, Tenant: w.A.ID, Kind: "payment.failed", Text: text, Detail: map[string]string{"amount": "€10.00"}})
		return err
	}))
	return fresh
}

func carry(t *testing.T, d *alerts.Desk, want int) {
	t.Helper()
	if n, err := d.SendDue(t.Context()); err != nil || n != want {
		t.Fatalf("%d were carried, not %d: %v", n, want, err)
	}
}

func TestEachChannelIsToldOnce(t *testing.T) {
	d, dc, w, hook := house(t)
	ctx := t.Context()
	_, err := d.Add(ctx, alerts.NewChannel{Kind: alerts.Discord, Name: "ops", Target: hook}, by)
	must(t, err)
	_, err = d.Add(ctx, alerts.NewChannel{Kind: alerts.Mail, Name: "mail", Target: "ops@ezscale.test", Kinds: []string{"payment.failed"}}, by)
	must(t, err)
	_, err = d.Add(ctx, alerts.NewChannel{Kind: alerts.Mail, Name: "other", Target: "other@ezscale.test", Kinds: []string{"platform.down"}}, by)
	must(t, err)
	if !raise(t, w, "k1", "@everyone a card was declined") || raise(t, w, "k1", "again") {
		t.Error("a key was raised twice, or not at all")
	}
	carry(t, d, 2)
	carry(t, d, 0)
	if len(dc.got) != 1 {
		t.Fatalf("Discord got %d messages", len(dc.got))
	}
	m := dc.got[0]
	if parse := m["allowed_mentions"].(map[string]any)["parse"].([]any); len(parse) != 0 || !strings.Contains(strings.ToLower(jsonOf(m)), "alpha") {
		t.Errorf("the message is %s", jsonOf(m))
	}
	var mails int
	must(t, w.Owner.QueryRow(ctx, "SELECT count(*) FROM central.mails WHERE template = 'alert' AND to_address = 'ops@ezscale.test'").Scan(&mails))
	if mails != 1 {
		t.Errorf("%d mails", mails)
	}
	all, err := d.Channels(ctx)
	must(t, err)
	for _, c := range all {
		if strings.Contains(c.Shown, "secret") && c.Kind == alerts.Discord {
			t.Errorf("the webhook's address is shown: %s", c.Shown)
		}
	}
}

func jsonOf(v any) string { b, _ := json.Marshal(v); return string(b) }

func TestDiscordAsksForPatienceAndIsGone(t *testing.T) {
	d, dc, w, hook := house(t)
	ctx := t.Context()
	id, err := d.Add(ctx, alerts.NewChannel{Kind: alerts.Discord, Name: "ops", Target: hook}, by)
	must(t, err)
	dc.answer = func(int) (int, http.Header, string) { return 429, http.Header{"Retry-After": {"90.5"}}, "{}" }
	raise(t, w, "k1", "one")
	raise(t, w, "k2", "two")
	carry(t, d, 0)
	carry(t, d, 0)
	if dc.asked != 1 {
		t.Errorf("Discord was asked %d times while it wanted to be left alone", dc.asked)
	}
	w.Clock.Advance(91 * time.Second)
	dc.answer = fine
	carry(t, d, 2)
	dc.answer = func(int) (int, http.Header, string) { return 503, nil, "" }
	raise(t, w, "k3", "three")
	carry(t, d, 0)
	w.Clock.Advance(time.Minute)
	dc.answer = fine
	carry(t, d, 1)
	dc.answer = func(int) (int, http.Header, string) { return 404, nil, `{"code": 10015}` }
	raise(t, w, "k4", "four")
	carry(t, d, 0)
	asked := dc.asked
	w.Clock.Advance(24 * time.Hour)
	raise(t, w, "k5", "five")
	carry(t, d, 0)
	if dc.asked != asked {
		t.Error("a webhook that is gone was asked again")
	}
	all, err := d.Channels(ctx)
	if err != nil || len(all) != 1 || all[0].ID != id || all[0].State != alerts.Gone {
		t.Errorf("%+v: %v", all, err)
	}
	listed, _, err := d.List(ctx, alerts.Filter{})
	if err != nil || !strings.Contains(jsonOf(listed), "channel.gone") {
		t.Errorf("staff do not hear of it: %v", err)
	}
	if err := d.Test(ctx, id, "Anna"); !fault.Is(err, "channel.not_reached") {
		t.Errorf("a test of it: %v", err)
	}
}

// Only Discord's own webhooks are taken, and only public addresses are called.
func TestWebhooksLeadToDiscordAlone(t *testing.T) {
	d, _, w, _ := house(t)
	ctx := t.Context()
	d.Hooks = nil
	for _, to := range []string{
		"http://discord.com/api/webhooks/1/abc", "https://discord.com.evil.test/api/webhooks/1/abc", "https://discord.com@127.0.0.1/api/webhooks/1/abc",
		"https://127.0.0.1/api/webhooks/1/abc", "https://discord.com/api/webhooks/1/abc?x=1", "https://discord.com:8443/api/webhooks/1/abc",
		"https://discord.com/api/users/@me", "https://169.254.169.254/latest", "", "x", "https://discord.com/api/webhooks/1/../../users",
	} {
		if _, err := d.Add(ctx, alerts.NewChannel{Kind: alerts.Discord, Name: "x", Target: to}, by); !fault.Is(err, "channel.invalid") {
			t.Errorf("%q: %v", to, err)
		}
	}
	id, err := d.Add(ctx, alerts.NewChannel{Kind: alerts.Discord, Name: "x", Target: "https://discord.com/api/webhooks/1/abc-DEF_1"}, by)
	must(t, err)
	var sealed []byte
	must(t, w.Owner.QueryRow(ctx, "SELECT sealed_target FROM central.alert_channels WHERE id = $1", id).Scan(&sealed))
	if strings.Contains(string(sealed), "discord") {
		t.Error("the address is not sealed")
	}
	d.Client = egress.Client(egress.Options{})
	d.Hooks = func(*url.URL) bool { return true }
	inside, err := d.Add(ctx, alerts.NewChannel{Kind: alerts.Discord, Name: "in", Target: "https://127.0.0.1:1/api/webhooks/1/a"}, by)
	must(t, err)
	if err := d.Test(ctx, inside, "Anna"); !fault.Is(err, "channel.not_reached") {
		t.Errorf("an address inside: %v", err)
	}
}

// TestWhatStaffMustKnowReachesThem raises one alert of each kind by the door its part
// has, twice, and reads what came at Discord's and in a mailbox.
func TestWhatStaffMustKnowReachesThem(t *testing.T) {
	d, dc, w, hook := house(t)
	ctx := t.Context()
	trap, err := mailtrap.Listen("127.0.0.1:0", mailtrap.Options{})
	must(t, err)
	t.Cleanup(func() { _ = trap.Close() })
	host, port := trap.HostPort()
	smtp, err := mail.NewSMTP(mail.SMTPConfig{Host: host, Port: port, TLS: mail.TLSNone})
	must(t, err)
	letters, err := mail.LoadLetters(themes.Files, []string{"base"})
	must(t, err)
	own := mail.Sender{Brand: branding.Plain("EZSCALE", branding.Tokens{}, branding.Texts{}), FromName: "EZSCALE", FromAddress: "no-reply@ezscale.test", BaseURL: d.Console, Host: "console.test"}
	postman := &mail.Postman{Sealer: d.Keys, Letters: letters, Senders: &mail.House{Own: own}, Transport: smtp}
	_, err = d.Add(ctx, alerts.NewChannel{Kind: alerts.Discord, Name: "ops", Target: hook}, by)
	must(t, err)
	_, err = d.Add(ctx, alerts.NewChannel{Kind: alerts.Mail, Name: "mail", Target: "ops@ezscale.test"}, by)
	must(t, err)

	tenants := []string{"payment.failed", "service.failed", "order.large"}
	platform := []string{"reseller.new", "platform.down"}
	for range 2 {
		for _, kind := range tenants {
			for _, of := range []tenancy.Tenant{w.A, w.B} { // with one key: two tenants' are two alerts
				must(t, w.DB(of).Update(ctx, func(tx *tenancy.Tx) error {
					_, err := tx.RaiseAlert(ctx, tenancy.Alert{Key: kind + "/1", Kind: kind, Text: "It is " + kind + "."})
					return err
				}))
			}
		}
		for _, kind := range platform {
			must(t, w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
				_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: kind + " 1", Kind: kind, Text: "It is " + kind + "."})
				return err
			}))
		}
		if _, err := d.SendDue(ctx); err != nil {
			t.Fatal(err)
		}
	}
	var waiting []string
	must(t, w.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT id::text FROM mails WHERE template = 'alert'").Scan(ctx, &waiting)
	}))
	for _, id := range waiting {
		must(t, postman.SendCentral(ctx, w.Central, mail.CentralSendJob{Mail: id}))
	}
	mails := trap.Mails("ops@ezscale.test")
	if len(dc.got) != 8 || len(mails) != 8 {
		t.Errorf("Discord got %d messages, the mailbox %d, want 8 each", len(dc.got), len(mails))
	}
	for _, kind := range append(tenants, platform...) {
		want := 1
		if slices.Contains(tenants, kind) {
			want = 2
		}
		atDiscord, byMail := 0, 0
		for _, m := range dc.got {
			atDiscord += strings.Count(jsonOf(m), "It is "+kind)
		}
		for _, m := range mails {
			if strings.Contains(m.Text, "It is "+kind) {
				byMail++
			}
		}
		if atDiscord != want || byMail != want {
			t.Errorf("%s came %d times at Discord and %d times by mail, want %d", kind, atDiscord, byMail, want)
		}
	}
}
