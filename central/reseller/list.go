package reseller

import (
	"context"
	"fmt"
	"strings"

	"github.com/ezscale/ezscale/tenancy"
)

// MaxPage is the most resellers List returns at once.
const MaxPage = 200

// Filter narrows and orders a list. Zero fields do not.
type Filter struct {
	Text   string         // part of the name, slug, owner's address or a domain; or the number
	Status tenancy.Status // empty: all that are not dropped
	Behind int            // only those whose schema is older than this version
	Sort   string         // name, slug, status, domains, created; empty: created, newest first
	Desc   bool
	Offset int
	Limit  int
}

// Row is a reseller in a list.
type Row struct {
	Reseller
	Domains        int
	FailingDomains int
	Total          int `json:"-"` // of the whole list
}

// order is a column a list can be sorted by, and what breaks ties.
func order(f Filter) string {
	column, ok := map[string]string{
		"name": "lower(t.name)", "slug": "t.slug", "status": "t.status", "created": "t.created_at", "version": "t.schema_version",
		"domains": "(SELECT count(*) FROM domains d WHERE d.tenant_id = t.id AND d.state <> 'removed')",
	}[f.Sort]
	switch {
	case !ok:
		return "t.created_at DESC, t.id DESC"
	case f.Desc:
		return column + " DESC, t.id DESC"
	default:
		return column + ", t.id"
	}
}

// failingStates are the states of a domain that wait for somebody.
const failingStates = "('misdirected', 'conflict', 'caa_forbids', 'failing', 'drifted')"

// List returns one page, and how many there are in all.
func (d *Desk) List(ctx context.Context, f Filter) (rows []Row, total int, err error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		where, args := f.where()
		by := order(f)
		sql := `SELECT ` + columns + `, x.total, n.domains, n.failing_domains
			FROM (SELECT t.id, count(*) OVER () AS total, row_number() OVER (ORDER BY ` + by + `) AS place
				FROM tenants t WHERE ` + where + ` ORDER BY ` + by + ` LIMIT ? OFFSET ?) x
			JOIN tenants t ON t.id = x.id
			CROSS JOIN LATERAL (SELECT count(*) AS domains, count(*) FILTER (WHERE d.state IN ` + failingStates + `) AS failing_domains
				FROM domains d WHERE d.tenant_id = t.id AND d.state <> 'removed') n
			ORDER BY x.place`
		return tx.NewRaw(sql, append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list resellers: %w", err)
	}
	if len(rows) > 0 {
		total = rows[0].Total
	}
	return rows, total, nil
}

func (f Filter) where() (string, []any) {
	var parts []string
	var args []any
	if f.Status == "" {
		parts = append(parts, "t.status <> 'dropped'")
	} else {
		parts, args = append(parts, "t.status = ?"), append(args, plain(string(f.Status)))
	}
	if f.Behind > 0 {
		parts, args = append(parts, "t.schema_version < ?"), append(args, f.Behind)
	}
	if text := strings.TrimSpace(plain(f.Text)); text != "" {
		if len(text) > 200 {
			text = strings.ToValidUTF8(text[:200], "")
		}
		like := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text) + "%"
		parts = append(parts, `(t.name ILIKE ? OR t.slug ILIKE ? OR t.owner_email ILIKE ? OR t.id::text = ?
			OR EXISTS (SELECT FROM domains d WHERE d.tenant_id = t.id AND d.state <> 'removed' AND d.host ILIKE ?))`)
		args = append(args, like, like, like, text, like)
	}
	return strings.Join(parts, " AND "), args
}
