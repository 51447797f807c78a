package wholesale

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// batch is how many resellers one statement bills: enough to work on sets, few enough
// that what is held in memory stays small however many there are.
const batch = 250

// lateMargin reaches back before the last cut-off: a transaction that recorded usage may
// have been under way then and seen by nobody. What is worked out again and found the
// same changes nothing.
const lateMargin = time.Hour

// Month is a period of billing and its time, UTC. Its name is 2026-10 for a calendar month,
// 2026-10-15 for the month from that day on, and 2026-11-01..2026-11-15 for the short one
// between two bill days.
type Month struct {
	Name     string
	From, To time.Time
}

// Last is the calendar month before the one t lies in.
func Last(t time.Time) Month { return monthOf(monthOf(t).From.Add(-time.Hour)) }

// Report is what a run did, or would do.
type Report struct {
	Period   string           `json:"period"`
	From     time.Time        `json:"from"`
	To       time.Time        `json:"to"`
	CutOff   time.Time        `json:"cut_off"`
	Dry      bool             `json:"dry_run"`
	Again    bool             `json:"already_billed"` // it was billed before; nothing was changed
	Invoices int              `json:"invoices"`
	Lines    int              `json:"lines"`
	Total    map[string]int64 `json:"total_minor"` // by currency, tax included
	Rows     []ReportRow      `json:"resellers"`
	Missing  []Missing        `json:"without_price"`    // usage that cannot be billed
	Foreign  []Foreign        `json:"other_currencies"` // revenue that is not shared
	Others   []OtherMonth     `json:"other_months"`     // of a calendar month: those beginning in it that are resellers' own
}

// ReportRow is one reseller's invoice in a report.
type ReportRow struct {
	Tenant      tenancy.ID `json:"tenant"`
	Name        string     `json:"name"`
	Number      string     `json:"number"`
	Tier        string     `json:"tier"`
	Currency    string     `json:"currency"`
	Lines       int        `json:"lines"`
	Services    int64      `json:"services"`
	Adjustments int        `json:"adjustments"`
	NetMinor    int64      `json:"net_minor"`
	TotalMinor  int64      `json:"total_minor"`
}

// Missing is usage of a SKU that has no price for a reseller's tier and currency.
type Missing struct {
	Tenant   tenancy.ID `json:"tenant"`
	SKU      string     `json:"sku"`
	Tier     string     `json:"tier"`
	Currency string     `json:"currency"`
	Since    time.Time  `json:"since"`
}

// errDry rolls a dry run back.
var errDry = errors.New("wholesale: dry run")

// Run bills a month: one invoice a reseller, with its lines and their evidence, all in
// one transaction. A month that was billed is left as it is and answered with Again. Dry
// does the very same and rolls it back; it may be asked of the month under way, which is
// then worked out as if everything ran on to its end. Faults: wholesale.not_over for a
// month that has not ended, wholesale.unpriced when usage has no price.
func (d *Desk) Run(ctx context.Context, m Month, by audit.Origin, dry bool) (report Report, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		r := &run{tx: tx, month: m, dry: dry, by: by, report: Report{Period: m.Name, From: m.From, To: m.To, Dry: dry, Total: map[string]int64{}}}
		err := r.whole(ctx)
		report = r.report
		if err == nil && dry {
			return errDry
		}
		return err
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	if err != nil {
		return Report{}, fmt.Errorf("wholesale run %s: %w", m.Name, err)
	}
	return report, nil
}

// run is one run under way.
type run struct {
	tx     *tenancy.CentralTx
	month  Month
	dry    bool
	by     audit.Origin
	id     uuid.UUID
	cutOff time.Time
	report Report

	seller Seller
	series series

	rateless []string // currencies without a rate into that of the seller's country

	closed []closedRun // whose late facts are adjusted here
	days   billDays

	shares, minimums bool           // some tier asks for them
	sharing          map[int64]bool // who was ever on a tier with a share; nil: not known

	only tenancy.ID // whose preview it is; zero: a run of all
	seen []billed   // what a preview would have issued
}

// series is where the numbering and the chain of invoices stand.
type series struct {
	Sequence int64
	Hash     []byte
}

// closedRun is a month that was billed before.
type closedRun struct {
	Month
	Tenants map[int64]bool // with facts that came since
}

func (r *run) whole(ctx context.Context) error {
	done, err := r.open(ctx)
	if err == nil {
		err = r.others(ctx)
	}
	if err != nil || done {
		return err
	}
	if err := r.foreign(ctx); err != nil {
		return err
	}
	if err := r.lateFacts(ctx); err != nil {
		return err
	}
	if err := r.everybody(ctx); err != nil {
		return err
	}
	if len(r.report.Missing) > 0 && !r.dry {
		return unpriced(r.report.Missing)
	}
	if err := r.tellRateless(ctx); err != nil {
		return err
	}
	return r.close(ctx)
}

// everybody bills all who are to be billed, or the one that a preview is for.
func (r *run) everybody(ctx context.Context) error {
	var who []billed
	err := r.tx.NewRaw(`SELECT t.id, t.name, t.owner_email, t.locale, t.time_zone, coalesce(p.billing, '{}') AS billing, coalesce(p.tax_id, '') AS tax_id
		FROM tenants t LEFT JOIN reseller_profiles p ON p.tenant_id = t.id
		WHERE (NOT t.sandbox AND ?1 = 0 OR t.id = ?1) AND EXISTS (SELECT FROM tenant_terms x WHERE x.tenant_id = t.id AND x.valid_from < ?0) ORDER BY t.id`, r.month.To, r.only.Number()).Scan(ctx, &who)
	if err != nil {
		return fmt.Errorf("who is billed: %w", err)
	}
	if r.only.IsZero() {
		who = slices.DeleteFunc(who, func(w billed) bool { return !r.days.own(w.ID.Number(), r.month) })
	}
	for some := range slices.Chunk(who, batch) {
		if err := r.bill(ctx, some); err != nil {
			return err
		}
		clear(some) // their lines are written, and would be held to the end of the run
	}
	return nil
}

// open takes the month, or finds it billed. Two runs at once wait for one another here.
func (r *run) open(ctx context.Context) (done bool, err error) {
	if !r.dry && r.tx.Now().Before(r.month.To) {
		return false, notOver(r.month)
	}
	if r.days, err = daysIn(ctx, r.tx); err != nil {
		return false, err
	}
	if !r.month.calendar() && !r.days.somebody(r.month) {
		return false, fault.Field("period", "wholesale.nobodys_month", "No reseller has a month from "+day(r.month.From)+" to "+day(r.month.To)+".")
	}
	if r.id, err = uuid.NewV7(); err != nil {
		return false, err
	}
	// The ledger stamps events by the database's clock, and so is the cut-off.
	if err := r.tx.NewRaw("SELECT now()").Scan(ctx, &r.cutOff); err != nil {
		return false, err
	}
	r.report.CutOff = r.cutOff.UTC()
	res, err := r.tx.NewRaw(`INSERT INTO wholesale_runs (id, period, period_from, period_to, cut_off, state, invoices, total, started_at, started_by)
		VALUES (?, ?, ?, ?, ?, 'running', 0, '{}', ?, ?) ON CONFLICT (period) DO NOTHING`,
		r.id, r.month.Name, r.month.From, r.month.To, r.cutOff, r.tx.Now(), r.by.Actor.Name).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("open the run: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return false, err
	} else if n == 0 {
		r.report.Again = true
		return true, r.recall(ctx)
	}
	if r.series, err = lockSeries(ctx, r.tx, "wholesale_series", "wholesale_invoices"); err != nil {
		return false, err
	}
	r.seller, err = sellerIn(ctx, r.tx)
	return false, err
}

// lockSeries lets one transaction at a time take numbers of a table's series, by a lock of
// that name, and answers where the series stands.
func lockSeries(ctx context.Context, tx *tenancy.CentralTx, lock, table string) (series, error) {
	var one int
	if err := tx.NewRaw("INSERT INTO settings (name, value, changed_at) VALUES (?, '{}', ?) ON CONFLICT (name) DO NOTHING", lock, tx.Now()).Scan(ctx, &one); err != nil && !tenancy.IsNoRows(err) {
		return series{}, err
	}
	if err := tx.NewRaw("SELECT 1 FROM settings WHERE name = ? FOR UPDATE", lock).Scan(ctx, &one); err != nil {
		return series{}, err
	}
	var last []series
	if err := tx.NewRaw("SELECT sequence, hash FROM "+table+" ORDER BY sequence DESC LIMIT 1").Scan(ctx, &last); err != nil {
		return series{}, err
	}
	if len(last) == 0 {
		return series{Hash: []byte{}}, nil
	}
	return last[0], nil
}

// recall fills the report of a month that was billed before, in two small statements.
func (r *run) recall(ctx context.Context) error {
	var was struct {
		CutOff   time.Time
		Invoices int
		Total    json.RawMessage
	}
	if err := r.tx.NewRaw("SELECT cut_off, invoices, total FROM wholesale_runs WHERE period = ?", r.month.Name).Scan(ctx, &was); err != nil {
		return err
	}
	r.report.CutOff, r.report.Invoices = was.CutOff.UTC(), was.Invoices
	return json.Unmarshal(was.Total, &r.report.Total)
}

// lateFacts finds the resellers about whom something was recorded for a closed month
// since the last run looked.
func (r *run) lateFacts(ctx context.Context) error {
	var rows []struct {
		Period     string
		PeriodFrom time.Time
		PeriodTo   time.Time
		TenantID   int64
	}
	// Who is billed now was looked at by the run of the month before this one, whichever it was.
	err := r.tx.NewRaw(`WITH since AS (SELECT coalesce((SELECT min(cut_off) FROM wholesale_runs WHERE state = 'done' AND period_to = ?3),
			(SELECT max(cut_off) FROM wholesale_runs WHERE state = 'done')) - ?0::interval AS at)
		SELECT c.period, c.period_from, c.period_to, u.tenant_id
		FROM wholesale_runs c JOIN usage_events u ON u.at < c.period_to
		WHERE c.state = 'done' AND u.recorded_at > (SELECT at FROM since) AND u.recorded_at <= ?1
		UNION -- each once; what one tells of revenue concerns those that share it alone
		SELECT c.period, c.period_from, c.period_to, e.tenant_id
		FROM wholesale_runs c JOIN revenue_events e ON e.at >= c.period_from AND e.at < c.period_to
		WHERE ?2 AND c.state = 'done' AND e.recorded_at > (SELECT at FROM since) AND e.recorded_at <= ?1 AND e.kind IN ('invoiced', 'credited')
			AND EXISTS (SELECT FROM tenant_terms x JOIN tiers t USING (tier, currency) WHERE x.tenant_id = e.tenant_id AND t.commission_percent > 0)
		ORDER BY period_from, period, tenant_id`, lateMargin.String(), r.cutOff, r.shares, r.month.From).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("late facts: %w", err)
	}
	for _, row := range rows {
		m := Month{row.Period, row.PeriodFrom.UTC(), row.PeriodTo.UTC()}
		if !r.days.own(row.TenantID, m) || !r.days.own(row.TenantID, r.month) {
			continue
		}
		if n := len(r.closed); n == 0 || r.closed[n-1].Name != row.Period {
			r.closed = append(r.closed, closedRun{m, map[int64]bool{}})
		}
		r.closed[len(r.closed)-1].Tenants[row.TenantID] = true
	}
	return nil
}

// close ends the run and says what follows it: charges and mails, by a job of their own.
func (r *run) close(ctx context.Context) error {
	total, err := json.Marshal(r.report.Total)
	if err != nil {
		return err
	}
	_, err = r.tx.NewRaw("UPDATE wholesale_runs SET state = 'done', invoices = ?, total = ?::jsonb, finished_at = ? WHERE id = ?",
		r.report.Invoices, string(total), r.tx.Now(), r.id).Exec(ctx)
	if err != nil {
		return err
	}
	if err := carryCredits(ctx, r.tx); err != nil {
		return err
	}
	if err := draw(ctx, r.tx, tenancy.ID{}); err != nil {
		return err
	}
	if _, err := r.tx.Enqueue(ctx, AnnounceJob{Period: r.month.Name}, tenancy.JobOptions{Key: r.month.Name}); err != nil {
		return err
	}
	return r.by.Record(ctx, r.tx, "wholesale.billed", audit.Target{Kind: "wholesale_run", ID: r.month.Name},
		map[string]any{"invoices": r.report.Invoices, "total": r.report.Total})
}

// unpriced refuses a run that could not bill everything: invoices never change.
func unpriced(all []Missing) error {
	said := make([]string, 0, 3)
	for _, m := range all[:min(len(all), 3)] {
		said = append(said, fmt.Sprintf("%s for tier %s in %s since %s (reseller %s)", m.SKU, m.Tier, m.Currency, day(m.Since), m.Tenant))
	}
	if len(all) > 3 {
		said = append(said, fmt.Sprintf("%d more", len(all)-3))
	}
	return fault.New(fault.Conflict, "wholesale.unpriced", "Nothing was billed, because some usage has no price: "+strings.Join(said, "; ")+". Set the prices and run again.")
}

// AnnounceJob tells the resellers of a run's invoices and has their cards charged.
type AnnounceJob struct {
	Period string `json:"period"`
}

// Kind names the job.
func (AnnounceJob) Kind() string { return "wholesale.announce" }
