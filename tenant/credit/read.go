package credit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
)

// Purse is what an account has.
type Purse struct {
	Balances []billing.Money // what counts now, by currency; none: nothing
	Held     []billing.Money // what does not, because its payment is disputed; none: nothing
	Open     []Grant         // what something is left of, in the order in which it is spent
	Moves    []Move          // what became of it, the newest first
	ByHand   bool            // the customer spends it themselves
	Closed   bool            // the account is
}

// Balance is what counts now in a currency.
func (p Purse) Balance(currency string) billing.Money {
	for _, b := range p.Balances {
		if b.Currency == currency {
			return b
		}
	}
	return billing.Money{Currency: currency}
}

// Move is one thing that became of a piece of credit.
type Move struct {
	GrantID   uuid.UUID
	Key       string
	Kind      string // granted, spent, returned, expired, withdrawn, held, lost
	Of        Kind
	Amount    billing.Money // less than nothing: taken
	InvoiceID uuid.UUID     // uuid.Nil: none
	Invoice   string        // its number
	Note      string        // of the grant, when it was given
	Actor     string
	At        time.Time
}

// maxMoves is how much of its history a purse tells.
const maxMoves = 200

// Of reads what an account has, in two statements. Fault: account.not_found.
func Of(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (p Purse, err error) {
	var rows []struct {
		grantRow
		ByHand, Closed bool
		Has            bool
		Held           string
	}
	err = tx.NewRaw(`SELECT a.credit_by_hand IS TRUE AS by_hand, a.closed_at IS NOT NULL AS closed, g.id IS NOT NULL AS has,
			coalesce(g.id, a.id) AS id, a.id AS account_id, coalesce(g.source_id, '00000000-0000-0000-0000-000000000000') AS source_id, coalesce(g.kind, '') AS kind,
			coalesce(g.currency, '') AS currency, coalesce(g.note, '') AS note, coalesce(g.created_by, '') AS created_by, coalesce(g.bought, false) AS bought,
			coalesce(g.amount_minor, 0) AS amount_minor, coalesce(g.left_minor, 0) AS left_minor, g.expires_at, coalesce(g.created_at, a.created_at) AS created_at,
			coalesce((SELECT jsonb_agg(jsonb_build_object('Currency', h.currency, 'Minor', h.minor) ORDER BY h.currency) FROM (SELECT x.currency, -sum(m.minor) AS minor
				FROM credit_grants x JOIN credit_moves m ON m.grant_id = x.id WHERE x.account_id = a.id AND m.kind = 'held' GROUP BY x.currency HAVING sum(m.minor) < 0) h), '[]')::text AS held
		FROM accounts a LEFT JOIN credit_grants g ON g.account_id = a.id AND g.left_minor > 0 WHERE a.id = ?
		ORDER BY g.expires_at NULLS LAST, g.bought, g.created_at, g.id`, id).Scan(ctx, &rows)
	if err != nil {
		return p, fmt.Errorf("read credit: %w", err)
	}
	if len(rows) == 0 {
		return p, errAccount
	}
	p.ByHand, p.Closed = rows[0].ByHand, rows[0].Closed
	if err := json.Unmarshal([]byte(rows[0].Held), &p.Held); err != nil {
		return p, fmt.Errorf("read held credit: %w", err)
	}
	for _, r := range rows {
		g := r.grant()
		if !r.Has || !g.Rule().Counts(g.Left.Currency, tx.Now()) {
			continue
		}
		p.Open = append(p.Open, g)
		p.add(g.Left)
	}
	p.Moves, err = moves(ctx, tx, id)
	return p, err
}

func (p *Purse) add(m billing.Money) {
	for i := range p.Balances {
		if p.Balances[i].Currency == m.Currency {
			p.Balances[i].Minor += m.Minor
			return
		}
	}
	p.Balances = append(p.Balances, m)
}

func moves(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) ([]Move, error) {
	var rows []struct {
		GrantID, InvoiceID                            uuid.UUID
		Key, Kind, Of, Currency, Invoice, Note, Actor string
		Minor                                         int64
		At                                            time.Time
	}
	err := tx.NewRaw(`SELECT m.grant_id, m.key, m.kind, g.kind AS of, g.currency, m.minor, coalesce(m.invoice_id, '00000000-0000-0000-0000-000000000000') AS invoice_id,
			coalesce(i.number, '') AS invoice, g.note, m.actor, m.at
		FROM credit_grants g JOIN credit_moves m ON m.grant_id = g.id LEFT JOIN invoices i ON i.id = m.invoice_id
		WHERE g.account_id = ? ORDER BY m.at DESC, m.key DESC, m.grant_id LIMIT ?`, account, maxMoves).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the history of credit: %w", err)
	}
	all := make([]Move, len(rows))
	for i, r := range rows {
		all[i] = Move{GrantID: r.GrantID, Key: r.Key, Kind: r.Kind, Of: Kind(r.Of), Amount: billing.Money{Minor: r.Minor, Currency: r.Currency}, InvoiceID: r.InvoiceID, Invoice: r.Invoice,
			Actor: r.Actor, At: r.At}
		if r.Kind == "granted" {
			all[i].Note = r.Note
		}
	}
	return all, nil
}

// SpendByHand says whether an account's credit waits for its customer, or pays every new
// invoice by itself. Fault: account.not_found.
func SpendByHand(ctx context.Context, db *tenancy.DB, id uuid.UUID, byHand bool, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		r, err := tx.NewRaw("UPDATE accounts SET credit_by_hand = ?, changed_at = ? WHERE id = ?", byHand, tx.Now(), id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep how credit is spent: %w", err)
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			if err == nil {
				err = errAccount
			}
			return err
		}
		return by.Record(ctx, tx, "credit.switched", audit.Target{Kind: "account", ID: id.String()}, map[string]any{"by_hand": byHand})
	})
}

// TakeBackByHand takes what is left of credit that the shop gave. Fault: credit.not_found,
// also for what was bought or is used up.
func TakeBackByHand(ctx context.Context, db *tenancy.DB, account, id uuid.UUID, by audit.Origin) (taken billing.Money, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		grants, err := locked(ctx, tx, "g.id = ? AND g.account_id = ? AND NOT g.bought AND g.left_minor > 0", id, account)
		if err != nil {
			return err
		}
		if len(grants) == 0 {
			return fault.New(fault.NotFound, "credit.not_found", "There is nothing left of this credit to take back.")
		}
		taken = grants[0].Left
		if err := takeGiven(ctx, tx, grants[0], by.Actor.Name); err != nil {
			return err
		}
		return by.Record(ctx, tx, "credit.taken_back", audit.Target{Kind: "account", ID: account.String()}, map[string]any{"amount": taken.String(), "note": grants[0].Note})
	})
	return taken, err
}

// LetterJob writes to an account's people that there is credit.
type LetterJob struct {
	GrantID uuid.UUID `json:"grant_id"`
}

// Kind names the job.
func (LetterJob) Kind() string { return "credit.letter" }

// Letters writes to customers about their credit. It is safe for concurrent use.
type Letters struct{ Mail *mail.Outbox }

// Write puts the letter of a job into the outbox, once a grant. Who left no address is
// not written to.
func (l Letters) Write(ctx context.Context, db *tenancy.DB, job LetterJob) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		g, err := Get(ctx, tx, job.GrantID)
		if err != nil {
			return err
		}
		to, err := account.ForInvoice(ctx, tx, g.AccountID)
		if err != nil || to.Email == "" {
			return err
		}
		until := ""
		if !g.ExpiresAt.IsZero() {
			until = g.ExpiresAt.Add(-time.Second).In(to.Zone()).Format("2 January 2006")
		}
		m := mail.Message{Key: "credit/" + g.ID.String(), Template: mail.CreditAdded, To: to.Email, Data: map[string]string{
			"name": to.Name, "amount": g.Amount.Format(to.Locale), "what": g.Kind.Words(), "reason": g.Note, "until": until, "link": "/client/credit",
		}}
		return l.Mail.Enqueue(ctx, tx, m)
	})
}

// Available is what an account could spend on an invoice in a currency now, and whether
// its customer does so by hand.
func Available(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, currency string) (m billing.Money, byHand bool, err error) {
	var r struct {
		Minor  int64
		ByHand bool
	}
	err = tx.NewRaw(`SELECT coalesce(sum(g.left_minor), 0)::bigint AS minor, coalesce(bool_or(a.credit_by_hand), false) AS by_hand FROM credit_grants g JOIN accounts a ON a.id = g.account_id
		WHERE g.account_id = ? AND g.left_minor > 0 AND g.currency = ? AND (g.expires_at IS NULL OR g.expires_at > ?) AND a.closed_at IS NULL`, id, currency, tx.Now()).Scan(ctx, &r)
	if err != nil {
		return m, false, fmt.Errorf("read credit: %w", err)
	}
	return billing.Money{Minor: r.Minor, Currency: currency}, r.ByHand, nil
}
