package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/ledger"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func move(debit, credit string, minor int64) billing.Posting {
	return billing.Posting{Debit: debit, Credit: credit, Amount: billing.Money{Minor: minor, Currency: "EUR"}, Note: "Ö \"quoted\""}
}

// written is what stands in a shop's books, as text.
func written(t *testing.T, db *tenancy.DB) (rows []string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT key || ' ' || position || ' ' || debit || ' ' || credit || ' ' || amount_minor || ' ' || coalesce(account_id::text, '-') || ' ' || to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' ' || note
			FROM ledger_postings ORDER BY key, position`).Scan(t.Context(), &rows)
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestEventsAreWrittenOnceAndWhole: each movement a row in the order it was made, at its
// time or now, and nothing of a transaction in which one of them cannot be.
func TestEventsAreWrittenOnceAndWhole(t *testing.T) {
	w := tenancytest.New(t)
	db, other := w.DB(w.A), w.DB(w.B)
	account, source := uuid.New(), uuid.New()
	then := time.Date(2026, 1, 31, 23, 30, 0, 0, time.FixedZone("", -3600))
	post := func(db *tenancy.DB, events ...ledger.Event) error {
		return db.Update(t.Context(), func(tx *tenancy.Tx) error { return ledger.Post(t.Context(), tx, events...) })
	}
	one := ledger.Event{Key: "invoice/1", At: then, AccountID: account, SourceKind: "invoice", SourceID: source, Moves: []billing.Posting{move("receivable", "revenue", 1000), move("receivable", "tax_payable", 190)}}
	two := ledger.Event{Key: "payment/1", SourceKind: "payment", SourceID: source, Moves: []billing.Posting{move("cash/stripe", "receivable", 1190)}}
	nothing := ledger.Event{Key: "invoice/2", SourceKind: "invoice", SourceID: source}
	if err := post(db, one, nothing, two); err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("invoice/1 1 receivable revenue 1000 %s 2026-02-01 00:30 Ö \"quoted\"", account),
		fmt.Sprintf("invoice/1 2 receivable tax_payable 190 %s 2026-02-01 00:30 Ö \"quoted\"", account),
		"payment/1 1 cash/stripe receivable 1190 - " + w.Clock.Now().UTC().Format("2006-01-02 15:04") + " Ö \"quoted\"",
	}
	if got := written(t, db); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	fresh := ledger.Event{Key: "invoice/3", SourceKind: "invoice", SourceID: source, Moves: []billing.Posting{move("receivable", "revenue", 1)}}
	for name, bad := range map[string]ledger.Event{
		"a key that stands there": one,
		"nothing":                 {Key: "x", SourceKind: "invoice", Moves: []billing.Posting{move("receivable", "revenue", 0)}},
		"less than nothing":       {Key: "x", SourceKind: "invoice", Moves: []billing.Posting{move("receivable", "revenue", -1)}},
		"to where it came from":   {Key: "x", SourceKind: "invoice", Moves: []billing.Posting{move("revenue", "revenue", 1)}},
		"no currency":             {Key: "x", SourceKind: "invoice", Moves: []billing.Posting{{Debit: "a", Credit: "b", Amount: billing.Money{Minor: 1}}}},
	} {
		if err := post(db, fresh, bad); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if got := written(t, db); len(got) != 3 {
		t.Errorf("a part of what was refused is written: %q", got)
	}
	for key, is := range map[string]bool{"invoice/1": true, "payment/1": true, "invoice/2": false, "invoice/3": false, "invoice": false} {
		err := db.View(t.Context(), func(tx *tenancy.Tx) error {
			got, err := ledger.Posted(t.Context(), tx, key)
			if got != is {
				t.Errorf("%s posted: %t", key, got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := post(other, one); err != nil || len(written(t, other)) != 2 { // its keys are its own
		t.Errorf("the neighbour's books: %v", err)
	}
	for _, sql := range []string{"UPDATE ledger_postings SET amount_minor = 1", "DELETE FROM ledger_postings", "TRUNCATE ledger_postings"} {
		err := db.Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw(sql).Exec(t.Context())
			return err
		})
		if err == nil {
			t.Errorf("%s is possible", sql)
		}
	}
}
