package staff_test

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/staff"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

const someHash = identity.HashedPassword("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")

// office is a desk with two admins and someone of support, and who invites whom.
func office(t testing.TB) (*roster.Desk, *tenancytest.World, map[string]identity.Person, *[]string) {
	t.Helper()
	w, invited := tenancytest.New(t), &[]string{}
	d := staff.Desk(w.Central, func(_ context.Context, _ tenancy.Statements, to identity.Person, inviter string) error {
		*invited = append(*invited, to.Email+" by "+inviter)
		return nil
	})
	people := map[string]identity.Person{}
	for name, role := range map[string]identity.Role{"anna": "admin", "axel": "admin", "sue": "support"} {
		p, err := staff.First(t.Context(), w.Central, identity.NewPerson{Email: name + "@ezscale.test", Name: name, Role: role}, someHash)
		if err != nil {
			t.Fatal(err)
		}
		people[name] = p
	}
	return d, w, people, invited
}

func by(p identity.Person) roster.By {
	return roster.ByPerson(p.Principal(identity.Session{}), "192.0.2.1", "r")
}

func TestRules(t *testing.T) {
	d, w, p, invited := office(t)
	ctx := t.Context()
	anna, axel, sue := p["anna"], p["axel"], p["sue"]
	for _, step := range []struct {
		name string
		do   func() error
		code string
	}{
		{"nobody demotes themselves", func() error { return d.SetRole(ctx, anna.ID, "support", by(anna)) }, "member.self"},
		{"nor disables themselves", func() error { return d.Disable(ctx, anna.ID, by(anna)) }, "member.self"},
		{"support does not touch an admin", func() error { return d.Disable(ctx, anna.ID, by(sue)) }, "member.above"},
		{"nor makes one", func() error { return d.SetRole(ctx, sue.ID, "admin", by(roleOf(axel, "support"))) }, "member.above"},
		{"a role of invention", func() error { return d.SetRole(ctx, sue.ID, "god", by(anna)) }, "person.role_unknown"},
		{"one of two admins may go", func() error { return d.Disable(ctx, axel.ID, by(anna)) }, ""},
		{"doing it again is nothing", func() error { return d.Disable(ctx, axel.ID, by(anna)) }, ""},
		{"the last stays, whoever asks", func() error { return d.Disable(ctx, anna.ID, by(axel)) }, "member.last_keeper"},
		{"and keeps the role", func() error { return d.SetRole(ctx, anna.ID, "billing", roster.By{}) }, "member.last_keeper"},
		{"back again", func() error { return d.Enable(ctx, axel.ID, by(anna)) }, ""},
		{"there is no factor to reset", func() error { return d.ResetFactor(ctx, axel.ID, by(anna)) }, "member.no_factor"},
		{"nobody", func() error { return d.Disable(ctx, uuid.New(), by(anna)) }, "person.not_found"},
		{"invited", func() error {
			_, err := d.Add(ctx, roster.Invitation{Name: "Ben", Email: "ben@ezscale.test", Role: "read_only"}, by(anna))
			return err
		}, ""},
		{"twice", func() error {
			_, err := d.Add(ctx, roster.Invitation{Name: "Ben", Email: "BEN@ezscale.test", Role: "read_only"}, by(anna))
			return err
		}, "person.taken"},
		{"junk", func() error {
			_, err := d.Add(ctx, roster.Invitation{Name: "\x00", Email: "\xff", Role: "read_only"}, by(anna))
			return err
		}, "member.invalid"},
		{"who has accepted is not invited again", func() error { return d.InviteAgain(ctx, sue.ID, by(anna)) }, "member.not_invited"},
	} {
		err := step.do()
		if step.code == "" && err != nil || step.code != "" && !fault.Is(err, step.code) {
			t.Errorf("%s: %v, want %q", step.name, err, step.code)
		}
	}
	if len(*invited) != 1 || (*invited)[0] != "ben@ezscale.test by anna" {
		t.Errorf("invited %q", *invited)
	}
	if _, err := w.Owner.Exec(ctx, "UPDATE central.people SET totp_confirmed_at = now(), totp_secret = 'x' WHERE id = $1", axel.ID.String()); err != nil {
		t.Fatal(err)
	}
	if err := d.ResetFactor(ctx, axel.ID, by(anna)); err != nil {
		t.Error(err)
	}
	if m, err := d.Get(ctx, axel.ID); err != nil || m.HasTOTP || m.State != roster.Active {
		t.Errorf("%+v, %v", m, err)
	}
	members, total, err := d.List(ctx, roster.Filter{Text: "@ezscale", State: roster.Invited, Sort: "sign_in", Desc: true})
	if err != nil || total != 1 || members[0].Name != "Ben" {
		t.Errorf("%+v, %d, %v", members, total, err)
	}
	if members, total, err := d.List(ctx, roster.Filter{Sort: "role", Limit: 2, Offset: 2}); err != nil || total != 4 || len(members) != 2 {
		t.Errorf("%+v, %d, %v", members, total, err)
	}
}

func roleOf(p identity.Person, r identity.Role) identity.Person { p.Role = r; return p }

// TestTwoAdminsCannotEndEachOther: of two who do so at once one is left.
func TestTwoAdminsCannotEndEachOther(t *testing.T) {
	d, _, p, _ := office(t)
	ctx := t.Context()
	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() { errs[0] = d.Disable(ctx, p["anna"].ID, by(p["axel"])) })
	wg.Go(func() { errs[1] = d.SetRole(ctx, p["axel"].ID, "support", by(p["anna"])) })
	wg.Wait()
	left, _, err := d.List(ctx, roster.Filter{Role: "admin", State: roster.Active})
	if err != nil || len(left) != 1 {
		t.Errorf("%d admins are left: %v, %v, %v", len(left), errs, err, left)
	}
}

func TestFirstWantsAPassword(t *testing.T) {
	w := tenancytest.New(t)
	if _, err := staff.First(t.Context(), w.Central, identity.NewPerson{Email: "a@a.test", Name: "A"}, ""); !fault.Is(err, "staff.password_missing") {
		t.Error(err)
	}
}
