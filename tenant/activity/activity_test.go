package activity_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/activity"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func tell(t *testing.T, db *tenancy.DB, e activity.Event) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *tenancy.Tx) error { return activity.Tell(t.Context(), tx, e) }); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, db *tenancy.DB, f activity.Filter) (found []activity.Told) {
	t.Helper()
	err := db.View(t.Context(), func(tx *tenancy.Tx) (err error) {
		found, err = activity.List(t.Context(), tx, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestTheTimelineTellsOnceAndToWhomItIsMeant covers the key, the order, what customers
// do not see, and that another tenant's rows are not there.
func TestTheTimelineTellsOnceAndToWhomItIsMeant(t *testing.T) {
	w := tenancytest.New(t)
	a, b := w.DB(w.A), w.DB(w.B)
	service, order, acc := uuid.New(), uuid.New(), uuid.New()
	first := activity.Event{Key: "k/1", AccountID: acc, SubjectKind: activity.Service, SubjectID: service, Kind: "service.ordered", Text: "Ordered.", CustomerSees: true}
	tell(t, a, first)
	first.Text = "Something else."
	tell(t, a, first)
	tell(t, b, first)
	w.Clock.Advance(time.Minute)
	tell(t, a, activity.Event{Key: "k/2", AccountID: acc, SubjectKind: activity.Service, SubjectID: service, Kind: "service.note", Text: "For the team.", Actor: "Rita"})
	tell(t, a, activity.Event{Key: "k/3", SubjectKind: activity.Order, SubjectID: order, Kind: "order.placed", Text: strings.Repeat("ä", 400) + "\x00\xff"})

	all := list(t, a, activity.Filter{Subjects: []uuid.UUID{service}})
	if len(all) != 2 || all[0].Text != "For the team." || all[0].Actor != "Rita" || all[1].Text != "Ordered." || all[1].Actor != activity.System {
		t.Errorf("the service's rows are %+v", all)
	}
	seen := list(t, a, activity.Filter{AccountID: acc, CustomerView: true})
	if len(seen) != 1 || seen[0].Text != "Ordered." || !seen[0].At.Equal(tenancytest.Start) || seen[0].AccountID != acc {
		t.Errorf("the customer sees %+v", seen)
	}
	if both := list(t, a, activity.Filter{Subjects: []uuid.UUID{service, order}, Limit: 1}); len(both) != 1 {
		t.Errorf("a limit of one gives %d", len(both))
	}
	if older := list(t, a, activity.Filter{Before: w.Clock.Now()}); len(older) != 1 || older[0].Kind != "service.ordered" {
		t.Errorf("before now there are %+v", older)
	}
	if long := list(t, a, activity.Filter{Subjects: []uuid.UUID{order}})[0].Text; len(long) > 500 || long != strings.Repeat("ä", 250) {
		t.Errorf("a long text is kept as %d bytes", len(long))
	}
	if theirs := list(t, b, activity.Filter{}); len(theirs) != 1 || theirs[0].Text != "Something else." {
		t.Errorf("the other tenant sees %+v", theirs)
	}
}
