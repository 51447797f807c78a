package renewal_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// leaky is an outbox that now and then fails in the middle of a transaction.
type leaky struct {
	renewal.Mailer
	fails func() bool
}

var errLeak = errors.New("the outbox failed")

func (l leaky) Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error {
	if l.fails() {
		return errLeak
	}
	return l.Mailer.Enqueue(ctx, tx, m)
}

// TestAnyLifeBalances does whatever can be done to subscriptions, in any order, with time
// that passes, cards that are declined and transactions that fail in their middle. The
// books balance after every step, and no time is invoiced twice. A failure names its
// seed.
func TestAnyLifeBalances(t *testing.T) {
	w := tenancytest.New(t)
	for i, who := range []tenancy.Tenant{w.A, w.B} {
		w.Clock.Set(january.Add(-14 * time.Hour)) // midnight: days pass to the hour
		l := &life{scene: scenery(t, w, who), rnd: rand.New(rand.NewPCG(uint64(i), 20261121))}
		l.live(45)
	}
}

// life is a shop in which anything happens.
type life struct {
	*scene
	rnd      *rand.Rand
	leaks    bool
	accounts []uuid.UUID
	subs     []uuid.UUID
	done     []string
}

func (l *life) live(steps int) {
	l.t.Helper()
	l.desk.Mail = leaky{l.desk.Mail, func() bool { return l.leaks && l.rnd.IntN(3) == 0 }}
	l.declines = func(uuid.UUID) bool { return l.rnd.IntN(3) == 0 }
	l.exec("UPDATE plans SET pause_days = 60")
	l.policy(func(p *renewal.Policy) {
		p.Loyalty = billing.Loyalty{{Months: 1, Ppm: 100_000}, {Months: 2, Ppm: 200_000}}
		p.Fee = billing.LateFee{After: 3 * day, Ppm: 33_333, Amounts: []billing.Money{{Minor: 777, Currency: "USD"}}}
	})
	if err := renewal.SaveContests(l.t.Context(), l.db, billing.Contests{Opened: billing.ContestSuspend, Lost: []billing.ContestStep{billing.ContestNothing, billing.ContestEnd}[l.rnd.IntN(2)]}, somebody); err != nil {
		l.t.Fatal(err)
	}
	l.accounts = []uuid.UUID{l.customer("ida", true), l.customer("otto", false)}
	l.joins(l.accounts[0], true)
	l.billDay(l.accounts[1], 7)
	l.buy()
	l.buy()
	for range steps {
		what, err := l.step()
		l.done = append(l.done, what)
		if err != nil && !errors.Is(err, errLeak) && fault.From(err).Kind == fault.Internal {
			l.t.Fatalf("%q: %v", l.done, err)
		}
		l.leaks = false
		l.tick()
		l.jobs()
		l.audit()
	}
	l.replay()
	l.t.Logf("%q", l.done)
}

func (l *life) buy() {
	cycle := []billing.Cycle{billing.Monthly, billing.Monthly, billing.Annual}[l.rnd.IntN(3)]
	of := l.accounts[l.rnd.IntN(len(l.accounts))]
	if len(l.subs) < 2 { // that renew on one day
		of = l.accounts[0]
	}
	sub := l.sell(of, cycle, int64(1000+l.rnd.IntN(9000)))
	l.subs = append(l.subs, sub)
	l.jobs()
}

// jobs does the jobs there are by now, each once. Of services only those that are created
// or changed are driven: nothing here asks whether they are on.
func (l *life) jobs() {
	l.t.Helper()
	rows, err := l.Owner.Query(l.t.Context(), `SELECT id, kind, args FROM river.river_job WHERE (metadata->>'tenant')::bigint = $1 AND id > $2
		AND (kind IN ('service.drive', 'subscription.change', 'service.resized', 'subscription.give_back', 'invoice.forgiven') OR kind = 'invoice.paid' AND $3) ORDER BY id`, l.who.ID.Number(), l.worked, l.rnd.IntN(2) == 0)
	if err != nil {
		l.t.Fatal(err)
	}
	type job struct {
		ID   int64
		Kind string
		Args []byte
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	if err != nil {
		l.t.Fatal(err)
	}
	for _, j := range jobs {
		l.worked = j.ID
		if j.Kind == "service.drive" && scan[int](l.shop, "SELECT count(*) FROM services WHERE id = (?::jsonb->>'service_id')::uuid AND operation IN ('create', 'resize')", string(j.Args)) == 0 {
			continue
		}
		var later *queue.RetryError
		if err := l.again(j.Kind, j.Args); err != nil && !errors.As(err, &later) {
			l.t.Fatalf("after %q: %s %s: %v", l.done, j.Kind, j.Args, err)
		}
	}
}

// step is one thing that somebody does, or time that passes.
func (l *life) step() (string, error) {
	ctx, sub := l.t.Context(), l.subs[l.rnd.IntN(len(l.subs))]
	l.leaks = l.rnd.IntN(3) == 0
	switch l.rnd.IntN(16) {
	case 0:
		if l.leaks = false; len(l.subs) < 5 {
			l.buy()
		}
		return "buy", nil
	case 1:
		_, err := l.desk.Cancel(ctx, l.db, renewal.CancelRequest{SubscriptionID: sub, Now: l.rnd.IntN(4) == 0, Reason: "other"}, somebody)
		return "cancel", err
	case 2:
		_, err := l.desk.Resume(ctx, l.db, sub, uuid.Nil, somebody)
		return "keep", err
	case 3:
		_, err := l.pause(sub, uuid.Nil, 1+l.rnd.IntN(40))
		return "pause", err
	case 4:
		_, err := l.desk.Continue(ctx, l.db, sub, uuid.Nil, somebody)
		return "continue", err
	case 5, 6:
		return "change", l.change(ctx, sub)
	case 7:
		open := scanAll[uuid.UUID](l.shop, "SELECT id FROM invoices WHERE kind = 'invoice' AND state IN ('open', 'uncollectible') ORDER BY number")
		if len(open) == 0 {
			return "nothing to pay", nil
		}
		l.leaks = false
		l.settle(open[l.rnd.IntN(len(open))])
		return "pay", nil
	case 8:
		open := scanAll[uuid.UUID](l.shop, openRenewal+" ORDER BY number")
		if len(open) == 0 {
			return "no week", nil
		}
		_, err := l.week(open[l.rnd.IntN(len(open))], uuid.Nil)
		return "week", err
	case 9:
		return "credit", l.credit(ctx)
	case 11:
		return "move", l.offer(ctx, renewal.ChangeAsk{SubscriptionID: sub, ToBillDay: true})
	case 12:
		return "dispute", l.dispute(ctx)
	case 13:
		return "terms", renewal.SetTerms(ctx, l.db, l.accounts[l.rnd.IntN(len(l.accounts))], []int{0, 10, 30, 60}[l.rnd.IntN(4)], somebody)
	case 10:
		return "ahead", l.offer(ctx, renewal.ChangeAsk{SubscriptionID: sub, Prepay: 1 + l.rnd.IntN(3)})
	}
	days := time.Duration(1 + l.rnd.IntN(20))
	for range days {
		l.Clock.Advance(day)
		l.leaks = l.rnd.IntN(4) == 0
		if err := errors.Join(l.desk.Renew(ctx, l.db, time.Time{}), l.desk.Collect(ctx, l.db, time.Time{})); err != nil {
			return "time", err
		}
		l.leaks = false
		l.tick()
	}
	return fmt.Sprint(int(days), " days"), nil
}

func (l *life) change(ctx context.Context, sub uuid.UUID) error {
	return l.offer(ctx, renewal.ChangeAsk{SubscriptionID: sub, Plan: []string{"s", "m", "l"}[l.rnd.IntN(3)], Cycle: []billing.Cycle{"", billing.Monthly, billing.Annual}[l.rnd.IntN(3)]})
}

// offer asks for a price and accepts it.
func (l *life) offer(ctx context.Context, ask renewal.ChangeAsk) error {
	q, err := l.desk.QuoteChange(ctx, l.db, ask)
	if err != nil {
		return err
	}
	_, err = l.desk.AcceptChange(ctx, l.db, q.ID, uuid.Nil, l.by)
	return err
}

func (l *life) credit(ctx context.Context) error {
	ids := scanAll[uuid.UUID](l.shop, "SELECT id FROM invoices WHERE kind = 'invoice' AND total_minor > credited_minor ORDER BY number")
	if len(ids) == 0 {
		return nil
	}
	id := ids[l.rnd.IntN(len(ids))]
	left := scan[int64](l.shop, "SELECT total_minor - credited_minor FROM invoices WHERE id = ?", id)
	if l.rnd.IntN(2) == 0 {
		left = 1 + l.rnd.Int64N(left)
	}
	r := invoicing.CreditRequest{Key: "credit/test/" + uuid.NewString(), InvoiceID: id, Amount: billing.Money{Minor: left, Currency: "EUR"}, Reason: "Goodwill"}
	_, err := invoicing.CreditByHand(ctx, l.db, r, somebody)
	return err
}

// dispute is news, old or new, of a dispute about a payment, as the gateway tells them.
func (l *life) dispute(ctx context.Context) error {
	type paid struct {
		ID, InvoiceID uuid.UUID
		Minor         int64
		Currency      string
		Disputes      string
	}
	var all []paid
	l.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id, invoice_id, amount_minor - refunded_minor AS minor, currency, coalesce(disputes::text, '[]') AS disputes FROM payments WHERE state = 'succeeded' AND amount_minor > refunded_minor ORDER BY created_at, id").Scan(ctx, &all)
	})
	if len(all) == 0 {
		return nil
	}
	p := all[l.rnd.IntN(len(all))]
	m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: p.Currency} }
	told := []gateway.Dispute{
		{State: gateway.NeedsResponse, Withdrawn: m(p.Minor), Moves: 1}, {State: gateway.UnderReview, Withdrawn: m(p.Minor), Moves: 1},
		{State: gateway.Won, Withdrawn: m(0), Moves: 2}, {State: gateway.Lost, Withdrawn: m(p.Minor), Moves: 1}, {State: gateway.NeedsResponse, Withdrawn: m(0), Inquiry: true},
	}[l.rnd.IntN(5)]
	told.Ref, told.Amount, told.OpenedAt = "dp_"+p.ID.String(), m(p.Minor), january
	err := l.db.Update(ctx, func(tx *tenancy.Tx) error {
		var kept []gateway.Disputed
		if err := json.Unmarshal([]byte(p.Disputes), &kept); err != nil {
			return err
		}
		next, news := gateway.Hear(kept, told, tx.Now())
		text, err := json.Marshal(next)
		if err != nil || !news.Changed {
			return err
		}
		if _, err := tx.NewRaw("UPDATE payments SET disputes = ?::jsonb WHERE id = ?", string(text), p.ID).Exec(ctx); err != nil {
			return err
		}
		return invoicing.Contested(ctx, tx, invoicing.ContestedMoney{Key: fmt.Sprintf("dispute/%s/%d", told.Ref, news.Now.Booked), InvoiceID: p.InvoiceID, PaymentID: p.ID, Gateway: "sandbox",
			Withdrawn: m(news.Withdrawn), Lost: m(news.Lost)})
	})
	for range 2 {
		err = errors.Join(err, l.desk.Disputed(ctx, l.db, payment.DisputedJob{PaymentID: p.ID, Ref: told.Ref}))
	}
	return err
}

// standing is all that money and subscriptions are kept in, in one word a table.
func (l *life) standing() (all []string) {
	l.t.Helper()
	for _, table := range []string{"invoices", "invoice_lines", "ledger_postings", "subscriptions", "payments", "refunds", "quotes", "timeline", "mails", "credit_grants"} {
		all = append(all, table+" "+scan[string](l.shop, "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '') FROM "+table+" t"))
	}
	return append(all, "holds "+scan[string](l.shop, "SELECT coalesce(string_agg(id || holds::text || desired, ',' ORDER BY id), '') FROM services"))
}

// replay does every job there ever was again, late and in any order, several times: nothing
// changes. Charges are the gateway's to refuse, and are left to the tests of payments.
func (l *life) replay() {
	l.t.Helper()
	rows, err := l.Owner.Query(l.t.Context(), `SELECT kind, args FROM river.river_job WHERE (metadata->>'tenant')::bigint = $1
		AND kind IN ('subscription.change', 'service.resized', 'subscription.give_back', 'option.made_of', 'invoice.paid', 'invoice.forgiven', 'payment.failed', 'payment.disputed') ORDER BY id`, l.who.ID.Number())
	if err != nil {
		l.t.Fatal(err)
	}
	type job struct {
		Kind string
		Args []byte
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	if err != nil {
		l.t.Fatal(err)
	}
	var before []string
	kinds := map[string]int{}
	for round := range 4 {
		if round == 1 { // the first time does what nobody has done yet
			before = l.standing()
		}
		if round > 0 {
			l.rnd.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
		}
		for _, j := range jobs {
			kinds[j.Kind]++
			var later *queue.RetryError
			if err := l.again(j.Kind, j.Args); err != nil && !errors.As(err, &later) {
				l.t.Fatalf("after %q: %s %s again: %v", l.done, j.Kind, j.Args, err)
			}
		}
	}
	for i, now := range l.standing() {
		if now != before[i] {
			l.t.Errorf("after %q: jobs that came again changed %s into %s", l.done, before[i], now)
		}
	}
	l.t.Log("again:", kinds)
}

func (l *life) again(kind string, args []byte) error {
	ctx := l.t.Context()
	switch kind {
	case "invoice.paid":
		return with(args, func(j invoicing.PaidJob) error { return l.desk.Paid(ctx, l.db, j.InvoiceID) })
	case "invoice.forgiven":
		return with(args, func(j invoicing.ForgivenJob) error { return l.desk.Forgiven(ctx, l.db, j.InvoiceID) })
	case "payment.failed":
		return with(args, func(j payment.FailedTry) error { return l.desk.TryFailed(ctx, l.db, j) })
	case "payment.disputed":
		return with(args, func(j payment.DisputedJob) error { return l.desk.Disputed(ctx, l.db, j) })
	}
	return l.job(kind, args)
}

// audit looks at the books, and for time that is invoiced twice.
func (l *life) audit() {
	l.t.Helper()
	l.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(l.t.Context(), tx)
		if err == nil && len(r.Problems) > 0 {
			l.t.Fatalf("after %q: %v", l.done, r.Problems)
		}
		sums := map[string]int64{}
		for _, b := range r.Balances {
			sums[b.Currency] += b.Minor
		}
		for currency, sum := range sums {
			if sum != 0 {
				l.t.Fatalf("after %q: the trial balance is %d %s", l.done, sum, currency)
			}
		}
		return err
	})
	twice := scan[int](l.shop, `WITH p AS (SELECT DISTINCT i.id, l.subscription_id, l.period_from, l.period_to FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
			WHERE i.key LIKE 'renewal/%' AND i.kind = 'invoice' AND i.state <> 'void' AND i.credited_minor = 0 AND l.withdrawn_at IS NULL AND l.period_from IS NOT NULL)
		SELECT count(*) FROM p a JOIN p b ON a.subscription_id = b.subscription_id AND a.id < b.id AND a.period_from < b.period_to AND b.period_from < a.period_to`)
	if twice > 0 {
		l.t.Fatalf("after %q: %d times are invoiced twice", l.done, twice)
	}
}
