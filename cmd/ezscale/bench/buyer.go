package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// buyer is a stranger with a browser and an address of the network to himself: people
// who buy at once do not sit behind one.
type buyer struct {
	d     *demoSite
	email string
	c     *http.Client
	token string
}

// bought is how long it took.
type bought struct {
	whole    time.Duration // from the first page to the running server
	delivery time.Duration // from the accepted card
}

func (d *demoSite) buyer(n int) *buyer {
	jar, _ := cookiejar.New(nil) // never fails
	from := &net.TCPAddr{IP: net.IPv4(127, byte(1+n/250), byte(1+n%250), 1)}
	return &buyer{d: d, email: fmt.Sprintf("buyer%d@people.test", n), c: &http.Client{
		Timeout: 30 * time.Second, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: from}).DialContext(ctx, network, d.addr)
		}},
	}}
}

type page struct {
	status int
	to     string // where it leads
	body   string
}

// ask is a request to a host of the demo; with a form it is sent.
func (b *buyer) ask(ctx context.Context, host, path string, form url.Values) (page, error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
		form.Set("_csrf", b.token)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+host+".localhost"+path, strings.NewReader(form.Encode()))
	if err != nil {
		return page{}, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if form.Has("json") {
		req.Header.Set("Accept", "application/json")
	}
	res, err := b.c.Do(req)
	if err != nil {
		return page{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return page{}, err
	}
	if m := formToken.FindSubmatch(body); m != nil {
		b.token = string(m[1])
	}
	return page{res.StatusCode, res.Header.Get("Location"), string(body)}, nil
}

// send sends a form that must lead on to a page.
func (b *buyer) send(ctx context.Context, path, to string, form url.Values) (page, error) {
	p, err := b.ask(ctx, demoShop, path, form)
	if err == nil && (p.status != http.StatusSeeOther || !strings.HasPrefix(p.to, to)) {
		words := p.body
		if p.to != "" { // it says why where it leads
			if q, err := b.ask(ctx, demoShop, p.to, nil); err == nil {
				words = q.body
			}
		}
		err = fmt.Errorf("POST %s: %d %s %s", path, p.status, p.to, complaint(words))
	}
	return p, err
}

var (
	quoteField = regexp.MustCompile(`name="quote" value="([0-9a-f-]{36})"`)
	mailedCode = regexp.MustCompile(`\b([0-9]{3} ?[0-9]{3}|[0-9]{6,8}|[A-Z0-9]{4}-[A-Z0-9]{4})\b`)
	said       = regexp.MustCompile(`(?s)<div class="notice notice-.*?</div>|<span class="error".*?</span>`)
)

// complaint is what a page says is wrong.
func complaint(body string) string { return strings.Join(said.FindAllString(body, -1), " ") }

func (b *buyer) buy(ctx context.Context) (bought, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	began := time.Now()
	if err := b.enter(ctx); err != nil {
		return bought{}, err
	}
	p, err := b.ask(ctx, demoShop, "/checkout", nil)
	if err != nil {
		return bought{}, err
	}
	quote := quoteField.FindStringSubmatch(p.body)
	if quote == nil {
		return bought{}, fmt.Errorf("there is no offer: %d %s %s", p.status, p.to, complaint(p.body))
	}
	if p, err = b.send(ctx, "/checkout", "/client/invoices/", url.Values{"quote": {quote[1]}, "terms": {"yes"}}); err != nil {
		return bought{}, err
	}
	pay, order, _ := strings.Cut(p.to, "?next=")
	if order, err = url.QueryUnescape(order); err != nil {
		return bought{}, err
	}
	if err := b.pay(ctx, pay); err != nil {
		return bought{}, err
	}
	paid := time.Now()
	for {
		p, err := b.ask(ctx, demoShop, order+"/state", nil)
		if err != nil {
			return bought{}, err
		}
		if p.status != http.StatusOK {
			return bought{}, fmt.Errorf("GET %s/state: %d", order, p.status)
		}
		if !strings.Contains(p.body, "hx-trigger=") { // the page asks no more: it is done
			if !strings.Contains(p.body, "/client/services/") {
				return bought{}, fmt.Errorf("the order is over without a server: %s", complaint(p.body))
			}
			return bought{whole: time.Since(began), delivery: time.Since(paid)}, nil
		}
		select {
		case <-ctx.Done():
			return bought{}, fmt.Errorf("the server does not run: %w", ctx.Err())
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// enter fills the cart, signs up with the code from the mail, and leaves an address.
func (b *buyer) enter(ctx context.Context) error {
	if _, err := b.ask(ctx, demoShop, "/products/cloud-vps/breeze", nil); err != nil {
		return err
	}
	// A stranger's form carries no token; the cart takes it from anybody of the shop.
	if _, err := b.send(ctx, "/cart", "/checkout", url.Values{"product": {"cloud-vps"}, "plan": {"breeze"}, "cycle": {"monthly"}, "region": {"ams"}, "image": {"debian-13"}}); err != nil {
		return err
	}
	if _, err := b.ask(ctx, demoShop, "/checkout", nil); err != nil {
		return err
	}
	if _, err := b.send(ctx, "/checkout/code", "/checkout", url.Values{"name": {"Bea Buyer"}, "email": {b.email}}); err != nil {
		return err
	}
	code, err := b.code(ctx)
	if err != nil {
		return err
	}
	if _, err := b.ask(ctx, demoShop, "/checkout", nil); err != nil {
		return err
	}
	if _, err := b.send(ctx, "/checkout/enter", "/checkout", url.Values{"code": {code}, "password": {password}}); err != nil {
		return err
	}
	if _, err := b.ask(ctx, demoShop, "/checkout", nil); err != nil {
		return err
	}
	_, err = b.send(ctx, "/checkout/address", "/checkout", url.Values{
		"kind": {"person"}, "name": {"Bea Buyer"}, "line1": {"1 Main Street"}, "postcode": {"10001"}, "city": {"New York"}, "region": {"NY"}, "country": {"US"},
	})
	return err
}

// code is what the mail says.
func (b *buyer) code(ctx context.Context) (string, error) {
	for {
		p, err := b.ask(ctx, "mail", "/api/mails?to="+url.QueryEscape(b.email), nil)
		if err != nil {
			return "", err
		}
		var mails []struct{ Subject string }
		if err := json.Unmarshal([]byte(p.body), &mails); err != nil {
			return "", fmt.Errorf("the mail trap: %w", err)
		}
		for _, m := range mails {
			if c := mailedCode.FindString(m.Subject); c != "" {
				return c, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("no mail came to %s: %w", b.email, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

var publishableKey = regexp.MustCompile(`pk_test_[0-9A-Za-z_]+`)

// pay pays by a card, as the gateway's form in the browser does.
func (b *buyer) pay(ctx context.Context, path string) error {
	shown, err := b.ask(ctx, demoShop, path, nil)
	if err != nil {
		return err
	}
	p, err := b.ask(ctx, demoShop, path, url.Values{"with": {"card"}, "json": {"yes"}, "save": {"on"}})
	if err != nil {
		return err
	}
	var begun struct {
		ClientSecret string `json:"client_secret"`
		Next         string `json:"next"`
	}
	if err := json.Unmarshal([]byte(p.body), &begun); err != nil || begun.ClientSecret == "" {
		return fmt.Errorf("POST %s: %d %.300s", path, p.status, p.body)
	}
	id, _, _ := strings.Cut(begun.ClientSecret, "_secret_")
	form := url.Values{
		"key": {publishableKey.FindString(shown.body)}, "client_secret": {begun.ClientSecret}, "return_url": {"http://" + demoShop + ".localhost/"}, "payment_method_data[type]": {"card"},
		"payment_method_data[card][number]": {"4242424242424242"}, "payment_method_data[card][exp_month]": {"12"}, "payment_method_data[card][exp_year]": {"34"}, "payment_method_data[card][cvc]": {"123"},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+b.d.cards+"/v1/payment_intents/"+id+"/confirm", strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return fmt.Errorf("the card: %s %s", res.Status, text)
	}
	_, err = b.ask(ctx, demoShop, begun.Next, nil)
	return err
}
