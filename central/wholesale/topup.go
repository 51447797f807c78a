package wholesale

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// The most and the least that is paid ahead at once, in minor units.
const (
	mostTopUp  = 10_000_000
	leastTopUp = 100
)

// autoTopUp begins the key of a top-up that nobody of the reseller is there for.
const autoTopUp = "topup/auto/"

// TopUpRequest is a reseller who wants to pay ahead now.
type TopUpRequest struct {
	Key       string // of the form: the same one pays once
	Amount    string // a decimal of whole units
	Kept      bool   // with the card that is kept; otherwise one is entered in the browser
	Save      bool   // keep the card that is entered
	ReturnURL string // as PayRequest's
}

// TopUp starts paying ahead, or goes on with what the same form started. A decline is no
// error but an attempt that failed; the next try of the form is another. Faults:
// card.not_taken, card.unknown, balance.invalid, balance.no_terms,
// wholesale_gateway.unavailable.
func (d *Desk) TopUp(ctx context.Context, of tenancy.ID, r TopUpRequest) (a Attempt, gp gateway.Payment, err error) {
	if d.Taker == nil {
		return a, gp, errNoTaker
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		a, err = d.claimTopUp(ctx, tx, of, r)
		return err
	})
	if err != nil {
		return a, gp, err
	}
	return d.carry(ctx, a, strings.ReplaceAll(r.ReturnURL, "{payment}", a.ID.String()))
}

// TopUpAmount reads what somebody wants to pay ahead. Faults: balance.invalid, and
// balance.no_terms where there is no currency yet.
func TopUpAmount(s, currency string) (billing.Money, error) {
	if currency == "" {
		return billing.Money{}, errNoTerms
	}
	m, err := billing.Parse(strings.TrimSpace(s), currency)
	least, most := billing.Money{Minor: leastTopUp, Currency: currency}, billing.Money{Minor: mostTopUp, Currency: currency}
	if err != nil || m.Minor < leastTopUp || m.Minor > mostTopUp {
		return m, fault.Field("amount", "balance.invalid", "Enter an amount from "+least.Format("en")+" to "+most.Format("en")+".")
	}
	return m, nil
}

func (d *Desk) claimTopUp(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, r TopUpRequest) (a Attempt, err error) {
	currency, err := balanceCurrency(ctx, tx, of)
	if err != nil {
		return a, err
	}
	amount, err := TopUpAmount(r.Amount, currency)
	if err != nil {
		return a, err
	}
	if r.Key = plain(r.Key); r.Key == "" || len(r.Key) > 100 || strings.Contains(r.Key, "/") {
		return a, fault.New(fault.Malformed, "payment.no_key", "This form is not ours. Please open the page again.")
	}
	if err := lockBalance(ctx, tx, of); err != nil {
		return a, err
	}
	method, with, mark := "", "card", ""
	if r.Kept {
		card, err := cardIn(ctx, tx, of)
		if err == nil && !card.Kept() {
			err = errNoCard
		}
		if err != nil {
			return a, err
		}
		method, with = card.ref, "kept"
	} else if r.Save {
		mark = saveMark
	}
	base := fmt.Sprintf("topup/%s/%s/%d/%s/", of, r.Key, amount.Minor, with)
	var over int
	if err := tx.NewRaw("SELECT count(*) FROM wholesale_payments WHERE tenant_id = ? AND invoice_id IS NULL AND starts_with(key, ?) AND state IN ('failed', 'cancelled')", of, base).Scan(ctx, &over); err != nil {
		return a, err
	}
	key := fmt.Sprintf("%s%d%s", base, over, mark)
	if a, ok, err := findAttempt(ctx, tx, "p.key = ?", key); err != nil || ok {
		return a, err
	}
	return d.insert(ctx, tx, InvoiceRow{TenantID: of, Currency: currency, TotalMinor: amount.Minor}, method, func(uuid.UUID) string { return key })
}

// BookTopUp books money paid ahead that somebody of staff saw arrive. Faults: balance.invalid,
// balance.no_terms, payment.no_key.
func (d *Desk) BookTopUp(ctx context.Context, of tenancy.ID, in ByHand, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		currency, err := balanceCurrency(ctx, tx, of)
		if err != nil {
			return err
		}
		amount, err := TopUpAmount(in.Amount, currency)
		if err != nil {
			return err
		}
		wrong := map[string]string{}
		note := line("note", in.Note, 120, wrong)
		if err := fault.Fields("balance.invalid", wrong); err != nil {
			return err
		}
		if in.Key = plain(in.Key); in.Key == "" || len(in.Key) > 100 {
			return fault.New(fault.Malformed, "payment.no_key", "This form is not ours. Please open the page again.")
		}
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		res, err := tx.NewRaw(`INSERT INTO wholesale_payments (id, key, tenant_id, gateway, currency, amount_minor, state, ref, decline_code, decline_text, created_at, settled_at, changed_at)
			VALUES (?0, ?1, ?2, ?3, ?4, ?5, 'succeeded', ?6, '', '', ?7, ?7, ?7) ON CONFLICT (key) DO NOTHING`,
			id, "hand/"+in.Key, of, Manual, currency, amount.Minor, note+" #"+id.String()[24:], tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if err := d.toppedUp(ctx, tx, Attempt{ID: id, TenantID: of, Gateway: Manual, Currency: currency, AmountMinor: amount.Minor}, note, by.Actor.Name); err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.topped_up", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"amount": amount.String(), "note": note})
	})
	if err != nil {
		return fmt.Errorf("book a top-up of %s: %w", of, err)
	}
	return d.watchLimit(ctx, of)
}

// toppedUp puts money that came onto the balance, pays from it what is owed, and thanks.
func (d *Desk) toppedUp(ctx context.Context, tx *tenancy.CentralTx, a Attempt, note, by string) error {
	err := move(ctx, tx, []movement{{Key: "payment/" + a.ID.String(), TenantID: a.TenantID.Number(), Kind: "topup", Currency: a.Currency, Minor: a.AmountMinor, Payment: &a.ID,
		Note: note, By: by, moves: billing.PostTopUp(a.Gateway, a.Amount())}})
	if err != nil {
		return err
	}
	if err := draw(ctx, tx, a.TenantID); err != nil {
		return err
	}
	return d.writeOfBalance(ctx, tx, a.TenantID, "topup/"+a.ID.String(), map[string]string{"state": "done", "amount": a.Amount().Format("en"), "reason": "", "auto": ""})
}

// followTopUp is what comes of a top-up's new state. The balance is locked.
func (d *Desk) followTopUp(ctx context.Context, tx *tenancy.CentralTx, a Attempt, gp gateway.Payment) error {
	switch a.State {
	case gateway.Succeeded:
		if err := a.saveCard(ctx, tx, gp); err != nil {
			return err
		}
		note := "Card"
		if unattended(a.Key) {
			note = "Card, by itself"
		}
		return d.toppedUp(ctx, tx, a, note, "payments")
	case gateway.Failed:
		if err := a.forgetPayer(ctx, tx); err != nil || !unattended(a.Key) {
			return err
		}
		auto := ""
		if gp.Decline != nil && gp.Decline.Kind == gateway.Hard {
			auto = "off"
			if _, err := tx.NewRaw("UPDATE reseller_profiles SET topup_minor = NULL, changed_at = ? WHERE tenant_id = ?", tx.Now(), a.TenantID).Exec(ctx); err != nil {
				return err
			}
		}
		if err := d.writeOfBalance(ctx, tx, a.TenantID, "topup/"+a.ID.String(), map[string]string{"state": "failed", "amount": a.Amount().Format("en"), "reason": a.DeclineText, "auto": auto}); err != nil {
			return err
		}
		_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: "payment.failed " + a.Key, Tenant: a.TenantID, Kind: "payment.failed",
			Text: "The card for a balance top-up was declined: " + a.DeclineText, Detail: map[string]string{"amount": a.Amount().String(), "code": a.DeclineCode}})
		return err
	}
	return nil
}

// TopUpJob takes a top-up from the kept card that nobody of the reseller is there for.
type TopUpJob struct {
	Payment uuid.UUID `json:"payment"`
}

// Kind names the job.
func (TopUpJob) Kind() string { return "wholesale.topup" }

// topUpBySelf begins the day's top-up of a reseller who asked for it: one a day and key,
// however often little is found to be left.
func (d *Desk) topUpBySelf(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, w watched) error {
	if w.TopUp <= 0 || w.Method == "" || d.Taker == nil {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	key := autoTopUp + of.String() + "/" + tx.Now().UTC().Format(time.DateOnly)
	res, err := tx.NewRaw(`INSERT INTO wholesale_payments (id, key, tenant_id, gateway, currency, amount_minor, state, method_ref, decline_code, decline_text, created_at, changed_at)
		SELECT ?0, ?1, ?2, ?3, ?4, ?5, 'created', ?6, '', '', ?7, ?7
		WHERE NOT EXISTS (SELECT FROM wholesale_payments p WHERE p.tenant_id = ?2 AND p.invoice_id IS NULL AND p.state = 'processing') ON CONFLICT (key) DO NOTHING`,
		id, key, of, d.Taker.Code, w.Currency, w.TopUp, w.Method, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("begin the top-up of %s: %w", of, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = tx.Enqueue(ctx, TopUpJob{Payment: id}, tenancy.JobOptions{Key: key})
	return err
}

// TakeTopUp is TopUpJob's work; again, it changes nothing.
func (d *Desk) TakeTopUp(ctx context.Context, job TopUpJob) error {
	var a Attempt
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var ok bool
		var err error
		if a, ok, err = findAttempt(ctx, tx, "p.id = ?", job.Payment); err == nil && !ok {
			err = errNoAttempt
		}
		return err
	})
	if err != nil || a.State.Final() || d.Taker == nil || d.Taker.Code != a.Gateway {
		return err
	}
	return d.carryTry(ctx, a)
}

// tellOfBalance writes to a reseller that little or nothing is left, and tells staff.
func (d *Desk) tellOfBalance(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, b Balance) error {
	key := "wholesale_balance/" + of.String() + "/" + string(b.Stage) + "/" + b.At.UTC().Format(time.RFC3339)
	auto := ""
	if b.TopUp.Minor > 0 {
		auto = b.TopUp.Format("en")
	}
	shop, err := d.mailOfBalance(ctx, tx, of, mail.WholesaleBalance, key, map[string]string{"held": b.Held.Format("en"), "used": b.Used.Format("en"), "stage": string(b.Stage), "auto": auto})
	if err != nil {
		return err
	}
	text := "Little is left of the balance of " + shop + "."
	if b.Stage == billing.LimitReached {
		text = "The balance of " + shop + " is used up: it sells nothing new."
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: key, Tenant: of, Kind: "wholesale.balance", Text: text, Detail: map[string]string{"held": b.Held.String(), "used": b.Used.String()}})
	return err
}

// writeOfBalance writes to a reseller of money on its balance, with what is on it now.
func (d *Desk) writeOfBalance(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, key string, data map[string]string) error {
	p, err := profileIn(ctx, tx, of)
	if err != nil {
		return err
	}
	data["balance"] = p.Balance.Held.Format("en")
	_, err = d.mailOfBalance(ctx, tx, of, mail.WholesaleTopUp, key, data)
	return err
}

// mailOfBalance writes to a reseller with a link to its balance, and answers its name.
func (d *Desk) mailOfBalance(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, template, key string, data map[string]string) (shop string, err error) {
	var to struct{ Shop, Name, Email string }
	err = tx.NewRaw(`SELECT t.name AS shop, coalesce(nullif(p.billing->>'name', ''), t.name) AS name, coalesce(nullif(p.billing->>'email', ''), t.owner_email) AS email
		FROM tenants t JOIN reseller_profiles p ON p.tenant_id = t.id WHERE t.id = ?`, of).Scan(ctx, &to)
	if err != nil || d.Mail == nil || to.Email == "" {
		return to.Shop, err
	}
	data["name"], data["shop"], data["link"] = to.Name, to.Shop, d.PartnerURL+"/balance"
	return to.Shop, d.Mail.Enqueue(ctx, tx, mail.Message{Key: key, Template: template, To: to.Email, Data: data})
}
