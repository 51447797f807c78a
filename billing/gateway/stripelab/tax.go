package stripelab

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// Tax calculations, as Stripe answers them: rates of some states of the United States and
// their cities, of the provinces of Canada, and the standard rates of the EU, the United
// Kingdom, Switzerland and Norway. They are examples for tests and the demo.

// levy is one tax of a place.
type levy struct{ level, place, kind, percent, reason string }

func sales(level, place, percent string) levy { return levy{level, place, "sales_tax", percent, ""} }

// cities are taxes on top of a state's, by the first digits of postcodes.
func cities(state, zip string) []levy {
	table := map[string]map[string][]levy{
		"TX": {"770": {sales("city", "Houston", "1.0"), sales("district", "Houston MTA", "1.0")}, "787": {sales("city", "Austin", "1.0"), sales("district", "Austin MTA", "1.0")}},
		"NY": {"100": {sales("city", "New York City", "4.5"), sales("district", "Metropolitan Commuter Transportation District", "0.375")}},
		"WA": {"981": {sales("city", "Seattle", "3.85")}},
	}
	for begin, all := range table[state] {
		if strings.HasPrefix(zip, begin) {
			return all
		}
	}
	return nil
}

func states() map[string]levy {
	return map[string]levy{
		"TX": sales("state", "Texas", "6.25"), "NY": sales("state", "New York", "4.0"), "WA": sales("state", "Washington", "6.5"), "FL": sales("state", "Florida", "6.0"), "IL": sales("state", "Illinois", "6.25"),
		"CA": {"state", "California", "", "", "product_exempt"}, "OR": {"state", "Oregon", "", "", "not_subject_to_tax"}, "NH": {"state", "New Hampshire", "", "", "not_subject_to_tax"},
	}
}

func provinces() map[string][]levy {
	gst := levy{"country", "Canada", "gst", "5.0", ""}
	all := map[string][]levy{
		"BC": {gst, {"state", "British Columbia", "pst", "7.0", ""}}, "SK": {gst, {"state", "Saskatchewan", "pst", "6.0", ""}}, "MB": {gst, {"state", "Manitoba", "rst", "7.0", ""}},
		"QC": {gst, {"state", "Quebec", "qst", "9.975", ""}}, "ON": {{"state", "Ontario", "hst", "13.0", ""}}, "NS": {{"state", "Nova Scotia", "hst", "14.0", ""}},
	}
	for code, name := range map[string]string{"NB": "New Brunswick", "NL": "Newfoundland and Labrador", "PE": "Prince Edward Island"} {
		all[code] = []levy{{"state", name, "hst", "15.0", ""}}
	}
	for _, code := range []string{"AB", "NT", "NU", "YT"} {
		all[code] = []levy{gst}
	}
	return all
}

// levies are the taxes of a place; false: it is not told precisely enough.
func levies(country, state, zip string, at time.Time) ([]levy, bool) {
	switch country {
	case "US":
		if len(zip) < 5 {
			return nil, false
		}
		own, known := states()[state]
		switch {
		case !known:
			return []levy{{"state", state, "", "", "not_supported"}}, true
		case own.reason != "":
			return []levy{own}, true
		}
		return append([]levy{own}, cities(state, zip)...), true
	case "CA":
		all, known := provinces()[state]
		return all, known
	}
	if r, known := billing.RateAt(billing.StandardRates(), country, billing.Standard, at); known {
		return []levy{{"country", country, "vat", strconv.FormatFloat(float64(r.Ppm)/10_000, 'f', -1, 64), ""}}, true
	}
	return []levy{{"country", country, "", "", "not_supported"}}, true
}

// SetTax says where an account is registered for tax: "US-TX", "CA", "DE". No places: at none,
// with its settings complete. Until it is said the account is registered everywhere.
func (l *Lab) SetTax(secretKey string, complete bool, places ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		if a.secret == secretKey || a.id == secretKey {
			a.taxPending = !complete
			a.registered = append([]string{}, places...)
		}
	}
}

// collects reports whether the account is registered at a place.
func (a *account) collects(country, state string) bool {
	return a.registered == nil || slices.Contains(a.registered, country) || slices.Contains(a.registered, country+"-"+state)
}

func (c *call) taxSettings() answer {
	status, details := "active", object{"active": object{}}
	if c.a.taxPending {
		status, details = "pending", object{"pending": object{"missing_fields": []string{"head_office"}}}
	}
	return ok(object{"object": "tax.settings", "status": status, "status_details": details, "defaults": object{"tax_behavior": nil, "tax_code": nil}, "head_office": nil, "livemode": false})
}

func (c *call) taxRegistrations() answer {
	places := c.a.registered
	if places == nil {
		for s := range states() {
			places = append(places, "US-"+s)
		}
		places = append(places, "CA")
		for _, r := range billing.StandardRates() {
			places = append(places, r.Country)
		}
	}
	places = slices.Sorted(maps.Keys(setOf(places)))
	data := make([]any, len(places))
	for i, p := range places {
		country, state, _ := strings.Cut(p, "-")
		options := object{}
		if country == "US" {
			options["us"] = object{"state": state, "type": "state_sales_tax"}
		}
		data[i] = object{"id": "taxreg_" + strings.ToLower(p), "object": "tax.registration", "country": country, "country_options": options, "status": "active", "active_from": 0, "created": 0, "livemode": false}
	}
	return list("/v1/tax/registrations", data)
}

func setOf(all []string) map[string]bool {
	m := map[string]bool{}
	for _, s := range all {
		m[s] = true
	}
	return m
}

func (c *call) calculateTax() answer {
	get := func(name string) string { return c.form.Get("customer_details[address][" + name + "]") }
	amount, err := c.number("line_items[0][amount]")
	switch {
	case err != nil || amount < 0:
		return invalid("line_items[0][amount]", "Invalid integer.")
	case !strings.HasPrefix(c.form.Get("line_items[0][tax_code]"), "txcd_"):
		return refuse(http.StatusBadRequest, "invalid_request_error", "resource_missing", "line_items[0][tax_code]", "No such tax code.", nil)
	case c.a.taxPending:
		return refuse(http.StatusBadRequest, "invalid_request_error", "stripe_tax_inactive", "", "Your account's tax settings are incomplete.", nil)
	}
	at := time.Unix(c.lab.now(), 0)
	country, state := get("country"), get("state")
	all, known := levies(country, state, get("postal_code"), at)
	if !known {
		return refuse(http.StatusBadRequest, "invalid_request_error", "customer_tax_location_invalid", "customer_details[address]", "The customer's location isn't recognized. Set a valid customer address.", nil)
	}
	var tax int64
	parts := make([]any, len(all))
	for i, v := range all {
		reason, taxable, details, sum := v.reason, amount, any(nil), int64(0)
		if !c.a.collects(country, state) {
			reason = "not_collecting"
		}
		if c.form.Get("line_items[0][tax_code]") == "txcd_20030000" && state == "TX" && reason == "" {
			reason, taxable = "portion_standard_rated", amount/5*4 // Texas Tax Code s. 151.351
		}
		switch reason {
		case "", "portion_standard_rated":
			if reason == "" {
				reason = "standard_rated"
			}
			percent, err := strconv.ParseFloat(v.percent, 64)
			if err != nil {
				return invalid("", err.Error())
			}
			sum = int64(float64(taxable)*percent/100 + 0.5)
			details = object{"display_name": v.kind, "percentage_decimal": v.percent, "tax_type": v.kind}
		default:
			taxable = 0
		}
		tax += sum
		parts[i] = object{
			"amount": sum, "jurisdiction": object{"country": country, "display_name": v.place, "level": v.level, "state": state}, "sourcing": "destination",
			"taxability_reason": reason, "taxable_amount": taxable, "tax_rate_details": details,
		}
	}
	id := newID("taxcalc")
	line := object{"id": newID("tax_li"), "object": "tax.calculation_line_item", "amount": amount, "amount_tax": tax, "quantity": 1, "reference": c.form.Get("line_items[0][reference]"), "tax_behavior": "exclusive", "tax_code": c.form.Get("line_items[0][tax_code]"), "livemode": false, "product": nil}
	if c.expands("line_items.data.tax_breakdown") {
		line["tax_breakdown"] = parts
	}
	return ok(object{
		"id": id, "object": "tax.calculation", "amount_total": amount + tax, "currency": c.form.Get("currency"), "tax_amount_exclusive": tax, "tax_amount_inclusive": 0, "livemode": false,
		"tax_date": c.lab.now(), "expires_at": c.lab.now() + 90*24*3600, "tax_breakdown": []any{}, "line_items": object{"object": "list", "data": []any{line}, "has_more": false, "url": "/v1/tax/calculations/" + id + "/line_items"},
	})
}
