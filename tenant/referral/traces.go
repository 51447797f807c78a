package referral

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/likeness"
)

// trace is one thing by which an account is known.
type trace struct{ Kind, Value string }

// mostTraces bounds what is read of one account.
const mostTraces = 2000

// tracesOf are the ways in which an account is known: its people and their mailboxes, its
// address, its VAT number, what it pays with, and the networks it was used from.
func tracesOf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (map[trace]bool, error) {
	var rows []trace
	err := tx.NewRaw(`SELECT 'mail' AS kind, p.email AS value FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.account_id = ?0
		UNION SELECT 'person', person_id::text FROM memberships WHERE account_id = ?0
		UNION SELECT 'address', billing::text FROM accounts WHERE id = ?0 AND billing IS NOT NULL
		UNION SELECT 'tax', regexp_replace(upper(tax_id), '[^A-Z0-9]', '', 'g') FROM accounts WHERE id = ?0 AND tax_id <> ''
		UNION SELECT 'card', gateway || ':' || fingerprint FROM payment_methods WHERE account_id = ?0 AND fingerprint <> ''
		UNION SELECT 'ip', ip FROM orders WHERE account_id = ?0 AND ip <> ''
		UNION SELECT 'ip', l.ip FROM memberships m JOIN logins l ON l.person_id = m.person_id WHERE m.account_id = ?0 AND l.outcome = 'ok' AND l.ip <> ''
		LIMIT ?1`, id, mostTraces).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read how an account is known: %w", err)
	}
	known := map[trace]bool{}
	put := func(kind, value string) {
		if value != "" {
			known[trace{kind, value}] = true
		}
	}
	for _, r := range rows {
		switch r.Kind {
		case "mail":
			put("mail", likeness.Mailbox(r.Value))
		case "ip":
			if network := likeness.Network(r.Value); network != "" {
				put("network", likeness.Hash(network))
			}
		case "address":
			var a account.Address
			if err := json.Unmarshal([]byte(r.Value), &a); err != nil {
				return nil, fmt.Errorf("read the address of account %s: %w", id, err)
			}
			put("mail", likeness.Mailbox(a.Email))
			put("home", likeness.Household(a.Name, a.Line1, a.Postcode, a.Country))
			put("home", likeness.Household(a.Company, a.Line1, a.Postcode, a.Country))
		default:
			put(r.Kind, r.Value)
		}
	}
	return known, nil
}

// alike says why two accounts seem to be of one; empty: they do not.
func alike(ctx context.Context, tx *tenancy.Tx, k kept, newcomer uuid.UUID) (string, error) {
	a, err := tracesOf(ctx, tx, k.By)
	if err != nil {
		return "", err
	}
	b, err := tracesOf(ctx, tx, newcomer)
	if err != nil {
		return "", err
	}
	if k.Network != "" {
		b[trace{"network", k.Network}] = true
	}
	shared := map[string]bool{}
	for t := range b {
		if a[t] {
			shared[t.Kind] = true
		}
	}
	switch {
	case shared["person"] || shared["mail"] || shared["home"] || shared["tax"]:
		return billing.ReferralSamePerson, nil
	case shared["card"]:
		return billing.ReferralSameCard, nil
	case shared["network"]:
		return billing.ReferralSameNetwork, nil
	}
	return "", nil
}
