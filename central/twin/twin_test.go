package twin_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

var mara = audit.Origin{Actor: audit.Actor{Kind: "staff", ID: "p", Name: "Mara"}}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ready(t *testing.T, d *twin.Desk, of tenancy.ID) twin.Twin {
	t.Helper()
	made, err := d.Ask(t.Context(), of, "", twin.Options{}, uuid.New(), mara)
	must(t, err)
	must(t, d.Made(t.Context(), made.ID))
	return look(t, d, made.ID)
}

func look(t *testing.T, d *twin.Desk, id uuid.UUID) twin.Twin {
	t.Helper()
	x, err := d.Get(t.Context(), id)
	must(t, err)
	return x
}

// TestAShopHasFourTwins at most, however many ask at once; a key makes one, and opens
// nobody else's.
func TestAShopHasFourTwins(t *testing.T) {
	w := tenancytest.New(t)
	d := &twin.Desk{Central: w.Central}
	var all sync.WaitGroup
	var made atomic.Int32
	for range 12 {
		all.Go(func() {
			_, err := d.Ask(t.Context(), w.A.ID, "x", twin.Options{}, uuid.New(), mara)
			switch {
			case err == nil:
				made.Add(1)
			case !fault.Is(err, "twin.limit"):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != twin.Limit {
		t.Errorf("%d were made at once", n)
	}
	key := uuid.New()
	first, err := d.Ask(t.Context(), w.B.ID, " two \n words ", twin.Options{Raise: 5}, key, mara)
	must(t, err)
	again, err := d.Ask(t.Context(), w.B.ID, "other", twin.Options{}, key, mara)
	if err != nil || again.ID != first.ID || again.Name != "two words" || again.Options.Raise != 5 || again.Options.Days != int(twin.Life/(24*time.Hour)) {
		t.Errorf("%+v %v", again, err)
	}
	if _, err := d.Ask(t.Context(), w.A.ID, "x", twin.Options{}, key, mara); !fault.Is(err, "twin.unknown") {
		t.Errorf("another's key: %v", err)
	}
	if _, err := d.Of(t.Context(), w.A.ID, key); !fault.Is(err, "twin.unknown") {
		t.Errorf("another's twin: %v", err)
	}
	for what, err := range map[string]error{"advanced": d.Advance(t.Context(), w.A.ID, key, w.Clock.Now(), mara), "stopped": d.Halt(t.Context(), w.A.ID, key, mara), "dropped": d.Drop(t.Context(), w.A.ID, key, mara)} {
		if !fault.Is(err, "twin.unknown") {
			t.Errorf("%s by another: %v", what, err)
		}
	}
	mine, err := d.List(t.Context(), w.B.ID)
	must(t, err)
	every, err := d.List(t.Context(), tenancy.ID{})
	must(t, err)
	if len(mine) != 1 || len(every) != twin.Limit+1 {
		t.Errorf("%d of one, %d of all", len(mine), len(every))
	}
	for field, o := range map[string]twin.Options{"short": {Short: 101}, "expired": {Expired: -1}, "leave": {Leave: 1e9}, "raise": {Raise: -91}, "days": {Days: 61}, "slug": {Slug: "-"}} {
		if _, err := d.Ask(t.Context(), w.B.ID, "x", o, uuid.New(), mara); !fault.Is(err, "twin.invalid") || fault.From(err).Fields[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err = w.Owner.Exec(t.Context(), "UPDATE central.tenants SET sandbox = true WHERE id = $1", w.B.ID.Number())
	must(t, err)
	if _, err := d.Ask(t.Context(), w.B.ID, "x", twin.Options{}, uuid.New(), mara); !fault.Is(err, "twin.of_a_twin") {
		t.Errorf("a twin of a twin: %v", err)
	}
}

// TestAClockIsTurnedByOne: who believes it stands elsewhere is told so, a goal that was set
// meanwhile stays, and nobody turns it back.
func TestAClockIsTurnedByOne(t *testing.T) {
	w := tenancytest.New(t)
	d := &twin.Desk{Central: w.Central}
	x := ready(t, d, w.A.ID)
	began, week := x.NowAt, x.NowAt.AddDate(0, 0, 7)
	if err := d.Halt(t.Context(), w.A.ID, x.ID, mara); !fault.Is(err, "twin.stands") {
		t.Errorf("stopped where it stands: %v", err)
	}
	if err := d.Advance(t.Context(), w.A.ID, x.ID, began.Add(twin.MaxAhead+time.Hour), mara); !fault.Is(err, "twin.too_far") {
		t.Errorf("too far: %v", err)
	}
	must(t, d.Advance(t.Context(), w.A.ID, x.ID, week, mara))
	if x = look(t, d, x.ID); !x.Advancing() || !x.GoalAt.Equal(week) || x.Grain != twin.GrainFor(7*24*time.Hour) || x.Percent() != 0 {
		t.Errorf("%+v", x)
	}
	day := began.AddDate(0, 0, 1)
	stop, err := d.Moved(t.Context(), x.ID, began, day, 3, 1, "", time.Second)
	if err != nil || stop {
		t.Errorf("%t %v", stop, err)
	}
	if stop, err := d.Moved(t.Context(), x.ID, began, day.AddDate(0, 0, 1), 9, 0, "", 0); !stop || !fault.Is(err, "twin.moved") {
		t.Errorf("from where it does not stand: %t %v", stop, err)
	}
	must(t, d.Halt(t.Context(), w.A.ID, x.ID, mara))
	if stop, err := d.Moved(t.Context(), x.ID, day, day, 2, 0, "it stumbled", time.Second); err != nil || !stop {
		t.Errorf("stopped: %t %v", stop, err)
	}
	if x = look(t, d, x.ID); x.Steps != 1 || x.Jobs != 5 || x.Failures != 1 || x.Worked != 2*time.Second || x.Problem != "it stumbled" || x.Percent() != 14 {
		t.Errorf("%+v", x)
	}
	must(t, d.Advance(t.Context(), w.A.ID, x.ID, week.AddDate(0, 0, 7), mara)) // while the first is on its way
	must(t, d.Arrived(t.Context(), x.ID, week))
	if x = look(t, d, x.ID); !x.Advancing() || x.Stop {
		t.Errorf("a goal that was set since is forgotten: %+v", x)
	}
	must(t, d.Arrived(t.Context(), x.ID, x.GoalAt))
	must(t, d.Advance(t.Context(), w.A.ID, x.ID, began.AddDate(-1, 0, 0), mara))
	if x = look(t, d, x.ID); !x.GoalAt.Equal(day) {
		t.Errorf("turned back to %s", x.GoalAt)
	}
}

// TestTwinsEnd: dropped once, by hand or by their day, and what is on its way out is neither
// made nor turned any more. Only a sandbox is forgotten.
func TestTwinsEnd(t *testing.T) {
	w := tenancytest.New(t)
	d := &twin.Desk{Central: w.Central}
	x, err := d.Ask(t.Context(), w.A.ID, "x", twin.Options{Days: 2}, uuid.New(), mara)
	must(t, err)
	for range 2 {
		must(t, d.Drop(t.Context(), w.A.ID, x.ID, mara))
	}
	must(t, d.Made(t.Context(), x.ID)) // whoever made it comes too late
	if x = look(t, d, x.ID); x.State != twin.Dropping {
		t.Errorf("%s", x.State)
	}
	if err := d.Advance(t.Context(), w.A.ID, x.ID, w.Clock.Now(), mara); !fault.Is(err, "twin.not_ready") {
		t.Errorf("advanced: %v", err)
	}
	if _, err := d.Moved(t.Context(), x.ID, x.NowAt, x.NowAt, 0, 0, "", 0); !fault.Is(err, "twin.moved") {
		t.Errorf("turned: %v", err)
	}
	must(t, d.Gone(t.Context(), x.ID))
	if err := d.Drop(t.Context(), w.A.ID, x.ID, mara); !fault.Is(err, "twin.unknown") {
		t.Errorf("dropped again: %v", err)
	}
	left := ready(t, d, w.A.ID)
	if todo, err := d.Unfinished(t.Context()); err != nil || len(todo) != 0 {
		t.Errorf("%+v %v", todo, err)
	}
	w.Clock.Advance(twin.Life)
	todo, err := d.Unfinished(t.Context())
	if err != nil || len(todo) != 1 || todo[0].ID != left.ID || todo[0].State != twin.Dropping {
		t.Errorf("when its days are over: %+v %v", todo, err)
	}
	left.TenantID = w.B.ID // which is a shop
	_, err = w.Owner.Exec(t.Context(), "INSERT INTO central.usage_events (tenant_id, key, subject, sku, kind, quantity, at, detail, recorded_at) VALUES ($1, 'k', 's', 'vps-1', 'start', 1, now(), '{}', now())", w.B.ID.Number())
	must(t, err)
	if err := d.Forget(t.Context(), left); err == nil {
		t.Error("what a shop told is forgotten")
	}
	var n int
	must(t, w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM central.usage_events WHERE tenant_id = $1", w.B.ID.Number()).Scan(&n))
	if n != 1 {
		t.Errorf("%d events are left", n)
	}
}
