package domain

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// storages opens every kind of storage twice, as two nodes would.
func storages(t *testing.T) map[string][2]certmagic.Storage {
	t.Helper()
	w := tenancytest.New(t)
	ring := testKeyring(t)
	open := func(leases bool) certmagic.Storage {
		s, err := OpenStorage(t.Context(), StorageConfig{DSN: w.DSN, Sealer: ring, Leases: leases, Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		return s
	}
	dir := t.TempDir()
	return map[string][2]certmagic.Storage{
		"advisory locks": {open(false), open(false)},
		"lease rows":     {open(true), open(true)},
		"files":          {&certmagic.FileStorage{Path: dir}, &certmagic.FileStorage{Path: dir}},
	}
}

func TestStorageKeepsCertmagicsContract(t *testing.T) {
	for name, pair := range storages(t) {
		t.Run(name, func(t *testing.T) {
			a, b, ctx := pair[0], pair[1], t.Context()
			site := "certificates/" + name + "/a_b.test"
			if _, err := a.Load(ctx, site+"/x.key"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a missing key loads with %v", err)
			}
			if _, err := a.Stat(ctx, site); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a missing key has a stat: %v", err)
			}
			for _, k := range []string{"/x.key", "/x.crt", "/deep/y.json"} {
				if err := a.Store(ctx, site+k, []byte("first "+k)); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Store(ctx, "certificates/"+name+"/aXb.test/x.crt", []byte("neighbour")); err != nil {
				t.Fatal(err)
			}
			if err := b.Store(ctx, site+"/x.key", []byte("second")); err != nil {
				t.Fatal(err)
			}
			if v, err := a.Load(ctx, site+"/x.key"); err != nil || string(v) != "second" {
				t.Errorf("load: %q, %v", v, err)
			}
			flat, err := b.List(ctx, site, false)
			slices.Sort(flat)
			if err != nil || !slices.Equal(flat, []string{site + "/deep", site + "/x.crt", site + "/x.key"}) {
				t.Errorf("list: %v, %v", flat, err)
			}
			if deep, err := b.List(ctx, site, true); err != nil || !slices.Contains(deep, site+"/deep/y.json") {
				t.Errorf("deep list: %v, %v", deep, err)
			}
			if info, err := a.Stat(ctx, site+"/x.crt"); err != nil || !info.IsTerminal || info.Size == 0 || info.Modified.IsZero() {
				t.Errorf("stat of a key: %+v, %v", info, err)
			}
			if info, err := a.Stat(ctx, site); err != nil || info.IsTerminal {
				t.Errorf("stat of a directory: %+v, %v", info, err)
			}
			if err := a.Delete(ctx, site); err != nil {
				t.Fatal(err)
			}
			if a.Exists(ctx, site+"/deep/y.json") || !a.Exists(ctx, "certificates/"+name+"/aXb.test/x.crt") {
				t.Error("deleting a directory removed too little or too much")
			}
		})
	}
}

func TestStorageLocksExcludeOtherNodes(t *testing.T) {
	for name, pair := range storages(t) {
		t.Run(name, func(t *testing.T) {
			var inside, worst, done atomic.Int32
			var all sync.WaitGroup
			for i := range 6 {
				all.Add(1)
				go func() {
					defer all.Done()
					s := pair[i%2]
					if err := s.Lock(t.Context(), "order shop.test"); err != nil {
						t.Error(err)
						return
					}
					if n := inside.Add(1); n > worst.Load() {
						worst.Store(n)
					}
					time.Sleep(2 * time.Millisecond)
					inside.Add(-1)
					done.Add(1)
					if err := s.Unlock(t.Context(), "order shop.test"); err != nil {
						t.Error(err)
					}
				}()
			}
			all.Wait()
			if worst.Load() != 1 || done.Load() != 6 {
				t.Errorf("%d at once, %d of 6 done", worst.Load(), done.Load())
			}
		})
	}
}

func TestStorageLockOfOneNameLeavesOthersFree(t *testing.T) {
	pairs := storages(t)
	for _, name := range []string{"advisory locks", "lease rows"} {
		a, b := pairs[name][0].(*Storage), pairs[name][1].(*Storage)
		if err := a.Lock(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		if got, err := b.TryLock(t.Context(), "one"); got || err != nil {
			t.Errorf("%s: a held lock was given again: %v", name, err)
		}
		if got, err := b.TryLock(t.Context(), "two"); !got || err != nil {
			t.Errorf("%s: a free lock was refused: %v", name, err)
		}
		ended, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if err := b.Lock(ended, "one"); err == nil {
			t.Errorf("%s: a lock was given twice", name)
		}
		cancel()
		a.Close() // as if the node had died
		if err := b.Lock(t.Context(), "one"); err != nil {
			t.Errorf("%s: a dead node's lock: %v", name, err)
		}
	}
}

func TestStoredKeysAreSealedAndBoundToTheirPlace(t *testing.T) {
	w := tenancytest.New(t)
	s, err := OpenStorage(t.Context(), StorageConfig{DSN: w.DSN, Sealer: testKeyring(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	secret := []byte("-----BEGIN PRIVATE KEY-----")
	if err := s.StoreAll(t.Context(), []Asset{{"a/x.key", secret}, {"a/x.crt", []byte("public")}, {"b/x.key", []byte("other")}}); err != nil {
		t.Fatal(err)
	}
	var raw []byte
	if err := w.Owner.QueryRow(t.Context(), "SELECT value FROM central.tls_assets WHERE key = 'a/x.key'").Scan(&raw); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(raw, secret) || len(raw) == 0 {
		t.Error("a private key lies open in the database")
	}
	if _, err := w.Owner.Exec(t.Context(), "UPDATE central.tls_assets SET value = $1 WHERE key = 'b/x.key'", raw); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Load(t.Context(), "b/x.key"); err == nil {
		t.Errorf("a key moved to another name opens: %q", v)
	}
}
