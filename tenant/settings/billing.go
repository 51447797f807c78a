package settings

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
)

// Billing is who sells, as it stands on invoices, and how invoices are made. It is the
// shop setting "billing".
type Billing struct {
	Company       string `json:"company"`
	Line1         string `json:"line1"`
	Line2         string `json:"line2"`
	Postcode      string `json:"postcode"`
	City          string `json:"city"`
	Region        string `json:"region"`
	Country       string `json:"country"` // ISO 3166; empty: not said yet, and no tax is charged
	TaxID         string `json:"tax_id"`
	TaxNumber     string `json:"tax_number"`   // the tax office's, where it is not the VAT number
	Registration  string `json:"registration"` // in the register of companies
	Email         string `json:"email"`
	Phone         string `json:"phone"`
	SmallBusiness bool   `json:"small_business"`
	OSS           bool   `json:"oss"`            // registered for the EU's one-stop shop
	Registered    string `json:"registered"`     // other countries whose tax is charged there: "CH GB"
	TrustNumbers  bool   `json:"trust_numbers"`  // VAT numbers go by their form: the register is not asked
	PricesInclude bool   `json:"prices_include"` // prices hold the tax of the seller's country
	TermDays      int    `json:"term_days"`      // from issuing to due, where nothing is paid at once
	Footer        string `json:"footer"`         // lines below: register, bank
	InvoiceNumber string `json:"invoice_number"`
	CreditNumber  string `json:"credit_number"`
	YearlyNumbers bool   `json:"yearly_numbers"` // both begin again with each year
}

// DefaultBilling holds where nothing was entered.
func DefaultBilling() Billing {
	return Billing{TrustNumbers: true, TermDays: 7, InvoiceNumber: "INV-{year}-{number:5}", CreditNumber: "CN-{year}-{number:5}"}
}

// Pattern is how numbers of a series look.
func (b Billing) Pattern(series string) string {
	switch series {
	case "invoice":
		return b.InvoiceNumber
	case "credit_note":
		return b.CreditNumber
	case "top_up":
		return "TOPUP-{year}-{number:5}"
	case "customer":
		return "C{number:5}"
	default:
		return "{number:5}"
	}
}

// Named reads a shop setting into v. It reports false, and leaves v, when there is none.
func Named(ctx context.Context, tx *tenancy.Tx, name string, v any) (bool, error) {
	var text string
	err := tx.NewRaw("SELECT value::text FROM shop_settings WHERE name = ?", name).Scan(ctx, &text)
	if tenancy.IsNoRows(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read setting %s: %w", name, err)
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return false, fmt.Errorf("read setting %s: %w", name, err)
	}
	return true, nil
}

// Hold keeps others from holding a shop setting until the transaction ends, for those who
// write it anew from what they read. One that nobody has put reads as nothing but defaults.
func Hold(ctx context.Context, tx *tenancy.Tx, name string) error {
	_, err := tx.NewRaw(`INSERT INTO shop_settings AS s (name, value, changed_at) VALUES (?, '{}', ?)
		ON CONFLICT (name) DO UPDATE SET changed_at = s.changed_at`, name, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("hold setting %s: %w", name, err)
	}
	return nil
}

// Put keeps a shop setting with the transaction.
func Put(ctx context.Context, tx *tenancy.Tx, name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO shop_settings (name, value, changed_at) VALUES (?, ?::jsonb, ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at`, name, string(b), tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep setting %s: %w", name, err)
	}
	return nil
}

// BillingOf is what the shop entered, over the defaults.
func BillingOf(ctx context.Context, tx *tenancy.Tx) (Billing, error) {
	b := DefaultBilling()
	_, err := Named(ctx, tx, BillingName, &b)
	return b, err
}

// BillingName is the name of the shop setting that holds Billing.
const BillingName = "billing"

// ReadBilling reads the setting's text; an empty one is DefaultBilling.
func ReadBilling(text string) (Billing, error) {
	b := DefaultBilling()
	if text == "" {
		return b, nil
	}
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		return b, fmt.Errorf("read setting %s: %w", BillingName, err)
	}
	return b, nil
}

// YearMark stands for the year in a number's pattern.
const YearMark = "{year}"

// patternForm is a number's pattern: letters and dashes, perhaps the year, the number at
// the end. Two series that begin differently can then never meet in one number.
var patternForm = regexp.MustCompile(`^([A-Za-z/_.\-]{0,16})(?:\{year\}[/_.\-])?\{number(?::[1-9])?\}$`)

// Check reads what was typed, or answers with the fault billing_settings.invalid.
func (b Billing) Check() (Billing, error) {
	wrong := map[string]string{}
	line := func(field string, v *string, most int) {
		*v = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(*v, ""), "\x00", "")), " ")
		if len([]rune(*v)) > most {
			wrong[field] = fmt.Sprintf("Please use at most %d characters.", most)
		}
	}
	line("company", &b.Company, 120)
	line("line1", &b.Line1, 120)
	line("line2", &b.Line2, 120)
	line("postcode", &b.Postcode, 20)
	line("city", &b.City, 80)
	line("region", &b.Region, 80)
	line("tax_id", &b.TaxID, 40)
	line("tax_number", &b.TaxNumber, 40)
	line("registration", &b.Registration, 60)
	line("phone", &b.Phone, 40)
	line("email", &b.Email, 254)
	if b.Email != "" {
		if e, err := identity.ParseEmail(b.Email); err != nil {
			wrong["email"] = "Give an address such as billing@example.com."
		} else {
			b.Email = e
		}
	}
	b.Country = strings.ToUpper(strings.TrimSpace(b.Country))
	if b.Country != "" && !place.IsCountry(b.Country) {
		wrong["country"] = "Choose a country from the list."
	}
	b.Registered = registrations(b.Registered, wrong)
	if b.TermDays < 0 || b.TermDays > 90 {
		wrong["term_days"] = "Give a number of days from 0 to 90."
	}
	b.Footer = strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(strings.ToValidUTF8(b.Footer, ""), "\x00", ""), "\r\n", "\n"))
	if len([]rune(b.Footer)) > 600 || strings.Count(b.Footer, "\n") > 7 {
		wrong["footer"] = "Please use at most 600 characters in eight lines."
	}
	b.InvoiceNumber, b.CreditNumber = strings.TrimSpace(b.InvoiceNumber), strings.TrimSpace(b.CreditNumber)
	first := map[string]string{}
	for field, p := range map[string]string{"invoice_number": b.InvoiceNumber, "credit_number": b.CreditNumber} {
		m := patternForm.FindStringSubmatch(p)
		if m == nil {
			wrong[field] = "Use letters and dashes, then {year}- if you like, and {number:5} at the end."
			continue
		}
		if b.YearlyNumbers && !strings.Contains(p, YearMark) {
			wrong[field] = "Put {year}- before the number: it begins again each year, and would come a second time."
		}
		first[field] = strings.ToUpper(m[1])
	}
	if len(first) == 2 && first["invoice_number"] == first["credit_number"] {
		wrong["credit_number"] = "Let credit notes begin with other letters than invoices."
	}
	return b, fault.Fields("billing_settings.invalid", wrong)
}

// registrations reads a list of countries: capitals, each once, in order.
func registrations(typed string, wrong map[string]string) string {
	all := strings.FieldsFunc(strings.ToUpper(strings.ToValidUTF8(typed, "")), func(r rune) bool { return r == ' ' || r == ',' || r == ';' })
	slices.Sort(all)
	all = slices.Compact(all)
	for _, c := range all {
		if !place.IsCountry(c) {
			wrong["registered"] = "Give countries by their two letters, such as CH GB NO."
		}
	}
	if len(all) > 30 {
		wrong["registered"] = "Please give at most 30 countries."
	}
	return strings.Join(all, " ")
}

// SaveBilling changes them for what is issued from now on. Saving what is there already
// changes nothing.
func SaveBilling(ctx context.Context, db *tenancy.DB, b Billing, by audit.Origin) error {
	b, err := b.Check()
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		was, err := BillingOf(ctx, tx)
		if err != nil || was == b {
			return err
		}
		if err := numbersApart(ctx, tx, b); err != nil {
			return err
		}
		if b.YearlyNumbers && !was.YearlyNumbers { // this year's go on, and the next year's begin again
			// The last document may name a year the shop is not in yet: others are named by UTC's.
			_, err := tx.NewRaw(`UPDATE number_series s SET year = greatest(s.year, ?, (SELECT extract(year FROM i.issued_at AT TIME ZONE 'UTC')::int FROM invoices i
				WHERE i.series = s.code ORDER BY i.sequence DESC LIMIT 1)) WHERE s.code IN ('invoice', 'credit_note')`, tx.Now().In(tx.Zone()).Year()).Exec(ctx)
			if err != nil {
				return fmt.Errorf("begin numbers by the year: %w", err)
			}
		}
		if err := Put(ctx, tx, "billing", b); err != nil {
			return err
		}
		return by.Record(ctx, tx, "settings.billing_changed", audit.Target{Kind: "settings", ID: "billing"}, map[string]any{
			"company": b.Company, "country": b.Country, "tax_id": b.TaxID, "small_business": b.SmallBusiness,
			"oss": b.OSS, "registered": b.Registered, "trust_numbers": b.TrustNumbers, "prices_include": b.PricesInclude,
			"invoice_number": b.InvoiceNumber, "credit_number": b.CreditNumber, "yearly_numbers": b.YearlyNumbers,
		})
	})
}

// numbersApart refuses a pattern that begins like numbers the other series has given
// already: one of them would come a second time.
func numbersApart(ctx context.Context, tx *tenancy.Tx, b Billing) error {
	wrong := map[string]string{}
	for _, p := range []struct{ field, pattern, others string }{
		{"invoice_number", b.InvoiceNumber, "credit_note"}, {"credit_number", b.CreditNumber, "invoice"},
	} {
		begins, _, _ := strings.Cut(p.pattern, "{")
		var used bool
		err := tx.NewRaw("SELECT EXISTS (SELECT FROM invoices WHERE series = ? AND number ~ '[0-9]' AND substring(number from '^[^0-9]*') = ?)", p.others, begins).Scan(ctx, &used)
		if err != nil {
			return fmt.Errorf("compare the numbers: %w", err)
		}
		if used {
			wrong[p.field] = "The other kind of document has numbers that begin so. Use other letters."
		}
	}
	return fault.Fields("billing_settings.numbers_used", wrong)
}
