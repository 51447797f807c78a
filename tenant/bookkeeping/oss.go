package bookkeeping

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Taxed is what was invoiced less what was credited at one rate of one country.
type Taxed struct {
	Country  string // whose tax it is
	Region   string
	Name     string
	Ppm      int64
	Currency string
	Net, Tax billing.Money
}

// soldRow is what a period's documents come to, by who taxes it and where the buyer is.
type soldRow struct {
	Buyer, Country, Region, Name, Category, Currency string
	Ppm, Net, Tax                                    int64
}

func sold(ctx context.Context, tx *tenancy.Tx, p Period) (rows []soldRow, err error) {
	err = tx.NewRaw(`SELECT coalesce(i.document->'buyer'->>'country', '') AS buyer, coalesce(t.country, '') AS country, coalesce(t.region, '') AS region, coalesce(t.name, '') AS name,
			coalesce(t.category, CASE WHEN t.ppm > 0 THEN 'S' ELSE '' END) AS category, i.currency, t.ppm,
			sum(CASE i.kind WHEN 'invoice' THEN t.net_minor ELSE -t.net_minor END)::bigint AS net, sum(CASE i.kind WHEN 'invoice' THEN t.tax_minor ELSE -t.tax_minor END)::bigint AS tax
		FROM invoices i CROSS JOIN LATERAL jsonb_to_recordset(i.document->'taxes') AS t(country text, region text, name text, category text, ppm bigint, net_minor bigint, tax_minor bigint)
		WHERE i.kind IN ('invoice', 'credit_note') AND i.state <> 'draft' AND i.issued_at >= ? AND i.issued_at < ? GROUP BY 1, 2, 3, 4, 5, 6, 7`, p.From, p.To).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read what was taxed: %w", err)
	}
	return rows, nil
}

// TaxReport is what was taxed in a period, by country, region and rate: what a return of
// the one-stop shop asks for each member state, and those of other countries. Credit notes
// count when they were issued.
func TaxReport(ctx context.Context, tx *tenancy.Tx, p Period) ([]Taxed, error) {
	rows, err := sold(ctx, tx, p)
	if err != nil {
		return nil, err
	}
	var all []Taxed
	for _, r := range rows {
		if r.Category != "S" || r.Net == 0 && r.Tax == 0 {
			continue
		}
		all = append(all, Taxed{r.Country, r.Region, r.Name, r.Ppm, r.Currency, billing.Money{Minor: r.Net, Currency: r.Currency}, billing.Money{Minor: r.Tax, Currency: r.Currency}})
	}
	merged := all[:0]
	slices.SortFunc(all, func(x, y Taxed) int {
		return cmp.Or(cmp.Compare(x.Country, y.Country), cmp.Compare(x.Region, y.Region), cmp.Compare(x.Ppm, y.Ppm), cmp.Compare(x.Currency, y.Currency), cmp.Compare(x.Name, y.Name))
	})
	for _, t := range all {
		if n := len(merged); n > 0 && merged[n-1].Country == t.Country && merged[n-1].Region == t.Region && merged[n-1].Ppm == t.Ppm && merged[n-1].Currency == t.Currency && merged[n-1].Name == t.Name {
			merged[n-1].Net.Minor += t.Net.Minor
			merged[n-1].Tax.Minor += t.Tax.Minor
			continue
		}
		merged = append(merged, t)
	}
	return merged, nil
}

// CrossBorder is what was sold in a period to consumers of other member states than the
// seller's: what counts towards the threshold of Article 59c of Directive 2006/112/EC,
// without VAT. Sales in other currencies than the euro are told apart: they count at the
// rate of the day.
func CrossBorder(ctx context.Context, tx *tenancy.Tx, seller string, p Period) (euro billing.Money, others []billing.Money, err error) {
	euro.Currency = "EUR"
	rows, err := sold(ctx, tx, p)
	if err != nil || !billing.InEU(seller) {
		return euro, nil, err
	}
	sums := map[string]int64{}
	for _, r := range rows {
		abroad := r.Country != seller && billing.InEU(r.Country) || r.Country == seller && r.Buyer != seller && billing.InEU(r.Buyer)
		if r.Category == "S" && abroad {
			sums[r.Currency] += r.Net
		}
	}
	euro.Minor = sums["EUR"]
	delete(sums, "EUR")
	for currency, minor := range sums {
		if minor != 0 {
			others = append(others, billing.Money{Minor: minor, Currency: currency})
		}
	}
	slices.SortFunc(others, func(x, y billing.Money) int { return cmp.Compare(x.Currency, y.Currency) })
	return euro, others, nil
}
