package account_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused fails the test unless err is the fault with the code.
func refused(t testing.TB, what string, err error, code string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// house is two tenants whose accounts have one member of every role, and the letters
// that were written.
type house struct {
	*tenancytest.World
	desk *account.Desk
	box  *mail.Outbox
	mu   sync.Mutex
	sent []mail.Message
	ids  map[tenancy.ID]uuid.UUID                       // the account
	who  map[tenancy.ID]map[account.Role]account.Caller // its members
}

// Enqueue passes a letter on and remembers what it says.
func (h *house) Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error {
	if err := h.box.Enqueue(ctx, tx, m); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = append(h.sent, m)
	return nil
}

// token is that of the newest invitation to an address.
func (h *house) token(t testing.TB, to string) string {
	t.Helper()
	for i := len(h.sent) - 1; i >= 0; i-- {
		if m := h.sent[i]; m.Template == mail.AccountInvitation && m.To == to {
			return strings.TrimPrefix(m.Data["link"], account.InvitationPath(""))
		}
	}
	t.Fatalf("no invitation went to %s", to)
	return ""
}

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{World: tenancytest.New(t), ids: map[tenancy.ID]uuid.UUID{}, who: map[tenancy.ID]map[account.Role]account.Caller{}}
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	h.box = mail.NewOutbox(ring)
	h.desk = &account.Desk{Mail: h}
	for _, of := range []tenancy.Tenant{h.A, h.B} {
		h.who[of.ID] = map[account.Role]account.Caller{}
		for _, role := range account.Roles() {
			c := h.person(t, of, string(role.Value)+"@"+of.Slug+".test")
			must(t, h.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
				if role.Value == account.Owner {
					id, err := account.Open(t.Context(), tx, of, c.Person, "Olga", "Lee & Sons")
					h.ids[of.ID] = id
					return err
				}
				_, err := tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, ?, ?)", h.ids[of.ID], c.Person, role.Value, tx.Now()).Exec(t.Context())
				return err
			}))
			h.who[of.ID][role.Value] = c
		}
	}
	return h
}

// person adds a customer who can sign in.
func (h *house) person(t testing.TB, of tenancy.Tenant, email string) account.Caller {
	t.Helper()
	var p identity.Person
	must(t, h.DB(of).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
		p, err = (identity.People{World: identity.Customer}).Add(t.Context(), tx, identity.NewPerson{Email: email, Name: strings.Split(email, "@")[0], Role: identity.CustomerMember, Verified: true}, "$hash")
		return err
	}))
	return account.Caller{Person: p.ID, Origin: audit.Origin{Actor: audit.Actor{Kind: "customer", ID: p.ID.String(), Name: p.Name}}}
}

func (h *house) join(t testing.TB, of tenancy.Tenant, token string, by account.Caller) error {
	t.Helper()
	return h.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := account.Join(t.Context(), tx, token, by)
		return err
	})
}

// role is what a person is in an account; empty: nothing.
func (h *house) role(t testing.TB, of tenancy.Tenant, id, person uuid.UUID) (r account.Role) {
	t.Helper()
	must(t, h.DB(of).View(t.Context(), func(tx *tenancy.Tx) error {
		all, err := account.Members(t.Context(), tx, id)
		for _, m := range all {
			if m.PersonID == person {
				r = m.Role
			}
		}
		return err
	}))
	return r
}

// view runs fn on A's database.
func view[T any](t testing.TB, h *house, fn func(tx *tenancy.Tx) (T, error)) (out T) {
	t.Helper()
	must(t, h.DB(h.A).View(t.Context(), func(tx *tenancy.Tx) (err error) {
		out, err = fn(tx)
		return err
	}))
	return out
}

const day = 24 * time.Hour
