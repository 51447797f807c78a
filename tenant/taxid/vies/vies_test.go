package vies

import (
	"errors"
	"testing"
	"unicode/utf8"
)

// FuzzAnswer: an answer is one that can be kept, or none at the moment. Only a register that
// says so makes a number wrong.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{
		`{"valid": true, "requestIdentifier": "WAPIAAAAYt", "name": "SHOP & CO", "address": "STREET 1\n1000 CITY"}`, `{"valid": false, "name": "---", "address": "---"}`,
		`{"actionSucceed": false, "errorWrappers": [{"error": "MS_UNAVAILABLE"}]}`, `{"errorWrappers": [{"error": "INVALID_INPUT"}]}`, `{"errorWrappers": [{"error": "INVALID_REQUESTER_INFO"}]}`,
		`{"valid": "yes"}`, `[]`, `null`, ``, "\x00", `{"valid": true, "name": "\u0000\ud800"}`,
	} {
		f.Add(200, []byte(text))
		f.Add(503, []byte(text))
	}
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		a, err := answerOf(status, text)
		if err != nil {
			if !errors.Is(err, ErrUnavailable) && !errors.Is(err, errAsker) || a != (Answer{}) {
				t.Fatalf("%+v %v", a, err)
			}
			return
		}
		for _, s := range []string{a.Request, a.Name, a.Address} {
			if !utf8.ValidString(s) || utf8.RuneCountInString(s) > 300 {
				t.Fatalf("%q cannot be kept", s)
			}
			for _, r := range s {
				if r == 0 || r == '\n' || r == '\r' {
					t.Fatalf("%q is not one line", s)
				}
			}
		}
		if a.Valid && status != 200 {
			t.Fatalf("valid by status %d", status)
		}
	})
}
