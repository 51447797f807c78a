package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"net/mail"
	"regexp"
	"strings"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Seller is who the platform is on its own invoices, and its terms of payment.
type Seller struct {
	document.Party
	Footer  string `json:"footer"`   // register, bank account
	DueDays int    `json:"due_days"` // after the day of issue

	Rates []billing.ExchangeRate `json:"rates,omitempty"` // by which tax is stated in the currency of its country, the newest first
}

// sellerIn reads it; until somebody filled it in, the platform's name stands there.
func sellerIn(ctx context.Context, tx *tenancy.CentralTx) (s Seller, err error) {
	s = Seller{Party: document.Party{Company: "EZSCALE"}, DueDays: 14}
	var raw []json.RawMessage
	if err := tx.NewRaw("SELECT value FROM settings WHERE name = 'wholesale_seller'").Scan(ctx, &raw); err != nil {
		return s, fmt.Errorf("read the seller: %w", err)
	}
	if len(raw) == 1 {
		err = json.Unmarshal(raw[0], &s)
	}
	return s, err
}

// Seller is who the platform is on its own invoices.
func (d *Desk) Seller(ctx context.Context) (s Seller, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		s, err = sellerIn(ctx, tx)
		return err
	})
	return s, err
}

var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

// SetSeller changes it for invoices to come. The fault seller.invalid is about fields.
func (d *Desk) SetSeller(ctx context.Context, s Seller, by audit.Origin) error {
	wrong := map[string]string{}
	s.Company = line("company", s.Company, 120, wrong)
	if s.DueDays < 0 || s.DueDays > 120 {
		wrong["due_days"] = "Choose from 0 to 120 days."
	}
	TidyParty(&s.Party, wrong)
	if s.Footer = strings.TrimSpace(plain(s.Footer)); len(s.Footer) > 600 {
		wrong["footer"] = "Please use at most 600 characters."
	}
	if err := fault.Fields("seller.invalid", wrong); err != nil {
		return err
	}
	value, err := json.Marshal(s)
	if err != nil {
		return err
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw(`INSERT INTO settings (name, value, changed_at) VALUES ('wholesale_seller', ?::jsonb, ?)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at`, string(value), tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.seller_changed", audit.Target{Kind: "settings", ID: "wholesale_seller"}, map[string]any{"company": s.Company, "country": s.Country, "rates": len(s.Rates)})
	})
	if err != nil {
		return fmt.Errorf("set the seller: %w", err)
	}
	return nil
}

// TidyParty reads an address as a person typed it; what is wrong goes to its field.
func TidyParty(p *document.Party, wrong map[string]string) {
	for field, s := range map[string]*string{
		"name": &p.Name, "line1": &p.Line1, "line2": &p.Line2, "postcode": &p.Postcode, "city": &p.City, "region": &p.Region,
		"tax_id": &p.TaxID, "phone": &p.Phone, "website": &p.Website, "email": &p.Email, "country": &p.Country, "company": &p.Company,
	} {
		if *s = strings.Join(strings.Fields(plain(*s)), " "); len([]rune(*s)) > 120 {
			wrong[field] = "Please use at most 120 characters."
		}
	}
	if p.Country = strings.ToUpper(p.Country); p.Country != "" && !countryCode.MatchString(p.Country) {
		wrong["country"] = "Choose a country."
	}
	if _, err := mail.ParseAddress(p.Email); p.Email != "" && err != nil {
		wrong["email"] = "This does not look like a mail address."
	}
}
