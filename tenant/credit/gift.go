package credit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// codeLetters are those of Crockford's base 32: none looks like another.
const codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newCode is a code nobody guesses: 80 bits, in four groups.
func newCode() (code string, hash []byte) {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails
	plain := base32.NewEncoding(codeLetters).WithPadding(base32.NoPadding).EncodeToString(b)
	return plain[:4] + "-" + plain[4:8] + "-" + plain[8:12] + "-" + plain[12:], hashOf(plain)
}

func hashOf(plain string) []byte {
	h := sha256.Sum256([]byte("ezscale gift code 1 " + plain))
	return h[:]
}

// readCode is a code as it was typed, without what stands between its letters; empty: it
// cannot be one.
func readCode(typed string) string {
	if len(typed) > 100 {
		return ""
	}
	plain := strings.Map(func(r rune) rune {
		switch r {
		case 'O':
			return '0'
		case 'I', 'L':
			return '1'
		case ' ', '-', '\t':
			return -1
		}
		return r
	}, strings.ToUpper(typed))
	if len(plain) != 16 || strings.Trim(plain, codeLetters) != "" {
		return ""
	}
	return plain
}

// Batch is gift codes that the team makes at once.
type Batch struct {
	Key       uuid.UUID // of the form: sent twice it makes no more
	Name      string
	Count     string
	Amount    string
	Currency  string
	ExpiresOn string // the last day; empty: never
}

// MostCodes is how many codes are made at once.
const MostCodes = 500

// MakeCodes makes gift codes that cost the shop something when they are redeemed. Only
// now the codes can be read. Days are counted in a zone. Faults at the fields, and
// gift.made_before.
func MakeCodes(ctx context.Context, db *tenancy.DB, b Batch, zone *time.Location, by audit.Origin) (codes []string, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		n, count, err := b.check(zone, tx.Now())
		if err != nil {
			return err
		}
		var known bool
		if err := tx.NewRaw("SELECT EXISTS (SELECT FROM gift_codes WHERE batch_id = ?)", b.Key).Scan(ctx, &known); err != nil {
			return fmt.Errorf("look for gift codes: %w", err)
		}
		if known {
			return fault.New(fault.Conflict, "gift.made_before", "These codes were made already, and were shown then. Withdraw them if they are lost, and make others.")
		}
		codes = make([]string, count)
		type row struct {
			Hash string `json:"hash"`
			Hint string `json:"hint"`
		}
		rows := make([]row, count)
		for i := range codes {
			code, hash := newCode()
			codes[i], rows[i] = code, row{hex.EncodeToString(hash), code[len(code)-4:]}
		}
		text, err := json.Marshal(rows)
		if err != nil {
			return err
		}
		var expires any
		if !n.ExpiresAt.IsZero() {
			expires = n.ExpiresAt
		}
		_, err = tx.NewRaw(`INSERT INTO gift_codes (code_hash, hint, batch, batch_id, currency, amount_minor, expires_at, created_by, created_at)
			SELECT decode(r.hash, 'hex'), r.hint, ?, ?, ?, ?, ?, ?, ? FROM jsonb_to_recordset(?::jsonb) AS r(hash text, hint text)`,
			clean(b.Name), b.Key, n.Amount.Currency, n.Amount.Minor, expires, by.Actor.Name, tx.Now(), string(text)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep gift codes: %w", err)
		}
		return by.Record(ctx, tx, "gift_codes.made", audit.Target{Kind: "gift_codes", ID: b.Key.String()}, map[string]any{"name": clean(b.Name), "codes": count, "amount": n.Amount.String(), "until": b.ExpiresOn})
	})
	return codes, err
}

func (b Batch) check(zone *time.Location, now time.Time) (n New, count int, err error) {
	err = Form{Amount: b.Amount, Currency: b.Currency, ExpiresOn: b.ExpiresOn}.check(&n, zone, now)
	bad := fault.From(err).Fields
	if err == nil {
		bad = map[string]string{}
	}
	if count, err = strconv.Atoi(strings.TrimSpace(b.Count)); err != nil || count < 1 || count > MostCodes {
		bad["count"] = "Please enter a number from 1 to " + strconv.Itoa(MostCodes) + "."
	}
	if name := clean(b.Name); name == "" || len([]rune(name)) > 60 {
		bad["name"] = "Please use 1 to 60 characters."
	}
	return n, count, fault.Fields("gift.invalid", bad)
}

// SellGift keeps a gift code that was paid for, once a payment. Nobody can read it before
// its buyer asks for it.
func SellGift(ctx context.Context, tx *tenancy.Tx, payment, buyer uuid.UUID, gateway string, amount billing.Money) error {
	unseen := make([]byte, 32)
	_, _ = rand.Read(unseen) // no code has this hash
	_, err := tx.NewRaw(`INSERT INTO gift_codes (code_hash, hint, batch, batch_id, bought_by, currency, amount_minor, created_by, created_at)
		VALUES (?, '', '', ?, ?, ?, ?, 'system', ?)`, unseen, payment, buyer, amount.Currency, amount.Minor, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep a gift code: %w", err)
	}
	return ledger.Post(ctx, tx, ledger.Event{Key: "payment/" + payment.String(), AccountID: buyer, SourceKind: "payment", SourceID: payment, Moves: billing.PostGiftSold(gateway, amount)})
}

// Gift is a code as lists show it.
type Gift struct {
	BatchID    uuid.UUID
	Hint       string // its last four characters; empty: it was not shown yet
	Amount     billing.Money
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	RedeemedAt time.Time // zero: not yet
	Withdrawn  bool
	Held       bool // its payment is disputed, or was taken back
}

// Bought lists the gift codes an account bought, the newest first.
func Bought(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) ([]Gift, error) {
	var rows []struct {
		BatchID               uuid.UUID
		Hint, Currency        string
		AmountMinor           int64
		CreatedAt, RedeemedAt time.Time
		Withdrawn, Held       bool
	}
	err := tx.NewRaw(`SELECT batch_id, hint, currency, amount_minor, created_at, redeemed_at, withdrawn_at IS NOT NULL AS withdrawn, disputed_at IS NOT NULL AS held FROM gift_codes
		WHERE bought_by = ? ORDER BY created_at DESC, batch_id LIMIT 50`, account).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list gift codes: %w", err)
	}
	all := make([]Gift, len(rows))
	for i, r := range rows {
		all[i] = Gift{BatchID: r.BatchID, Hint: r.Hint, Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, CreatedAt: r.CreatedAt, RedeemedAt: r.RedeemedAt, Withdrawn: r.Withdrawn, Held: r.Held}
	}
	return all, nil
}

var errGift = fault.New(fault.NotFound, "gift.not_found", "There is no such gift code, or it was used.")

// Show makes the code of a gift that an account bought and nobody has redeemed: each time
// another one, so that one that was lost is worth nothing. The fault is gift.not_found.
func Show(ctx context.Context, db *tenancy.DB, account, payment uuid.UUID, by audit.Origin) (code string, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		var hash []byte
		code, hash = newCode()
		r, err := tx.NewRaw("UPDATE gift_codes SET code_hash = ?, hint = ? WHERE batch_id = ? AND bought_by = ? AND redeemed_at IS NULL AND withdrawn_at IS NULL AND disputed_at IS NULL", hash, code[len(code)-4:], payment, account).Exec(ctx)
		if err != nil {
			return fmt.Errorf("make a gift's code: %w", err)
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			if err == nil {
				err = errGift
			}
			return err
		}
		return by.Record(ctx, tx, "gift_code.shown", audit.Target{Kind: "account", ID: account.String()}, map[string]any{"ends_in": code[len(code)-4:]})
	})
	return code, err
}

var errUnknownCode = fault.Field("code", "gift.unknown", "This code is not valid.")

// Redeem makes credit of a gift code, once however many try at once. Who lets people guess
// holds them back. Faults at the field code: gift.unknown, gift.redeemed, gift.held,
// gift.expired, gift.currency; and credit.account_closed.
func Redeem(ctx context.Context, db *tenancy.DB, account uuid.UUID, typed string, by audit.Origin) (g Grant, err error) {
	plain := readCode(typed)
	if plain == "" {
		return g, errUnknownCode
	}
	hash := hashOf(plain)
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		var r struct {
			Currency, Own         string
			AmountMinor           int64
			Bought, Closed, Held  bool
			BatchID               uuid.UUID
			ExpiresAt, RedeemedAt time.Time
		}
		err := tx.NewRaw(`SELECT g.currency, a.currency AS own, g.amount_minor, g.bought_by IS NOT NULL AS bought, a.closed_at IS NOT NULL AS closed, g.expires_at, g.redeemed_at, g.disputed_at IS NOT NULL AS held, g.batch_id
			FROM gift_codes g, accounts a WHERE g.code_hash = ? AND g.withdrawn_at IS NULL AND a.id = ? FOR UPDATE OF g`, hash, account).Scan(ctx, &r)
		switch {
		case tenancy.IsNoRows(err):
			return errUnknownCode
		case err != nil:
			return fmt.Errorf("read a gift code: %w", err)
		case r.Closed:
			return errClosed
		case !r.RedeemedAt.IsZero():
			return fault.Field("code", "gift.redeemed", "This code has been redeemed already.")
		case r.Held:
			return fault.Field("code", "gift.held", "This code cannot be redeemed at the moment. Please ask who gave it to you.")
		case !r.ExpiresAt.IsZero() && !tx.Now().Before(r.ExpiresAt):
			return fault.Field("code", "gift.expired", "This code has expired.")
		case r.Currency != r.Own:
			return fault.Field("code", "gift.currency", "This code is in "+r.Currency+", and your account pays in "+r.Own+".")
		}
		if _, err := tx.NewRaw("UPDATE gift_codes SET redeemed_by = ?, redeemed_at = ? WHERE code_hash = ?", account, tx.Now(), hash).Exec(ctx); err != nil {
			return fmt.Errorf("redeem a gift code: %w", err)
		}
		n := New{Key: giftKey(hash), AccountID: account, Kind: OfGift, Bought: r.Bought, From: billing.Promotions, Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, By: by.Actor.Name}
		if r.Bought {
			n.From, n.SourceID = billing.GiftCodes, r.BatchID
		}
		if g, err = Give(ctx, tx, n); err != nil {
			return err
		}
		return by.Record(ctx, tx, "gift_code.redeemed", audit.Target{Kind: "account", ID: account.String()}, map[string]any{"amount": g.Amount.String(), "ends_in": plain[12:]})
	})
	return g, err
}
