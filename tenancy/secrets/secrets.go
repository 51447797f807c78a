// Package secrets seals what must not be readable in a database dump: second
// factors, mail bodies, private keys, credentials of other systems. It owns the
// sealed format and the passwords of the platform's own database logins. It does
// not keep anything: callers store what Seal returns, and master keys come from
// the configuration.
package secrets

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrUnknownKey is returned for a value sealed with a key the ring does not hold.
	ErrUnknownKey = errors.New("secrets: sealed with a key that is not configured")
	// ErrTampered is returned for a value that was changed, or that was sealed for
	// another purpose or other associated data.
	ErrTampered = errors.New("secrets: the sealed value does not open")
)

// A sealed value is: version, length of the key's id, the key's id, nonce,
// AES-256-GCM ciphertext with its tag.
const (
	version  = 1
	keyBytes = 32
	maxKeyID = 32
)

type key struct {
	id     string
	master []byte
}

// Keyring holds the master keys: the first one seals, all of them open. It is
// immutable and safe for concurrent use.
type Keyring struct{ keys []key }

// Parse reads master keys written "id:base64,id:base64". A key is 32 random bytes;
// an id is 1 to 32 characters a-z, 0-9, "-" and "_" and is unique.
func Parse(s string) (*Keyring, error) {
	ring := &Keyring{}
	seen := map[string]bool{}
	for i, part := range strings.Split(s, ",") {
		id, encoded, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok || !validID(id) {
			return nil, fmt.Errorf("secrets: master key %d is not written id:base64", i+1)
		}
		if seen[id] {
			return nil, fmt.Errorf("secrets: master key id %q stands twice", id)
		}
		seen[id] = true
		master, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(master) != keyBytes {
			return nil, fmt.Errorf("secrets: master key %q is not %d bytes in base64", id, keyBytes)
		}
		ring.keys = append(ring.keys, key{id: id, master: master})
	}
	return ring, nil
}

// NewKey makes one master key in the form that Parse reads.
func NewKey(id string) (string, error) {
	if !validID(id) {
		return "", fmt.Errorf("secrets: %q is not a key's id", id)
	}
	master := make([]byte, keyBytes)
	_, _ = rand.Read(master) // never fails
	return id + ":" + base64.StdEncoding.EncodeToString(master), nil
}

// Seal encrypts plain for one purpose (such as "totp") and binds it to aad, which
// names where the value is kept: a sealed value copied to another row does not open.
func (r *Keyring) Seal(purpose string, aad, plain []byte) ([]byte, error) {
	k := r.keys[0]
	box, err := k.cipher(purpose)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", purpose, err)
	}
	head := append([]byte{version, byte(len(k.id))}, k.id...)
	nonce := make([]byte, box.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	sealed := append(append(make([]byte, 0, len(head)+len(nonce)+len(plain)+box.Overhead()), head...), nonce...)
	return box.Seal(sealed, nonce, plain, bound(head, purpose, aad)), nil
}

// Open returns what was sealed for the same purpose and aad. Its error is
// ErrUnknownKey or ErrTampered.
func (r *Keyring) Open(purpose string, aad, sealed []byte) ([]byte, error) {
	k, head, rest, err := r.split(sealed)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	box, err := k.cipher(purpose)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, err)
	}
	if len(rest) < box.NonceSize()+box.Overhead() {
		return nil, fmt.Errorf("open %s: %w", purpose, ErrTampered)
	}
	nonce, body := rest[:box.NonceSize()], rest[box.NonceSize():]
	plain, err := box.Open(nil, nonce, body, bound(head, purpose, aad))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", purpose, ErrTampered)
	}
	return plain, nil
}

// Rewrap seals the value again with the first key. It reports false, and returns
// sealed as it is, when that key already sealed it.
func (r *Keyring) Rewrap(purpose string, aad, sealed []byte) ([]byte, bool, error) {
	plain, err := r.Open(purpose, aad, sealed)
	if err != nil {
		return nil, false, fmt.Errorf("rewrap: %w", err)
	}
	if k, _, _, err := r.split(sealed); err == nil && k.id == r.keys[0].id {
		return sealed, false, nil
	}
	fresh, err := r.Seal(purpose, aad, plain)
	return fresh, err == nil, err
}

// First is the id of the key that seals.
func (r *Keyring) First() string { return r.keys[0].id }

// Holds reports whether the ring can open what the key of that id sealed.
func (r *Keyring) Holds(id string) bool {
	return slices.ContainsFunc(r.keys, func(k key) bool { return k.id == id })
}

// KeyIDSQL is the SQL for the id of the key that sealed a column's value, so that what
// an old key sealed is found without opening everything. The column comes from the
// program, never from outside.
func KeyIDSQL(column string) string {
	return "CASE WHEN length(" + column + ") < 2 THEN '' ELSE encode(substring(" + column + " FROM 3 FOR get_byte(" + column + ", 1)), 'escape') END"
}

// DerivePassword is the password of one of the platform's own database logins. It
// is made from the oldest (last) key, so that putting a new key in front locks
// nobody out of the database; after the oldest key has been removed, installing
// again sets the passwords.
func (r *Keyring) DerivePassword(role string) string {
	raw, err := hkdf.Key(sha256.New, r.keys[len(r.keys)-1].master, nil, "ezscale database login "+role, 24)
	if err != nil {
		panic(err) // only for lengths that no caller can ask for
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// DeriveKey is a key of 32 bytes for authenticating short-lived values (form
// tokens, device cookies) of one purpose. Like database passwords it outlives the
// putting in of a new first key.
func (r *Keyring) DeriveKey(purpose string) []byte {
	raw, err := hkdf.Key(sha256.New, r.keys[len(r.keys)-1].master, nil, "ezscale key "+purpose, keyBytes)
	if err != nil {
		panic(err) // only for lengths that no caller can ask for
	}
	return raw
}

func (r *Keyring) split(sealed []byte) (k key, head, rest []byte, err error) {
	if len(sealed) < 2 || sealed[0] != version || len(sealed) < 2+int(sealed[1]) {
		return key{}, nil, nil, ErrTampered
	}
	n := 2 + int(sealed[1])
	id := string(sealed[2:n])
	for _, k := range r.keys {
		if k.id == id {
			return k, sealed[:n], sealed[n:], nil
		}
	}
	return key{}, nil, nil, ErrUnknownKey
}

// cipher is the purpose's own key: a mistake in one use cannot touch another.
func (k key) cipher(purpose string) (cipher.AEAD, error) {
	sub, err := hkdf.Key(sha256.New, k.master, nil, "ezscale seal "+purpose, keyBytes)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sub)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// bound is what the tag covers beside the ciphertext; lengths keep its parts apart.
func bound(head []byte, purpose string, aad []byte) []byte {
	b := append([]byte(nil), head...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(purpose))) //nolint:gosec // a purpose is a short literal
	b = append(b, purpose...)
	return append(b, aad...)
}

func validID(id string) bool {
	if id == "" || len(id) > maxKeyID {
		return false
	}
	return strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
