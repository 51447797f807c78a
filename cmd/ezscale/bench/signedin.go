package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

const (
	busyCustomers = 1_000
	atTheTime     = 32 // people who click at once
	password      = "several words in a row"
)

// signedin asks for pages of people who signed in, in a shop with a thousand customers
// and a year of their invoices.
func (r *run) signedin(ctx context.Context) error {
	f, err := r.grow(ctx, renewingShops+1)
	if err != nil {
		return err
	}
	owner, err := f.owner(ctx)
	if err != nil {
		return err
	}
	defer owner.Close(ctx)       //nolint:errcheck // nothing is lost
	shop := f.ids[renewingShops] // none of those that renew
	r.say("  a shop with %d customers", busyCustomers)
	if err := busyShop(ctx, owner, shop); err != nil {
		return err
	}
	s, err := r.startSite(ctx, f)
	if err != nil {
		return err
	}
	defer s.stop()
	host := shopHost(renewingShops)
	customers := make([]string, atTheTime)
	for i := range customers {
		if customers[i], err = s.signIn(ctx, host, "", fmt.Sprintf("c%d@customer.test", i+1)); err != nil {
			return err
		}
	}
	reseller, err := s.signIn(ctx, host, "/manage", "owner@reseller.test")
	if err != nil {
		return err
	}
	team := make([]string, atTheTime)
	for i := range team {
		team[i] = reseller
	}
	for _, p := range []struct {
		name    string
		cookies []string
		path    func(n int) string
	}{
		{"the customer's overview", customers, func(int) string { return "/client" }},
		{"a service's page", customers, func(n int) string { return fmt.Sprintf("/client/services/%s", thing(2, n+1)) }},
		{"the reseller's dashboard", team, func(int) string { return "/manage" }},
	} {
		requests := make([][]byte, atTheTime)
		for i := range requests {
			requests[i] = []byte("GET " + p.path(i) + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: bench\r\nCookie: " + p.cookies[i] + "\r\n\r\n")
		}
		got, err := load{addr: s.addr, conns: atTheTime, duration: r.Duration, request: func(n int) []byte { return requests[n%atTheTime] }}.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		r.report("signedin", p.name+", at 32 at once", got.perSecond, "req/s")
		r.promise("signedin", p.name+", p95 at 32 at once", float64(got.p95.Microseconds())/1000, "ms", atMost, 100)
	}
	return nil
}

var formToken = regexp.MustCompile(`name="_csrf" value="([^"]+)"`)

// signIn signs somebody in at an office of a shop and returns the cookies.
func (s *site) signIn(ctx context.Context, host, office, email string) (string, error) {
	cookies := map[string]string{}
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.addr)
		}}}
	defer c.CloseIdleConnections()
	at := &url.URL{Scheme: "http", Host: host, Path: office + "/sign-in"}
	ask := func(method, body string) (status int, page string, err error) {
		req, err := http.NewRequestWithContext(ctx, method, at.String(), strings.NewReader(body))
		if err != nil {
			return 0, "", err
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for name, value := range cookies {
			req.AddCookie(&http.Cookie{Name: name, Value: value}) //nolint:gosec // sent, not set
		}
		res, err := c.Do(req)
		if err != nil {
			return 0, "", err
		}
		for _, one := range res.Cookies() {
			cookies[one.Name] = one.Value
		}
		defer res.Body.Close() //nolint:errcheck // read only
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	_, page, err := ask(http.MethodGet, "")
	if err != nil {
		return "", err
	}
	m := formToken.FindStringSubmatch(page)
	if m == nil {
		return "", errors.New("there is no form to sign in")
	}
	status, _, err := ask(http.MethodPost, url.Values{"_csrf": {m[1]}, "email": {email}, "password": {password}}.Encode())
	if err != nil {
		return "", err
	}
	if status != http.StatusSeeOther {
		return "", fmt.Errorf("signing %s in is answered with %d", email, status)
	}
	var all []string
	for name, value := range cookies {
		all = append(all, name+"="+value)
	}
	return strings.Join(all, "; "), nil
}

// thing is the id of the nth made-up thing of a kind.
func thing(kind, n int) string { return fmt.Sprintf("00000000-0000-7000-8%03d-0001%08d", kind, n) }

// busyShop gives a shop its customers, a service each, and twelve invoices each.
func busyShop(ctx context.Context, owner *pgx.Conn, id tenancy.ID) error {
	passwords, err := identity.NewPasswords(1)
	if err != nil {
		return err
	}
	hash, err := passwords.Hash(ctx, password)
	if err != nil {
		return err
	}
	of := func(kind int) string {
		return fmt.Sprintf("('00000000-0000-7000-8%03d-0001' || lpad(n::text, 8, '0'))::uuid", kind)
	}
	script := strings.NewReplacer("$person", of(0), "$account", of(1), "$service", of(2), "$sub", of(3), "$hash", string(hash), "$all", fmt.Sprint(busyCustomers), "$t", id.Schema()).Replace(`
		BEGIN; SET LOCAL ROLE $t; SET LOCAL search_path TO $t, pg_temp;
		INSERT INTO people (id, world, email, email_key, name, role, password_hash, email_verified_at, created_at, changed_at)
			VALUES (gen_random_uuid(), 'reseller', 'owner@reseller.test', 'owner@reseller.test', 'Olga', 'owner', '$hash', now(), now(), now());
		INSERT INTO people (id, world, email, email_key, name, role, password_hash, email_verified_at, created_at, changed_at)
			SELECT $person, 'customer', 'c' || n || '@customer.test', 'c' || n || '@customer.test', 'Customer ' || n, 'member', '$hash', now(), now(), now() FROM generate_series(1, $all) n;
		INSERT INTO accounts (id, number, name, currency, country, created_at, changed_at)
			SELECT $account, 10000 + n, 'Customer ' || n, 'EUR', 'DE', now() - n * interval '8 hours', now() FROM generate_series(1, $all) n;
		INSERT INTO memberships (account_id, person_id, role, created_at) SELECT $account, $person, 'owner', now() FROM generate_series(1, $all) n;
		INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at)
			SELECT $account, 'checkout', $account, 'EUR', 998, 0, 998, '{"items":[]}', now(), now() FROM generate_series(1, $all) n;
		INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at)
			SELECT $account, 1000 + n, $account, $account, $person, 'fulfilled', 'EUR', 998, '', now() - n * interval '8 hours', now() FROM generate_series(1, $all) n;
		INSERT INTO subscriptions (id, account_id, order_id, plan_id, label, state, cycle, currency, amount_minor, items, anchor_at, period_from, period_to, renewals, renews_at,
				cancel_reason, cancel_note, created_at, changed_at)
			SELECT $sub, $account, $account, p.id, 'Cloud server', 'active', 'monthly', 'EUR', 998, '[{"kind":"plan","code":"plan-2","label":"Cloud server","quantity":1,"amount_minor":998}]',
				now() - interval '1 year', now() - interval '10 days', now() + interval '20 days', 12, now() + interval '17 days', '', '', now(), now()
			FROM generate_series(1, $all) n, (SELECT id FROM plans WHERE slug = 'plan-2') p;
		INSERT INTO services (id, subscription_id, account_id, type, sku, label, name, platform_id, region, image, spec, hostname, ssh_keys, desired, observed, operation, step, operation_args,
				progress, problem, attempts, ref, address, addresses, power, holds, began_at, seen_at, created_at, changed_at)
			SELECT $service, $sub, $account, 'vps', 'vps-2', 'Cloud server', 'web-' || n, '00000000-0000-7000-8000-00000000000f', 'ams', 'debian-13', '{"cpu":2,"memory_mb":4096,"disk_gb":80}', 'web-' || n || '.test', '[]',
				'active', 'active', '', '', '{}', 0, '', 0, n::text, '192.0.2.1', '[]', 'on', '{}', now() - interval '1 year', now(), now(), now() FROM generate_series(1, $all) n;
		INSERT INTO invoices (id, key, kind, account_id, state, series, sequence, number, currency, net_minor, tax_minor, total_minor, paid_minor, credited_minor, document, hash, issued_at, due_at, paid_at, tries, created_at, changed_at)
			SELECT gen_random_uuid(), 'bench/' || n || '/' || m, 'invoice', $account, CASE WHEN m = 0 AND n % 20 = 0 THEN 'open' ELSE 'paid' END, 'invoice', n * 12 + m, 'INV-' || n * 12 + m, 'EUR', 998, 190, 1188,
				CASE WHEN m = 0 AND n % 20 = 0 THEN 0 ELSE 1188 END, 0, '{}', '', now() - m * interval '30 days', now() - m * interval '30 days', now() - m * interval '30 days', 0, now(), now()
			FROM generate_series(1, $all) n, generate_series(0, 11) m;
		INSERT INTO timeline (id, key, account_id, subject_kind, subject_id, kind, text, actor, customer_sees, at)
			SELECT gen_random_uuid(), 'bench/' || n || '/' || m, $account, 'service', $service, 'service.seen', 'Something happened.', 'system', true, now() - m * interval '1 day' FROM generate_series(1, $all) n, generate_series(1, 10) m;
		COMMIT`)
	if _, err := owner.PgConn().Exec(ctx, script).ReadAll(); err != nil {
		return fmt.Errorf("make %s a busy shop: %w", id.Schema(), err)
	}
	for _, table := range []string{"people", "accounts", "memberships", "orders", "subscriptions", "services", "invoices", "timeline"} {
		if _, err := owner.Exec(ctx, "ANALYZE "+id.Schema()+"."+table); err != nil {
			return err
		}
	}
	return nil
}
