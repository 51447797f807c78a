package domain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// storageError is a failure of ours between two steps with the authority.
type storageError struct{ err error }

func (e *storageError) Error() string { return "certificate storage: " + e.err.Error() }
func (e *storageError) Unwrap() error { return e.err }

// accountError is a failure before any order: the authority does not know us yet.
type accountError struct{ err error }

func (e *accountError) Error() string { return "account at the authority: " + e.err.Error() }
func (e *accountError) Unwrap() error { return e.err }

// accountPause is how long nobody orders after the authority refused our account: that is
// mended by hand.
const accountPause = 15 * time.Minute

// overdrawn is returned instead of placing an order that the budget does not hold.
type overdrawn struct {
	until   time.Time
	code    string
	message string
}

func (e *overdrawn) Error() string { return e.message }

// trouble is a failed order in the words and states of the table.
type trouble struct {
	state   State // where a domain without a certificate goes
	code    string
	message string
	wait    time.Duration // at least; 0: by the usual steps
	account bool          // the wait is the account's, not the name's
}

// classify says what err, from an order for name, means.
func classify(err error, name string, retryAfter time.Duration, now time.Time) trouble {
	var over *overdrawn
	if errors.As(err, &over) {
		return trouble{state: RateLimited, code: over.code, message: over.message, wait: over.until.Sub(now)}
	}
	var store *storageError
	if errors.As(err, &store) {
		return trouble{state: Failing, code: "acme.storage", message: "We could not reach our own certificate storage. We try again by ourselves.", wait: time.Minute}
	}
	var p acme.Problem
	var account *accountError
	if errors.As(err, &account) && errors.As(err, &p) && p.Status/100 == 4 && p.Type != acme.ProblemTypeRateLimited {
		return trouble{state: RateLimited, code: "acme.account", wait: accountPause, account: true,
			message: "The certificate authority does not accept our account with it. That is ours to mend; nothing is needed from you."}
	}
	if errors.As(err, &p) {
		return classifyProblem(p, name, retryAfter, now)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return trouble{state: Failing, code: "acme.timeout", message: "The certificate authority did not answer in time. We try again by ourselves."}
	}
	var network net.Error
	if errors.As(err, &network) {
		return trouble{state: Failing, code: "acme.unreachable", message: "The certificate authority could not be reached. We try again by ourselves."}
	}
	if strings.Contains(err.Error(), "HTTP 5") {
		return trouble{state: Failing, code: "acme.broken", message: "The certificate authority has a problem on its side. We try again by ourselves."}
	}
	return trouble{state: Failing, code: "acme.failed", message: "The certificate could not be issued. We try again by ourselves."}
}

func classifyProblem(p acme.Problem, name string, retryAfter time.Duration, now time.Time) trouble {
	said := "The authority says: " + trimDetail(p.Detail)
	switch p.Type {
	case acme.ProblemTypeRateLimited:
		wait := limitWait(p.Detail, retryAfter, now)
		return trouble{state: RateLimited, code: "acme.rate_limited", wait: wait, account: !limitsName(p.Detail),
			message: "The certificate authority asks us to wait before it issues more certificates. Nothing is needed from you."}
	case acme.ProblemTypeCAA:
		return trouble{state: CAAForbids, code: "acme.caa", message: "A CAA record of " + name + " does not allow our certificate authority. " + said}
	case acme.ProblemTypeDNS:
		return trouble{state: Failing, code: "acme.dns", message: "The certificate authority could not resolve " + name + ". " + said}
	case acme.ProblemTypeConnection:
		return trouble{state: Failing, code: "acme.connection", message: "The certificate authority could not connect to " + name + ". " + said}
	case acme.ProblemTypeUnauthorized, acme.ProblemTypeIncorrectResponse:
		return trouble{state: Failing, code: "acme.unauthorized", message: "The certificate authority reached " + name + " but did not find our answer there: another server or a proxy answers for the name. " + said}
	case acme.ProblemTypeTLS:
		return trouble{state: Failing, code: "acme.tls", message: "The certificate authority met another server's TLS at " + name + ". " + said}
	case acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUnsupportedIdentifier:
		return trouble{state: Failing, code: "acme.rejected", message: "The certificate authority does not issue for " + name + ". " + said, wait: 24 * time.Hour}
	case acme.ProblemTypeServerInternal:
		return trouble{state: Failing, code: "acme.broken", message: "The certificate authority has a problem on its side. We try again by ourselves."}
	}
	if p.Status >= 500 {
		return trouble{state: Failing, code: "acme.broken", message: "The certificate authority has a problem on its side. We try again by ourselves."}
	}
	return trouble{state: Failing, code: "acme.refused", message: "The certificate authority refused the order. " + said}
}

var retryAfterText = regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)`)

// limitWait takes the header, else the date in the text, else an hour.
func limitWait(detail string, header time.Duration, now time.Time) time.Duration {
	const shortest, longest = time.Minute, 7 * 24 * time.Hour
	wait := header
	if wait == 0 {
		if m := retryAfterText.FindStringSubmatch(detail); m != nil {
			if at, err := time.Parse("2006-01-02 15:04:05", strings.Replace(m[1], "T", " ", 1)); err == nil {
				wait = at.Sub(now)
			}
		}
	}
	if wait <= 0 {
		wait = time.Hour
	}
	return min(max(wait, shortest), longest)
}

// limitsName tells a limit on one name, which others need not wait for, from one on
// the account.
func limitsName(detail string) bool {
	d := strings.ToLower(detail)
	return strings.Contains(d, "already issued for") || strings.Contains(d, "exact set of") || strings.Contains(d, "failed authorizations")
}

func trimDetail(s string) string {
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > 240 {
		s = string(r[:240]) + "…"
	}
	return strings.TrimSuffix(s, ".") + "."
}

// afterFailure is how long to wait after the nth failed order in a row.
func afterFailure(n int) time.Duration {
	steps := []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 3 * time.Hour, 12 * time.Hour}
	if n < 1 {
		n = 1
	}
	if n > len(steps) {
		return 24 * time.Hour
	}
	return steps[n-1]
}

// inWords is a wait as people say it.
func inWords(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return "in a minute"
	case d < 90*time.Minute:
		return fmt.Sprintf("in %d minutes", int(d.Round(time.Minute)/time.Minute))
	case d < 36*time.Hour:
		return fmt.Sprintf("in %d hours", int(d.Round(time.Hour)/time.Hour))
	}
	return fmt.Sprintf("in %d days", int(d.Round(24*time.Hour)/(24*time.Hour)))
}
