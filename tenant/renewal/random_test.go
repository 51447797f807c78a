package renewal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
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
		AND kind IN ('service.drive', 'subscription.change', 'service.resized', 'subscription.give_back') ORDER BY id`, l.who.ID.Number(), l.worked)
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
		if err := l.job(j.Kind, j.Args); err != nil && !errors.As(err, &later) {
			l.t.Fatalf("after %q: %s %s: %v", l.done, j.Kind, j.Args, err)
		}
	}
}

// step is one thing that somebody does, or time that passes.
func (l *life) step() (string, error) {
	ctx, sub := l.t.Context(), l.subs[l.rnd.IntN(len(l.subs))]
	l.leaks = l.rnd.IntN(3) == 0
	switch l.rnd.IntN(14) {
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
	r := invoicing.CreditRequest{Key: "credit/test/" + uuid.NewString(), InvoiceID: id, Amount: billing.Money{Minor: 1 + l.rnd.Int64N(left), Currency: "EUR"}, Reason: "Goodwill"}
	_, err := invoicing.CreditByHand(ctx, l.db, r, somebody)
	return err
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
