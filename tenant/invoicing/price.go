package invoicing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/settings"
	"github.com/ezscale/ezscale/tenant/taxservice"
)

// MaxLines bounds an invoice.
const MaxLines = 500

// Priced is lines with their tax and what they come to.
type Priced struct {
	Lines           []billing.Line
	Net, Tax, Total billing.Money
	Taxes           []billing.TaxSum
	TaxIn           bool // the prices held the tax

	Asked []billing.TaxAsked    // how the rates came about, where a tax service is asked
	Open  []billing.TaxQuestion // which it would have to be asked for prices to rest on it
}

// Price taxes lines for a customer of a country with a VAT number, or none, as an
// invoice issued now would be. Each line's Net is Quantity of Unit unless it was set
// (prorated). Faults: invoice.no_lines, invoice.bad_line, invoice.bad_sum.
func Price(ctx context.Context, tx *tenancy.Tx, accountCountry, taxID string, lines []billing.Line) (Priced, error) {
	shop, err := termsOf(ctx, tx, tx.Now(), nil)
	if err != nil {
		return Priced{}, err
	}
	buyer := account.Taxed{Country: accountCountry, TaxID: taxID, Number: billing.NumberPending}
	if err := shop.consult(ctx, tx, sale{buyer, lines}); err != nil {
		return Priced{}, err
	}
	return price(shop, buyer, lines, tx.Now())
}

// PriceFor is Price for a customer of whom more is known.
func PriceFor(ctx context.Context, tx *tenancy.Tx, buyer account.Taxed, lines []billing.Line) (Priced, error) {
	all, err := PriceAll(ctx, tx, buyer, [][]billing.Line{lines})
	if err != nil {
		return Priced{}, err
	}
	return all[0], nil
}

// PriceAll is PriceFor for several invoices of one customer, at the cost of one.
func PriceAll(ctx context.Context, tx *tenancy.Tx, buyer account.Taxed, invoices [][]billing.Line) ([]Priced, error) {
	shop, err := termsOf(ctx, tx, tx.Now(), nil)
	if err != nil {
		return nil, err
	}
	if invoices, err = shop.classes(ctx, tx, invoices); err != nil {
		return nil, err
	}
	sales := make([]sale, len(invoices))
	for i, lines := range invoices {
		sales[i] = sale{buyer, lines}
	}
	if err := shop.consult(ctx, tx, sales...); err != nil {
		return nil, err
	}
	all := make([]Priced, len(invoices))
	for i, lines := range invoices {
		if all[i], err = price(shop, buyer, lines, tx.Now()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// HeldTaxFigure is the figure by which the platform knows what tax a shop's prices hold, in
// parts per million on top of the net; 0 where prices are without tax.
const HeldTaxFigure = "price_tax_ppm"

// HeldTax is that tax.
func HeldTax(ctx context.Context, tx *tenancy.Tx) (ppm int64, err error) {
	var text string
	if err := tx.NewRaw("SELECT "+HeldTaxColumn("?0"), tx.Now().UTC()).Scan(ctx, &text); err != nil {
		return 0, fmt.Errorf("read what tax prices hold: %w", err)
	}
	return HeldTaxOf(text, tx.Now())
}

// HeldTaxColumn is what HeldTaxOf reads, as an expression of a statement that is sent
// anyway; at is the placeholder of the moment, in UTC.
func HeldTaxColumn(at string) string {
	return `json_build_object('settings', coalesce((SELECT value::text FROM shop_settings WHERE name = '` + settings.BillingName + `'), ''), 'rates', ` + ratesColumn(at) + `)::text`
}

// HeldTaxOf is HeldTax of such a column.
func HeldTaxOf(text string, at time.Time) (ppm int64, err error) {
	var r struct{ Settings, Rates string }
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return 0, fmt.Errorf("read what tax prices hold: %w", err)
	}
	var shop terms
	if shop.Billing, err = settings.ReadBilling(r.Settings); err != nil || !shop.PricesInclude {
		return 0, err
	}
	if err := json.Unmarshal([]byte(r.Rates), &shop.rates); err != nil {
		return 0, fmt.Errorf("read the rates of tax: %w", err)
	}
	return shop.taxCase(account.Taxed{}, billing.Standard, at).HomeRate(), nil
}

// ratesColumn is the rates that count at a moment, as text of JSON.
func ratesColumn(at string) string {
	return `(SELECT coalesce(json_agg(json_build_object('Country', country, 'Region', region, 'Name', name, 'Class', split_part(class, '@', 1), 'For', split_part(class, '@', 2), 'Adds', coalesce(adds, false), 'Source', source,
				'Ppm', (percent * 10000)::bigint, 'From', to_char(valid_from, 'YYYY-MM-DD"T"00:00:00"Z"'))), '[]')::text
			FROM tax_rates WHERE valid_from <= ` + at + `::date AND (valid_to IS NULL OR valid_to > ` + at + `::date))`
}

// TellHeldTax tells the platform of it: part of whatever changes the shop's prices' tax.
func TellHeldTax(ctx context.Context, tx *tenancy.Tx) error {
	held, err := HeldTax(ctx, tx)
	if err != nil {
		return err
	}
	return tx.SetFigure(ctx, HeldTaxFigure, "", held)
}

// taxCase is a sale of one class to the buyer.
func (t terms) taxCase(buyer account.Taxed, class string, at time.Time) billing.TaxCase {
	c := taxservice.Case(t.Billing, buyer, class, at)
	c.Own = t.rates
	return c
}

func price(shop terms, buyer account.Taxed, lines []billing.Line, at time.Time) (Priced, error) {
	if len(lines) == 0 || len(lines) > MaxLines {
		return Priced{}, fault.New(fault.Invalid, "invoice.no_lines", fmt.Sprintf("An invoice has from 1 to %d lines.", MaxLines))
	}
	var err error
	p := Priced{Lines: make([]billing.Line, len(lines)), TaxIn: shop.PricesInclude}
	rules := map[string]billing.TaxRule{}
	for i, l := range lines {
		if p.Lines[i], err = priceLine(l); err != nil {
			return Priced{}, err
		}
		rule, known := rules[l.Tax.Class]
		if !known {
			rule = billing.TaxFor(shop.answered(&p, shop.taxCase(buyer, l.Tax.Class, at)))
			rules[l.Tax.Class] = rule
		}
		p.Lines[i].Tax = rule
	}
	if shop.PricesInclude {
		return p, p.fromGross(func(l billing.Line) int64 { return shop.taxCase(buyer, l.Tax.Class, at).HomeRate() })
	}
	p.Net, p.Tax, p.Total, p.Taxes, err = billing.Totals(p.Lines)
	return p, p.summed(err)
}

// fromGross takes the tax out of prices that hold it: what the customer pays stays to
// the cent.
func (p *Priced) fromGross(home func(billing.Line) int64) error {
	lines, sums, err := billing.FromGross(p.Lines, home)
	if err != nil {
		return p.summed(err)
	}
	p.Lines, p.Taxes = lines, sums
	p.Net, p.Tax = billing.Money{Currency: lines[0].Net.Currency}, billing.Money{Currency: lines[0].Net.Currency}
	for _, s := range sums {
		if p.Net, err = p.Net.Add(s.Net); err != nil {
			return p.summed(err)
		}
		if p.Tax, err = p.Tax.Add(s.Tax); err != nil {
			return p.summed(err)
		}
	}
	p.Total, err = p.Net.Add(p.Tax)
	return p.summed(err)
}

// priceLine sets Net where it is not set.
func priceLine(l billing.Line) (billing.Line, error) {
	if l.Net != (billing.Money{}) {
		if l.Quantity < 1 {
			return l, badLine(billing.ErrQuantity)
		}
		if _, err := billing.New(l.Net.Minor, l.Net.Currency); err != nil || l.Unit.Currency != l.Net.Currency {
			return l, badLine(billing.ErrCurrency)
		}
		return l, nil
	}
	if _, err := billing.New(l.Unit.Minor, l.Unit.Currency); err != nil {
		return l, badLine(err)
	}
	l, err := l.Priced()
	if err != nil {
		return l, badLine(err)
	}
	return l, nil
}

func badLine(err error) error {
	return fault.Wrap(err, fault.Invalid, "invoice.bad_line", "A line needs a quantity of at least one and an amount of a known currency.")
}

// summed says what is wrong with what the lines come to.
func (p *Priced) summed(err error) error {
	switch {
	case errors.Is(err, billing.ErrMixed):
		return fault.Wrap(err, fault.Invalid, "invoice.bad_sum", "All lines of an invoice are of one currency.")
	case errors.Is(err, billing.ErrNegative):
		return fault.Wrap(err, fault.Invalid, "invoice.bad_sum", "The lines come to less than nothing.")
	case errors.Is(err, billing.ErrOverflow):
		return fault.Wrap(err, fault.Invalid, "invoice.bad_sum", "The lines come to more than can be invoiced.")
	case err != nil:
		return fmt.Errorf("sum the lines: %w", err)
	}
	if p.Total.Minor > billing.MaxMinor {
		return fault.New(fault.Invalid, "invoice.bad_sum", "The lines come to more than can be invoiced.")
	}
	return nil
}

// terms are what of the shop decides an invoice.
type terms struct {
	settings.Billing
	rates   []billing.TaxRate // which the shop entered and which hold on the day
	classed bool              // some product is taxed otherwise than as standard
	known   []string          // of the keys asked for, those there is an invoice of
	account *document.Account // where bank transfers go; nil: nobody is asked for one

	service taxservice.Setting // an outside tax service
	answers map[billing.TaxQuestion]taxservice.Kept
}

// termsOf asks for all of it at once: every invoice and every offer begins with it.
func termsOf(ctx context.Context, tx *tenancy.Tx, at time.Time, keys []string) (terms, error) {
	var r struct {
		Settings, Rates, Known, Account, Service string
		Classed                                  bool
	}
	if keys == nil {
		keys = []string{}
	}
	asked, err := json.Marshal(keys)
	if err != nil {
		return terms{}, err
	}
	err = tx.NewRaw(`SELECT coalesce((SELECT value::text FROM shop_settings WHERE name = ?0), '') AS settings,
			(SELECT coalesce(json_agg(i.key), '[]')::text FROM jsonb_array_elements_text(?1::jsonb) AS k JOIN invoices i ON i.key = k) AS known,
			EXISTS (SELECT FROM products WHERE tax_class IS NOT NULL) AS classed,
			coalesce((SELECT public_settings::text FROM gateways WHERE code = 'transfer' AND state = 'on'), '') AS account,
			coalesce((SELECT value::text FROM shop_settings WHERE name = ?3), '') AS service,
			`+ratesColumn("?2")+` AS rates`,
		settings.BillingName, string(asked), at.UTC(), taxservice.Name).Scan(ctx, &r)
	if err != nil {
		return terms{}, fmt.Errorf("read the shop's terms: %w", err)
	}
	t := terms{classed: r.Classed}
	if t.account, err = accountOf(r.Account); err != nil {
		return terms{}, err
	}
	if t.Billing, err = settings.ReadBilling(r.Settings); err != nil {
		return terms{}, err
	}
	if t.service, err = taxservice.Read(r.Service); err != nil {
		return terms{}, err
	}
	if err := json.Unmarshal([]byte(r.Rates), &t.rates); err != nil {
		return terms{}, fmt.Errorf("read the rates of tax: %w", err)
	}
	if err := json.Unmarshal([]byte(r.Known), &t.known); err != nil {
		return terms{}, fmt.Errorf("read the invoices there are: %w", err)
	}
	return t, nil
}

// accountOf reads where the gateway for bank transfers sends the money.
func accountOf(public string) (*document.Account, error) {
	if public == "" {
		return nil, nil
	}
	var s struct{ Holder, IBAN, BIC string }
	if err := json.Unmarshal([]byte(public), &s); err != nil {
		return nil, fmt.Errorf("read the bank account: %w", err)
	}
	a := document.Account{Holder: s.Holder, IBAN: strings.ReplaceAll(s.IBAN, " ", ""), BIC: strings.ReplaceAll(s.BIC, " ", "")}
	if a.IBAN == "" {
		return nil, nil
	}
	return &a, nil
}
