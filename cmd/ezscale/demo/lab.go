// Package demo is the machine around the program when nothing else is installed: a
// PostgreSQL of its own, Redis in memory, a certificate authority, a name server
// whose zone can be edited, a mail trap, and the pages that show them. It fills an
// empty platform through the same doors that people use. It is no way to run
// production.
package demo

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/billing/gateway/coinbaselab"
	"github.com/ezscale/ezscale/billing/gateway/paypallab"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/branding/mail/mailtrap"
	vflab "github.com/ezscale/ezscale/provisioners/virtfusion/lab"
	"github.com/ezscale/ezscale/tenancy/pgembed"
)

// Port is a port the demo needs, and the variable that moves it.
type Port struct {
	Number   int
	Variable string
	UDP      bool // besides TCP
}

// Options say where the demo lives and listens.
type Options struct {
	Dir        string // keys, logins, uploads, zone
	Data       string // database; empty: DataDir
	PGBin      string // empty: found
	HTTP       Port
	HTTPS      Port
	DNS        Port
	ACME       Port
	SMTP       Port
	VirtFusion Port
	Stripe     Port
	PayPal     Port
	Coinbase   Port
	VIES       Port
	Other      []Port           // of the program itself, checked with the others
	Install    time.Duration    // how long the platform takes to install a server
	Clock      func() time.Time // of the simulators; nil: the machine's
	Log        io.Writer        // of PostgreSQL and the authority; nil: nothing
}

// database is the name of the demo's database.
const database = "ezscale"

// Lab is everything around the program, running.
type Lab struct {
	Postgres *pgembed.Server
	Redis    *miniredis.Miniredis
	ACME     *acmelab.Lab
	Mails    *mailtrap.Trap
	Servers  *vflab.Lab // VirtFusion
	Cards    *stripelab.Lab
	PayPal   *paypallab.Lab
	Dollars  *coinbaselab.Lab

	options Options
	closers []func() error
}

// Start brings the lab up, in a second or two the first time. Taken ports are told
// all at once, each with the variable that moves it.
func Start(ctx context.Context, o Options) (*Lab, error) {
	l := &Lab{options: o}
	for _, step := range []func(context.Context) error{l.openDir, l.checkPorts, l.startPostgres, l.startRedis, l.startACME, l.startMails, l.startVirtFusion, l.startStripe, l.startPayPal, l.startCoinbase, l.startVIES} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// Close stops everything, the last started first.
func (l *Lab) Close() error {
	var problems []error
	for _, c := range slices.Backward(l.closers) {
		problems = append(problems, c())
	}
	l.closers = nil
	return errors.Join(problems...)
}

func (l *Lab) onClose(f func() error) { l.closers = append(l.closers, f) }

func (l *Lab) openDir(context.Context) error {
	dir, err := filepath.Abs(l.options.Dir)
	if err != nil {
		return err
	}
	l.options.Dir = dir
	// The server's user must be able to walk through when we are root; what is secret
	// in it is 0600.
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // see above
		return fmt.Errorf("the demo's directory (EZSCALE_DEMO_DIR): %w", err)
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	l.onClose(unlock)
	return nil
}

// checkPorts tries every port before anything is started.
func (l *Lab) checkPorts(ctx context.Context) error {
	var taken []error
	for _, p := range append([]Port{l.options.HTTP, l.options.HTTPS, l.options.DNS, l.options.ACME, l.options.SMTP, l.options.VirtFusion, l.options.Stripe, l.options.PayPal, l.options.Coinbase, l.options.VIES}, l.options.Other...) {
		if err := free(ctx, p); err != nil {
			taken = append(taken, err)
		}
	}
	return errors.Join(taken...)
}

func free(ctx context.Context, p Port) error {
	var c net.ListenConfig
	address := fmt.Sprintf("127.0.0.1:%d", p.Number)
	ln, err := c.Listen(ctx, "tcp", address)
	if err == nil {
		_ = ln.Close()
		// Another program may have all addresses and not this one.
		if ln, err = c.Listen(ctx, "tcp", fmt.Sprintf(":%d", p.Number)); err == nil {
			_ = ln.Close()
		}
	}
	if err == nil && p.UDP {
		var pc net.PacketConn
		if pc, err = c.ListenPacket(ctx, "udp", address); err == nil {
			_ = pc.Close()
		}
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("port %d is taken (%w): stop the program that has it, or choose another with %s=<port>", p.Number, errors.Unwrap(err), p.Variable)
}

// DataDir is where the database lies: in dir when the server's user can get there,
// otherwise outside.
func DataDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	inside := filepath.Join(abs, "pg")
	if len(inside) <= longest && (os.Geteuid() != 0 || enterable(filepath.Dir(abs))) {
		return inside, nil
	}
	name := "demo-" + shortHash(abs)
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib/ezscale", name), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	if outside := filepath.Join(home, ".ezscale", name); len(outside) <= longest {
		return outside, nil
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("ez%d-%s", os.Getuid(), name)), nil
}

// longest is how long the directory's path may be: the address of a Unix socket
// below it holds 107 bytes, 103 on macOS.
const longest = 75

func (l *Lab) startPostgres(ctx context.Context) error {
	data := l.options.Data
	if data == "" {
		var err error
		if data, err = DataDir(l.options.Dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(data), 0o711); err != nil { //nolint:gosec // the server's user walks through
		return fmt.Errorf("the demo's database (EZSCALE_DEMO_DATA): %w", err)
	}
	bin, err := pgembed.FindBinDirFor(ctx, data, l.options.PGBin, npmRoots()...)
	if err == nil {
		l.Postgres, err = pgembed.Start(ctx, pgembed.Options{BinDir: bin, Dir: data, Log: l.options.Log, Set: map[string]string{
			// The demo may lose the last seconds when the machine does, and no more.
			"synchronous_commit": "off", "max_connections": "200",
		}})
	}
	if err != nil {
		return fmt.Errorf("%w (its data is in %s; ezscale demo --reset starts over)", err, data)
	}
	l.onClose(l.Postgres.Stop)
	admin, err := pgx.Connect(ctx, l.Postgres.DSN("postgres"))
	if err != nil {
		return err
	}
	defer admin.Close(ctx) //nolint:errcheck // nothing is lost
	var there bool
	if err := admin.QueryRow(ctx, "SELECT exists(SELECT FROM pg_database WHERE datname = $1)", database).Scan(&there); err != nil || there {
		return err
	}
	_, err = admin.Exec(ctx, "CREATE DATABASE "+database)
	return err
}

// DSN is the database, as its owner.
func (l *Lab) DSN() string { return l.Postgres.DSN(database) }

// startRedis starts Redis in memory: sessions end with the demo. Its clock stands
// still unless it is turned.
func (l *Lab) startRedis(context.Context) error {
	l.Redis = miniredis.NewMiniRedis()
	if err := l.Redis.StartAddr("127.0.0.1:0"); err != nil {
		return fmt.Errorf("start Redis: %w", err)
	}
	stop := make(chan struct{})
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case now := <-tick.C:
				l.Redis.SetTime(now)
				l.Redis.FastForward(now.Sub(last))
				last = now
			}
		}
	}()
	l.onClose(func() error { close(stop); l.Redis.Close(); return nil })
	return nil
}

func (l *Lab) startACME(context.Context) error {
	var err error
	l.ACME, err = acmelab.Start(acmelab.Options{
		ACMEAddr: fmt.Sprintf("127.0.0.1:%d", l.options.ACME.Number), DNSAddr: fmt.Sprintf("127.0.0.1:%d", l.options.DNS.Number),
		HTTPPort: l.options.HTTP.Number, TLSPort: l.options.HTTPS.Number,
		ZoneFile: filepath.Join(l.options.Dir, "zone.json"), LogOutput: l.options.Log,
	})
	if err != nil {
		return err
	}
	l.onClose(l.ACME.Close)
	if err := l.saveAuthority(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.options.Dir, "root.pem"), l.ACME.RootPEM(), 0o644) //nolint:gosec // a certificate is public
}

func (l *Lab) startMails(context.Context) error {
	var err error
	l.Mails, err = mailtrap.Listen(fmt.Sprintf("127.0.0.1:%d", l.options.SMTP.Number), mailtrap.Options{})
	if err != nil {
		return err
	}
	l.onClose(l.Mails.Close)
	return nil
}

// localClient calls names below localhost, which not every resolver knows.
func localClient() *http.Client {
	var d net.Dialer
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		return d.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
	}}}
}

// listen serves a simulator on its port.
func (l *Lab) listen(ctx context.Context, p Port, h http.Handler) error {
	var c net.ListenConfig
	ln, err := c.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", p.Number))
	if err != nil {
		return err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(ln) }()
	l.onClose(s.Close)
	return nil
}

// AuthorityPEM is the file with the certificate of the authority's own address.
func (l *Lab) AuthorityPEM() string { return filepath.Join(l.options.Dir, "authority.pem") }

func (l *Lab) saveAuthority() error {
	address := fmt.Sprintf("127.0.0.1:%d", l.options.ACME.Number)
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: l.ACME.Roots(), MinVersion: tls.VersionTLS12}) //nolint:noctx // in this process
	if err != nil {
		return fmt.Errorf("read the authority's certificate: %w", err)
	}
	defer conn.Close() //nolint:errcheck // read only
	block := &pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw}
	return os.WriteFile(l.AuthorityPEM(), pem.EncodeToMemory(block), 0o644) //nolint:gosec // a certificate is public
}
