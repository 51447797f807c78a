package activity_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/webhook"
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

// TestProgramsAreToldWithTheRow covers that news goes out with the first telling alone,
// to who wants it, and costs nothing where nobody does.
func TestProgramsAreToldWithTheRow(t *testing.T) {
	w, count := tenancytest.NewCounted(t)
	a, b, acc := w.DB(w.A), w.DB(w.B), uuid.New()
	silent := activity.Event{Key: "k/1", AccountID: acc, SubjectKind: activity.Order, SubjectID: uuid.New(), Kind: "order.placed", Text: "Placed."}
	e := silent
	e.Key, e.Programs = "k/2", []webhook.News{{Type: webhook.OrderPlaced, Data: map[string]string{"n": "1"}}, {Type: webhook.OrderPaid}}
	one := count.Since(func() { tell(t, a, silent) })
	if n := count.Since(func() { tell(t, a, e) }); n != one {
		t.Errorf("news nobody wants cost %d statements besides", n-one)
	}
	heard := func(db *tenancy.DB) (keys []string) {
		t.Helper()
		err := db.View(t.Context(), func(tx *tenancy.Tx) error {
			return tx.NewRaw("SELECT e.url || ' ' || d.key FROM webhook_deliveries d JOIN webhook_endpoints e ON e.id = d.endpoint_id ORDER BY d.id").Scan(t.Context(), &keys)
		})
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	for _, db := range []*tenancy.DB{a, b} {
		err := db.Update(t.Context(), func(tx *tenancy.Tx) error {
			if _, err := tx.NewRaw("INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'A', 'EUR', now(), now()), (?, 'B', 'EUR', now(), now())", acc, uuid.Max).Exec(t.Context()); err != nil {
				return err
			}
			_, err := tx.NewRaw(`INSERT INTO webhook_endpoints (id, account_id, url, events, sealed_secrets, state, state_note, created_at, changed_at) VALUES
				(?, NULL, 'all', '[]', '', 'active', '', now(), now()), (?, ?, 'theirs', '["order.paid"]', '', 'failing', '', now(), now()),
				(?, ?, 'another', '[]', '', 'active', '', now(), now()), (?, NULL, 'paused', '[]', '', 'paused', '', now(), now())`,
				uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7()), acc, uuid.Must(uuid.NewV7()), uuid.Max, uuid.Must(uuid.NewV7())).Exec(t.Context())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	tell(t, a, e) // the row was there before anybody listened
	if got := heard(a); len(got) != 0 {
		t.Errorf("what was told before was told as %q", got)
	}
	e.Key = "k/3"
	tell(t, a, e)
	tell(t, a, e)
	if got := heard(a); !slices.Equal(got, []string{"all order.placed k/3", "all order.paid k/3", "theirs order.paid k/3"}) {
		t.Errorf("heard %q", got)
	}
	if got := heard(b); len(got) != 0 {
		t.Errorf("the other shop's endpoints heard %q", got)
	}
}
