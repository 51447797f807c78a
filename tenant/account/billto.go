package account

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/activity"
)

// BillTo is whom an account's invoices are addressed to, as a form sends it.
type BillTo struct {
	Kind string // person or business
	Address
	TaxID string
}

// Check reads what was typed, or answers with the fault account.address_invalid about
// the fields name, company, line1, line2, postcode, city, region, country, billing_email,
// phone, reference and tax_id.
func (b BillTo) Check() (BillTo, error) {
	wrong := map[string]string{}
	read := func(field string, v *string, most int, missing string) {
		*v = oneLine(*v)
		switch {
		case *v == "" && missing != "":
			wrong[field] = missing
		case len([]rune(*v)) > most:
			wrong[field] = fmt.Sprintf("Please use at most %d characters.", most)
		}
	}
	if b.Kind != "business" {
		b.Kind, b.TaxID, b.Company = "person", "", ""
	}
	read("name", &b.Name, 100, "Please give a name.")
	company := ""
	if b.Kind == "business" {
		company = "Please give the company's name."
	}
	read("company", &b.Company, 100, company)
	read("line1", &b.Line1, 100, "Please give the street and number.")
	read("line2", &b.Line2, 100, "")
	read("postcode", &b.Postcode, 20, "")
	read("city", &b.City, 80, "Please give the town.")
	read("region", &b.Region, 80, "")
	read("phone", &b.Phone, 40, "")
	read("reference", &b.Reference, 60, "")
	b.Country = strings.ToUpper(strings.TrimSpace(b.Country))
	if !place.IsCountry(b.Country) {
		wrong["country"] = "Please choose a country."
	}
	if place.NeedsRegion(b.Country) { // its tax goes by it
		code, known := place.RegionCode(b.Country, b.Region)
		if !known {
			wrong["region"] = "Please give a state or province of " + place.CountryName(b.Country) + ", by its name or its two letters."
		}
		b.Region = code
	}
	if b.Email = strings.TrimSpace(b.Email); b.Email != "" {
		if _, err := identity.ParseEmail(b.Email); err != nil {
			wrong["billing_email"] = "That does not look like an e-mail address."
		}
	}
	b.TaxID = billing.CleanTaxID(oneLine(b.TaxID))
	if len(b.TaxID) > 30 || b.TaxID != "" && billing.InEU(b.Country) && !billing.TaxIDOf(b.TaxID, b.Country) {
		wrong["tax_id"] = "This is not a VAT number of " + place.CountryName(b.Country) + "."
	}
	return b, fault.Fields("account.address_invalid", wrong)
}

// oneLine is what was typed, without what no invoice can show.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	return strings.Join(strings.Fields(s), " ")
}

// SaveBillTo keeps whom an account's invoices are addressed to. Saving what is there
// changes nothing. Faults: account.address_invalid, account.not_found.
func SaveBillTo(ctx context.Context, db *tenancy.DB, id uuid.UUID, b BillTo, by audit.Origin) error {
	b, err := b.Check()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(b.Address)
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		res, err := tx.NewRaw(`UPDATE accounts SET kind = ?, billing = ?::jsonb, country = ?, tax_id = ?, changed_at = ? WHERE id = ? AND closed_at IS NULL
			AND (kind, billing, country, tax_id) IS DISTINCT FROM (?, ?::jsonb, ?, ?)`,
			b.Kind, string(raw), b.Country, bun.NullZero(b.TaxID), tx.Now(), id, b.Kind, string(raw), b.Country, bun.NullZero(b.TaxID)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("save the address of account %s: %w", id, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			if err == nil {
				_, err = ForInvoice(ctx, tx, id)
			}
			return err
		}
		if b.TaxID != "" && billing.InEU(b.Country) {
			if err := tx.AdvanceAgenda(ctx, NumbersAgenda, tx.Now()); err != nil {
				return err
			}
		}
		err = activity.Tell(ctx, tx, activity.Event{
			Key: "account/" + id.String() + "/account.address_changed/" + moment(tx), AccountID: id, SubjectKind: activity.Account, SubjectID: id,
			Kind: "account.address_changed", Text: "The address for invoices was changed.", Actor: by.Actor.Name, CustomerSees: true,
		})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "account.address_changed", audit.Target{Kind: "account", ID: id.String()}, map[string]any{"country": b.Country, "kind": b.Kind, "tax_id": b.TaxID})
	})
}
