package platform_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

var (
	east = uuid.MustParse("00000000-0000-7000-8000-000000000001")
	west = uuid.MustParse("00000000-0000-7000-8000-000000000002")
)

// stocked is a registry over two platforms: vps-s is in ams on both, 3 pieces east and 1
// west; vps-l, four times as large, is in ams east only.
func stocked(t testing.TB) (*tenancytest.World, *platform.Registry) {
	t.Helper()
	w := tenancytest.New(t)
	exec(t, w, `INSERT INTO skus (sku, type, name, summary, kind, unit, spec, state, position, changed_at) VALUES
		('vps-s', 'vps', 'VPS S', '', 'service', 'month', '{"cpu": 1, "memory_mb": 2048}', 'active', 1, now()),
		('vps-l', 'vps', 'VPS L', '', 'service', 'month', '{"cpu": 4, "memory_mb": 8192}', 'active', 2, now()),
		('traffic', 'vps', 'Traffic', '', 'metered', 'GB', '{}', 'active', 3, now())`)
	for id, name := range map[uuid.UUID]string{east: "east", west: "west"} {
		exec(t, w, `INSERT INTO platforms (id, name, driver, base_url, sealed_secret, settings, state, health, health_note, created_at, changed_at)
			VALUES (?, ?, 'virtfusion', 'https://x.test', '', '{}', 'on', 'up', '', now(), now())`, id, name)
	}
	offer(t, w, "vps-s", east, "ams", 10, 7)
	offer(t, w, "vps-s", west, "ams", 1, 0)
	offer(t, w, "vps-l", east, "ams", 2, 1)
	return w, &platform.Registry{Central: w.Central, Prices: prices{"vps-s": {Minor: "300.5", Currency: "EUR"}}}
}

type prices map[string]platform.Price

func (p prices) Prices(context.Context, *tenancy.CentralTx, tenancy.ID) (map[string]platform.Price, error) {
	return p, nil
}

func exec(t testing.TB, w *tenancytest.World, sql string, args ...any) {
	t.Helper()
	err := w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw(sql, args...).Exec(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func offer(t testing.TB, w *tenancytest.World, sku string, at uuid.UUID, region string, capacity, used int) {
	t.Helper()
	exec(t, w, `INSERT INTO offers (id, sku, platform_id, region, region_name, parameters, images, capacity, used, state, checked_at, changed_at)
		VALUES (?, ?, ?, ?, 'Amsterdam', '{"packageId": 7, "hypervisorGroupId": 2}', '[{"code": "debian-13", "name": "Debian 13", "group": "Debian", "parameter": "41"}]',
		?, ?, 'on', ?, now())`, uuid.New(), sku, at, region, capacity, used, w.Clock.Now())
}

func free(t testing.TB, w *tenancytest.World, r *platform.Registry) map[string]int {
	t.Helper()
	all, err := r.Offers(t.Context(), w.A.ID)
	if err != nil {
		t.Fatal(err)
	}
	room := map[string]int{}
	for _, o := range all {
		room[o.SKU] = o.Regions[0].Free
	}
	return room
}

func TestOffersAreWhatCanBeSold(t *testing.T) {
	w, r := stocked(t)
	all, err := r.Offers(t.Context(), w.A.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].SKU != "vps-s" || all[1].SKU != "vps-l" {
		t.Fatalf("offers: %+v", all)
	}
	s, l := all[0], all[1]
	if s.Price.Minor != "300.5" || !s.Available || len(s.Regions) != 1 || s.Regions[0].Free != 4 || s.Spec.MemoryMB != 2048 || len(s.Regions[0].Images) != 1 {
		t.Errorf("vps-s: %+v", s)
	}
	if l.Available || l.Regions[0].Free != 1 {
		t.Errorf("vps-l has no price: %+v", l)
	}
	exec(t, w, "UPDATE platforms SET state = 'draining' WHERE name = 'east'")
	if all, _ := r.Offers(t.Context(), w.A.ID); len(all) != 1 || all[0].Regions[0].Free != 1 {
		t.Errorf("with one draining: %+v", all)
	}
}

func TestHold(t *testing.T) {
	w, r := stocked(t)
	ctx := t.Context()
	until := w.Clock.Now().Add(time.Hour)
	ask := platform.HoldRequest{Key: "o1", SKU: "vps-s", Region: "ams", Until: until}
	h, err := r.Hold(ctx, w.A.ID, ask)
	if err != nil || h.PlatformID != east || h.Parameters["packageId"] != 7.0 || h.Images["debian-13"] != "41" {
		t.Fatalf("%+v, %v", h, err)
	}
	ask.Until = until.Add(time.Minute)
	again, err := r.Hold(ctx, w.A.ID, ask)
	if err != nil || again.PlatformID != h.PlatformID || !again.ExpiresAt.Equal(ask.Until) {
		t.Errorf("again: %+v, %v", again, err)
	}
	ask.Until = until
	if again, _ := r.Hold(ctx, w.A.ID, ask); !again.ExpiresAt.Equal(until.Add(time.Minute)) {
		t.Errorf("a shorter wish shortened it: %s", again.ExpiresAt)
	}
	if got := free(t, w, r); got["vps-s"] != 3 || got["vps-l"] != 0 {
		t.Errorf("room: %v", got)
	}
	// Another tenant's key of the same words is another hold.
	if _, err := r.Hold(ctx, w.B.ID, ask); err != nil {
		t.Fatal(err)
	}
	ask.Key = "o1"
	ask.SKU = "vps-l"
	if _, err := r.Hold(ctx, w.A.ID, ask); !fault.Is(err, "platform.held_otherwise") {
		t.Errorf("something else under the key: %v", err)
	}
	for _, bad := range []platform.HoldRequest{{Key: "x", SKU: "vps-s", Region: "mars", Until: until}, {Key: "x", SKU: "nothing\x00", Region: "ams", Until: until},
		{Key: "x", SKU: "traffic", Region: "ams", Until: until}} {
		if _, err := r.Hold(ctx, w.A.ID, bad); !fault.Is(err, "platform.unknown_region") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestAHoldEndsByUseByFreeingOrByTime(t *testing.T) {
	w, r := stocked(t)
	ctx := t.Context()
	for i := range 4 {
		if _, err := r.Hold(ctx, w.A.ID, platform.HoldRequest{Key: fmt.Sprint(i), SKU: "vps-s", Region: "ams", Until: w.Clock.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	_, err := r.Hold(ctx, w.B.ID, platform.HoldRequest{Key: "late", SKU: "vps-s", Region: "ams", Until: w.Clock.Now().Add(time.Hour)})
	if !fault.Is(err, "platform.full") {
		t.Fatalf("the fifth of four: %v", err)
	}
	if err := r.Use(ctx, w.B.ID, "0"); !fault.Is(err, "platform.no_hold") {
		t.Errorf("a stranger's hold: %v", err)
	}
	if err := r.Free(ctx, w.B.ID, "0"); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := r.Use(ctx, w.A.ID, "0"); err != nil {
			t.Fatal(err)
		}
		if err := r.Free(ctx, w.A.ID, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Free(ctx, w.A.ID, "0"); err != nil { // used: stays
		t.Fatal(err)
	}
	if got := free(t, w, r); got["vps-s"] != 1 {
		t.Errorf("after use and freeing: %v", got)
	}
	w.Clock.Advance(2 * time.Hour)
	if got := free(t, w, r); got["vps-s"] != 3 {
		t.Errorf("after time: %v", got)
	}
	// The platform was looked at since: it counts the used one itself now.
	exec(t, w, "UPDATE offers SET used = used + 1, checked_at = ? WHERE sku = 'vps-s' AND platform_id = ?", w.Clock.Now(), east)
	if got := free(t, w, r); got["vps-s"] != 3 {
		t.Errorf("after a look: %v", got)
	}
	if h, err := r.Hold(ctx, w.A.ID, platform.HoldRequest{Key: "0", SKU: "vps-s", Region: "ams", Until: w.Clock.Now().Add(time.Hour)}); err != nil || !h.Used {
		t.Errorf("the used one, asked again: %+v, %v", h, err)
	}
}

// TestSizesShareTheirMachines: a large one takes as much as four small ones.
func TestSizesShareTheirMachines(t *testing.T) {
	w, r := stocked(t)
	exec(t, w, "UPDATE offers SET capacity = 12, used = 0 WHERE sku = 'vps-s' AND platform_id = ?", east)
	exec(t, w, "UPDATE offers SET capacity = 3, used = 0 WHERE sku = 'vps-l'")
	exec(t, w, "UPDATE platforms SET state = 'off' WHERE name = 'west'")
	hold := func(key, sku string) {
		t.Helper()
		if _, err := r.Hold(t.Context(), w.A.ID, platform.HoldRequest{Key: key, SKU: sku, Region: "ams", Until: w.Clock.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	hold("large", "vps-l")
	if got := free(t, w, r); got["vps-s"] != 8 || got["vps-l"] != 2 {
		t.Errorf("after a large one: %v", got)
	}
	hold("small 1", "vps-s")
	hold("small 2", "vps-s")
	if got := free(t, w, r); got["vps-s"] != 6 || got["vps-l"] != 1 {
		t.Errorf("after two small ones: %v", got)
	}
}

// TestManyWantTheLastPieces: as many get one as there are.
func TestManyWantTheLastPieces(t *testing.T) {
	w, r := stocked(t)
	var wg sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		who := []tenancy.Tenant{w.A, w.B}[i%2]
		wg.Go(func() {
			_, errs[i] = r.Hold(t.Context(), who.ID, platform.HoldRequest{Key: fmt.Sprint(i), SKU: "vps-s", Region: "ams", Until: w.Clock.Now().Add(time.Hour)})
		})
	}
	wg.Wait()
	got := 0
	for _, err := range errs {
		switch {
		case err == nil:
			got++
		case !fault.Is(err, "platform.full"):
			t.Error(err)
		}
	}
	if got != 4 {
		t.Errorf("%d got one of 4", got)
	}
}

func TestDelivery(t *testing.T) {
	_, r := stocked(t)
	params, image, err := r.Delivery(t.Context(), "vps-s", east, "ams", "debian-13")
	if err != nil || params["hypervisorGroupId"] != 2.0 || image != "41" {
		t.Errorf("%v %q %v", params, image, err)
	}
	if _, image, err := r.Delivery(t.Context(), "vps-s", east, "ams", ""); err != nil || image != "" {
		t.Errorf("without an image: %q, %v", image, err)
	}
	if _, _, err := r.Delivery(t.Context(), "vps-s", east, "ams", "beos"); !fault.Is(err, "platform.unknown_image") {
		t.Error(err)
	}
	if _, _, err := r.Delivery(t.Context(), "vps-s", uuid.New(), "ams", ""); !fault.Is(err, "platform.no_offer") {
		t.Error(err)
	}
}
