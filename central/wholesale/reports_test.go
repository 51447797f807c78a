package wholesale_test

import (
	"maps"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/central/wholesale"
)

// reportsAgree looks at the platform's books as its bookkeeper would: the trial balance comes
// to nothing, the journal to the trial balance, and what resellers owe to the receivables.
func reportsAgree(t *testing.T, d *wholesale.Desk) {
	t.Helper()
	ctx, end := t.Context(), d.Central.Now().AddDate(0, 0, 1)
	lines, err := d.Trial(ctx, end.AddDate(0, 0, -20), end)
	if err != nil {
		t.Fatal(err)
	}
	for _, sum := range billing.TrialSums(lines) {
		if sum.Opening.Minor != 0 || sum.Closing().Minor != 0 {
			t.Errorf("the platform's trial balance is %v before and %v after", sum.Opening, sum.Closing())
		}
	}
	owed, trial, moved := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for _, l := range lines {
		if l.Account == billing.Receivable {
			owed[l.Currency] = l.Closing().Minor
		}
		trial[l.Account+" "+l.Currency] = l.Closing().Minor
	}
	must(t, d.Journal(ctx, time.Time{}, end, func(m wholesale.JournalLine) error {
		moved[m.Debit+" "+m.Amount.Currency] += m.Amount.Minor
		moved[m.Credit+" "+m.Amount.Currency] -= m.Amount.Minor
		return nil
	}))
	if !maps.Equal(moved, trial) {
		t.Errorf("the journal comes to %v and the trial balance to %v", moved, trial)
	}
	aged, err := d.Aged(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range aged {
		owed[o.Currency] -= o.Net().Minor
	}
	for currency, left := range owed {
		if left != 0 {
			t.Errorf("receivables are %d %s (minor units) more than resellers owe: %+v", left, currency, aged)
		}
	}
}
