package account

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
)

// NumberCheck is what the register of VAT numbers said, as accounts.tax_check keeps it.
type NumberCheck struct {
	Number     string              `json:"number"` // that was asked about
	State      billing.NumberState `json:"state"`
	AskedAt    time.Time           `json:"asked_at"`
	AnsweredAt *time.Time          `json:"answered_at,omitempty"`
	Request    string              `json:"request,omitempty"` // the register's own name for the question: proof of having asked
	Name       string              `json:"name,omitempty"`    // who the register says it is
	Address    string              `json:"address,omitempty"`
	Problem    string              `json:"problem,omitempty"` // why there is no answer yet
	Tries      int                 `json:"tries,omitempty"`   // questions without an answer since the last one
	NextAt     *time.Time          `json:"next_at,omitempty"` // when it is asked again
}

// NumbersAgenda is the kind under which a shop says when VAT numbers are to be asked about.
const NumbersAgenda = "tax_numbers"

// orderAsks is how old an answer may be that an order rests on; an older one is asked
// for again, and the order does not wait for it.
const orderAsks = 24 * time.Hour

// AskAboutNumber has the register asked about an account's VAT number again soon, where
// it has one of the EU and the last answer is not of today.
func AskAboutNumber(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	next, err := json.Marshal(map[string]time.Time{"next_at": tx.Now()})
	if err != nil {
		return err
	}
	// A node is sent no stable function of a column but within a subquery.
	res, err := tx.NewRaw(`UPDATE accounts SET tax_check = coalesce(tax_check, '{}') || ?::jsonb
		WHERE id = ? AND id IN (SELECT id FROM accounts WHERE tax_id <> '' AND country IN (?) AND coalesce((tax_check->>'answered_at')::timestamptz, '-infinity') < ?)`,
		string(next), id, bun.List(billing.EU()), tx.Now().Add(-orderAsks)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("ask about a VAT number again: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	return tx.AdvanceAgenda(ctx, NumbersAgenda, tx.Now())
}

// Exemption is a certificate that a customer is not taxed by, as the reseller entered it.
type Exemption struct {
	Number string `json:"number"`
	Note   string `json:"note,omitempty"`
	From   string `json:"from,omitempty"`   // first day, 2026-01-01; empty: always
	To     string `json:"to,omitempty"`     // last day; empty: no end
	Places string `json:"places,omitempty"` // where it counts: "US-TX CA"; empty: everywhere
}

// MostPlaces is how many places a certificate may name.
const MostPlaces = 60

// Counts reports whether the certificate is for a place.
func (e Exemption) Counts(country, region string) bool {
	all := strings.Fields(e.Places)
	return len(all) == 0 || slices.Contains(all, country) || region != "" && slices.Contains(all, country+"-"+region)
}

// Holds reports whether the certificate counts on a day.
func (e Exemption) Holds(at time.Time) bool {
	day := at.UTC().Format(time.DateOnly)
	return e.Number != "" && (e.From == "" || day >= e.From) && (e.To == "" || day <= e.To)
}

// Check reads what was typed, or answers with the fault account.exemption_invalid.
func (e Exemption) Check() (Exemption, error) {
	wrong := map[string]string{}
	e.Number, e.Note = oneLine(e.Number), oneLine(e.Note)
	if len([]rune(e.Number)) > 60 {
		wrong["exemption_number"] = "Please use at most 60 characters."
	}
	if len([]rune(e.Note)) > 200 {
		wrong["exemption_note"] = "Please use at most 200 characters."
	}
	for field, day := range map[string]*string{"exemption_from": &e.From, "exemption_to": &e.To} {
		if *day = strings.TrimSpace(*day); *day == "" {
			continue
		}
		if _, err := time.Parse(time.DateOnly, *day); err != nil {
			wrong[field] = "Give a day such as 2026-12-31."
		}
	}
	e.Places = places(e.Places, wrong)
	if len(wrong) == 0 && e.From != "" && e.To != "" && e.To < e.From {
		wrong["exemption_to"] = "The last day is not before the first."
	}
	if e.Number == "" && e != (Exemption{}) {
		wrong["exemption_number"] = "Give the number of the certificate, or leave everything empty."
	}
	return e, fault.Fields("account.exemption_invalid", wrong)
}

// places reads where a certificate counts: countries by two letters, and regions of those
// whose tax differs by region, each once and in order.
func places(typed string, wrong map[string]string) string {
	all := strings.FieldsFunc(strings.ToUpper(oneLine(typed)), func(r rune) bool { return r == ' ' || r == ',' || r == ';' })
	slices.Sort(all)
	all = slices.Compact(all)
	for _, p := range all {
		country, region, part := strings.Cut(p, "-")
		if _, known := place.RegionCode(country, region); !place.IsCountry(country) || part && !known {
			wrong["exemption_places"] = "Give countries and states by their letters, such as US-TX US-CA DE."
		}
	}
	if len(all) > MostPlaces {
		wrong["exemption_places"] = "Please give fewer places, or leave this empty for all of them."
	}
	return strings.Join(all, " ")
}

// Taxed is what tax asks of a customer.
type Taxed struct {
	Country   string
	Region    string // its code, where the country's tax differs by region; empty: not known
	Business  bool
	Postcode  string
	TaxID     string
	Number    billing.NumberState // pending where nobody answered about this number
	Exemption string              // number of a certificate that holds; empty: none
}

// TaxedOf reads what tax asks of a customer from the columns of its account.
func TaxedOf(kind string, a Address, taxID, check, exemption string, at time.Time) (Taxed, error) {
	p := Party{Kind: kind, Address: a, TaxID: taxID}
	var err error
	if p.NumberCheck, p.Exemption, err = readTax(check, exemption); err != nil {
		return Taxed{}, err
	}
	return p.Taxed(at), nil
}

// TaxOf is the part of a Party that decides its tax, of the table's columns.
func TaxOf(country, taxID, check, exemption string) (p Party, err error) {
	p.Country, p.TaxID = country, taxID
	p.NumberCheck, p.Exemption, err = readTax(check, exemption)
	return p, err
}

func readTax(check, exemption string) (c NumberCheck, e Exemption, err error) {
	if check != "" {
		if err := json.Unmarshal([]byte(check), &c); err != nil {
			return c, e, fmt.Errorf("read the check of a tax number: %w", err)
		}
	}
	if exemption != "" {
		if err := json.Unmarshal([]byte(exemption), &e); err != nil {
			return c, e, fmt.Errorf("read a certificate of exemption: %w", err)
		}
	}
	return c, e, nil
}

// Taxed is what tax asks of the party at a moment.
func (p Party) Taxed(at time.Time) Taxed {
	t := Taxed{Country: p.Country, Business: p.Kind == "business", Postcode: p.Postcode, TaxID: p.TaxID, Number: billing.NumberPending}
	t.Region, _ = place.RegionCode(p.Country, p.Region)
	if p.NumberCheck.Number != "" && p.NumberCheck.Number == billing.CleanTaxID(p.TaxID) {
		t.Number = p.NumberCheck.State
	}
	if p.Exemption.Holds(at) && p.Exemption.Counts(t.Country, t.Region) {
		t.Exemption = p.Exemption.Number
	}
	return t
}
