package wholesale

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
)

// What customers of resellers pay to the platform's own account is on their reseller's
// balance. There is one road to the books: somebody says that something happened to a
// payment, the gateway is asked how it stands with all that went back of it, and what is not
// booked yet is. A notification leads there, and the shop's own word, which is written in
// the transaction in which the shop keeps what it has heard.

// CollectedJob looks at payments of which shops say that something happened.
type CollectedJob struct{}

// Kind names the job.
func (CollectedJob) Kind() string { return "wholesale.collected" }

// lookAgain is when a payment is looked at anew that could not be booked.
const lookAgain = 10 * time.Minute

// BookCollected does what shops have told of. A gateway that does not answer is asked again
// at the next call; what fails otherwise keeps nothing else from being booked.
func (d *Desk) BookCollected(ctx context.Context) error {
	var news []struct {
		TenantID tenancy.ID
		Ref      string
		ToldAt   time.Time
	}
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT tenant_id, ref, told_at FROM collected_news WHERE told_at <= ? ORDER BY told_at, tenant_id, ref LIMIT 200", tx.Now()).Scan(ctx, &news)
	})
	if err != nil {
		return fmt.Errorf("look for what was collected: %w", err)
	}
	var failed error
	for _, n := range news {
		if d.Taker == nil {
			return nil
		}
		_, err := d.lookAt(ctx, n.Ref, n.TenantID)
		if errors.Is(err, gateway.ErrUnavailable) || errors.Is(err, gateway.ErrCredentials) {
			return errors.Join(failed, d.trouble(ctx, err))
		}
		failed = errors.Join(failed, err, d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			if err != nil {
				return later(ctx, tx, n.TenantID, n.Ref, n.ToldAt)
			}
			// Not what was told meanwhile.
			_, err := tx.NewRaw("DELETE FROM collected_news WHERE tenant_id = ? AND ref = ? AND told_at = ?", n.TenantID, n.Ref, n.ToldAt).Exec(ctx)
			return err
		}))
	}
	return failed
}

// later has a payment that could not be booked looked at again, and tells staff once.
func later(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, ref string, told time.Time) error {
	_, err := tx.NewRaw("UPDATE collected_news SET told_at = ? WHERE tenant_id = ? AND ref = ? AND told_at = ?", tx.Now().Add(lookAgain), of, ref, told).Exec(ctx)
	if err != nil {
		return fmt.Errorf("put off collected payment %s: %w", ref, err)
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: "collected.not_booked " + ref, Tenant: of, Kind: "collected.not_booked",
		Text: "A payment that was taken for the reseller could not be booked. It is tried again every ten minutes.", Detail: map[string]string{"payment": ref}})
	return err
}

// seen is a payment as the gateway knows it, with all that went back of it.
type seen struct {
	gateway.Payment
	kept     string // how it was kept before the gateway was asked
	refunds  []gateway.Refunded
	disputes []gateway.Dispute
}

// errOvertaken: while the gateway was asked, somebody else booked what it said later.
var errOvertaken = errors.New("another look at the payment was faster")

// lookAt asks the gateway about a payment and books what is new. Where a shop says that it
// happened, it must be its own. What was said before something newer was booked is not
// booked any more, or a refund that failed would take money: it is asked anew.
func (d *Desk) lookAt(ctx context.Context, ref string, says tenancy.ID) (outcome string, err error) {
	for range 5 {
		if outcome, err = d.lookOnce(ctx, ref, says); !errors.Is(err, errOvertaken) {
			break
		}
	}
	return outcome, err
}

func (d *Desk) lookOnce(ctx context.Context, ref string, says tenancy.ID) (string, error) {
	p := seen{}
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		p.kept, err = d.keptAs(ctx, tx, ref)
		return err
	})
	if err != nil {
		return "", err
	}
	if p.Payment, err = d.Taker.Gateway.Payment(ctx, ref); errors.Is(err, gateway.ErrNotFound) {
		return "the gateway knows it no more", nil
	}
	if err != nil {
		return "", fmt.Errorf("collected payment %s: %w", ref, err)
	}
	of, ours := collectedFor(p.Shop)
	switch {
	case !ours || !says.IsZero() && says != of:
		return notOurs, nil
	case p.State != gateway.Succeeded:
		return string(p.State), nil
	}
	if err := d.wentBack(ctx, &p); err != nil {
		return "", fmt.Errorf("collected payment %s: %w", ref, err)
	}
	var c change
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		c, err = d.keepCollected(ctx, tx, of, p)
		return err
	})
	if err == nil && c.watch {
		err = d.watchLimit(ctx, of) // who has enough again sells again
	}
	if err != nil {
		return "", fmt.Errorf("book collected payment %s: %w", ref, err)
	}
	return c.outcome, nil
}

// wentBack asks what went back of a payment.
func (d *Desk) wentBack(ctx context.Context, p *seen) (err error) {
	if o, ok := d.Taker.Gateway.(gateway.Overseer); ok {
		if p.refunds, err = o.RefundsOf(ctx, p.Ref); err != nil {
			return err
		}
	}
	if s, ok := d.Taker.Gateway.(gateway.Sharer); ok {
		p.disputes, err = s.DisputesOf(ctx, p.Ref)
	}
	return err
}

// keptAs names the state in which a payment is kept, by the transaction that wrote its row;
// empty: it is not.
func (d *Desk) keptAs(ctx context.Context, tx *tenancy.CentralTx, ref string) (string, error) {
	var wrote []string
	if err := tx.NewRaw("SELECT xmin::text FROM collected_payments WHERE gateway = ? AND ref = ?", d.Taker.Code, ref).Scan(ctx, &wrote); err != nil {
		return "", fmt.Errorf("read collected payment %s: %w", ref, err)
	}
	return strings.Join(wrote, ""), nil
}

// collectedFor is the reseller a payment was taken for; false: none.
func collectedFor(shop string) (tenancy.ID, bool) {
	of, err := tenancy.ParseID(shop)
	return of, err == nil
}

// collectedRow is a payment as it is kept.
type collectedRow struct {
	ID                                                   uuid.UUID
	Currency                                             string
	AmountMinor, FeeMinor, RefundedMinor, WithdrawnMinor int64
	Disputes                                             string
}

// change is what came of looking at a payment.
type change struct {
	outcome string
	watch   bool // the reseller's balance is near its end, or was
}

// keepCollected books what is new of a payment, each fact once by the gateway's name for it.
func (d *Desk) keepCollected(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, p seen) (c change, err error) {
	var there bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM tenants WHERE id = ?)", of).Scan(ctx, &there); err != nil || !there {
		return change{outcome: notOurs}, err
	}
	if err := lockBalance(ctx, tx, of); err != nil {
		return c, err
	}
	if kept, err := d.keptAs(ctx, tx, p.Ref); err != nil || kept != p.kept {
		return c, cmp.Or(err, errOvertaken)
	}
	terms, err := collectionAt(ctx, tx, of, p.BegunAt)
	if err != nil {
		return c, err
	}
	if terms.Currency != p.Received.Currency || p.Received.Minor <= 0 {
		_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: "collected.not_booked " + p.Ref, Tenant: of, Kind: "collected.not_booked",
			Text: "A payment that was taken for the reseller is in another currency than it is billed in: it is on no balance.", Detail: map[string]string{"payment": p.Ref, "amount": p.Received.String()}})
		return change{outcome: "in another currency"}, err
	}
	row, err := d.collected(ctx, tx, of, p, terms)
	if err != nil {
		return c, err
	}
	moves, err := d.movesOf(ctx, tx, of, p, &row)
	if err != nil {
		return c, err
	}
	// Also where nothing is new: who asked before finds that it was overtaken.
	_, err = tx.NewRaw("UPDATE collected_payments SET refunded_minor = ?, withdrawn_minor = ?, disputes = nullif(?, '')::jsonb, changed_at = ? WHERE gateway = ? AND ref = ?",
		row.RefundedMinor, row.WithdrawnMinor, row.Disputes, tx.Now(), d.Taker.Code, p.Ref).Exec(ctx)
	if err != nil || len(moves) == 0 {
		return change{outcome: "known"}, err
	}
	return d.bookCollected(ctx, tx, of, p.Ref, moves)
}

// collected is the payment's row, made where it is new, on the terms of its begin.
func (d *Desk) collected(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, p seen, terms CollectionTerms) (row collectedRow, err error) {
	fee, err := terms.Fee.Of(p.Received)
	if err != nil {
		return row, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return row, err
	}
	_, err = tx.NewRaw(`INSERT INTO collected_payments (gateway, ref, id, tenant_id, key, reference, currency, amount_minor, fee_minor, came_at, free_at, changed_at)
		VALUES (?0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?9) ON CONFLICT DO NOTHING`,
		d.Taker.Code, p.Ref, id, of, p.Key, p.Reference, p.Received.Currency, p.Received.Minor, fee.Minor, tx.Now(), tx.Now().AddDate(0, 0, terms.HoldDays)).Exec(ctx)
	if err != nil {
		return row, err
	}
	err = tx.NewRaw("SELECT id, currency, amount_minor, fee_minor, refunded_minor, withdrawn_minor, coalesce(disputes::text, '') AS disputes FROM collected_payments WHERE gateway = ? AND ref = ?", d.Taker.Code, p.Ref).Scan(ctx, &row)
	return row, err
}

// movesOf is what a payment moves that did not move yet.
func (d *Desk) movesOf(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, p seen, row *collectedRow) (all []movement, err error) {
	code := d.Taker.Code
	keys := []string{code + "/payment/" + p.Ref, code + "/fee/" + p.Ref}
	for _, r := range p.refunds {
		keys = append(keys, code+"/refund/"+r.Ref, code+"/refund/"+r.Ref+"/returned")
	}
	known, err := movedBefore(ctx, tx, keys)
	if err != nil {
		return nil, err
	}
	number := p.Reference
	if number == "" {
		number = p.Ref
	}
	add := func(kind, key, note string, minor int64, posted []billing.Posting) {
		if minor != 0 && !known[code+"/"+key] {
			all = append(all, movement{Key: code + "/" + key, TenantID: of.Number(), Kind: kind, Currency: row.Currency, Minor: minor, Note: note, By: "payments", moves: posted})
		}
	}
	m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: row.Currency} }
	add("collected", "payment/"+p.Ref, number, row.AmountMinor, billing.PostCollected(code, m(row.AmountMinor)))
	add("fee", "fee/"+p.Ref, number, -row.FeeMinor, billing.PostCollectionFee(m(row.FeeMinor)))
	row.RefundedMinor = 0
	for _, r := range p.refunds {
		key, n := "refund/"+r.Ref, r.Amount.Minor
		failed := r.State == gateway.Failed || r.State == gateway.Cancelled
		switch {
		case r.Amount.Currency != row.Currency || n <= 0 || failed && !known[code+"/"+key]: // nothing ever went back
		case failed: // the customer's bank sent back what had been sent
			add("customer_refund", key+"/returned", number, n, billing.PostCollected(code, m(n)))
		default:
			add("customer_refund", key, number, -n, billing.PostCollected(code, m(-n)))
			row.RefundedMinor += n
		}
	}
	return all, row.hear(p.disputes, tx.Now(), func(k gateway.Disputed, minor int64) {
		add("dispute", fmt.Sprintf("dispute/%s/%d", k.Ref, k.Booked), number, minor, billing.PostCollected(code, m(minor)))
	})
}

// hear works what the gateway says of disputes into what is known, and tells what moved.
func (r *collectedRow) hear(said []gateway.Dispute, now time.Time, moved func(k gateway.Disputed, minor int64)) error {
	var known []gateway.Disputed
	if r.Disputes != "" {
		if err := json.Unmarshal([]byte(r.Disputes), &known); err != nil {
			return fmt.Errorf("read disputes: %w", err)
		}
	}
	for _, gd := range said {
		if gd.Amount.Currency != r.Currency {
			return fmt.Errorf("dispute %s is about %s and the payment about %s", gd.Ref, gd.Amount.Currency, r.Currency)
		}
		var news gateway.DisputeNews
		known, news = gateway.Hear(known, gd, now)
		if news.Withdrawn != 0 {
			r.WithdrawnMinor += news.Withdrawn
			moved(news.Now, -news.Withdrawn)
		}
	}
	if len(known) > 0 {
		kept, err := json.Marshal(known)
		if err != nil {
			return err
		}
		r.Disputes = string(kept)
	}
	return nil
}

// movedBefore are those keys that moved a balance already.
func movedBefore(ctx context.Context, tx *tenancy.CentralTx, keys []string) (map[string]bool, error) {
	list, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	var rows []struct{ Key string }
	err = tx.NewRaw("SELECT key FROM balance_movements WHERE key IN (SELECT jsonb_array_elements_text(?::jsonb))", string(list)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("look for movements: %w", err)
	}
	known := make(map[string]bool, len(rows))
	for _, r := range rows {
		known[r.Key] = true
	}
	return known, nil
}

// bookCollected moves the balance, pays from it what is owed, and tells staff of one that
// is less than nothing now.
func (d *Desk) bookCollected(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, ref string, moves []movement) (c change, err error) {
	if err := move(ctx, tx, moves); err != nil {
		return c, err
	}
	var now struct {
		Balance int64
		Stage   billing.LimitStage
	}
	if err := tx.NewRaw("SELECT balance_minor AS balance, limit_stage AS stage FROM reseller_profiles WHERE tenant_id = ?", of).Scan(ctx, &now); err != nil {
		return c, err
	}
	var moved int64
	for _, m := range moves {
		moved += m.Minor
	}
	c = change{outcome: "booked", watch: now.Stage != billing.LimitFine || now.Balance < 0}
	if now.Balance < 0 && now.Balance-moved >= 0 {
		left := billing.Money{Minor: now.Balance, Currency: moves[0].Currency}
		_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: "balance.negative " + moves[len(moves)-1].Key, Tenant: of, Kind: "balance.negative",
			Text: "More went back of a reseller's payments than is on its balance: it owes the platform " + billing.Money{Minor: -left.Minor, Currency: left.Currency}.Format("en") + ".", Detail: map[string]string{"balance": left.String(), "payment": ref}})
		if err != nil {
			return c, err
		}
	}
	return c, draw(ctx, tx, of)
}

// Waiting is how many payments shops have told of that were not looked at, and since when
// the first of them.
func (d *Desk) Waiting(ctx context.Context) (n int, since time.Time, err error) {
	var row struct {
		N     int
		Since time.Time
	}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT count(*) AS n, min(told_at) AS since FROM collected_news").Scan(ctx, &row)
	})
	if err != nil {
		return 0, since, fmt.Errorf("what was collected and is not booked: %w", err)
	}
	return row.N, row.Since, nil
}

// collectedWrong says where what was taken for a reseller is not what moved its balance.
func collectedWrong(ctx context.Context, tx *tenancy.CentralTx) (wrong []string, err error) {
	err = tx.NewRaw(`SELECT 'what was taken for reseller ' || tenant_id || ' comes to ' || coalesce(c.came, 0) || ' (minor units), and moved its balance by ' || coalesce(m.moved, 0)
		FROM (SELECT tenant_id, sum(amount_minor - fee_minor - refunded_minor - withdrawn_minor) AS came FROM collected_payments GROUP BY tenant_id) c
		FULL JOIN (SELECT tenant_id, sum(amount_minor) AS moved FROM balance_movements WHERE kind IN ('collected', 'fee', 'customer_refund', 'dispute') GROUP BY tenant_id) m USING (tenant_id)
		WHERE coalesce(c.came, 0) <> coalesce(m.moved, 0) ORDER BY tenant_id`).Scan(ctx, &wrong)
	if err != nil {
		return nil, fmt.Errorf("compare what was collected: %w", err)
	}
	return wrong, nil
}
