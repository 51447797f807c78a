package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// handsTake is how long a team leaves a task: what was ordered yesterday is still to do
// when the history ends.
const handsTake = 30 * time.Hour

// deliverByHand has each shop's team do what no platform does for it, and says how much it
// was.
func (h *historian) deliverByHand(ctx context.Context) (done int, err error) {
	for _, t := range h.Shops {
		db := h.Pool.Bind(t)
		var tasks []hosting.Listed
		err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
			tasks, _, err = hosting.List(ctx, tx, hosting.Filter{State: "team"})
			return err
		})
		if err != nil {
			return done, err
		}
		_, b, err := h.shop(t.Slug)
		if err != nil {
			return done, err
		}
		for _, x := range tasks {
			if x.Operation != hosting.OpCreate || db.Now().Sub(x.CreatedAt) < handsTake {
				continue
			}
			host := fmt.Sprintf("%s-%d.%s.test", strings.ReplaceAll(x.Type, "_", "-"), x.CreatedAt.YearDay(), b.slug)
			err := h.Services.Deliver(ctx, db, x.ID, hosting.Handover{
				Address: host, User: "admin", Password: "made-up-for-the-demo", Note: "Panel: https://" + host + "/\nSay hello if anything is missing.",
			}, audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: b.owner.email, Name: b.owner.name}})
			if err != nil {
				return done, fmt.Errorf("%s delivers %s: %w", b.name, x.Name, err)
			}
			done++
		}
	}
	return done, nil
}
