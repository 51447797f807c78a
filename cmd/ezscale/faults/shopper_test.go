package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// shopper is a person with a browser who buys servers, over nodes of which any may go
// away at any time. Whatever does not come about is done again, as people do: the same
// form once more, or the page anew.
type shopper struct {
	t     testing.TB
	s     *shop
	who   customer
	c     *http.Client
	token string

	mu      sync.Mutex
	bought  []string // invoices that are paid
	entered int      // cards
	repeats int      // requests without an answer, or with one that says later
	broken  []string // answers nobody should get
}

// balance leads connections to one port after another, as a load balancer does.
func balance(ports ...int) *http.Transport {
	var turn atomic.Int64
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var failed error
		for range ports {
			port := ports[int(turn.Add(1))%len(ports)]
			c, err := new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				return c, nil
			}
			failed = errors.Join(failed, err)
		}
		return nil, failed
	}}
}

func newShopper(t testing.TB, s *shop, who customer, ports ...int) *shopper {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &shopper{t: t, s: s, who: who, c: &http.Client{Timeout: 30 * time.Second, Jar: jar, Transport: balance(ports...),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// between is how long people wait before they try again.
const between = 200 * time.Millisecond

var errAgain = errors.New("once more")

// ask is one request; an answer of the server that is down, or none, is errAgain.
func (b *shopper) ask(method, path string, form url.Values) (answer, error) {
	if form != nil {
		form.Set("_csrf", b.token)
	}
	req, err := http.NewRequest(method, b.s.site+path, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if form.Has("json") {
		req.Header.Set("Accept", "application/json")
	}
	a, err := b.do(req)
	if err != nil {
		b.again()
		return answer{}, fmt.Errorf("%w: %w", errAgain, err)
	}
	if m := formToken.FindStringSubmatch(a.body); m != nil {
		b.token = m[1]
	}
	if a.status >= 500 {
		b.again()
		if a.status != http.StatusServiceUnavailable {
			b.broke("%s %s: %d", method, path, a.status)
		}
		return a, fmt.Errorf("%w: %s %s: %d", errAgain, method, path, a.status)
	}
	return a, nil
}

func (b *shopper) do(req *http.Request) (answer, error) {
	res, err := b.c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(body), res.Header}, err
}

func (b *shopper) again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.repeats++
}

func (b *shopper) broke(format string, args ...any) {
	b.t.Logf("%s: "+format, append([]any{b.who.email}, args...)...)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = append(b.broken, fmt.Sprintf(format, args...))
}

// persist tries until it works, or the market's end.
func (b *shopper) persist(what string, try func() error) bool {
	for deadline := time.Now().Add(patience); ; {
		err := try()
		switch {
		case err == nil:
			return true
		case !errors.Is(err, errAgain) || time.Now().After(deadline):
			b.broke("%s: %v", what, err)
			return false
		}
		time.Sleep(between)
	}
}

// enter signs in.
func (b *shopper) enter() bool {
	return b.persist("sign in", func() error {
		a, err := b.ask(http.MethodGet, "/client", nil)
		if err != nil || a.status == http.StatusOK { // in already: only the answer was lost
			return err
		}
		if _, err := b.ask(http.MethodGet, "/sign-in", nil); err != nil {
			return err
		}
		a, err = b.ask(http.MethodPost, "/sign-in", url.Values{"email": {b.who.email}, "password": {shopPassword}})
		if err != nil {
			return err
		}
		if a.status != http.StatusSeeOther {
			return fmt.Errorf("%d %s", a.status, short(a.body))
		}
		return fmt.Errorf("%w: look whether it worked", errAgain)
	})
}

var (
	quoteField  = regexp.MustCompile(`name="quote" value="([0-9a-f-]{36})"`)
	savedMethod = regexp.MustCompile(`name="with" value="(method:[0-9a-f-]{36})"`)
	notice      = regexp.MustCompile(`<div class="notice notice-.*`)
	payPath     = regexp.MustCompile(`/client/invoices/([0-9a-f-]{36})/pay`)
)

// buy orders one server and pays for it: by the card that was kept, or by one that is
// entered.
func (b *shopper) buy(kept bool) bool {
	var invoice string
	return b.persist("order", func() (err error) { invoice, err = b.order(); return err }) &&
		b.persist("pay", func() error { return b.pay(invoice, kept) })
}

// order puts a server into the cart and accepts the offer.
func (b *shopper) order() (invoice string, err error) {
	a, err := b.ask(http.MethodPost, "/cart", url.Values{"product": {"vps"}, "plan": {"small"}, "cycle": {"monthly"}, "region": {"ams"}, "image": {"debian-13"}})
	if err != nil {
		return "", err
	}
	if a.status != http.StatusSeeOther || a.header.Get("Location") != "/checkout" {
		return "", fmt.Errorf("the cart: %d %s %s", a.status, a.header.Get("Location"), short(a.body))
	}
	var quote string
	for quote == "" {
		a, err := b.ask(http.MethodGet, "/checkout", nil)
		if err == nil {
			m := quoteField.FindStringSubmatch(a.body)
			if m == nil {
				return "", fmt.Errorf("the checkout: %d %s %s", a.status, a.header.Get("Location"), short(a.body))
			}
			quote = m[1]
		} else if !errors.Is(err, errAgain) {
			return "", err
		} else {
			time.Sleep(between)
		}
	}
	// From here on the same form is sent until there is an answer.
	for deadline := time.Now().Add(patience * 2); ; {
		a, err := b.ask(http.MethodPost, "/checkout", url.Values{"quote": {quote}, "terms": {"yes"}})
		if err != nil {
			if !errors.Is(err, errAgain) || time.Now().After(deadline) {
				return "", err
			}
			time.Sleep(between)
			continue
		}
		to := a.header.Get("Location")
		if m := payPath.FindStringSubmatch(to); m != nil {
			return m[1], nil
		}
		said := ""
		if a, err := b.ask(http.MethodGet, to, nil); err == nil {
			said = strings.Join(notice.FindAllString(a.body, -1), " ")
		}
		return "", fmt.Errorf("the order was refused: %d %s %s", a.status, to, said)
	}
}

// enterCard enters a card, by turns one that works, one that is declined before another
// one is entered, and one whose bank asks its owner.
func (b *shopper) enterCard(clientSecret string) error {
	b.entered++
	switch m := b.s.m; b.entered % 3 {
	case 1:
		if err := m.enterCard(b.s.public, clientSecret, declinedCard); err != nil {
			return err
		}
	case 2:
		if err := m.enterCard(b.s.public, clientSecret, asksTheOwner); err != nil {
			return err
		}
		return m.confirm(clientSecret)
	}
	return b.s.enter(clientSecret)
}

// pay pays an invoice; paid is what the shop says of it, not what the browser believes.
func (b *shopper) pay(invoice string, kept bool) error {
	page := "/client/invoices/" + invoice + "/pay"
	a, err := b.ask(http.MethodGet, page, nil)
	if err != nil {
		return err
	}
	if a.status == http.StatusSeeOther { // nothing is owed any more
		b.mu.Lock()
		b.bought = append(b.bought, invoice)
		b.mu.Unlock()
		return nil
	}
	with := "card"
	if m := savedMethod.FindStringSubmatch(a.body); m != nil && kept {
		with = m[1]
	}
	if a, err = b.ask(http.MethodPost, page, url.Values{"with": {with}, "json": {"yes"}, "save": {"on"}}); err != nil {
		return err
	}
	var said struct {
		State        string `json:"state"`
		ClientSecret string `json:"client_secret"`
		Next         string `json:"next"`
	}
	if a.status == http.StatusConflict {
		return fmt.Errorf("%w: %s", errAgain, short(a.body)) // another attempt is under way
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil || a.status != http.StatusOK {
		return fmt.Errorf("%d %s", a.status, short(a.body))
	}
	if said.State != "succeeded" && said.ClientSecret != "" {
		if err := b.enterCard(said.ClientSecret); err != nil {
			return err
		}
		if _, err := b.ask(http.MethodGet, said.Next, nil); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: look whether it is paid", errAgain)
}
