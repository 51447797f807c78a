package platform

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// MaxPage is the most services Services returns at once.
const MaxPage = 200

// Service is one of a tenant's, as the tenant last told.
type Service struct {
	TenantID   tenancy.ID
	Reseller   string
	ServiceID  uuid.UUID
	SKU        string `bun:"sku"`
	Label      string
	PlatformID uuid.UUID
	Platform   string
	Region     string
	Ref        string
	Desired    string
	Observed   string
	Problem    string
	Address    string
	BeganAt    time.Time // zero: never ran
	EndedAt    time.Time // zero: not ended
	ChangedAt  time.Time
	Total      int `json:"-"` // of the whole list
}

// ServiceFilter narrows and orders a list. Zero fields do not.
type ServiceFilter struct {
	Text     string // part of the label, address, reseller's name or SKU; the platform's name for it; the id
	Tenant   tenancy.ID
	Platform uuid.UUID
	State    string // running, making, suspended, problem, ended; empty: all that have not ended
	Sort     string // changed (newest first), reseller, label, platform, began
	Desc     bool
	Offset   int
	Limit    int
}

const serviceColumns = `v.tenant_id, t.name AS reseller, v.service_id, v.sku, v.label, v.platform_id, p.name AS platform, v.region, v.ref,
	v.desired, v.observed, v.problem, v.address, v.began_at, v.ended_at, v.changed_at`

const serviceTables = ` FROM services v JOIN tenants t ON t.id = v.tenant_id LEFT JOIN platforms p ON p.id = v.platform_id `

// serviceOrder is a column the list can be sorted by, and what breaks ties.
func serviceOrder(f ServiceFilter) string {
	column, ok := map[string]string{"reseller": "lower(t.name)", "label": "lower(v.label)", "platform": "p.name", "began": "v.began_at", "changed": "v.changed_at"}[f.Sort]
	switch {
	case !ok:
		return "v.changed_at DESC, v.service_id DESC"
	case f.Desc:
		return column + " DESC NULLS LAST, v.service_id DESC"
	default:
		return column + " NULLS LAST, v.service_id"
	}
}

// Services is one page of all tenants' services, and how many there are in all.
func (r *Registry) Services(ctx context.Context, f ServiceFilter) (rows []Service, total int, err error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	where, args := f.where()
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+serviceColumns+", count(*) OVER () AS total"+serviceTables+"WHERE "+where+
			" ORDER BY "+serviceOrder(f)+" LIMIT ? OFFSET ?", append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list services: %w", err)
	}
	if len(rows) > 0 {
		total = rows[0].Total
	}
	return rows, total, nil
}

func (f ServiceFilter) where() (string, []any) {
	state, ok := map[string]string{
		"running": "v.ended_at IS NULL AND v.observed = 'active'", "making": "v.ended_at IS NULL AND v.observed IN ('none', 'installing')",
		"suspended": "v.ended_at IS NULL AND v.observed = 'suspended'", "problem": "v.problem <> ''", "ended": "v.ended_at IS NOT NULL",
	}[f.State]
	if !ok {
		state = "v.ended_at IS NULL"
	}
	parts, args := []string{state}, []any{}
	if !f.Tenant.IsZero() {
		parts, args = append(parts, "v.tenant_id = ?"), append(args, f.Tenant)
	}
	if f.Platform != uuid.Nil {
		parts, args = append(parts, "v.platform_id = ?"), append(args, f.Platform)
	}
	if text := strings.TrimSpace(plain(f.Text)); text != "" {
		if len(text) > 200 {
			text = strings.ToValidUTF8(text[:200], "")
		}
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
		parts = append(parts, "(v.label ILIKE ? OR v.address ILIKE ? OR t.name ILIKE ? OR v.sku ILIKE ? OR v.ref = ? OR v.service_id::text = lower(?))")
		args = append(args, like, like, like, like, text, text)
	}
	return strings.Join(parts, " AND "), args
}

// Service is one of a tenant's. Fault: service.unknown.
func (r *Registry) Service(ctx context.Context, tenant tenancy.ID, id uuid.UUID) (Service, error) {
	var rows []Service
	err := r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT "+serviceColumns+serviceTables+"WHERE v.tenant_id = ? AND v.service_id = ?", tenant, id).Scan(ctx, &rows)
	})
	if err != nil {
		return Service{}, fmt.Errorf("service %s of %s: %w", id, tenant, err)
	}
	if len(rows) == 0 {
		return Service{}, fault.New(fault.NotFound, "service.unknown", "There is no such service.")
	}
	return rows[0], nil
}
