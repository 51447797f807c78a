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
	// Collection is what was taken for it; only of BalanceOf.
	Collection Collection
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

// profileRow is what is kept of a reseller's.
type profileRow struct {
	Billing                json.RawMessage
	TaxID                  string `bun:"tax_id"`
	MethodRef, MethodLabel string
}

const profileColumns = `coalesce(billing, '{}') AS billing, coalesce(tax_id, '') AS tax_id, coalesce(method_ref, '') AS method_ref, coalesce(method_label, '') AS method_label`

func (r profileRow) profile(s standingRow, currency string) (p Profile, err error) {
	if err := json.Unmarshal(r.Billing, &p.Party); err != nil {
		return p, err
	}
	p.TaxID, p.Card = r.TaxID, Card{Label: r.MethodLabel, ref: r.MethodRef}
	p.Limit, p.Balance = s.of(currency)
	return p, nil
}

func profileIn(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (p Profile, err error) {
	var row struct {
		profileRow
		Currency string
		standingRow
	}
	err = tx.NewRaw("SELECT "+profileColumns+", "+standingColumns+`,
		coalesce((SELECT t.currency FROM tenant_terms t WHERE t.tenant_id = x.id ORDER BY t.valid_from DESC LIMIT 1), '') AS currency
		FROM (SELECT ?::bigint AS id) x LEFT JOIN reseller_profiles l ON l.tenant_id = x.id`, of).Scan(ctx, &row)
	if err == nil {
		p, err = row.profile(row.standingRow, row.Currency)
	}
	if err != nil {
		return p, fmt.Errorf("profile of %s: %w", of, err)
	}
	return p, nil
}

// profileWithCollection is a profile with what was taken for the reseller.
func (d *Desk) profileWithCollection(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (p Profile, err error) {
	var row struct {
		profileRow
		payoutRow
	}
	err = tx.NewRaw("SELECT "+profileColumns+", "+payoutColumns+payoutTables+"WHERE t.id = ?1", tx.Now(), of).Scan(ctx, &row)
	if err == nil {
		p, err = row.profile(row.standingRow, row.Currency)
	}
	if err == nil {
		p.Collection, err = row.collection()
	}
	if err != nil {
		return p, fmt.Errorf("profile of %s: %w", of, err)
	}
	p.Collection.Terms.Allowed = p.Collection.Terms.Allowed && d.Taker != nil
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
