// Package overview is the reseller's first look: what is missing before the shop is
// ready, and the few figures there are. It reads other slices' tables in one
// statement each and owns none.
package overview

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/tenancy"
)

// Figures are counts of one tenant.
type Figures struct {
	Customers          int
	NewCustomers       int // in 30 days
	Unverified         int
	Accounts           int
	SignIns            int // of customers, in 7 days
	Team               int
	WithoutFactor      int       // of the team who can sign in
	Products           int       // on sale
	MailsFailed        int       // in 7 days
	LastSignIn         time.Time // of the team; zero: never
	LastCustomerSignIn time.Time
}

// Shop is what the to-do list looks at.
type Shop struct {
	BrandNumber int  // of the published version; 0: none
	OwnBrand    bool // somebody published one; false: it is what the shop began with
	Sender      bool
	Support     bool
	Imprint     bool
	Terms       bool
	Privacy     bool
}

// Legal reports whether all legal texts are there.
func (s Shop) Legal() bool { return s.Imprint && s.Terms && s.Privacy }

// Look reads both in one statement.
func Look(ctx context.Context, tx *tenancy.Tx) (f Figures, s Shop, err error) {
	if f, s, err = look(ctx, tx); err != nil {
		return Figures{}, Shop{}, fmt.Errorf("overview: %w", err)
	}
	return f, s, nil
}

// Count is the figures alone, for the platform's page about a reseller.
func Count(ctx context.Context, db *tenancy.DB) (f Figures, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		f, _, err = look(ctx, tx)
		return err
	})
	return f, err
}

func look(ctx context.Context, tx *tenancy.Tx) (f Figures, s Shop, err error) {
	var team, customers *time.Time
	var shop []byte // null: nothing was published
	week, month := tx.Now().AddDate(0, 0, -7), tx.Now().AddDate(0, 0, -30)
	err = tx.NewRaw(`SELECT p.customers, p.new, p.unverified, (SELECT count(*) FROM accounts), l.customers, p.team, p.without_factor,
			(SELECT count(*) FROM products WHERE visibility = 'public'),
			(SELECT count(*) FROM mails WHERE state = 'failed' AND created_at > ?), l.team_last, l.customers_last,
			(SELECT jsonb_build_object('BrandNumber', number, 'OwnBrand', note <> ?, 'Sender', coalesce(texts->>'sender_email', '') <> '',
				'Support', coalesce(texts->>'support_email', '') <> '', 'Imprint', coalesce(texts->>'imprint', '') <> '',
				'Terms', coalesce(texts->>'terms', '') <> '', 'Privacy', coalesce(texts->>'privacy', '') <> '') FROM brand_versions WHERE state = 'published')
		FROM (SELECT count(*) FILTER (WHERE world = 'customer') AS customers,
				count(*) FILTER (WHERE world = 'customer' AND created_at > ?) AS new,
				count(*) FILTER (WHERE world = 'customer' AND email_verified_at IS NULL) AS unverified,
				count(*) FILTER (WHERE world = 'reseller' AND disabled_at IS NULL) AS team,
				count(*) FILTER (WHERE world = 'reseller' AND disabled_at IS NULL AND password_hash IS NOT NULL AND totp_confirmed_at IS NULL) AS without_factor
			FROM people) p,
			(SELECT count(*) FILTER (WHERE world = 'customer' AND at > ?) AS customers,
				max(at) FILTER (WHERE world = 'reseller') AS team_last, max(at) FILTER (WHERE world = 'customer') AS customers_last
			FROM logins WHERE outcome IN ('ok', 'recovery_code')) l`, week, branding.FirstNote, month, week).
		Scan(ctx, &f.Customers, &f.NewCustomers, &f.Unverified, &f.Accounts, &f.SignIns, &f.Team, &f.WithoutFactor, &f.Products, &f.MailsFailed, &team, &customers, &shop)
	if err != nil {
		return Figures{}, Shop{}, fmt.Errorf("count: %w", err)
	}
	if team != nil {
		f.LastSignIn = *team
	}
	if customers != nil {
		f.LastCustomerSignIn = *customers
	}
	if shop == nil {
		return f, Shop{}, nil
	}
	return f, s, json.Unmarshal(shop, &s)
}
