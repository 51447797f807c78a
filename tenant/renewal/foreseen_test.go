package renewal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// TestWhateverIsForeseenHappens foresees the invoices of accounts that have anything there is, in
// any mixture, and then lets time pass: each invoice is made at the moment, with the lines and to
// the cent that was said, and no other. A failure names what was done to the account.
func TestWhateverIsForeseenHappens(t *testing.T) {
	w := tenancytest.New(t)
	for i, who := range []tenancy.Tenant{w.A, w.B} {
		w.Clock.Set(january)
		f := &foretold{scene: scenery(t, w, who), rnd: rand.New(rand.NewPCG(uint64(i), 20261122)), of: map[uuid.UUID]*client{}}
		f.furnish(i == 0)
		for range 10 {
			f.account()
		}
		f.pass(15)
		for range 30 {
			f.does()
			f.pass(1)
		}
		for range 5 { // whose trials run
			f.account()
		}
		f.pass(0)     // what is late by now is made
		for range 3 { // what was foreseen later has more behind it
			f.foresee()
			f.pass(45)
		}
		f.pass(120)
		f.compare()
		f.books()
	}
}

// foretold is a shop whose customers' invoices are foreseen.
type foretold struct {
	*scene
	rnd      *rand.Rand
	accounts []uuid.UUID
	subs     []uuid.UUID
	of       map[uuid.UUID]*client
	asked    []vision
	paidJobs int64
}

// client is an account with what was done to it, in words.
type client struct {
	name, zone string
	card       bool
	done       []string
}

// vision is what was foreseen of an account at a moment.
type vision struct {
	at      time.Time
	account uuid.UUID
	all     []renewal.Foreseen
}

func (f *foretold) pick(n int) bool { return f.rnd.IntN(n) == 0 }

// furnish is what the shop sells: S also by the hour, M with traffic that is counted; M is changed
// to at once and L with the next period.
func (f *foretold) furnish(loyal bool) {
	f.byHours()
	m := scan[uuid.UUID](f.shop, "SELECT id FROM plans WHERE slug = 'm'")
	_, err := catalog.SaveMeter(f.t.Context(), f.db, catalog.MeterForm{PlanID: m, Code: "gb", Name: "Traffic", Unit: "GB", Aggregation: "sum", Feed: catalog.FeedAPI, Model: "graduated", Tiers: map[string]string{"EUR": "0.03"}}, audit.Origin{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.exec("UPDATE plans SET upgrade = 'prorate', downgrade = CASE slug WHEN 's' THEN 'credit' ELSE 'at_renewal' END")
	f.exec("INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) SELECT id, 'EUR', 'quarterly', 2900, 0 FROM plans WHERE slug <> 's'")
	f.exec("INSERT INTO tax_rates (country, region, class, name, percent, valid_from, source) VALUES ('DE', '', 'standard', 'USt.', 19, '2020-01-01', 'law') ON CONFLICT DO NOTHING")
	f.policy(func(p *renewal.Policy) {
		p.Together = !loyal
		if loyal {
			p.Loyalty = billing.Loyalty{{Months: 2, Ppm: 50_000}, {Months: 5, Ppm: 120_000}}
		}
	})
	f.offers(6, map[string]billing.StayOffer{"too_expensive": {Kind: billing.StayDiscount, Ppm: 300_000, Cycles: 2}})
}

// account is one more customer, with one to three things.
func (f *foretold) account() {
	f.t.Helper()
	c := &client{name: fmt.Sprintf("c%d", len(f.accounts)), card: !f.pick(3)}
	c.zone = []string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}[f.rnd.IntN(4)]
	id := f.customer(c.name, c.card)
	f.exec(`UPDATE accounts SET time_zone = ?, country = 'DE', billing = '{"name": "X", "country": "DE"}' WHERE id = ?`, c.zone, id)
	f.accounts, f.of[id] = append(f.accounts, id), c
	is := renewal.Rhythm{BillDay: []int{0, 0, 1, 17, 28}[f.rnd.IntN(5)]}
	if f.pick(3) {
		days := []int{7, 14, 30}[f.rnd.IntN(3)]
		f.exec("UPDATE accounts SET term_days = ? WHERE id = ?", days, id)
		c.done = append(c.done, fmt.Sprintf("%d days to pay", days))
	}
	if one := f.pick(2); f.pick(2) {
		is.Together = &one
	}
	if err := renewal.SetRhythm(f.t.Context(), f.db, id, is, staff); err != nil {
		f.t.Fatal(err)
	}
	c.done = append(c.done, fmt.Sprintf("zone %q, card %t, bill day %d", c.zone, c.card, is.BillDay))
	if is.Together != nil {
		c.done = append(c.done, fmt.Sprint("together ", *is.Together))
	}
	for range 1 + f.rnd.IntN(3) {
		what, sub := f.buy(id)
		f.subs = append(f.subs, sub)
		c.done = append(c.done, fmt.Sprintf("%s: %s %s", f.Clock.Now().Format("01-02 15:04"), what, sub))
		f.work()
		if f.pick(3) {
			f.Clock.Advance(time.Duration(f.rnd.IntN(40*3600)) * time.Second)
		}
	}
}

func (f *foretold) buy(account uuid.UUID) (string, uuid.UUID) {
	minor := int64(300 + f.rnd.IntN(9000))
	code := func(n *renewal.New) {
		switch f.rnd.IntN(4) {
		case 0:
			n.Discount = &billing.Discount{Code: "SHARE", Ppm: 1 + f.rnd.Int64N(1_000_000), Cycles: f.rnd.IntN(5)}
		case 1:
			n.Discount = &billing.Discount{Code: "AMOUNT", Off: billing.Money{Minor: 1 + f.rnd.Int64N(900), Currency: "EUR"}, Cycles: 1 + f.rnd.IntN(4)}
		}
	}
	switch f.rnd.IntN(9) {
	case 0:
		return "hourly", f.runsHours(account, code)
	case 1:
		return "trial", f.try(account, code)
	case 2:
		return "trial of hours", f.try(account, func(n *renewal.New) {
			n.Cycle, n.Amount.Minor, n.Trial.Days = billing.Hourly, 0, 10
			n.Items = []renewal.Item{{Kind: "plan", Code: "vps/s", Label: "VPS Small", Quantity: 1, Hour: f.hour("0.013", 0)}}
			if f.pick(2) {
				n.Trial.Once = nil
			}
		}, code)
	case 3:
		return "stub", f.sellOn(account, minor, 1+f.rnd.IntN(28), time.Duration(f.rnd.IntN(3))*time.Hour)
	case 4:
		sub := f.sell(account, []billing.Cycle{billing.Monthly, billing.Quarterly}[f.rnd.IntN(2)], 2000, code, func(n *renewal.New) {
			n.PlanID = scan[uuid.UUID](f.shop, "SELECT id FROM plans WHERE slug = 'm'")
		})
		f.tell(used(sub, "once", "gb", strconv.Itoa(f.rnd.IntN(300)), f.Clock.Now()))
		return "metered", sub
	}
	cycle := []billing.Cycle{billing.Monthly, billing.Monthly, billing.Quarterly, billing.SemiAnnual, billing.Annual}[f.rnd.IntN(5)]
	return string(cycle), f.sell(account, cycle, minor, code)
}

// does is something done to a subscription.
func (f *foretold) does() {
	f.t.Helper()
	sub, ctx := f.subs[f.rnd.IntN(len(f.subs))], f.t.Context()
	x := f.get(sub)
	var what string
	var err error
	ask := func(a renewal.ChangeAsk) error {
		a.SubscriptionID = sub
		q, err := f.desk.QuoteChange(ctx, f.db, a)
		if err == nil {
			_, err = f.desk.AcceptChange(ctx, f.db, q.ID, uuid.Nil, f.by)
		}
		return err
	}
	switch f.rnd.IntN(10) {
	case 0:
		what = "cancelled"
		_, err = f.desk.Cancel(ctx, f.db, renewal.CancelRequest{SubscriptionID: sub, Reason: "other"}, somebody)
	case 1:
		what = "paused"
		_, err = f.pause(sub, uuid.Nil, 1+f.rnd.IntN(60))
	case 2, 3, 4:
		a := renewal.ChangeAsk{Plan: []string{"s", "m", "l"}[f.rnd.IntN(3)], Cycle: []billing.Cycle{"", "", billing.Monthly, billing.Quarterly, billing.Hourly}[f.rnd.IntN(5)]}
		what, err = fmt.Sprintf("changed to %s %s", a.Plan, a.Cycle), ask(a)
	case 5:
		what, err = "moved", ask(renewal.ChangeAsk{ToBillDay: true})
	case 6:
		n := 1 + f.rnd.IntN(3)
		what, err = fmt.Sprintf("paid %d ahead", n), ask(renewal.ChangeAsk{Prepay: n})
	case 7:
		what = "agreed"
		if x.PlanID != f.plan { // of which nobody hears that they cost more, see below
			return
		}
		a := agreed.Form{AccountID: x.AccountID, Plan: x.PlanID.String(), Cycle: string(x.Cycle), Amount: "7.77", Running: true}
		if x.Cycle == billing.Hourly {
			a.Amount, a.Most = "0.017", "6.66"
		}
		if f.pick(2) {
			a.Until = f.Clock.Now().AddDate(0, 2, f.rnd.IntN(30)).Format(time.DateOnly)
		}
		_, err = f.desk.Agree(ctx, f.db, a, f.by)
	case 8:
		what = "stayed"
		if _, _, err = f.desk.Offer(ctx, f.db, sub, x.AccountID, "too_expensive"); err == nil {
			_, err = f.desk.Stay(ctx, f.db, sub, x.AccountID, "too_expensive", somebody)
		}
	case 9:
		what = "dearer from a day on"
		if x.PlanID == f.plan { // who pays an agreed price hears of it once that is over
			return
		}
		_, err = renewal.SchedulePrice(ctx, f.db, renewal.PriceForm{PlanID: x.PlanID, From: f.Clock.Now().AddDate(0, 0, 31+f.rnd.IntN(60)).Format(time.DateOnly), Running: true, NoticeDays: "30",
			Prices: map[string]string{"price.EUR.monthly": "12.34", "price.EUR.quarterly": "31.23"}}, f.by)
		f.prices()
	}
	if err != nil && fault.From(err).Kind == fault.Internal {
		f.t.Fatalf("%s: %v", what, err)
	}
	if err == nil {
		c := f.of[x.AccountID]
		c.done = append(c.done, fmt.Sprintf("%s: %s %s", f.Clock.Now().Format("01-02 15:04"), what, sub))
	}
	f.tick()
	f.work()
}

// pass lets days pass: whatever is due is done at its moment.
func (f *foretold) pass(days int) {
	f.t.Helper()
	for end, again := f.Clock.Now().AddDate(0, 0, days), 0; ; {
		f.prices()
		f.tick()
		f.work()
		f.settled()
		var due time.Time
		err := f.Owner.QueryRow(f.t.Context(), "SELECT due_at FROM central.agenda WHERE tenant_id = $1 AND kind IN ('renewal', 'collection', 'prices') ORDER BY due_at LIMIT 1", f.who.ID.Number()).Scan(&due)
		switch {
		case errors.Is(err, pgx.ErrNoRows) || err == nil && due.After(end):
			f.Clock.Set(end)
			return
		case err != nil:
			f.t.Fatal(err)
		case due.After(f.Clock.Now()):
			f.Clock.Set(due)
			again = 0
		default:
			if again++; again > 10 {
				f.t.Fatalf("at %s something stays due", due)
			}
		}
	}
}

// settled is what follows payments: of invoices over nothing, too, and of who pays by hand, at
// once or on the last day.
func (f *foretold) settled() {
	f.t.Helper()
	for _, id := range scanAll[uuid.UUID](f.shop, "SELECT i.id FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE i.kind = 'invoice' AND i.state = 'open' AND a.default_method_id IS NULL AND (a.term_days IS NULL OR i.due_at <= ?) ORDER BY i.issued_at, i.id", f.Clock.Now()) {
		f.settle(id)
	}
	rows, err := f.Owner.Query(f.t.Context(), "SELECT id, args FROM river.river_job WHERE kind = 'invoice.paid' AND (metadata->>'tenant')::bigint = $1 AND id > $2 ORDER BY id", f.who.ID.Number(), f.paidJobs)
	if err != nil {
		f.t.Fatal(err)
	}
	type job struct {
		ID   int64
		Args []byte
	}
	jobs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[job])
	if err != nil {
		f.t.Fatal(err)
	}
	for _, j := range jobs {
		var paid invoicing.PaidJob
		if f.paidJobs = j.ID; json.Unmarshal(j.Args, &paid) != nil {
			f.t.Fatalf("%s", j.Args)
		}
		if err := f.desk.Paid(f.t.Context(), f.db, paid.InvoiceID); err != nil {
			f.t.Fatal(err)
		}
	}
	f.work()
}

func (f *foretold) foresee() {
	f.t.Helper()
	f.update(func(tx *tenancy.Tx) error {
		for _, id := range f.accounts {
			all, err := renewal.Upcoming(f.t.Context(), tx, id, 10)
			if err != nil {
				return err
			}
			f.asked = append(f.asked, vision{tx.Now(), id, all})
		}
		return nil
	})
}
