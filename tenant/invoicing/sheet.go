package invoicing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Sheet is an invoice the team writes by hand. It may change until it is issued.
type Sheet struct {
	ID          uuid.UUID
	AccountID   uuid.UUID
	AccountName string
	Currency    string
	Lines       []SheetLine
	From, To    string // first and last day it is for, 2026-01-31; empty: none
	TermDays    int    // from issuing to due
	InvoiceID   uuid.UUID
	CreatedBy   string
	ChangedAt   time.Time
}

// SheetLine is one line of it.
type SheetLine struct {
	Text      string `json:"text"`
	Quantity  int64  `json:"quantity"`
	UnitMinor int64  `json:"unit_minor"` // with tax where the shop's prices are
	Class     string `json:"class"`
}

// MostSheetLines bounds a sheet, and MostSheets how many are kept unissued.
const (
	MostSheetLines = 30
	MostSheets     = 500
)

// SheetForm is a sheet as a form sends it. A line of which nothing is typed is none.
type SheetForm struct {
	ID        uuid.UUID // the form's; of a new one as of one that is changed
	AccountID uuid.UUID
	Currency  string
	Lines     []SheetFormLine
	From, To  string
	TermDays  string
}

// SheetFormLine is one line as it is typed.
type SheetFormLine struct{ Text, Quantity, Unit, Class string }

// check reads what was typed, or answers with the fault invoice_draft.invalid about the
// fields text.0, quantity.0, unit.0, class.0 and so on, from, to and term_days.
func (f SheetForm) check() (Sheet, error) {
	wrong := map[string]string{}
	s := Sheet{ID: f.ID, AccountID: f.AccountID, Currency: f.Currency, From: strings.TrimSpace(f.From), To: strings.TrimSpace(f.To)}
	for i, l := range f.Lines[:min(len(f.Lines), MostSheetLines)] {
		at := "." + strconv.Itoa(i)
		if l.Text = clean(l.Text); l.Text == "" && strings.TrimSpace(l.Unit) == "" {
			continue
		}
		line := SheetLine{Text: l.Text, Quantity: 1, Class: l.Class}
		if l.Text == "" || len([]rune(l.Text)) > 200 {
			wrong["text"+at] = "Say what it is for, in at most 200 characters."
		}
		if q := strings.TrimSpace(l.Quantity); q != "" {
			n, err := strconv.ParseInt(q, 10, 64)
			if err != nil || n < 1 || n > 100_000 {
				wrong["quantity"+at] = "Give a whole number from 1 to 100,000."
			}
			line.Quantity = n
		}
		unit, err := billing.Parse(strings.TrimSpace(l.Unit), f.Currency)
		if err != nil || unit.Minor > billing.MaxMinor || unit.Minor < -billing.MaxMinor {
			wrong["unit"+at] = "Give an amount in " + f.Currency + " such as 12.50."
		}
		line.UnitMinor = unit.Minor
		if line.Class == "" {
			line.Class = billing.Standard
		}
		if !slices.Contains(billing.Classes(), line.Class) {
			wrong["class"+at] = "Please choose one of these."
		}
		s.Lines = append(s.Lines, line)
	}
	if len(s.Lines) == 0 && len(wrong) == 0 {
		wrong["text.0"] = "Write at least one line."
	}
	for field, day := range map[string]string{"from": s.From, "to": s.To} {
		if t, err := time.Parse(time.DateOnly, day); day != "" && (err != nil || t.Year() < 2000 || t.Year() > 2100) {
			wrong[field] = "Give a day such as 2026-12-31."
		}
	}
	if (s.From == "") != (s.To == "") {
		wrong["to"] = "Give both days, or none."
	} else if s.To < s.From {
		wrong["to"] = "It would end before it begins."
	}
	days, err := strconv.Atoi(strings.TrimSpace(f.TermDays))
	if err != nil || days < 0 || days > billing.MostTermDays {
		wrong["term_days"] = "Give a number of days from 0 to 90."
	}
	s.TermDays = days
	return s, fault.Fields("invoice_draft.invalid", wrong)
}

// draft is the invoice it becomes when it is issued at a time.
func (s Sheet) draft(now time.Time, zone *time.Location) (Draft, error) {
	d := Draft{Key: "hand/" + s.ID.String(), AccountID: s.AccountID, Currency: s.Currency, DueAt: now.AddDate(0, 0, s.TermDays), TermDays: s.TermDays}
	var p billing.Period
	if s.From != "" {
		from, err := time.ParseInLocation(time.DateOnly, s.From, zone)
		if err != nil {
			return d, fmt.Errorf("read the days of a draft: %w", err)
		}
		to, err := time.ParseInLocation(time.DateOnly, s.To, zone)
		if err != nil {
			return d, fmt.Errorf("read the days of a draft: %w", err)
		}
		p = billing.Period{From: from.UTC(), To: to.AddDate(0, 0, 1).UTC()}
	}
	for _, l := range s.Lines {
		d.Lines = append(d.Lines, billing.Line{Kind: "item", Description: l.Text, Period: p, Quantity: l.Quantity,
			Unit: billing.Money{Minor: l.UnitMinor, Currency: s.Currency}, Tax: billing.TaxRule{Class: l.Class}})
	}
	return d, nil
}

// SaveSheet keeps a sheet, a new one or one that was not issued, of which it can be said
// what it comes to. Faults: invoice_draft.invalid, invoice_draft.issued,
// invoice_draft.too_many, account.not_found, and those of Price.
func SaveSheet(ctx context.Context, db *tenancy.DB, f SheetForm, by audit.Origin) error {
	s, err := f.check()
	if err != nil {
		return err
	}
	lines, err := json.Marshal(s.Lines)
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, err := s.proForma(ctx, tx, zoneIn(db)); err != nil {
			return err
		}
		var kept int
		if err := tx.NewRaw("SELECT count(*) FROM invoice_drafts WHERE invoice_id IS NULL AND id <> ?", s.ID).Scan(ctx, &kept); err != nil {
			return fmt.Errorf("count drafts: %w", err)
		}
		if kept >= MostSheets {
			return fault.New(fault.Conflict, "invoice_draft.too_many", "There are as many drafts as there can be. Issue some or throw them away.")
		}
		done, err := tx.NewRaw(`INSERT INTO invoice_drafts AS d (id, account_id, currency, lines, period_from, period_to, term_days, created_by, created_at, changed_at)
			VALUES (?, ?, ?, ?::jsonb, ?::date, ?::date, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET lines = excluded.lines, period_from = excluded.period_from, period_to = excluded.period_to, term_days = excluded.term_days,
				changed_at = excluded.changed_at WHERE d.invoice_id IS NULL AND d.account_id = excluded.account_id`,
			s.ID, s.AccountID, s.Currency, string(lines), bun.NullZero(s.From), bun.NullZero(s.To), s.TermDays, by.Actor.Name, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep a draft: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errSheetIssued
		}
		return by.Record(ctx, tx, "invoice_draft.saved", audit.Target{Kind: "invoice_draft", ID: s.ID.String()}, map[string]any{"account": s.AccountID.String(), "lines": len(s.Lines)})
	})
}

var (
	errSheetIssued = fault.New(fault.Conflict, "invoice_draft.issued", "This draft was issued. What is issued does not change.")
	errNoSheet     = fault.New(fault.NotFound, "invoice_draft.not_found", "There is no such draft.")
)

// zoneIn is the shop's zone.
func zoneIn(db *tenancy.DB) *time.Location {
	zone, err := time.LoadLocation(db.Tenant().TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// Sheets are the drafts that were not issued, the latest first.
func Sheets(ctx context.Context, tx *tenancy.Tx) ([]Sheet, error) {
	return sheets(ctx, tx, "d.invoice_id IS NULL ORDER BY d.changed_at DESC, d.id LIMIT ?", MostSheets)
}

// SheetOf is one draft, or the fault invoice_draft.not_found.
func SheetOf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Sheet, error) {
	return oneSheet(ctx, tx, "d.id = ?", id)
}

func oneSheet(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (Sheet, error) {
	found, err := sheets(ctx, tx, where, args...)
	if err == nil && len(found) == 0 {
		return Sheet{}, errNoSheet
	}
	if err != nil {
		return Sheet{}, err
	}
	return found[0], nil
}

func sheets(ctx context.Context, tx *tenancy.Tx, where string, args ...any) ([]Sheet, error) {
	var rows []struct {
		ID, AccountID, InvoiceID                          uuid.UUID
		AccountName, Currency, Lines, From, To, CreatedBy string
		TermDays                                          int
		ChangedAt                                         time.Time
	}
	err := tx.NewRaw(`SELECT d.id, d.account_id, a.name AS account_name, d.currency, d.lines::text AS lines, coalesce(d.period_from::text, '') AS "from", coalesce(d.period_to::text, '') AS "to",
		d.term_days, coalesce(d.invoice_id, '00000000-0000-0000-0000-000000000000') AS invoice_id, d.created_by, d.changed_at
		FROM invoice_drafts d JOIN accounts a ON a.id = d.account_id WHERE `+where, args...).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read drafts of invoices: %w", err)
	}
	all := make([]Sheet, len(rows))
	for i, r := range rows {
		all[i] = Sheet{ID: r.ID, AccountID: r.AccountID, AccountName: r.AccountName, Currency: r.Currency, From: r.From, To: r.To, TermDays: r.TermDays, InvoiceID: r.InvoiceID, CreatedBy: r.CreatedBy, ChangedAt: r.ChangedAt}
		if err := json.Unmarshal([]byte(r.Lines), &all[i].Lines); err != nil {
			return nil, fmt.Errorf("read draft %s: %w", r.ID, err)
		}
	}
	return all, nil
}

// IssueSheet makes the invoice of a draft final; a second time it is the same invoice.
// Faults: invoice_draft.not_found, and those of Issue.
func IssueSheet(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) (inv Invoice, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := oneSheet(ctx, tx, "d.id = ? FOR UPDATE OF d", id)
		if err != nil {
			return err
		}
		if s.InvoiceID != uuid.Nil {
			inv, err = Get(ctx, tx, s.InvoiceID)
			return err
		}
		d, err := s.draft(tx.Now(), zoneIn(db))
		if err != nil {
			return err
		}
		if inv, err = Issue(ctx, tx, d); err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE invoice_drafts SET invoice_id = ?, changed_at = ? WHERE id = ?", inv.ID, tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("note that a draft was issued: %w", err)
		}
		return by.Record(ctx, tx, "invoice.issued_by_hand", audit.Target{Kind: "invoice", ID: inv.ID.String()}, map[string]any{"number": inv.Number, "total": inv.Total.String()})
	})
	return inv, err
}

// DropSheet throws a draft away that was not issued. Faults: invoice_draft.not_found,
// invoice_draft.issued.
func DropSheet(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		done, err := tx.NewRaw("DELETE FROM invoice_drafts WHERE id = ? AND invoice_id IS NULL", id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("throw a draft away: %w", err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			if err == nil {
				_, err = oneSheet(ctx, tx, "d.id = ?", id)
			}
			if err == nil {
				err = errSheetIssued
			}
			return err
		}
		return by.Record(ctx, tx, "invoice_draft.dropped", audit.Target{Kind: "invoice_draft", ID: id.String()}, nil)
	})
}
