// Package table reads what a list page asks for (search, filters, order, page) and
// writes what it answers with: links to other orders and pages, and CSV. It knows
// no rows.
package table

import (
	"bytes"
	"encoding/csv"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
)

// PerPage is how many rows a page of a list has.
const PerPage = 25

// CSVRows is the most rows one CSV holds.
const CSVRows = 10_000

const (
	maxText = 200
	maxPage = 100_000
)

// Request is what a person asks a list for.
type Request struct {
	Path    string // of the list, where its links lead
	Text    string // typed into the search
	Sort    string
	Desc    bool
	Page    int               // from 1
	CSV     bool              // ?format=csv
	Filters map[string]string // by name; those left open are empty
}

// Read reads a request. Filters are the names of the list's own parameters. Nothing
// that a browser may send is an error: what makes no sense is left out.
func Read(c *fiber.Ctx, filters ...string) Request {
	r := Request{
		Path: c.Path(), Text: Text(c.Query("q"), maxText), Sort: Text(c.Query("sort"), 40), Desc: c.Query("dir") == "desc",
		Page: 1, CSV: c.Query("format") == "csv", Filters: map[string]string{},
	}
	if n, err := strconv.Atoi(c.Query("page")); err == nil && n > 1 {
		r.Page = min(n, maxPage)
	}
	for _, name := range filters {
		r.Filters[name] = Text(c.Query(name), maxText)
	}
	return r
}

// Text is s as a person could have typed it on one line: valid, without control
// characters, trimmed, at most so many bytes.
func Text(s string, most int) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// Offset and Limit are the rows the page wants.
func (r Request) Offset() int {
	if r.CSV {
		return 0
	}
	return (r.Page - 1) * PerPage
}

// Limit is how many rows the page wants.
func (r Request) Limit() int { return PerPage }

// Narrowed reports whether anything was searched or filtered: an empty list then
// says that nothing matches, and not that there is nothing.
func (r Request) Narrowed() bool {
	for _, v := range r.Filters {
		if v != "" {
			return true
		}
	}
	return r.Text != ""
}

func (r Request) link(change map[string]string) string {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("q", r.Text)
	set("sort", r.Sort)
	if r.Desc {
		set("dir", "desc")
	}
	for name, value := range r.Filters {
		set(name, value)
	}
	for name, value := range change {
		v.Del(name)
		set(name, value)
	}
	if len(v) == 0 {
		return r.Path
	}
	return r.Path + "?" + v.Encode()
}

// CSVHref is the same list as a file.
func (r Request) CSVHref() string { return r.link(map[string]string{"format": "csv"}) }

// With is the same list with one filter set otherwise, from its first page.
func (r Request) With(filter, value string) string { return r.link(map[string]string{filter: value}) }

// Cleared is the list with nothing searched or filtered.
func (r Request) Cleared() string { return r.Path }

// Head makes a column's head, as the partial sort-head takes it; asking for the order
// it has turns it round.
func (r Request) Head(label, column string) map[string]string {
	order, dir := "", ""
	if r.Sort == column {
		order = "asc"
		if r.Desc {
			order = "desc"
		} else {
			dir = "desc"
		}
	}
	return map[string]string{"Label": label, "Order": order, "Href": r.link(map[string]string{"sort": column, "dir": dir})}
}

// Pages makes the links under a list of so many rows, as the partial pages takes them.
func (r Request) Pages(total int) map[string]string {
	p := map[string]string{}
	last := max((total+PerPage-1)/PerPage, 1)
	if last > 1 || r.Page > 1 {
		p["Text"] = "Page " + strconv.Itoa(r.Page) + " of " + strconv.Itoa(last)
	}
	if r.Page > 1 {
		p["Prev"] = r.link(map[string]string{"page": strconv.Itoa(min(r.Page-1, last))})
	}
	if r.Page < last {
		p["Next"] = r.link(map[string]string{"page": strconv.Itoa(r.Page + 1)})
	}
	return p
}

// Collect reads a whole list for a file, page by page, up to CSVRows.
func Collect[T any](fetch func(offset, limit int) (rows []T, total int, err error)) ([]T, error) {
	const step = 200
	var all []T
	for len(all) < CSVRows {
		rows, _, err := fetch(len(all), step)
		if err != nil {
			return nil, err
		}
		if all = append(all, rows...); len(rows) < step {
			break
		}
	}
	return all, nil
}

// Before makes the link to the next page of a list that is read backwards from a
// number, as trails and queues are.
func (r Request) Before(number int64) string {
	return r.link(map[string]string{"before": strconv.FormatInt(number, 10)})
}

// ReadBefore is the number a page reads backwards from; 0 for the first.
func ReadBefore(c *fiber.Ctx) int64 {
	n, err := strconv.ParseInt(c.Query("before"), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Day reads a day as <input type="date"> sends it, in UTC; the zero time when it is
// none.
func Day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9000 {
		return time.Time{}
	}
	return t
}

// CSV answers with a file of rows. Cells that a spreadsheet would run as a formula
// are quoted as text.
func CSV(c *fiber.Ctx, name string, head []string, rows [][]string) error {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := w.Write(head); err != nil {
		return err
	}
	for _, row := range rows {
		safe := make([]string, len(row))
		for i, cell := range row {
			safe[i] = inert(cell)
		}
		if err := w.Write(safe); err != nil {
			return err
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="`+name+`.csv"`)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Send(out.Bytes())
}

func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// Time is a time in a CSV: RFC 3339 in UTC; empty for never.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
