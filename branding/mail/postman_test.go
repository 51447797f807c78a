package mail

import (
	"context"
	"errors"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/mail/mailtrap"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// office is a postman with a trap at the other end.
type office struct {
	*tenancytest.World
	outbox  *Outbox
	postman *Postman
	trap    *mailtrap.Trap
	desk    *branding.Desk
}

func newOffice(t *testing.T, timeout time.Duration) *office {
	t.Helper()
	w := tenancytest.New(t)
	trap, err := mailtrap.Listen("127.0.0.1:0", mailtrap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = trap.Close() })
	host, port := trap.HostPort()
	smtp, err := NewSMTP(SMTPConfig{Host: host, Port: port, TLS: TLSNone, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	ring := keyring(t)
	desk := branding.NewDesk([]string{"base", "aurora", "forge"})
	house := &House{
		Desk: desk, Own: Sender{Brand: branding.Plain("EZSCALE", branding.Tokens{}, branding.Texts{}), FromName: "EZSCALE", FromAddress: "no-reply@ezscale.example", BaseURL: "https://ezscale.example", Host: "ezscale.example"},
		Sites: func(host string) string { return "https://" + host }, Host: func(t tenancy.Tenant) string { return t.Slug + ".example.net" },
	}
	return &office{World: w, outbox: NewOutbox(ring), trap: trap, desk: desk,
		postman: &Postman{Sealer: ring, Letters: letters(t), Senders: house, Transport: smtp}}
}

func (o *office) enqueue(t *testing.T, of tenancy.Tenant, m Message) (id string) {
	t.Helper()
	err := o.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
		if err := o.outbox.Enqueue(t.Context(), tx, m); err != nil {
			return err
		}
		return tx.NewRaw("SELECT id::text FROM mails WHERE key = ?", m.Key).Scan(t.Context(), &id)
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (o *office) row(t *testing.T, of tenancy.Tenant, id string) (state, lastError string, attempts int, sealed bool) {
	t.Helper()
	err := o.Owner.QueryRow(t.Context(), "SELECT state, coalesce(last_error, ''), attempts, sealed_body IS NOT NULL FROM "+of.ID.Schema()+".mails WHERE id = $1", id).
		Scan(&state, &lastError, &attempts, &sealed)
	if err != nil {
		t.Fatal(err)
	}
	return state, lastError, attempts, sealed
}

func TestLettersGoOutInTheNameOfTheirTenant(t *testing.T) {
	o := newOffice(t, 0)
	by := branding.Actor{Actor: audit.System("test")}
	v, err := o.desk.SaveDraft(t.Context(), o.DB(o.A), branding.Edit{By: by, Content: branding.Content{Theme: "aurora", Tokens: branding.Tokens{Brand: "#0b6e4f"},
		Texts: branding.Texts{SenderName: "Alpha, Inc.", SenderEmail: "hello@alpha.example", SupportEmail: "help@alpha.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.desk.Publish(t.Context(), o.DB(o.A), branding.PublishOrder{Revision: v.Revision, By: by}); err != nil {
		t.Fatal(err)
	}
	a, b := o.enqueue(t, o.A, verify("v", "zoe@example.com")), o.enqueue(t, o.B, verify("v", "bea@example.com"))
	for _, x := range []struct {
		of tenancy.Tenant
		id string
	}{{o.A, a}, {o.B, b}, {o.A, a}, {o.B, a}} { // the last two: again, and another tenant's
		if err := o.postman.Send(t.Context(), o.DB(x.of), SendJob{Mail: x.id}); err != nil {
			t.Fatal(err)
		}
	}
	var central string
	err = o.Central.Update(t.Context(), func(tx *tenancy.CentralTx) error {
		if err := o.outbox.Enqueue(t.Context(), tx, verify("v", "staff@example.com")); err != nil {
			return err
		}
		return tx.NewRaw("SELECT id::text FROM mails").Scan(t.Context(), &central)
	})
	if err == nil {
		err = o.postman.SendCentral(t.Context(), o.Central, CentralSendJob{Mail: central})
	}
	if err != nil {
		t.Fatal(err)
	}
	mails := o.trap.Mails("")
	if len(mails) != 3 {
		t.Fatalf("%d mails", len(mails))
	}
	staff, beta, alpha := mails[0], mails[1], mails[2]
	if alpha.From != `"Alpha, Inc." <hello@alpha.example>` || alpha.ReplyTo != "<help@alpha.example>" || alpha.MessageID != "<"+a+"@alpha.example.net>" {
		t.Errorf("alpha's mail: from %s, reply %s, id %s", alpha.From, alpha.ReplyTo, alpha.MessageID)
	}
	if !strings.Contains(alpha.HTML, "#0b6e4f") || !strings.Contains(alpha.Text, "https://a.example/verify/s3cret") || !strings.Contains(alpha.Text, "Zoë") {
		t.Errorf("alpha's mail: %s\n%s", alpha.Text, alpha.HTML)
	}
	if !strings.Contains(beta.From, "no-reply@beta.example.net") || strings.Contains(beta.Raw, "lpha") || beta.ReplyTo != "" {
		t.Errorf("beta's mail: %s", beta.Raw)
	}
	if staff.From != `"EZSCALE" <no-reply@ezscale.example>` {
		t.Errorf("the platform's mail: from %s", staff.From)
	}
	if state, _, attempts, sealed := o.row(t, o.A, a); state != Sent || attempts != 1 || sealed {
		t.Errorf("state %s, attempts %d, still sealed %v", state, attempts, sealed)
	}
}

// Letters that one can do without say so to mail programs, with one click (RFC 8058), and to
// people, whatever the shop's own words are; what has to be known does not.
func TestLettersOneCanDoWithout(t *testing.T) {
	o := newOffice(t, 0)
	upcoming := Message{Key: "u", Template: RenewalUpcoming, To: "zoe@example.com", Data: Sample(RenewalUpcoming)}
	post := func(key string) mailtrap.Mail {
		t.Helper()
		upcoming.Key = key
		if err := o.postman.Send(t.Context(), o.DB(o.A), SendJob{Mail: o.enqueue(t, o.A, upcoming)}); err != nil {
			t.Fatal(err)
		}
		return o.trap.Mails("")[0]
	}
	check := func(what string, m mailtrap.Mail) {
		t.Helper()
		at := "https://alpha.example.net/hooks/letters/sample"
		read, err := netmail.ReadMessage(strings.NewReader(m.Raw))
		if err != nil {
			t.Fatal(err)
		}
		if to, how := read.Header.Get("List-Unsubscribe"), read.Header.Get("List-Unsubscribe-Post"); to != "<"+at+">" || how != "List-Unsubscribe=One-Click" {
			t.Errorf("%s says %q, %q to programs", what, to, how)
		}
		if !strings.Contains(m.Text, at) || !strings.Contains(m.HTML, `href="`+at+`"`) {
			t.Errorf("%s says nothing of it to people", what)
		}
	}
	check("the letter", post("u1"))
	if err := o.DB(o.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("INSERT INTO mail_texts (template, locale, subject, body, changed_by, changed_at) VALUES (?, 'en', 'Soon', 'It renews.', 'Rita', now())", RenewalUpcoming).Exec(t.Context())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if m := post("u2"); strings.Contains(m.Text, "It renews.") {
		check("the shop's own", m)
	} else {
		t.Error(m.Text)
	}
	upcoming.Data[Unsubscribe] = ""
	if m := post("u3"); strings.Contains(m.Raw, "List-Unsubscribe") {
		t.Error("it promises a link there is none of")
	}
	upcoming.Template, upcoming.Data = InvoiceIssued, Sample(InvoiceIssued)
	if m := post("i"); strings.Contains(m.Raw, "List-Unsubscribe") {
		t.Error("invoices cannot be done without")
	}
	plain, err := Envelope{ID: "1", From: "a@example.com", To: "b@example.com", Host: "example.com", Letter: Letter{Unsubscribe: "http://a.example/x"}}.message()
	if err != nil || len(plain.GetGenHeader("List-Unsubscribe-Post")) != 0 || len(plain.GetGenHeader("List-Unsubscribe")) != 1 {
		t.Errorf("one click without TLS: %v", err)
	}
}

func TestServerTroubleKeepsMailsQueuedAndARefusalIsFinal(t *testing.T) {
	o := newOffice(t, time.Second)
	id := o.enqueue(t, o.A, verify("v", "zoe@example.com"))
	send := func() error { return o.postman.Send(t.Context(), o.DB(o.A), SendJob{Mail: id}) }
	for i, f := range []mailtrap.Fault{mailtrap.Temporary, mailtrap.Down, mailtrap.Hang} {
		o.trap.SetFault(f)
		if err := send(); err == nil {
			t.Errorf("%s: no error, so nobody would try again", f)
		}
		if state, why, attempts, sealed := o.row(t, o.A, id); state != Queued || why == "" || attempts != i+1 || !sealed {
			t.Errorf("%s: state %s, %q, attempts %d, sealed %v", f, state, why, attempts, sealed)
		}
	}
	o.trap.SetFault(mailtrap.None)
	if err := send(); err != nil {
		t.Fatal(err)
	}
	if state, why, _, _ := o.row(t, o.A, id); state != Sent || why != "" || len(o.trap.Mails("")) != 1 {
		t.Errorf("after all: state %s, %q, %d mails", state, why, len(o.trap.Mails("")))
	}

	refused := o.enqueue(t, o.A, verify("w", "nobody@example.com"))
	o.trap.SetFault(mailtrap.Refuse)
	if err := o.postman.Send(t.Context(), o.DB(o.A), SendJob{Mail: refused}); err != nil {
		t.Errorf("a refusal is tried again: %v", err)
	}
	if state, why, _, sealed := o.row(t, o.A, refused); state != Failed || !strings.Contains(why, "550") || !sealed {
		t.Errorf("refused: state %s, %q, sealed %v", state, why, sealed)
	}
}

func TestFailedMailCanBeSentAgainAndAnOldOneGivesUp(t *testing.T) {
	o := newOffice(t, time.Second)
	id := o.enqueue(t, o.A, verify("v", "zoe@example.com"))
	o.trap.SetFault(mailtrap.Temporary)
	o.Clock.Advance(giveUpAfter + time.Minute)
	if err := o.postman.Send(t.Context(), o.DB(o.A), SendJob{Mail: id}); err != nil {
		t.Errorf("still tried after three days: %v", err)
	}
	if state, _, _, _ := o.row(t, o.A, id); state != Failed {
		t.Errorf("state %s", state)
	}
	again := func(of tenancy.Tenant) error {
		return o.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error { return o.outbox.Again(t.Context(), tx, mustUUID(t, id)) })
	}
	if err := again(o.B); !fault.Is(err, "mail.not_failed") {
		t.Errorf("another tenant sent it again: %v", err)
	}
	if err := again(o.A); err != nil {
		t.Fatal(err)
	}
	o.trap.SetFault(mailtrap.None)
	if err := o.postman.Send(t.Context(), o.DB(o.A), SendJob{Mail: id}); err != nil {
		t.Fatal(err)
	}
	if err := again(o.A); !fault.Is(err, "mail.not_failed") {
		t.Errorf("a sent mail was sent again: %v", err)
	}
}

// dies is a transport whose process ends after the server has taken the mail.
type dies struct{ Transport }

func (d dies) Send(ctx context.Context, e Envelope) error {
	if err := d.Transport.Send(ctx, e); err != nil {
		return err
	}
	return errors.New("the process was killed here")
}

func TestARepeatedDeliveryIsRecognisable(t *testing.T) {
	o := newOffice(t, 0)
	id := o.enqueue(t, o.A, verify("v", "zoe@example.com"))
	whole := o.postman.Transport
	o.postman.Transport = dies{whole}
	if err := o.postman.Send(t.Context(), o.DB(o.A), SendJob{Mail: id}); err == nil {
		t.Fatal("no error")
	}
	o.postman.Transport = whole
	if err := o.postman.Send(t.Context(), o.DB(o.A), SendJob{Mail: id}); err != nil {
		t.Fatal(err)
	}
	m := o.trap.Mails("zoe@example.com")
	if len(m) != 2 || m[0].MessageID != m[1].MessageID || m[0].MessageID == "" {
		t.Errorf("%d mails with ids %v", len(m), m)
	}
}

func TestNoHeaderCanBeInjected(t *testing.T) {
	o := newOffice(t, 0)
	err := o.postman.Transport.Send(t.Context(), Envelope{ID: "x", From: "a@example.com", FromName: "A\r\nBcc: eve@example.com", To: "zoe@example.com", Host: "example.com",
		Letter: Letter{Subject: "Hi\r\nBcc: eve@example.com\r\n\r\nbody", Text: "t", HTML: "<p>h</p>"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range o.trap.Mails("") {
		head, _, _ := strings.Cut(m.Raw, "\r\n\r\n")
		if strings.Contains(head, "\r\nBcc:") || len(m.To) != 1 {
			t.Errorf("headers %s", head)
		}
	}
	for _, e := range []Envelope{{From: "a@example.com\r\nBcc: e@x.y", To: "b@example.com"}, {From: "a@example.com", To: "b@example.com>\r\nRCPT TO:<e@x.y"}, {From: "a@example.com", To: "b@example.com", ReplyTo: "c@x.y\r\nBcc: e@x.y"}} {
		var refused *PermanentError
		if err := o.postman.Transport.Send(t.Context(), e); !errors.As(err, &refused) {
			t.Errorf("%q: %v", e, err)
		}
	}
}
