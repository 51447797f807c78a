package invoicing

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/settings"
)

// TopUp is credit a customer wants to pay ahead.
type TopUp struct {
	Key       string // natural key: the form's
	AccountID uuid.UUID
	Amount    billing.Money
	Gift      bool // it becomes a gift code, and not the account's credit

	late string // key of one that came by itself, see Late
}

// Bounds of a top-up, in whole units of its currency, and how long it waits for its money.
const (
	leastTopUp  = 1
	mostTopUp   = 10_000
	topUpLapses = 7 * 24 * time.Hour
)

// TopUpAgenda is the kind under which a shop says when top-ups lapse that nobody paid.
const TopUpAgenda = "top_ups"

// outside is the rule of what is no sale.
func outside() billing.TaxRule {
	return billing.TaxRule{Category: "O", Note: "Paid ahead: nothing is sold yet, and no tax is due. What is bought with it is invoiced with its tax."}
}

// AskTopUp makes the document of a top-up, which is paid like an invoice: it gets a number
// of a series of its own, and nothing moves in the books before its money comes. Asking
// again with the key gets the same one. Faults: account.not_found, credit.account_closed,
// top_up.bad_amount.
func AskTopUp(ctx context.Context, db *tenancy.DB, t TopUp, by audit.Origin) (inv Invoice, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := t.check(ctx, tx); err != nil {
			return err
		}
		series, err := lockSeries(ctx, tx, SeriesTopUp)
		if err != nil {
			return err
		}
		if known, err := ByKey(ctx, tx, t.key()); err == nil || !fault.Is(err, "invoice.not_found") {
			inv = known
			return err
		}
		if inv, err = t.issue(ctx, tx, series); err != nil {
			return err
		}
		if err := tx.AdvanceAgenda(ctx, TopUpAgenda, inv.DueAt); err != nil {
			return err
		}
		return by.Record(ctx, tx, "credit.top_up_asked", audit.Target{Kind: "invoice", ID: inv.ID.String()}, map[string]any{"number": inv.Number, "amount": inv.Total.String()})
	})
	return inv, err
}

func (t TopUp) key() string {
	if t.late != "" {
		return t.late
	}
	if t.Gift {
		return giftKey + t.AccountID.String() + "/" + t.Key
	}
	return "top_up/" + t.AccountID.String() + "/" + t.Key
}

// giftKey begins the keys of top-ups that become gift codes.
const giftKey = "gift/"

func (t TopUp) check(ctx context.Context, tx *tenancy.Tx) error {
	one, err := billing.Parse("1", t.Amount.Currency)
	if err != nil {
		return fault.Field("amount", "top_up.bad_amount", "Give an amount.")
	}
	least, most := billing.Money{Minor: leastTopUp * one.Minor, Currency: one.Currency}, billing.Money{Minor: mostTopUp * one.Minor, Currency: one.Currency}
	if t.Amount.Minor < least.Minor || t.Amount.Minor > most.Minor {
		return fault.Field("amount", "top_up.bad_amount", "Give an amount from "+least.Format("en")+" to "+most.Format("en")+".")
	}
	var closed bool
	err = tx.NewRaw("SELECT closed_at IS NOT NULL FROM accounts WHERE id = ?", t.AccountID).Scan(ctx, &closed)
	switch {
	case tenancy.IsNoRows(err):
		return fault.New(fault.NotFound, "account.not_found", "There is no such account.")
	case err != nil:
		return fmt.Errorf("read the account of a top-up: %w", err)
	case closed:
		return fault.New(fault.Conflict, "credit.account_closed", "This account is closed. It gets no credit any more.")
	}
	return nil
}

func (t TopUp) issue(ctx context.Context, tx *tenancy.Tx, series seriesRow) (Invoice, error) {
	seller, err := settings.BillingOf(ctx, tx)
	if err != nil {
		return Invoice{}, err
	}
	d := Draft{Key: t.key(), AccountID: t.AccountID, Currency: t.Amount.Currency, DueAt: tx.Now().Add(topUpLapses)}
	buyers, err := buyersOf(ctx, tx, []Draft{d})
	if err != nil {
		return Invoice{}, err
	}
	buyer, nothing := buyers[t.AccountID], billing.Money{Currency: t.Amount.Currency}
	line := billing.Line{Kind: document.TopUp, Description: "Credit, paid ahead", Quantity: 1, Unit: t.Amount, Net: t.Amount, Tax: outside()}
	if t.Gift {
		line.Description = "Gift code"
	}
	inv, err := d.invoice(Priced{Net: t.Amount, Tax: nothing, Total: t.Amount}, buyer.accountName, written(seller.Pattern(SeriesTopUp), series.Next, tx.Now()), tx.Now())
	if err != nil {
		return Invoice{}, err
	}
	inv.Kind = document.TopUp
	doc := document.Document{
		Version: document.Version, Kind: inv.Kind, Number: inv.Number, IssuedAt: inv.IssuedAt, DueAt: inv.DueAt, Locale: buyer.locale, TimeZone: buyer.timeZone,
		Currency: inv.Currency, Seller: party(seller), Buyer: buyer.Party, CustomerNo: buyer.number, NetMinor: inv.Net.Minor, TotalMinor: inv.Total.Minor, Footer: seller.Footer,
	}
	doc.Put([]billing.Line{line}, []billing.TaxSum{{Rule: line.Tax, Net: t.Amount, Tax: nothing}})
	n := issued{Invoice: inv, sequence: series.Next, doc: doc, ledgerKey: "top_up/" + inv.ID.String()}
	return inv, store(ctx, tx, book{code: SeriesTopUp, pattern: seller.Pattern(SeriesTopUp), seriesRow: series}, []issued{n})
}

// toppedUp makes credit of the money of a top-up, or a gift code.
func toppedUp(ctx context.Context, tx *tenancy.Tx, inv Invoice, a Application) error {
	if strings.HasPrefix(inv.Key, giftKey) {
		return credit.SellGift(ctx, tx, a.PaymentID, inv.AccountID, a.Gateway, a.Amount)
	}
	note, err := lateNote(ctx, tx, inv.Key)
	if err != nil {
		return err
	}
	if note == "" {
		note = inv.Number
	}
	_, err = credit.Give(ctx, tx, credit.New{Key: paidKey(a.PaymentID), AccountID: inv.AccountID, Kind: credit.TopUp, Bought: true, From: billing.Cash(a.Gateway), Amount: a.Amount, SourceID: a.PaymentID, Note: note, Event: paidKey(a.PaymentID)})
	return err
}

func paidKey(payment uuid.UUID) string { return "payment/" + payment.String() }

// WithdrawTopUp takes what is to go back of a top-up's payment out of the credit it became,
// once a refund. Money that was spent cannot go back, unless it has gone already (gone):
// then what is missing is the shop's loss. Of a gift code all goes back or nothing, and
// nothing once it is redeemed. Faults: credit.spent, gift.redeemed, gift.whole.
func WithdrawTopUp(ctx context.Context, tx *tenancy.Tx, payment, refund uuid.UUID, amount billing.Money, gone bool, actor string) error {
	if sold, err := credit.WithdrawGift(ctx, tx, payment, refund, amount, gone); err != nil || sold {
		return err
	}
	return credit.Withdraw(ctx, tx, credit.IDOf(paidKey(payment)), refund, amount, gone, actor)
}

// RestoreTopUp puts back what was withdrawn for a refund that failed, once.
func RestoreTopUp(ctx context.Context, tx *tenancy.Tx, payment, refund uuid.UUID, amount billing.Money) error {
	if sold, err := credit.RestoreGift(ctx, tx, payment, refund, amount); err != nil || sold {
		return err
	}
	return credit.Restore(ctx, tx, credit.IDOf(paidKey(payment)), refund, amount)
}

// ContestCredit has credit follow the disputes about its payment: what a top-up became, or what
// of an invoice's money became credit in place of going back. Away is what banks hold or took of
// it, gone what of that is lost for good. Fault: invoice.not_found.
func ContestCredit(ctx context.Context, tx *tenancy.Tx, invoice, payment uuid.UUID, away, gone int64) error {
	inv, err := lock(ctx, tx, invoice)
	switch {
	case err != nil:
		return err
	case inv.Kind != document.TopUp:
		return credit.ContestRefunds(ctx, tx, payment, away, gone)
	}
	return credit.Contest(ctx, tx, payment, credit.IDOf(paidKey(payment)), away, gone)
}

// LapseTopUps cancels top-ups whose money has not come in time and is not under way, and
// sets the agenda anew. Money that comes later is credit all the same.
func LapseTopUps(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`UPDATE invoices i SET state = 'void', changed_at = ? WHERE kind = 'top_up' AND state = 'open' AND paid_minor = 0 AND due_at <= ?
			AND NOT EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id AND p.state IN ('created', 'requires_action', 'processing'))`, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("lapse top-ups: %w", err)
		}
		for range 2 { // the first waits for others who set it; what they committed is seen by the second
			var next struct{ At time.Time }
			if err := tx.NewRaw("SELECT min(greatest(due_at, ?)) AS at FROM invoices WHERE kind = 'top_up' AND state = 'open'", tx.Now().Add(time.Hour)).Scan(ctx, &next); err != nil {
				return fmt.Errorf("look for top-ups: %w", err)
			}
			if err := tx.SetAgenda(ctx, TopUpAgenda, next.At); err != nil {
				return err
			}
		}
		return nil
	})
}
