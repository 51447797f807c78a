package domain

import "slices"

// State is where a domain stands.
type State string

// The states of a domain. Pending and Conflict prove nothing yet; Removed is the end.
const (
	Pending     State = "pending"      // waits for the proof of ownership
	Conflict    State = "conflict"     // as Pending, and another tenant is served under the name
	Verified    State = "verified"     // owned; about to be checked and ordered
	Misdirected State = "misdirected"  // owned, but the name does not lead to us
	CAAForbids  State = "caa_forbids"  // owned, but the zone does not let our authority issue
	RateLimited State = "rate_limited" // waits for the authority's or our own budget
	Issuing     State = "issuing"      // an order is under way
	Active      State = "active"       // served over HTTPS
	Failing     State = "failing"      // an order or renewal failed; served while a certificate is valid
	Drifted     State = "drifted"      // was active, and the name leads elsewhere now
	Removed     State = "removed"
)

// States lists every state, in the order of a domain's life.
func States() []State {
	return []State{Pending, Conflict, Verified, Misdirected, CAAForbids, RateLimited, Issuing, Active, Failing, Drifted, Removed}
}

// moves is the whole state machine: what is not listed does not happen. A state may
// always be kept.
var moves = map[State][]State{
	Pending:     {Verified, Conflict, Removed},
	Conflict:    {Verified, Pending, Removed},
	Verified:    {Issuing, Misdirected, CAAForbids, RateLimited, Active, Removed},
	Misdirected: {Issuing, CAAForbids, RateLimited, Active, Pending, Removed},
	CAAForbids:  {Issuing, Misdirected, RateLimited, Active, Pending, Removed},
	RateLimited: {Issuing, Misdirected, CAAForbids, Active, Pending, Removed},
	Issuing:     {Active, Failing, RateLimited, Misdirected, CAAForbids, Removed},
	Active:      {Issuing, Failing, Drifted, Removed},
	Failing:     {Issuing, Active, Misdirected, CAAForbids, RateLimited, Drifted, Pending, Removed},
	Drifted:     {Active, Issuing, Pending, Removed},
	Removed:     {},
}

// May reports whether a domain may go from s to next.
func (s State) May(next State) bool { return s == next || slices.Contains(moves[s], next) }

// Owned reports whether ownership is proven in this state.
func (s State) Owned() bool { return s != Pending && s != Conflict && s != Removed }

// sentence is what the page says on top: what is missing right now.
func sentence(d Domain) string {
	switch d.State {
	case Pending:
		return "Add the TXT record below at your DNS provider. It proves that " + d.Host + " is yours."
	case Conflict:
		return "Another shop on this platform uses " + d.Host + ". Add the TXT record below: it proves that the name is yours and moves it here."
	case Verified:
		return d.Host + " is yours. We are checking where it points."
	case Misdirected:
		return or(d.Error, d.Host+" does not point here yet. Set the records below.")
	case CAAForbids:
		return or(d.Error, "A CAA record of "+d.Host+" does not allow our certificate authority.")
	case RateLimited:
		return "The certificate has to wait for a moment: too many were ordered lately. Nothing is needed from you."
	case Issuing:
		return "The certificate for " + d.Host + " is being issued, usually in under a minute."
	case Active:
		return d.Host + " is live over HTTPS."
	case Failing:
		if d.CertSerial != "" {
			return or(d.Error, "The certificate could not be renewed.") + " The site keeps running on the certificate it has."
		}
		return or(d.Error, "The certificate could not be issued.")
	case Drifted:
		return d.Host + " points elsewhere now. We keep serving it for seven days; set the records below to keep it."
	case Removed:
		return d.Host + " was removed."
	}
	return ""
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
