// Package referral owns what a shop gives to customers who bring others: the programme,
// who was brought by whom, and when both sides get credit or why they do not. It owns the
// columns referral and brought of accounts. Credit itself is tenant/credit's, and when
// somebody has earned it is a rule of billing.
package referral

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Agenda is under what referrals that wait stand on the agenda.
const Agenda = "referrals"

const settingName = "referral"

// Program is what the shop gives. It is the shop setting "referral".
type Program struct {
	On       bool                             `json:"on"`
	WaitDays int                              `json:"wait_days"` // after the payment
	PerYear  int                              `json:"per_year"`  // customers one referrer is paid for within a year; 0: all
	Terms    map[string]billing.ReferralTerms `json:"terms"`     // by currency
}

// DefaultProgram holds where nothing was set: it is off.
func DefaultProgram() Program { return Program{WaitDays: 30, PerYear: 20} }

// For is what is given in a currency; false: nothing.
func (p Program) For(currency string) (billing.ReferralTerms, bool) {
	t, ok := p.Terms[currency]
	return t, ok && p.On
}

// Currencies are those something is given in, in order.
func (p Program) Currencies() []string { return slices.Sorted(maps.Keys(p.Terms)) }

// Of reads the programme.
func Of(ctx context.Context, tx *tenancy.Tx) (Program, error) {
	p := DefaultProgram()
	_, err := settings.Named(ctx, tx, settingName, &p)
	return p, err
}

// Bounds of a programme.
const (
	mostWait    = 180
	mostPerYear = 1000
)

// check refuses what no programme can be. The fault is referral.invalid at the fields
// wait_days, per_year, referrer.<currency>, newcomer.<currency>, least.<currency>, terms.
func (p Program) check() error {
	wrong := map[string]string{}
	if p.WaitDays < 0 || p.WaitDays > mostWait {
		wrong["wait_days"] = fmt.Sprintf("Give a number of days from 0 to %d.", mostWait)
	}
	if p.PerYear < 0 || p.PerYear > mostPerYear {
		wrong["per_year"] = fmt.Sprintf("Give a number from 0 to %d.", mostPerYear)
	}
	for currency, t := range p.Terms {
		for field, minor := range map[string]int64{"referrer.": t.Referrer, "newcomer.": t.Newcomer, "least.": t.Least} {
			if minor < 0 || minor > credit.MaxAmount {
				wrong[field+currency] = "Give an amount such as 10.00."
			}
		}
		if t.Referrer == 0 && t.Newcomer == 0 {
			wrong["referrer."+currency] = "Give something to one of the two."
		}
	}
	if p.On && len(p.Terms) == 0 {
		wrong["terms"] = "Say what is given in at least one currency."
	}
	return fault.Fields("referral.invalid", wrong)
}

// Save changes the programme for what is decided from now on. Saving what is there
// already changes nothing. The fault is referral.invalid about its fields.
func Save(ctx context.Context, db *tenancy.DB, p Program, by audit.Origin) error {
	if err := p.check(); err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		was, err := Of(ctx, tx)
		if err != nil || was.On == p.On && was.WaitDays == p.WaitDays && was.PerYear == p.PerYear && maps.Equal(was.Terms, p.Terms) {
			return err
		}
		if err := settings.Put(ctx, tx, settingName, p); err != nil {
			return err
		}
		if was.On != p.On { // pages of customers lead there
			if err := tx.TouchSite(ctx, ""); err != nil {
				return err
			}
		}
		return by.Record(ctx, tx, "settings.referral_changed", audit.Target{Kind: "settings", ID: settingName},
			map[string]any{"on": p.On, "wait_days": p.WaitDays, "per_year": p.PerYear, "terms": p.Terms})
	})
}

// codeBytes is how much of an account's id its link names: its first half holds the
// moment it was opened and a part of chance, and the primary key finds it by them.
const codeBytes = 8

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// Code is what an account's link ends with: no secret, and the same for ever.
func Code(account uuid.UUID) string {
	n := uint64(0)
	for _, b := range account[:codeBytes] {
		n = n<<8 | uint64(b)
	}
	out := make([]byte, 13)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = alphabet[n&31]
		n >>= 5
	}
	return string(out)
}

// bounds are the lowest and the highest id a code can be of; false: it is no code.
func bounds(code string) (low, high uuid.UUID, ok bool) {
	code = strings.ToLower(code)
	if len(code) != 13 || code[0] > 'f' {
		return low, high, false
	}
	n := uint64(0)
	for _, c := range []byte(code) {
		i := strings.IndexByte(alphabet, c)
		if i < 0 {
			return low, high, false
		}
		n = n<<5 | uint64(i)
	}
	for i := codeBytes - 1; i >= 0; i-- {
		low[i] = byte(n)
		n >>= 8
	}
	high = low
	for i := codeBytes; i < len(high); i++ {
		high[i] = 0xff
	}
	return low, high, true
}

// kept is a referral as accounts.referral holds it.
type kept struct {
	By         uuid.UUID             `json:"by"`
	State      billing.ReferralState `json:"state"`
	JoinedAt   time.Time             `json:"joined_at"`
	Network    string                `json:"network,omitempty"` // from which they signed up; see likeness.Hash
	InvoiceID  uuid.UUID             `json:"invoice_id,omitzero"`
	PaidAt     time.Time             `json:"paid_at,omitzero"`
	DueAt      time.Time             `json:"due_at,omitzero"`
	Reason     string                `json:"reason,omitempty"`
	DecidedAt  time.Time             `json:"decided_at,omitzero"`
	DecidedBy  string                `json:"decided_by,omitempty"` // a name; empty: the rule
	ToReferrer billing.Money         `json:"to_referrer,omitzero"`
	ToNewcomer billing.Money         `json:"to_newcomer,omitzero"`
}

func (k kept) save(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) error {
	raw, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE accounts SET referral = ?::jsonb WHERE id = ?", string(raw), account).Exec(ctx); err != nil {
		return fmt.Errorf("keep the referral of account %s: %w", account, err)
	}
	return nil
}

func read(text string) (k kept, err error) {
	if err = json.Unmarshal([]byte(text), &k); err != nil {
		err = fmt.Errorf("read a referral: %w", err)
	}
	return k, err
}

// Says is a reason as people read it; empty: there is none.
func Says(reason string) string {
	switch reason {
	case billing.ReferralSamePerson:
		return "The two accounts seem to be of one person or household."
	case billing.ReferralSameCard:
		return "Both accounts pay with the same card."
	case billing.ReferralSameNetwork:
		return "Both accounts are used from the same connection."
	case billing.ReferralGivenBack:
		return "The payment was given back, or is disputed."
	case billing.ReferralLimit:
		return "Credit is given for so many customers a year, and this was one more."
	case billing.ReferralClosed:
		return "One of the accounts was closed."
	case billing.ReferralNoTerms:
		return "No credit was given for new customers at that time."
	case billing.ReferralByHand:
		return "Our team looked at it and decided against it."
	}
	return ""
}
