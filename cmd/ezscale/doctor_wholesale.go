package main

import "context"

// wholesale reads the platform's own invoices and books.
func (d *doctor) wholesale(ctx context.Context) error {
	found, err := d.tools.wholesale().Books(ctx)
	if err != nil {
		return err
	}
	for _, f := range found {
		d.note("wholesale", wrong, "compare with a backup, and look for what wrote past the program in central", "%s", f)
	}
	if len(found) == 0 {
		d.note("wholesale", well, "", "invoices to resellers are chained without a gap, and the books agree with them")
	}
	return nil
}
