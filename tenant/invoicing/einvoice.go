package invoicing

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/document/einvoice"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// The syntaxes of electronic invoices.
const (
	UBL = "ubl"
	CII = "cii"
)

// Electronic is a document as an electronic invoice in UBL or CII, and what the file is
// called. The fault invoice.not_electronic names what the document lacks for it.
func Electronic(d document.Document, syntax string) (file []byte, name string, err error) {
	if d.Kind == document.TopUp {
		return nil, "", fault.New(fault.Conflict, "invoice.not_electronic", "A top-up is no invoice: what is bought with the credit is invoiced.")
	}
	write := einvoice.UBL
	if syntax == CII {
		write = einvoice.CII
	}
	file, err = write(d)
	var short *einvoice.Incomplete
	if errors.As(err, &short) {
		return nil, "", fault.Wrap(err, fault.Conflict, "invoice.not_electronic", "This document cannot be an electronic invoice: it lacks "+strings.Join(short.Missing, ", ")+".")
	}
	if err != nil {
		return nil, "", fmt.Errorf("write %s as %s: %w", d.Number, syntax, err)
	}
	return file, d.FileName() + "." + syntax + ".xml", nil
}
