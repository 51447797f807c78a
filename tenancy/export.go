package tenancy

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ExportFormat is the version of the archive's layout.
const ExportFormat = 1

// Manifest is manifest.json, the last file of an archive: what is in it, with
// everything needed to check it.
type Manifest struct {
	Format        int             `json:"format"`
	Tenant        int64           `json:"tenant"`
	Slug          string          `json:"slug"`
	Name          string          `json:"name"`
	SchemaVersion int             `json:"schema_version"`
	ExportedAt    time.Time       `json:"exported_at"`
	Tables        []ExportedTable `json:"tables"`
	Files         []ExportedFile  `json:"files"`
}

// ExportedTable is data/<name>.csv: UTF-8 with a header, as COPY … (FORMAT csv)
// writes and reads it; null is an empty field, the empty string is "".
type ExportedTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Rows    int64    `json:"rows"`
	Bytes   int64    `json:"bytes"`
	SHA256  string   `json:"sha256"`
}

// ExportedFile is files/<name>.
type ExportedFile struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// An ExportFile is a file the tenant keeps outside the database, such as a logo.
type ExportFile struct {
	Name string // slash-separated, unique
	Open func(context.Context) (io.ReadCloser, error)
}

// Export writes everything of the tenant's schema, and the files given, as a
// tar.gz that can be read without us. All tables are of one moment. It holds one
// connection of the tenant's lane as long as it takes, reads as the tenant and
// changes nothing. w is not closed; after an error it holds a broken archive
// without a manifest.
func (db *DB) Export(ctx context.Context, w io.Writer, files ...ExportFile) (Manifest, error) {
	m := Manifest{Format: ExportFormat, Tenant: db.tenant.ID.Number(), Slug: db.tenant.Slug, Name: db.tenant.Name,
		SchemaVersion: db.tenant.SchemaVersion, ExportedAt: db.clock()().UTC(), Tables: []ExportedTable{}, Files: []ExportedFile{}}
	if db.tenant.ID.IsZero() {
		return m, ErrNoTenant
	}
	zip := gzip.NewWriter(w)
	archive := &archive{tar: tar.NewWriter(zip), at: m.ExportedAt}
	err := db.exportTables(ctx, archive, &m)
	for _, f := range files {
		if err != nil {
			break
		}
		err = archive.addFile(ctx, f, &m)
	}
	if err == nil {
		err = archive.addManifest(m)
	}
	if err != nil {
		return m, fmt.Errorf("export %s: %w", db.tenant.ID.Schema(), err)
	}
	if err := archive.tar.Close(); err != nil {
		return m, fmt.Errorf("export %s: %w", db.tenant.ID.Schema(), err)
	}
	if err := zip.Close(); err != nil {
		return m, fmt.Errorf("export %s: %w", db.tenant.ID.Schema(), err)
	}
	return m, nil
}

func (db *DB) exportTables(ctx context.Context, a *archive, m *Manifest) error {
	release, err := db.pool.admit(ctx)
	if err != nil {
		return err
	}
	defer release()
	set, leave := db.pool.enter()
	defer leave()
	id := db.tenant.ID
	begin := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" + bind(id)
	return once(ctx, set.lanes[id.Lane(len(set.lanes))].db, begin, func(w *wire) error {
		tables, err := tablesOf(w, id)
		if err != nil {
			return err
		}
		for _, t := range tables {
			if t, err = a.addTable(w, t); err != nil {
				return fmt.Errorf("table %s: %w", t.Name, err)
			}
			m.Tables = append(m.Tables, t)
		}
		return nil
	})
}

// tablesOf lists the tables with their columns: each behind those its foreign keys point
// to, so that they can be filled one after the other.
func tablesOf(w *wire, id ID) ([]ExportedTable, error) {
	rows, err := w.pgx.Query(w.ctx, `
		SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum),
			ARRAY(SELECT DISTINCT r.relname::text FROM pg_constraint f JOIN pg_class r ON r.oid = f.confrelid
				WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.confrelid <> c.oid)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
		WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		GROUP BY c.oid, c.relname ORDER BY 1`, id.Schema())
	if err != nil {
		return nil, err
	}
	refers := map[string][]string{}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t ExportedTable, err error) {
		var to []string
		err = row.Scan(&t.Name, &t.Columns, &to)
		refers[t.Name] = to
		return t, err
	})
	return behindWhatTheyReferTo(all, refers), err
}

// behindWhatTheyReferTo sorts tables. Those that refer to each other in a circle come last.
func behindWhatTheyReferTo(left []ExportedTable, refers map[string][]string) (sorted []ExportedTable) {
	stands := map[string]bool{}
	for {
		before := len(sorted)
		left = slices.DeleteFunc(left, func(t ExportedTable) bool {
			if slices.ContainsFunc(refers[t.Name], func(to string) bool { return !stands[to] }) {
				return false
			}
			stands[t.Name], sorted = true, append(sorted, t)
			return true
		})
		if len(sorted) == before {
			return append(sorted, left...)
		}
	}
}

// archive writes a tar whose entries' sizes are not known before.
type archive struct {
	tar *tar.Writer
	at  time.Time
}

func (a *archive) addTable(w *wire, t ExportedTable) (ExportedTable, error) {
	quoted := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		quoted[i] = pgx.Identifier{c}.Sanitize()
	}
	sql := "COPY " + pgx.Identifier{t.Name}.Sanitize() + " (" + strings.Join(quoted, ", ") + ") TO STDOUT (FORMAT csv, ENCODING 'UTF8')"
	size, sum, err := a.add("data/"+t.Name+".csv", func(to io.Writer) error {
		// The header is ours: Citus counts one that COPY writes among the rows.
		if _, err := io.WriteString(to, csvHeader(t.Columns)); err != nil {
			return err
		}
		tag, err := w.pgx.PgConn().CopyTo(w.ctx, to, sql)
		t.Rows = tag.RowsAffected()
		return err
	})
	t.Bytes, t.SHA256 = size, sum
	return t, err
}

// csvHeader is the line COPY … (FORMAT csv, HEADER) begins with.
func csvHeader(columns []string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		if names[i] = c; strings.ContainsAny(c, ",\"\r\n ") {
			names[i] = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
	}
	return strings.Join(names, ",") + "\n"
}

func (a *archive) addFile(ctx context.Context, f ExportFile, m *Manifest) error {
	size, sum, err := a.add("files/"+f.Name, func(to io.Writer) error {
		from, err := f.Open(ctx)
		if err != nil {
			return err
		}
		defer from.Close() //nolint:errcheck // only read
		_, err = io.Copy(to, from)
		return err
	})
	if err != nil {
		return fmt.Errorf("file %s: %w", f.Name, err)
	}
	m.Files = append(m.Files, ExportedFile{Name: f.Name, Bytes: size, SHA256: sum})
	return nil
}

func (a *archive) addManifest(m Manifest) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	_, _, err = a.add("manifest.json", func(to io.Writer) error {
		_, err := to.Write(append(text, '\n'))
		return err
	})
	return err
}

// add spools an entry through a temporary file, for tar wants its size first.
func (a *archive) add(name string, fill func(io.Writer) error) (size int64, sum string, err error) {
	spool, err := os.CreateTemp("", "ezscale-export-")
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = spool.Close(); _ = os.Remove(spool.Name()) }()
	digest := sha256.New()
	counted := &counter{to: io.MultiWriter(spool, digest)}
	if err := fill(counted); err != nil {
		return 0, "", err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return 0, "", err
	}
	head := &tar.Header{Name: name, Mode: 0o600, Size: counted.n, ModTime: a.at, Format: tar.FormatPAX}
	if err := a.tar.WriteHeader(head); err != nil {
		return 0, "", err
	}
	_, err = io.Copy(a.tar, spool)
	return counted.n, hexSum(digest), err
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	return n, err
}
