package hosting

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/provisioners/sandbox"
	"github.com/ezscale/ezscale/tenancy"
)

// SandboxPlatform stands where a sandbox's service would name a platform. No platform has
// this number, so that nothing could be asked of one by mistake.
var SandboxPlatform = uuid.MustParse("5a9db0c5-0000-4000-8000-000000000000")

// driver is who delivers. A sandbox's services are delivered by nobody: whichever platform
// its rows name, it is not asked.
func (d *Desk) driver(ctx context.Context, db *tenancy.DB, platform uuid.UUID) (provisioners.Driver, error) {
	if db.Tenant().Sandbox {
		return sandbox.Driver{Store: servers{db}}, nil
	}
	return d.Platforms.Open(ctx, platform)
}

// delivery is how a platform is told what to deliver.
func (d *Desk) delivery(ctx context.Context, db *tenancy.DB, sku string, platform uuid.UUID, region, image string) (map[string]any, string, error) {
	if db.Tenant().Sandbox {
		return map[string]any{}, image, nil
	}
	return d.Platforms.Delivery(ctx, sku, platform, region, image)
}

// servers keeps a sandbox's servers in its own schema.
type servers struct{ db *tenancy.DB }

var _ sandbox.Store = servers{}

// Get reads one.
func (s servers) Get(ctx context.Context, ref provisioners.Ref) (found sandbox.Server, err error) {
	var row struct{ Ref, Key, Name, Status, Power, Spec string }
	err = s.db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT ref, key, name, status, power, spec::text AS spec FROM sandbox_servers WHERE ref = ?", string(ref)).Scan(ctx, &row)
	})
	if tenancy.IsNoRows(err) {
		return found, sandbox.ErrNone
	}
	if err != nil {
		return found, fmt.Errorf("read a sandbox's server: %w", err)
	}
	found = sandbox.Server{Ref: provisioners.Ref(row.Ref), Key: row.Key, Name: row.Name, Status: provisioners.Status(row.Status), Power: provisioners.Power(row.Power)}
	return found, json.Unmarshal([]byte(row.Spec), &found.Spec)
}

// Put keeps one.
func (s servers) Put(ctx context.Context, one sandbox.Server) error {
	spec, err := json.Marshal(one.Spec)
	if err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO sandbox_servers (ref, key, name, status, power, spec, changed_at) VALUES (?, ?, ?, ?, ?, ?::jsonb, ?)
			ON CONFLICT (ref) DO UPDATE SET name = excluded.name, status = excluded.status, power = excluded.power, spec = excluded.spec, changed_at = excluded.changed_at`,
			string(one.Ref), one.Key, one.Name, string(one.Status), string(one.Power), string(spec), tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep a sandbox's server: %w", err)
		}
		return nil
	})
}
