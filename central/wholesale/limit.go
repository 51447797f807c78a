package wholesale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Limit is how far a reseller may be in debt, and how far it was when it was looked at last.
type Limit struct {
	Limit billing.Money // zero: there is none
	Used  billing.Money // open invoices, a balance that is less than nothing, and the running month, without its tax
	Stage billing.LimitStage
	At    time.Time // zero: not looked at yet
}

// On reports whether there is a limit.
func (l Limit) On() bool { return l.Limit.Minor > 0 }

// SetLimit gives a reseller a credit limit in the currency it is billed in; empty: none. What
// follows of it is worked out at once. Faults: limit.invalid, limit.no_terms, limit.prepaid.
func (d *Desk) SetLimit(ctx context.Context, of tenancy.ID, amount string, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var prepaid []bool
		if err := tx.NewRaw("SELECT prepaid FROM reseller_profiles WHERE tenant_id = ? AND prepaid", of).Scan(ctx, &prepaid); err != nil {
			return err
		}
		if len(prepaid) > 0 {
			return fault.Field("limit", "limit.prepaid", "They pay ahead: the balance is what they may use.")
		}
		terms, err := termsIn(ctx, tx, of)
		if err != nil {
			return err
		}
		if len(terms) == 0 {
			return fault.Field("limit", "limit.no_terms", "Set the terms first: the limit is in the currency they bill in.")
		}
		limit := billing.Money{Currency: terms[0].Currency}
		if amount = strings.TrimSpace(amount); amount != "" {
			if limit, err = billing.Parse(amount, terms[0].Currency); err != nil || limit.Minor <= 0 {
				return fault.Field("limit", "limit.invalid", "Enter an amount such as 500.00, or nothing for no limit.")
			}
		}
		_, err = tx.NewRaw(`INSERT INTO reseller_profiles (tenant_id, billing, tax_id, gateway_customer, method_ref, method_label, credit_limit_minor, changed_at) VALUES (?, '{}', '', '', '', '', nullif(?, 0), ?)
			ON CONFLICT (tenant_id) DO UPDATE SET credit_limit_minor = excluded.credit_limit_minor, changed_at = excluded.changed_at`, of, limit.Minor, tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.limit_set", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"limit": limit.String()})
	})
	if err != nil {
		return fmt.Errorf("set the credit limit of %s: %w", of, err)
	}
	return d.watchLimit(ctx, of)
}

// WatchLimits looks at every reseller with a credit limit or who pays ahead, or only at those
// that have come near their end, keeps how far each is, and tells the reseller and staff of each step up. What
// follows when it is reached, reseller.EnforceArrears does.
func (d *Desk) WatchLimits(ctx context.Context, onlyNear bool) error {
	var all []struct{ TenantID tenancy.ID }
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT tenant_id FROM reseller_profiles WHERE limit_stage <> '' OR (credit_limit_minor IS NOT NULL OR prepaid) AND NOT ? ORDER BY tenant_id", onlyNear).Scan(ctx, &all)
	})
	if err != nil {
		return fmt.Errorf("look at credit limits: %w", err)
	}
	var failed error
	for _, x := range all {
		failed = errors.Join(failed, d.watchLimit(ctx, x.TenantID))
	}
	return failed
}

// watched is what a reseller's debt is compared with.
type watched struct {
	Limit, Open, Balance, Warn, TopUp int64
	Prepaid                           bool
	Currency, Method                  string
	Stage                             billing.LimitStage
}

// watchLimit works one reseller's debt out. The running month is the run's own preview, made
// in a transaction of its own that is rolled back.
func (d *Desk) watchLimit(ctx context.Context, of tenancy.ID) error {
	p, err := d.Preview(ctx, of)
	if err != nil {
		return err
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var was watched
		err := tx.NewRaw(`SELECT coalesce(p.credit_limit_minor, 0) AS "limit", p.limit_stage AS stage, p.prepaid, p.balance_minor AS balance, coalesce(p.warn_minor, 0) AS warn, coalesce(p.topup_minor, 0) AS top_up, p.method_ref AS method,
				coalesce((SELECT currency FROM tenant_terms t WHERE t.tenant_id = p.tenant_id ORDER BY valid_from DESC LIMIT 1), '') AS currency,
				coalesce((SELECT sum(total_minor - paid_minor) FROM wholesale_invoices i WHERE i.tenant_id = p.tenant_id AND i.state = 'open'), 0)::bigint AS open
			FROM reseller_profiles p WHERE p.tenant_id = ? FOR UPDATE OF p`, of).Scan(ctx, &was)
		if tenancy.IsNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		used := max(was.Open+p.Net.Minor-min(was.Balance, 0), 0) // a balance that is less than nothing is owed too
		stage := billing.StageOf(used, was.Limit)
		if was.Prepaid {
			used = max(was.Open+p.Net.Minor+p.Tax.Minor, 0)
			stage = billing.PrepaidStage(was.Balance, used, was.Warn)
		}
		_, err = tx.NewRaw("UPDATE reseller_profiles SET limit_used_minor = ?, limit_stage = ?, limit_looked_at = ? WHERE tenant_id = ?", used, stage, tx.Now(), of).Exec(ctx)
		if err == nil && was.Prepaid && stage != billing.LimitFine {
			err = d.topUpBySelf(ctx, tx, of, was)
		}
		if err != nil || stage == was.Stage || stage == billing.LimitFine || was.Stage == billing.LimitReached {
			return err
		}
		m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: was.Currency} }
		if was.Prepaid {
			return d.tellOfBalance(ctx, tx, of, Balance{Held: m(was.Balance), Used: m(used), TopUp: m(was.TopUp), Stage: stage, At: tx.Now()})
		}
		return d.tellOfLimit(ctx, tx, of, Limit{Limit: m(was.Limit), Used: m(used), Stage: stage, At: tx.Now()})
	})
	if err != nil {
		return fmt.Errorf("credit limit of %s: %w", of, err)
	}
	return nil
}

// tellOfLimit writes to a reseller that it has come near its limit or reached it, and tells
// staff.
func (d *Desk) tellOfLimit(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, l Limit) error {
	var to struct{ Shop, Name, Email string }
	err := tx.NewRaw(`SELECT t.name AS shop, coalesce(nullif(p.billing->>'name', ''), t.name) AS name, coalesce(nullif(p.billing->>'email', ''), t.owner_email) AS email
		FROM tenants t JOIN reseller_profiles p ON p.tenant_id = t.id WHERE t.id = ?`, of).Scan(ctx, &to)
	if err != nil {
		return err
	}
	key := "wholesale_limit/" + of.String() + "/" + string(l.Stage) + "/" + l.At.UTC().Format(time.RFC3339)
	if d.Mail != nil && to.Email != "" {
		err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key, Template: mail.WholesaleLimit, To: to.Email,
			Data: map[string]string{"name": to.Name, "shop": to.Shop, "used": l.Used.Format("en"), "limit": l.Limit.Format("en"), "stage": string(l.Stage), "link": d.PartnerURL + "/invoices"}})
		if err != nil {
			return err
		}
	}
	text := to.Shop + " has come to four fifths of its credit limit."
	if l.Stage == billing.LimitReached {
		text = to.Shop + " has reached its credit limit: it sells nothing new."
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: key, Tenant: of, Kind: "wholesale.limit", Text: text, Detail: map[string]string{"used": l.Used.String(), "limit": l.Limit.String()}})
	return err
}
