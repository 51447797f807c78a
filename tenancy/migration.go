package tenancy

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/migrations"
)

// A Migration is one numbered file.
type Migration struct {
	Version int
	Name    string
	SQL     string
}

// ReadMigrations reads dir/NNNN_name.sql in order. Two files of one number, or a
// name without one, is an error.
func ReadMigrations(files fs.FS, dir string) ([]Migration, error) {
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, err
	}
	var all []Migration
	seen := map[int]string{}
	for _, e := range entries {
		number, _, ok := strings.Cut(e.Name(), "_")
		v, err := strconv.Atoi(number)
		if !ok || err != nil || v <= 0 {
			return nil, fmt.Errorf("migrations: %s has no number", e.Name())
		}
		if other, taken := seen[v]; taken {
			return nil, fmt.Errorf("migrations: %s and %s have one number", other, e.Name())
		}
		seen[v] = e.Name()
		sql, err := fs.ReadFile(files, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, Migration{Version: v, Name: strings.TrimSuffix(e.Name(), ".sql"), SQL: string(sql)})
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Version < all[j].Version })
	return all, nil
}

// CentralMigrations are the files of the central schema.
func CentralMigrations() ([]Migration, error) { return ReadMigrations(migrations.Central, "central") }

// TenantMigrations are the files of every tenant's schema.
func TenantMigrations() ([]Migration, error) { return ReadMigrations(migrations.Tenant, "tenant") }

// migrateCentral applies the files that are missing, each in a transaction with its row.
func migrateCentral(ctx context.Context, c *pgx.Conn) error {
	all, err := CentralMigrations()
	if err != nil {
		return err
	}
	if err := execAgain(ctx, c, `CREATE TABLE IF NOT EXISTS central.schema_versions (
		version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
		return err
	}
	rows, err := c.Query(ctx, "SELECT version FROM central.schema_versions")
	if err != nil {
		return fmt.Errorf("install: versions: %w", err)
	}
	done, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("install: versions: %w", err)
	}
	applied := map[int]bool{}
	for _, v := range done {
		applied[v] = true
	}
	for _, m := range all {
		if applied[m.Version] {
			continue
		}
		err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL search_path TO central, pg_temp"); err != nil {
				return err
			}
			if _, err := tx.Conn().PgConn().Exec(ctx, m.SQL).ReadAll(); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO central.schema_versions (version, name) VALUES ($1, $2)", m.Version, m.Name)
			return err
		})
		if err != nil {
			return fmt.Errorf("install: central %s: %w", m.Name, err)
		}
	}
	return nil
}
