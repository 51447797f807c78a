package renewal_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// happened is an invoice that was made.
type happened struct {
	ID       uuid.UUID
	IssuedAt time.Time
	DueAt    time.Time
	NetMinor int64
	Total    int64
	Lines    []string
}

func (f *foretold) happened(v vision) (all []happened) {
	f.t.Helper()
	f.update(func(tx *tenancy.Tx) error {
		err := tx.NewRaw(`SELECT id, issued_at, due_at, net_minor, total_minor AS total FROM invoices WHERE account_id = ? AND kind = 'invoice' AND key LIKE 'renewal/%' AND issued_at > ? ORDER BY issued_at, id`, v.account, v.at).Scan(f.t.Context(), &all)
		for i := range all {
			var lines []struct {
				Kind     string
				Sub      uuid.UUID
				From, To time.Time
				Minor    int64
			}
			if err == nil {
				err = tx.NewRaw(`SELECT kind, coalesce(subscription_id, '00000000-0000-0000-0000-000000000000') AS sub, period_from AS "from", period_to AS "to", net_minor AS minor FROM invoice_lines WHERE invoice_id = ?`, all[i].ID).Scan(f.t.Context(), &lines)
			}
			for _, l := range lines {
				all[i].Lines = append(all[i].Lines, lineWords(l.Kind, l.Sub.String(), billing.Period{From: l.From, To: l.To}, l.Minor))
			}
			slices.Sort(all[i].Lines)
		}
		return err
	})
	return all
}

func lineWords(kind, sub string, p billing.Period, minor int64) string {
	when := ""
	if !p.From.IsZero() {
		when = p.From.UTC().Format("06-01-02T15:04") + "–" + p.To.UTC().Format("06-01-02T15:04")
	}
	return fmt.Sprintf("%s %s %s %d", sub[len(sub)-4:], kind, when, minor)
}

// compare holds what was foreseen against what was made.
func (f *foretold) compare() {
	f.t.Helper()
	n, sofar := 0, 0
	for _, v := range f.asked {
		var want, got []string
		end := f.Clock.Now()
		if last := len(v.all) - 1; last == 9 && v.all[last].IssueAt.Before(end) {
			end = v.all[last].IssueAt.Add(-time.Microsecond) // of its moment there may be more
		}
		if leavesCredit(v.all) {
			continue
		}
		made := f.happened(v)
		open := map[string]bool{} // hours that run on become more
		for _, x := range v.all {
			if x.IssueAt.After(end) {
				continue
			}
			n++
			words, runs := foreseenWords(x)
			if runs {
				open[opens(x.IssueAt, x.SubscriptionID.String())], sofar = true, sofar+1
			}
			want = append(want, words)
		}
		for _, x := range made {
			if !x.IssuedAt.After(end) {
				got = append(got, x.words(slices.ContainsFunc(x.Lines, func(l string) bool { return open[opens(x.IssuedAt, l[:4])] })))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) {
			f.t.Errorf("%s, foreseen at %s:\nforeseen\n  %s\nmade\n  %s\nof\n  %s", f.of[v.account].name, v.at.Format(time.RFC3339), strings.Join(only(want, got), "\n  "), strings.Join(only(got, want), "\n  "), strings.Join(f.of[v.account].done, "\n  "))
		}
	}
	if f.t.Logf("%d invoices of %d accounts were foreseen, %d with hours that run", n, len(f.accounts), sofar); n < 200 || sofar == 0 {
		f.t.Errorf("%d invoices compared", n)
	}
}

func foreseenWords(x renewal.Foreseen) (words string, runs bool) {
	var lines []string
	used := false
	for _, l := range x.Lines {
		if strings.HasSuffix(l.Description, ": Hours, so far") {
			runs = true
			continue
		}
		used = used || l.Kind == "usage"
		lines = append(lines, lineWords(l.Kind, l.SubscriptionID, l.Period, l.Net.Minor))
	}
	slices.Sort(lines)
	runs = runs || x.SoFar && !used // hours of which a code takes all by now
	h := happened{IssuedAt: x.IssueAt, DueAt: x.DueAt, NetMinor: x.Net.Minor, Total: x.Total.Minor, Lines: lines}
	return h.words(runs), runs
}

func (h happened) words(runs bool) string {
	lines, at := h.Lines, h.IssuedAt.UTC().Format(time.RFC3339Nano)+" due "+h.DueAt.UTC().Format(time.RFC3339Nano)
	if runs {
		lines = slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return strings.Contains(l, " usage ") })
		return fmt.Sprintf("%s hours | %s", at, strings.Join(lines, ", "))
	}
	return fmt.Sprintf("%s %d %d | %s", at, h.NetMinor, h.Total, strings.Join(lines, ", "))
}

// leavesCredit reports whether credit is taken where hours run: how much of it is left for the next
// invoice is known when they are over.
func leavesCredit(all []renewal.Foreseen) bool {
	runs, takes := false, false
	for _, x := range all {
		words, open := foreseenWords(x)
		runs, takes = runs || open, takes || strings.Contains(words, " credit ")
	}
	return runs && takes
}

// opens names an invoice by when it is made and something on it.
func opens(at time.Time, sub string) string {
	return at.UTC().Format(time.RFC3339Nano) + sub[len(sub)-4:]
}

// only are those of all that are not among others.
func only(all, others []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(x string) bool { return slices.Contains(others, x) })
}
