package wholesale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
)

// Preview is what a month under way will cost one reseller when everything runs on to its
// end, its tax apart: worked out by the run itself and rolled back. Shares of revenue are of
// what was invoiced so far, and adjustments of earlier months are not in it.
type Preview struct {
	Month   Month
	Lines   []PreviewLine
	Net     billing.Money
	Tax     billing.Money // on Net, as it would be now
	Missing []Missing     // what has no price yet and is in no line
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
func (d *Desk) Preview(ctx context.Context, tenant tenancy.ID) (Preview, error) {
	all, err := d.previews(ctx, tenant, func(now time.Time, days []billing.BillDay) []Month {
		return []Month{monthFrom(billing.BillMonth(days, now))}
	}, "now()")
	if err != nil {
		return Preview{}, err
	}
	return all[0], nil
}

// PreviewMonths is Preview for each calendar month from the one to the other moment's, with all that
// is told of them: also of a sandbox, which is never billed, by its own clock.
func (d *Desk) PreviewMonths(ctx context.Context, tenant tenancy.ID, from, to time.Time) ([]Preview, error) {
	return d.previews(ctx, tenant, func(time.Time, []billing.BillDay) (months []Month) {
		for m := monthOf(from); !m.From.After(to) && len(months) < 120; m = monthOf(m.To) {
			months = append(months, m)
		}
		return months
	}, "timestamptz '9999-01-01'")
}

func (d *Desk) previews(ctx context.Context, tenant tenancy.ID, months func(now time.Time, days []billing.BillDay) []Month, cutOff string) (all []Preview, err error) {
	if tenant.IsZero() {
		return nil, tenancy.ErrNoTenant // it would be a preview of everybody
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		all = nil
		base := run{tx: tx, dry: true, only: tenant}
		var seller, kept json.RawMessage
		err := tx.NewRaw("SELECT "+cutOff+`, coalesce(bool_or(commission_percent > 0), false), coalesce(bool_or(minimum_minor > 0), false),
			coalesce((SELECT value FROM settings WHERE name = 'wholesale_seller'), '{}'), coalesce((SELECT bill_days FROM reseller_profiles WHERE tenant_id = ?), '[]') FROM tiers`, tenant).
			Scan(ctx, &base.cutOff, &base.shares, &base.minimums, &seller, &kept)
		var days []billing.BillDay
		if err == nil {
			err = errors.Join(json.Unmarshal(seller, &base.seller), json.Unmarshal(kept, &days))
		}
		if err != nil {
			return err
		}
		for _, m := range months(tx.Now(), days) {
			r := base
			r.month, r.report = m, Report{Total: map[string]int64{}}
			p, err := r.preview(ctx)
			if err != nil {
				return err
			}
			all = append(all, p)
		}
		return errDry
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("preview for %s: %w", tenant, err)
	}
	return all, nil
}

// preview works one month out, in a transaction that is rolled back.
func (r *run) preview(ctx context.Context) (p Preview, err error) {
	p = Preview{Month: r.month}
	if err := r.everybody(ctx); err != nil {
		return p, err
	}
	p.Missing = r.report.Missing
	for _, w := range r.seen {
		for _, l := range w.lines {
			net := billing.Money{Minor: l.NetMinor, Currency: l.Currency}
			p.Lines = append(p.Lines, PreviewLine{l.Kind, l.SKU, l.description, net})
			p.Net = billing.Money{Minor: p.Net.Minor + net.Minor, Currency: net.Currency}
		}
		var buyer document.Party
		if err := json.Unmarshal(w.Billing, &buyer); err != nil {
			return p, fmt.Errorf("billing profile of %s: %w", r.only, err)
		}
		if p.Tax, err = p.Net.Ratio(r.taxOf(buyer.Country, w.TaxID).Ppm, billing.PpmWhole); err != nil {
			return p, err
		}
	}
	return p, nil
}
