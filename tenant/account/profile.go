package account

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Profile is how an account is called and in what it is counted.
type Profile struct {
	Name       string
	Number     int64 // customer number; 0: none yet
	Currency   string
	TimeZone   string
	Currencies []string // it may be changed to, its own among them; empty: it is fixed
	Fixed      bool     // something was ordered or invoiced: currency and time zone stay
	CreatedAt  time.Time
}

// GetProfile reads an account's profile, or answers with the fault account.not_found.
func GetProfile(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (p Profile, err error) {
	err = tx.NewRaw(`SELECT name, coalesce(number, 0) AS number, currency, time_zone, created_at,
		EXISTS (SELECT FROM invoices i WHERE i.account_id = a.id) OR EXISTS (SELECT FROM orders o WHERE o.account_id = a.id) AS fixed
		FROM accounts a WHERE id = ?`, id).Scan(ctx, &p)
	if tenancy.IsNoRows(err) {
		return Profile{}, errNoAccount
	}
	if err != nil {
		return Profile{}, fmt.Errorf("read the profile of account %s: %w", id, err)
	}
	if p.Fixed {
		return p, nil
	}
	// What nothing is sold in can be chosen by nobody.
	err = tx.NewRaw(`SELECT DISTINCT currency FROM (SELECT currency FROM prices UNION ALL SELECT ?) x ORDER BY currency`, p.Currency).Scan(ctx, &p.Currencies)
	if err != nil {
		return Profile{}, fmt.Errorf("list currencies: %w", err)
	}
	return p, nil
}

// SaveProfile names an account and, as long as nothing was ordered, says in what it is
// counted: currency and time zone are then left out of account. Saving what is there
// changes nothing. Faults: account.not_found, account.forbidden, account.profile_invalid
// about the fields account_name, currency and time_zone.
func (d *Desk) SaveProfile(ctx context.Context, db *tenancy.DB, id uuid.UUID, in Profile, by Caller) error {
	wrong := map[string]string{}
	in.Name = oneLine(in.Name)
	switch {
	case in.Name == "":
		wrong["account_name"] = "Please give the account a name."
	case len([]rune(in.Name)) > 100:
		wrong["account_name"] = "Please use at most 100 characters."
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, _, err := manage(ctx, tx, id, by); err != nil {
			return err
		}
		is, err := GetProfile(ctx, tx, id)
		if err != nil {
			return err
		}
		if is.Fixed {
			in.Currency, in.TimeZone = is.Currency, is.TimeZone
		} else {
			in.check(is, wrong)
		}
		if err := fault.Fields("account.profile_invalid", wrong); err != nil {
			return err
		}
		if in.Name == is.Name && in.Currency == is.Currency && in.TimeZone == is.TimeZone {
			return nil
		}
		_, err = tx.NewRaw("UPDATE accounts SET name = ?, currency = ?, time_zone = ?, changed_at = ? WHERE id = ?", in.Name, in.Currency, in.TimeZone, tx.Now(), id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("save the profile of account %s: %w", id, err)
		}
		if err := tell(ctx, tx, id, "account.profile_changed", "profile", "The account's profile was changed.", by); err != nil {
			return err
		}
		return by.Record(ctx, tx, "account.profile_changed", target(id), map[string]any{"name": in.Name, "was": is.Name, "currency": in.Currency, "time_zone": in.TimeZone})
	})
}

func (p *Profile) check(is Profile, wrong map[string]string) {
	known := false
	for _, c := range is.Currencies {
		known = known || c == p.Currency
	}
	if !known {
		wrong["currency"] = "Please choose one of the currencies."
	}
	if _, err := time.LoadLocation(p.TimeZone); err != nil || p.TimeZone == "" || p.TimeZone == "Local" || len(p.TimeZone) > 60 {
		wrong["time_zone"] = "Please choose one of the time zones."
	}
}
