// Package media keeps the pictures a tenant uploads and gives them back. It owns the
// table uploads and the files behind it. Whatever is served was made here: rasters
// are decoded and written anew, SVG is checked and written anew, so that nothing of
// the original's metadata or of a file hidden in it survives. It does not know what
// a picture is used for beyond how large it needs to be.
package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// MaxBytes bounds an upload.
const MaxBytes = 2 << 20

// Policy is the Content-Security-Policy every upload is served with: even an SVG
// that is opened by itself runs nothing and loads nothing.
const Policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"

// Purpose says what a picture is for, and so how large it needs to be.
type Purpose string

// The purposes.
const (
	Logo     Purpose = "logo"
	LogoDark Purpose = "logo_dark"
	Favicon  Purpose = "favicon"
)

// within is the box, in pixels, that a raster of each purpose is made to fit.
var within = map[Purpose]int{Logo: 1200, LogoDark: 1200, Favicon: 256}

// Extensions of the media types that are kept.
var extensions = map[string]string{"image/png": ".png", "image/jpeg": ".jpg", "image/svg+xml": ".svg"}

// ErrMissing is returned by a Store for a key it does not have.
var ErrMissing = errors.New("media: no such file")

// Store keeps files by key. Keys are of our own making: "<tenant>/<sha>.<ext>".
type Store interface {
	// Put keeps b under key. The same key always comes with the same bytes.
	Put(ctx context.Context, key, mediaType string, b []byte) error
	// Get returns what was put, or ErrMissing.
	Get(ctx context.Context, key string) ([]byte, error)
	// DeleteAll removes every file whose key begins with prefix.
	DeleteAll(ctx context.Context, prefix string) error
}

// Library takes and gives pictures. It is safe for concurrent use.
type Library struct {
	store Store
	cache *cache
	work  chan struct{} // decoding takes memory: one picture at a time
}

// NewLibrary makes a library over store that keeps about cacheBytes of what is asked
// for in memory; 0: 16 MiB.
func NewLibrary(store Store, cacheBytes int) *Library {
	if cacheBytes <= 0 {
		cacheBytes = 16 << 20
	}
	return &Library{store: store, cache: newCache(cacheBytes), work: make(chan struct{}, 1)}
}

// Upload is a picture that is kept.
type Upload struct {
	ID        uuid.UUID
	Purpose   Purpose
	FileName  string
	MediaType string
	Size      int
	Width     int // 0: an SVG that does not say
	Height    int
	SHA       string
}

// Path is where the picture is served on its tenant's host.
func (u Upload) Path() string { return pathOf(u.ID.String(), u.SHA, u.MediaType) }

func pathOf(id, sha, mediaType string) string {
	return "/media/" + id + "/" + sha + extensions[mediaType]
}

// Offer is what somebody uploads.
type Offer struct {
	Purpose   Purpose
	FileName  string // as the browser says
	MediaType string // as the browser says; may be empty
	Bytes     []byte
	By        audit.Actor
	IP        string
	RequestID string
}

// Add checks a picture, makes it anew and keeps it. The same picture twice is one
// upload. Its faults name the field of Offer.Purpose and the reason: upload.empty,
// upload.too_large, upload.not_a_picture, upload.lies, upload.too_many_pixels,
// upload.broken, upload.hidden_data, upload.active_content; and upload.store_down
// when the picture is fine and the store is not.
func (l *Library) Add(ctx context.Context, db *tenancy.DB, o Offer) (Upload, error) {
	box, ok := within[o.Purpose]
	if !ok {
		return Upload{}, fault.New(fault.Invalid, "upload.unknown_purpose", "Choose what the picture is for.")
	}
	made, err := l.make(ctx, o, box)
	if err != nil {
		return Upload{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Upload{}, err
	}
	sum := sha256.Sum256(made.bytes)
	u := Upload{ID: id, Purpose: o.Purpose, FileName: fileName(o.FileName), MediaType: made.mediaType, Size: len(made.bytes),
		Width: made.width, Height: made.height, SHA: hex.EncodeToString(sum[:])}
	key := storageKey(db.Tenant().ID, u)
	// First the file, then the row: a file without a row is only a little space, and
	// the next upload of the picture puts it there again.
	if err := l.store.Put(ctx, key, u.MediaType, made.bytes); err != nil {
		return Upload{}, storeDown(err)
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error { return insert(ctx, tx, o, &u, sum[:], key) })
	return u, err
}

func storageKey(t tenancy.ID, u Upload) string {
	return t.String() + "/" + string(u.Purpose) + "-" + u.SHA + extensions[u.MediaType]
}

func storeDown(err error) error {
	return fault.Wrap(err, fault.Unavailable, "upload.store_down",
		"The place where pictures are kept does not answer right now. Nothing is lost; try again in a minute.")
}

// make turns what was offered into what is kept.
func (l *Library) make(ctx context.Context, o Offer, box int) (made, error) {
	kind, err := recognise(o)
	if err != nil {
		return made{}, err
	}
	select {
	case l.work <- struct{}{}:
		defer func() { <-l.work }()
	case <-ctx.Done():
		return made{}, fault.Wrap(ctx.Err(), fault.Unavailable, "upload.busy", "Many pictures are being worked on right now. Try again in a minute.")
	}
	if kind == "image/svg+xml" {
		return cleanSVG(o)
	}
	return remake(o, kind, box)
}

// insert writes the row and the trail; for a picture that is there already it
// returns that one in u.
func insert(ctx context.Context, tx *tenancy.Tx, o Offer, u *Upload, sum []byte, key string) error {
	res, err := tx.NewRaw(`INSERT INTO uploads (id, purpose, file_name, media_type, size_bytes, width, height, sha256, storage_key, created_by, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (storage_key) DO NOTHING`,
		u.ID.String(), string(u.Purpose), u.FileName, u.MediaType, u.Size, u.Width, u.Height, sum, key, o.By.Name, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep upload: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		var id string
		if err := tx.NewRaw("SELECT id::text FROM uploads WHERE storage_key = ?", key).Scan(ctx, &id); err != nil {
			return fmt.Errorf("find upload: %w", err)
		}
		u.ID, err = uuid.Parse(id)
		return err
	}
	return audit.Append(ctx, tx, audit.Entry{Actor: o.By, Action: "upload.added", Target: audit.Target{Kind: "upload", ID: u.ID.String()},
		Detail: map[string]any{"purpose": string(u.Purpose), "file": u.FileName, "type": u.MediaType, "bytes": u.Size}, IP: o.IP, RequestID: o.RequestID})
}

// fileName keeps the last part of a browser's file name, for people to recognise it by.
func fileName(s string) string {
	s = path.Base(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), `\`, "/"))
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 100 {
		s = string(r[len(r)-100:])
	}
	return s
}

// File is a picture's bytes and type. Do not change the bytes.
type File struct {
	MediaType string
	Bytes     []byte
}

// Open is the picture served at /media/<id>/<name> on the tenant's host. The fault is
// upload.unknown for anything that is not exactly one of its own.
func (l *Library) Open(ctx context.Context, db *tenancy.DB, id, name string) (File, error) {
	unknown := fault.New(fault.NotFound, "upload.unknown", "There is no such picture.")
	if _, err := uuid.Parse(id); err != nil || len(id) != 36 || len(name) > 80 {
		return File{}, unknown
	}
	cacheKey := db.Tenant().ID.String() + "/" + id + "/" + name
	if f, ok := l.cache.get(cacheKey); ok {
		return f, nil
	}
	var rows []struct {
		MediaType string `bun:"media_type"`
		SHA       []byte `bun:"sha256"`
		Key       string `bun:"storage_key"`
	}
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT media_type, sha256, storage_key FROM uploads WHERE id = ?", id).Scan(ctx, &rows)
	})
	if err != nil {
		return File{}, fmt.Errorf("find upload: %w", err)
	}
	if len(rows) == 0 || hex.EncodeToString(rows[0].SHA)+extensions[rows[0].MediaType] != name {
		return File{}, unknown
	}
	b, err := l.store.Get(ctx, rows[0].Key)
	if errors.Is(err, ErrMissing) {
		return File{}, unknown
	}
	if err != nil {
		return File{}, storeDown(err)
	}
	if sum := sha256.Sum256(b); !bytes.Equal(sum[:], rows[0].SHA) {
		return File{}, fmt.Errorf("upload %s: the store holds other bytes than were put", id)
	}
	f := File{MediaType: rows[0].MediaType, Bytes: b}
	l.cache.put(cacheKey, f)
	return f, nil
}

// Paths is where each of the uploads is served, by id. Ids that are empty or not the
// tenant's are left out.
func Paths(ctx context.Context, tx tenancy.Statements, ids ...string) (map[string]string, error) {
	var wanted []string
	for _, id := range ids {
		if id != "" {
			wanted = append(wanted, id)
		}
	}
	paths := map[string]string{}
	if len(wanted) == 0 {
		return paths, nil
	}
	var rows []struct {
		ID        string `bun:"id"`
		MediaType string `bun:"media_type"`
		SHA       []byte `bun:"sha256"`
	}
	err := tx.NewRaw("SELECT id::text AS id, media_type, sha256 FROM uploads WHERE id IN (?)", bun.List(wanted)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read uploads: %w", err)
	}
	for _, r := range rows {
		paths[r.ID] = pathOf(r.ID, hex.EncodeToString(r.SHA), r.MediaType)
	}
	return paths, nil
}

// Forget removes every file of a tenant that is being dropped.
func (l *Library) Forget(ctx context.Context, t tenancy.ID) error {
	return l.store.DeleteAll(ctx, t.String()+"/")
}
