// Package vies asks the European Commission's register whether a VAT number stands, by
// its REST service (POST check-vat-number). It owns the register's protocol and what
// counts as an answer; it does not own what follows from one.
//
// The requester's number is sent as requesterMemberStateCode and requesterNumber; only
// then the answer holds a requestIdentifier, the consultation number. Errors come as
// errorWrappers, with a status of 200 or another.
package vies

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ErrUnavailable says that the register, or the state's behind it, gives no answer now.
var ErrUnavailable = errors.New("no answer from the register")

// errAsker says that the register does not know who asks.
var errAsker = fmt.Errorf("%w: INVALID_REQUESTER_INFO", ErrUnavailable)

// URL is where the Commission's service is.
const URL = "https://ec.europa.eu/taxation_customs/vies/rest-api"

// Question is a number, and who asks: only who names itself gets a name for the question.
type Question struct {
	Number string // with its prefix: FR12345678901
	Asker  string // the asker's own number; empty: not said
}

// Answer is what the register says.
type Answer struct {
	Valid   bool
	Request string // proof of having asked; empty where the asker did not name itself
	Name    string
	Address string
}

// Client asks the register. It is safe for concurrent use.
type Client struct {
	URL  string // its address, without the name of the call
	HTTP *http.Client
}

// maxAnswer is the most of an answer that is read.
const maxAnswer = 64 << 10

// Ask asks about a number. Everything that is no answer is ErrUnavailable and may be
// asked again.
func (c Client) Ask(ctx context.Context, q Question) (Answer, error) {
	if len(q.Number) < 4 {
		return Answer{}, nil
	}
	a, err := c.ask(ctx, q)
	if errors.Is(err, errAsker) {
		q.Asker = "" // an answer without a consultation number is better than none
		return c.ask(ctx, q)
	}
	return a, err
}

func (c Client) ask(ctx context.Context, q Question) (Answer, error) {
	at, err := url.JoinPath(c.URL, "check-vat-number")
	if err != nil {
		return Answer{}, fmt.Errorf("vies: %w", err)
	}
	ask := map[string]string{"countryCode": q.Number[:2], "vatNumber": q.Number[2:]}
	if len(q.Asker) > 3 {
		ask["requesterMemberStateCode"], ask["requesterNumber"] = q.Asker[:2], q.Asker[2:]
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return Answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("vies: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := c.HTTP.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return answerOf(res.StatusCode, text)
}

func answerOf(status int, text []byte) (Answer, error) {
	var a struct {
		Valid   *bool  `json:"valid"`
		Request string `json:"requestIdentifier"`
		Name    string `json:"name"`
		Address string `json:"address"`
		Errors  []struct {
			Error string `json:"error"`
		} `json:"errorWrappers"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return Answer{}, fmt.Errorf("%w: status %d is not JSON", ErrUnavailable, status)
	}
	if len(a.Errors) > 0 {
		if a.Errors[0].Error == "INVALID_INPUT" { // no number can look so
			return Answer{}, nil
		}
		if a.Errors[0].Error == "INVALID_REQUESTER_INFO" {
			return Answer{}, errAsker
		}
		return Answer{}, fmt.Errorf("%w: %.60s", ErrUnavailable, words(a.Errors[0].Error))
	}
	if status != http.StatusOK || a.Valid == nil {
		return Answer{}, fmt.Errorf("%w: status %d", ErrUnavailable, status)
	}
	return Answer{Valid: *a.Valid, Request: words(a.Request), Name: words(a.Name), Address: words(a.Address)}, nil
}

// words is what the register says in one line; three dashes are its way of saying nothing.
func words(s string) string {
	s = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")), " ")
	if s == "---" {
		return ""
	}
	if r := []rune(s); len(r) > 300 {
		return string(r[:300])
	}
	return s
}
