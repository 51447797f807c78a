package invoicing

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/recognition"
)

// book is a series documents are about to be added to.
type book struct {
	code, pattern string
	seriesRow
}

// issued is a document about to be kept.
type issued struct {
	Invoice
	sequence  int64
	collectAt time.Time
	doc       document.Document
	ledger    []billing.Posting
	ledgerKey string
	ahead     []recognition.Row // lines that are earned later
	asked     []billing.TaxAsked
}

// issuedRow is one as the statement takes it.
type issuedRow struct {
	Place      int                `json:"place"` // from 1
	ID         uuid.UUID          `json:"id"`
	Key        string             `json:"key"`
	Kind       string             `json:"kind"`
	CorrectsID *uuid.UUID         `json:"corrects_id"`
	AccountID  uuid.UUID          `json:"account_id"`
	State      string             `json:"state"`
	Sequence   int64              `json:"sequence"`
	Number     string             `json:"number"`
	Currency   string             `json:"currency"`
	NetMinor   int64              `json:"net_minor"`
	TaxMinor   int64              `json:"tax_minor"`
	TotalMinor int64              `json:"total_minor"`
	Document   document.Document  `json:"document"`
	IssuedAt   time.Time          `json:"issued_at"`
	DueAt      *time.Time         `json:"due_at"`
	PaidAt     *time.Time         `json:"paid_at"`
	NextTryAt  *time.Time         `json:"next_try_at"`
	LedgerKey  string             `json:"ledger_key"`
	Lines      []lineRow          `json:"lines"`
	Postings   []postingRow       `json:"postings"`
	Ahead      []recognition.Row  `json:"ahead,omitempty"`
	Tax        []billing.TaxAsked `json:"tax,omitempty"`
}

func (n issued) row(place int) issuedRow {
	return issuedRow{
		Place: place, ID: n.ID, Key: n.Key, Kind: n.Kind, CorrectsID: orNull(n.CorrectsID), AccountID: n.AccountID, State: string(n.State),
		Sequence: n.sequence, Number: n.Number, Currency: n.Currency, NetMinor: n.Net.Minor, TaxMinor: n.Tax.Minor, TotalMinor: n.Total.Minor,
		Document: n.doc, IssuedAt: n.IssuedAt, DueAt: whenSet(n.DueAt), PaidAt: whenSet(n.PaidAt), NextTryAt: whenSet(n.collectAt),
		LedgerKey: n.ledgerKey, Lines: lineRows(n.doc), Postings: postingRows(n.ledger), Ahead: n.ahead, Tax: n.asked,
	}
}

// storeStatement keeps documents with their lines and postings, and moves the series
// on. Each hash is made where the document's final text is, in the database, over the
// one before it; see Books for what it covers. Its arguments: the rows, the hash of the
// series' last document, the series, now (three times), the series' next number,
// pattern, the series twice.
const storeStatement = `WITH RECURSIVE ` + storedRows + `,
	chain AS (` + hashChain + `),` + storedParts

// spreadStatement is the same where tenants lie on nodes of Citus, which plans no
// recursion beside inserts: the chain is asked for before, and its third argument is the
// answer in place of the hash and the series.
const spreadStatement = `WITH ` + storedRows + `,
	chain AS (SELECT r.place, decode(r.prev, 'hex') AS prev, decode(r.hash, 'hex') AS hash
		FROM jsonb_to_recordset(?::jsonb) AS r(place int, prev text, hash text)),` + storedParts

const chainStatement = `WITH RECURSIVE ` + storedRows + `,
	chain AS (` + hashChain + `)
	SELECT jsonb_agg(jsonb_build_object('place', place, 'prev', encode(prev, 'hex'), 'hash', encode(hash, 'hex')))::text FROM chain`

const storedRows = `n AS MATERIALIZED (
		SELECT * FROM jsonb_to_recordset(?::jsonb) AS n(place int, id uuid, key text, kind text, corrects_id uuid, account_id uuid, state text, sequence bigint, number text,
			currency text, net_minor bigint, tax_minor bigint, total_minor bigint, document jsonb, issued_at timestamptz, due_at timestamptz, paid_at timestamptz,
			next_try_at timestamptz, ledger_key text, lines jsonb, postings jsonb, ahead jsonb, tax jsonb))`

const hashChain = `
		SELECT 0 AS place, ''::bytea AS prev, ?::bytea AS hash
		UNION ALL SELECT n.place, c.hash, sha256('ezscale invoice 1'::bytea || c.hash || convert_to(? || ' ' || n.sequence || ' ' || n.document::text, 'UTF8'))
			FROM chain c JOIN n ON n.place = c.place + 1`

const storedParts = `
	kept AS (INSERT INTO invoices (id, key, kind, corrects_id, account_id, state, series, sequence, number, currency, net_minor, tax_minor, total_minor,
			paid_minor, credited_minor, document, prev_hash, hash, issued_at, due_at, paid_at, tries, next_try_at, created_at, changed_at, evidence)
		SELECT n.id, n.key, n.kind, n.corrects_id, n.account_id, n.state, ?, n.sequence, n.number, n.currency, n.net_minor, n.tax_minor, n.total_minor,
			0, 0, n.document, c.prev, c.hash, n.issued_at, n.due_at, n.paid_at, 0, n.next_try_at, ?, ?, e.evidence FROM n JOIN chain c USING (place)
		LEFT JOIN LATERAL (SELECT jsonb_strip_nulls(jsonb_object(ARRAY['billing_country', 'billing_region', 'tax_id', 'number_state', 'card_country', 'ip', 'ip_country'],
			ARRAY[a.country, nullif(a.billing->>'region', ''), nullif(a.tax_id, ''), a.tax_check->>'state', m.country, nullif(o.ip, ''), o.country])
			|| jsonb_set('{}', '{tax}', coalesce(n.tax, 'null'))) AS evidence
			FROM accounts a LEFT JOIN payment_methods m ON m.id = a.default_method_id AND m.state <> 'removed'
			LEFT JOIN LATERAL (SELECT o.ip, o.evidence->>'ip_country' AS country FROM orders o WHERE o.account_id = a.id ORDER BY o.placed_at DESC LIMIT 1) o ON true WHERE a.id = n.account_id AND n.kind = 'invoice') e ON true),
	lines AS (INSERT INTO invoice_lines (invoice_id, position, kind, subscription_id, description, period_from, period_to, quantity, unit_minor, net_minor, tax_percent, tax_note, meter_id, usage_round, price_id)
		SELECT n.id, r.position, r.kind, r.subscription_id, r.description, r.period_from, r.period_to, r.quantity, r.unit_minor, r.net_minor, r.tax_ppm / 10000.0, r.tax_note, r.meter_id, r.usage_round, r.price_id
		FROM n, jsonb_to_recordset(n.lines) AS r(position int, kind text, subscription_id uuid, description text, period_from timestamptz,
			period_to timestamptz, quantity bigint, unit_minor bigint, net_minor bigint, tax_ppm bigint, tax_note text, meter_id uuid, usage_round int, price_id uuid)),
	posts AS (INSERT INTO ledger_postings (key, position, at, debit, credit, account_id, amount_minor, currency, source_kind, source_id, note)
		SELECT n.ledger_key, r.position, ?, r.debit, r.credit, n.account_id, r.amount, n.currency, n.kind, n.id, r.note
		FROM n, jsonb_to_recordset(n.postings) AS r(position int, debit text, credit text, amount bigint, note text)),
	ahead AS (INSERT INTO recognitions (invoice_id, position, account_id, subscription_id, currency, net_minor, done_minor, done_to, period_from, period_to, held)
		SELECT n.id, r.position, n.account_id, r.subscription_id, n.currency, r.net, 0, r.done_to, r.period_from, r.period_to, false
		FROM n, jsonb_to_recordset(n.ahead) AS r(position int, subscription_id uuid, net bigint, done_to timestamptz, period_from timestamptz, period_to timestamptz))
	UPDATE number_series SET next = ?, pattern = ?, year = nullif(?, 0), before = nullif(?, 0), last_hash = (SELECT hash FROM chain ORDER BY place DESC LIMIT 1) WHERE code = ?`

// store keeps documents, in their order, whose numbers go on from the book's next.
func store(ctx context.Context, tx *tenancy.Tx, b book, all []issued) error {
	rows := make([]issuedRow, len(all))
	for i, n := range all {
		rows[i] = n.row(i + 1)
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	rest := []any{b.code, tx.Now(), tx.Now(), tx.Now(), b.Next + int64(len(all)), b.pattern, b.Year, b.Before, b.code}
	spread, err := tx.Spread(ctx)
	switch {
	case err != nil:
	case spread:
		var chain string
		if err = tx.NewRaw(chainStatement, string(text), b.LastHash, b.code).Scan(ctx, &chain); err == nil {
			_, err = tx.NewRaw(spreadStatement, append([]any{string(text), chain}, rest...)...).Exec(ctx)
		}
	default:
		_, err = tx.NewRaw(storeStatement, append([]any{string(text), b.LastHash, b.code}, rest...)...).Exec(ctx)
	}
	if err != nil {
		return fmt.Errorf("keep %d documents from %s: %w", len(all), all[0].Number, err)
	}
	return nil
}

// lineRow is a line as it is kept beside the document, for questions of SQL.
type lineRow struct {
	Position       int        `json:"position"`
	Kind           string     `json:"kind"`
	SubscriptionID *string    `json:"subscription_id"`
	Description    string     `json:"description"`
	PeriodFrom     *time.Time `json:"period_from"`
	PeriodTo       *time.Time `json:"period_to"`
	Quantity       int64      `json:"quantity"`
	UnitMinor      int64      `json:"unit_minor"`
	NetMinor       int64      `json:"net_minor"`
	TaxPpm         int64      `json:"tax_ppm"`
	TaxNote        string     `json:"tax_note"`
	MeterID        *string    `json:"meter_id,omitempty"`
	UsageRound     *int       `json:"usage_round,omitempty"`
	PriceID        *string    `json:"price_id,omitempty"`
}

func lineRows(d document.Document) []lineRow {
	rows := make([]lineRow, len(d.Lines))
	for i, l := range d.Lines {
		rows[i] = lineRow{
			Position: i + 1, Kind: l.Kind, Description: l.Description, PeriodFrom: l.From, PeriodTo: l.To,
			Quantity: l.Quantity, UnitMinor: l.UnitMinor, NetMinor: l.NetMinor, TaxPpm: d.Taxes[l.Tax].Ppm, TaxNote: d.Taxes[l.Tax].Note,
		}
		if l.SubscriptionID != "" {
			rows[i].SubscriptionID = &l.SubscriptionID
		}
		if l.MeterID != "" {
			rows[i].MeterID, rows[i].UsageRound = &l.MeterID, &l.Round
		}
		if l.PriceID != "" {
			rows[i].PriceID = &l.PriceID
		}
	}
	return rows
}

func orNull(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func whenSet(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// clean is text as the database takes it, on one line.
func clean(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")), " ")
}
