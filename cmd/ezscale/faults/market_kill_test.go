package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/programtest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/overview"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// marketKills is how often a node is killed when nobody says otherwise.
const marketKills = 10

// enough is how many servers one customer buys at most: the platform has room for a thousand.
const enough = 200

// scan has a worker look for due work of a kind now: the clock does so once a minute.
type scan struct {
	Due string `json:"due"`
}

func (scan) Kind() string { return "agenda.scan" }

// slot is a place at which a node runs, one life after another.
type slot struct {
	command string
	at      ports
	n       *node
}

// TestKilledEverywhereNothingIsLostAndNothingTwice kills the nodes that serve and those
// that work, two of each, at any moment, while customers buy, servers are made, months
// of subscriptions are renewed and months are billed wholesale.
// EZSCALE_TEST_KILLS=200 makes it the long form.
func TestKilledEverywhereNothingIsLostAndNothingTwice(t *testing.T) {
	deaths := marketKills
	if n, err := strconv.Atoi(os.Getenv("EZSCALE_TEST_KILLS")); err == nil && n > 0 {
		deaths = n
	}
	m := newMarket(t, min(3+deaths/20, 12), "EZSCALE_WORKERS=4", "EZSCALE_LOG_LEVEL=warn")
	before := min(2+deaths/20, 12) // servers of the past, a shop
	for _, s := range m.shops {
		for i := range before {
			o := s.sold(s.customer())
			if i%3 == 2 { // its owner has gone
				_, err := m.renewals.Cancel(t.Context(), s.db, renewal.CancelRequest{SubscriptionID: o.Items[0].SubscriptionID, Reason: renewal.Reasons()[0].Value}, tester)
				must(t, err)
			}
		}
	}
	slots := m.slots()
	var people []*shopper
	for i := range 4 {
		s := m.shops[i%2]
		people = append(people, newShopper(t, s, s.customer(), slots[0].at.http, slots[1].at.http))
	}
	began := time.Now()
	closed := make(chan struct{})
	var busy sync.WaitGroup
	for i, b := range people {
		busy.Go(func() {
			for n, in := 0, b.enter(); in && n < enough && b.buy((n+i)%2 == 0); n++ {
				select {
				case <-closed:
					return
				default:
				}
			}
		})
	}
	money := m.offices(m.shops[1], slots[0].at.http, slots[1].at.http)
	busy.Go(func() { money.work(closed) })
	busy.Go(func() { m.tick(closed) })
	billers := 0
	busy.Go(func() { billers = m.bill(closed) })
	for i := range deaths {
		x := slots[rand.N(len(slots))] //nolint:gosec // any of them
		if i%3 != 0 {                  // a third dies in its first moments
			x.n.awaitReady()
		}
		time.Sleep(rand.N(500 * time.Millisecond)) //nolint:gosec // any moment
		x.n.kill()
		x.n = m.start(x.command, x.at)
	}
	took := time.Since(began)
	close(closed)
	for _, x := range slots {
		x.n.awaitReady()
	}
	busy.Wait()
	for _, b := range append(people, money.owner, money.staff[0], money.staff[1]) {
		for _, said := range b.broken {
			t.Errorf("%s: %s", b.who.email, said)
		}
	}
	if t.Failed() {
		for _, x := range slots {
			t.Log(x.command, x.n.log.complaints())
		}
		return
	}
	money.finish()
	m.rest(slots, money)
	m.check(people, before)
	money.check()
	money.wears()
	sold, repeats := 0, 0
	for _, b := range people {
		sold, repeats = sold+len(b.bought), repeats+b.repeats
	}
	t.Logf("%d nodes and %d billing commands killed in %s: %d servers sold (%d requests came to nothing and were made again), %d of the past", deaths, billers, took.Round(time.Second), sold, repeats, 2*before)
	for _, x := range slots {
		x.n.stop()
	}
}

// slots starts two nodes that serve and two that work.
func (m *market) slots() (all []*slot) {
	all = []*slot{{command: "serve", at: m.first}, {command: "serve", at: freePorts(m.t)}, {command: "work", at: freePorts(m.t)}, {command: "work", at: freePorts(m.t)}}
	for _, x := range all[2:] {
		x.at.http, x.at.https = m.first.http, m.first.https
	}
	for _, x := range all {
		x.n = m.start(x.command, x.at)
	}
	return all
}

// tick looks for due work more often than the clock does.
func (m *market) tick(closed <-chan struct{}) {
	for {
		m.look()
		select {
		case <-closed:
			return
		case <-time.After(time.Second):
		}
	}
}

func (m *market) look() {
	_ = m.central.Update(context.Background(), func(tx *tenancy.CentralTx) error {
		for _, kind := range []string{renewal.AgendaRenewal, renewal.AgendaCollection, "orders", "services", "payments"} {
			if _, err := tx.Enqueue(context.Background(), scan{kind}, tenancy.JobOptions{}); err != nil {
				return err
			}
		}
		// What resellers owe is charged when it is due: the day comes early here.
		if _, err := tx.NewRaw("UPDATE wholesale_invoices SET next_try_at = ? WHERE next_try_at IS NOT NULL", tx.Now()).Exec(context.Background()); err != nil {
			return err
		}
		if _, err := tx.Enqueue(context.Background(), wholesale.CollectedJob{}, tenancy.JobOptions{}); err != nil {
			return err
		}
		_, err := tx.Enqueue(context.Background(), wholesale.CollectJob{}, tenancy.JobOptions{})
		return err
	})
}

// bill has the months billed, by commands that are killed and by workers that may be, and
// says how many commands were killed.
func (m *market) bill(closed <-chan struct{}) (killed int) {
	path, err := programtest.Binary()
	if err != nil {
		m.t.Error(err)
		return 0
	}
	months := m.months()
	for i := 0; ; i++ {
		select {
		case <-closed:
			return killed
		case <-time.After(rand.N(700 * time.Millisecond)): //nolint:gosec // any moment
		}
		month := months[i%len(months)]
		if i%2 == 0 {
			err := m.central.Update(context.Background(), func(tx *tenancy.CentralTx) error {
				_, err := tx.Enqueue(context.Background(), wholesale.RunJob{Period: month, By: tester}, tenancy.JobOptions{Key: month})
				return err
			})
			if err != nil {
				m.t.Errorf("have %s billed: %v", month, err)
			}
			continue
		}
		ctx, stop := context.WithTimeout(context.Background(), rand.N(1500*time.Millisecond)) //nolint:gosec // any moment
		cmd := exec.CommandContext(ctx, path, "bill", "wholesale", "--period", month)         // killed at the end of its time
		cmd.Env = m.environ
		if err := cmd.Run(); err != nil && ctx.Err() != nil {
			killed++
		}
		stop()
	}
}

// rest lets what is left to do come to its end. The nodes that are killed are dead: what
// they had taken for themselves is let go of, as their leases' end would, and jobs that
// wait for their time need not.
func (m *market) rest(slots []*slot, money *offices) {
	m.t.Helper()
	pool, live := m.planes()
	desk := &wholesale.Desk{Central: live, Mail: mail.NewOutbox(m.ring)}
	for _, name := range m.months() {
		month, err := wholesale.ParseMonth(name)
		must(m.t, err)
		_, err = desk.Run(m.t.Context(), month, tester, false)
		must(m.t, err)
	}
	conn, err := pgx.Connect(m.t.Context(), m.pg.DSN("ezscale"))
	must(m.t, err)
	defer conn.Close(context.Background())
	hurry := func() {
		for _, s := range m.shops {
			_, err := conn.Exec(m.t.Context(), "UPDATE "+s.who.ID.Schema()+".services SET lease = NULL, leased_until = NULL, next_at = now() WHERE operation <> ''")
			must(m.t, err)
		}
		_, err := conn.Exec(m.t.Context(), "UPDATE river.river_job SET state = 'available', scheduled_at = now() WHERE state IN ('scheduled', 'retryable')")
		must(m.t, err)
	}
	hurry()
	next := time.Now()
	m.until("everything is at rest", func() error {
		for _, x := range slots {
			x.n.alive()
		}
		if time.Now().After(next) {
			next = time.Now().Add(3 * time.Second)
			hurry()
			m.look()
			must(m.t, money.settled(pool))
		}
		if left := query[string](m.house, `SELECT coalesce(string_agg(x, E'\n'), '') FROM (SELECT kind || ' ' || state || ' ' || attempt || ' ' || args || coalesce(left(errors[array_upper(errors, 1)]::text, 500), '') AS x
			FROM river.river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded') AND kind NOT IN ('agenda.scan', 'wholesale.collect', 'wholesale.collected') AND kind NOT LIKE 'platform.%' ORDER BY id LIMIT 5) x`); left != "" {
			return fmt.Errorf("%s", left)
		}
		if open := query[int](m.house, "SELECT count(*) FROM central.wholesale_invoices WHERE state <> 'paid'"); open > 0 {
			return fmt.Errorf("%d wholesale invoices are not paid", open)
		}
		if told := query[int](m.house, "SELECT count(*) FROM central.collected_news"); told > 0 {
			return fmt.Errorf("%d payments are told of and not booked", told)
		}
		for _, s := range m.shops {
			in := s.who.ID.Schema()
			if left := query[string](m.house, `SELECT coalesce(string_agg(x, E'\n'), '') FROM (
				SELECT 'service ' || id || ' ' || desired || ' ' || observed || ' ' || operation || ' ' || step || ' ' || problem AS x FROM `+in+`.services WHERE operation <> '' OR NOT (desired = observed OR desired = 'terminated' AND observed = 'gone')
				UNION ALL SELECT 'order ' || id || ' ' || state FROM `+in+`.orders WHERE state <> 'fulfilled'
				UNION ALL SELECT 'invoice ' || number || ' ' || state FROM `+in+`.invoices WHERE kind = 'invoice' AND state <> 'paid'
				UNION ALL SELECT 'subscription ' || id || ' ' || state FROM `+in+`.subscriptions WHERE renews_at <= now() OR state NOT IN ('active', 'ended')) x`); left != "" {
				return fmt.Errorf("%s: %s", s.who.Slug, left)
			}
		}
		return nil
	})
}

// check holds the books, the platform and the shops against each other.
func (m *market) check(people []*shopper, before int) {
	m.t.Helper()
	said := m.run("doctor", "--tenants")
	if !strings.Contains(said, "hold together") {
		m.t.Errorf("doctor says of the books:\n%s", said)
	}
	sold := map[*shop]int{}
	for _, b := range people {
		sold[b.s] += len(b.bought)
	}
	servers := 0
	for _, s := range m.shops {
		if sold[s] == 0 {
			m.t.Errorf("%s sold nothing", s.who.Slug)
		}
		servers += s.check(before + sold[s])
	}
	for _, x := range m.servers.Servers() {
		if x.Builds != 1 {
			m.t.Errorf("server %d was installed %d times", x.ID, x.Builds)
		}
	}
	if got := len(m.servers.Servers()); got != servers {
		m.t.Errorf("there are %d servers, and %d services run", got, servers)
	}
	pool, central := m.planes()
	m.clock.Set(time.Now().Add(time.Hour)) // nothing is too young to be judged
	rep, err := m.platforms.Reconcile(m.t.Context(), m.platform)
	must(m.t, err)
	for _, f := range rep.Findings {
		m.t.Errorf("reconciling finds %s %s %q: %s", f.Kind, f.Ref, f.Name, f.Says)
	}
	if rep.Running != servers || rep.Young != 0 {
		m.t.Errorf("reconciling saw %d servers, %d too young", rep.Running, rep.Young)
	}
	desk := &wholesale.Desk{Central: central}
	for _, name := range m.months() {
		month, err := wholesale.ParseMonth(name)
		must(m.t, err)
		a, err := desk.Audit(m.t.Context(), month, ranIn{pool})
		must(m.t, err)
		if len(a.Differences) > 0 || a.Tenants != len(m.shops) || a.Pending != 0 {
			m.t.Errorf("the audit of %s: %+v", name, a)
		}
	}
	m.run("bill", "audit")
	n, paid := query[int](m.house, "SELECT count(*) FROM central.wholesale_invoices"), query[int](m.house, "SELECT sum(total_minor) FROM central.wholesale_invoices")
	if n != len(m.months())*len(m.shops) {
		m.t.Errorf("%d wholesale invoices", n)
	}
	if wrong := query[string](m.house, `SELECT coalesce(string_agg(x::text, E'\n'), '') FROM (SELECT i.number, i.total_minor, sum(p.amount_minor) FROM central.wholesale_invoices i
		LEFT JOIN central.wholesale_payments p ON p.invoice_id = i.id AND p.state = 'succeeded' GROUP BY i.id HAVING coalesce(sum(p.amount_minor), 0) <> i.total_minor) x`); wrong != "" {
		m.t.Errorf("wholesale invoices are not paid once:\n%s", wrong)
	}
	// What balances did not pay was charged.
	charged, minor := 0, int64(0)
	for _, f := range m.cards.Facts(ownSecret) {
		if f.Meta["ezscale_part"] == "" {
			charged, minor = charged+1, minor+f.Minor
		}
	}
	if got := query[string](m.house, "SELECT count(*) || ' ' || coalesce(sum(amount_minor), 0) FROM central.wholesale_payments WHERE gateway = 'stripe' AND state = 'succeeded'"); got != fmt.Sprint(charged, minor) {
		m.t.Errorf("the resellers were charged %d times and %d, booked are %s; they owed %d in %d invoices", charged, minor, got, paid, n)
	}
}

// ranIn asks the tenants' schemas.
type ranIn struct{ pool *tenancy.Pool }

func (r ranIn) Ran(ctx context.Context, id tenancy.ID, from, to time.Time) (all []wholesale.Ran, err error) {
	found, err := overview.Ran(ctx, r.pool.Bind(tenancy.Tenant{ID: id}), from, to)
	for _, s := range found {
		one := wholesale.Ran{ID: s.ID, SKU: s.SKU, BeganAt: s.BeganAt, EndedAt: s.EndedAt, RetailMinor: s.RetailMinor, RetailCurrency: s.RetailCurrency, RetailCycle: s.RetailCycle}
		for _, a := range s.Addons {
			one.Addons = append(one.Addons, wholesale.RanAddon(a))
		}
		all = append(all, one)
	}
	return all, err
}

// check is about one shop that sold so many servers; it returns how many run.
func (s *shop) check(sold int) (running int) {
	m, in, id := s.m, s.who.ID.Schema(), s.who.ID.Number()
	m.t.Helper()
	none := func(what, sql string) {
		m.t.Helper()
		if found := query[string](m.house, "SELECT coalesce(string_agg(x::text, E'\\n'), '') FROM ("+strings.ReplaceAll(sql, "~", in+".")+") x"); found != "" {
			m.t.Errorf("%s: %s:\n%s", s.who.Slug, what, found)
		}
	}
	one := func(sql string) int { return query[int](m.house, strings.ReplaceAll(sql, "~", in+".")) }
	for what, sql := range map[string]string{
		"numbers with gaps or given twice":     "SELECT series, count(*), min(sequence), max(sequence) FROM ~invoices GROUP BY series HAVING count(*) <> max(sequence) OR count(DISTINCT sequence) <> count(*) OR min(sequence) <> 1",
		"order numbers with gaps, or twice":    "SELECT count(*), min(number), max(number) FROM ~orders HAVING count(*) <> max(number) - 1000 OR count(DISTINCT number) <> count(*)",
		"invoices not paid by one payment":     "SELECT i.number, i.total_minor, count(p.*), sum(p.amount_minor) FROM ~invoices i LEFT JOIN ~payments p ON p.invoice_id = i.id AND p.state = 'succeeded' WHERE i.kind = 'invoice' GROUP BY i.id HAVING count(p.*) <> 1 OR sum(p.amount_minor) <> i.total_minor",
		"payments under way":                   "SELECT id, state FROM ~payments WHERE state IN ('created', 'requires_action', 'processing')",
		"orders without their one service":     "SELECT o.number, count(v.*) FROM ~orders o LEFT JOIN ~subscriptions s ON s.order_id = o.id LEFT JOIN ~services v ON v.subscription_id = s.id GROUP BY o.id HAVING count(v.*) <> 1",
		"periods invoiced twice or with holes": "SELECT subscription_id, count(*), min(period_from), max(period_to) FROM ~invoice_lines WHERE kind = 'plan' AND period_from IS NOT NULL GROUP BY subscription_id HAVING count(DISTINCT period_from) <> count(*) OR sum(period_to - period_from) <> max(period_to) - min(period_from)",
		"subscriptions that are not paid up":   "SELECT id, state, period_to FROM ~subscriptions WHERE state <> 'ended' AND period_to <= now() OR state = 'ended' AND ended_at IS NULL",
		"services of ended subscriptions":      "SELECT v.id, v.observed FROM ~services v JOIN ~subscriptions s ON s.id = v.subscription_id WHERE (s.state = 'ended') <> (v.observed = 'gone')",
		"references given twice":               "SELECT ref FROM ~services WHERE ref <> '' GROUP BY ref HAVING count(*) > 1",
		"services that ran and are not billed as they ran": fmt.Sprintf(`SELECT v.id, v.began_at, v.ended_at FROM ~services v
			LEFT JOIN central.usage_events a ON a.tenant_id = %d AND a.subject = 'service/' || v.id AND a.kind = 'start' LEFT JOIN central.usage_events z ON z.tenant_id = %d AND z.subject = 'service/' || v.id AND z.kind = 'stop'
			WHERE a.at IS DISTINCT FROM v.began_at OR z.at IS DISTINCT FROM v.ended_at`, id, id),
		"usage of nothing": fmt.Sprintf("SELECT subject, kind FROM central.usage_events WHERE tenant_id = %d AND subject NOT IN (SELECT 'service/' || id FROM ~services)", id),
		"what staff see and what is": fmt.Sprintf(`SELECT v.id, c.desired, c.observed, c.ref, c.began_at, c.ended_at, v.desired, v.observed, v.ref, v.began_at, v.ended_at FROM ~services v LEFT JOIN central.services c ON c.tenant_id = %d AND c.service_id = v.id
			WHERE (c.desired, c.observed, c.ref, c.began_at, c.ended_at) IS DISTINCT FROM (v.desired, v.observed, v.ref, v.began_at, v.ended_at)`, id),
		"mails written twice about a thing": "SELECT template, to_address, count(*) FROM ~mails WHERE template = 'service_ready' GROUP BY 1, 2, split_part(key, '/', 2) HAVING count(*) > 1",
	} {
		none(what, sql)
	}
	if got := one("SELECT count(*) FROM ~orders"); got != sold {
		m.t.Errorf("%s: %d orders, %d were placed", s.who.Slug, got, sold)
	}
	if s.gateway == stripe.Code { // of the others offices.check asks
		minor, charged := m.cards.Taken(s.secret)
		if want := one("SELECT count(*) FROM ~payments WHERE state = 'succeeded'"); charged != want {
			m.t.Errorf("%s: Stripe charged %d times, %d payments are booked", s.who.Slug, charged, want)
		}
		if want := one("SELECT sum(paid_minor) FROM ~invoices"); int(minor["eur"]) != want || len(minor) != 1 {
			m.t.Errorf("%s: Stripe took %v, booked are %d", s.who.Slug, minor, want)
		}
	}
	if one("SELECT count(*) FROM ~invoices WHERE key LIKE 'renewal/%'") == 0 {
		m.t.Errorf("%s: nothing was renewed", s.who.Slug)
	}
	return one("SELECT count(*) FROM ~services WHERE observed = 'active'")
}
