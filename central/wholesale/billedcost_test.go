package wholesale_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// What a month cost is told by service, discount off, and comes to what was billed for it,
// adjustments since included.
func TestWhatMonthsCost(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	one, two := uuid.New(), uuid.New()
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
		use(t, w, who, "start", "service/"+one.String(), "vps-s", 1, "2026-09-01 00:00")
	}
	use(t, w, w.A, "start", "service/"+two.String(), "vps-m", 1, "2026-09-16 00:00")
	use(t, w, w.A, "quantity", "service/"+two.String()+"/traffic", "traffic", 1000, "2026-09-20 00:00")
	w.Clock.Set(on(t, "2026-10-02"))
	mustRun(t, d, "2026-09")
	use(t, w, w.A, "stop", "service/"+one.String(), "vps-s", 1, "2026-09-16 00:00") // told late
	must(t, d.AddLine(ctx, w.A.ID, wholesale.NewLineByHand{Key: "k", Amount: "-3.00", Reason: "x"}, anna))
	w.Clock.Set(on(t, "2026-11-02"))
	mustRun(t, d, "2026-10")
	from, to := month(t, "2026-09"), month(t, "2026-12")
	all, err := d.BilledCosts(ctx, w.A.ID, from, to)
	must(t, err)
	if len(all) != 2 {
		t.Fatalf("months: %+v", all)
	}
	sept, oct := all[0], all[1]
	if sept.Services[one] != 184 || sept.Services[two] != 735 { // 2.10 and 4.20 + 4.20, an eighth off
		t.Errorf("September: %+v", sept)
	}
	if oct.Services[one] != 0 || oct.Services[two] != 735 || oct.Rest != 4900-300 {
		t.Errorf("October: %+v", oct)
	}
	billed := count(t, w, "SELECT sum(net_minor) FROM wholesale_invoices WHERE tenant_id = ?", w.A.ID)
	if sum := sept.Total().Minor + oct.Total().Minor; sum != billed {
		t.Errorf("the months come to %d and %d was billed", sum, billed)
	}
	if other, err := d.BilledCosts(ctx, w.B.ID, from, from); err != nil || len(other) != 1 || other[0].Services[two] != 0 || other[0].Services[one] != 367 {
		t.Errorf("the other's: %+v, %v", other, err)
	}
	if none, err := d.BilledCosts(ctx, w.C.ID, from, to); err != nil || len(none) != 0 {
		t.Errorf("nobody's: %+v, %v", none, err)
	}
}
