package main

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
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
	documents, postings := 0, 0
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
		documents, postings = documents+r.Documents, postings+r.Postings
	}
	d.note("books", well, "", "%d documents and %d postings of %d tenants hold together", documents, postings, len(ids))
	return nil
}
