package roster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

const hash = identity.HashedPassword("$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA")

// desk is the desk of a plane with one keeper, who asks for what is done.
func desk(t *testing.T, r roster.Roster, plane identity.Plane, sent *[]string) (*roster.Desk, roster.By) {
	t.Helper()
	var keeper identity.Person
	err := plane.Update(t.Context(), func(tx tenancy.Statements) (err error) {
		keeper, err = (identity.People{World: r.World}).Add(t.Context(), tx, identity.NewPerson{Name: "Kim Keeper", Email: "kim@people.test", Role: r.Keeper, Verified: true}, hash)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &roster.Desk{Roster: r, Plane: plane, Invite: func(_ context.Context, _ tenancy.Statements, to identity.Person, inviter string) error {
		*sent = append(*sent, to.Email+" by "+inviter)
		return nil
	}}
	return d, roster.ByPerson(keeper.Principal(identity.Session{}), "192.0.2.1", "r")
}

// TestOneDeskServesBothPlanes does the same at the platform and in two tenants, each of
// which knows nothing of the others' people.
func TestOneDeskServesBothPlanes(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	staff := roster.Roster{World: identity.Staff, Keeper: identity.StaffAdmin, Noun: "staff"}
	team := roster.Roster{World: identity.Reseller, Keeper: identity.ResellerOwner, Noun: "team"}
	var elsewhere []uuid.UUID
	for name, at := range map[string]struct {
		roster.Roster
		plane identity.Plane
		role  identity.Role
	}{
		"platform": {staff, identity.InCentral(w.Central), "support"},
		"alpha":    {team, identity.InTenant(w.DB(w.A)), identity.ResellerAgent},
		"beta":     {team, identity.InTenant(w.DB(w.B)), identity.ResellerAgent},
	} {
		var sent []string
		d, by := desk(t, at.Roster, at.plane, &sent)
		ann, err := d.Add(ctx, roster.Invitation{Name: "Ann", Email: "ann@people.test", Role: at.role}, by)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, step := range []struct {
			what string
			do   func() error
			code string
			then roster.State
		}{
			{"the same address", func() error {
				_, err := d.Add(ctx, roster.Invitation{Name: "Ann", Email: "ANN@people.test", Role: at.role}, by)
				return err
			}, "person.taken", roster.Invited},
			{"nothing filled in", func() error {
				_, err := d.Add(ctx, roster.Invitation{Role: at.role}, by)
				return err
			}, "member.invalid", roster.Invited},
			{"invited again", func() error { return d.InviteAgain(ctx, ann.ID, by) }, "", roster.Invited},
			{"kept out", func() error { return d.Disable(ctx, ann.ID, by) }, "", roster.Disabled},
			{"no invitation for who is kept out", func() error { return d.InviteAgain(ctx, ann.ID, by) }, "member.not_invited", roster.Disabled},
			{"let in", func() error { return d.Enable(ctx, ann.ID, by) }, "", roster.Invited},
			{"the keeper stays", func() error { return d.Remove(ctx, by.Person, roster.By{Origin: by.Origin}) }, "member.last_keeper", roster.Invited},
			{"nobody removes themselves", func() error { return d.Remove(ctx, by.Person, by) }, "member.self", roster.Invited},
		} {
			if err := step.do(); step.code == "" && err != nil || step.code != "" && !fault.Is(err, step.code) {
				t.Errorf("%s: %s: %v, want %q", name, step.what, err, step.code)
			}
			if m, err := d.Get(ctx, ann.ID); err != nil || m.State != step.then {
				t.Errorf("%s: %s: then %s, %v", name, step.what, m.State, err)
			}
		}
		if got := strings.Join(sent, ", "); got != "ann@people.test by Kim Keeper, ann@people.test by Kim Keeper" {
			t.Errorf("%s: letters: %s", name, got)
		}
		for _, id := range elsewhere {
			if err := d.Disable(ctx, id, by); !fault.Is(err, "person.not_found") {
				t.Errorf("%s: somebody of another plane: %v", name, err)
			}
			if _, err := d.Get(ctx, id); !fault.Is(err, "person.not_found") {
				t.Errorf("%s: somebody of another plane is seen: %v", name, err)
			}
		}
		elsewhere = append(elsewhere, ann.ID)
		found, total, err := d.List(ctx, roster.Filter{State: roster.Invited, Sort: "created", Desc: true, Limit: 1})
		if err != nil || total != 1 || found[0].ID != ann.ID {
			t.Errorf("%s: the invited: %v of %d, %v", name, found, total, err)
		}
		if err := d.Remove(ctx, ann.ID, by); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, total, err := d.List(ctx, roster.Filter{}); err != nil || total != 1 {
			t.Errorf("%s: %d are left, %v", name, total, err)
		}
		err = at.plane.View(ctx, func(tx tenancy.Statements) error {
			all, err := audit.List(ctx, tx, audit.Filter{TargetKind: "person", TargetID: ann.ID.String()})
			var said []string
			for _, e := range all {
				said = append(said, strings.TrimPrefix(e.Action, at.Noun+"."))
			}
			if got := strings.Join(said, " "); got != "removed enabled disabled invited_again invited" {
				t.Errorf("%s: the trail says %s", name, got)
			}
			return err
		})
		if err != nil {
			t.Error(name, err)
		}
	}
}

// TestALetterThatCannotBeWrittenInvitesNobody: the letter is part of the change.
func TestALetterThatCannotBeWrittenInvitesNobody(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	var sent []string
	d, by := desk(t, roster.Roster{World: identity.Reseller, Keeper: identity.ResellerOwner, Noun: "team"}, identity.InTenant(w.DB(w.A)), &sent)
	d.Invite = func(context.Context, tenancy.Statements, identity.Person, string) error {
		return context.DeadlineExceeded
	}
	w.Clock.Advance(time.Minute)
	if _, err := d.Add(ctx, roster.Invitation{Name: "Ann", Email: "ann@people.test", Role: identity.ResellerAgent}, by); err == nil {
		t.Error("no error")
	}
	if _, total, err := d.List(ctx, roster.Filter{}); err != nil || total != 1 {
		t.Errorf("%d members, %v", total, err)
	}
}
