package secrets_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/secrets"
)

func mustRing(t testing.TB, keys ...string) *secrets.Keyring {
	t.Helper()
	ring, err := secrets.Parse(strings.Join(keys, ","))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func mustKey(t testing.TB, id string) string {
	t.Helper()
	k, err := secrets.NewKey(id)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpenRefuses(t *testing.T) {
	ring := mustRing(t, mustKey(t, "a"))
	other := mustRing(t, mustKey(t, "a"))
	stranger := mustRing(t, mustKey(t, "b"))
	aad := []byte("people/1")
	sealed, err := ring.Seal("totp", aad, []byte("the secret"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("the secret")) {
		t.Fatal("the secret stands in the sealed value")
	}
	if plain, err := ring.Open("totp", aad, sealed); err != nil || string(plain) != "the secret" {
		t.Fatalf("open: %q, %v", plain, err)
	}
	for _, c := range []struct {
		name    string
		ring    *secrets.Keyring
		purpose string
		aad     string
		sealed  []byte
		want    error
	}{
		{"another purpose", ring, "mail", "people/1", sealed, secrets.ErrTampered},
		{"another row", ring, "totp", "people/2", sealed, secrets.ErrTampered},
		{"purpose and row shifted into each other", ring, "totpp", "eople/1", sealed, secrets.ErrTampered},
		{"another key with the same id", other, "totp", "people/1", sealed, secrets.ErrTampered},
		{"a key we do not have", stranger, "totp", "people/1", sealed, secrets.ErrUnknownKey},
		{"nothing", ring, "totp", "people/1", nil, secrets.ErrTampered},
		{"cut short", ring, "totp", "people/1", sealed[:len(sealed)-1], secrets.ErrTampered},
		{"head only", ring, "totp", "people/1", sealed[:3], secrets.ErrTampered},
		{"longer", ring, "totp", "people/1", append(bytes.Clone(sealed), 0), secrets.ErrTampered},
		{"another version", ring, "totp", "people/1", append([]byte{9}, sealed[1:]...), secrets.ErrTampered},
	} {
		if plain, err := c.ring.Open(c.purpose, []byte(c.aad), c.sealed); !errors.Is(err, c.want) {
			t.Errorf("%s: got %q, %v; want %v", c.name, plain, err, c.want)
		}
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := ring.Open("totp", aad, bad); err == nil {
			t.Errorf("a bit of byte %d was turned and nobody noticed", i)
		}
	}
}

func TestRotation(t *testing.T) {
	oldKey, newKey := mustKey(t, "2025"), mustKey(t, "2026")
	before, during, after := mustRing(t, oldKey), mustRing(t, newKey, oldKey), mustRing(t, newKey)
	sealed, err := before.Seal("mail", nil, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Open("mail", nil, sealed); !errors.Is(err, secrets.ErrUnknownKey) {
		t.Fatalf("opened without the old key: %v", err)
	}
	fresh, changed, err := during.Rewrap("mail", nil, sealed)
	if err != nil || !changed {
		t.Fatalf("rewrap: %v, %v", changed, err)
	}
	if plain, err := after.Open("mail", nil, fresh); err != nil || string(plain) != "body" {
		t.Fatalf("open what was rewrapped: %q, %v", plain, err)
	}
	if same, changed, err := during.Rewrap("mail", nil, fresh); err != nil || changed || !bytes.Equal(same, fresh) {
		t.Fatalf("the second rewrap changed something: %v, %v", changed, err)
	}
	if before.DerivePassword("lane_00") != during.DerivePassword("lane_00") {
		t.Error("putting a new key in front changed a database password")
	}
	if before.DerivePassword("lane_00") == before.DerivePassword("lane_01") {
		t.Error("two logins share a password")
	}
	if bytes.Equal(before.DeriveKey("a"), before.DeriveKey("b")) {
		t.Error("two purposes share a key")
	}
}

func TestParseRefuses(t *testing.T) {
	good := mustKey(t, "a")
	for name, s := range map[string]string{
		"nothing":        "",
		"no id":          good[2:],
		"short key":      "a:YWJj",
		"not base64":     "a:" + strings.Repeat("!", 44),
		"same id":        good + "," + good,
		"id in capitals": "A" + good[1:],
		"trailing comma": good + ",",
	} {
		if _, err := secrets.Parse(s); err == nil {
			t.Errorf("%s: was read", name)
		} else if strings.Contains(err.Error(), good[2:]) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	ring := mustRing(f, mustKey(f, "a"))
	sealed, err := ring.Seal("p", []byte("row"), []byte("x"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{1, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, err := ring.Open("p", []byte("row"), b)
		if (err == nil) != bytes.Equal(b, sealed) {
			t.Fatalf("opened %x: %q, %v", b, plain, err)
		}
	})
}
