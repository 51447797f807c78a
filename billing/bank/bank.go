// Package bank reads the statements of a bank account, CAMT.053 and CSV, and says which
// open invoices a booking pays. It owns no rows and applies nothing.
package bank

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/ezscale/ezscale/billing"
)

// MaxFile is the most bytes of a statement, and MaxBookings the most bookings in one.
const (
	MaxFile     = 5 << 20
	MaxBookings = 20_000
)

var (
	// ErrFormat says that a file is no statement that can be read.
	ErrFormat = errors.New("bank: not a statement")
	// ErrTooLarge says that a file has more than MaxFile bytes or MaxBookings bookings.
	ErrTooLarge = errors.New("bank: too large")
)

// Booking is one line of a statement.
type Booking struct {
	Key          string // names it: the same one of another file has the same key
	Account      string // IBAN or number of the account; empty: the file does not say
	On           time.Time
	Amount       billing.Money // negative: it left the account
	Party        string        // who paid, or was paid
	PartyAccount string
	Text         string // what was written for the receiver
	Reference    string // end to end, or a creditor's reference
}

// A file's texts are cut to these.
const (
	maxText  = 1000
	maxParty = 200
)

// clean makes one line of a text.
func clean(s string, most int) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > most {
		s = strings.TrimSpace(string(runes[:most]))
	}
	return s
}

// accountOf writes an account's number without spaces.
func accountOf(s string) string {
	return clean(strings.ToUpper(strings.ReplaceAll(s, " ", "")), 64)
}

// keyed names bookings: by the bank's own name for one, its day and its amount (some banks
// begin their names anew each day); without it, by all that is said of it and how often the
// same was said before in the file. So two equal payments of one day are two, and the same
// two again in the next file.
type keyed map[string]int

func (k keyed) name(b Booking, bankRef string) string {
	if bankRef != "" {
		return b.Account + "/" + clean(bankRef, 120) + "/" + b.On.Format(time.DateOnly) + "/" + b.Amount.String()
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{
		b.Account, b.On.Format(time.DateOnly), b.Amount.String(), b.Party, b.PartyAccount, b.Text, b.Reference,
	}, "\x00")))
	hash := hex.EncodeToString(sum[:16])
	k[hash]++
	return b.Account + "/#" + hash + "/" + strconv.Itoa(k[hash])
}
