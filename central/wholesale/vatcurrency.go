package wholesale

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/central/alerts"
)

// The platform's country wants its tax in its own currency, whatever a reseller is billed in
// (EN 16931 BT-6, BT-111). Rates are entered with their days; the last that is known counts.

// mostRates bounds how many rates are kept, and enteredByHand says where they come from.
const (
	mostRates     = 60
	enteredByHand = "entered by hand"
)

// RatesText is the rates as a form shows them: a line each, the newest first.
func (s Seller) RatesText() string {
	var b strings.Builder
	for _, r := range s.Rates {
		fmt.Fprintf(&b, "%s %s %s %s\n", r.Day.UTC().Format(time.DateOnly), r.From, r.Into, r.Value)
	}
	return b.String()
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// ReadRates reads lines such as "2026-11-02 EUR PLN 4.2731": what one of the first is worth in
// the second. The fault seller.invalid is about the field rates.
func ReadRates(typed string) (all []billing.ExchangeRate, wrong string) {
	for _, raw := range strings.Split(typed, "\n") {
		words := strings.Fields(plain(raw))
		if len(words) == 0 {
			continue
		}
		const like = "Please write lines such as 2026-11-02 EUR PLN 4.2731."
		if len(words) != 4 || len(raw) > 100 {
			return nil, like
		}
		day, err := time.Parse(time.DateOnly, words[0])
		r := billing.ExchangeRate{From: strings.ToUpper(words[1]), Into: strings.ToUpper(words[2]), Value: words[3], Day: day, Source: enteredByHand}
		if _, bad := r.Check(); err != nil || bad != nil || r.From == r.Into || !currencyCode.MatchString(r.From) || !currencyCode.MatchString(r.Into) {
			return nil, like
		}
		for _, x := range all {
			if x.Day.Equal(r.Day) && x.From == r.From && x.Into == r.Into {
				return nil, "Two lines are about the same day and currencies."
			}
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b billing.ExchangeRate) int { return b.Day.Compare(a.Day) })
	if len(all) > mostRates {
		return nil, fmt.Sprintf("Please keep at most %d rates.", mostRates)
	}
	return all, ""
}

// stateTax states a document's tax in the currency of the seller's country. Without a rate it
// is issued all the same, and staff are told of it.
func (r *run) stateTax(d *document.Document) error {
	own := billing.AccountingCurrency(r.seller.Country)
	if own == "" || own == d.Currency || d.TaxMinor == 0 {
		return nil
	}
	rate, ok := billing.FindRate(r.seller.Rates, d.Currency, own, d.IssuedAt)
	if ok {
		return d.StateTaxIn(rate)
	}
	if !slices.Contains(r.rateless, d.Currency) {
		r.rateless = append(r.rateless, d.Currency)
	}
	return nil
}

// tellRateless tells staff which rates the run lacked, once a run.
func (r *run) tellRateless(ctx context.Context) error {
	if len(r.rateless) == 0 || r.dry {
		return nil
	}
	slices.Sort(r.rateless)
	own := billing.AccountingCurrency(r.seller.Country)
	_, err := alerts.Raise(ctx, r.tx, alerts.Alert{Key: "wholesale.no_rate " + r.month.Name, Kind: "wholesale.no_rate",
		Text: "Invoices of " + r.month.Name + " in " + strings.Join(r.rateless, ", ") + " do not state their tax in " + own + ": no rate of the last month is known. Enter one at Wholesale, Our details.", Detail: map[string]string{"currencies": strings.Join(r.rateless, " "), "into": own}})
	return err
}
