package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/tenancy"
)

// export keeps a tenant's archive below the export directory. A name says whose and
// when; half an archive never has it.
func (a *app) export(ctx context.Context, id tenancy.ID, now time.Time, library *media.Library) error {
	t, ok := a.resolver.ByID(id)
	if !ok {
		return fmt.Errorf("export %s: the directory does not know it", id)
	}
	dir := a.cfg.Work.ExportDir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("export (EZSCALE_EXPORT_DIR): %w", err)
	}
	// A process that was killed leaves half an archive: one export of a tenant runs at a time.
	unfinished := filepath.Join(dir, ".export-"+id.Schema()+"-")
	left, err := filepath.Glob(unfinished + "*")
	if err != nil {
		return fmt.Errorf("export (EZSCALE_EXPORT_DIR): %w", err)
	}
	for _, name := range left {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("export (EZSCALE_EXPORT_DIR): %w", err)
		}
	}
	f, err := os.CreateTemp(dir, filepath.Base(unfinished)+"*")
	if err != nil {
		return fmt.Errorf("export (EZSCALE_EXPORT_DIR): %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // renamed when all went well
	defer f.Close()           //nolint:errcheck // closed below when all went well
	files, err := library.Files(ctx, a.pool.Bind(t))
	if err != nil {
		return fmt.Errorf("export %s: %w", id, err)
	}
	if _, err := a.pool.Bind(t).Export(ctx, f, files...); err != nil {
		return fmt.Errorf("export %s: %w", id, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("export %s: %w", id, err)
	}
	name := fmt.Sprintf("%s-%s-%s.tar.gz", id.Schema(), t.Slug, now.UTC().Format("20060102T150405Z"))
	return os.Rename(f.Name(), filepath.Join(dir, name))
}
