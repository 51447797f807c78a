package wholesale

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Back is money of a balance that goes back to a reseller, as when it leaves.
type Back struct {
	Key    string // of the form: the same one gives back once
	Amount string
	Card   bool   // to the cards it came from, the newest first; otherwise staff sent it by hand
	Note   string // the bank's reference, or the reason
}

// backKey begins the key of a refund of a balance at the gateway.
const backKey = "balance_refund/"

// GiveBack takes money off a balance at once; what goes to cards follows by a job, and comes
// back to the balance when a bank refuses it. What is owed should be paid first. Faults:
// balance.invalid about fields, balance.owed, balance.not_by_card, payment.no_key.
func (d *Desk) GiveBack(ctx context.Context, of tenancy.ID, in Back, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if in.Key = plain(in.Key); in.Key == "" || len(in.Key) > 100 {
			return fault.New(fault.Malformed, "payment.no_key", "This form is not ours. Please open the page again.")
		}
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		var again bool
		if err := tx.NewRaw("SELECT EXISTS (SELECT FROM balance_movements WHERE tenant_id = ? AND starts_with(key, ?))", of, "back/"+in.Key+"/").Scan(ctx, &again); err != nil || again {
			return err
		}
		amount, note, err := d.backFields(ctx, tx, of, in)
		if err != nil {
			return err
		}
		if in.Card {
			err = d.backToCards(ctx, tx, of, amount, in.Key, note, by)
		} else {
			err = move(ctx, tx, []movement{{Key: "back/" + in.Key + "/hand", TenantID: of.Number(), Kind: "refund", Currency: amount.Currency, Minor: -amount.Minor, Note: note, By: by.Actor.Name,
				moves: billing.PostTopUp(Manual, billing.Money{Minor: -amount.Minor, Currency: amount.Currency})}})
		}
		if err != nil {
			return err
		}
		if err := d.writeOfBalance(ctx, tx, of, "balance_back/"+in.Key, map[string]string{"state": "back", "amount": amount.Format("en"), "reason": strings.TrimSuffix(note, ".") + ".", "auto": ""}); err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.balance_given_back", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"amount": amount.String(), "card": in.Card, "note": note})
	})
	if err != nil {
		return fmt.Errorf("give back of the balance of %s: %w", of, err)
	}
	return d.watchLimit(ctx, of)
}

func (d *Desk) backFields(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, in Back) (amount billing.Money, note string, err error) {
	c, err := d.collectionIn(ctx, tx, of)
	if err != nil {
		return amount, "", err
	}
	s, err := standingIn(ctx, tx, of)
	if err != nil {
		return amount, "", err
	}
	wrong := map[string]string{}
	held := c.PaidAhead // what customers paid is paid out: see PayOut
	amount, perr := billing.Parse(strings.TrimSpace(in.Amount), held.Currency)
	if perr != nil || amount.Minor <= 0 || amount.Minor > held.Minor {
		wrong["back"] = "Enter an amount of at most " + held.Format("en") + "."
	}
	note = line("reason", in.Note, 120, wrong)
	if err := fault.Fields("balance.invalid", wrong); err != nil {
		return amount, "", err
	}
	if len(s.Open) > 0 {
		return amount, "", fault.Field("back", "balance.owed", s.Open[0].Format("en")+" is owed. Invoices are paid from the balance before any of it goes back.")
	}
	return amount, note, nil
}

// backToCards splits an amount over the card payments it came by.
func (d *Desk) backToCards(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, amount billing.Money, key, note string, by audit.Origin) error {
	var came []struct {
		ID   uuid.UUID
		Rest int64
	}
	code := ""
	if d.Taker != nil {
		code = d.Taker.Code
	}
	err := tx.NewRaw(`SELECT p.id, p.amount_minor - (SELECT coalesce(sum(r.amount_minor), 0) FROM wholesale_refunds r WHERE r.payment_id = p.id AND r.state <> 'failed')::bigint AS rest
		FROM wholesale_payments p WHERE p.tenant_id = ? AND p.invoice_id IS NULL AND p.gateway = ? AND p.state = 'succeeded' AND p.ref IS NOT NULL AND p.disputes IS NULL ORDER BY p.created_at DESC, p.id DESC`, of, code).Scan(ctx, &came)
	if err != nil {
		return err
	}
	rest := amount.Minor
	var moves []movement
	for i := range came {
		part := min(came[i].Rest, rest)
		if part <= 0 {
			continue
		}
		rest -= part
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO wholesale_refunds (gateway, ref, id, payment_id, amount_minor, state, problem, created_at, changed_at) VALUES (?0, ?1, ?2, ?3, ?4, 'processing', '', ?5, ?5)`,
			code, waiting(id), id, came[i].ID, part, tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		moves = append(moves, movement{Key: "back/" + key + "/" + id.String(), ID: id, TenantID: of.Number(), Kind: "refund", Currency: amount.Currency, Minor: -part, Payment: &came[i].ID, Note: note, By: by.Actor.Name,
			moves: billing.PostPrepaidWithdrawn(billing.Money{Minor: part, Currency: amount.Currency})})
		if _, err := tx.Enqueue(ctx, BackJob{Refund: id}, tenancy.JobOptions{Key: id.String()}); err != nil {
			return err
		}
	}
	if rest > 0 {
		return fault.Field("back", "balance.not_by_card", "Only "+billing.Money{Minor: amount.Minor - rest, Currency: amount.Currency}.Format("en")+" came by cards that can take it back. Send the rest by bank transfer.")
	}
	return move(ctx, tx, moves)
}

// waiting is the name of a refund that the gateway has not named yet.
func waiting(id uuid.UUID) string { return "waiting/" + id.String() }

// BackJob asks the gateway to give back what was taken off a balance.
type BackJob struct {
	Refund uuid.UUID `json:"refund"`
}

// Kind names the job.
func (BackJob) Kind() string { return "wholesale.give_back" }

// PayBack is BackJob's work: the refund's key makes it one, however often it is asked for.
func (d *Desk) PayBack(ctx context.Context, job BackJob) error {
	var row struct {
		Ref, Payment, Currency, Gateway string
		PaymentID                       uuid.UUID
		State                           gateway.State
		Minor                           int64
	}
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT r.ref, r.state, r.amount_minor AS minor, p.id AS payment_id, p.ref AS payment, p.currency, p.gateway FROM wholesale_refunds r JOIN wholesale_payments p ON p.id = r.payment_id WHERE r.id = ?`, job.Refund).Scan(ctx, &row)
	})
	if err != nil {
		return fmt.Errorf("refund %s: %w", job.Refund, err)
	}
	if row.State.Final() || d.Taker == nil || d.Taker.Code != row.Gateway {
		return nil
	}
	gr, err := d.Taker.Gateway.Refund(ctx, gateway.Refund{Key: backKey + job.Refund.String(), Payment: row.Payment, Amount: billing.Money{Minor: row.Minor, Currency: row.Currency}, Reason: "The balance is given back"})
	if errors.Is(err, gateway.ErrNotFound) { // another account's payment, or one that is gone
		gr, err = gateway.Refunded{Ref: waiting(job.Refund), State: gateway.Failed, Amount: billing.Money{Minor: row.Minor, Currency: row.Currency}, Text: "The payment service does not know the payment any more."}, nil
	}
	if err != nil {
		return fmt.Errorf("refund %s: %w", job.Refund, d.trouble(ctx, err))
	}
	gr.Key = backKey + job.Refund.String()
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		a, ok, err := findAttempt(ctx, tx, "p.id = ?", row.PaymentID)
		if err != nil || !ok {
			return err
		}
		if _, _, err := lockPaid(ctx, tx, a); err != nil {
			return err
		}
		_, err = d.keepRefund(ctx, tx, a, gr)
		return err
	})
}

// nameBack gives a refund of ours the gateway's name, whichever comes first: its answer or its
// notification.
func nameBack(ctx context.Context, tx *tenancy.CentralTx, a Attempt, gr gateway.Refunded) error {
	id, err := uuid.Parse(strings.TrimPrefix(gr.Key, backKey))
	if !strings.HasPrefix(gr.Key, backKey) || err != nil {
		return nil
	}
	_, err = tx.NewRaw("UPDATE wholesale_refunds SET ref = ? WHERE id = ? AND payment_id = ? AND ref = ?", gr.Ref, id, a.ID, waiting(id)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("name refund %s: %w", id, err)
	}
	return nil
}

// moveBalanceBack books what became of a refund of money that was paid ahead. One that staff
// asked for here was taken off the balance then; one made at the gateway's own pages is now.
// The balance is locked.
func (d *Desk) moveBalanceBack(ctx context.Context, tx *tenancy.CentralTx, a Attempt, refund uuid.UUID, was gateway.State, gr gateway.Refunded) error {
	var ours bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM balance_movements WHERE id = ?)", refund).Scan(ctx, &ours); err != nil {
		return err
	}
	back := billing.Money{Minor: -gr.Amount.Minor, Currency: gr.Amount.Currency}
	m := movement{Key: "refund/" + refund.String(), TenantID: a.TenantID.Number(), Kind: "refund", Currency: a.Currency, Minor: back.Minor, Payment: &a.ID, Note: "Given back at the payment service's own pages", By: "payments"}
	text := gr.Amount.Format("en") + " of a balance were given back at the gateway's own pages."
	switch {
	case gr.State == gateway.Succeeded && ours:
		return post(ctx, tx, "wholesale_refund", rowsOf("wholesale_refund/"+refund.String(), m.TenantID, refund, billing.PostPrepaidPaidOut(a.Gateway, gr.Amount)))
	case gr.State == gateway.Succeeded:
		m.moves = billing.PostTopUp(a.Gateway, back)
	case gr.State == gateway.Failed && (ours || was == gateway.Succeeded):
		m.Key, m.Kind, m.Minor, m.Note = m.Key+"/returned", "returned", gr.Amount.Minor, strings.TrimSpace("It could not be given back. "+gr.Text)
		text = gr.Amount.Format("en") + " of a balance could not be given back: they are on it again."
		switch {
		case !ours:
			m.moves = billing.PostTopUp(a.Gateway, gr.Amount)
		case was == gateway.Succeeded:
			m.moves = append(billing.PostPrepaidPaidOut(a.Gateway, back), billing.PostPrepaidWithdrawn(back)...)
		default:
			m.moves = billing.PostPrepaidWithdrawn(back)
		}
	default:
		return nil
	}
	if err := move(ctx, tx, []movement{m}); err != nil {
		return err
	}
	_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: "wholesale_refund/" + m.Key, Tenant: a.TenantID, Kind: "wholesale.refunded", Text: text, Detail: map[string]string{"amount": gr.Amount.Format("en")}})
	return err
}

// Movement is one change of a balance, as its statement shows it.
type Movement struct {
	ID          uuid.UUID
	Kind        string // topup, invoice, refund, returned
	Currency    string
	AmountMinor int64
	LeftMinor   int64
	InvoiceID   uuid.UUID
	Note        string
	MadeBy      string
	At          time.Time
	Count       int `json:"-"`
}

// Amount is what moved.
func (m Movement) Amount() billing.Money {
	return billing.Money{Minor: m.AmountMinor, Currency: m.Currency}
}

// Left is what was on the balance after the movement.
func (m Movement) Left() billing.Money {
	return billing.Money{Minor: m.LeftMinor, Currency: m.Currency}
}

// BalanceOf is a reseller's profile with its balance, and one page of what moved it, the
// newest first.
func (d *Desk) BalanceOf(ctx context.Context, of tenancy.ID, offset, limit int) (p Profile, rows []Movement, total int, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		if p, err = d.profileWithCollection(ctx, tx, of); err != nil {
			return err
		}
		return tx.NewRaw(`SELECT id, kind, currency, amount_minor, left_minor, invoice_id, note, made_by, at, count(*) OVER () AS count FROM balance_movements
			WHERE tenant_id = ? ORDER BY at DESC, id DESC LIMIT ? OFFSET ?`, of, min(max(limit, 1), 200), max(offset, 0)).Scan(ctx, &rows)
	})
	if err != nil {
		return p, nil, 0, fmt.Errorf("balance of %s: %w", of, err)
	}
	if len(rows) > 0 {
		total = rows[0].Count
	}
	return p, rows, total, nil
}

// balancesWrong says where a balance is not what moved it, or not what the books hold.
func balancesWrong(ctx context.Context, tx *tenancy.CentralTx) (wrong []string, err error) {
	err = tx.NewRaw(`SELECT 'the balance of reseller ' || tenant_id || ' is ' || coalesce(p.balance_minor, 0) || ' (minor units), its movements come to ' || coalesce(m.moved, 0) || ' and the books hold ' || coalesce(l.held, 0)
		FROM (SELECT tenant_id, balance_minor FROM reseller_profiles WHERE balance_minor <> 0) p
		FULL JOIN (SELECT tenant_id, sum(amount_minor) AS moved FROM balance_movements GROUP BY tenant_id) m USING (tenant_id)
		FULL JOIN (SELECT tenant_id, sum(CASE ?0 WHEN credit THEN amount_minor ELSE -amount_minor END) AS held FROM ledger_postings WHERE ?0 IN (debit, credit) GROUP BY tenant_id) l USING (tenant_id)
		WHERE coalesce(p.balance_minor, 0) <> coalesce(m.moved, 0) OR coalesce(m.moved, 0) <> coalesce(l.held, 0) ORDER BY tenant_id`, billing.Prepaid).Scan(ctx, &wrong)
	if err != nil {
		return nil, fmt.Errorf("compare balances: %w", err)
	}
	return wrong, nil
}
