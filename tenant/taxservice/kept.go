package taxservice

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Kept is what is known of a question.
type Kept struct {
	Answer     *billing.TaxAnswer // the last one; nil: there never was one
	AnsweredAt time.Time
	NextAt     time.Time // not asked again before
	Tries      int
	Problem    string
}

// Waits reports whether it is too early after a failed question to ask again.
func (k Kept) Waits(now time.Time) bool { return k.Problem != "" && now.Before(k.NextAt) }

// PlaceOf names the place of a question: US-TX-77002, CA-BC, DE.
func PlaceOf(q billing.TaxQuestion) string {
	place := q.Country
	for _, part := range []string{q.Region, q.Postcode} {
		if part != "" {
			place += "-" + part
		}
	}
	return place
}

// keyRow is a question as a statement takes it.
type keyRow struct {
	N        int    `json:"n"`
	Place    string `json:"place"`
	Class    string `json:"class"`
	Customer string `json:"customer"`
}

// Find reads what is known of questions.
func Find(ctx context.Context, tx *tenancy.Tx, all []billing.TaxQuestion) (map[billing.TaxQuestion]Kept, error) {
	found := map[billing.TaxQuestion]Kept{}
	if len(all) == 0 {
		return found, nil
	}
	keys := make([]keyRow, len(all))
	for i, q := range all {
		keys[i] = keyRow{i, PlaceOf(q), q.Class, string(q.Customer)}
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		N                  int
		Answer, Problem    string
		AnsweredAt, NextAt time.Time
		Tries              int
	}
	err = tx.NewRaw(`SELECT k.n, coalesce(a.answer::text, '') AS answer, a.answered_at, a.next_at, a.tries, a.problem
		FROM jsonb_to_recordset(?::jsonb) AS k(n int, place text, class text, customer text) JOIN tax_answers a USING (place, class, customer)`, string(text)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read answers about tax: %w", err)
	}
	for _, r := range rows {
		k := Kept{AnsweredAt: r.AnsweredAt, NextAt: r.NextAt, Tries: r.Tries, Problem: r.Problem}
		if r.Answer != "" {
			k.Answer = &billing.TaxAnswer{}
			if err := json.Unmarshal([]byte(r.Answer), k.Answer); err != nil {
				return nil, fmt.Errorf("read an answer about tax: %w", err)
			}
		}
		found[all[r.N]] = k
	}
	return found, nil
}

// keep writes what came of a question. An answer of somebody who asked at the same time
// gives way to a later one.
func (k Kept) keep(ctx context.Context, tx *tenancy.Tx, q billing.TaxQuestion) error {
	answer := ""
	if k.Answer != nil {
		text, err := json.Marshal(k.Answer)
		if err != nil {
			return err
		}
		answer = string(text)
	}
	var answered *time.Time
	if !k.AnsweredAt.IsZero() {
		answered = &k.AnsweredAt
	}
	_, err := tx.NewRaw(`INSERT INTO tax_answers (place, class, customer, answer, answered_at, asked_at, next_at, tries, problem) VALUES (?, ?, ?, nullif(?, '')::jsonb, ?, ?, ?, ?, ?)
		ON CONFLICT (place, class, customer) DO UPDATE SET answer = excluded.answer, answered_at = excluded.answered_at, asked_at = excluded.asked_at, next_at = excluded.next_at,
			tries = excluded.tries, problem = excluded.problem WHERE tax_answers.answered_at IS NULL OR tax_answers.answered_at <= excluded.answered_at`,
		PlaceOf(q), q.Class, string(q.Customer), answer, answered, tx.Now(), k.NextAt, k.Tries, k.Problem).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep an answer about tax: %w", err)
	}
	return nil
}

// Line is a kept answer as the team reads it.
type Line struct {
	Place, Class, Customer string
	Kept
	State billing.AnswerState
}

// Words are the parts of the answer.
func (l Line) Words() string {
	if l.Answer == nil {
		return ""
	}
	var all []string
	for _, p := range l.Answer.Parts {
		all = append(all, p.Name+" "+p.Place+" "+billing.Percent(p.Ppm))
	}
	return strings.Join(all, ", ")
}

// Lately lists what was asked last.
func Lately(ctx context.Context, tx *tenancy.Tx, s Setting, limit int) ([]Line, error) {
	var rows []struct {
		Place, Class, Customer, Answer, Problem string
		AnsweredAt, NextAt                      time.Time
	}
	err := tx.NewRaw(`SELECT place, class, customer, coalesce(answer::text, '') AS answer, answered_at, next_at, problem FROM tax_answers ORDER BY asked_at DESC, place, class, customer LIMIT ?`, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list answers about tax: %w", err)
	}
	all := make([]Line, len(rows))
	for i, r := range rows {
		all[i] = Line{r.Place, r.Class, r.Customer, Kept{AnsweredAt: r.AnsweredAt, NextAt: r.NextAt, Problem: r.Problem}, s.Policy().State(r.AnsweredAt, tx.Now())}
		if r.Answer != "" {
			all[i].Answer = &billing.TaxAnswer{}
			if err := json.Unmarshal([]byte(r.Answer), all[i].Answer); err != nil {
				return nil, fmt.Errorf("read an answer about tax: %w", err)
			}
		}
	}
	return all, nil
}
