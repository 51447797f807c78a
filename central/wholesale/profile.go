package wholesale

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
)

// Profile is who a reseller is as the platform's customer, and the card kept of it.
type Profile struct {
	document.Party
	Card    Card
	Limit   Limit
	Balance Balance
}

// Complete reports whether an invoice can name the reseller and its country's tax.
func (p Profile) Complete() bool {
	return p.Company != "" && p.Line1 != "" && p.City != "" && p.Country != ""
}

// Profile reads a reseller's; one that was never filled in is empty.
func (d *Desk) Profile(ctx context.Context, of tenancy.ID) (p Profile, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		p, err = profileIn(ctx, tx, of)
		return err
	})
	return p, err
}

func profileIn(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (p Profile, err error) {
	var row struct {
		Billing                json.RawMessage
		TaxID                  string `bun:"tax_id"`
		MethodRef, MethodLabel string
		Currency               string
		standingRow
	}
	err = tx.NewRaw(`SELECT coalesce(billing, '{}') AS billing, coalesce(tax_id, '') AS tax_id, coalesce(method_ref, '') AS method_ref, coalesce(method_label, '') AS method_label, `+standingColumns+`,
		coalesce((SELECT t.currency FROM tenant_terms t WHERE t.tenant_id = x.id ORDER BY t.valid_from DESC LIMIT 1), '') AS currency
		FROM (SELECT ?::bigint AS id) x LEFT JOIN reseller_profiles l ON l.tenant_id = x.id`, of).Scan(ctx, &row)
	if err == nil {
		err = json.Unmarshal(row.Billing, &p.Party)
	}
	if err != nil {
		return p, fmt.Errorf("profile of %s: %w", of, err)
	}
	p.TaxID, p.Card = row.TaxID, Card{Label: row.MethodLabel, ref: row.MethodRef}
	p.Limit, p.Balance = row.of(row.Currency)
	return p, nil
}

// SetProfile changes who a reseller is, on invoices to come. The fault profile.invalid is
// about fields.
func (d *Desk) SetProfile(ctx context.Context, of tenancy.ID, p document.Party, by audit.Origin) error {
	wrong := map[string]string{}
	TidyParty(&p, wrong)
	for field, s := range map[string]string{"company": p.Company, "line1": p.Line1, "city": p.City} {
		if s == "" {
			wrong[field] = "Please fill this in."
		}
	}
	if !place.IsCountry(p.Country) {
		wrong["country"] = "Choose the country your business is in."
	}
	tax := billing.CleanTaxID(p.TaxID)
	if len(tax) > 30 || tax != "" && billing.InEU(p.Country) && !billing.TaxIDOf(tax, p.Country) {
		wrong["tax_id"] = "This is not a VAT number of that country. It begins with the country's letters."
	}
	if err := fault.Fields("profile.invalid", wrong); err != nil {
		return err
	}
	p.TaxID = ""
	kept, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw(`INSERT INTO reseller_profiles (tenant_id, billing, tax_id, gateway_customer, method_ref, method_label, changed_at) VALUES (?, ?::jsonb, ?, '', '', '', ?)
			ON CONFLICT (tenant_id) DO UPDATE SET billing = excluded.billing, tax_id = excluded.tax_id, changed_at = excluded.changed_at`,
			of, string(kept), tax, tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "wholesale.profile_changed", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"company": p.Company, "country": p.Country, "tax_id": tax != ""})
	})
	if err != nil {
		return fmt.Errorf("set the profile of %s: %w", of, err)
	}
	return nil
}
