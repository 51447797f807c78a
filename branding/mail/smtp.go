package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// TLSMode says how the way to the mail server is protected.
type TLSMode string

// The modes.
const (
	TLSStart    TLSMode = "starttls" // required
	TLSImplicit TLSMode = "implicit"
	TLSNone     TLSMode = "none" // only for a server on this machine
)

// SMTPConfig is the way to the mail server.
type SMTPConfig struct {
	Host      string
	Port      int
	TLS       TLSMode
	User      string // empty: no authentication
	Password  string
	Timeout   time.Duration // of the whole delivery; 0: 20 s
	HELO      string        // empty: the machine's name
	TLSConfig *tls.Config   // nil: the system's roots
}

// Envelope is one mail on its way.
type Envelope struct {
	ID        string // fixed: a repeated delivery has the same message id
	From      string
	FromName  string
	ReplyTo   string
	To        string
	Host      string
	CreatedAt time.Time
	Letter    Letter
}

// Transport hands mails to a server. It returns a *PermanentError when trying again
// cannot help, and any other error when it may.
type Transport interface {
	Send(ctx context.Context, e Envelope) error
}

// PermanentError is a server's final word about one mail.
type PermanentError struct {
	Code int
	Err  error
}

// Error is what the mail's row shows.
func (e *PermanentError) Error() string {
	return fmt.Sprintf("the mail server refused it (%d): %v", e.Code, e.Err)
}

// Unwrap returns the server's words.
func (e *PermanentError) Unwrap() error { return e.Err }

// SMTP is a Transport over one mail server. It is safe for concurrent use: every
// mail has its own connection.
type SMTP struct{ cfg SMTPConfig }

// NewSMTP checks the configuration. It connects to nothing.
func NewSMTP(cfg SMTPConfig) (*SMTP, error) {
	if cfg.Timeout <= 0 {
		cfg.Timeout = 20 * time.Second
	}
	switch cfg.TLS {
	case TLSStart, TLSImplicit, TLSNone:
	default:
		return nil, fmt.Errorf("mail: %q is not a TLS mode; they are starttls, implicit and none", cfg.TLS)
	}
	s := &SMTP{cfg: cfg}
	_, err := s.client()
	return s, err
}

func (s *SMTP) client() (*gomail.Client, error) {
	c := s.cfg
	options := []gomail.Option{gomail.WithPort(c.Port), gomail.WithTimeout(c.Timeout), gomail.WithoutNoop()}
	switch c.TLS {
	case TLSStart:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case TLSImplicit:
		options = append(options, gomail.WithSSL())
	case TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if c.User != "" {
		auth := gomail.SMTPAuthAutoDiscover
		if c.TLS == TLSNone {
			auth = gomail.SMTPAuthPlainNoEnc
		}
		options = append(options, gomail.WithSMTPAuth(auth), gomail.WithUsername(c.User), gomail.WithPassword(c.Password))
	}
	if c.HELO != "" {
		options = append(options, gomail.WithHELO(c.HELO))
	}
	if c.TLSConfig != nil {
		options = append(options, gomail.WithTLSConfig(c.TLSConfig))
	}
	client, err := gomail.NewClient(c.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	return client, nil
}

// Send delivers one mail to the server.
func (s *SMTP) Send(ctx context.Context, e Envelope) error {
	m, err := e.message()
	if err != nil {
		return &PermanentError{Err: err}
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reach the mail server %s: %w", s.cfg.Host, err)
	}
	// Once the server has taken the mail, how it says goodbye no longer matters.
	defer func() { _ = client.CloseWithSMTPClient(conn) }()
	if err := client.SendWithSMTPClient(conn, m); err != nil {
		return judge(err)
	}
	return nil
}

// judge tells a final refusal from one that may pass.
func judge(err error) error {
	var sent *gomail.SendError
	if errors.As(err, &sent) && !sent.IsTemp() && sent.ErrorCode() >= 500 && sent.ErrorCode() < 600 {
		return &PermanentError{Code: sent.ErrorCode(), Err: err}
	}
	return fmt.Errorf("send: %w", err)
}

// message builds the mail. Addresses are parsed again here, so that nothing that
// reached the row by another way becomes a header.
func (e Envelope) message() (*gomail.Msg, error) {
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := m.FromFormat(oneLine(e.FromName), e.From); err != nil {
		return nil, fmt.Errorf("sender %q: %w", e.From, err)
	}
	to, err := parseAddress(e.To)
	if err != nil {
		return nil, err
	}
	if err := m.To(to); err != nil {
		return nil, fmt.Errorf("recipient: %w", err)
	}
	if e.ReplyTo != "" {
		if err := m.ReplyTo(e.ReplyTo); err != nil {
			return nil, fmt.Errorf("reply address %q: %w", e.ReplyTo, err)
		}
	}
	m.Subject(oneLine(e.Letter.Subject))
	m.SetDateWithValue(e.CreatedAt)
	m.SetMessageIDWithValue(e.ID + "@" + e.Host)
	m.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office replies, please
	if to := e.Letter.Unsubscribe; to != "" {
		m.SetGenHeader("List-Unsubscribe", "<"+to+">")
		if strings.HasPrefix(to, "https://") { // one click, as RFC 8058 has it
			m.SetGenHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
		}
	}
	m.SetBodyString(gomail.TypeTextPlain, e.Letter.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, e.Letter.HTML)
	return m, nil
}
