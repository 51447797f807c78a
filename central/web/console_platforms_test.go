package web_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/provisioners/virtfusion"
	"github.com/ezscale/ezscale/provisioners/virtfusion/lab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// platforms is a registry that knows VirtFusion, and a simulated one it may be connected to.
func platforms(t testing.TB, w *tenancytest.World, ring *secrets.Keyring) (*simulated, *platform.Registry) {
	t.Helper()
	l := lab.New(lab.Options{Clock: w.Clock.Now})
	l.AddToken("good-token")
	s := httptest.NewServer(l.Handler())
	t.Cleanup(s.Close)
	return &simulated{Lab: l, url: s.URL}, &platform.Registry{Central: w.Central, Keys: ring, Client: http.DefaultClient, PlainHTTP: true,
		Drivers: map[string]platform.Factory{"virtfusion": func(c platform.Connection) (provisioners.Driver, error) {
			return virtfusion.New(virtfusion.Config(c))
		}}}
}

type simulated struct {
	*lab.Lab
	url string
}

// stocked is a platform that delivers one SKU in Amsterdam, with a service of alpha's on
// it; they are connected the way staff do it.
type stocked struct {
	at, offer string
	platform  uuid.UUID
	service   uuid.UUID
}

func (h *house) stock() stocked {
	h.t.Helper()
	_, err := h.Owner.Exec(h.t.Context(), `INSERT INTO central.skus (sku, type, name, summary, kind, unit, spec, state, position, changed_at) VALUES
		('vps-s', 'vps', 'VPS S', '', 'service', 'month', '{"cpu": 1, "memory_mb": 2048, "disk_gb": 40}', 'active', 1, now())`)
	must(h.t, err)
	made := h.post("/platforms", "name", "Amsterdam", "driver", "virtfusion", "base_url", h.lab.url, "token", "good-token")
	h.want("connected", made, 303, "/platforms/")
	s := stocked{at: made.where, service: uuid.New()}
	s.platform = uuid.MustParse(strings.TrimPrefix(made.where, "/platforms/"))
	mapped := h.post(s.at+"/offers", "sku", "vps-s", "region", "ams", "region_name", "Amsterdam", "packageId", "1", "hypervisorGroupId", "1")
	h.want("mapped", mapped, 303, s.at+"/offers/")
	s.offer = mapped.where
	began := h.Clock.Now()
	must(h.t, h.DB(h.A).Update(h.t.Context(), func(tx *tenancy.Tx) error {
		return tx.ShowService(h.t.Context(), tenancy.ServiceShown{ID: s.service, SKU: "vps-s", Label: "VPS S", PlatformID: s.platform, Region: "ams", Ref: "999",
			Desired: "active", Observed: "active", Address: "198.18.0.9", BeganAt: &began, ChangedAt: began})
	}))
	return s
}

func TestAPlatformFromTheFormToItsRepair(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	h.want("none yet", h.get("/platforms"), 200, "No platform yet")
	h.want("services, none yet", h.get("/services"), 200, "Nothing runs yet")
	h.want("the form", h.get("/platforms/new"), 200, "VirtFusion", "never shown again")
	bad := h.post("/platforms", "name", "Amsterdam", "driver", "virtfusion", "base_url", h.lab.url, "token", "stolen-token")
	h.want("a token that is refused", bad, 422, "does not accept this token", `value="Amsterdam"`)
	if strings.Contains(bad.page, "stolen-token") {
		t.Error("the token typed is shown again")
	}
	s := h.stock()
	for path, says := range map[string]string{
		"/platforms": "Amsterdam", s.at: "VPS S", s.at + "/settings": "New token", s.at + "/offers/new": "VPS M (2 cores, 4096 MB, 80 GB)", s.offer: "debian-13",
		s.at + "/reconcile": "Too young to judge", "/services": "198.18.0.9", "/services?q=198.18": "1 service", "/services?q=nobody": "Nothing fits",
		"/services?format=csv": s.service.String(), "/services/" + h.A.ID.String() + "/" + s.service.String(): "Billed from",
		"/services?tenant=" + h.A.ID.String(): "What runs for alpha", "/services?platform=" + s.platform.String(): "VPS S", "/audit": "platform.connected",
	} {
		a := h.get(path)
		h.want(path, a, 200, says)
		if strings.Contains(a.page, "good-token") {
			t.Errorf("%s shows the token", path)
		}
	}
	h.want("of another tenant", h.get("/services/"+h.B.ID.String()+"/"+s.service.String()), 404, "no such service")
	h.want("tested", h.post(s.at+"/test"), 303, s.at)
	h.want("room", h.post(s.at+"/capacity"), 303, s.at)
	h.want("systems", h.post(s.offer+"/images"), 303, s.offer)
	h.want("off sale", h.post(s.offer+"/state", "state", "off"), 303, s.offer)
	h.want("says so", h.get(s.offer), 200, "Sell it here")
	h.want("renamed", h.post(s.at+"/settings", "name", "AMS", "base_url", h.lab.url), 303, s.at)
	h.want("another address", h.post(s.at+"/settings", "name", "AMS", "base_url", "https://elsewhere.example.com"), 422, "the token is needed again")
	h.want("mapped wrongly", h.post(s.at+"/offers", "sku", "", "region", "A B", "packageId", "x"), 422, "Choose what is sold", "small letters", "Choose one")
	h.want("draining", h.post(s.at+"/state", "state", "draining"), 303, s.at)
	h.want("says that too", h.get(s.at), 200, "Draining")
	h.want("a state of invention", h.post(s.at+"/state", "state", "burning"), 303, s.at+"/settings")

	h.Clock.Advance(20 * time.Minute)
	stray := h.lab.AddStray("somebody")
	h.Clock.Advance(20 * time.Minute)
	ref := strconv.FormatInt(stray, 10)
	h.want("compared", h.get(s.at+"/reconcile"), 200, "Billed, not there", "Nobody is billed", "Remove…")
	h.want("asked before", h.get(s.at+"/repair?kind=unbilled&ref="+ref), 200, "Remove server "+ref)
	h.want("asked about nothing", h.get(s.at+"/repair?kind=zombie&ref="+ref), 303, s.at+"/reconcile")
	h.want("as a table", h.get(s.at+"/reconcile?format=csv"), 200, "unbilled,"+ref)
	h.want("the wrong number", h.post(s.at+"/repair", "kind", "unbilled", "ref", ref, "repair", "remove", "typed", "no"), 422, "Nothing was removed")
	if len(h.lab.Servers()) != 1 {
		t.Fatal("it was removed without its number")
	}
	h.want("removed", h.post(s.at+"/repair", "kind", "unbilled", "ref", ref, "repair", "remove", "typed", ref), 303, s.at+"/reconcile")
	if len(h.lab.Servers()) != 0 {
		t.Error("it is still there")
	}
	h.want("on again", h.post(s.at+"/state", "state", "on"), 303, s.at)
	h.want("on sale again", h.post(s.offer+"/state", "state", "on"), 303, s.offer)
	h.want("looked at", h.post(s.at+"/repair", "kind", "missing", "ref", "999", "repair", "look"), 303, s.at+"/reconcile")
	h.want("the trail", h.get("/audit"), 200, "platform.repair_remove", "platform.repair_look", "offer.turned_off", "platform.state_changed")

	h.lab.SetRoom(1, 0)
	h.want("room asked", h.post(s.at+"/capacity"), 303, s.at)
	h.want("the first page says what is full", h.get("/"), 200, "VPS S in Amsterdam", "No room left")
	h.lab.RemoveToken("good-token")
	h.want("tested without its token", h.post(s.at+"/test"), 303, s.at)
	h.want("the first page says what is down", h.get("/"), 200, "Platform AMS", "it refuses our token")
	h.want("turned on and full", h.get(s.at), 200, "Full", "Down")
	h.lab.Break(lab.Fault{Status: 502})
	h.want("down", h.post(s.at+"/test"), 303, s.at)
	h.want("the comparison says so", h.get(s.at+"/reconcile"), 200, "cannot be asked at the moment")
	h.want("the form says so", h.get(s.at+"/offers/new"), 200, "cannot be asked what it has")
}

func TestReadersSeePlatformsAndChangeNothing(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	s := h.stock()
	_, err := h.Owner.Exec(t.Context(), "UPDATE central.people SET role = 'support' WHERE id = $1", h.person.ID)
	must(t, err)
	h.want("seen", h.get(s.at), 200, "VPS S")
	if strings.Contains(h.get(s.at).page, "Test now") {
		t.Error("offers what it refuses")
	}
	for _, path := range []string{"/platforms", s.at + "/settings", s.at + "/test", s.at + "/state", s.at + "/capacity", s.at + "/offers", s.offer + "/images", s.offer + "/state", s.at + "/repair"} {
		if a := h.post(path); a.status != 403 {
			t.Errorf("POST %s: %d", path, a.status)
		}
	}
}
