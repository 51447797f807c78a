package account

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// Notice is a kind of letter an account says who gets.
type Notice string

// The notices. Letters about services go to the owners in any case; those about money
// go to the address for invoices in any case.
const (
	AboutServices Notice = "services" // ready, suspended, released, not found any more
	AboutMoney    Notice = "money"    // copies: invoices, receipts, reminders, failed payments
	// AboutRenewals are letters before something renews. They go where those about money go,
	// or to nobody, which is what is kept of them. What is owed, charged for the first time or
	// about to be deleted is written about in any case.
	AboutRenewals Notice = "renewals"
)

// Unreminded is SQL that reports whether an account a gets no letters before renewals.
const Unreminded = "(a.notify -> 'renewals' IS NOT NULL)"

// Notices is which roles get which letters.
type Notices map[Notice][]Role

// Reminds reports whether there are letters before renewals.
func (n Notices) Reminds() bool { return n[AboutRenewals] == nil }

// Remind has there be letters before renewals, or none.
func (n Notices) Remind(on bool) {
	if delete(n, AboutRenewals); !on {
		n[AboutRenewals] = []Role{}
	}
}

// usual are the roles that get a notice nobody chose anything for.
func (n Notice) usual() []Role {
	if n == AboutServices {
		return []Role{Admin, Technical}
	}
	return []Role{}
}

// MayGet lists the roles that can be chosen for a notice: nobody is written to about
// what they may not see.
func (n Notice) MayGet() []Role {
	if n == AboutServices {
		return []Role{Admin, Billing, Technical, ReadOnly}
	}
	return []Role{Owner, Admin, Billing, ReadOnly}
}

// GetNotices reads who gets which letters, or answers with the fault account.not_found.
func GetNotices(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Notices, error) {
	var raw string
	err := tx.NewRaw("SELECT coalesce(notify::text, '{}') FROM accounts WHERE id = ?", id).Scan(ctx, &raw)
	if tenancy.IsNoRows(err) {
		return nil, errNoAccount
	}
	if err != nil {
		return nil, fmt.Errorf("read the notices of account %s: %w", id, err)
	}
	n := Notices{}
	if err := json.Unmarshal([]byte(raw), &n); err != nil {
		return nil, fmt.Errorf("read the notices of account %s: %w", id, err)
	}
	for _, k := range []Notice{AboutServices, AboutMoney} {
		if n[k] == nil {
			n[k] = k.usual()
		}
	}
	return n, nil
}

// SaveNotices keeps who gets which letters; roles that cannot be chosen are left out.
// Faults: account.not_found, account.forbidden.
func (d *Desk) SaveNotices(ctx context.Context, db *tenancy.DB, id uuid.UUID, in Notices, by Caller) error {
	clean := Notices{}
	for _, k := range []Notice{AboutServices, AboutMoney} {
		clean[k] = []Role{}
		for _, r := range k.MayGet() {
			if slices.Contains(in[k], r) {
				clean[k] = append(clean[k], r)
			}
		}
	}
	clean.Remind(in.Reminds())
	raw, err := json.Marshal(clean)
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, _, err := manage(ctx, tx, id, by); err != nil {
			return err
		}
		res, err := tx.NewRaw("UPDATE accounts SET notify = ?::jsonb, changed_at = ? WHERE id = ? AND notify IS DISTINCT FROM ?::jsonb", string(raw), tx.Now(), id, string(raw)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("save the notices of account %s: %w", id, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return by.Record(ctx, tx, "account.notices_changed", target(id), map[string]any{"services": clean[AboutServices], "money": clean[AboutMoney], "renewals": clean.Reminds()})
	})
}

// SetReminders has an account written to before renewals, or not. Faults:
// account.not_found, account.forbidden.
func (d *Desk) SetReminders(ctx context.Context, db *tenancy.DB, id uuid.UUID, on bool, by Caller) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, _, err := manage(ctx, tx, id, by); err != nil {
			return err
		}
		return remind(ctx, tx, id, on, by.Origin)
	})
}

// remind keeps whether an account is written to before renewals.
func remind(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, on bool, by audit.Origin) error {
	res, err := tx.NewRaw(`UPDATE accounts a SET notify = CASE WHEN ?0 THEN notify - 'renewals' ELSE coalesce(notify, '{}') || '{"renewals": []}' END, changed_at = ?1 WHERE id = ?2 AND `+Unreminded+` = ?0`, on, tx.Now(), id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("set the reminders of account %s: %w", id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return by.Record(ctx, tx, "account.notices_changed", target(id), map[string]any{"renewals": on})
}

// Reader is somebody who is written to.
type Reader struct {
	ID    uuid.UUID
	Name  string
	Email string
}

// Readers lists the members who get a notice, at most 20, as long as they can sign in.
func Readers(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, n Notice) ([]Reader, error) {
	all, err := ReadersOf(ctx, tx, []uuid.UUID{id}, n)
	return all[id], err
}

// ReadersOf is Readers for many accounts at once.
func ReadersOf(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID, n Notice) (map[uuid.UUID][]Reader, error) {
	usual, err := json.Marshal(n.usual())
	if err != nil {
		return nil, err
	}
	var rows []struct {
		AccountID uuid.UUID
		Reader
	}
	err = tx.NewRaw(`SELECT a.id AS account_id, r.* FROM accounts a, LATERAL (SELECT p.id, p.name, p.email FROM memberships m JOIN people p ON p.id = m.person_id
			WHERE m.account_id = a.id AND p.disabled_at IS NULL AND (m.role = 'owner' AND ? OR coalesce(a.notify -> ?, ?::jsonb) @> to_jsonb(m.role))
			ORDER BY p.id LIMIT 20) r WHERE a.id IN (?) ORDER BY a.id, r.id`, n == AboutServices, string(n), string(usual), bun.List(ids)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("find whom to write to: %w", err)
	}
	all := map[uuid.UUID][]Reader{}
	for _, r := range rows {
		all[r.AccountID] = append(all[r.AccountID], r.Reader)
	}
	return all, nil
}

// Copies lists the members who get what is written about money beside the address it
// goes to anyway.
func Copies(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, to string) ([]Reader, error) {
	all, err := Readers(ctx, tx, id, AboutMoney)
	return slices.DeleteFunc(all, func(r Reader) bool { return r.Email == to }), err
}
