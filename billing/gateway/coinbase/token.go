package coinbase

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

var errKey = errors.New("neither an EC nor an Ed25519 key")

// signer makes signed tokens with a CDP key, whose secret Coinbase gives as PEM (ES256) or
// as base64 (Ed25519).
func signer(id, secret string) (func(claims []byte) (string, error), error) {
	encode := base64.RawURLEncoding.EncodeToString
	head := func(alg string) (string, error) {
		nonce := make([]byte, 16)
		if _, err := rand.Read(nonce); err != nil {
			return "", err
		}
		text, err := json.Marshal(map[string]string{"alg": alg, "typ": "JWT", "kid": id, "nonce": hex.EncodeToString(nonce)})
		return encode(text), err
	}
	if strings.Contains(secret, "-----BEGIN") {
		key, err := ecKey(secret)
		if err != nil {
			return nil, err
		}
		return func(claims []byte) (string, error) {
			h, err := head("ES256")
			if err != nil {
				return "", err
			}
			text := h + "." + encode(claims)
			sum := sha256.Sum256([]byte(text))
			r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
			if err != nil {
				return "", err
			}
			sig := make([]byte, 64)
			r.FillBytes(sig[:32])
			s.FillBytes(sig[32:])
			return text + "." + encode(sig), nil
		}, nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(secret))
	if err != nil || len(raw) != ed25519.PrivateKeySize {
		return nil, errKey
	}
	key := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
	return func(claims []byte) (string, error) {
		h, err := head("EdDSA")
		if err != nil {
			return "", err
		}
		text := h + "." + encode(claims)
		return text + "." + encode(ed25519.Sign(key, []byte(text))), nil
	}, nil
}

// ecKey reads a PEM, also one whose lines a form has joined, or that has them written out
// as in Coinbase's file.
func ecKey(secret string) (*ecdsa.PrivateKey, error) {
	parts := strings.Split(strings.ReplaceAll(secret, `\n`, "\n"), "-----")
	if len(parts) < 5 { // "", BEGIN, body, END, ""
		return nil, errKey
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(parts[2]), ""))
	if err != nil {
		return nil, errKey
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		other, perr := x509.ParsePKCS8PrivateKey(der)
		if perr != nil {
			return nil, perr
		}
		var is bool
		if key, is = other.(*ecdsa.PrivateKey); !is {
			return nil, errKey
		}
	}
	if key.Curve != elliptic.P256() {
		return nil, errKey
	}
	return key, nil
}

// tokenLife is how long a token of one call counts.
const tokenLife = 2 * time.Minute

// token signs one call.
func (g *Gateway) token(method, path string) (string, error) {
	now := g.cfg.Clock()
	path, _, _ = strings.Cut(path, "?")
	claims, err := json.Marshal(map[string]any{"iss": "cdp", "sub": g.cfg.KeyID, "nbf": now.Unix(), "exp": now.Add(tokenLife).Unix(), "uri": method + " " + g.base.Host + path})
	if err != nil {
		return "", err
	}
	return g.sign(claims)
}
