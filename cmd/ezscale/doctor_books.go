package main

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
)

// books audits the invoices and the ledger of every tenant, when that was asked for.
func (d *doctor) books(ctx context.Context) error {
	if !d.allTrails {
		d.note("books", well, "", "not read: --tenants audits the books of every tenant")
		return nil
	}
	ctx = context.WithoutCancel(ctx) // as long as it takes: it was asked for
	ids, err := d.tools.tenants(ctx)
	if err != nil {
		return err
	}
	documents, postings, told := 0, 0, int64(0)
	for _, id := range ids {
		var r invoicing.Report
		err := d.tools.pool.Bind(tenancy.Tenant{ID: id}).View(ctx, func(tx *tenancy.Tx) (err error) {
			r, err = invoicing.Books(ctx, tx)
			return err
		})
		if err != nil {
			return fmt.Errorf("tenant %s: %w", id, err)
		}
		if !r.Holds() {
			d.note("books", wrong, "compare with a backup, and look for what wrote past the program in "+id.Schema(),
				"the books of tenant %s do not hold: %s (%d findings)", id, r.Problems[0], len(r.Problems))
			return nil
		}
		if told, err = d.usage(ctx, id, told); err != nil || told < 0 {
			return err
		}
		documents, postings = documents+r.Documents, postings+r.Postings
	}
	d.note("books", well, "", "%d documents and %d postings of %d tenants hold together", documents, postings, len(ids))
	d.note("usage", well, "", "the totals of %d events of %d tenants are what the events say", told, len(ids))
	return nil
}

// usage makes a tenant's totals of usage again from its events and adds to how many there
// are; less than none: they are not what the events say, and that is noted.
func (d *doctor) usage(ctx context.Context, id tenancy.ID, told int64) (int64, error) {
	var r metering.Report
	err := d.tools.pool.Bind(tenancy.Tenant{ID: id}).View(ctx, func(tx *tenancy.Tx) (err error) {
		r, err = metering.Audit(ctx, tx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("tenant %s: %w", id, err)
	}
	if !r.Holds() {
		d.note("usage", wrong, "compare with a backup, and look for what wrote past the program in "+id.Schema(),
			"the totals of usage of tenant %s are not what its events say: %s (%d findings)", id, r.Problems[0], len(r.Problems))
		return -1, nil
	}
	return told + r.Events, nil
}
