package checkout_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/payment"
)

// letters keeps what would be sent.
type letters []mail.Message

func (l *letters) Enqueue(_ context.Context, _ tenancy.Statements, m mail.Message) error {
	*l = append(*l, m)
	return nil
}

// Whose card was declined pays with the link of the letter, without signing in.
func TestALetterAboutADeclinedOrderLeadsToPaying(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	o := r.order(t, r.A, small())
	id := uuid.New()
	r.exec(t, r.A, `INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
		VALUES (?0, ?1, ?2, ?3, 'transfer', 'EUR', ?4, 0, 'failed', 'card_declined', 'The bank declined the card.', false, now(), now())`, id, id.String(), *o.InvoiceID, o.AccountID, o.Total.Minor)
	var sent letters
	r.desk.Mail, r.desk.Links = &sent, payment.NewLinks([]byte("a key of thirty-two bytes or more"))
	must(t, r.desk.TryFailed(t.Context(), r.DB(r.A), payment.FailedTry{InvoiceID: *o.InvoiceID, PaymentID: id, Decline: billing.RefusedHard}))
	if len(sent) == 0 {
		t.Fatal("nobody was written to")
	}
	token, ok := strings.CutPrefix(sent[0].Data["link"], "/pay/")
	invoice, from, err := r.desk.Links.Read(r.A.ID, token, r.Clock.Now())
	if !ok || err != nil || invoice != *o.InvoiceID || from != payment.LetterFailed {
		t.Errorf("it leads to %q: %s, %d, %v", sent[0].Data["link"], invoice, from, err)
	}
}
