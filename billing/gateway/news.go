package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
)

// Moves reports whether a payment that is believed to be was becomes what the gateway
// says: money that came counts whatever was believed before, and of anything else the
// first final word stands, so that late and repeated news change nothing.
func Moves(was, says State) bool {
	return was != Succeeded && (!was.Final() || says == Succeeded)
}

// Absent is what became of a charge without the customer that wanted the customer, once
// it was cancelled: it failed, for the reason it was stopped for, unless it went through
// meanwhile.
func Absent(wanted, cancelled Payment) Payment {
	if cancelled.State != Cancelled {
		return cancelled
	}
	cancelled.State, cancelled.Decline = Failed, wanted.Decline
	if cancelled.Decline == nil {
		cancelled.Decline = &Decline{Kind: Authenticate, Code: "authentication_required", Text: "The bank wants the customer to confirm this payment."}
	}
	return cancelled
}

// Unknown is the code of a payment whose gateway knows nothing more of it, its customer
// or its card: the keys are another account's now, or somebody deleted it there.
const Unknown = "unknown_there"

// OrLost makes a failed payment of an answer that the gateway knows no such thing, so
// that what was begun with another account's keys ends. Should money come of it after
// all, that counts: see Moves.
func OrLost(gp Payment, err error, asked Payment) (Payment, error) {
	if !errors.Is(err, ErrNotFound) {
		return gp, err
	}
	asked.State = Failed
	asked.Decline = &Decline{Kind: Hard, Code: Unknown, Text: "The card is not known any more. Please enter it again."}
	return asked, nil
}

// Stored is a notification as it is kept.
type Stored struct {
	Kind    EventKind       `json:"kind"`
	Ref     string          `json:"ref"`
	Payment string          `json:"payment,omitempty"`
	Body    json.RawMessage `json:"body"`
}

// Stored is the notification as JSON that a database can keep. An error says that its
// body is no JSON.
func (e Event) Stored() ([]byte, error) {
	kept, err := json.Marshal(Stored{Kind: e.Kind, Ref: e.Ref, Payment: e.Payment, Body: json.RawMessage(e.Body)})
	// Postgres cannot keep the character behind this escape.
	return bytes.ReplaceAll(kept, []byte(`\u0000`), []byte(`\ufffd`)), err
}

// LetGo reports whether the gateway tells that it does not keep a method any more.
func (s Stored) LetGo() bool {
	var body struct {
		Type string `json:"type"`
	}
	return s.Kind == MethodGone || s.Kind == MethodChanged && json.Unmarshal(s.Body, &body) == nil && bytes.HasSuffix([]byte(body.Type), []byte(".detached"))
}
