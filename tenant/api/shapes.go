package api

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
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

// hour is what an hour costs, of what is paid by the hour.
type hour struct {
	Price amount  `json:"price"`
	Most  *amount `json:"most"`  // a month; null: there is no most
	Month amount  `json:"month"` // that a full month comes to
}

// hourOf is null for what has no price of an hour.
func hourOf(h billing.HourPrice) *hour {
	if h.Rate.IsZero() {
		return nil
	}
	out := &hour{Price: amount{h.Rate.Decimal(), h.Rate.Currency}}
	if h.Most.Minor > 0 {
		most := amountOf(h.Most)
		out.Most = &most
	}
	if month, err := h.Month(); err == nil {
		out.Month = amountOf(month)
	}
	return out
}

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

// window is which page of a list is asked for: those after a row, in the usual order.
type window struct {
	limit int
	at    time.Time
	id    uuid.UUID // uuid.Nil: from the first
}

// The lists cursors are for: one list's is none of another's.
const (
	ofInvoices  = 'i'
	ofServices  = 's'
	ofOrders    = 'o'
	ofContracts = 'c'
	ofMethods   = 'm'
	ofTimeline  = 't'
)

// cursorBytes is a version, the list, a time in microseconds and an id.
const cursorBytes = 2 + 8 + 16

// windowOf reads limit and cursor. A cursor is ours to shape: callers send back what
// they were given.
func windowOf(c call, list byte) (w window, err error) {
	w.limit = usualPage
	if s := c.Query("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			return w, fault.Field("limit", "api.limit_invalid", "limit is a number from 1 to 100.")
		}
		w.limit = n
	}
	s := c.Query("cursor")
	if s == "" {
		return w, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(raw) != cursorBytes || raw[0] != 1 || raw[1] != list {
		return w, errCursor
	}
	w.at = time.UnixMicro(int64(binary.BigEndian.Uint64(raw[2:10]))).UTC() //nolint:gosec // the years are looked at
	if y := w.at.Year(); y < 1970 || y > 9999 {
		return w, errCursor
	}
	w.id = uuid.UUID(raw[10:])
	if w.id == uuid.Nil {
		return w, errCursor
	}
	return w, nil
}

var errCursor = fault.New(fault.Malformed, "api.cursor_invalid", "This cursor is not one of ours. Send what the last page gave as next.")

// pageOf makes a page of what was found, which is one more than asked for where another
// page follows.
func pageOf[R, T any](found []R, w window, list byte, place func(R) (time.Time, uuid.UUID), shape func(R) T) page[T] {
	p := page[T]{Data: []T{}}
	if len(found) > w.limit {
		found = found[:w.limit]
		at, id := place(found[w.limit-1])
		raw := binary.BigEndian.AppendUint64([]byte{1, list}, uint64(at.UnixMicro())) //nolint:gosec // read back the same
		next := base64.RawURLEncoding.EncodeToString(append(raw, id[:]...))
		p.Next = &next
	}
	for _, r := range found {
		p.Data = append(p.Data, shape(r))
	}
	return p
}

// idOf reads the id of a path; what is none names nothing.
func idOf(c call, missing error) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("id"))
	if err != nil {
		return uuid.Nil, missing
	}
	return id, nil
}
