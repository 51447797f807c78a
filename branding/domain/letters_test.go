package domain

import (
	"context"
	"testing"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
)

func TestOwnersGetALetterAboutWhatMatters(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	l := &Letters{Outbox: mail.NewOutbox(r.ring), Link: func(slug string) string { return "https://" + slug + ".localhost/manage/domains" }}
	d := r.add(r.world.A, "letters.test")
	_, err := r.world.Owner.Exec(ctx, "UPDATE central.tenants SET owner_email = 'ann@alpha.test' WHERE id = $1", r.world.A.ID.Number())
	must(t, err)
	tell := func(e Event) {
		t.Helper()
		must(t, r.world.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return l.DomainChanged(ctx, tx, d, e) }))
	}
	for code := range eventWords {
		e := Event{Code: code, To: Failing, Detail: "what happened"}
		tell(e)
		tell(e) // once a day
	}
	rows, err := r.world.Owner.Query(ctx, "SELECT template, count(*) FROM central.mails WHERE to_address = 'ann@alpha.test' GROUP BY template")
	must(t, err)
	got := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		must(t, rows.Scan(&name, &n))
		got[name] = n
	}
	for _, want := range []string{mail.DomainActive, mail.DomainFailing, mail.DomainDrifted, mail.DomainTaken} {
		if got[want] != 1 {
			t.Errorf("%d letters %s", got[want], want)
		}
	}
	if len(got) != 4 {
		t.Errorf("letters: %v", got)
	}
	_, err = r.world.Owner.Exec(ctx, "UPDATE central.tenants SET owner_email = 'not an address' WHERE id = $1", r.world.A.ID.Number())
	must(t, err)
	r.clock.Advance(25 * 60 * 60 * 1e9)
	tell(Event{Code: "certificate.issued"}) // and nothing stops for it
}

func TestLettersRideWithARealLife(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	n.worker.News = &Letters{Outbox: mail.NewOutbox(r.ring), Link: func(string) string { return "https://x.localhost/" }}
	n.worker.Preflight = &Preflight{Resolvers: r.pf.Resolvers, Edge: r.pf.Edge, Identity: r.pf.Identity, Method: "http-01",
		Self: &SelfTest{Secret: []byte("probe"), Resolvers: r.pf.Resolvers, Only: r.pf.Edge.Addresses, HTTPPort: portOf(t, r.plain.Addr().String())}}
	d := r.add(r.world.A, "riding.test")
	r.prove(d)
	n.work()
	r.state(d, Active)
	must(t, r.lab.Zone().Delete(d.TXTName(), "TXT", ""))
	other := r.add(r.world.B, "riding.test")
	r.prove(other)
	n.work()
	r.state(other, Active)
	r.state(d, Removed)
}
