package paypallab

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/labhooks"
)

type endpoint struct {
	id, url, base string
	events        []string
}

func (e *endpoint) wants(kind string) bool {
	return slices.Contains(e.events, "*") || slices.Contains(e.events, kind)
}

func (e *endpoint) json() object {
	var types []any
	for _, name := range e.events {
		types = append(types, object{"name": name})
	}
	return object{"id": e.id, "url": e.url, "event_types": types}
}

func (c *call) newEndpoint() answer {
	var ask struct {
		URL    string `json:"url"`
		Events []struct {
			Name string `json:"name"`
		} `json:"event_types"`
	}
	if !c.read(&ask) || !strings.HasPrefix(ask.URL, "http://") && !strings.HasPrefix(ask.URL, "https://") || len(ask.Events) == 0 {
		return invalid("url")
	}
	e := &endpoint{id: newID(), url: ask.URL, base: c.base}
	for _, x := range ask.Events {
		e.events = append(e.events, x.Name)
	}
	for _, old := range c.a.endpoints {
		if old.url == e.url {
			return refuse(http.StatusBadRequest, "WEBHOOK_URL_ALREADY_EXISTS", "", "")
		}
	}
	c.a.endpoints = append(c.a.endpoints, e)
	return answer{http.StatusCreated, e.json()}
}

func (c *call) listEndpoints() answer {
	all := []any{}
	for _, e := range c.a.endpoints {
		all = append(all, e.json())
	}
	return answer{http.StatusOK, object{"webhooks": all}}
}

// tell makes an event and queues it for every endpoint that wants it.
func (c *call) tell(kind, resource string, o object) {
	body, err := json.Marshal(object{
		"id": "WH-" + newID() + "-" + newID(), "event_version": "1.0", "create_time": c.lab.now(), "resource_type": resource, "event_type": kind,
		"summary": "Simulated <" + kind + ">", "resource": o,
	})
	if err != nil {
		panic(err) // what the simulator makes is JSON
	}
	for _, to := range c.a.endpoints {
		if to.wants(kind) {
			l := c.lab
			l.hooks.Add(labhooks.Hook{URL: to.url, Body: body, Sign: func(h http.Header, _ time.Time) {
				maps.Copy(h, l.Sign(body, to.id, to.base))
				h.Set("User-Agent", "PayPal/AUHD-1.0 (simulated)")
			}})
		}
	}
}

// Run delivers webhooks until ctx ends. What is not taken is tried again.
func (l *Lab) Run(ctx context.Context) error { return l.hooks.Run(ctx) }

// Deliver delivers the webhooks that are due and returns how many were taken.
func (l *Lab) Deliver(ctx context.Context) (taken int) { return l.hooks.Deliver(ctx) }

// signed is what PayPal signs of a notification.
func signed(transmission, at, webhookID string, body []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%d", transmission, at, webhookID, crc32.ChecksumIEEE(body)))
	return sum[:]
}

// Sign is the headers that prove where a body comes from; base is where the simulator is.
func (l *Lab) Sign(body []byte, webhookID, base string) http.Header {
	h, id, at := http.Header{}, strings.ToLower(newID())+"-x", l.now()
	by, err := l.sign()
	var sig []byte
	if err == nil {
		sig, err = rsa.SignPKCS1v15(rand.Reader, by.key, crypto.SHA256, signed(id, at, webhookID, body))
	}
	if err != nil {
		panic(err) // the machine has no randomness
	}
	h.Set("Paypal-Transmission-Id", id)
	h.Set("Paypal-Transmission-Time", at)
	h.Set("Paypal-Transmission-Sig", base64.StdEncoding.EncodeToString(sig))
	h.Set("Paypal-Cert-Url", base+"/v1/notifications/certs/CERT-simulated")
	h.Set("Paypal-Auth-Algo", "SHA256withRSA")
	return h
}

// verify says whether a notification is ours and of that webhook.
func (c *call) verify() answer {
	var ask struct {
		Algo     string          `json:"auth_algo"`
		Cert     string          `json:"cert_url"`
		ID       string          `json:"transmission_id"`
		Sig      string          `json:"transmission_sig"`
		At       string          `json:"transmission_time"`
		Webhook  string          `json:"webhook_id"`
		RawEvent json.RawMessage `json:"webhook_event"`
	}
	if !c.read(&ask) || ask.Algo == "" || ask.Cert == "" || ask.ID == "" || ask.At == "" || ask.Webhook == "" || len(ask.RawEvent) == 0 {
		return invalid("/")
	}
	sig, err := base64.StdEncoding.DecodeString(ask.Sig)
	by, unsigned := c.lab.sign()
	own := slices.ContainsFunc(c.a.endpoints, func(e *endpoint) bool { return e.id == ask.Webhook })
	if err != nil || unsigned != nil || !own || rsa.VerifyPKCS1v15(&by.key.PublicKey, crypto.SHA256, signed(ask.ID, ask.At, ask.Webhook, ask.RawEvent), sig) != nil {
		return answer{http.StatusOK, object{"verification_status": "FAILURE"}}
	}
	return answer{http.StatusOK, object{"verification_status": "SUCCESS"}}
}

// signer is what notifications are signed with.
type signer struct {
	key  *rsa.PrivateKey
	cert []byte
}

func (l *Lab) newSigner() (s signer, err error) {
	if s.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return s, err
	}
	now := l.opts.Clock()
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "messageverificationcerts.paypal.simulated"}, NotBefore: now.AddDate(-20, 0, 0), NotAfter: now.AddDate(30, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &s.key.PublicKey, s.key)
	s.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return s, err
}

// certificate handles GET /v1/notifications/certs/{id}.
func (l *Lab) certificate(w http.ResponseWriter, _ *http.Request) {
	by, err := l.sign()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(by.cert)
}
