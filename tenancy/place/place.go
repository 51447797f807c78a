// Package place reads where a business is at home: its language, currency and time
// zone, as people type them, for either plane. It knows what they are called and
// nothing of what follows from them.
package place

import (
	"strings"
	"time"

	"golang.org/x/text/currency"
	"golang.org/x/text/language"
)

// Place is a language (BCP 47), a currency (ISO 4217) and a time zone (IANA).
type Place struct{ Locale, Currency, TimeZone string }

// Parse reads what was typed; what is left empty is en, EUR and UTC. What is wrong
// goes into wrong under locale, currency and time_zone, in a person's words.
func Parse(p Place, wrong map[string]string) Place {
	p.Locale, p.Currency, p.TimeZone = word(p.Locale, "en"), strings.ToUpper(word(p.Currency, "EUR")), word(p.TimeZone, "UTC")
	if tag, err := language.Parse(p.Locale); err != nil || len(p.Locale) > 35 {
		wrong["locale"] = "Give a language such as en or de-AT."
	} else {
		p.Locale = tag.String()
	}
	if _, err := currency.ParseISO(p.Currency); err != nil {
		wrong["currency"] = "Give a currency by its three letters, such as EUR."
	}
	if _, err := time.LoadLocation(p.TimeZone); err != nil || p.TimeZone == "Local" || len(p.TimeZone) > 60 {
		wrong["time_zone"] = "Give a time zone such as Europe/Berlin."
	}
	return p
}

func word(s, otherwise string) string {
	if s = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")); s == "" {
		return otherwise
	}
	return s
}

// Choice is one entry of a form's list.
type Choice struct{ Value, Label string }

// Locales are languages a form offers; with chosen, when it is none of them.
func Locales(chosen string) []Choice {
	return with(chosen, []Choice{
		{"en", "English"}, {"en-GB", "English (United Kingdom)"}, {"de", "Deutsch"}, {"fr", "Français"}, {"es", "Español"},
		{"it", "Italiano"}, {"nl", "Nederlands"}, {"pl", "Polski"}, {"pt", "Português"}, {"pt-BR", "Português (Brasil)"},
	})
}

// Currencies are currencies a form offers; with chosen, when it is none of them.
func Currencies(chosen string) []Choice {
	return with(chosen, []Choice{
		{"EUR", "EUR, euro"}, {"USD", "USD, US dollar"}, {"GBP", "GBP, pound sterling"}, {"CHF", "CHF, Swiss franc"},
		{"SEK", "SEK, Swedish krona"}, {"NOK", "NOK, Norwegian krone"}, {"DKK", "DKK, Danish krone"}, {"PLN", "PLN, Polish złoty"},
		{"CZK", "CZK, Czech koruna"}, {"CAD", "CAD, Canadian dollar"}, {"AUD", "AUD, Australian dollar"},
		{"INR", "INR, Indian rupee"}, {"BRL", "BRL, Brazilian real"}, {"JPY", "JPY, Japanese yen"},
	})
}

// Zones are time zones a form offers; with chosen, when it is none of them.
func Zones(chosen string) []Choice {
	names := strings.Fields(`UTC Europe/London Europe/Dublin Europe/Lisbon Europe/Berlin Europe/Paris Europe/Madrid Europe/Rome
		Europe/Amsterdam Europe/Brussels Europe/Zurich Europe/Vienna Europe/Copenhagen Europe/Stockholm Europe/Oslo Europe/Helsinki
		Europe/Warsaw Europe/Prague Europe/Athens Europe/Bucharest Europe/Istanbul America/New_York America/Chicago America/Denver
		America/Los_Angeles America/Toronto America/Sao_Paulo America/Mexico_City Africa/Johannesburg Africa/Lagos Asia/Dubai
		Asia/Kolkata Asia/Singapore Asia/Tokyo Australia/Sydney Pacific/Auckland`)
	all := make([]Choice, len(names))
	for i, n := range names {
		all[i] = Choice{n, strings.ReplaceAll(n, "_", " ")}
	}
	return with(chosen, all)
}

func with(chosen string, all []Choice) []Choice {
	if chosen == "" {
		return all
	}
	for _, c := range all {
		if c.Value == chosen {
			return all
		}
	}
	return append(all, Choice{chosen, chosen})
}
