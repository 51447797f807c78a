// Package taxservice owns what is done with an outside tax service: whether a shop asks one
// and about which countries, its answers (tax_answers) and when they are asked for, which is
// never inside a transaction. It does not own the service's protocol (billing/gateway/stripe),
// nor what an answer means for an invoice (billing, tenant/invoicing).
package taxservice

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Name is the shop setting, and Agenda the kind of due work that asks before renewals.
const (
	Name   = "tax_service"
	Agenda = "tax_service"
)

// Setting is whether and how a shop asks. The zero Setting asks nothing.
type Setting struct {
	On        bool              `json:"on"`
	Countries string            `json:"countries"` // "CA US"; empty: all
	Days      int               `json:"days"`      // an answer counts for so many
	Last      bool              `json:"last"`      // without a newer one the last answer counts on; otherwise the shop's own table
	Codes     map[string]string `json:"codes"`     // the service's code of a class, where it is not the usual one
	CheckedAt time.Time         `json:"checked_at"`
	Problem   string            `json:"problem"` // what the last connection test found; empty: it works
	Places    []string          `json:"places"`  // where the service said the shop is registered
}

// DefaultDays is how long answers count where the shop has not said.
const DefaultDays = 7

// Policy is how long the shop goes by an answer.
func (s Setting) Policy() billing.AnswerPolicy {
	return billing.AnswerPolicy{Days: max(s.Days, 1), Last: s.Last}
}

// Asks reports whether the service is asked about the country.
func (s Setting) Asks(country string) bool {
	return s.On && (s.Countries == "" || slices.Contains(strings.Fields(s.Countries), country))
}

// Of reads the shop's.
func Of(ctx context.Context, tx *tenancy.Tx) (s Setting, err error) {
	s.Days = DefaultDays
	_, err = settings.Named(ctx, tx, Name, &s)
	return s, err
}

// Read reads the setting's text; empty: it was never saved.
func Read(text string) (s Setting, err error) {
	if s.Days = DefaultDays; text == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read setting %s: %w", Name, err)
	}
	return s, nil
}

// Check reads what was typed, or answers with the fault tax_service.invalid.
func (s Setting) Check() (Setting, error) {
	wrong := map[string]string{}
	all := strings.FieldsFunc(strings.ToUpper(strings.ToValidUTF8(s.Countries, "")), func(r rune) bool { return r == ' ' || r == ',' || r == ';' })
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > 60 || slices.ContainsFunc(all, func(c string) bool { return !place.IsCountry(c) }) {
		wrong["countries"] = "Give countries by their two letters, such as US CA, or leave this empty for all."
	}
	s.Countries = strings.Join(all, " ")
	if s.Days < 1 || s.Days > 30 {
		wrong["days"] = "Give a number of days from 1 to 30."
	}
	codes := map[string]string{}
	for class, code := range s.Codes {
		switch code = strings.TrimSpace(code); {
		case code == "":
		case !slices.Contains(billing.Classes(), class) || len(code) > 40 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_0123456789") != "":
			wrong["code."+class] = "Enter a code such as txcd_10701100, or leave this empty."
		default:
			codes[class] = code
		}
	}
	s.Codes = codes
	return s, fault.Fields("tax_service.invalid", wrong)
}

// Save changes them. What was answered is asked anew where the codes of classes change.
func Save(ctx context.Context, db *tenancy.DB, s Setting, by audit.Origin) error {
	s, err := s.Check()
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		was, err := locked(ctx, tx)
		if err != nil {
			return err
		}
		s.CheckedAt, s.Problem, s.Places = was.CheckedAt, was.Problem, was.Places
		if fmt.Sprint(was.Codes) != fmt.Sprint(s.Codes) {
			if _, err := tx.NewRaw("DELETE FROM tax_answers").Exec(ctx); err != nil {
				return fmt.Errorf("forget answers about tax: %w", err)
			}
		}
		if err := settings.Put(ctx, tx, Name, s); err != nil {
			return err
		}
		due := time.Time{}
		if s.On {
			due = tx.Now()
		}
		if err := tx.SetAgenda(ctx, Agenda, due); err != nil {
			return err
		}
		return by.Record(ctx, tx, "tax_service.changed", audit.Target{Kind: "settings", ID: Name}, map[string]any{"on": s.On, "was_on": was.On, "countries": s.Countries, "days": s.Days, "last": s.Last, "codes": s.Codes})
	})
}

// locked is Of, kept from others who change it.
func locked(ctx context.Context, tx *tenancy.Tx) (Setting, error) {
	if _, err := tx.NewRaw("SELECT FROM shop_settings WHERE name = ? FOR UPDATE", Name).Exec(ctx); err != nil {
		return Setting{}, fmt.Errorf("lock the tax service's setting: %w", err)
	}
	return Of(ctx, tx)
}

// Case is a sale of a class to a customer, without the shop's own rates and an answer.
func Case(shop settings.Billing, buyer account.Taxed, class string, at time.Time) billing.TaxCase {
	c := billing.TaxCase{
		Seller:  billing.TaxParty{Country: shop.Country, SmallBusiness: shop.SmallBusiness, OSS: shop.OSS, Registered: shop.Registered},
		Country: buyer.Country, Region: buyer.Region, Business: buyer.Business, Postcode: buyer.Postcode, TaxID: buyer.TaxID, Number: buyer.Number, Exemption: buyer.Exemption, Class: class, At: at,
	}
	if shop.TrustNumbers && c.Number != billing.NumberRefused {
		c.Number = billing.NumberByForm
	}
	return c
}
