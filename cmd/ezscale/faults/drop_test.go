package faults

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// TestADroppedTenantIsGone has a reseller dropped by workers that are killed while they
// do it, and looks for what is left: of its schema and roles, its row, domains and
// certificates, files and sessions, and of the other's nothing is missing.
func TestADroppedTenantIsGone(t *testing.T) {
	h := newHouse(t)
	n, w := h.serve(h.first), h.work()
	pool, central := h.planes()
	all := h.tenants(central)
	gone, stays := all[0], all[1]
	uploads, exports := h.setting("EZSCALE_STORAGE_URL")[len("file://"):], h.setting("EZSCALE_EXPORT_DIR")
	store, err := media.OpenDir(uploads)
	must(t, err)
	defer store.Close()
	for _, who := range all {
		_, err := media.NewLibrary(store, 0).Add(t.Context(), pool.Bind(who), media.Offer{Purpose: media.Logo, FileName: "logo.png", MediaType: "image/png", Bytes: picture(t), By: audit.System("test")})
		must(t, err)
	}
	owner := n.owner()
	const host = "shop.gone.test"
	if a := n.post(owner, alpha+"/manage/domains", alpha+"/manage/domains", url.Values{"host": {host}}); a.status != http.StatusSeeOther {
		t.Fatalf("adding a domain: %d\n%s", a.status, short(a.body))
	}
	must(t, h.acme.Zone().Set(acmelab.Record{Name: host, Type: "A", Value: "127.0.0.1"}))
	must(t, h.acme.Zone().Set(acmelab.Record{Name: domain.TXTPrefix + host, Type: "TXT", Value: query[string](h, "SELECT 'ezscale-verify=' || verify_token FROM central.domains WHERE host = '"+host+"'")}))
	n.post(owner, alpha+"/manage/domains", alpha+"/manage/domains/"+query[string](h, "SELECT id::text FROM central.domains")+"/check", url.Values{})
	n.eventually("the site under its own name", "https://"+host+"/", http.StatusOK, "Alpha")
	// Enough that an export takes a moment.
	h.exec("INSERT INTO " + gone.ID.Schema() + `.logins SELECT gen_random_uuid(), 'customer', NULL, 'k', 'ok', md5(i::text), repeat(md5(i::text), 8), now() FROM generate_series(1, 150000) i`)

	if out, err := h.tried("tenant", "drop", "alpha", "--yes"); err == nil || !strings.Contains(out, "archived") {
		t.Errorf("an active tenant is dropped: %v %s", err, out)
	}
	h.run("tenant", "archive", "alpha", "--reason", "it closed", "--yes")
	if out, err := h.tried("tenant", "drop", "alpha", "--yes"); err == nil || !strings.Contains(out, "hold") {
		t.Errorf("dropped within the hold period: %v %s", err, out)
	}
	h.exec("UPDATE central.tenants SET drop_after = now() - interval '1 minute' WHERE slug = 'alpha'")
	w.kill()
	h.run("tenant", "drop", "alpha", "--yes")
	const job = "SELECT coalesce(max(state::text), 'none') FROM river.river_job WHERE kind = 'reseller.drop'"
	inside := 0
	for range 3 {
		w = h.start("work", w.ports)
		h.until("the job runs, or is done", func() error {
			if s := query[string](h, job); s != "running" && s != "completed" {
				return errors.New(s)
			}
			return nil
		})
		time.Sleep(rand.N(500 * time.Millisecond)) //nolint:gosec // any moment
		if query[string](h, job) == "running" {
			inside++
		}
		w.kill()
	}
	if inside == 0 {
		t.Error("no worker was killed while it dropped")
	}
	w = h.work()
	h.until("the job is done", func() error {
		if s := query[string](h, job); s != "completed" {
			return fmt.Errorf("%s\n%s", s, w.log.complaints())
		}
		return nil
	})
	t.Logf("killed %d times while it dropped", inside)

	schema := gone.ID.Schema()
	for what, sql := range map[string]string{
		"schemas":              "SELECT count(*) FROM pg_namespace WHERE nspname = '" + schema + "'",
		"roles":                "SELECT count(*) FROM pg_roles WHERE rolname = '" + schema + "'",
		"live rows":            fmt.Sprintf("SELECT count(*) FROM central.tenants WHERE id = %d AND (status <> 'dropped' OR owner_email <> '' OR primary_host IS NOT NULL)", gone.ID.Number()),
		"domains":              fmt.Sprintf("SELECT count(*) FROM central.domains WHERE tenant_id = %d AND (state <> 'removed' OR serving OR is_primary)", gone.ID.Number()),
		"domains without word": fmt.Sprintf("SELECT count(*) FROM central.domains d WHERE tenant_id = %d AND NOT EXISTS (SELECT FROM central.domain_events e WHERE e.domain_id = d.id AND e.code = 'domain.tenant_ended')", gone.ID.Number()),
		"things to do":         fmt.Sprintf("SELECT count(*) FROM central.agenda WHERE tenant_id = %d", gone.ID.Number()),
	} {
		if got := query[int](h, sql); got != 0 {
			t.Errorf("%d %s are left", got, what)
		}
	}
	if got := query[int](h, "SELECT count(*) FROM central.audit_entries WHERE action = 'tenant.dropped'"); got != 1 {
		t.Errorf("the trail says %d times that it was dropped", got)
	}
	if _, err := os.Stat(filepath.Join(uploads, gone.ID.String())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its files: %v", err)
	}
	if _, err := os.Stat(filepath.Join(uploads, stays.ID.String())); err != nil {
		t.Errorf("the other's files: %v", err)
	}
	for _, key := range h.redis.Keys() {
		if strings.Contains(key, ":"+gone.ID.String()+":") {
			t.Errorf("Redis keeps %s", key)
		}
	}
	h.wholeArchives(exports, schema)

	n.eventually("nobody is served there", alpha+"/", http.StatusNotFound, "")
	n.want("the other", beta+"/?fresh", http.StatusOK, "Beta")
	h.until("its domain is refused before the key exchange", func() error {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", fmt.Sprintf("127.0.0.1:%d", h.first.https),
			&tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		if err == nil {
			_ = c.Close()
			return errors.New("it is served")
		}
		return nil
	})
	h.run("tenant", "create", "Alpha", "--owner-email", "next@alpha.test")
	n.eventually("the name is free", alpha+"/", http.StatusOK, "Alpha")
	if a, err := ask(owner, http.MethodGet, alpha+"/manage", ""); err != nil || a.status == http.StatusOK {
		t.Errorf("the former owner's session in the new shop: %d %v", a.status, err)
	}
	n.stop()
	w.stop()
}

// wholeArchives opens what was exported: at least one archive, none of them half.
func (h *house) wholeArchives(dir, schema string) {
	h.t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, schema+"-alpha-*.tar.gz"))
	must(h.t, err)
	every, err := os.ReadDir(dir)
	must(h.t, err)
	if len(names) == 0 || len(every) != len(names) {
		h.t.Fatalf("the export directory holds %v", every)
	}
	for _, name := range names {
		f, err := os.Open(name)
		must(h.t, err)
		z, err := gzip.NewReader(f)
		must(h.t, err)
		last, files := "", 0
		for r := tar.NewReader(z); ; {
			entry, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(h.t, err)
			if last = entry.Name; strings.HasPrefix(last, "files/") {
				files++
			}
		}
		if last != "manifest.json" || files == 0 {
			h.t.Errorf("%s ends with %s and has %d files", name, last, files)
		}
		must(h.t, f.Close())
	}
}

// setting is a variable of the house's environment.
func (h *house) setting(name string) string {
	h.t.Helper()
	for _, e := range h.environ {
		if value, ok := strings.CutPrefix(e, name+"="); ok {
			return value
		}
	}
	h.t.Fatalf("%s is not set", name)
	return ""
}

// exec does something as the owner of the database.
func (h *house) exec(sql string) {
	h.t.Helper()
	c, err := pgx.Connect(h.t.Context(), h.pg.DSN("ezscale"))
	must(h.t, err)
	_, err = c.Exec(h.t.Context(), sql)
	must(h.t, err)
	must(h.t, c.Close(context.Background()))
}

func picture(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 64, 64))))
	return b.Bytes()
}
