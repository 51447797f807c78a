package platform

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
)

// namesKept is how long names are believed: they change with an offer, and rarely.
const namesKept = time.Minute

// names are what people call codes.
type names struct {
	regions, images map[string]string
	at              time.Time
}

// Names says what people call a region and an image. Either is empty when no offer knows
// the code, and when the names cannot be read: a page does without them.
func (r *Registry) Names(ctx context.Context, region, image string) (regionName, imageName string) {
	r.mu.Lock()
	known := r.names
	r.mu.Unlock()
	if now := r.Central.Now(); known.at.IsZero() || now.Sub(known.at) > namesKept {
		fresh, err := r.readNames(ctx)
		if err == nil {
			fresh.at = now
			r.mu.Lock()
			r.names, known = fresh, fresh
			r.mu.Unlock()
		}
	}
	return known.regions[region], known.images[image]
}

func (r *Registry) readNames(ctx context.Context) (n names, err error) {
	var rows []struct {
		Region, RegionName string
		Images             []provisioners.Image
	}
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT region, region_name, images FROM offers`).Scan(ctx, &rows)
	})
	n.regions, n.images = map[string]string{}, map[string]string{}
	for _, row := range rows {
		n.regions[row.Region] = row.RegionName
		for _, im := range row.Images {
			n.images[im.Code] = im.Name
		}
	}
	return n, err
}
