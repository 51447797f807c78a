package bank

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// What is read of a CAMT.053 message, in the versions .02 (a party has its name directly
// and a state is a text) and .08 (they are a level deeper).
type camtDocument struct {
	XMLName    xml.Name   `xml:"Document"`
	Statements []camtStmt `xml:"BkToCstmrStmt>Stmt"`
}

type camtStmt struct {
	IBAN    string      `xml:"Acct>Id>IBAN"`
	Other   string      `xml:"Acct>Id>Othr>Id"`
	Entries []camtEntry `xml:"Ntry"`
}

type camtAmount struct {
	Currency string `xml:"Ccy,attr"`
	Value    string `xml:",chardata"`
}

type camtEntry struct {
	Amount    camtAmount `xml:"Amt"`
	Direction string     `xml:"CdtDbtInd"`
	State     struct {
		Text string `xml:",chardata"`
		Code string `xml:"Cd"`
	} `xml:"Sts"`
	Booked camtDate `xml:"BookgDt"`
	Valued camtDate `xml:"ValDt"`
	Ref    string   `xml:"AcctSvcrRef"`
	Parts  []camtTx `xml:"NtryDtls>TxDtls"`
	More   string   `xml:"AddtlNtryInf"`
}

type camtDate struct {
	Day  string `xml:"Dt"`
	Time string `xml:"DtTm"`
}

func (d camtDate) day() (time.Time, bool) {
	text := strings.TrimSpace(d.Day + d.Time)
	if len(text) < len(time.DateOnly) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.DateOnly, text[:len(time.DateOnly)])
	return t, err == nil
}

type camtParty struct {
	Name  string `xml:"Nm"`
	Party string `xml:"Pty>Nm"`
}

func (p camtParty) name() string { return clean(p.Name+" "+p.Party, maxParty) }

type camtTx struct {
	Ref       string     `xml:"Refs>AcctSvcrRef"`
	EndToEnd  string     `xml:"Refs>EndToEndId"`
	Amount    camtAmount `xml:"Amt"`
	TxAmount  camtAmount `xml:"AmtDtls>TxAmt>Amt"`
	Direction string     `xml:"CdtDbtInd"`
	Debtor    camtParty  `xml:"RltdPties>Dbtr"`
	From      string     `xml:"RltdPties>DbtrAcct>Id>IBAN"`
	Creditor  camtParty  `xml:"RltdPties>Cdtr"`
	To        string     `xml:"RltdPties>CdtrAcct>Id>IBAN"`
	Text      []string   `xml:"RmtInf>Ustrd"`
	Creditors []string   `xml:"RmtInf>Strd>CdtrRefInf>Ref"`
	More      string     `xml:"AddtlTxInf"`
}

// CAMT reads a CAMT.053 message: what is booked, and not what is announced. ErrFormat,
// ErrTooLarge. A document type is refused, so that nothing in it is looked up or unfolded.
func CAMT(file []byte) ([]Booking, error) {
	if len(file) > MaxFile {
		return nil, ErrTooLarge
	}
	if bytes.Contains(file, []byte("<!")) && bytes.Contains(bytes.ToUpper(file), []byte("<!DOCTYPE")) || bytes.Contains(bytes.ToUpper(file), []byte("<!ENTITY")) {
		return nil, fmt.Errorf("%w: it has a document type", ErrFormat)
	}
	d := xml.NewDecoder(bytes.NewReader(file))
	d.CharsetReader = charset
	var doc camtDocument
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if !strings.Contains(doc.XMLName.Space, "camt.053.") {
		return nil, fmt.Errorf("%w: it is another message than CAMT.053", ErrFormat)
	}
	keys := keyed{}
	var all []Booking
	for _, s := range doc.Statements {
		account := accountOf(s.IBAN + s.Other)
		for i, e := range s.Entries {
			if state := strings.TrimSpace(e.State.Text + e.State.Code); state != "BOOK" {
				continue
			}
			found, err := e.bookings(account, keys)
			if err != nil {
				return nil, fmt.Errorf("%w: booking %d: %w", ErrFormat, i+1, err)
			}
			if all = append(all, found...); len(all) > MaxBookings {
				return nil, ErrTooLarge
			}
		}
	}
	return all, nil
}

// charset reads the one encoding besides UTF-8 that banks use.
func charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "us-ascii":
		return in, nil
	case "iso-8859-1", "iso-8859-15", "windows-1252":
		return windows(in), nil
	}
	return nil, fmt.Errorf("unknown encoding %.20q", label)
}

// bookings are what an entry stands for: each of its parts where they tell their amounts
// and come to its own, or it as a whole.
func (e camtEntry) bookings(account string, keys keyed) ([]Booking, error) {
	total, err := e.Amount.money(e.Direction)
	if err != nil {
		return nil, err
	}
	on, ok := e.Booked.day()
	if !ok {
		if on, ok = e.Valued.day(); !ok {
			return nil, fmt.Errorf("it has no day")
		}
	}
	if total.Minor == 0 {
		return nil, nil
	}
	whole := Booking{Account: account, On: on, Amount: total, Text: clean(e.More, maxText)}
	var parts []Booking
	var sum int64
	for _, t := range e.Parts {
		b := whole
		t.fill(&b, e.More)
		if len(e.Parts) > 1 {
			amount := t.Amount
			if amount.Value == "" {
				amount = t.TxAmount
			}
			direction := t.Direction
			if direction == "" {
				direction = e.Direction
			}
			if b.Amount, err = amount.money(direction); err != nil || b.Amount.Currency != total.Currency || b.Amount.Minor == 0 {
				parts = nil
				break
			}
		}
		sum += b.Amount.Minor
		parts = append(parts, b)
	}
	if len(parts) == 0 || sum != total.Minor {
		whole.Key = keys.name(whole, e.Ref)
		return []Booking{whole}, nil
	}
	for i := range parts {
		ref := e.Ref
		if ref != "" && len(parts) > 1 {
			ref += "/" + e.Parts[i].Ref
			if e.Parts[i].Ref == "" {
				ref += fmt.Sprint(i + 1)
			}
		}
		parts[i].Key = keys.name(parts[i], ref)
	}
	return parts, nil
}

// fill adds what a part says.
func (t camtTx) fill(b *Booking, more string) {
	b.Party, b.PartyAccount = t.Debtor.name(), accountOf(t.From)
	if b.Amount.Minor < 0 {
		b.Party, b.PartyAccount = t.Creditor.name(), accountOf(t.To)
	}
	text := strings.Join(t.Text, " ")
	if strings.TrimSpace(text) == "" {
		text = t.More
	}
	if strings.TrimSpace(text) == "" {
		text = more
	}
	b.Text = clean(text, maxText)
	reference := t.EndToEnd
	if strings.EqualFold(strings.TrimSpace(reference), "NOTPROVIDED") {
		reference = ""
	}
	b.Reference = clean(reference+" "+strings.Join(t.Creditors, " "), maxParty)
}

func (a camtAmount) money(direction string) (billing.Money, error) {
	currency := strings.TrimSpace(a.Currency)
	value := strings.TrimSpace(a.Value)
	digits, err := billing.Digits(currency)
	if err != nil {
		return billing.Money{}, err
	}
	if major, minor, point := strings.Cut(value, "."); point { // five decimals are allowed there
		if minor = strings.TrimRight(minor, "0"); len(minor) < digits {
			minor += strings.Repeat("0", digits-len(minor))
		}
		if value = major; minor != "" {
			value += "." + minor
		}
	}
	m, err := billing.Parse(value, currency)
	if err != nil {
		return m, err
	}
	switch strings.TrimSpace(direction) {
	case "CRDT":
		return m, nil
	case "DBIT":
		m.Minor = -m.Minor
		return m, nil
	}
	return m, fmt.Errorf("it says neither that money came nor that it went")
}
