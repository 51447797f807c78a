package virtfusion

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/provisioners"
)

// maxAnswer is how much of an answer is read; a page of servers carries pictures of
// their screens.
const maxAnswer = 32 << 20

// api speaks HTTP.
type api struct {
	base   string
	token  string
	client *http.Client
	full   []string
}

// envelope is around what an endpoint tells.
type envelope[T any] struct {
	Data T `json:"data"`
}

// call sends in, if any, as JSON and reads the answer into out, if any.
func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("virtfusion: %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return fmt.Errorf("virtfusion: %s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return fmt.Errorf("virtfusion: %s %s: %w", method, path, unreachable(err))
	}
	defer res.Body.Close() //nolint:errcheck // read to its end or given up
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("virtfusion: %s %s: %w", method, path, unreachable(err))
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("virtfusion: %s %s: %w", method, path, a.refusal(res, answer))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("virtfusion: %s %s: %w", method, path, unreadable(err))
	}
	return nil
}

// unreachable is for calls without an answer; what they did is unknown.
func unreachable(err error) error {
	return &provisioners.RetryError{Err: fmt.Errorf("%w: %w", provisioners.ErrUnavailable, err)}
}

// unreadable is for answers that are not VirtFusion's: a proxy's page, half a body.
func unreadable(err error) error {
	return &provisioners.RetryError{Err: fmt.Errorf("%w: the answer cannot be read: %w", provisioners.ErrUnavailable, err)}
}

// How long to wait where VirtFusion does not say.
const (
	afterLocked     = 10 * time.Second
	afterTooMany    = 30 * time.Second
	afterBadToken   = 5 * time.Minute
	longestPatience = 15 * time.Minute
)

// refusal turns an answer that is none into an error of the contract.
func (a *api) refusal(res *http.Response, body []byte) error {
	said := saidIn(body)
	with := func(err error) error { return &answered{code: res.StatusCode, said: said, err: err} }
	switch code := res.StatusCode; {
	case code == http.StatusUnauthorized:
		return &provisioners.RetryError{After: afterBadToken, Err: with(provisioners.ErrCredentials)}
	case code == http.StatusForbidden:
		return &provisioners.RetryError{After: afterBadToken, Err: with(fmt.Errorf("%w: the token lacks a permission", provisioners.ErrCredentials))}
	case code == http.StatusNotFound && strings.EqualFold(said, "server not found"):
		return with(provisioners.ErrGone)
	case code == http.StatusNotFound && said != "":
		return with(errNotFound)
	case code == http.StatusLocked:
		return &provisioners.RetryError{After: afterLocked, Err: with(provisioners.ErrLocked)}
	case code == http.StatusTooManyRequests:
		return &provisioners.RetryError{After: patience(res.Header.Get("Retry-After"), res.Header.Get("Date")), Err: with(provisioners.ErrUnavailable)}
	case code == http.StatusConflict, code == http.StatusUnprocessableEntity, code == http.StatusBadRequest:
		if a.meansFull(said) {
			return with(provisioners.ErrNoRoom)
		}
		return with(provisioners.ErrRefused)
	default:
		// 5xx; a redirect; a 404 without words, which may be a proxy's or a wrong address.
		return &provisioners.RetryError{Err: with(provisioners.ErrUnavailable)}
	}
}

// answered is an error of the contract with the answer that was it.
type answered struct {
	code int
	said string
	err  error
}

// Error is for the log, and for the reseller's team.
func (a *answered) Error() string {
	if a.said == "" {
		return fmt.Sprintf("%v (HTTP %d)", a.err, a.code)
	}
	return fmt.Sprintf("%v (HTTP %d: %s)", a.err, a.code, a.said)
}

// Unwrap is the contract's error.
func (a *answered) Unwrap() error { return a.err }

// isAnswer reports whether err is an answer with that status.
func isAnswer(err error, code int) bool {
	var a *answered
	return errors.As(err, &a) && a.code == code
}

// errNotFound says that VirtFusion knows no such record other than a server. It is not
// "gone": what is missing is something we refer to.
var errNotFound = fmt.Errorf("%w: there is no such record", provisioners.ErrRefused)

// defaultFullWords are taken from the refusals that other software for VirtFusion looks
// for; the file does not say what is answered.
func defaultFullWords() []string {
	return []string{"no suitable hypervisor", "no hypervisor", "not enough", "insufficient", "no available", "no free", "out of", "exhausted", "resource limit"}
}

func (a *api) meansFull(said string) bool {
	said = strings.ToLower(said)
	for _, w := range a.full {
		if strings.Contains(said, strings.ToLower(w)) {
			return true
		}
	}
	return false
}

// patience reads Retry-After: seconds, or a date against the answer's own.
func patience(after, date string) time.Duration {
	wait := afterTooMany
	if n, err := strconv.Atoi(strings.TrimSpace(after)); err == nil && n >= 0 {
		wait = time.Duration(min(n, int(longestPatience/time.Second))) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		if now, err := http.ParseTime(date); err == nil {
			wait = max(at.Sub(now), 0)
		}
	}
	return min(wait, longestPatience)
}

// saidIn is what a refusal says in any of the three forms VirtFusion has: errors as a
// list, msg, or Laravel's message with errors by field. At most 300 bytes.
func saidIn(body []byte) string {
	var any struct {
		Errors  json.RawMessage `json:"errors"`
		Msg     string          `json:"msg"`
		Message string          `json:"message"`
	}
	if json.Unmarshal(body, &any) != nil {
		return ""
	}
	var parts []string
	for _, s := range []string{any.Msg, any.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	var list []string
	var fields map[string][]string
	if json.Unmarshal(any.Errors, &list) == nil {
		parts = append(parts, list...)
	} else if json.Unmarshal(any.Errors, &fields) == nil {
		names := make([]string, 0, len(fields))
		for f := range fields {
			names = append(names, f)
		}
		sort.Strings(names)
		for _, f := range names {
			parts = append(parts, f+": "+strings.Join(fields[f], " "))
		}
	}
	said := strings.ToValidUTF8(strings.Join(parts, "; "), "")
	if len(said) > 300 {
		said = strings.ToValidUTF8(said[:300], "") + "…"
	}
	return said
}

// isForbidden reports whether only a permission of the token is missing.
func isForbidden(err error) bool { return isAnswer(err, http.StatusForbidden) }

// pageOf is Laravel's paginator.
type pageOf[T any] struct {
	Data     []T `json:"data"`
	LastPage int `json:"last_page"`
}

// pages reads a paged list until fn answers false.
func pages[T any](ctx context.Context, a *api, path string, fn func(T) bool) error {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	for n := 1; ; n++ {
		var p pageOf[T]
		if err := a.call(ctx, http.MethodGet, path+sep+"results=200&page="+strconv.Itoa(n), nil, &p); err != nil {
			return err
		}
		for _, row := range p.Data {
			if !fn(row) {
				return nil
			}
		}
		if n >= p.LastPage || len(p.Data) == 0 {
			return nil
		}
	}
}
