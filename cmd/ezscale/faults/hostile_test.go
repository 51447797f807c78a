package faults

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hostile is a request as it goes over the wire, and who may answer it: a tenant's
// page (200 with the name), or nobody (4xx, or the connection ends).
type hostile struct {
	name string
	send string
	page string // the tenant whose page may be shown; empty: nobody's
	must bool   // it must be shown
}

func request(line string, headers ...string) string {
	return line + "\r\n" + strings.Join(headers, "\r\n") + "\r\nConnection: close\r\n\r\n"
}

func hostiles() []hostile {
	at := func(host string) string { return request("GET / HTTP/1.1", "Host: "+host) }
	const toAlpha = "Host: alpha.localhost"
	all := []hostile{
		{"plain", at("alpha.localhost"), "Alpha", true},
		{"upper case", at("ALPHA.LocalHost"), "Alpha", true},
		{"trailing dot", at("alpha.localhost."), "Alpha", true},
		{"port", at("alpha.localhost:8080"), "Alpha", true},
		{"all of it", at("ALPHA.localhost.:443"), "Alpha", true},
		{"forged forwarded host", request("GET / HTTP/1.1", toAlpha, "X-Forwarded-Host: beta.localhost", "Forwarded: host=beta.localhost", "X-Host: beta.localhost", "X-Original-Host: beta.localhost"), "Alpha", true},
		{"forged forwarded scheme and address", request("GET / HTTP/1.1", toAlpha, "X-Forwarded-Proto: https", "X-Forwarded-For: 10.0.0.1"), "Alpha", true},
		{"absolute form for the same site", request("GET http://alpha.localhost/ HTTP/1.1", toAlpha), "Alpha", true},
		{"absolute form for another", request("GET http://beta.localhost/ HTTP/1.1", toAlpha), "", false},
		{"absolute form with garbage", request("GET http://\x01\xff/ HTTP/1.1", toAlpha), "", false},
		{"two hosts", request("GET / HTTP/1.1", toAlpha, "Host: beta.localhost"), "", false},
		{"two hosts, other order", request("GET / HTTP/1.1", "Host: beta.localhost", toAlpha), "", false},
		{"folded host", request("GET / HTTP/1.1", "Host: beta.localhost", " alpha.localhost"), "", false},
		{"space before the colon", request("GET / HTTP/1.1", "Host : alpha.localhost"), "", false},
		{"unknown", at("gamma.localhost"), "", false},
		{"the platform", at("localhost"), "", false},
		{"4 kB", at(strings.Repeat("a", 4096)), "", false},
		{"4 kB of labels", at(strings.Repeat("a.", 2048) + "localhost"), "", false},
		{"4 kB of bytes", at(strings.Repeat("\xff\xfe", 2048)), "", false},
		{"NUL", at("alpha\x00.localhost"), "", false},
		{"NUL at the end", at("alpha.localhost\x00.beta.localhost"), "", false},
		{"IDN in UTF-8", at("älpha.localhost"), "", false},
		{"IDN that looks like it", at("аlpha.localhost"), "", false}, // a Cyrillic letter
		{"IDN encoded", at("xn--lpha-5qa.localhost"), "", false},
		{"IDN broken", at("xn--a.localhost"), "", false},
		{"IPv4", at("127.0.0.1"), "", false},
		{"IPv4 as a number", at("2130706433"), "", false},
		{"IPv6", at("[::1]"), "", false},
		{"IPv6 with port", at("[::1]:80"), "", false},
		{"port that is none", at("alpha.localhost:port"), "", false},
		{"user in the host", at("alpha.localhost@beta.localhost"), "", false},
		{"path in the host", at("alpha.localhost/../beta.localhost"), "", false},
		{"comma", at("alpha.localhost, beta.localhost"), "", false},
		{"empty host", at(""), "", false},
		{"no host", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "", false},
		{"HTTP/1.0 without host", "GET / HTTP/1.0\r\n\r\n", "", false},
		{"HTTP/1.0 with host", "GET / HTTP/1.0\r\n" + toAlpha + "\r\n\r\n", "Alpha", true},
		{"HTTP/0.9", "GET /\r\n\r\n", "", false},
		{"huge header", request("GET / HTTP/1.1", toAlpha, "X-Junk: "+strings.Repeat("j", 200<<10)), "", false},
		{"very many headers", request("GET / HTTP/1.1", toAlpha, strings.TrimSuffix(strings.Repeat("X-Junk: j\r\n", 20_000), "\r\n")), "", false},
		{"huge path", request("GET /"+strings.Repeat("p", 200<<10)+" HTTP/1.1", toAlpha), "", false},
		{"garbage", strings.Repeat("\x00\xff\x16\x03", 2000) + "\r\n\r\n", "", false},
	}
	return append(all, hostilePaths(toAlpha)...)
}

// hostilePaths are about what follows the host: whatever they get, it is alpha's.
func hostilePaths(toAlpha string) (all []hostile) {
	for _, path := range []string{"/%00", "/\x00", "/..%2f..%2fetc/passwd", "/../../etc/passwd", "//beta.localhost/", "/\\beta.localhost", "/%zz", "/?%zz", "/?a=%00",
		"/assets/../../../etc/passwd", "/media/%2e%2e/x", "/products/" + strings.Repeat("x", 3000), "/manage/domains/'", "/link/reset/%ff%fe", "*", "/%ff%fe", "/healthz/../", "/readyz%00"} {
		all = append(all, hostile{"path " + short(path)[:min(len(path), 40)], request("GET "+path+" HTTP/1.1", toAlpha), "Alpha", false})
	}
	for _, line := range []string{"TRACE / HTTP/1.1", "CONNECT beta.localhost:443 HTTP/1.1", "OPTIONS * HTTP/1.1", "BREW / HTTP/1.1", "PRI * HTTP/2.0", "get / HTTP/1.1", "DELETE / HTTP/1.1", "HEAD / HTTP/1.1"} {
		all = append(all, hostile{"method " + line, request(line, toAlpha), "Alpha", false})
	}
	for name, headers := range map[string][]string{
		"negative length":     {"Content-Length: -1"},
		"length and chunks":   {"Content-Length: 4", "Transfer-Encoding: chunked"},
		"two lengths":         {"Content-Length: 0", "Content-Length: 5"},
		"length too large":    {"Content-Length: 99999999999999999999"},
		"form that is none":   {"Content-Type: application/x-www-form-urlencoded", "Content-Length: 3"},
		"multipart, no parts": {"Content-Type: multipart/form-data", "Content-Length: 3"},
		"cookies":             {"Cookie: ez_customer=\xff\x01; ez_form=;;;=; __Host-ez_customer=x", "Content-Length: 0"},
		"foreign origin":      {"Origin: http://beta.localhost", "Content-Length: 0"},
	} {
		all = append(all, hostile{"form, " + name, request("POST /sign-in HTTP/1.1", append([]string{toAlpha}, headers...)...) + "%%%", "Alpha", false})
	}
	return all
}

// exchange sends raw bytes and reads one answer; status 0: the connection ended.
func exchange(c net.Conn, send string) (int, string) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	go func() { // the answer may come before all is sent
		_, _ = io.WriteString(c, send)
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // nothing more comes: a server that waits for it need not
		}
	}()
	method, _, _ := strings.Cut(send, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return 0, ""
	}
	b, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(b)
}

// judge holds an answer against what may be.
func (x hostile) judge(t *testing.T, over string, status int, body string) {
	t.Helper()
	shown := ""
	for _, name := range []string{"Alpha", "Beta"} {
		if strings.Contains(body, name) {
			shown += name
		}
	}
	switch {
	case status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported:
		t.Errorf("%s over %s: %d\n%s", x.name, over, status, short(body))
	case x.must && (status != http.StatusOK || shown != x.page):
		t.Errorf("%s over %s: %d shows %q, want the page of %s\n%s", x.name, over, status, shown, x.page, short(body))
	case x.page == "" && (status != 0 && status < 400 || shown != ""):
		t.Errorf("%s over %s: %d shows %q, want nobody's", x.name, over, status, shown)
	case shown != "" && shown != x.page:
		t.Errorf("%s over %s: %d shows %q", x.name, over, status, shown)
	}
}

func TestHostileRequests(t *testing.T) {
	h := newHouse(t)
	w, n := h.work(), h.serve(h.first)
	for _, host := range []string{"alpha", "beta"} {
		n.eventually("there is a certificate", "https://"+host+".localhost/", http.StatusOK, "")
	}
	secure := func(sni string) (net.Conn, error) {
		return tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", n.ports.https), &tls.Config{ServerName: sni, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) //nolint:gosec // the names are wrong on purpose
	}
	for _, x := range hostiles() {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", n.ports.http))
		must(t, err)
		status, body := exchange(c, x.send)
		x.judge(t, "plain HTTP", status, body)
		if c, err = secure("alpha.localhost"); err != nil {
			t.Fatal(err)
		}
		status, body = exchange(c, x.send)
		x.judge(t, "TLS", status, body)
	}
	t.Run("the name of the connection and the host", func(t *testing.T) { crossed(t, n, secure) })
	n.want("afterwards", alpha+"/", http.StatusOK, "Alpha")
	for _, name := range []string{"ezscale_tls_refusals_total", "ezscale_tls_certificates", "ezscale_lane_connections_idle"} {
		if n.figure(name) == 0 {
			t.Errorf("%s is nothing", name)
		}
	}
	for line := range strings.Lines(n.log.String()) {
		if strings.Contains(line, `"panic"`) || strings.Contains(line, "request failed") {
			t.Errorf("the log has %s", short(line))
		}
	}
	n.stop()
	w.stop()
}

// crossed opens connections for one name and asks for another.
func crossed(t *testing.T, n *node, secure func(string) (net.Conn, error)) {
	for _, x := range []struct {
		sni, host string
		want      int // 0: no connection at all
		page      string
	}{
		{"alpha.localhost", "alpha.localhost", 200, "Alpha"}, {"ALPHA.localhost", "alpha.LOCALHOST.", 200, "Alpha"},
		{"alpha.localhost", "beta.localhost", 421, ""}, {"beta.localhost", "alpha.localhost", 421, ""},
		{"alpha.localhost", "console.localhost", 421, ""}, {"alpha.localhost", "gamma.localhost", 421, ""},
		{"gamma.localhost", "alpha.localhost", 0, ""}, {"", "alpha.localhost", 0, ""},
		{strings.Repeat("a", 250), "alpha.localhost", 0, ""}, {"alpha.localhost.evil.test", "alpha.localhost", 0, ""},
	} {
		c, err := secure(x.sni)
		if err != nil {
			if x.want != 0 {
				t.Errorf("connection for %s: %v", x.sni, err)
			}
			continue
		}
		status, body := exchange(c, request("GET / HTTP/1.1", "Host: "+x.host))
		hostile{name: x.sni + " and " + x.host, page: x.page, must: x.want == 200}.judge(t, "TLS", status, body)
		if status != x.want {
			t.Errorf("connection for %s, host %s: %d, want %d", x.sni, x.host, status, x.want)
		}
		// The same by HTTP/2.
		if x.want == 421 {
			client := n.client()
			client.Transport.(*http.Transport).TLSClientConfig.ServerName = x.sni
			a, err := ask(client, http.MethodGet, "https://"+x.host+"/", "")
			client.CloseIdleConnections()
			if err == nil && a.status != 421 || strings.Contains(a.body, "Alpha") || strings.Contains(a.body, "Beta") {
				t.Errorf("HTTP/2 connection for %s, host %s: %d %v", x.sni, x.host, a.status, err)
			}
		}
	}
}
