// Package fault is the one error type that leaves the program. A fault has a
// kind for our code, a code for other people's, a message for people, and the
// error behind it for the log. It owns no texts of any feature: those stand
// where the fault is made, and a golden file lists every code.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of answer an error deserves. The zero Kind is Internal, so
// that forgetting to classify an error never shows its text to anyone.
type Kind uint8

// The kinds, each with the HTTP status it answers with.
const (
	Internal      Kind = iota // 500: ours to fix; only the log sees the text
	Invalid                   // 422: the input, with the field where known
	Malformed                 // 400: the request itself cannot be read
	NotFound                  // 404: also for what belongs to somebody else
	Forbidden                 // 403: signed in, and not allowed
	Unauthorized              // 401: sign in first
	Conflict                  // 409: somebody was faster, or the state moved on
	Gone                      // 410: was here, is used up or expired
	TooMany                   // 429: later, see RetryAfter
	TooLarge                  // 413: more bytes than we take
	Misdirected               // 421: this connection is for another host
	Unavailable               // 503: a part we need is down; later
	QuotaExceeded             // 402: the plan grants no more
)

// Status is the HTTP status a kind answers with.
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return 422
	case Malformed:
		return 400
	case NotFound:
		return 404
	case Forbidden:
		return 403
	case Unauthorized:
		return 401
	case Conflict:
		return 409
	case Gone:
		return 410
	case TooMany:
		return 429
	case TooLarge:
		return 413
	case Misdirected:
		return 421
	case Unavailable:
		return 503
	case QuotaExceeded:
		return 402
	default:
		return 500
	}
}

// Fault is an error with an answer. Make one with New, Wrap or Field.
type Fault struct {
	Kind    Kind
	Code    string            // stable, dotted, for machines: "domain.taken"
	Message string            // one or two plain sentences for the person
	Fields  map[string]string // per form field, in the person's words
	Next    string            // path of the page on which whoever asked gets further; empty: there is none
	Err     error             // for the log; may be nil
}

// Error is for the log.
func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %s: %v", f.Code, f.Message, f.Err)
	}
	return f.Code + ": " + f.Message
}

// Unwrap returns the error behind the fault.
func (f *Fault) Unwrap() error { return f.Err }

// New makes a fault. code must be a literal: the catalogue is collected from the source.
func New(kind Kind, code, message string) error {
	return &Fault{Kind: kind, Code: code, Message: message}
}

// Wrap makes a fault that keeps err for the log.
func Wrap(err error, kind Kind, code, message string) error {
	return &Fault{Kind: kind, Code: code, Message: message, Err: err}
}

// Field makes an Invalid fault about one field of a form.
func Field(field, code, message string) error {
	return &Fault{Kind: Invalid, Code: code, Message: message, Fields: map[string]string{field: message}}
}

// Fields makes an Invalid fault about several fields of a form; nil when there are none.
func Fields(code string, fields map[string]string) error {
	if len(fields) == 0 {
		return nil
	}
	return &Fault{Kind: Invalid, Code: code, Message: "Please look at the marked fields.", Fields: fields}
}

// Leading is a fault with the path of the page on which whoever asked gets further.
func Leading(err error, path string) error {
	f := *From(err)
	f.Next = path
	return &f
}

// From returns the fault in err's chain, or an Internal one around err.
func From(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Kind: Internal, Code: "internal", Message: "Something went wrong on our side. We have been told.", Err: err}
}

// Is reports whether err carries a fault with this code.
func Is(err error, code string) bool {
	var f *Fault
	return errors.As(err, &f) && f.Code == code
}
