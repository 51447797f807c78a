package domain

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// childEnv makes this test binary a worker process instead.
const childEnv = "EZSCALE_TEST_WORKER"

// runChild is a worker as a process of its own, to be killed. Its clock runs ahead by
// as much as it is told, so that the claims of the dead are over.
func runChild() int {
	ctx := context.Background()
	ahead, err := time.ParseDuration(os.Getenv("EZSCALE_TEST_AHEAD"))
	if err != nil {
		return 2
	}
	ring, err := secrets.Parse(os.Getenv("EZSCALE_TEST_KEY"))
	if err != nil {
		return 3
	}
	dsn := os.Getenv("EZSCALE_TEST_DSN")
	clock := func() time.Time { return time.Now().Add(ahead) }
	central, err := tenancy.OpenCentral(ctx, tenancy.Config{DSN: dsn, Clock: clock}, 4)
	if err != nil {
		return 4
	}
	storage, err := OpenStorage(ctx, StorageConfig{DSN: dsn, Sealer: ring, Timeout: 5 * time.Second})
	if err != nil {
		return 5
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(os.Getenv("EZSCALE_TEST_ROOTS")))
	authority, err := NewAuthority(AuthorityConfig{Directory: os.Getenv(childEnv), Roots: roots, Profile: acmelab.Profile, Assets: storage,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return 6
	}
	w := NewWorker(WorkerConfig{Central: central, Authority: authority, Budget: &Budget{Central: central, Account: authority.Key(), Quota: DefaultQuota},
		Preflight: &Preflight{Resolvers: Resolvers{Servers: []string{os.Getenv("EZSCALE_TEST_DNS")}}, Identity: []string{acmelab.Identity},
			Edge: Edge{Zone: "edge.test", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, Method: "http-01"},
		Pace: Pace{Poll: 20 * time.Millisecond, Parallel: 2}, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	_ = w.Run(ctx)
	return 0
}

func TestKillingIssuersSpendsNoCertificateTwice(t *testing.T) {
	r := newRig(t)
	key, err := secrets.NewKey("one")
	must(t, err)
	r.ring, err = secrets.Parse(key)
	must(t, err)
	r.node(nodeOptions{plain: r.plain}) // answers the authority; its worker rests
	const names, kills = 14, 12
	var all []Domain
	for i := range names {
		tenant := []tenancy.Tenant{r.world.A, r.world.B}[i%2]
		d := r.add(tenant, fmt.Sprintf("shop%d.crash.test", i))
		r.prove(d)
		all = append(all, d)
	}
	r.lab.Faults().Set(acmelab.Slow, 40*time.Millisecond) // so that every step can be the one that is hit
	live := func() (n int) {
		for _, d := range all {
			if r.read(d).State == Active {
				n++
			}
		}
		return n
	}
	start := func(round int) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+r.lab.Directory(), "EZSCALE_TEST_KEY="+key, "EZSCALE_TEST_DSN="+r.world.DSN,
			"EZSCALE_TEST_DNS="+r.lab.DNS(), "EZSCALE_TEST_ROOTS="+string(r.lab.DirectoryPEM()),
			"EZSCALE_TEST_AHEAD="+(time.Duration(round)*(claimFor+time.Minute)).String())
		if testing.Verbose() {
			cmd.Stderr = os.Stderr
		}
		must(t, cmd.Start())
		return cmd
	}
	for round := range kills {
		cmd := start(round)
		time.Sleep(time.Duration(120+rand.IntN(900)) * time.Millisecond)
		must(t, cmd.Process.Signal(syscall.SIGKILL))
		_ = cmd.Wait()
	}
	if n := live(); n == names {
		t.Log("every name was live before the last kill")
	}
	r.lab.Faults().Set(acmelab.None, 0)
	cmd := start(kills)
	eventually(t, "every name is live", 60*time.Second, func() bool { return live() == names })
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	again := 0
	for _, d := range all {
		if n := r.lab.Faults().Issued(d.Host); n != 1 {
			t.Errorf("%s: %d certificates issued", d.Host, n)
		}
		if n := r.lab.Faults().Orders(d.Host); n != 1 {
			again += n - 1
		}
		if got := r.state(d, Active); got.CertSerial == "" || !got.Serving {
			t.Errorf("%s is half done: %+v", d.Host, got)
		}
	}
	// Between the authority's answer to an order and our note of it lies one write. Who
	// asks again is given the order that is still open, as Let's Encrypt does.
	if again > 0 {
		t.Errorf("%d orders were placed twice in %d kills", again, kills)
	}
	var open int
	must(t, r.world.Owner.QueryRow(t.Context(), "SELECT count(*) FROM central.acme_orders WHERE outcome = ''").Scan(&open))
	if open > again {
		t.Errorf("%d orders are on the books as under way", open)
	}
	t.Log(kills, "kills;", strconv.Itoa(again), "orders placed again")
}
