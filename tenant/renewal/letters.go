package renewal

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/payment"
)

// Mailer takes letters within a transaction; mail.Outbox does.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// manyMailer takes many letters at the cost of a few; mail.Outbox does.
type manyMailer interface {
	EnqueueAll(ctx context.Context, tx *tenancy.Tx, all []mail.Message) error
}

// message is a letter without the name and address it goes to. Amounts are written for
// the customer.
type message struct {
	key      string
	template string
	data     map[string]string
	amounts  map[string]billing.Money
}

// posted is a letter to an account.
type posted struct {
	account uuid.UUID
	message
}

// letter writes to whom the account's invoices go, with a copy for whom the account chose. An account without an address is not
// written to.
func (d *Desk) letter(ctx context.Context, tx *tenancy.Tx, s Subscription, m message) error {
	return d.post(ctx, tx, []posted{{s.AccountID, m}})
}

// post is letter for many.
func (d *Desk) post(ctx context.Context, tx *tenancy.Tx, all []posted) error {
	if len(all) == 0 {
		return nil
	}
	ids := make([]uuid.UUID, len(all))
	for i, m := range all {
		ids[i] = m.account
	}
	parties, err := account.ForInvoices(ctx, tx, ids)
	if err != nil {
		return err
	}
	readers, err := account.ReadersOf(ctx, tx, ids, account.AboutMoney)
	if err != nil {
		return err
	}
	var mails []mail.Message
	for _, m := range all {
		to := parties[m.account]
		if to.Email == "" {
			continue
		}
		m.data["name"] = to.Name
		for key, amount := range m.amounts {
			m.data[key] = amount.Format(to.Locale)
		}
		mails = append(mails, mail.Message{Key: m.key, Template: m.template, To: to.Email, Data: m.data})
		for _, r := range readers[m.account] {
			if r.Email == to.Email {
				continue
			}
			data := maps.Clone(m.data)
			data["name"] = r.Name
			err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: m.key + "/" + r.ID.String(), Template: m.template, To: r.Email, Data: data})
			if err != nil && !fault.Is(err, "mail.bad_address") {
				return err
			}
		}
	}
	if many, ok := d.Mail.(manyMailer); ok && len(mails) > 1 {
		return many.EnqueueAll(ctx, tx, mails)
	}
	for _, m := range mails {
		if err := d.Mail.Enqueue(ctx, tx, m); err != nil {
			return err
		}
	}
	return nil
}

// date is a day as the customer counts them.
func (s Subscription) date(t time.Time) string { return t.In(s.Zone()).Format("2 January 2006") }

// what is what a letter calls the subscription.
func (s Subscription) what() string {
	if s.ServiceName != "" && s.ServiceName != s.Label {
		return s.Label + " (" + s.ServiceName + ")"
	}
	return s.Label
}

// what is what a letter calls all that stands on an invoice.
func (b bill) what(s Subscription) string {
	if b.Others > 0 {
		return s.what() + " and " + strconv.Itoa(b.Others) + " more"
	}
	return s.what()
}

func (s Subscription) path() string { return "/client/subscriptions/" + s.ID.String() }

// payLink is where a letter leads to: to paying without signing in.
func (d *Desk) payLink(tx *tenancy.Tx, invoice uuid.UUID, from payment.Letter) string {
	if d.Links == nil {
		return "/client/invoices/" + invoice.String() + "/pay"
	}
	return d.Links.Path(tx.TenantID(), invoice, from, tx.Now().Add(payment.LinkHolds))
}

func letterCancelled(s Subscription, at string) message {
	return message{
		key: "subscription/" + s.ID.String() + "/cancelled/" + at, template: mail.SubscriptionCancelled,
		data: map[string]string{"what": s.what(), "ends": s.date(s.CancelAt), "link": s.path()},
	}
}

func letterEnded(s Subscription, why ending) message {
	return message{
		key: "subscription/" + s.ID.String() + "/ended", template: mail.SubscriptionEnded,
		data: map[string]string{"what": s.what(), "reason": string(why), "link": s.path()},
	}
}

func letterSuspended(s Subscription, b bill, ends time.Time, link string) message {
	return message{
		key: "invoice/" + b.InvoiceID.String() + "/suspended", template: mail.ServiceSuspendedUnpaid,
		data:    map[string]string{"what": b.what(s), "number": b.Number, "ends": s.date(ends), "link": link},
		amounts: map[string]billing.Money{"open": b.owed()},
	}
}

// letterEnding says when what is off will end.
func letterEnding(s Subscription, b bill, ends time.Time, link string) message {
	return message{
		key: "invoice/" + b.InvoiceID.String() + "/ending", template: mail.SubscriptionEnding,
		data:    map[string]string{"what": b.what(s), "number": b.Number, "ends": s.date(ends), "link": link},
		amounts: map[string]billing.Money{"open": b.owed()},
	}
}

// letterDays is when a customer without a method is asked to pay, counted as the days of
// the schedule.
func letterDays() []time.Duration { return []time.Duration{0, 3 * day, 5 * day} }

// askToPay writes to a customer without a method on the letters' days.
func (d *Desk) askToPay(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill) error {
	n := lastLetter(b, tx.Now())
	if n < 0 || s.State == Suspended {
		return nil
	}
	m := message{
		key: "invoice/" + b.InvoiceID.String() + "/due/" + strconv.Itoa(n), template: mail.InvoiceDue,
		data: map[string]string{
			"what": b.what(s), "number": b.Number, "due": s.date(b.DueAt), "off": s.date(b.base().Add(p.dunning(s, b).SuspendAfter)), "link": d.payLink(tx, b.InvoiceID, payment.LetterDue),
			"fee": "", "fee_on": "", "week": p.offersWeek(s, b),
		},
		amounts: map[string]billing.Money{"open": b.owed()},
	}
	if fee, at := p.fee(b); !at.IsZero() {
		m.amounts["fee"], m.data["fee_on"] = fee, s.date(at)
	}
	return d.letter(ctx, tx, s, m)
}

// offersWeek is "yes" in a letter about an invoice for which a week more can be had.
func (p Policy) offersWeek(s Subscription, b bill) string {
	if b.WeekAt.IsZero() && p.whyNot(s.State, false) == nil {
		return "yes"
	}
	return ""
}

// lastLetter is the last of the letters whose day has come; -1 before it is due.
func lastLetter(b bill, now time.Time) int {
	n := -1
	for i, after := range letterDays() {
		if !now.Before(b.base().Add(after)) {
			n = i
		}
	}
	return n
}

// nextLetter is when a customer without a method would be written to again; zero: not
// any more.
func nextLetter(b bill, now time.Time) time.Time {
	if n := lastLetter(b, now) + 1; n < len(letterDays()) {
		return b.base().Add(letterDays()[n])
	}
	return time.Time{}
}

// letterFailed says that a charge failed, with the bank's words and what comes next.
func (d *Desk) letterFailed(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill, f payment.FailedTry, step billing.Step) (message, error) {
	var reason string
	if f.PaymentID != uuid.Nil {
		err := tx.NewRaw("SELECT decline_text FROM payments WHERE id = ?", f.PaymentID).Scan(ctx, &reason)
		if err != nil && !tenancy.IsNoRows(err) {
			return message{}, fmt.Errorf("read why it failed: %w", err)
		}
	}
	again, ask := "", ""
	switch {
	case !step.Next.IsZero():
		again = s.date(step.Next)
	case step.Replace:
		ask = "replace"
	case step.Confirm:
		ask = "confirm"
	}
	try := strconv.Itoa(f.Try)
	if f.MethodID != uuid.Nil {
		try = f.MethodID.String()
	}
	return message{
		key: "invoice/" + b.InvoiceID.String() + "/failed/" + try, template: mail.PaymentFailed,
		data:    map[string]string{"what": b.what(s), "number": b.Number, "reason": reason, "next": again, "ask": ask, "week": p.offersWeek(s, b), "link": d.payLink(tx, b.InvoiceID, payment.LetterFailed)},
		amounts: map[string]billing.Money{"amount": b.owed()},
	}, nil
}
