package domain

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// streamWriter sends one event, waits a moment, and sends another.
func streamWriter(w *bufio.Writer) {
	fmt.Fprint(w, "data: one\n\n")
	_ = w.Flush()
	time.Sleep(300 * time.Millisecond)
	fmt.Fprint(w, "data: two\n\n")
	_ = w.Flush()
}

// liveNode is a node with a live name of tenant A and one of tenant B.
func liveNode(t *testing.T) (*rig, *node, Domain, Domain) {
	t.Helper()
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	a, b := r.add(r.world.A, "shop.alpha.test"), r.add(r.world.B, "shop.beta.test")
	r.prove(a)
	r.prove(b)
	n.work()
	eventually(t, "both are known", 2*time.Second, func() bool { return n.resolver.Known(a.Host) && n.resolver.Known(b.Host) })
	return r, n, r.state(a, Active), r.state(b, Active)
}

func TestFrontSpeaksBothProtocols(t *testing.T) {
	_, n, a, _ := liveNode(t)
	for _, h2 := range []bool{false, true} {
		c := n.visitor(h2)
		req, err := http.NewRequest(http.MethodPost, "https://"+a.Host+"/path?q=1", strings.NewReader("hello"))
		must(t, err)
		req.Header.Set("Cookie", "a=1; b=2")
		resp, err := c.Do(req)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		want := "shop.alpha.test POST /path tls=true body=hello cookie=a=1; b=2"
		if string(body) != want || resp.ProtoMajor != map[bool]int{false: 1, true: 2}[h2] {
			t.Errorf("%s: %q", resp.Proto, body)
		}
	}
}

// Who sends more than is taken hears so, and does not find the connection cut.
func TestABodyThatIsTooLargeIsAnswered(t *testing.T) {
	_, n, a, _ := liveNode(t)
	sent := strings.Repeat("x", 9<<20)
	for _, h2 := range []bool{false, true} {
		resp, err := n.visitor(h2).Post("https://"+a.Host+"/path", "text/plain", strings.NewReader(sent))
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		if h2 { // the app's to answer: it is given more than the most
			if seen := strings.Count(string(body), "x"); seen <= 4<<20 || seen >= len(sent) {
				t.Errorf("the app was given %d bytes", seen)
			}
		} else if resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(body), "more than we take") {
			t.Errorf("%d %.100q", resp.StatusCode, body)
		}
	}
}

func TestStreamsFlowOverHTTP2(t *testing.T) {
	_, n, a, _ := liveNode(t)
	for _, h2 := range []bool{true, false} {
		resp, err := n.visitor(h2).Get("https://" + a.Host + "/stream")
		must(t, err)
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		first, err := lines.ReadString('\n')
		must(t, err)
		got := make(chan string, 1)
		go func() {
			_, _ = lines.ReadString('\n')
			s, _ := lines.ReadString('\n')
			got <- s
		}()
		select {
		case s := <-got:
			t.Errorf("%s: %q came together with the first event", resp.Proto, s)
		case <-time.After(100 * time.Millisecond):
		}
		if second := <-got; first != "data: one\n" || second != "data: two\n" {
			t.Errorf("%s: %q, %q", resp.Proto, first, second)
		}
	}
}

func TestAConnectionOfOneTenantCarriesNoRequestOfAnother(t *testing.T) {
	_, n, a, b := liveNode(t)
	for _, proto := range []string{"http/1.1", "h2"} {
		c := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: proto == "h2", DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&tls.Dialer{Config: &tls.Config{ServerName: a.Host, RootCAs: n.rig.lab.SiteRoots(), NextProtos: []string{proto}}}).DialContext(ctx, "tcp", n.addr)
		}}}
		for host, want := range map[string]int{
			a.Host: 200, b.Host: 421, "alpha.localhost": 200, "beta.localhost": 421, "unknown.test": 421,
			"console.ezscale.localhost": 421, strings.ToUpper(a.Host) + ".:443": 200, "127.0.0.1": 400, strings.Repeat("x", 4000): 400,
		} {
			req, err := http.NewRequest(http.MethodGet, "https://"+a.Host+"/", nil)
			must(t, err)
			req.Host = host
			resp, err := c.Do(req)
			if err != nil {
				t.Errorf("%s, host %.40s: %v", proto, host, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s, host %.40s: %d, want %d", proto, host, resp.StatusCode, want)
			}
		}
		c.CloseIdleConnections()
	}
}

func TestUnknownNamesAreRefusedBeforeTheKeyExchange(t *testing.T) {
	r, n, a, _ := liveNode(t)
	n.certs.unknown.most = 5
	requests, loads := r.lab.Faults().Requests(), n.certs.Counts().Loads
	for _, sni := range []string{"unknown.test", "evil.shop.alpha.test", "192.0.2.1", strings.Repeat("a.", 60) + "test"} {
		if c, err := n.dial(sni, r.lab.SiteRoots()); err == nil {
			c.Close()
			t.Errorf("%.30s was answered", sni)
		}
	}
	if c, err := n.dial(strings.ToUpper(a.Host), r.lab.SiteRoots()); err != nil {
		t.Errorf("an upper-case name was refused: %v", err)
	} else {
		c.Close()
	}
	if n.certs.Counts().Denied != 4 {
		t.Errorf("%d denied", n.certs.Counts().Denied)
	}
	if r.lab.Faults().Requests() != requests || n.certs.Counts().Loads-loads > 1 {
		t.Error("unknown names reached the authority or the storage")
	}
	_, _ = n.dial("more.test", nil)
	if c, err := n.dial(a.Host, r.lab.SiteRoots()); err == nil {
		c.Close()
		t.Error("a network that floods us is still let in")
	}
}

func TestPlainHTTPAnswersOnlyProofsAndRedirects(t *testing.T) {
	_, n, a, _ := liveNode(t)
	addr := n.rig.plain.Addr().String()
	get := func(host, path string) *http.Response {
		req, err := http.NewRequest(http.MethodGet, "http://"+addr+path, nil)
		must(t, err)
		req.Host = host
		resp, err := (&http.Transport{}).RoundTrip(req)
		must(t, err)
		resp.Body.Close()
		return resp
	}
	if resp := get(a.Host, "/a?b=c"); resp.StatusCode != 308 || resp.Header.Get("Location") != "https://"+a.Host+"/a?b=c" {
		t.Errorf("%d %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	for host, want := range map[string]int{"unknown.test": 421, "127.0.0.1": 421, "bad host": 400} {
		if resp := get(host, "/"); resp.StatusCode != want && resp.StatusCode != 421 {
			t.Errorf("%s: %d", host, resp.StatusCode)
		}
	}
	if resp := get(a.Host, ChallengePath+"guess"); resp.StatusCode != 404 {
		t.Errorf("a guessed proof: %d", resp.StatusCode)
	}
	refused := 0
	for range 60 {
		switch resp := get("unknown.test", ChallengePath+"guess"); resp.StatusCode {
		case 421:
			refused++
		case 404:
		default:
			t.Errorf("a proof for an unknown name: %d", resp.StatusCode)
		}
	}
	if refused == 0 {
		t.Error("guesses for unknown names reach the storage without a bound")
	}
}

func TestRemovalReachesNewResumedAndOpenConnectionsOnBothNodes(t *testing.T) {
	r, n, a, b := liveNode(t)
	nodes := []*node{n, r.node(nodeOptions{})}
	var clients []*http.Client // each has an open connection, and a session to resume
	for _, n := range nodes {
		for _, h2 := range []bool{false, true} {
			c := n.visitor(h2)
			for _, host := range []string{a.Host, b.Host} {
				if status, _, err := n.get(c, host); err != nil || status != 200 {
					t.Fatal(status, err)
				}
			}
			clients = append(clients, c)
		}
	}
	resumed := func(n *node, cache tls.ClientSessionCache, host string) (bool, error) {
		c, err := tls.Dial("tcp", n.addr, &tls.Config{ServerName: host, RootCAs: r.lab.SiteRoots(), ClientSessionCache: cache})
		if err != nil {
			return false, err
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		_, err = bufio.NewReader(c).ReadString('\n') // tickets come with the answer
		return c.ConnectionState().DidResume, err
	}
	cache := tls.NewLRUClientSessionCache(8)
	for _, host := range []string{a.Host, b.Host} {
		if _, err := resumed(nodes[0], cache, host); err != nil {
			t.Fatal(err)
		}
		if ok, err := resumed(nodes[1], cache, host); err != nil || !ok {
			t.Errorf("%s: a session of one node does not resume on the other: %t, %v", host, ok, err)
		}
	}
	must(t, r.desk.Remove(context.Background(), r.world.A.ID, a.ID, staffBy))
	eventually(t, "both nodes forget the name", time.Second, func() bool { return !nodes[0].resolver.Known(a.Host) && !nodes[1].resolver.Known(a.Host) })
	for i, n := range nodes {
		if c, err := n.dial(a.Host, r.lab.SiteRoots()); err == nil {
			c.Close()
			t.Errorf("node %d: a new connection is answered", i)
		}
		if _, err := resumed(n, cache, a.Host); err == nil {
			t.Errorf("node %d: a resumed session is answered", i)
		}
		if _, still := n.certs.Loaded()[a.Host]; still {
			t.Errorf("node %d keeps the certificate", i)
		}
		for _, c := range clients[2*i : 2*i+2] {
			if status, _, err := n.get(c, a.Host); err == nil && status != 421 {
				t.Errorf("node %d: an open connection answers %d", i, status)
			}
			if status, _, err := n.get(c, b.Host); err != nil || status != 200 {
				t.Errorf("node %d: the other tenant's name: %d, %v", i, status, err)
			}
		}
	}
}

func TestTicketKeysTurnDailyAndAreShared(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	k := &Tickets{Central: r.world.Central, Sealer: r.ring}
	var first, now [][32]byte
	for day := range 5 {
		must(t, k.Rotate(ctx))
		must(t, k.Rotate(ctx)) // the other node
		r.clock.Advance(time.Minute)
		keys, err := k.Keys(ctx)
		must(t, err)
		if want := min(day+1, ticketsKept); len(keys) != want {
			t.Errorf("day %d: %d keys", day, len(keys))
		}
		if day > 0 && keys[0] != now[0] {
			t.Errorf("day %d: a new key seals before every node can have it", day)
		}
		r.clock.Advance(time.Hour)
		now, err = k.Keys(ctx)
		must(t, err)
		if day == 0 {
			first = now
		} else if now[0] == first[0] {
			t.Errorf("day %d: the first key still seals", day)
		}
		r.clock.Advance(24 * time.Hour)
	}
	var sealed []byte
	must(t, r.world.Owner.QueryRow(ctx, "SELECT sealed_key FROM central.tls_ticket_keys LIMIT 1").Scan(&sealed))
	if len(sealed) <= 32 {
		t.Error("ticket keys lie open")
	}
}

func TestAVisitorWaitsForAVerifiedNameAndOrdersNothing(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain, running: true, pace: Pace{Poll: time.Hour}, platform: &Platform{Central: r.world.Central, Zone: "localhost"}})
	// The worker has slept over it: only the visitor makes it due.
	eventually(t, "the first chores are done", 5*time.Second, func() bool {
		var n int
		_ = r.world.Owner.QueryRow(context.Background(), "SELECT count(*) FROM central.platform_names").Scan(&n)
		return n >= 3
	})
	begun := r.lab.Faults().Orders("alpha.localhost")
	status, _, err := n.get(n.visitor(true), "alpha.localhost")
	if err != nil || status != 200 {
		t.Fatal(status, err)
	}
	if got := r.lab.Faults().Orders("alpha.localhost"); begun != 0 || got != 1 {
		t.Errorf("%d orders before, %d after", begun, got)
	}
	var tenant tenancy.Tenant
	tenant, _ = n.resolver.Lookup("beta.localhost")
	if tenant.ID != r.world.B.ID {
		t.Error("beta.localhost is not B's")
	}
}

func TestOurOwnNameIsNotOrderedBeforeANodeServes(t *testing.T) {
	r := newRig(t)
	port := portOf(t, r.plain.Addr().String())
	// A load balancer without a node behind it.
	balancer := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })}
	go func() { _ = balancer.Serve(r.plain) }()
	r.pf.Self = &SelfTest{Secret: []byte("probe"), Resolvers: r.pf.Resolvers, Only: r.pf.Edge.Addresses, HTTPPort: port}
	n := r.node(nodeOptions{running: true, platform: &Platform{Central: r.world.Central, Zone: "localhost"}})
	said := func() (code string, attempts int) {
		_ = r.world.Owner.QueryRow(t.Context(), "SELECT coalesce(last_error_code, ''), attempts FROM central.platform_names WHERE name = 'alpha.localhost'").Scan(&code, &attempts)
		return code, attempts
	}
	eventually(t, "the worker finds no node", 10*time.Second, func() bool { code, _ := said(); return code == noFrontCode })
	if _, attempts := said(); attempts != 0 || r.lab.Faults().Orders("alpha.localhost") != 0 {
		t.Errorf("%d attempts, %d orders, and nobody could have answered", attempts, r.lab.Faults().Orders("alpha.localhost"))
	}
	must(t, balancer.Close())
	plain, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	must(t, err)
	t.Cleanup(func() { _ = plain.Close() })
	go func() { _ = n.front.ServeHTTP(plain) }()
	r.clock.Advance(frontRetry)
	eventually(t, "the name has its certificate", 20*time.Second, func() bool {
		status, _, err := n.get(n.visitor(true), "alpha.localhost")
		return err == nil && status == http.StatusOK
	})
	if got := r.lab.Faults().Orders("alpha.localhost"); got != 1 {
		t.Errorf("%d orders", got)
	}
}
