package main

import (
	"context"
	"time"
)

// wholesale reads the platform's own invoices and books.
func (d *doctor) wholesale(ctx context.Context) error {
	found, err := d.tools.wholesale().Books(ctx)
	if err != nil {
		return err
	}
	for _, f := range found {
		d.note("wholesale", wrong, "compare with a backup, and look for what wrote past the program in central", "%s", f)
	}
	n, since, err := d.tools.wholesale().Waiting(ctx)
	if err != nil {
		return err
	}
	if late := time.Since(since); n > 0 && late > time.Hour {
		d.note("wholesale", warning, "see that `ezscale work` runs and that Stripe answers with the platform's keys", "%d payments taken for resellers are not booked, the first for %s", n, late.Round(time.Minute))
	}
	if len(found) == 0 {
		d.note("wholesale", well, "", "invoices to resellers are chained without a gap, and the books agree with them")
	}
	return nil
}
