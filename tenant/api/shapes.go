package api

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// amount is money in JSON: a decimal in a string, so that no program rounds it.
type amount struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

func amountOf(m billing.Money) amount { return amount{m.Decimal(), m.Currency} }

// moment is a time in RFC 3339, UTC; null for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	u := t.UTC()
	return &u
}

// page is one page of a list. Next asks for the one after it; null on the last.
type page[T any] struct {
	Data []T     `json:"data"`
	Next *string `json:"next"`
}

const (
	usualPage = 20
	maxPage   = 100
)

// window reads limit and cursor. A cursor is ours to shape: callers send back what they
// were given.
func window(c call) (offset, limit int, err error) {
	limit = usualPage
	if s := c.Query("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			return 0, 0, fault.Field("limit", "api.limit_invalid", "limit is a number from 1 to 100.")
		}
		limit = n
	}
	if s := c.Query("cursor"); s != "" {
		raw, err := base64.RawURLEncoding.DecodeString(s)
		n, bad := strconv.Atoi(strings.TrimPrefix(string(raw), "o"))
		if err != nil || bad != nil || n < 0 || n > 1_000_000 || !strings.HasPrefix(string(raw), "o") {
			return 0, 0, fault.Field("cursor", "api.cursor_invalid", "This cursor is not one of ours. Send what the last page gave as next.")
		}
		offset = n
	}
	return offset, limit, nil
}

// pageOf makes a page of what was found; total is how many there are in all.
func pageOf[T any](data []T, offset, limit, total int) page[T] {
	p := page[T]{Data: data}
	if p.Data == nil {
		p.Data = []T{}
	}
	if next := offset + limit; next < total {
		s := base64.RawURLEncoding.EncodeToString([]byte("o" + strconv.Itoa(next)))
		p.Next = &s
	}
	return p
}

// idOf reads an id of a path; what is none names nothing.
func idOf(c call, name string, missing error) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params(name))
	if err != nil {
		return uuid.Nil, missing
	}
	return id, nil
}
