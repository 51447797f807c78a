package wholesale

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// DefaultDomains is how many domains of its own a reseller may have when nothing says
// otherwise.
const DefaultDomains = 25

// maxRoom bounds what a tier can give of anything.
const maxRoom = 1_000_000

// Room is how much of what a tier bounds a reseller may have at once.
type Room struct {
	Domains  int // of its own
	Team     int // people who work for it, those invited with them; 0: no limit
	Services int // that run for its customers at the platforms; 0: no limit
}

// roomSQL is what the tier of the tenant ?0 gives at ?1, with the terms that say so.
const roomSQL = `SELECT x.*, t.domains, coalesce(t.team, 0) AS team, coalesce(t.services, 0) AS services
	FROM (SELECT tier, currency, valid_from, set_by, created_at FROM tenant_terms WHERE tenant_id = ?0
		ORDER BY (valid_from <= ?1) DESC, CASE WHEN valid_from <= ?1 THEN valid_from END DESC, valid_from LIMIT 1) x
	JOIN tiers t ON t.tier = x.tier AND t.currency = x.currency AND t.valid_from <= greatest(x.valid_from, ?1)
		AND (t.valid_to IS NULL OR t.valid_to > greatest(x.valid_from, ?1))`

// RoomOf is what a tenant's tier gives now. Before its first terms begin, those count.
func RoomOf(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID) (Room, error) {
	var rows []Room
	err := tx.NewRaw("SELECT r.domains, r.team, r.services FROM ("+roomSQL+") r", tenant, tx.Now()).Scan(ctx, &rows)
	if err != nil {
		return Room{}, fmt.Errorf("room of a tier: %w", err)
	}
	if len(rows) == 0 {
		return Room{Domains: DefaultDomains}, nil
	}
	return rows[0], nil
}

// inUse is what a tenant has of its own domains and of services: those the platforms run, those
// ordered and not there yet, and places kept for orders that wait for their payment. What the
// reseller delivers by hand costs no wholesale and is not counted.
const inUse = `(SELECT count(*) FROM domains d WHERE d.tenant_id = ?0 AND d.state <> 'removed') AS domains,
	(SELECT count(*) FROM services s WHERE s.tenant_id = ?0 AND s.sku <> '' AND s.ended_at IS NULL AND s.desired <> 'terminated')
		+ (SELECT count(*) FROM holds h WHERE h.tenant_id = ?0 AND h.used_at IS NULL AND h.expires_at > ?1) AS services`

// Use is what a reseller has of what its tier bounds.
type Use struct {
	Room
	HasDomains, HasTeam, HasServices int
}

// Full reports whether no service more can be sold.
func (u Use) Full() bool { return u.Services > 0 && u.HasServices >= u.Services }

// UseOf is what a reseller has of its tier's room. Its team is kept in its own schema and is
// left at 0.
func (d *Desk) UseOf(ctx context.Context, of tenancy.ID) (u Use, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		u, err = UseIn(ctx, tx, of)
		return err
	})
	return u, err
}

// UseIn is UseOf as a part of something larger.
func UseIn(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (Use, error) {
	u, _, err := useAndTerms(ctx, tx, of)
	return u, err
}

// useAndTerms is what a reseller has of its tier's room, and the terms that hold now; nil: none
// yet. It is one statement.
func useAndTerms(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (Use, *Terms, error) {
	var row struct {
		Room
		HasDomains, HasServices int
		Terms
	}
	err := tx.NewRaw(`SELECT coalesce(r.domains, ?2) AS domains, coalesce(r.team, 0) AS team, coalesce(r.services, 0) AS services, u.domains AS has_domains, u.services AS has_services,
			r.valid_from AS "from", coalesce(r.tier, '') AS tier, coalesce(r.currency, '') AS currency, coalesce(r.set_by, '') AS set_by, r.created_at AS set_at
		FROM (SELECT `+inUse+") u LEFT JOIN ("+roomSQL+") r ON true", of, tx.Now(), DefaultDomains).Scan(ctx, &row)
	if err != nil {
		return Use{}, nil, fmt.Errorf("what %s has of its tier: %w", of, err)
	}
	u := Use{Room: row.Room, HasDomains: row.HasDomains, HasServices: row.HasServices}
	if row.From.IsZero() || row.From.After(tx.Now()) {
		return u, nil, nil
	}
	return u, &row.Terms, nil
}

// ErrFull says that a reseller has as many services as its tier gives.
var ErrFull = errors.New("the tier gives no service more")

// AdmitService refuses one service more than a tenant's tier gives, as a part of what makes it:
// two at once wait for each other here, until the first is there to be counted. Customers read
// the fault, so that it says of the tier nothing; it wraps ErrFull. Fault: platform.full.
func AdmitService(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID) error {
	r, err := RoomOf(ctx, tx, tenant)
	if err != nil || r.Services == 0 {
		return err
	}
	var locked []time.Time
	if err := tx.NewRaw("SELECT valid_from FROM tenant_terms WHERE tenant_id = ? ORDER BY valid_from FOR UPDATE", tenant).Scan(ctx, &locked); err != nil {
		return err
	}
	var has struct{ Domains, Services int }
	if err := tx.NewRaw("SELECT "+inUse, tenant, tx.Now()).Scan(ctx, &has); err != nil {
		return fmt.Errorf("count the services of %s: %w", tenant, err)
	}
	if has.Services < r.Services {
		return nil
	}
	return fault.Wrap(ErrFull, fault.Conflict, "platform.full", "This cannot be delivered at the moment. Please try later, or write to us.")
}

// TellFull writes to a reseller that an order was refused because its tier gives no service
// more, and tells staff; once a day, however many are refused.
func (d *Desk) TellFull(ctx context.Context, of tenancy.ID) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		r, err := RoomOf(ctx, tx, of)
		if err != nil || r.Services == 0 {
			return err
		}
		var to struct{ Shop, Name, Email string }
		err = tx.NewRaw(`SELECT t.name AS shop, coalesce(nullif(p.billing->>'name', ''), t.name) AS name, coalesce(nullif(p.billing->>'email', ''), t.owner_email) AS email
			FROM tenants t LEFT JOIN reseller_profiles p ON p.tenant_id = t.id WHERE t.id = ?`, of).Scan(ctx, &to)
		if err != nil {
			return err
		}
		key, limit := "wholesale_full/"+of.String()+"/"+day(tx.Now()), strconv.Itoa(r.Services)
		if d.Mail != nil && to.Email != "" {
			err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key, Template: mail.WholesaleFull, To: to.Email,
				Data: map[string]string{"name": to.Name, "shop": to.Shop, "services": limit, "link": d.PartnerURL + "/"}})
			if err != nil {
				return err
			}
		}
		_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: key, Tenant: of, Kind: "wholesale.full", Text: to.Shop + " has as many services as its tier gives: an order was refused.",
			Detail: map[string]string{"services": limit}})
		return err
	})
	if err != nil {
		return fmt.Errorf("tell %s of its tier's room: %w", of, err)
	}
	return nil
}

// room reads how many of something a tier gives; empty: none, which stands for no limit.
func room(field, typed string, least, none int, wrong map[string]string) int {
	s := strings.TrimSpace(typed)
	if s == "" {
		return none
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > maxRoom {
		wrong[field] = fmt.Sprintf("Enter a number, %d or more.", least)
	}
	return n
}
