package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Collection is how the money stands that was taken for a reseller.
type Collection struct {
	Tenant   tenancy.ID
	Shop     string
	Terms    CollectionTerms
	On       bool          // its shop takes payments that way now
	Ever     bool          // it did at some time
	Balance  billing.Money // less than nothing: the reseller owes it
	HeldBack billing.Money // too young to be paid out
	Needed   billing.Money // for what is owed; of one who pays ahead the running month too
	Payable  billing.Money
	// PaidAhead is what of the balance was not taken from customers.
	PaidAhead billing.Money
	Account   PayoutAccount
	PaidOut   int // how often it was, returned ones among them
}

// PayoutRef proposes a reference for the next transfer: of the reseller, the day and how
// many there were, so that two on one day are two and one that came back is another.
func (c Collection) PayoutRef(now time.Time) string {
	return "PAYOUT-" + c.Tenant.String() + "-" + now.UTC().Format("20060102") + "-" + strconv.Itoa(c.PaidOut+1)
}

// PayoutAccount is where a reseller is paid out to.
type PayoutAccount struct {
	Holder    string    `json:"holder"`
	IBAN      string    `json:"iban"`
	BIC       string    `json:"bic"`
	ChangedAt time.Time `json:"changed_at"`
}

// Known reports whether there is one.
func (a PayoutAccount) Known() bool { return a.IBAN != "" }

// payoutColumns are how it stands for a tenant t with its profile l, which may be missing,
// at the moment ?0.
const payoutColumns = `t.id, t.name AS shop, coalesce(l.collected_minor, 0) AS collected, coalesce(l.payout_account::text, '') AS account,
	coalesce((SELECT x.currency FROM tenant_terms x WHERE x.tenant_id = t.id ORDER BY x.valid_from DESC LIMIT 1), '') AS currency,
	coalesce((SELECT sum(greatest(p.amount_minor - p.fee_minor - p.refunded_minor - p.withdrawn_minor, 0)) FROM collected_payments p WHERE p.tenant_id = t.id AND p.free_at > ?0), 0)::bigint AS held_back,
	coalesce((SELECT sum(i.total_minor - i.paid_minor) FROM wholesale_invoices i WHERE i.tenant_id = t.id AND i.state = 'open' AND i.total_minor > i.paid_minor), 0)::bigint AS owed,
	EXISTS (SELECT FROM collected_payments p WHERE p.tenant_id = t.id) AS ever,
	(SELECT count(*) FROM balance_movements m WHERE m.tenant_id = t.id AND m.kind = 'payout') AS paid_out,
	coalesce((SELECT f.value FROM tenant_figures f WHERE f.tenant_id = t.id AND f.name = 'collecting' AND f.currency = ''), 0) = 1 AS is_on,
	c.valid_from, coalesce(c.allowed, false) AS allowed, coalesce(c.fee_ppm, 0) AS ppm, coalesce(c.fee_minor, 0) AS fixed, coalesce(c.hold_days, 0) AS hold_days, coalesce(c.set_by, '') AS set_by, ` + standingColumns

const payoutTables = ` FROM tenants t LEFT JOIN reseller_profiles l ON l.tenant_id = t.id
	LEFT JOIN LATERAL (SELECT * FROM collection_terms x WHERE x.tenant_id = t.id AND x.valid_from <= ?0 ORDER BY x.valid_from DESC LIMIT 1) c ON true `

type payoutRow struct {
	ID                        tenancy.ID
	Shop, Account             string
	Collected, HeldBack, Owed int64
	Ever, IsOn                bool
	PaidOut                   int
	collectionRow
	standingRow
}

func (r payoutRow) collection() (c Collection, err error) {
	m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: r.Currency} }
	needed := r.Owed
	if r.Prepaid {
		needed = max(r.LimitUsed, r.Owed)
	}
	c = Collection{Tenant: r.ID, Shop: r.Shop, Terms: r.terms(), On: r.IsOn, Ever: r.Ever, PaidOut: r.PaidOut, Balance: m(r.Balance), HeldBack: m(r.HeldBack), Needed: m(needed), PaidAhead: m(max(r.Balance-max(r.Collected, 0), 0)), Payable: m(billing.Payable(r.Balance, r.Collected, r.HeldBack, needed))}
	if r.Account != "" {
		err = json.Unmarshal([]byte(r.Account), &c.Account)
	}
	return c, err
}

// Collection is how it stands for one reseller.
func (d *Desk) Collection(ctx context.Context, of tenancy.ID) (c Collection, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		c, err = d.collectionIn(ctx, tx, of)
		return err
	})
	return c, err
}

func (d *Desk) collectionIn(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (c Collection, err error) {
	var r payoutRow
	err = tx.NewRaw("SELECT "+payoutColumns+payoutTables+"WHERE t.id = ?1", tx.Now(), of).Scan(ctx, &r)
	if err == nil {
		c, err = r.collection()
	}
	if err != nil {
		return c, fmt.Errorf("what was collected for %s: %w", of, err)
	}
	c.Terms.Allowed = c.Terms.Allowed && d.Taker != nil
	return c, nil
}

// Payouts are all resellers for whom something was collected and of whom anything is on
// the balance or owed, the most to be paid out first.
func (d *Desk) Payouts(ctx context.Context) (all []Collection, err error) {
	var rows []payoutRow
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+payoutColumns+payoutTables+"WHERE l.balance_minor <> 0 AND EXISTS (SELECT FROM collected_payments p WHERE p.tenant_id = t.id) ORDER BY l.balance_minor DESC, t.id", tx.Now()).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("list payouts: %w", err)
	}
	for _, r := range rows {
		c, err := r.collection()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// NewPayout is money that staff sent to a reseller's bank account.
type NewPayout struct {
	Amount string // a decimal of whole units
	Ref    string // of the bank's transfer: the same one is paid out once
}

// payoutKey names a payout by the reference of its transfer.
func payoutKey(of tenancy.ID, ref string) string { return "payout/" + of.String() + "/" + ref }

// returnedKey names what the bank sent back of it: no reference of a payout is spelled so.
func returnedKey(of tenancy.ID, ref string) string {
	return "payout_returned/" + of.String() + "/" + ref
}

// PayOut takes money off a reseller's balance that was sent to it. The same reference and
// amount again changes nothing; one that came back is refused. The fault payout.invalid is about fields.
func (d *Desk) PayOut(ctx context.Context, of tenancy.ID, n NewPayout, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		c, err := d.collectionIn(ctx, tx, of)
		if err != nil {
			return err
		}
		wrong := map[string]string{}
		ref := line("payout_ref", n.Ref, 120, wrong)
		amount, perr := billing.Parse(strings.TrimSpace(n.Amount), c.Payable.Currency)
		if perr != nil || amount.Minor <= 0 {
			wrong["payout"] = "Enter an amount such as 100.00."
		}
		if err := fault.Fields("payout.invalid", wrong); err != nil {
			return err
		}
		var was []int64
		if err := tx.NewRaw("SELECT -amount_minor FROM balance_movements WHERE key = ?", payoutKey(of, ref)).Scan(ctx, &was); err != nil {
			return err
		}
		back, err := movedBefore(ctx, tx, []string{returnedKey(of, ref)})
		if err != nil {
			return err
		}
		switch {
		case len(back) > 0: // sent once more, and to be booked once more
			return fault.Field("payout_ref", "payout.invalid", "The payout with this reference came back. Give the new transfer another reference.")
		case len(was) > 0 && was[0] == amount.Minor: // clicked twice
			return nil
		case len(was) > 0:
			return fault.Field("payout_ref", "payout.invalid", "A payout with this reference was recorded already, over another amount.")
		case amount.Minor > c.Payable.Minor:
			return fault.Field("payout", "payout.invalid", "At most "+c.Payable.Format("en")+" may be paid out now.")
		}
		err = move(ctx, tx, []movement{{Key: payoutKey(of, ref), TenantID: of.Number(), Kind: "payout", Currency: amount.Currency, Minor: -amount.Minor, Note: ref, By: by.Actor.Name, moves: billing.PostPaidOut(Manual, amount)}})
		if err != nil {
			return err
		}
		if err := d.writeOfPayout(ctx, tx, of, payoutKey(of, ref), map[string]string{"state": "done", "amount": amount.Format("en"), "reference": ref, "account": ""}); err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.paid_out", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"amount": amount.String(), "reference": ref})
	})
	if err != nil {
		return fmt.Errorf("pay out to %s: %w", of, err)
	}
	return nil
}

// PayoutCameBack puts a payout that the reseller's bank refused on the balance again,
// once. The fault is payout.unknown.
func (d *Desk) PayoutCameBack(ctx context.Context, of tenancy.ID, ref string, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		var was struct {
			Note, Currency string
			Minor          int64
		}
		ref = strings.Join(strings.Fields(plain(ref)), " ")
		err := tx.NewRaw("SELECT note, currency, -amount_minor AS minor FROM balance_movements WHERE key = ?", payoutKey(of, ref)).Scan(ctx, &was)
		if tenancy.IsNoRows(err) {
			return fault.Field("returned_ref", "payout.unknown", "There is no payout with this reference.")
		}
		if err != nil {
			return err
		}
		key := returnedKey(of, ref)
		if known, err := movedBefore(ctx, tx, []string{key}); err != nil || known[key] {
			return err
		}
		amount := billing.Money{Minor: was.Minor, Currency: was.Currency}
		err = move(ctx, tx, []movement{{Key: key, TenantID: of.Number(), Kind: "payout", Currency: was.Currency, Minor: was.Minor, Note: was.Note, By: by.Actor.Name,
			moves: billing.PostPaidOut(Manual, billing.Money{Minor: -was.Minor, Currency: was.Currency})}})
		if err == nil {
			err = draw(ctx, tx, of)
		}
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.payout_returned", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"amount": amount.String(), "reference": was.Note})
	})
	if err != nil {
		return fmt.Errorf("take a payout to %s back: %w", of, err)
	}
	return nil
}

// SetPayoutAccount says where a reseller is paid out to. Staff are told: whoever can change
// it could have money sent to another. The fault payout_account.invalid is about fields.
func (d *Desk) SetPayoutAccount(ctx context.Context, of tenancy.ID, a PayoutAccount, by audit.Origin) error {
	wrong := map[string]string{}
	a.Holder = line("payout_holder", a.Holder, 120, wrong)
	a.IBAN = strings.ToUpper(strings.Join(strings.Fields(plain(a.IBAN)), ""))
	a.BIC = strings.ToUpper(strings.Join(strings.Fields(plain(a.BIC)), ""))
	if !billing.IsIBAN(a.IBAN) {
		wrong["payout_iban"] = "This is not a valid IBAN. Please look at it again."
	}
	if strings.Trim(a.BIC, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" || a.BIC != "" && len(a.BIC) != 8 && len(a.BIC) != 11 {
		wrong["payout_bic"] = "A BIC has 8 or 11 letters and digits."
	}
	if err := fault.Fields("payout_account.invalid", wrong); err != nil {
		return err
	}
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		a.ChangedAt = tx.Now().UTC()
		kept, err := json.Marshal(a)
		if err != nil {
			return err
		}
		res, err := tx.NewRaw(`UPDATE reseller_profiles SET payout_account = ?0::jsonb, changed_at = ?1 WHERE tenant_id = ?2
			AND (payout_account - 'changed_at') IS DISTINCT FROM (?0::jsonb - 'changed_at')`, string(kept), tx.Now(), of).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		end := a.IBAN[len(a.IBAN)-4:]
		key := "payout_account/" + of.String() + "/" + a.ChangedAt.Format(time.RFC3339Nano)
		if err := d.writeOfPayout(ctx, tx, of, key, map[string]string{"state": "account", "amount": "", "reference": "", "account": end}); err != nil {
			return err
		}
		_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: key, Tenant: of, Kind: "payout.account_changed", Text: "A reseller changed the bank account it is paid out to.", Detail: map[string]string{"by": by.Actor.Name, "iban_ends": end}})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.payout_account_set", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"holder": a.Holder, "iban_ends": end})
	})
	if err != nil {
		return fmt.Errorf("set the payout account of %s: %w", of, err)
	}
	return nil
}

// writeOfPayout writes to a reseller of what it is paid out, with what is on its balance now.
func (d *Desk) writeOfPayout(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, key string, data map[string]string) error {
	p, err := profileIn(ctx, tx, of)
	if err != nil {
		return err
	}
	data["balance"] = p.Balance.Held.Format("en")
	_, err = d.mailOfBalance(ctx, tx, of, mail.WholesalePayout, key, data)
	return err
}
