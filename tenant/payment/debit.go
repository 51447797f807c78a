package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Debits is how a shop collects from its customers' bank accounts.
type Debits struct {
	On         bool
	NoticeDays int  // so long before it is collected a debit is announced
	AtOnce     bool // what is ordered begins while the first debit is under way, and not only when it came
	Code       string
}

// How many days before it a debit may be announced; the mandate's words say how many.
const (
	defaultNotice = 2
	mostNotice    = 14
)

// debitsOf reads what a gateway's settings say.
func debitsOf(g Configured) Debits {
	d := Debits{On: g.On && g.Public["debits"] == "on", AtOnce: g.Public["debit_start"] == "at_once", NoticeDays: defaultNotice, Code: g.Code}
	if n, err := strconv.Atoi(g.Public["debit_notice"]); err == nil && n >= 1 && n <= mostNotice {
		d.NoticeDays = n
	}
	return d
}

// DebitsOf is how the shop collects from bank accounts through a gateway.
func DebitsOf(ctx context.Context, tx *tenancy.Tx, code string) (Debits, error) {
	var r gatewayRow
	err := tx.NewRaw("SELECT "+gatewayColumns+" FROM gateways WHERE code = ?", code).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Debits{NoticeDays: defaultNotice}, nil
	}
	if err != nil {
		return Debits{}, fmt.Errorf("read gateway %.20q: %w", code, err)
	}
	g, err := r.configured()
	return debitsOf(g), err
}

// MandateText is what the owner of a bank account agrees to: the words of Stripe, in whose
// name and for whom it collects.
func MandateText(creditor string, noticeDays int) string {
	return fmt.Sprintf("By giving my account number and agreeing here I authorise (A) %[1]s and Stripe, its payment service provider, to send instructions to my bank to debit my account, and (B) my bank to debit my account in accordance with those instructions. "+
		"I am entitled to a refund from my bank under the terms and conditions of my agreement with it. A refund must be claimed within 8 weeks from the date on which my account was debited. "+
		"My rights are explained in a statement that I can obtain from my bank. I agree to be told of debits up to %[2]s before they occur.", creditor, days(noticeDays))
}

func days(n int) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.Itoa(n) + " days"
}

// Mandate is what the owner of a bank account agreed to, as it is kept with the method.
type Mandate struct {
	gateway.Mandate
	Text     string    `json:"text"`
	AgreedAt time.Time `json:"agreed_at"`
	IP       string    `json:"ip"`
}

// AgreeRequest is the owner of a bank account giving a mandate.
type AgreeRequest struct {
	AccountID    uuid.UUID
	Gateway      string
	Holder, IBAN string
	Agreed       bool // to the text of the mandate
	Browser      string
	// Form names the form it was given on, which may be sent more than once; empty: another
	// mandate is given each time.
	Form string
	By   audit.Origin
}

// check says at the fields what cannot be.
func (r *AgreeRequest) check() error {
	wrong := map[string]string{}
	r.Holder = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(r.Holder, ""), "\x00", "")), " ")
	if n := len([]rune(r.Holder)); n < 2 || n > 70 {
		wrong["debit_holder"] = "Give the name the account is under."
	}
	r.IBAN = strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(r.IBAN, " ", ""), "\u00a0", ""))
	if !billing.IsIBAN(r.IBAN) {
		wrong["debit_iban"] = "This is not a valid IBAN. Please look at it again."
	}
	if !r.Agreed {
		wrong["debit_agree"] = "An account can be debited only with your mandate."
	}
	return fault.Fields("debit.invalid", wrong)
}

var errNoDebits = fault.New(fault.NotFound, "debit.not_offered", "Paying from a bank account is not offered here.")

// Agree has a customer's bank account kept with its mandate, writes to them what they
// agreed to, and says which overdue invoices are charged to it. The number of the account
// goes to the gateway and is not kept. What one form says of one bank account is one
// mandate, however often it is sent. Faults: debit.invalid, debit.not_offered,
// debit.refused, gateway.unavailable.
func (d *Desk) Agree(ctx context.Context, db *tenancy.DB, r AgreeRequest) (m Method, charged []Charging, err error) {
	if err := r.check(); err != nil {
		return m, nil, err
	}
	gw, set, err := d.Open(ctx, db, r.Gateway)
	if err != nil {
		return m, nil, unavailable(err)
	}
	by, can := gw.(gateway.Debitor)
	terms := debitsOf(set)
	if !can || !terms.On {
		return m, nil, errNoDebits
	}
	a := gateway.Agreement{Holder: r.Holder, IBAN: r.IBAN, IP: r.By.IP, Browser: r.Browser}
	kept := Mandate{IP: r.By.IP}
	var g given
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		party, err := account.ForInvoice(ctx, tx, r.AccountID)
		if err != nil {
			return err
		}
		if party.Currency != debitCurrency {
			return errNoDebits
		}
		seller, err := settings.BillingOf(ctx, tx)
		if err != nil {
			return err
		}
		a.Customer, err = customer(ctx, tx, r.AccountID, r.Gateway)
		if err != nil {
			return err
		}
		if g, m, err = giving(ctx, tx, r); err != nil || m.ID != uuid.Nil {
			return err
		}
		kept.Text, kept.AgreedAt, a.At = MandateText(seller.Company, terms.NoticeDays), g.at, g.at
		return nil
	})
	if err != nil || m.ID != uuid.Nil {
		return m, nil, err
	}
	if a.IP == "" {
		a.IP = "127.0.0.1" // a job of ours, in tests and the demo
	}
	if a.Browser == "" {
		a.Browser = "unknown"
	}
	a.Key = setupKey(r.AccountID, g.id)
	s, err := by.Agree(ctx, a)
	switch {
	case err != nil:
		return m, nil, unavailable(d.noteRefusedKeys(ctx, db, r.Gateway, err))
	case s.State != gateway.Succeeded || s.Method == nil || s.Method.Mandate == nil:
		text := "The bank account could not be kept. Please look at its number again, or pay in another way."
		if s.Decline != nil {
			text = s.Decline.Text
		}
		return m, nil, fault.Field("debit_iban", "debit.refused", text)
	}
	kept.Mandate = *s.Method.Mandate
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if m, err = g.kept(ctx, tx, r.AccountID); err != nil || m.ID != uuid.Nil {
			return err
		}
		if m, charged, err = d.keepMandate(ctx, tx, r, *s.Method, kept); err != nil {
			return err
		}
		return g.became(ctx, tx, m)
	})
	return m, charged, err
}

// debitCurrency is the only one SEPA knows.
const debitCurrency = "EUR"

// keepMandate saves a bank account with what was agreed. One and the same account has one
// mandate: the newest.
func (d *Desk) keepMandate(ctx context.Context, tx *tenancy.Tx, r AgreeRequest, gm gateway.Method, kept Mandate) (m Method, charged []Charging, err error) {
	if charged, err = keepNewMethod(ctx, tx, r.AccountID, r.Gateway, gm); err != nil {
		return m, nil, err
	}
	if err := takePlace(ctx, tx, r, gm.Ref, kept.Account); err != nil {
		return m, nil, err
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return m, nil, err
	}
	if _, err := tx.NewRaw("UPDATE payment_methods SET mandate = ?::jsonb WHERE gateway = ? AND ref = ?", string(text), r.Gateway, gm.Ref).Exec(ctx); err != nil {
		return m, nil, fmt.Errorf("keep a mandate: %w", err)
	}
	if m, _, err = oneMethod(ctx, tx, "m.gateway = ? AND m.ref = ?", r.Gateway, gm.Ref); err != nil {
		return m, nil, err
	}
	err = d.writeToCustomer(ctx, tx, r.AccountID, mail.DebitMandate, "mandate/"+m.ID.String(), map[string]string{
		"method": m.Label, "reference": kept.Reference, "text": kept.Text, "link": "/client/payment-methods",
	})
	if err != nil {
		return m, nil, err
	}
	return m, charged, r.By.Record(ctx, tx, "payment_method.mandate_given", audit.Target{Kind: "account", ID: r.AccountID.String()},
		map[string]any{"method": m.Label, "reference": kept.Reference, "charged": len(charged)})
}

// takePlace has a new mandate for a bank account take the place of those before it, also
// where one of them was chosen.
func takePlace(ctx context.Context, tx *tenancy.Tx, r AgreeRequest, ref, bankAccount string) error {
	_, err := tx.NewRaw(`WITH new AS (SELECT id FROM payment_methods WHERE gateway = ?2 AND ref = ?3), old AS (SELECT id FROM payment_methods WHERE account_id = ?1 AND gateway = ?2 AND ref <> ?3 AND mandate->>'account' = ?4),
		of AS (UPDATE subscriptions SET method_id = (SELECT id FROM new), changed_at = ?0 WHERE method_id IN (SELECT id FROM old))
		UPDATE accounts SET default_method_id = (SELECT id FROM new), changed_at = ?0 WHERE default_method_id IN (SELECT id FROM old)`, tx.Now(), r.AccountID, r.Gateway, ref, bankAccount).Exec(ctx)
	if err != nil {
		return fmt.Errorf("take the place of a mandate: %w", err)
	}
	return forgetRow(ctx, tx, "account_id = ? AND gateway = ? AND ref <> ? AND mandate->>'account' = ?", r.AccountID, r.Gateway, ref, bankAccount)
}

// writeToCustomer writes to whom an account's invoices go, and to whom it wants copies to go.
func (d *Desk) writeToCustomer(ctx context.Context, tx *tenancy.Tx, of uuid.UUID, template, key string, data map[string]string) error {
	if d.Mail == nil {
		return nil
	}
	to, err := account.ForInvoice(ctx, tx, of)
	if err != nil || to.Email == "" {
		return err
	}
	copies, err := account.Copies(ctx, tx, of, to.Email)
	if err != nil {
		return err
	}
	data["name"] = to.Name
	if err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key, Template: template, To: to.Email, Data: data}); err != nil {
		return err
	}
	for _, c := range copies {
		data["name"] = c.Name
		err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key + "/" + c.ID.String(), Template: template, To: c.Email, Data: data})
		if err != nil && !fault.Is(err, "mail.bad_address") {
			return err
		}
	}
	return nil
}

// announce tells a customer, once an invoice and amount, that it will be collected from
// their bank account, and says from when on it may be: not before the days of notice are
// over, nor before it is due. A customer who is just paying it is told, and need not wait.
func (d *Desk) announce(ctx context.Context, tx *tenancy.Tx, inv invoice, m Method, there bool) (time.Time, error) {
	key := "invoice/" + inv.ID.String() + "/debit/" + strconv.FormatInt(inv.DueMinor, 10)
	var told struct {
		At, DueAt time.Time
		Zone      string
	}
	err := tx.NewRaw(`SELECT coalesce((SELECT at FROM timeline WHERE key = ?), ?) AS at, i.due_at, a.time_zone AS zone FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE i.id = ?`,
		key, time.Time{}, inv.ID).Scan(ctx, &told)
	if err != nil {
		return time.Time{}, fmt.Errorf("look for the announcement of a debit: %w", err)
	}
	terms, err := DebitsOf(ctx, tx, m.Gateway)
	if err != nil {
		return time.Time{}, err
	}
	fresh := told.At.IsZero()
	if fresh {
		told.At = tx.Now()
	}
	from := told.At.Add(time.Duration(terms.NoticeDays) * 24 * time.Hour)
	if from.Before(told.DueAt) {
		from = told.DueAt
	}
	if there {
		from = tx.Now()
	}
	if !fresh {
		return from, nil
	}
	amount := billing.Money{Minor: inv.DueMinor, Currency: inv.Currency}.Format("en")
	zone, err := time.LoadLocation(told.Zone)
	if err != nil {
		zone = time.UTC
	}
	on := from.In(zone).Format("2 January 2006")
	err = activity.Tell(ctx, tx, activity.Event{
		Key: key, AccountID: inv.AccountID, SubjectKind: activity.Invoice, SubjectID: inv.ID, Kind: "payment.debit_announced", CustomerSees: true,
		Text: amount + " for invoice " + inv.Number + " will be collected from " + m.Label + " on " + on + " or shortly after.",
	})
	if err != nil {
		return from, err
	}
	return from, d.writeToCustomer(ctx, tx, inv.AccountID, mail.DebitAnnounced, key, map[string]string{
		"number": inv.Number, "amount": amount, "on": on, "method": m.Label, "reference": m.Mandate.Reference, "link": "/client/invoices/" + inv.ID.String(),
	})
}

// waitsForNotice announces a debit, and has the job come again when the customer has had
// notice of it. It reports false once they have.
func (d *Desk) waitsForNotice(ctx context.Context, tx *tenancy.Tx, inv invoice, m Method, job ChargeJob) (bool, error) {
	from, err := d.announce(ctx, tx, inv, m, false)
	if err != nil || !tx.Now().Before(from) {
		return false, err
	}
	_, err = tx.Enqueue(ctx, job, tenancy.JobOptions{Key: job.key() + "/from/" + strconv.FormatInt(from.Unix(), 10), At: from})
	return true, err
}

// announceNow tells of a debit that a customer begins just now.
func (d *Desk) announceNow(ctx context.Context, tx *tenancy.Tx, p Payment) error {
	if p.MethodID == uuid.Nil || p.State != gateway.Created {
		return nil
	}
	m, err := methodByID(ctx, tx, p.MethodID)
	if err != nil || m.Mandate == nil {
		return err
	}
	_, err = d.announce(ctx, tx, invoice{ID: p.InvoiceID, AccountID: p.AccountID, Number: p.Invoice, Currency: p.Amount.Currency, DueMinor: p.Amount.Minor}, m, true)
	return err
}

// UnderWayJob follows on the debit of an invoice that its bank was sent, where the shop
// lets what is ordered begin with that.
type UnderWayJob struct {
	InvoiceID uuid.UUID `json:"invoice_id"`
}

// Kind names the job.
func (UnderWayJob) Kind() string { return "payment.under_way" }

// sent tells that a debit is under way, and has what was ordered begin where the shop
// trusts in it.
func sent(ctx context.Context, tx *tenancy.Tx, p Payment) error {
	if p.MethodKind != gateway.DirectDebit {
		return nil
	}
	err := activity.Tell(ctx, tx, activity.Event{
		Key: "payment/" + p.ID.String() + "/sent", AccountID: p.AccountID, SubjectKind: activity.Invoice, SubjectID: p.InvoiceID, Kind: "payment.debit_sent", CustomerSees: true,
		Text: p.Amount.Format("en") + " for invoice " + p.Invoice + " are being collected from " + p.Method + ". The bank takes some days.",
	})
	if err != nil {
		return err
	}
	terms, err := DebitsOf(ctx, tx, p.Gateway)
	if err != nil || !terms.AtOnce {
		return err
	}
	_, err = tx.Enqueue(ctx, UnderWayJob{InvoiceID: p.InvoiceID}, tenancy.JobOptions{Key: p.InvoiceID.String() + "/" + p.ID.String()})
	return err
}

// errDebitUnderWay is said to who wants to pay once more what is being collected.
func errDebitUnderWay(p Payment) error {
	return fault.New(fault.Conflict, "payment.debit_under_way",
		p.Amount.Format("en")+" are being collected from "+p.Method+" since "+p.CreatedAt.UTC().Format("2 January 2006")+". The bank takes some days: please do not pay again.")
}
