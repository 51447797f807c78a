package account_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
)

func (h *house) invitations(t testing.TB) []account.Invitation {
	t.Helper()
	return view(t, h, func(tx *tenancy.Tx) ([]account.Invitation, error) {
		return account.Invitations(t.Context(), tx, h.ids[h.A.ID])
	})
}

func TestAnInvitationWorksOnce(t *testing.T) {
	h := newHouse(t)
	id, owner, db := h.ids[h.A.ID], h.who[h.A.ID][account.Owner], h.DB(h.A)
	guest := h.person(t, h.A, "Guest@Elsewhere.test")
	must(t, h.desk.Invite(t.Context(), db, id, "guest@elsewhere.test", account.Technical, owner))
	token := h.token(t, "guest@elsewhere.test")
	if all := h.invitations(t); len(all) != 1 || all[0].Email != "guest@elsewhere.test" || all[0].Inviter != "owner" || strings.Contains(all[0].ID, token) {
		t.Errorf("%+v", all)
	}
	offer := view(t, h, func(tx *tenancy.Tx) (account.Offer, error) { return account.Look(t.Context(), tx, token) })
	if offer.Account != "Lee & Sons" || offer.Person != guest.Person || !offer.CanSignIn || offer.Role != account.Technical {
		t.Errorf("%+v", offer)
	}
	refused(t, "somebody else", h.join(t, h.A, token, h.who[h.A.ID][account.Billing]), "account.invitation_other")
	refused(t, "at the neighbour's", h.join(t, h.B, token, guest), "account.no_invitation")

	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { errs[i] = h.join(t, h.A, token, guest) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !fault.Is(errs[0], "account.invitation_spent") && !fault.Is(errs[1], "account.invitation_spent") {
		t.Errorf("two clicks at once: %v, %v", errs[0], errs[1])
	}
	if r := h.role(t, h.A, id, guest.Person); r != account.Technical {
		t.Errorf("the guest is %q", r)
	}
	refused(t, "once more", h.join(t, h.A, token, guest), "account.invitation_spent")
	if len(h.invitations(t)) != 0 {
		t.Errorf("it is open still")
	}
	refused(t, "a member is invited", h.desk.Invite(t.Context(), db, id, "GUEST@elsewhere.test", account.Admin, owner), "account.member_already")
	var trail []string
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) error {
		entries, err := audit.List(t.Context(), tx, audit.Filter{})
		for _, e := range entries {
			trail = append(trail, e.Action)
		}
		return err
	}))
	if strings.Join(trail, " ") != "account.member_joined account.member_invited" {
		t.Errorf("trail: %v", trail)
	}
}

func TestInvitationsThatDoNotCountAnyMore(t *testing.T) {
	h := newHouse(t)
	id, who, db := h.ids[h.A.ID], h.who[h.A.ID], h.DB(h.A)
	owner, admin := who[account.Owner], who[account.Admin]
	guest := h.person(t, h.A, "guest@alpha.test")
	invite := func(by account.Caller) string {
		t.Helper()
		h.Clock.Advance(2 * time.Minute)
		must(t, h.desk.Invite(t.Context(), db, id, "guest@alpha.test", account.ReadOnly, by))
		return h.token(t, "guest@alpha.test")
	}
	spent := func(what, token string) {
		t.Helper()
		refused(t, what, h.join(t, h.A, token, guest), "account.invitation_spent")
		err := db.View(t.Context(), func(tx *tenancy.Tx) error { _, err := account.Look(t.Context(), tx, token); return err })
		refused(t, what+", looked at", err, "account.invitation_spent")
	}
	old := invite(owner)
	refused(t, "twice within a minute", h.desk.Invite(t.Context(), db, id, "guest@alpha.test", account.ReadOnly, owner), "account.just_invited")
	h.Clock.Advance(2 * time.Minute)
	must(t, h.desk.InviteAgain(t.Context(), db, id, h.invitations(t)[0].ID, admin))
	spent("an older one", old)
	token := h.token(t, "guest@alpha.test")
	h.Clock.Advance(7 * day)
	spent("after seven days", token)
	if all := h.invitations(t); len(all) != 1 || !all[0].Expired {
		t.Errorf("an expired one is not shown as such: %+v", all)
	}
	token = invite(owner)
	must(t, h.desk.Withdraw(t.Context(), db, id, h.invitations(t)[0].ID, admin))
	spent("withdrawn", token)
	token = invite(admin)
	must(t, h.desk.SetRole(t.Context(), db, id, admin.Person, account.Billing, owner))
	spent("by somebody who may not invite any more", token)
	must(t, h.desk.SetRole(t.Context(), db, id, admin.Person, account.Admin, owner))
	spent("even when they may again", token)
	token = invite(admin)
	must(t, h.desk.Remove(t.Context(), db, id, admin.Person, owner))
	spent("by somebody who was removed", token)
	token = invite(owner)
	must(t, h.desk.Disable(t.Context(), db, guest.Person, audit.Origin{Actor: audit.System("test")}))
	spent("to somebody who is kept out", token)
	for _, junk := range []string{"", "x", strings.Repeat("a", 64), strings.Repeat("0", 64), "\x00", h.invitations(t)[0].ID + "00"} {
		refused(t, "withdraw "+junk, h.desk.Withdraw(t.Context(), db, id, junk, owner), "account.no_invitation")
		refused(t, "the token "+junk, h.join(t, h.A, junk, guest), "account.no_invitation")
	}
	theirs := h.invitations(t)[0].ID
	refused(t, "withdrawn by the neighbour", h.desk.Withdraw(t.Context(), h.DB(h.B), h.ids[h.B.ID], theirs, h.who[h.B.ID][account.Owner]), "account.no_invitation")
	refused(t, "sent again by the neighbour", h.desk.InviteAgain(t.Context(), h.DB(h.B), h.ids[h.B.ID], theirs, h.who[h.B.ID][account.Owner]), "account.no_invitation")
}

// A newcomer is added and joins in one transaction; when the link is spent there is no
// newcomer.
func TestANewcomerJoins(t *testing.T) {
	h := newHouse(t)
	id, owner, db := h.ids[h.A.ID], h.who[h.A.ID][account.Owner], h.DB(h.A)
	must(t, h.desk.Invite(t.Context(), db, id, "new@alpha.test", account.Billing, owner))
	token := h.token(t, "new@alpha.test")
	come := func(email string) (person uuid.UUID, err error) {
		err = db.Update(t.Context(), func(tx *tenancy.Tx) error {
			p, err := (identity.People{World: identity.Customer}).Add(t.Context(), tx, identity.NewPerson{Email: email, Name: "Newt", Role: identity.CustomerMember}, "$hash")
			if err != nil {
				return err
			}
			person = p.ID
			_, err = account.Join(t.Context(), tx, token, account.Caller{Person: p.ID, Origin: audit.Origin{Actor: audit.System("test")}})
			return err
		})
		return person, err
	}
	if _, err := come("other@alpha.test"); !fault.Is(err, "account.invitation_other") {
		t.Errorf("with another address: %v", err)
	}
	p, err := come("new@alpha.test")
	must(t, err)
	if r := h.role(t, h.A, id, p); r != account.Billing {
		t.Errorf("the newcomer is %q", r)
	}
	err = db.View(t.Context(), func(tx *tenancy.Tx) error {
		_, err := (identity.People{World: identity.Customer}).ByEmail(t.Context(), tx, "other@alpha.test")
		return err
	})
	refused(t, "who could not join", err, "person.not_found")
}

// An account cannot be made to write to the whole world.
func TestInvitationsAreBounded(t *testing.T) {
	h := newHouse(t)
	id, owner, db := h.ids[h.A.ID], h.who[h.A.ID][account.Owner], h.DB(h.A)
	for i := range 30 {
		must(t, h.desk.Invite(t.Context(), db, id, uuid.NewString()+"@x.test", account.ReadOnly, owner))
		_ = i
	}
	refused(t, "the 31st", h.desk.Invite(t.Context(), db, id, "one@x.test", account.ReadOnly, owner), "account.invitations_many")
	h.Clock.Advance(25 * time.Hour)
	must(t, h.desk.Invite(t.Context(), db, id, "one@x.test", account.ReadOnly, owner))
	err := h.desk.Invite(t.Context(), db, id, "no address", "root", owner)
	if f := fault.From(err); f.Fields["email"] == "" || f.Fields["role"] == "" {
		t.Errorf("%v", f.Fields)
	}
}
