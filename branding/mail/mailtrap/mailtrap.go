// Package mailtrap is a mail server that keeps what it gets and delivers nothing: the
// demo shows its mails on a page, tests read them as JSON, and its faults can be
// switched on. It is for those two alone.
package mailtrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// maxMail bounds one mail, in bytes.
const maxMail = 1 << 20

// Mail is one mail as it came.
type Mail struct {
	ID        string    `json:"id"` // of the trap
	MessageID string    `json:"message_id"`
	From      string    `json:"from"` // header
	Envelope  string    `json:"envelope_from"`
	To        []string  `json:"to"` // envelope
	ReplyTo   string    `json:"reply_to"`
	Subject   string    `json:"subject"`
	Text      string    `json:"text"`
	HTML      string    `json:"html"`
	Raw       string    `json:"raw"`
	At        time.Time `json:"at"`
}

// Fault is what the server does wrong.
type Fault string

// The faults.
const (
	None      Fault = ""
	Refuse    Fault = "refuse"    // 550 to every recipient
	Temporary Fault = "temporary" // 451 to every recipient
	Hang      Fault = "hang"      // no answer after the recipient
	Down      Fault = "down"      // connections are closed at once
)

// Options are optional.
type Options struct {
	Keep int // the last so many mails; 0: 200
	Now  func() time.Time
}

// Trap is a running server.
type Trap struct {
	keep   int
	now    func() time.Time
	server *smtp.Server
	addr   net.Addr

	mu    sync.Mutex
	mails []Mail // oldest first
	next  int
	fault Fault
	close chan struct{}
}

// Listen starts a trap at an address such as "127.0.0.1:0".
func Listen(addr string, o Options) (*Trap, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("mail trap: %w", err)
	}
	t := &Trap{keep: o.Keep, now: o.Now, addr: ln.Addr(), close: make(chan struct{})}
	if t.keep <= 0 {
		t.keep = 200
	}
	if t.now == nil {
		t.now = time.Now
	}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		if t.Fault() == Down {
			return nil, &smtp.SMTPError{Code: 421, EnhancedCode: smtp.EnhancedCode{4, 3, 2}, Message: "The trap is switched off"}
		}
		return &session{trap: t}, nil
	}))
	s.Domain, s.MaxMessageBytes, s.MaxRecipients, s.AllowInsecureAuth = "trap.localhost", maxMail, 10, true
	s.ReadTimeout, s.WriteTimeout = time.Minute, time.Minute
	s.ErrorLog = silent{}
	t.server = s
	go func() { _ = s.Serve(ln) }()
	return t, nil
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// Addr is where it listens.
func (t *Trap) Addr() string { return t.addr.String() }

// Host and port of Addr.
func (t *Trap) HostPort() (string, int) {
	host, port, _ := net.SplitHostPort(t.Addr())
	n, _ := strconv.Atoi(port)
	return host, n
}

// Close stops the server and everything that hangs.
func (t *Trap) Close() error {
	t.mu.Lock()
	select {
	case <-t.close:
	default:
		close(t.close)
	}
	t.mu.Unlock()
	return t.server.Close()
}

// SetFault switches a fault on, or all off with None.
func (t *Trap) SetFault(f Fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fault = f
}

// Fault is the one that is on.
func (t *Trap) Fault() Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.fault
}

// Mails is what is kept, the newest first; to narrows it to one recipient.
func (t *Trap) Mails(to string) []Mail {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []Mail{}
	for i := len(t.mails) - 1; i >= 0; i-- {
		if m := t.mails[i]; to == "" || strings.EqualFold(strings.Join(m.To, ","), to) {
			all = append(all, m)
		}
	}
	return all
}

// Get is one mail.
func (t *Trap) Get(id string) (Mail, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.mails {
		if m.ID == id {
			return m, true
		}
	}
	return Mail{}, false
}

// Clear forgets everything.
func (t *Trap) Clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mails = nil
}

func (t *Trap) add(m Mail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	m.ID, m.At = strconv.Itoa(t.next), t.now().UTC()
	t.mails = append(t.mails, m)
	if len(t.mails) > t.keep {
		t.mails = append([]Mail(nil), t.mails[len(t.mails)-t.keep:]...)
	}
}

// session is one connection.
type session struct {
	trap *Trap
	from string
	to   []string
}

func (s *session) Reset()        { s.from, s.to = "", nil }
func (s *session) Logout() error { return nil }

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	switch s.trap.Fault() {
	case Refuse:
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such mailbox here"}
	case Temporary:
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Try again later"}
	case Hang:
		<-s.trap.close
		return errors.New("closed")
	}
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(r, maxMail))
	if err != nil {
		return err
	}
	m := parse(string(raw))
	m.Envelope, m.To = s.from, s.to
	s.trap.add(m)
	return nil
}

// parse reads what a page shows. What cannot be read stays in Raw.
func parse(raw string) Mail {
	m := Mail{Raw: raw}
	msg, err := mail.ReadMessage(strings.NewReader(raw))
	if err != nil {
		return m
	}
	words := mime.WordDecoder{}
	header := func(name string) string {
		v := msg.Header.Get(name)
		if d, err := words.DecodeHeader(v); err == nil {
			return d
		}
		return v
	}
	m.MessageID, m.From, m.ReplyTo, m.Subject = header("Message-Id"), header("From"), header("Reply-To"), header("Subject")
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		m.put(kind, msg.Header.Get("Content-Transfer-Encoding"), msg.Body)
		return m
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	for {
		part, err := parts.NextPart() // decodes quoted-printable by itself
		if err != nil {
			return m
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		m.put(kind, part.Header.Get("Content-Transfer-Encoding"), part)
	}
}

func (m *Mail) put(kind, encoding string, body io.Reader) {
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	if kind == "text/html" {
		m.HTML = text
	} else {
		m.Text = text
	}
}
