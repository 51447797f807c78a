package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/central/staff"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/payment"
)

// collectFee is what the platform keeps of each payment it takes for a shop: 2.9 % and 0.25.
var collectFee = billing.CollectionFee{Ppm: 29_000, Fixed: 25} //nolint:gochecknoglobals // a constant

// offices are the people who move money that the platform took for a shop, while nodes go
// away: the shop's owner gives back and publishes brands, staff give back at Stripe's pages and pay the reseller
// out, and banks ask payments back. Whatever has no answer is sent again as it was.
type offices struct {
	m     *market
	s     *shop
	books *wholesale.Desk
	owner *shopper
	staff [2]*shopper // who does what is done twice at once

	refunds  map[string]int64 // by the shop's key of each, what it was told to give back
	byHand   map[string]int64 // what was given back at Stripe's pages, by its id
	disputes []string         // that are open
	decided  int
	paid     map[string]int64 // payouts that were recorded, by their reference
	back     map[string]bool  // those of them that the bank sent back
	refused  int

	published []string // headlines of the brand, in the order in which they were published
}

// offices signs the owner of a shop and somebody of the staff in.
func (m *market) offices(s *shop, ports ...int) *offices {
	m.t.Helper()
	ctx := m.t.Context()
	_, live := m.planes()
	x := &offices{m: m, s: s, books: &wholesale.Desk{Central: live, Mail: m.wholesale.Mail, Taker: m.wholesale.Taker},
		refunds: map[string]int64{}, byHand: map[string]int64{}, paid: map[string]int64{}, back: map[string]bool{}}
	conn, err := pgx.Connect(ctx, m.pg.DSN("ezscale"))
	must(m.t, err)
	defer conn.Close(context.Background())
	rdb := redis.NewClient(&redis.Options{Addr: m.redis.Addr()})
	defer rdb.Close()
	enter := func(site, host string, world identity.World, of tenancy.ID, person uuid.UUID) *shopper {
		token, in, err := identity.NewSessions(rdb, time.Now).Start(ctx, identity.Binding{World: world, Tenant: of, Host: host},
			identity.Session{PersonID: person, Stage: identity.StageFull, SecondFactor: true})
		must(m.t, err)
		b := newShopper(m.t, &shop{m: m, site: site}, customer{email: host}, ports...)
		at, err := url.Parse(site)
		must(m.t, err)
		b.c.Jar.(*cookiejar.Jar).SetCookies(at, []*http.Cookie{{Name: "ez_" + string(world), Value: token, Path: "/"}})
		b.token = in.CSRF
		return b
	}
	var owner uuid.UUID
	must(m.t, conn.QueryRow(ctx, "SELECT id FROM "+s.who.ID.Schema()+".people WHERE world = 'reseller' AND role = 'owner'").Scan(&owner))
	host := s.who.Slug + ".localhost"
	x.owner = enter("http://"+host, host, identity.Reseller, s.who.ID, owner)
	anna, err := staff.First(ctx, live, identity.NewPerson{Email: "anna@ezscale.test", Name: "Anna"}, m.password)
	must(m.t, err)
	_, err = conn.Exec(ctx, "UPDATE central.people SET totp_confirmed_at = now() WHERE id = $1", anna.ID)
	must(m.t, err)
	for i := range x.staff {
		x.staff[i] = enter("http://console.localhost", "console.localhost", identity.Staff, tenancy.ID{}, anna.ID)
	}
	return x
}

// work does one thing after another until the market closes.
func (x *offices) work(closed <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-closed:
			return
		case <-time.After(rand.N(300 * time.Millisecond)): //nolint:gosec // any moment
		}
		x.do(i)
	}
}

// finish sees to it that each of what there is to do was done at least once.
func (x *offices) finish() {
	x.m.t.Helper()
	i := 0
	x.m.until("money went each way", func() error {
		if len(x.refunds) > 0 && len(x.byHand) > 0 && len(x.disputes) > 0 && len(x.paid) > 0 && len(x.published) > 0 {
			return nil
		}
		x.m.look()
		x.do(i)
		i++
		return fmt.Errorf("%d given back by the shop, %d at Stripe's pages, %d open disputes, %d payouts", len(x.refunds), len(x.byHand), len(x.disputes), len(x.paid))
	})
}

// do does the nth thing, with any payment of the shop.
func (x *offices) do(n int) {
	if n%5 == 4 {
		x.publish(n)
		return
	}
	payments := slices.DeleteFunc(x.m.part(x.s), func(f stripelab.Fact) bool { return f.Kind != "payment" })
	if len(payments) == 0 {
		return
	}
	ref := payments[rand.N(len(payments))].Ref //nolint:gosec // any of them
	switch n % 5 {
	case 0:
		x.payOut(fmt.Sprintf("SEPA %d of %s", n, ref))
	case 1:
		x.giveBack(ref)
	case 2:
		if id, err := x.m.cards.RefundByHand(ref, 30); err == nil { // refused where nothing is left
			x.byHand[id] = 30
		}
	case 3:
		x.dispute(ref)
	}
}

// giveBack has the shop give 0.50 of a payment back, where the shop knows it.
func (x *offices) giveBack(ref string) {
	id := query[string](x.m.house, fmt.Sprintf("SELECT coalesce((SELECT id::text FROM %s.payments WHERE ref = '%s' AND state = 'succeeded' AND amount_minor - refunded_minor > 50), '')", x.s.who.ID.Schema(), ref))
	if id == "" {
		return
	}
	once := uuid.NewString()
	x.owner.persist("give back", func() error {
		a, err := x.owner.ask(http.MethodPost, "/manage/payments/"+id+"/refund", url.Values{"once": {once}, "amount": {"0.50"}, "reason": {"It was down"}, "credit_note": {"on"}})
		switch {
		case err != nil:
			return err
		case a.status == http.StatusSeeOther && a.header.Get("Location") == "/manage/payments/"+id:
			x.refunds["refund/"+id+"/"+once] = 50
		case a.status == http.StatusUnprocessableEntity: // what was left went back meanwhile
			x.refused++
		default:
			return fmt.Errorf("%d %s %s", a.status, a.header.Get("Location"), short(a.body))
		}
		return nil
	})
}

// payOut has staff record half of what may be paid out, twice at once, and at times that
// the bank sent it back.
func (x *offices) payOut(ref string) {
	c, err := x.books.Collection(context.Background(), x.s.who.ID)
	if err != nil {
		x.owner.broke("collection: %v", err)
		return
	}
	if c.Payable.Minor < 2 {
		return
	}
	amount := billing.Money{Minor: c.Payable.Minor / 2, Currency: c.Payable.Currency}
	at := "/resellers/" + x.s.who.ID.String() + "/balance"
	send := func(who *shopper, path string, form url.Values) (done bool) {
		who.persist("record "+path, func() error {
			a, err := who.ask(http.MethodPost, at+path, form)
			if done = err == nil && a.status == http.StatusSeeOther && a.header.Get("Location") == at; done || err != nil || a.status == http.StatusUnprocessableEntity {
				return err
			}
			return fmt.Errorf("%d %s %s", a.status, a.header.Get("Location"), short(a.body))
		})
		return done
	}
	var clicks sync.WaitGroup
	var done [2]bool
	for i := range done {
		clicks.Go(func() {
			done[i] = send(x.staff[i], "/payout", url.Values{"payout": {amount.Decimal()}, "payout_ref": {ref}})
		})
	}
	clicks.Wait()
	switch {
	case !done[0] && !done[1]: // a refund or a bank was faster: there is less
		x.refused++
	case done[0] != done[1]:
		x.staff[0].broke("of two clicks for %s one was refused", ref)
	default:
		x.paid[ref] = amount.Minor
		if rand.N(4) == 0 && send(x.staff[0], "/payout-returned", url.Values{"returned_ref": {ref}}) { //nolint:gosec // some
			x.back[ref] = true
		}
	}
}

// dispute has a bank ask a payment back, and decides the dispute before.
func (x *offices) dispute(ref string) {
	if len(x.disputes) > 0 {
		x.decided++
		if err := x.m.cards.SetDispute(x.disputes[0], []string{"won", "lost"}[x.decided%2]); err != nil {
			x.owner.broke("decide dispute %s: %v", x.disputes[0], err)
		}
		x.disputes = x.disputes[1:]
	}
	id, err := x.m.cards.Dispute(ref, 40, "fraudulent", time.Now().AddDate(0, 0, 9), false)
	if err != nil {
		x.owner.broke("dispute %s: %v", ref, err)
		return
	}
	x.disputes = append(x.disputes, id)
}

// part is what the simulator knows of the payments that were taken for a shop.
func (m *market) part(s *shop) []stripelab.Fact {
	return slices.DeleteFunc(m.cards.Facts(ownSecret), func(f stripelab.Fact) bool { return f.Meta["ezscale_part"] != s.who.ID.String() })
}

// settled issues the credit notes of what was given back at Stripe's pages: until then
// those invoices are owed again.
func (x *offices) settled(pool *tenancy.Pool) error {
	ctx := context.Background()
	db := pool.Bind(x.s.who)
	var open []struct{ ID uuid.UUID }
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM invoices WHERE kind = 'invoice' AND state = 'open'").Scan(ctx, &open)
	})
	for _, i := range open {
		var owed []payment.Refund
		err = errors.Join(err, db.View(ctx, func(tx *tenancy.Tx) (err error) {
			owed, err = payment.Uncredited(ctx, tx, i.ID)
			return err
		}))
		for _, r := range owed {
			_, cerr := payment.CreditRefund(ctx, db, i.ID, r.ID, "Given back", tester)
			err = errors.Join(err, cerr)
		}
	}
	return err
}

// check holds Stripe, the platform's books and the shop's against each other: each payment,
// refund, dispute and fee once, and each payout.
func (x *offices) check() {
	m, in := x.m, x.s.who.ID.Schema()
	m.t.Helper()
	facts := m.part(x.s)
	want := map[string]int64{} // by the key of a movement; disputes without the number of the move
	shop := map[string]int64{}
	var taken int64
	kinds := map[string]int{}
	for _, f := range facts {
		kinds[f.Kind]++
		taken += f.Minor
		if f.Kind != "dispute" || f.Minor != 0 {
			want["stripe/"+f.Kind+"/"+f.Ref] = f.Minor
			shop[f.Kind+"/"+f.Ref] = f.Minor
		}
		if f.Kind == "payment" {
			fee, err := collectFee.Of(billing.Money{Minor: f.Minor, Currency: "EUR"})
			must(m.t, err)
			want["stripe/fee/"+f.Ref] = -fee.Minor
		}
	}
	for ref, minor := range x.paid {
		want["payout/"+x.s.who.ID.String()+"/"+ref] = -minor
		if x.back[ref] {
			want["payout_returned/"+x.s.who.ID.String()+"/"+ref] = minor
		}
	}
	x.same("what moved the balance", want, fmt.Sprintf(`SELECT CASE kind WHEN 'dispute' THEN regexp_replace(key, '/\d+$', '') ELSE key END AS key, sum(amount_minor)::bigint AS minor
		FROM central.balance_movements WHERE tenant_id = %d AND kind <> 'invoice' GROUP BY 1, kind HAVING kind <> 'dispute' OR sum(amount_minor) <> 0`, x.s.who.ID.Number()))
	x.same("what the shop knows", shop, strings.ReplaceAll(`SELECT 'payment/' || ref AS key, amount_minor AS minor FROM ~payments WHERE gateway = 'platform' AND state = 'succeeded'
		UNION ALL SELECT 'refund/' || r.ref, -r.amount_minor FROM ~refunds r WHERE r.state = 'succeeded'
		UNION ALL SELECT 'dispute/' || (d->>'ref'), -(d->>'withdrawn_minor')::bigint FROM ~payments, jsonb_array_elements(disputes) d WHERE coalesce((d->>'withdrawn_minor')::bigint, 0) <> 0`, "~", in+"."))
	x.adds(taken)
	// Stripe gives nothing back of what a bank took between the asking and the sending.
	late := query[int](m.house, "SELECT count(*) FROM "+in+".refunds r JOIN "+in+".payments p ON p.id = r.payment_id WHERE r.state = 'failed' AND r.problem LIKE '%charged back%' AND p.disputes IS NOT NULL")
	if given := len(x.refunds) + len(x.byHand) - late; kinds["refund"] != given {
		m.t.Errorf("%s: %d refunds at Stripe, %d were asked for in time", x.s.who.Slug, kinds["refund"], given)
	}
	m.t.Logf("%s: Stripe has %v, %d given back by the shop, %d at Stripe's pages, %d payouts, %d came back, %d refused", x.s.who.Slug, kinds, len(x.refunds), len(x.byHand), len(x.paid), len(x.back), x.refused)
}

// same compares sums by key with what a question of key and minor finds; a key twice is as
// wrong as another amount.
func (x *offices) same(what string, want map[string]int64, sql string) {
	x.m.t.Helper()
	got := query[map[string]int64](x.m.house, "SELECT coalesce(jsonb_object_agg(key, minor), '{}') FROM ("+sql+") x")
	if n := query[int](x.m.house, "SELECT count(*) FROM ("+sql+") x"); n != len(got) {
		x.m.t.Errorf("%s, %s: %d rows with %d keys", x.s.who.Slug, what, n, len(got))
	}
	for k, minor := range want {
		if n, there := got[k]; !there || n != minor {
			x.m.t.Errorf("%s, %s: %s is %d (%t), want %d", x.s.who.Slug, what, k, n, there, minor)
		}
	}
	for k, minor := range got {
		if _, there := want[k]; !there {
			x.m.t.Errorf("%s, %s: %s over %d is of nothing", x.s.who.Slug, what, k, minor)
		}
	}
}

// adds holds accounts and statements against what Stripe took.
func (x *offices) adds(taken int64) {
	m := x.m
	m.t.Helper()
	const sums = "SELECT coalesce(sum(CASE WHEN debit = '%[2]s' THEN amount_minor ELSE -amount_minor END), 0)::bigint FROM %[1]s.ledger_postings WHERE '%[2]s' IN (debit, credit)"
	if got := query[int64](m.house, fmt.Sprintf(sums, x.s.who.ID.Schema(), "cash/platform")); got != taken {
		m.t.Errorf("%s: the shop has %d with the platform, Stripe took %d", x.s.who.Slug, got, taken)
	}
	all, _ := m.cards.Taken(ownSecret)
	if got := query[int64](m.house, fmt.Sprintf(sums, "central", "cash/stripe")); got != all["eur"] || len(all) != 1 {
		m.t.Errorf("the platform has %d at Stripe, which took %v", got, all)
	}
	if n := query[int](m.house, "SELECT count(*) FROM central.collected_news"); n != 0 {
		m.t.Errorf("%d payments are told of and not looked at", n)
	}
	newest, err := x.books.BalanceStatement(m.t.Context(), x.s.who.ID, "")
	must(m.t, err)
	var carried int64
	for _, month := range slices.Backward(newest.Months) {
		st, err := x.books.BalanceStatement(m.t.Context(), x.s.who.ID, month)
		must(m.t, err)
		sum, rows := st.Opening.Minor, st.Opening.Minor
		for _, g := range st.Sums {
			sum += g.Amount.Minor
		}
		for _, r := range st.Rows {
			rows += r.AmountMinor
		}
		if st.Opening.Minor != carried || sum != st.Closing.Minor || rows != st.Closing.Minor {
			m.t.Errorf("%s of %s: opening %s after %d, sums to %d, rows to %d, closing %s", month, x.s.who.Slug, st.Opening, carried, sum, rows, st.Closing)
		}
		carried = st.Closing.Minor
	}
	p, err := x.books.Profile(m.t.Context(), x.s.who.ID)
	must(m.t, err)
	if p.Balance.Held.Minor != carried {
		m.t.Errorf("%s has %s on its balance, its statements end with %d", x.s.who.Slug, p.Balance.Held, carried)
	}
}
