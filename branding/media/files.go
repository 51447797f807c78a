package media

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/ezscale/ezscale/tenancy"
)

// Files are the tenant's uploads for its export, named as their storage keys are
// without the tenant. They are read one by one as the archive is written.
func (l *Library) Files(ctx context.Context, db *tenancy.DB) ([]tenancy.ExportFile, error) {
	var keys []string
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT DISTINCT storage_key FROM uploads ORDER BY storage_key").Scan(ctx, &keys)
	})
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	own := db.Tenant().ID.String() + "/"
	files := make([]tenancy.ExportFile, 0, len(keys))
	for _, key := range keys {
		if len(key) <= len(own) || key[:len(own)] != own {
			return nil, fmt.Errorf("list uploads: %q is not the tenant's", key)
		}
		files = append(files, tenancy.ExportFile{Name: key[len(own):], Open: func(ctx context.Context) (io.ReadCloser, error) {
			b, err := l.store.Get(ctx, key)
			if err != nil {
				return nil, err
			}
			return io.NopCloser(bytes.NewReader(b)), nil
		}})
	}
	return files, nil
}
