package web_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestThePlatformsBooks reads the trial balance, the journal and what resellers owe, as pages
// and as files, after a month was billed and one invoice paid.
func TestThePlatformsBooks(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openOver(t, w, identity.StaffReadOnly)
	const at = "/wholesale/books"
	h.want("the page", h.get(at), 200, "Owed by resellers", "€102.98", "Revenue, net", "-€102.98", "All accounts, EUR", "€0.00", `href="/wholesale/invoices?q=alpha`, "€51.49")
	h.want("its tab", h.get("/wholesale"), 200, `href="/wholesale/books"`)
	h.want("before it was booked", h.get(at+"?from=2026-01-01&to=2026-10-31"), 200, "Nothing was booked yet", "€51.49")
	h.want("junk", h.get(at+"?from=yesterday&to=2026-11-31"), 422, "such as 2026-12-31", `value="yesterday"`)
	h.want("backwards", h.get(at+"?from=2026-11-02&to=2026-11-01"), 422, "It would end before it begins")
	h.want("trial balance", h.get(at+"/trial-balance.csv"), 200, "account,name,currency,opening,debit,credit,closing", "receivable,Owed by resellers,EUR,0.00,102.98,0.00,102.98", "102.98,'-102.98")
	h.want("receivables", h.get(at+"/receivables.csv"), 200, w.A.ID.String()+",alpha,EUR,51.49,0.00,0.00,0.00,0.00,0.00,51.49")
	h.want("journal", h.get(at+"/journal.csv"), 200, "receivable,revenue,51.49,EUR,WS-000001,alpha,net,wholesale/")
	h.want("a file of no days", h.get(at+"/journal.csv?from=x"), 422, "Please look at the marked fields")

	invoice := uuid.MustParse(invoiceOf(t, w, w.A))
	must(t, h.desk.TakeByHand(t.Context(), invoice, wholesale.ByHand{Key: "k1", Amount: "51.49", Note: "SEPA 1"}, seeder))
	h.want("one is paid", h.get(at), 200, "Money received: bank transfer", "€51.49")
	h.want("one still owes", h.get(at+"/receivables.csv"), 200, w.B.ID.String()+",beta,EUR,51.49")
}
