package tenancy_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

var statuses = []tenancy.Status{tenancy.Trial, tenancy.Active, tenancy.TrialEnded, tenancy.Suspended,
	tenancy.Maintenance, tenancy.Archived, tenancy.Dropped}

func TestStatusTo(t *testing.T) {
	for _, test := range []struct {
		name     string
		from, to tenancy.Status
		code     string
	}{
		{"a trial is bought", tenancy.Trial, tenancy.Active, ""},
		{"a trial ends", tenancy.Trial, tenancy.TrialEnded, ""},
		{"an ended trial is prolonged", tenancy.TrialEnded, tenancy.Trial, ""},
		{"suspend", tenancy.Active, tenancy.Suspended, ""},
		{"resume", tenancy.Suspended, tenancy.Active, ""},
		{"archive a suspended one", tenancy.Suspended, tenancy.Archived, ""},
		{"take back from the archive", tenancy.Archived, tenancy.Active, ""},
		{"drop from the archive", tenancy.Archived, tenancy.Dropped, ""},
		{"drop a live one", tenancy.Active, tenancy.Dropped, "tenant.transition_refused"},
		{"an active one has no trial to end", tenancy.Active, tenancy.TrialEnded, "tenant.transition_refused"},
		{"suspend twice", tenancy.Suspended, tenancy.Suspended, "tenant.unchanged"},
		{"back from the dead", tenancy.Dropped, tenancy.Active, "tenant.dropped"},
		{"no such status", tenancy.Active, "asleep", "tenant.status_unknown"},
		{"from nowhere", "", tenancy.Active, "tenant.status_unknown"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.from.To(test.to)
			if test.code == "" && err != nil || test.code != "" && !fault.Is(err, test.code) {
				t.Errorf("got %v, want %q", err, test.code)
			}
		})
	}
}

// Whatever a tenant lives through, it serves only on trial or active, it is dropped
// only from the archive, and from everything but dropped there is a way to serve again.
func TestStatusWalks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := tenancy.Trial
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			to := rapid.SampledFrom(statuses).Draw(t, "to")
			err := at.To(to)
			if err != nil {
				if fault.From(err).Kind == fault.Internal {
					t.Fatalf("%s to %s: %v is not for people", at, to, err)
				}
				continue
			}
			if to == tenancy.Dropped && at != tenancy.Archived {
				t.Fatalf("dropped from %s", at)
			}
			if at == tenancy.Dropped {
				t.Fatalf("%s after dropped", to)
			}
			at = to
		}
		if at != tenancy.Dropped && !at.Serves() && at.To(tenancy.Active) != nil {
			t.Fatalf("no way back from %s", at)
		}
	})
}

func TestResumedAndMayDrop(t *testing.T) {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name string
		ends time.Time
		want tenancy.Status
	}{
		{"never on trial", time.Time{}, tenancy.Active},
		{"trial runs", now.Add(time.Second), tenancy.Trial},
		{"trial over", now, tenancy.TrialEnded},
	} {
		if got := tenancy.Resumed(test.ends, now); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	for _, test := range []struct {
		name   string
		status tenancy.Status
		after  time.Time
		code   string
	}{
		{"held", tenancy.Archived, now.Add(time.Second), "tenant.on_hold"},
		{"hold over", tenancy.Archived, now, ""},
		{"no hold known", tenancy.Archived, time.Time{}, "tenant.on_hold"},
		{"live", tenancy.Active, now.Add(-time.Hour), "tenant.not_archived"},
		{"interrupted", tenancy.Dropped, time.Time{}, ""},
	} {
		err := tenancy.MayDrop(test.status, test.after, now)
		if test.code == "" && err != nil || test.code != "" && !fault.Is(err, test.code) {
			t.Errorf("%s: %v, want %q", test.name, err, test.code)
		}
	}
}
