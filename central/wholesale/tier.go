package wholesale

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

var tierName = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]{0,30}[a-z0-9])?$`)

// Tier is what a tier costs and gives in one currency, from a day on.
type Tier struct {
	Tier        string
	Name        string
	Fee         billing.Money // a month
	DiscountPPM int64         // off services and metered units, parts per million
	Commission  int64         // of what the reseller invoices, in place of a discount, parts per million
	Minimum     billing.Money // the least a month costs
	Room                      // what a reseller may have at once
	From, To    time.Time     // zero To: until another follows
}

// Percent is the discount as people write it: 12.5.
func (t Tier) Percent() string { return percent(t.DiscountPPM) }

// Share is the commission as people write it.
func (t Tier) Share() string { return percent(t.Commission) }

// At reports whether these terms of the tier hold at t.
func (t Tier) At(at time.Time) bool { return period{t.From, t.To}.at(at) }

// percent writes parts per million as per cent.
func percent(ppm int64) string {
	s := fmt.Sprintf("%d.%04d", ppm/10_000, ppm%10_000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// parsePercent reads per cent with up to four decimals, from 0 to 100.
func parsePercent(s string) (ppm int64, ok bool) {
	whole, part, _ := strings.Cut(strings.TrimSpace(s), ".")
	if whole == "" || len(whole) > 3 || len(part) > 4 || strings.Trim(whole+part, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+part+strings.Repeat("0", 4-len(part)), 10, 64)
	return n, err == nil && n <= 1_000_000
}

type tierRow struct {
	Tier, Currency, Name string
	FeeMinor             int64
	DiscountPPM          int64 `bun:"discount_ppm"`
	CommissionPPM        int64 `bun:"commission_ppm"`
	MinimumMinor         int64
	Room
	ValidFrom, ValidTo time.Time
}

const tierColumns = "t.tier, t.currency, t.name, t.fee_minor, (t.discount_percent * 10000)::bigint AS discount_ppm, (t.commission_percent * 10000)::bigint AS commission_ppm, t.minimum_minor, t.domains, coalesce(t.team, 0) AS team, coalesce(t.services, 0) AS services, t.valid_from, t.valid_to"

func (r tierRow) tier() Tier {
	return Tier{Tier: r.Tier, Name: r.Name, Fee: billing.Money{Minor: r.FeeMinor, Currency: r.Currency}, DiscountPPM: r.DiscountPPM,
		Commission: r.CommissionPPM, Minimum: billing.Money{Minor: r.MinimumMinor, Currency: r.Currency}, Room: r.Room, From: r.ValidFrom.UTC(), To: utcOrZero(r.ValidTo)}
}

// Tiers are all tiers with all their days, the newest first within a tier and currency.
func (d *Desk) Tiers(ctx context.Context) (all []Tier, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		all, err = tiersIn(ctx, tx)
		return err
	})
	return all, err
}

func tiersIn(ctx context.Context, tx *tenancy.CentralTx) (all []Tier, err error) {
	var rows []tierRow
	if err := tx.NewRaw("SELECT "+tierColumns+" FROM tiers t ORDER BY t.tier, t.currency, t.valid_from DESC").Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("list tiers: %w", err)
	}
	for _, r := range rows {
		all = append(all, r.tier())
	}
	return all, nil
}

// NewTier is a tier as a person sets it.
type NewTier struct {
	Tier     string
	Currency string
	Name     string
	Fee      string // a decimal of whole units, a month
	Percent  string // discount, 0 to 100
	Share    string // commission in its place, 0 to 100; empty: none
	Minimum  string // the least a month costs, as Fee; empty: none
	Domains  string // of a reseller's own; empty: DefaultDomains
	Team     string // people of a reseller's team; empty: no limit
	Services string // that run for a reseller's customers; empty: no limit
	From     time.Time
}

// SetTier lets a tier cost and give this from the first day of a month on; otherwise as
// SetPrice does. The fault
// tier.invalid is about fields; another is price.closed.
func (d *Desk) SetTier(ctx context.Context, n NewTier, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return n.set(ctx, tx, by) })
	if err != nil {
		return fmt.Errorf("set tier: %w", err)
	}
	return nil
}

// set is SetTier as a part of a larger change.
func (n NewTier) set(ctx context.Context, tx *tenancy.CentralTx, by audit.Origin) error {
	wrong := map[string]string{}
	if n.Tier = strings.TrimSpace(n.Tier); !tierName.MatchString(n.Tier) {
		wrong["tier"] = "Use lower-case letters, digits, dashes and underscores: partner."
	}
	n.Name = line("name", n.Name, 60, wrong)
	fee, err := billing.Parse(strings.TrimSpace(n.Fee), n.Currency)
	switch {
	case err != nil && wrongCurrency(n.Currency):
		wrong["currency"] = "Choose a currency."
	case err != nil || fee.Minor < 0 || fee.Minor > 1e12:
		wrong["fee"] = "Enter an amount such as 49.00, not negative."
	}
	ppm, ok := parsePercent(n.Percent)
	if !ok {
		wrong["percent"] = "Enter a percentage from 0 to 100."
	}
	share, minimum := n.agreed(wrong)
	if ppm > 0 && share > 0 && wrong["share"] == "" {
		wrong["share"] = "A tier gives a discount or takes a share, not both."
	}
	gives := Room{Domains: room("domains", n.Domains, 0, DefaultDomains, wrong), Team: room("team", n.Team, 1, 0, wrong), Services: room("services", n.Services, 1, 0, wrong)}
	switch {
	case n.From.IsZero() || n.From.Year() < 2000 || n.From.Year() > 2200:
		wrong["from"] = "Choose the day from which it holds."
	case !n.From.Equal(monthOf(n.From).From):
		wrong["from"] = "What a tier costs and gives changes with a month: choose its first day."
	}
	if err := fault.Fields("tier.invalid", wrong); err != nil {
		return err
	}
	t := Tier{Tier: n.Tier, Name: n.Name, Fee: fee, DiscountPPM: ppm, Commission: share, Minimum: minimum, Room: gives, From: n.From}
	if err := mustBeOpen(ctx, tx, n.From); err != nil {
		return err
	}
	return storeTier(ctx, tx, t, by)
}

// agreed reads the share and the minimum, which may be empty.
func (n NewTier) agreed(wrong map[string]string) (share int64, minimum billing.Money) {
	if s := strings.TrimSpace(n.Share); s != "" {
		var ok bool
		if share, ok = parsePercent(s); !ok {
			wrong["share"] = "Enter a percentage from 0 to 100."
		}
	}
	minimum.Currency = n.Currency
	if s := strings.TrimSpace(n.Minimum); s != "" && !wrongCurrency(n.Currency) {
		var err error
		if minimum, err = billing.Parse(s, n.Currency); err != nil || minimum.Minor < 0 || minimum.Minor > 1e12 {
			wrong["minimum"] = "Enter an amount such as 250.00, not negative."
		}
	}
	return share, minimum
}

func storeTier(ctx context.Context, tx *tenancy.CentralTx, t Tier, by audit.Origin) error {
	const same = " tier = ? AND currency = ? "
	_, err := tx.NewRaw("UPDATE tiers SET valid_to = ? WHERE"+same+"AND valid_from < ? AND (valid_to IS NULL OR valid_to > ?)",
		t.From, t.Tier, t.Fee.Currency, t.From, t.From).Exec(ctx)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO tiers (tier, currency, name, fee_minor, discount_percent, commission_percent, minimum_minor, domains, team, services, valid_from, valid_to)
		VALUES (?, ?, ?, ?, ?::numeric, ?::numeric, ?, ?, nullif(?, 0), nullif(?, 0), ?, (SELECT min(valid_from) FROM tiers WHERE`+same+`AND valid_from > ?))
		ON CONFLICT (tier, currency, valid_from) DO UPDATE SET name = excluded.name, fee_minor = excluded.fee_minor,
			discount_percent = excluded.discount_percent,
			commission_percent = excluded.commission_percent, minimum_minor = excluded.minimum_minor, domains = excluded.domains,
			team = excluded.team, services = excluded.services, valid_to = excluded.valid_to`,
		t.Tier, t.Fee.Currency, t.Name, t.Fee.Minor, t.Percent(), t.Share(), t.Minimum.Minor, t.Domains, t.Team, t.Services, t.From, t.Tier, t.Fee.Currency, t.From).Exec(ctx)
	if err != nil {
		return err
	}
	return by.Record(ctx, tx, "tier.set", tierTarget(t.Tier), map[string]any{"fee": t.Fee.String(), "discount": t.Percent(), "commission": t.Share(), "minimum": t.Minimum.String(), "domains": t.Domains, "team": t.Team, "services": t.Services, "from": day(t.From)})
}

// mustKnowTier refuses a tier that was never set in the currency.
func mustKnowTier(ctx context.Context, tx *tenancy.CentralTx, tier, currency string) error {
	var known bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM tiers WHERE tier = ? AND currency = ?)", plain(tier), plain(currency)).Scan(ctx, &known); err != nil {
		return err
	}
	if !known {
		return fault.Field("tier", "tier.unknown", "There is no such tier in that currency.")
	}
	return nil
}
