package setup_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/overview"
	"github.com/ezscale/ezscale/tenant/setup"
	"github.com/ezscale/ezscale/tenant/team"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func outbox(t testing.TB) *mail.Outbox {
	t.Helper()
	key, err := secrets.NewKey("k1")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	return mail.NewOutbox(ring)
}

var by = audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}

// seed makes a new shop in w.A, twice: the second time is refused, and nothing is left of it.
func seed(t testing.TB, w *tenancytest.World, k setup.Kit) {
	t.Helper()
	ctx := t.Context()
	for i := range 2 {
		err := w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error {
			return k.Seed(ctx, w.A, tx, setup.Owner{Name: "Olga", Email: "olga@alpha.test"})
		})
		if i == 0 && err != nil || i == 1 && !fault.Is(err, "person.taken") {
			t.Fatal(err)
		}
	}
}

func TestANewShop(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	seed(t, w, setup.Kit{Mail: outbox(t)})
	members, total, err := team.Desk(w.DB(w.A), nil).List(ctx, roster.Filter{})
	if err != nil || total != 1 || members[0].Role != identity.ResellerOwner || members[0].State != roster.Invited || members[0].LinkExpires.IsZero() {
		t.Errorf("team: %+v, %v", members, err)
	}
	var f overview.Figures
	var s overview.Shop
	err = w.DB(w.A).View(ctx, func(tx *tenancy.Tx) error { f, s, err = overview.Look(ctx, tx); return err })
	if err != nil || s.BrandNumber != 1 || s.Legal() || s.Sender || f.Team != 1 || f.Customers != 0 {
		t.Errorf("%+v, %+v, %v", f, s, err)
	}
	err = w.DB(w.A).View(ctx, func(tx *tenancy.Tx) error {
		mails, total, err := mail.Log(ctx, tx, mail.LogFilter{Text: "OLGA@"})
		if total != 1 || mails[0].Template != mail.ResellerWelcome || mails[0].State != mail.Queued {
			t.Errorf("mails: %+v", mails)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	err = w.DB(w.B).View(ctx, func(tx *tenancy.Tx) error { f, s, err = overview.Look(ctx, tx); return err })
	if err != nil || s.BrandNumber != 0 || f.Team != 0 {
		t.Errorf("the neighbour: %+v, %+v, %v", f, s, err)
	}
}

func TestTheOwnerIsProtected(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	k := setup.Kit{Mail: outbox(t)}
	seed(t, w, k)
	d := team.Desk(w.DB(w.A), func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error {
		return signin.Invite(ctx, tx, k.Mail, "/manage", to, inviter)
	})
	members, _, err := d.List(ctx, roster.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	owner := members[0]
	asOwner := roster.By{Origin: by, Person: owner.ID, Role: owner.Role}
	admin, err := d.Add(ctx, roster.Invitation{Name: "Ada", Email: "ada@alpha.test", Role: identity.ResellerAdmin}, asOwner)
	if err != nil {
		t.Fatal(err)
	}
	asAdmin := roster.By{Origin: by, Person: admin.ID, Role: admin.Role}
	for name, err := range map[string]error{
		"disable": d.Disable(ctx, owner.ID, asAdmin), "remove": d.Remove(ctx, owner.ID, asAdmin),
		"demote": d.SetRole(ctx, owner.ID, identity.ResellerAgent, asAdmin), "factor": d.ResetFactor(ctx, owner.ID, asAdmin),
	} {
		if !fault.Is(err, "member.above") {
			t.Errorf("an admin may %s the owner: %v", name, err)
		}
	}
	if err := team.Desk(w.DB(w.B), nil).Disable(ctx, owner.ID, roster.By{Origin: by}); !fault.Is(err, "person.not_found") {
		t.Errorf("from the neighbour: %v", err)
	}
	if err := d.InviteAgain(ctx, admin.ID, asOwner); err != nil {
		t.Error(err)
	}
	if err := d.Remove(ctx, admin.ID, asOwner); err != nil {
		t.Error(err)
	}
	if _, total, err := d.List(ctx, roster.Filter{}); err != nil || total != 1 {
		t.Errorf("%d are left, %v", total, err)
	}
}

// TestATierSaysHowManyPeople: people who are invited at once are no more than the tier gives;
// who is kept out leaves a place, and comes in again only while there is one. A smaller tier
// takes nobody away.
func TestATierSaysHowManyPeople(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	k := setup.Kit{Mail: outbox(t)}
	seed(t, w, k)
	most := 3
	d := team.Desk(w.DB(w.A), func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error {
		return signin.Invite(ctx, tx, k.Mail, "/manage", to, inviter)
	})
	d.Most = func(context.Context) (int, error) { return most, nil }
	asOwner := roster.By{Origin: by}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = d.Add(ctx, roster.Invitation{Name: "Ada", Email: fmt.Sprintf("ada%d@alpha.test", i), Role: identity.ResellerAgent}, asOwner)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && (!fault.Is(err, "member.limit") || !strings.Contains(fault.From(err).Message, "room for 3 people")) {
			t.Error(err)
		}
	}
	if taken, of, err := d.Seats(ctx); err != nil || taken != 3 || of != 3 {
		t.Fatalf("%d of %d, %v", taken, of, err)
	}
	members, _, err := d.List(ctx, roster.Filter{Role: identity.ResellerAgent})
	if err != nil || len(members) != 2 {
		t.Fatalf("%+v, %v", members, err)
	}
	if err := d.InviteAgain(ctx, members[0].ID, asOwner); err != nil {
		t.Errorf("the letter again: %v", err)
	}
	if err := d.Disable(ctx, members[0].ID, asOwner); err != nil {
		t.Error(err)
	}
	if _, err := d.Add(ctx, roster.Invitation{Name: "Bo", Email: "bo@alpha.test", Role: identity.ResellerAgent}, asOwner); err != nil {
		t.Errorf("in the place of who is kept out: %v", err)
	}
	if err := d.Enable(ctx, members[0].ID, asOwner); !fault.Is(err, "member.limit") {
		t.Errorf("back when the place is taken: %v", err)
	}
	most = 1
	if taken, _, err := d.Seats(ctx); err != nil || taken != 3 {
		t.Errorf("after a smaller tier: %d, %v", taken, err)
	}
	most = 0
	if err := d.Enable(ctx, members[0].ID, asOwner); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

func TestCustomers(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	box := outbox(t)
	d := &account.Desk{Verify: func(ctx context.Context, tx tenancy.Statements, to identity.Person) error {
		return signin.Verify(ctx, tx, box, "", to)
	}}
	db := w.DB(w.A)
	var cara identity.Person
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		cara, err = (identity.People{World: identity.Customer}).Add(ctx, tx, identity.NewPerson{Email: "cara@shop.test", Name: "Cara", Role: identity.CustomerMember}, "")
		if err != nil {
			return err
		}
		id := uuid.Must(uuid.NewV7())
		if _, err = tx.NewRaw("INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Cara 100% GmbH', 'EUR', ?, ?)", id, tx.Now(), tx.Now()).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", id, cara.ID, tx.Now()).Exec(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		filter account.Filter
		want   int
	}{
		{"all", account.Filter{}, 1},
		{"by the account", account.Filter{Text: "100%", Sort: "account"}, 1},
		{"a wildcard is none", account.Filter{Text: "c_ra"}, 0},
		{"by state", account.Filter{State: account.Unverified, Sort: "sign_in", Desc: true}, 1},
		{"not by another", account.Filter{State: account.Active}, 0},
		{"junk", account.Filter{Text: "\x00\xff", State: "\x00", Sort: "'", Offset: -1}, 1},
	} {
		if _, total, err := d.List(ctx, db, test.filter); err != nil || total != test.want {
			t.Errorf("%s: %d, %v", test.name, total, err)
		}
	}
	if _, total, err := d.List(ctx, w.DB(w.B), account.Filter{}); err != nil || total != 0 {
		t.Errorf("the neighbour sees %d, %v", total, err)
	}
	for _, step := range []struct {
		name, code string
		do         func() error
	}{
		{"a link", "", func() error { return d.ResendVerification(ctx, db, cara.ID, by) }},
		{"not two at once", "customer.just_sent", func() error { return d.ResendVerification(ctx, db, cara.ID, by) }},
		{"from the neighbour", "customer.not_found", func() error { return d.Disable(ctx, w.DB(w.B), cara.ID, by) }},
		{"disabled", "", func() error { return d.Disable(ctx, db, cara.ID, by) }},
		{"no link for the disabled", "customer.disabled", func() error { return d.ResendVerification(ctx, db, cara.ID, by) }},
		{"enabled", "", func() error { return d.Enable(ctx, db, cara.ID, by) }},
	} {
		if err := step.do(); step.code == "" && err != nil || step.code != "" && !fault.Is(err, step.code) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	got, err := d.Get(ctx, db, cara.ID)
	if err != nil || len(got.In) != 1 || got.In[0].Members != 1 || got.AccountName != "Cara 100% GmbH" {
		t.Errorf("%+v, %v", got, err)
	}
	var trail []string
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		entries, err := audit.List(ctx, tx, audit.Filter{})
		for _, e := range entries {
			trail = append(trail, e.Action)
		}
		return err
	})
	if err != nil || strings.Join(trail, " ") != "customer.enabled customer.disabled customer.verification_sent" {
		t.Errorf("trail: %v, %v", trail, err)
	}
}
