package webhook_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/webhook"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var origin = audit.Origin{Actor: audit.System("test")}

// receiver is somebody else's program: it keeps what it was told and answers as it is set.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	header http.Header
	got    []received
}

type received struct {
	header http.Header
	body   []byte
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: 204, header: http.Header{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, received{q.Header.Clone(), body})
		for name := range r.header {
			w.Header().Set(name, r.header.Get(name))
		}
		w.WriteHeader(r.status)
		if r.status != 204 {
			_, _ = io.WriteString(w, "answer\x00\xff")
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func newDesk(t *testing.T) *webhook.Desk {
	t.Helper()
	key, err := secrets.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	return &webhook.Desk{Sealer: ring, Plain: true, Client: egress.Client(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: 5 * time.Second})}
}

func mustAccount(t *testing.T, db *tenancy.DB) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	err := db.Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Ada Ltd', 'EUR', ?, ?)`, id, tx.Now(), tx.Now()).Exec(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func mustSend(t *testing.T, db *tenancy.DB, e webhook.Event) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *tenancy.Tx) error { return webhook.Send(t.Context(), tx, e) }); err != nil {
		t.Fatal(err)
	}
}

// deliveries is what stands in the table for an endpoint.
func deliveries(t *testing.T, db *tenancy.DB, owner webhook.Owner, endpoint uuid.UUID) (all []webhook.Delivery) {
	t.Helper()
	err := db.View(t.Context(), func(tx *tenancy.Tx) (err error) {
		all, err = webhook.Deliveries(t.Context(), tx, owner, endpoint)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAMessageProvesWhereItComesFromAndComesOnce(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Now()) // the library's verifier reads the wall clock
	db, desk, r := w.DB(w.A), newDesk(t), newReceiver(t)
	account := mustAccount(t, db)
	own, secret, err := desk.Add(t.Context(), db, webhook.Owner{AccountID: account}, r.URL, []webhook.Type{webhook.InvoicePaid}, origin)
	if err != nil {
		t.Fatal(err)
	}
	reseller, _, err := desk.Add(t.Context(), db, webhook.Owner{}, r.URL+"/all", nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mustSend(t, db, webhook.Event{Key: "invoice/1/paid", Type: webhook.InvoicePaid, AccountID: account, Data: map[string]any{"invoice": "INV-1"}})
	}
	mustSend(t, db, webhook.Event{Key: "service/1/active", Type: webhook.ServiceActive, AccountID: account})
	mustSend(t, db, webhook.Event{Key: "invoice/2/paid", Type: webhook.InvoicePaid, AccountID: uuid.Must(uuid.NewV7())})
	mine := deliveries(t, db, webhook.Owner{AccountID: account}, own.ID)
	if len(mine) != 1 {
		t.Fatalf("the account's endpoint hears %d messages, want its one", len(mine))
	}
	if all := deliveries(t, db, webhook.Owner{}, reseller.ID); len(all) != 3 {
		t.Errorf("the reseller's endpoint hears %d messages, want 3", len(all))
	}
	for range 2 { // the job runs twice
		if err := desk.Deliver(t.Context(), db, webhook.DeliverJob{Delivery: mine[0].ID}); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.got) != 1 {
		t.Fatalf("received %d times", len(r.got))
	}
	verifier, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(r.got[0].body, r.got[0].header); err != nil {
		t.Errorf("the signature: %v", err)
	}
	if !strings.Contains(string(r.got[0].body), `"type":"invoice.paid"`) {
		t.Errorf("the body is %s", r.got[0].body)
	}
	if d := deliveries(t, db, webhook.Owner{AccountID: account}, own.ID)[0]; d.State != "delivered" || d.LastStatus != 204 || d.Attempts != 1 {
		t.Errorf("noted %+v", d)
	}
}

func TestRotationSignsWithBothSecrets(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Now())
	db, desk, r := w.DB(w.A), newDesk(t), newReceiver(t)
	e, old, err := desk.Add(t.Context(), db, webhook.Owner{}, r.URL, nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := desk.Rotate(t.Context(), db, webhook.Owner{}, e.ID, origin)
	if err != nil {
		t.Fatal(err)
	}
	if err := webhook.SendTest(t.Context(), db, webhook.Owner{}, e.ID); err != nil {
		t.Fatal(err)
	}
	if err := desk.Deliver(t.Context(), db, webhook.DeliverJob{Delivery: deliveries(t, db, webhook.Owner{}, e.ID)[0].ID}); err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]string{"old": old, "new": fresh} {
		v, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Verify(r.got[0].body, r.got[0].header); err != nil {
			t.Errorf("the %s secret: %v", name, err)
		}
	}
}

func TestWhatAnswersMean(t *testing.T) {
	for _, test := range []struct {
		name     string
		status   int
		header   string
		attempts int // made before
		state    string
		endpoint webhook.State
		wait     time.Duration // 0: no further attempt
	}{
		{"taken", 200, "", 0, "delivered", webhook.Active, 0},
		{"a redirect is no success", 302, "", 0, "waiting", webhook.Active, 5 * time.Second},
		{"an error later", 500, "", 1, "waiting", webhook.Active, 5 * time.Minute},
		{"too many, with how long to wait", 429, "7200", 0, "waiting", webhook.Active, 2 * time.Hour},
		{"given up", 503, "", 9, "failed", webhook.Failing, 0},
		{"gone", 410, "", 0, "failed", webhook.Paused, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := tenancytest.New(t)
			db, desk, r := w.DB(w.A), newDesk(t), newReceiver(t)
			r.status = test.status
			if test.header != "" {
				r.header.Set("Retry-After", test.header)
			}
			e, _, err := desk.Add(t.Context(), db, webhook.Owner{}, r.URL, nil, origin)
			if err != nil {
				t.Fatal(err)
			}
			mustSend(t, db, webhook.Event{Key: "k", Type: webhook.InvoicePaid})
			d := deliveries(t, db, webhook.Owner{}, e.ID)[0]
			err = db.Update(t.Context(), func(tx *tenancy.Tx) error {
				_, err := tx.NewRaw("UPDATE webhook_deliveries SET attempts = ?", test.attempts).Exec(t.Context())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			err = desk.Deliver(t.Context(), db, webhook.DeliverJob{Delivery: d.ID})
			var again *queue.RetryError
			if test.wait == 0 && err != nil || test.wait > 0 && (!errors.As(err, &again) || again.After != test.wait) {
				t.Errorf("delivering answered %v, want another try after %v", err, test.wait)
			}
			if d := deliveries(t, db, webhook.Owner{}, e.ID)[0]; d.State != test.state || d.LastStatus != test.status {
				t.Errorf("noted %+v", d)
			}
			err = db.View(t.Context(), func(tx *tenancy.Tx) error {
				all, err := webhook.List(t.Context(), tx, webhook.Owner{})
				if err == nil && all[0].State != test.endpoint {
					t.Errorf("the endpoint is %s", all[0].State)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestInsideAddressesAreNeverCalled(t *testing.T) {
	w := tenancytest.New(t)
	db, desk, r := w.DB(w.A), newDesk(t), newReceiver(t)
	e, _, err := desk.Add(t.Context(), db, webhook.Owner{}, r.URL, nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	mustSend(t, db, webhook.Event{Key: "k", Type: webhook.InvoicePaid})
	desk.Client = egress.Client(egress.Options{}) // as in production
	d := deliveries(t, db, webhook.Owner{}, e.ID)[0]
	if err := desk.Deliver(t.Context(), db, webhook.DeliverJob{Delivery: d.ID}); err == nil {
		t.Error("an inside address was called")
	}
	if d := deliveries(t, db, webhook.Owner{}, e.ID)[0]; len(r.got) != 0 || d.LastStatus != 0 || !strings.Contains(d.LastAnswer, "not a public one") {
		t.Errorf("received %d, noted %+v", len(r.got), d)
	}
	desk.Plain = false
	for _, address := range []string{"http://example.com", "ftp://example.com", "https://", "https://u:p@example.com", "example.com", "https://example.com/#x", "\x00"} {
		if _, _, err := desk.Add(t.Context(), db, webhook.Owner{}, address, nil, origin); !fault.Is(err, "webhook.invalid") {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, _, err := desk.Add(t.Context(), db, webhook.Owner{}, "https://example.com", []webhook.Type{"all.money"}, origin); !fault.Is(err, "webhook.invalid") {
		t.Errorf("an unknown event: %v", err)
	}
}

func TestEndpointsOfOthersAreNotThere(t *testing.T) {
	w := tenancytest.New(t)
	a, b, desk := w.DB(w.A), w.DB(w.B), newDesk(t)
	mine, theirs := webhook.Owner{AccountID: mustAccount(t, a)}, webhook.Owner{AccountID: mustAccount(t, a)}
	e, _, err := desk.Add(t.Context(), a, mine, "https://example.com", nil, origin)
	if err != nil {
		t.Fatal(err)
	}
	for what, try := range map[string]func(db *tenancy.DB, o webhook.Owner) error{
		"pause":  func(db *tenancy.DB, o webhook.Owner) error { return webhook.Pause(t.Context(), db, o, e.ID, origin) },
		"resume": func(db *tenancy.DB, o webhook.Owner) error { return webhook.Resume(t.Context(), db, o, e.ID, origin) },
		"remove": func(db *tenancy.DB, o webhook.Owner) error { return webhook.Remove(t.Context(), db, o, e.ID, origin) },
		"test":   func(db *tenancy.DB, o webhook.Owner) error { return webhook.SendTest(t.Context(), db, o, e.ID) },
		"rotate": func(db *tenancy.DB, o webhook.Owner) error {
			_, err := desk.Rotate(t.Context(), db, o, e.ID, origin)
			return err
		},
		"list": func(db *tenancy.DB, o webhook.Owner) error {
			return db.View(context.WithoutCancel(t.Context()), func(tx *tenancy.Tx) error {
				_, err := webhook.Deliveries(t.Context(), tx, o, e.ID)
				return err
			})
		},
		"again": func(db *tenancy.DB, o webhook.Owner) error { return webhook.Again(t.Context(), db, o, e.ID, uuid.Nil) },
	} {
		for who, err := range map[string]error{"another account": try(a, theirs), "the reseller": try(a, webhook.Owner{}), "another tenant": try(b, mine)} {
			if !fault.Is(err, "webhook.not_found") {
				t.Errorf("%s by %s: %v", what, who, err)
			}
		}
	}
}
