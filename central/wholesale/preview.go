package wholesale

import (
	"context"
	"errors"
	"fmt"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Preview is what a month under way will cost one reseller when everything runs on to its
// end, without tax: worked out by the run itself and rolled back. Shares of revenue are of
// what was invoiced so far, and adjustments of earlier months are not in it.
type Preview struct {
	Month   Month
	Lines   []PreviewLine
	Net     billing.Money
	Missing []Missing // what has no price yet and is in no line
}

// PreviewLine is a line as it would be billed.
type PreviewLine struct {
	Kind        string
	SKU         string
	Description string
	Net         billing.Money
}

// Preview works the month a moment lies in out for one reseller. It takes no number and no
// lock, so it neither waits for a run nor holds one up. Nobody to bill, as in a trial, is an
// empty preview.
func (d *Desk) Preview(ctx context.Context, tenant tenancy.ID) (p Preview, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		r := &run{tx: tx, month: monthOf(tx.Now()), dry: true, only: tenant, report: Report{Total: map[string]int64{}}}
		p = Preview{Month: r.month}
		err := tx.NewRaw("SELECT now(), coalesce(bool_or(commission_percent > 0), false), coalesce(bool_or(minimum_minor > 0), false) FROM tiers").Scan(ctx, &r.cutOff, &r.shares, &r.minimums)
		if err != nil {
			return err
		}
		if err := r.everybody(ctx); err != nil {
			return err
		}
		p.Missing = r.report.Missing
		for _, w := range r.seen {
			for _, l := range w.lines {
				net := billing.Money{Minor: l.NetMinor, Currency: l.Currency}
				p.Lines = append(p.Lines, PreviewLine{l.Kind, l.SKU, l.description, net})
				p.Net = billing.Money{Minor: p.Net.Minor + net.Minor, Currency: net.Currency}
			}
		}
		return errDry
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	if err != nil {
		return Preview{}, fmt.Errorf("preview for %s: %w", tenant, err)
	}
	return p, nil
}
