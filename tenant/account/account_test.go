package account_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
)

// What each role may do, on one screen: a change of it is a decision.
func TestTheMatrixOfRoles(t *testing.T) {
	all := []account.Permission{account.See, account.Manage, account.ServicesSee, account.ServicesRun, account.InvoicesSee, account.Pay, account.Buy, account.CancelContract}
	want := map[account.Role]string{
		account.Owner:     "see manage services.see services.run invoices.see pay buy cancel",
		account.Admin:     "see manage services.see services.run invoices.see pay buy cancel",
		account.Billing:   "see services.see invoices.see pay buy cancel",
		account.Technical: "see services.see services.run",
		account.ReadOnly:  "see services.see invoices.see",
		"":                "", "root": "",
	}
	names := []string{"see", "manage", "services.see", "services.run", "invoices.see", "pay", "buy", "cancel"}
	for role, may := range want {
		var got []string
		for i, p := range all {
			if account.May(role, p) {
				got = append(got, names[i])
			}
		}
		if strings.Join(got, " ") != may {
			t.Errorf("%q may %v, want %s", role, got, may)
		}
		if account.May(role, "made.up") && role != account.Owner && role != account.Admin {
			t.Errorf("%q may what nobody declared", role)
		}
	}
}

// Every role tries every change of members; what is refused changes nothing.
func TestWhoMayChangeWhom(t *testing.T) {
	h := newHouse(t)
	id, who, db := h.ids[h.A.ID], h.who[h.A.ID], h.DB(h.A)
	for _, role := range []account.Role{account.Billing, account.Technical, account.ReadOnly} {
		by := who[role]
		for what, err := range map[string]error{
			"invites":            h.desk.Invite(t.Context(), db, id, "x@y.test", account.ReadOnly, by),
			"gives itself power": h.desk.SetRole(t.Context(), db, id, by.Person, account.Admin, by),
			"removes another":    h.desk.Remove(t.Context(), db, id, who[account.Admin].Person, by),
			"renames":            h.desk.SaveProfile(t.Context(), db, id, account.Profile{Name: "Mine"}, by),
			"is written to":      h.desk.SaveNotices(t.Context(), db, id, account.Notices{}, by),
			"is reminded":        h.desk.SetReminders(t.Context(), db, id, false, by),
		} {
			refused(t, string(role)+" "+what, err, "account.forbidden")
		}
	}
	admin, owner := who[account.Admin], who[account.Owner]
	refused(t, "an admin makes an owner", h.desk.SetRole(t.Context(), db, id, who[account.Billing].Person, account.Owner, admin), "account.owners_only")
	refused(t, "an admin makes himself owner", h.desk.SetRole(t.Context(), db, id, admin.Person, account.Owner, admin), "account.owners_only")
	refused(t, "an admin demotes the owner", h.desk.SetRole(t.Context(), db, id, owner.Person, account.ReadOnly, admin), "account.owners_only")
	refused(t, "an admin removes the owner", h.desk.Remove(t.Context(), db, id, owner.Person, admin), "account.owners_only")
	refused(t, "an admin invites an owner", h.desk.Invite(t.Context(), db, id, "x@y.test", account.Owner, admin), "account.owner_invited")
	refused(t, "the last owner leaves", h.desk.Remove(t.Context(), db, id, owner.Person, owner), "account.last_owner")
	refused(t, "the last owner steps down", h.desk.SetRole(t.Context(), db, id, owner.Person, account.Admin, owner), "account.last_owner")
	refused(t, "a role that is none", h.desk.SetRole(t.Context(), db, id, admin.Person, "root", owner), "account.role_unknown")
	refused(t, "nobody's role", h.desk.SetRole(t.Context(), db, id, uuid.New(), account.Admin, owner), "account.no_member")
	if len(h.sent) != 0 {
		t.Errorf("%d letters about nothing", len(h.sent))
	}
	stranger := h.person(t, h.A, "stranger@alpha.test")
	refused(t, "a stranger", h.desk.SetRole(t.Context(), db, id, owner.Person, account.Admin, stranger), "account.not_found")
	refused(t, "the neighbour's owner", h.desk.Remove(t.Context(), db, id, admin.Person, h.who[h.B.ID][account.Owner]), "account.not_found")
	refused(t, "the neighbour's account", h.desk.Remove(t.Context(), db, h.ids[h.B.ID], admin.Person, owner), "account.not_found")

	must(t, h.desk.SetRole(t.Context(), db, id, admin.Person, account.Owner, owner))
	must(t, h.desk.SetRole(t.Context(), db, id, admin.Person, account.Owner, owner)) // again: nothing
	must(t, h.desk.Remove(t.Context(), db, id, owner.Person, owner))
	if got := h.role(t, h.A, id, owner.Person); got != "" {
		t.Errorf("who left is %s still", got)
	}
	if len(h.sent) != 1 || h.sent[0].Template != mail.MembershipChanged || h.sent[0].To != "admin@alpha.test" || h.sent[0].Data["role"] != "Owner" {
		t.Errorf("letters: %+v", h.sent)
	}
	must(t, h.desk.Remove(t.Context(), db, id, who[account.ReadOnly].Person, who[account.ReadOnly])) // anybody may leave
	told := view(t, h, func(tx *tenancy.Tx) ([]activity.Told, error) {
		return activity.List(t.Context(), tx, activity.Filter{AccountID: id, CustomerView: true})
	})
	if len(told) != 3 {
		t.Errorf("the timeline tells %d things: %+v", len(told), told)
	}
}

// An owner who cannot sign in any more keeps nobody's account.
func TestADisabledOwnerDoesNotCount(t *testing.T) {
	h := newHouse(t)
	id, who, db := h.ids[h.A.ID], h.who[h.A.ID], h.DB(h.A)
	owner, admin := who[account.Owner], who[account.Admin]
	must(t, h.desk.SetRole(t.Context(), db, id, admin.Person, account.Owner, owner))
	must(t, h.desk.Disable(t.Context(), db, admin.Person, audit.Origin{Actor: audit.System("test")}))
	refused(t, "the only owner who can sign in leaves", h.desk.Remove(t.Context(), db, id, owner.Person, owner), "account.last_owner")
}

// Two owners who demote each other at once: one of them stays.
func TestTwoOwnersAtOnce(t *testing.T) {
	h := newHouse(t)
	id, who, db := h.ids[h.A.ID], h.who[h.A.ID], h.DB(h.A)
	one, two := who[account.Owner], who[account.Admin]
	must(t, h.desk.SetRole(t.Context(), db, id, two.Person, account.Owner, one))
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, by := range []account.Caller{one, two} {
		wg.Go(func() { errs[i] = h.desk.Remove(t.Context(), db, id, by.Person, by) })
	}
	wg.Wait()
	left := 0
	for _, by := range []account.Caller{one, two} {
		if h.role(t, h.A, id, by.Person) == account.Owner {
			left++
		}
	}
	if left != 1 || (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("%d owners are left: %v, %v", left, errs[0], errs[1])
	}
}

// The choice of an account is trusted with nothing.
func TestCurrent(t *testing.T) {
	h := newHouse(t)
	id, by := h.ids[h.A.ID], h.who[h.A.ID][account.Technical]
	var second uuid.UUID
	h.Clock.Advance(day)
	must(t, h.DB(h.A).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
		second, err = account.Open(t.Context(), tx, h.A, by.Person, "Tom", "Second")
		return err
	}))
	current := func(chosen uuid.UUID) account.Acting {
		return view(t, h, func(tx *tenancy.Tx) (account.Acting, error) {
			return account.Current(t.Context(), tx, by.Person, chosen)
		})
	}
	for what, x := range map[string]struct{ chosen, want uuid.UUID }{
		"nothing chosen": {uuid.Nil, id}, "the second": {second, second}, "what nobody has": {uuid.New(), id}, "the neighbour's": {h.ids[h.B.ID], id},
	} {
		if got := current(x.chosen); got.AccountID != x.want || got.Accounts != 2 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if got := current(second); got.Role != account.Owner || !got.May(account.Manage) {
		t.Errorf("in his own account he is %s", got.Role)
	}
	must(t, h.desk.Remove(t.Context(), h.DB(h.A), id, by.Person, by))
	if got := current(id); got.AccountID != second || got.Accounts != 1 {
		t.Errorf("an account he left can be chosen: %+v", got)
	}
	list := view(t, h, func(tx *tenancy.Tx) ([]account.Membership, error) { return account.Of(t.Context(), tx, by.Person) })
	if len(list) != 1 || list[0].Name != "Second" || list[0].Members != 1 {
		t.Errorf("%+v", list)
	}
}

func TestProfile(t *testing.T) {
	h := newHouse(t)
	id, by, db := h.ids[h.A.ID], h.who[h.A.ID][account.Owner], h.DB(h.A)
	get := func() account.Profile {
		return view(t, h, func(tx *tenancy.Tx) (account.Profile, error) { return account.GetProfile(t.Context(), tx, id) })
	}
	p := get()
	if p.Name != "Lee & Sons" || p.Fixed || !slices.Equal(p.Currencies, []string{h.A.Currency}) {
		t.Errorf("%+v", p)
	}
	err := h.desk.SaveProfile(t.Context(), db, id, account.Profile{Name: strings.Repeat("ä", 101), Currency: "XXX", TimeZone: "Local"}, by)
	if f := fault.From(err); f.Code != "account.profile_invalid" || len(f.Fields) != 3 {
		t.Errorf("%v", f.Fields)
	}
	must(t, h.desk.SaveProfile(t.Context(), db, id, account.Profile{Name: " Lee\x00 \n & Daughters ", Currency: p.Currency, TimeZone: "Europe/Berlin"}, by))
	if p = get(); p.Name != "Lee & Daughters" || p.TimeZone != "Europe/Berlin" {
		t.Errorf("%+v", p)
	}
	must(t, db.Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO invoices (id, key, kind, account_id, state, currency, net_minor, tax_minor, total_minor, paid_minor, credited_minor, tries, created_at, changed_at)
			VALUES (?, 'k', 'invoice', ?, 'draft', 'EUR', 0, 0, 0, 0, 0, 0, ?, ?)`, uuid.New(), id, tx.Now(), tx.Now()).Exec(t.Context())
		return err
	}))
	must(t, h.desk.SaveProfile(t.Context(), db, id, account.Profile{Name: "Again", Currency: "JPY", TimeZone: "Asia/Tokyo"}, by))
	if after := get(); !after.Fixed || after.Currency != p.Currency || after.TimeZone != "Europe/Berlin" || after.Name != "Again" {
		t.Errorf("with an invoice: %+v", after)
	}
	refused(t, "the neighbour's", h.desk.SaveProfile(t.Context(), db, h.ids[h.B.ID], account.Profile{Name: "x"}, by), "account.not_found")
}

func TestBillTo(t *testing.T) {
	good := account.BillTo{Kind: "business", TaxID: "de 123 456 788", Address: account.Address{Name: "Olga", Company: "Lee", Line1: "Street 1", City: "Berlin", Country: "de", Email: "bills@lee.test"}}
	got, err := good.Check()
	if err != nil || got.TaxID != "DE123456788" || got.Country != "DE" {
		t.Errorf("%+v, %v", got, err)
	}
	for field, change := range map[string]func(*account.BillTo){
		"name":          func(b *account.BillTo) { b.Name = " \u0000 " },
		"company":       func(b *account.BillTo) { b.Company = "" },
		"line1":         func(b *account.BillTo) { b.Line1 = "" },
		"line2":         func(b *account.BillTo) { b.Line2 = strings.Repeat("x", 101) },
		"city":          func(b *account.BillTo) { b.City = "" },
		"country":       func(b *account.BillTo) { b.Country = "Mars" },
		"billing_email": func(b *account.BillTo) { b.Email = "nobody" },
		"tax_id":        func(b *account.BillTo) { b.TaxID = "FR123" },
	} {
		b := good
		change(&b)
		_, err := b.Check()
		if f := fault.From(err); f.Code != "account.address_invalid" || len(f.Fields) != 1 || f.Fields[field] == "" {
			t.Errorf("%s: %v", field, f.Fields)
		}
	}
	h := newHouse(t)
	id, db, by := h.ids[h.A.ID], h.DB(h.A), audit.Origin{Actor: audit.Actor{Kind: "customer", ID: "p", Name: "Olga"}}
	must(t, account.SaveBillTo(t.Context(), db, id, good, by))
	must(t, account.SaveBillTo(t.Context(), db, id, good, by)) // the same again is no change
	p := view(t, h, func(tx *tenancy.Tx) (account.Party, error) { return account.ForInvoice(t.Context(), tx, id) })
	if p.Email != "bills@lee.test" || p.BillingEmail != p.Email || !p.Complete() || p.TaxID != "DE123456788" {
		t.Errorf("%+v", p)
	}
	told := view(t, h, func(tx *tenancy.Tx) ([]activity.Told, error) {
		return activity.List(t.Context(), tx, activity.Filter{AccountID: id})
	})
	if len(told) != 1 {
		t.Errorf("one change is told %d times", len(told))
	}
	refused(t, "the neighbour's account", account.SaveBillTo(t.Context(), db, h.ids[h.B.ID], good, by), "account.not_found")
}

// Who is written to follows what was chosen, and never reaches who may not see it.
func TestNotices(t *testing.T) {
	h := newHouse(t)
	id, by, db := h.ids[h.A.ID], h.who[h.A.ID][account.Owner], h.DB(h.A)
	readers := func(n account.Notice) string {
		all := view(t, h, func(tx *tenancy.Tx) ([]account.Reader, error) { return account.Readers(t.Context(), tx, id, n) })
		var names []string
		for _, r := range all {
			names = append(names, strings.TrimSuffix(r.Email, "@alpha.test"))
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	if s, m := readers(account.AboutServices), readers(account.AboutMoney); s != "admin owner technical" || m != "" {
		t.Errorf("usually: %q, %q", s, m)
	}
	must(t, h.desk.SaveNotices(t.Context(), db, id, account.Notices{
		account.AboutServices: {account.Billing, "root"}, account.AboutMoney: {account.Billing, account.Technical, account.Owner},
	}, by))
	if s, m := readers(account.AboutServices), readers(account.AboutMoney); s != "billing owner" || m != "billing owner" {
		t.Errorf("chosen: %q, %q", s, m)
	}
	copies := view(t, h, func(tx *tenancy.Tx) ([]account.Reader, error) {
		return account.Copies(t.Context(), tx, id, "owner@alpha.test")
	})
	if len(copies) != 1 || copies[0].Email != "billing@alpha.test" {
		t.Errorf("copies: %+v", copies)
	}
	must(t, h.desk.SaveNotices(t.Context(), db, id, account.Notices{}, by))
	if s := readers(account.AboutServices); s != "owner" {
		t.Errorf("nothing chosen: %q", s)
	}
	n := view(t, h, func(tx *tenancy.Tx) (account.Notices, error) { return account.GetNotices(t.Context(), tx, id) })
	if fmt.Sprint(n) != "map[money:[] services:[]]" || !n.Reminds() {
		t.Errorf("%v", n)
	}
	// Letters before renewals are switched alone, and with the others.
	must(t, h.desk.SaveNotices(t.Context(), db, id, account.Notices{account.AboutMoney: {account.Billing}}, by))
	for _, on := range []bool{false, false, true, false} {
		must(t, h.desk.SetReminders(t.Context(), db, id, on, by))
		n = view(t, h, func(tx *tenancy.Tx) (account.Notices, error) { return account.GetNotices(t.Context(), tx, id) })
		if n.Reminds() != on || readers(account.AboutMoney) != "billing" {
			t.Errorf("set to %t: %v", on, n)
		}
	}
	must(t, h.desk.SaveNotices(t.Context(), db, id, n, by))
	if n = view(t, h, func(tx *tenancy.Tx) (account.Notices, error) { return account.GetNotices(t.Context(), tx, id) }); n.Reminds() {
		t.Errorf("saved with the others: %v", n)
	}
	n.Remind(true)
	must(t, h.desk.SaveNotices(t.Context(), db, id, n, by))
	if n = view(t, h, func(tx *tenancy.Tx) (account.Notices, error) { return account.GetNotices(t.Context(), tx, id) }); !n.Reminds() || len(n[account.AboutMoney]) != 1 {
		t.Errorf("and back: %v", n)
	}
}
