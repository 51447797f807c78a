package egress_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/egress"
)

func TestOnlyPublicAddressesAreCalled(t *testing.T) {
	called := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ }))
	defer s.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	for _, url := range []string{s.URL, "http://localhost:" + port, "https://127.0.0.1:" + port, "https://[::1]:" + port, "https://[::ffff:127.0.0.1]:" + port, "https://169.254.169.254/latest/meta-data"} {
		_, err := egress.Client(egress.Options{}).Get(url)
		if !errors.Is(err, egress.ErrForbidden) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if called != 0 {
		t.Errorf("called %d times", called)
	}
	allow := egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	answer, err := egress.Client(allow).Get(s.URL)
	if err != nil || called != 1 {
		t.Fatalf("an allowed network: %v", err)
	}
	_ = answer.Body.Close()
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	s := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/", http.StatusFound))
	defer s.Close()
	answer, err := egress.Client(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).Get(s.URL)
	if err != nil || answer.StatusCode != http.StatusFound {
		t.Fatalf("got %v, %v", answer, err)
	}
	_ = answer.Body.Close()
}

func TestPublic(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "10.1.2.3": false, "172.31.0.1": false, "192.168.0.1": false, "100.64.0.1": false,
		"127.0.0.1": false, "0.0.0.0": false, "169.254.1.1": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "::": false,
		"fe80::1": false, "fc00::1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:7f00:1::": false, "2001:db8::1": false,
	} {
		if got := egress.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"https://example.com/x", "http://a", "https://u:p@h", "https://", "//h", "https://[::1", "\x00", "https://h#f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := egress.Address(s, false)
		if err == nil && (u.Scheme != "https" || u.Hostname() == "" || u.User != nil) {
			t.Fatalf("%q became %v", s, u)
		}
	})
}
