package domain

import "time"

// Status is a state as every page shows it: the kind of dot, and the word.
type Status struct{ Kind, Text string }

// Status says the state in one or two words.
func (d Domain) Status() Status {
	switch d.State {
	case Pending:
		return Status{"info", "Waiting for the proof"}
	case Conflict:
		return Status{"warn", "In use elsewhere"}
	case Verified:
		return Status{"busy", "Checking"}
	case Misdirected:
		return Status{"warn", "Points elsewhere"}
	case CAAForbids:
		return Status{"bad", "CAA forbids"}
	case RateLimited:
		return Status{"busy", "In the queue"}
	case Issuing:
		return Status{"busy", "Issuing certificate"}
	case Active:
		return Status{"good", "Live"}
	case Failing:
		return Status{"bad", "Certificate fails"}
	case Drifted:
		return Status{"warn", "Left us"}
	case Removed:
		return Status{"idle", "Removed"}
	}
	return Status{"idle", string(d.State)}
}

// eventWords says what happened, in the past tense.
var eventWords = map[string]string{
	"domain.added":               "Added",
	"domain.verified":            "Ownership proved",
	"domain.conflict":            "Found in use by another shop",
	"domain.free":                "Not in use by another shop any more",
	"domain.taken_over":          "Moved to another shop on its proof",
	"domain.misdirected":         "Found pointing elsewhere",
	"domain.caa_forbids":         "Found with a CAA record that forbids the certificate",
	"domain.expired":             "Removed: no proof of ownership came",
	"domain.never_pointed":       "Removed: it never pointed here",
	"domain.drifted":             "Stopped pointing here",
	"domain.returned":            "Points here again",
	"domain.drift_ended":         "Switched off: it pointed elsewhere for too long",
	"domain.proof_missing":       "The proof of ownership is gone",
	"domain.made_primary":        "Made the main address",
	"domain.reset_primary":       "No longer the main address",
	"domain.removed":             "Removed",
	"domain.tenant_ended":        "Removed with the shop",
	"certificate.ordered":        "Certificate ordered",
	"certificate.issued":         "Certificate issued",
	"certificate.found":          "Certificate found in storage",
	"certificate.failed":         "The order failed",
	"certificate.renewed":        "Certificate renewed",
	"certificate.replaced":       "Certificate replaced",
	"certificate.renewal_failed": "The renewal failed",
}

// Words says what happened.
func (e Event) Words() string { return or(eventWords[e.Code], e.Code) }

// NextTry says when the worker looks again; empty when nothing is awaited.
func (d Domain) NextTry(now time.Time) string {
	if d.NextAt == nil || d.State == Removed {
		return ""
	}
	wait := d.NextAt.Sub(now)
	if wait < 5*time.Second {
		return "now"
	}
	if wait < time.Minute {
		return "in less than a minute"
	}
	return inWords(wait)
}
