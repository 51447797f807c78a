package mail

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func keyring(t *testing.T) *secrets.Keyring {
	t.Helper()
	key, err := secrets.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func verify(key, to string) Message {
	return Message{Key: key, Template: VerifyAddress, To: to, Data: map[string]string{"name": "Zoë", "link": "https://a.example/verify/s3cret", "valid_for": "24 hours"}}
}

func TestEnqueueOnceAKeySealedWithAJobOfTheTenant(t *testing.T) {
	w := tenancytest.New(t)
	o := NewOutbox(keyring(t))
	for range 2 {
		err := w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error { return o.Enqueue(t.Context(), tx, verify("verify 1", "zoe@example.com")) })
		if err != nil {
			t.Fatal(err)
		}
	}
	err := w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) error {
		return o.Enqueue(t.Context(), tx, verify("verify 1", "sam@example.com"))
	})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var sealed []byte
	if err := w.Owner.QueryRow(t.Context(), "SELECT count(*) OVER (), sealed_body FROM "+w.A.ID.Schema()+".mails").Scan(&n, &sealed); err != nil {
		t.Fatal(err)
	}
	if n != 1 || len(sealed) == 0 || bytes.Contains(sealed, []byte("s3cret")) {
		t.Errorf("%d mails, sealed %q", n, sealed)
	}
	var jobs string
	err = w.Owner.QueryRow(t.Context(), "SELECT string_agg(kind || ' ' || coalesce(metadata->>'tenant', '-'), ', ' ORDER BY kind) FROM river.river_job").Scan(&jobs)
	if want := "mail.send " + w.A.ID.String() + ", mail.send_central -"; err != nil || jobs != want {
		t.Errorf("jobs %q, %v; want %q", jobs, err, want)
	}
	if err := w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM "+w.B.ID.Schema()+".mails").Scan(&n); err != nil || n != 0 {
		t.Errorf("the other tenant has %d mails, %v", n, err)
	}
}

func TestEnqueueRefusesWhatCannotBeALetter(t *testing.T) {
	w := tenancytest.New(t)
	o := NewOutbox(keyring(t))
	enqueue := func(m Message) error {
		return w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error { return o.Enqueue(t.Context(), tx, m) })
	}
	for _, to := range []string{"", "zoe", "zoe@example.com\r\nBcc: eve@example.com", "Zoë <zoe@example.com>", "a@b.c, d@e.f", "a\x00@b.c", strings.Repeat("a", 300) + "@example.com"} {
		if err := enqueue(verify("k", to)); !fault.Is(err, "mail.bad_address") {
			t.Errorf("to %q: %v", to, err)
		}
	}
	wrong := verify("k", "zoe@example.com")
	wrong.Template = "nothing"
	if enqueue(wrong) == nil {
		t.Error("an unknown template was taken")
	}
	missing := verify("k", "zoe@example.com")
	delete(missing.Data, "link")
	if enqueue(missing) == nil {
		t.Error("a letter without its link was taken")
	}
}

func TestOneLineKeepsPeoplesWordsInTheirPlace(t *testing.T) {
	if got := oneLine(" Ann\r\nBcc: x\u202e\x00--- button "); got != "Ann  Bcc: x --- button" {
		t.Errorf("got %q", got)
	}
}

func mustUUID(t *testing.T, s string) uuid.UUID {
	t.Helper()
	id, err := uuid.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
