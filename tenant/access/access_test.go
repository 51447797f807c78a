package access_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/access"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// member makes a person with a role in an account of their own.
func member(t *testing.T, db *tenancy.DB, role string) (account, person uuid.UUID) {
	t.Helper()
	account, person = uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	err := db.Update(t.Context(), func(tx *tenancy.Tx) error {
		email := person.String() + "@example.com"
		_, err := tx.NewRaw(`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'customer', ?, ?, 'Ada', 'member', ?, ?)`,
			person, email, email, tx.Now(), tx.Now()).Exec(t.Context())
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Ada Ltd', 'EUR', ?, ?)`, account, tx.Now(), tx.Now()).Exec(t.Context()); err != nil {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, ?, ?)`, account, person, role, tx.Now()).Exec(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return account, person
}

var origin = audit.Origin{Actor: audit.System("test")}

func mustCreate(t *testing.T, db *tenancy.DB, account, person uuid.UUID, scopes ...access.Scope) (access.Token, string) {
	t.Helper()
	token, secret, err := access.Create(t.Context(), db, access.New{AccountID: account, PersonID: person, Name: "deploy", Scopes: scopes}, origin)
	if err != nil {
		t.Fatal(err)
	}
	return token, secret
}

func exec(t *testing.T, db *tenancy.DB, sql string, args ...any) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *tenancy.Tx) error { _, err := tx.NewRaw(sql, args...).Exec(t.Context()); return err })
	if err != nil {
		t.Fatal(err)
	}
}

func TestATokenActsForItsAccountAndNobodyElse(t *testing.T) {
	w := tenancytest.New(t)
	a, b := w.DB(w.A), w.DB(w.B)
	account, person := member(t, a, "technical")
	member(t, b, "owner")
	token, secret := mustCreate(t, a, account, person, access.ServicesRead, access.ServicesWrite)
	if !strings.HasSuffix(secret, token.Hint) || len(secret) < 40 {
		t.Errorf("the secret %d long does not end in its hint %q", len(secret), token.Hint)
	}
	c, err := access.Recognise(t.Context(), a, secret)
	if err != nil {
		t.Fatal(err)
	}
	if c.AccountID != account || c.PersonID != person || !c.May(access.ServicesWrite) || c.May(access.BillingRead) {
		t.Errorf("recognised %+v", c)
	}
	if _, err := access.Recognise(t.Context(), b, secret); !fault.Is(err, "token.invalid_or_revoked") {
		t.Errorf("the other tenant said %v", err)
	}
	for _, forged := range []string{"", "tok_", secret + "x", strings.ToUpper(secret), "tok_' OR 1=1", "tok_" + strings.Repeat("a", 10_000), "tok_\x00"} {
		if _, err := access.Recognise(t.Context(), a, forged); !fault.Is(err, "token.invalid_or_revoked") {
			t.Errorf("%.20q: %v", forged, err)
		}
	}
}

func TestATokenDoesNoMoreThanItsMakerMay(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	account, person := member(t, db, "technical")
	_, _, err := access.Create(t.Context(), db, access.New{AccountID: account, PersonID: person, Name: "x", Scopes: []access.Scope{access.BillingRead}}, origin)
	if !fault.Is(err, "token.scope_beyond_role") {
		t.Errorf("a technical contact made a token for invoices: %v", err)
	}
	_, secret := mustCreate(t, db, account, person, access.ServicesWrite)
	exec(t, db, "UPDATE memberships SET role = 'read_only' WHERE person_id = ?", person)
	if c, err := access.Recognise(t.Context(), db, secret); err != nil || c.May(access.ServicesWrite) {
		t.Errorf("after the role was taken away: %+v, %v", c, err)
	}
	exec(t, db, "UPDATE people SET disabled_at = now() WHERE id = ?", person)
	if _, err := access.Recognise(t.Context(), db, secret); !fault.Is(err, "token.invalid_or_revoked") {
		t.Errorf("after its maker was disabled: %v", err)
	}
	other, stranger := member(t, db, "owner")
	_, _, err = access.Create(t.Context(), db, access.New{AccountID: account, PersonID: stranger, Name: "x", Scopes: []access.Scope{access.ServicesRead}}, origin)
	if !fault.Is(err, "account.not_found") {
		t.Errorf("a stranger made a token of another account: %v", err)
	}
	mine, _ := mustCreate(t, db, other, stranger, access.ServicesRead)
	if err := access.Revoke(t.Context(), db, account, mine.ID, origin); !fault.Is(err, "token.not_found") {
		t.Errorf("another account's token was revoked: %v", err)
	}
}

func TestRevokedAndExpiredTokensOpenNothing(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	account, person := member(t, db, "owner")
	token, secret := mustCreate(t, db, account, person, access.ServicesRead)
	for range 2 { // a second time changes nothing
		if err := access.Revoke(t.Context(), db, account, token.ID, origin); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := access.Recognise(t.Context(), db, secret); !fault.Is(err, "token.invalid_or_revoked") {
		t.Errorf("a revoked token: %v", err)
	}
	_, secret, err := access.Create(t.Context(), db, access.New{AccountID: account, PersonID: person, Name: "brief", Scopes: []access.Scope{access.ServicesRead}, Lifetime: time.Hour}, origin)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Hour)
	if _, err := access.Recognise(t.Context(), db, secret); !fault.Is(err, "token.invalid_or_revoked") {
		t.Errorf("an expired token: %v", err)
	}
	err = db.View(t.Context(), func(tx *tenancy.Tx) error {
		all, err := access.List(t.Context(), tx, account)
		if err != nil {
			return err
		}
		for _, token := range all {
			if token.Works(tx.Now()) {
				t.Errorf("listed as working: %+v", token)
			}
		}
		if len(all) != 2 {
			t.Errorf("listed %d tokens", len(all))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestJunkTokensAreRefusedAtTheField(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	account, person := member(t, db, "owner")
	good := access.New{AccountID: account, PersonID: person, Name: "n", Scopes: []access.Scope{access.ServicesRead}}
	for field, spoil := range map[string]func(*access.New){
		"name":    func(n *access.New) { n.Name = " \t" },
		"scopes":  func(n *access.New) { n.Scopes = []access.Scope{"everything"} },
		"expires": func(n *access.New) { n.Lifetime = -time.Hour },
	} {
		n := good
		spoil(&n)
		_, _, err := access.Create(t.Context(), db, n, origin)
		if f := fault.From(err); err == nil || f.Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func caller(t *testing.T, db *tenancy.DB) access.Caller {
	t.Helper()
	account, person := member(t, db, "owner")
	_, secret := mustCreate(t, db, account, person, access.OrdersWrite)
	c, err := access.Recognise(t.Context(), db, secret)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAWriteWithAKeyHappensOnce(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	c := caller(t, db)
	times := 0
	write := func() (access.Answer, error) {
		times++
		return access.Answer{Status: 201, Body: []byte(`{"id":1}`)}, nil
	}
	for n := range 3 {
		got, again, err := access.Once(t.Context(), db, c, "k", []byte("request"), write)
		if err != nil || got.Status != 201 || string(got.Body) != `{"id":1}` || again != (n > 0) {
			t.Fatalf("time %d: %+v, %v, %v", n, got, again, err)
		}
	}
	if times != 1 {
		t.Errorf("written %d times", times)
	}
	if _, _, err := access.Once(t.Context(), db, c, "k", []byte("another"), write); !fault.Is(err, "idempotency.key_reused") {
		t.Errorf("another request with the key: %v", err)
	}
	if _, again, err := access.Once(t.Context(), db, caller(t, db), "k", []byte("request"), write); err != nil || again {
		t.Errorf("another caller's key: %v, %v", again, err)
	}
	for _, key := range []string{"", "a b", "a\n", strings.Repeat("k", 256), "ü"} {
		if _, _, err := access.Once(t.Context(), db, c, key, nil, write); !fault.Is(err, "idempotency.key_invalid") {
			t.Errorf("key %.10q: %v", key, err)
		}
	}
}

func TestAFailedWriteMayBeTriedAgain(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	c := caller(t, db)
	broken := errors.New("broken")
	if _, _, err := access.Once(t.Context(), db, c, "k", nil, func() (access.Answer, error) { return access.Answer{}, broken }); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	if got, again, err := access.Once(t.Context(), db, c, "k", nil, func() (access.Answer, error) { return access.Answer{Status: 200}, nil }); err != nil || again || got.Status != 200 {
		t.Errorf("tried again: %+v, %v, %v", got, again, err)
	}
}

func TestTwoWritesAtOnceWithOneKey(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	c := caller(t, db)
	inside, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _, err := access.Once(context.WithoutCancel(t.Context()), db, c, "k", nil, func() (access.Answer, error) {
			close(inside)
			<-leave
			return access.Answer{Status: 200}, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-inside
	_, _, err := access.Once(t.Context(), db, c, "k", nil, func() (access.Answer, error) {
		t.Error("written at the same time")
		return access.Answer{}, nil
	})
	if !fault.Is(err, "idempotency.in_progress") {
		t.Errorf("the second got %v", err)
	}
	close(leave)
	wg.Wait()
	// A process that died in the middle leaves the key without an answer.
	exec(t, db, "UPDATE idempotency_keys SET status = NULL, answer = NULL, created_at = (created_at AT TIME ZONE 'UTC' - interval '2 minutes') AT TIME ZONE 'UTC'")
	if _, again, err := access.Once(t.Context(), db, c, "k", nil, func() (access.Answer, error) { return access.Answer{Status: 200}, nil }); err != nil || again {
		t.Errorf("an abandoned key: %v, %v", again, err)
	}
}
