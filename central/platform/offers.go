package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Offer is a SKU as a reseller can buy it.
type Offer struct {
	SKU       string
	Type      string // as a retail product's: vps, …
	Name      string
	Summary   string
	Spec      provisioners.Spec
	Price     Price // for a month; empty: this reseller has none, so it cannot be sold
	Regions   []Region
	Available bool // there is a price, and room in some region
}

// Region is where an offer can be delivered.
type Region struct {
	Code      string
	Name      string
	Images    []Image
	Available bool
	Free      int // pieces; -1: the platform does not say
}

// Image is an operating system customers can choose.
type Image struct{ Code, Name, Group string }

// openHolds are the pieces of the offer o that are promised and that the platform does
// not count yet, in pieces of o's own size: whatever was promised at the same platform
// and region takes from the same machines. What was used shortly before the last look
// may not have been there when it was looked.
const openHolds = `(SELECT coalesce(sum(n.pieces * coalesce((hs.spec->>'memory_mb')::numeric / nullif((s.spec->>'memory_mb')::numeric, 0), 1)), 0)
	FROM offers ho JOIN skus hs ON hs.sku = ho.sku CROSS JOIN LATERAL (SELECT
		(SELECT count(*) FROM holds h WHERE h.offer_id = ho.id AND h.used_at IS NULL AND h.expires_at > ?) +
		(SELECT count(*) FROM holds h WHERE h.offer_id = ho.id AND h.used_at > coalesce(o.checked_at, '-infinity') - interval '5 minutes') AS pieces) n
	WHERE ho.platform_id = o.platform_id AND ho.region = o.region)`

// freePieces is what is left of the offer o; null: unknown. It takes the time.
const freePieces = `CASE WHEN o.capacity IS NOT NULL THEN greatest(0, o.capacity - o.used - ceil(` + openHolds + `))::int END`

// AddonType is the type of SKUs that a service has besides its own product: no platform is
// asked for them, and there is always room.
const AddonType = "addon"

// sellable says which offers take something new.
const sellable = `o.state = 'on' AND p.state = 'on' AND s.state = 'active' AND s.kind = 'service'`

type offerRow struct {
	SKU        string `bun:"sku"`
	Type       string
	Name       string
	Summary    string
	Spec       provisioners.Spec
	Region     string
	RegionName string
	Images     []provisioners.Image
	Free       *int
}

// Offers are what a tenant can buy, in the price book's order: with their price, where
// they can be, and whether there is room now. What nobody can be sold any more is left out.
func (r *Registry) Offers(ctx context.Context, tenant tenancy.ID) ([]Offer, error) {
	var rows []offerRow
	var prices map[string]Price
	err := r.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		if r.Prices != nil {
			if prices, err = r.Prices.Prices(ctx, tx, tenant); err != nil {
				return err
			}
		}
		return tx.NewRaw(`SELECT x.sku, x.type, x.name, x.summary, x.spec, x.region, x.region_name, x.images, x.free FROM (SELECT s.sku, s.type, s.name, s.summary, s.spec, o.region, o.region_name, o.images, `+freePieces+` AS free, s.position, o.id
			FROM offers o JOIN platforms p ON p.id = o.platform_id JOIN skus s ON s.sku = o.sku
			WHERE `+sellable+` AND s.type <> ?1
			UNION ALL SELECT s.sku, s.type, s.name, s.summary, s.spec, '', '', '[]', NULL, s.position, NULL
			FROM skus s WHERE s.type = ?1 AND s.state = 'active' AND s.kind = 'service') x ORDER BY x.position, x.sku, x.region_name, x.region, x.id`, tx.Now(), AddonType).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("offers of %s: %w", tenant, err)
	}
	return gather(rows, prices), nil
}

// gather joins the rows, of which one SKU's stand together, to offers.
func gather(rows []offerRow, prices map[string]Price) []Offer {
	var all []Offer
	for _, row := range rows {
		if n := len(all); n == 0 || all[n-1].SKU != row.SKU {
			all = append(all, Offer{SKU: row.SKU, Type: row.Type, Name: row.Name, Summary: row.Summary, Spec: row.Spec, Price: prices[row.SKU]})
		}
		if o := &all[len(all)-1]; o.Type != AddonType {
			o.add(row)
		}
	}
	for i := range all {
		o := &all[i]
		o.Available = o.Price.Currency != "" && (o.Type == AddonType || slices.ContainsFunc(o.Regions, func(r Region) bool { return r.Available }))
	}
	return all
}

// add takes in one platform's room in one region.
func (o *Offer) add(row offerRow) {
	free := -1
	if row.Free != nil {
		free = *row.Free
	}
	i := slices.IndexFunc(o.Regions, func(r Region) bool { return r.Code == row.Region })
	if i < 0 {
		o.Regions = append(o.Regions, Region{Code: row.Region, Name: row.RegionName})
		i = len(o.Regions) - 1
	} else if have := o.Regions[i].Free; have < 0 || free < 0 {
		free = -1
	} else {
		free += have
	}
	r := &o.Regions[i]
	r.Free, r.Available = free, free != 0
	for _, im := range row.Images {
		if !slices.ContainsFunc(r.Images, func(x Image) bool { return x.Code == im.Code }) {
			r.Images = append(r.Images, Image{Code: im.Code, Name: im.Name, Group: im.Group})
		}
	}
}

// Delivery is what the driver needs to know to create the SKU there: the offer's
// parameters and the platform's id of the image; an empty image has none. It also
// answers for offers nothing new is sold of. Faults: platform.no_offer,
// platform.unknown_image.
func (r *Registry) Delivery(ctx context.Context, sku string, platformID uuid.UUID, region, image string) (parameters map[string]any, imageParameter string, err error) {
	var rows []struct {
		Parameters json.RawMessage
		Images     []provisioners.Image
	}
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT parameters, images FROM offers WHERE sku = ? AND platform_id = ? AND region = ?", plain(sku), platformID, plain(region)).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, "", fmt.Errorf("delivery of %s at %s: %w", sku, platformID, err)
	}
	if len(rows) == 0 {
		return nil, "", fault.New(fault.NotFound, "platform.no_offer", "This is not delivered there any more.")
	}
	if err := json.Unmarshal(rows[0].Parameters, &parameters); err != nil {
		return nil, "", fmt.Errorf("delivery of %s at %s: parameters: %w", sku, platformID, err)
	}
	if image == "" {
		return parameters, "", nil
	}
	for _, im := range rows[0].Images {
		if im.Code == image {
			return parameters, im.Parameter, nil
		}
	}
	return nil, "", fault.Field("image", "platform.unknown_image", "This operating system is not offered there. Choose another.")
}

// plain takes out what Postgres does not store as text.
func plain(s string) string { return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "") }
