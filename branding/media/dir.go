package media

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Dir is a Store in a folder of this machine, for one node. It cannot be led out of
// the folder, not even by links in it.
type Dir struct{ root *os.Root }

// OpenDir opens the folder, making it when it is not there.
func OpenDir(name string) (*Dir, error) {
	if err := os.MkdirAll(name, 0o750); err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	return &Dir{root: root}, nil
}

// Close releases the folder.
func (d *Dir) Close() error { return d.root.Close() }

// Put writes beside the file and renames, so that nobody ever sees half of one.
func (d *Dir) Put(_ context.Context, key, _ string, b []byte) error {
	if old, err := d.root.ReadFile(key); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err := d.root.MkdirAll(path.Dir(key), 0o750); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	var suffix [8]byte
	_, _ = rand.Read(suffix[:]) // never fails
	part := key + "." + hex.EncodeToString(suffix[:]) + ".part"
	if err := d.write(part, b); err != nil {
		_ = d.root.Remove(part)
		return fmt.Errorf("media: %w", err)
	}
	if err := d.root.Rename(part, key); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	return nil
}

func (d *Dir) write(name string, b []byte) error {
	f, err := d.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// Get reads a file.
func (d *Dir) Get(_ context.Context, key string) ([]byte, error) {
	b, err := d.root.ReadFile(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("media: %w", err)
	}
	return b, nil
}

// DeleteAll removes the folder that prefix names.
func (d *Dir) DeleteAll(_ context.Context, prefix string) error {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return errors.New("media: a prefix is needed")
	}
	return d.root.RemoveAll(prefix)
}
