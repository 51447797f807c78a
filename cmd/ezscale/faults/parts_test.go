package faults

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/mail/mailtrap"
	"github.com/ezscale/ezscale/tenancy"
)

const (
	alpha = "http://alpha.localhost"
	beta  = "http://beta.localhost"
)

// down is what the page says when something of ours is away.
const down = "We will be right back"

var formToken = regexp.MustCompile(`name="_csrf" value="([^"]+)"`)

// post sends a form as a person would: from the page, with its token.
func (n *node) post(c *http.Client, page, action string, fields url.Values) answer {
	n.house.t.Helper()
	a, err := ask(c, http.MethodGet, page, "")
	must(n.house.t, err)
	m := formToken.FindStringSubmatch(a.body)
	if m == nil {
		n.house.t.Fatalf("GET %s: %d without a form\n%s\n%s", page, a.status, short(a.body), n.log.complaints())
	}
	fields.Set("_csrf", m[1])
	a, err = ask(c, http.MethodPost, action, fields.Encode())
	must(n.house.t, err)
	return a
}

func (n *node) visitor() *http.Client {
	c := n.client()
	jar, err := cookiejar.New(nil)
	must(n.house.t, err)
	c.Jar = jar
	return c
}

func credentials() url.Values {
	return url.Values{"email": {"nobody@alpha.test"}, "password": {"a wrong password of some length"}}
}

// public is the readiness that load balancers ask for.
func (n *node) public() (int, string) {
	n.house.t.Helper()
	a := n.get("http://127.0.0.1/readyz")
	return a.status, strings.TrimSpace(a.body)
}

func (n *node) wantPublic(want string) {
	n.house.t.Helper()
	n.house.until("load balancers are told "+want, func() error {
		if code, said := n.public(); code != http.StatusOK || said != want {
			return fmt.Errorf("%d %q", code, said)
		}
		return nil
	})
}

func (n *node) wantPart(part string, well bool) {
	n.house.t.Helper()
	n.house.until("the operator is told about "+part, func() error {
		code, said := n.readiness()
		if (said[part] == "ok") != well || (code == http.StatusOK) != well {
			return fmt.Errorf("%d %v", code, said)
		}
		return nil
	})
}

func TestRedisGoneAndBack(t *testing.T) {
	h := newHouse(t)
	n := h.serve(h.first)
	n.want("before", alpha+"/", http.StatusOK, "Alpha")
	c := n.visitor()
	if a := n.post(c, alpha+"/sign-in", alpha+"/sign-in", credentials()); a.status < 400 || a.status >= 500 {
		t.Fatalf("a wrong password: %d %s", a.status, short(a.body))
	}

	calm := n.crowd()
	h.redis.Close()
	n.wantPart("redis", false)
	n.wantPublic("degraded")
	for range 3 {
		n.want("a cached page", alpha+"/", http.StatusOK, "Alpha")
		n.want("a page that was not cached yet", beta+"/", http.StatusOK, "Beta")
	}
	for _, path := range []string{"/sign-in", "/manage/sign-in"} {
		if a := n.post(n.visitor(), alpha+path, alpha+path, credentials()); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, down) {
			t.Errorf("POST %s without Redis: %d\n%s", path, a.status, short(a.body))
		}
	}
	// Whoever was signed in cannot be recognised: that is said, and nobody is sent away.
	signedIn := n.client()
	for path, cookie := range map[string]string{"/manage": "ez_reseller", "/client": "ez_customer"} {
		req, err := http.NewRequest(http.MethodGet, alpha+path, nil)
		must(t, err)
		req.Header.Set("Cookie", cookie+"="+strings.Repeat("a", 43))
		res, err := signedIn.Do(req)
		must(t, err)
		must(t, res.Body.Close())
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Errorf("GET %s with a session without Redis: %d", path, res.StatusCode)
		}
	}

	must(t, h.redis.Restart())
	n.wantPart("redis", true)
	n.wantPublic("ready")
	h.until("signing in works again", func() error {
		if a := n.post(n.visitor(), alpha+"/sign-in", alpha+"/sign-in", credentials()); a.status < 400 || a.status >= 500 {
			return fmt.Errorf("%d %s", a.status, short(a.body))
		}
		return nil
	})
	calm()
	n.alive()
	n.stop()
}

// crowd has visitors ask, all the time, for pages that are in memory and pages that
// are never, as strangers and with sessions. Until they are calmed they may be asked
// to come back later, and nothing worse.
func (n *node) crowd() (calm func()) {
	n.house.t.Helper()
	var all sync.WaitGroup
	stop := make(chan struct{})
	var mu sync.Mutex
	got := map[string]int{}
	for _, visit := range []struct{ url, cookie string }{
		{alpha + "/", ""}, {beta + "/?fresh", ""}, {alpha + "/?fresh", ""}, {alpha + "/client", "ez_customer=" + strings.Repeat("b", 43)}, {beta + "/manage/sign-in", ""},
	} {
		all.Go(func() {
			c := n.client()
			defer c.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				req, _ := http.NewRequest(http.MethodGet, visit.url, nil)
				if visit.cookie != "" {
					req.Header.Set("Cookie", visit.cookie)
				}
				said := ""
				if res, err := c.Do(req); err != nil {
					said = err.Error()
				} else {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					said = res.Status
				}
				mu.Lock()
				got[visit.url+" "+said]++
				mu.Unlock()
			}
		})
	}
	return func() {
		n.house.t.Helper()
		close(stop)
		all.Wait()
		for said, times := range got {
			if !strings.Contains(said, " 200 ") && !strings.Contains(said, " 503 ") && !strings.Contains(said, " 303 ") {
				n.house.t.Errorf("%d times: %s\n%s", times, said, n.log.complaints())
			}
		}
		if said := alpha + "/ 503 Service Unavailable"; got[said] > 0 {
			n.house.t.Errorf("%d times a page in memory was not shown", got[said])
		}
	}
}

func TestPostgresGoneAndBack(t *testing.T) {
	h := newHouse(t)
	n, w := h.serve(h.first), h.work()
	n.want("before", alpha+"/", http.StatusOK, "Alpha")
	n.eventually("before, with a certificate", "https://alpha.localhost/", http.StatusOK, "Alpha")

	calm := n.crowd()
	must(t, h.pg.Restart(context.Background()))
	n.eventually("after a restart", beta+"/?fresh", http.StatusOK, "Beta")
	must(t, ignoreExit(h.pg.Restart(context.Background())))
	n.eventually("after another", beta+"/?fresh", http.StatusOK, "Beta")
	n.want("nobody kept the page", beta+"/?fresh", http.StatusOK, "Beta")

	again := h.stopPostgres()
	n.wantPart("database", false)
	n.wantPublic("degraded")
	for range 3 {
		n.want("a cached page", alpha+"/", http.StatusOK, "Alpha")
		n.want("a certificate, a new handshake and a cached page", "https://alpha.localhost/", http.StatusOK, "Alpha")
		n.want("a page that is not cached", beta+"/?fresh", http.StatusServiceUnavailable, down)
		n.want("an unknown host", "http://gamma.localhost/", http.StatusNotFound, "")
	}
	if a := n.post(n.visitor(), alpha+"/sign-in", alpha+"/sign-in", credentials()); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, down) {
		t.Errorf("signing in without a database: %d\n%s", a.status, short(a.body))
	}

	again()
	n.wantPart("database", true)
	w.wantPart("database", true)
	n.wantPublic("ready")
	n.eventually("a page that is not cached", beta+"/?fresh", http.StatusOK, "Beta")
	calm()
	// A change made elsewhere arrives: the directory listens again.
	h.run("tenant", "suspend", "beta", "--reason", "unpaid")
	n.eventually("a change", beta+"/", http.StatusServiceUnavailable, "")
	h.run("tenant", "resume", "beta")
	n.eventually("and back", beta+"/", http.StatusOK, "Beta")
	// Work goes on.
	pool, central := h.planes()
	a := h.tenants(central)[0]
	must(t, h.letter(pool.Bind(a), "after", "after@people.test"))
	h.awaitMails("after@people.test", 1)
	n.alive()
	w.alive()
	n.stop()
	w.stop()
}

// awaitMails waits until so many mails came to an address.
func (h *house) awaitMails(to string, want int) {
	h.t.Helper()
	h.until(fmt.Sprintf("%d mails to %s", want, to), func() error {
		if got := len(h.trap.Mails(to)); got < want {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
}

func TestMailServerGoneAndBack(t *testing.T) {
	h := newHouse(t)
	w := h.work()
	pool, central := h.planes()
	h.awaitMails("owner@alpha.test", 1) // the invitations
	h.awaitMails("owner@beta.test", 1)
	h.trap.SetFault(mailtrap.Down)
	all := h.tenants(central)
	for i, who := range all {
		must(t, h.letter(pool.Bind(who), "down", fmt.Sprintf("down%d@people.test", i)))
	}
	for _, who := range all {
		h.until("the attempt is noted", func() error {
			if got := h.mailStates(who); got["down"] != "queued, tried" {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
	}
	h.trap.SetFault(mailtrap.None)
	for i, who := range all {
		h.awaitMails(fmt.Sprintf("down%d@people.test", i), 1)
		h.until("the mail is noted as sent", func() error {
			if got := h.mailStates(who); got["down"] != "sent" {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
		if got := len(h.trap.Mails(fmt.Sprintf("down%d@people.test", i))); got != 1 {
			t.Errorf("%d mails arrived for one", got)
		}
	}
	w.alive()
	w.stop()
}

// mailStates is the state of each of a tenant's mails by its key.
func (h *house) mailStates(who tenancy.Tenant) map[string]string {
	h.t.Helper()
	return query[map[string]string](h, fmt.Sprintf(`SELECT coalesce(jsonb_object_agg(key,
		CASE WHEN state = 'queued' AND attempts > 0 AND last_error IS NOT NULL THEN 'queued, tried' ELSE state END), '{}') FROM %s.mails`, who.ID.Schema()))
}
