package media

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func picture(w, h int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.NRGBA{uint8(x), uint8(y), 90, 255}) //nolint:gosec // wraps on purpose
		}
	}
	return img
}

func pngOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, picture(w, h)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, picture(w, h), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// webpOf is a lossless WebP of 1 × 1.
func webpOf() []byte {
	return []byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00")
}

// chunk is a PNG chunk.
func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data))) //nolint:gosec // short
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// pngClaiming is a PNG whose head says it measures w × h, with little behind it.
func pngClaiming(w, h uint32) []byte {
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	head = append(head, 8, 6, 0, 0, 0)
	return bytes.Join([][]byte{[]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", head), chunk("IDAT", []byte{0x78, 0x9c}), chunk("IEND", nil)}, nil)
}

// withText puts a text chunk with a secret before the pixels.
func withText(b []byte) []byte {
	return bytes.Join([][]byte{b[:33], chunk("tEXt", []byte("Comment\x00secret place")), b[33:]}, nil)
}

const svgHead = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 40 20">`

func library(t *testing.T) (*tenancytest.World, *Library) {
	t.Helper()
	w := tenancytest.New(t)
	dir, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return w, NewLibrary(dir, 0)
}

func offer(name string, b []byte) Offer {
	return Offer{Purpose: Logo, FileName: name, Bytes: b, By: audit.System("test")}
}

func TestPicturesAreMadeAnewAndServedToTheirTenantAlone(t *testing.T) {
	w, l := library(t)
	for name, x := range map[string]struct {
		bytes         []byte
		file, kind    string
		width, height int
	}{
		"png":      {withText(pngOf(t, 30, 20)), "Logo.PNG", "image/png", 30, 20},
		"wide png": {pngOf(t, 2400, 300), "wide.png", "image/png", 1200, 150},
		"jpeg":     {jpegOf(t, 30, 20), "photo.jpg", "image/jpeg", 30, 20},
		"webp":     {webpOf(), "logo.webp", "image/png", 1, 1},
		"svg":      {[]byte(svgHead + `<metadata>secret place</metadata><path d="M0 0h40v20z" fill="#0a0"/></svg>`), "logo.svg", "image/svg+xml", 40, 20},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := l.Add(t.Context(), w.DB(w.A), offer(x.file, x.bytes))
			if err != nil {
				t.Fatal(err)
			}
			if u.MediaType != x.kind || u.Width != x.width || u.Height != x.height {
				t.Errorf("kept as %s %d × %d", u.MediaType, u.Width, u.Height)
			}
			again, err := l.Add(t.Context(), w.DB(w.A), offer(x.file, x.bytes))
			if err != nil || again.ID != u.ID {
				t.Errorf("the second time it is %s, %v; was %s", again.ID, err, u.ID)
			}
			file := path.Base(u.Path())
			f, err := l.Open(t.Context(), w.DB(w.A), u.ID.String(), file)
			if err != nil || f.MediaType != x.kind || len(f.Bytes) != u.Size {
				t.Fatalf("opened %s with %d bytes, %v", f.MediaType, len(f.Bytes), err)
			}
			if bytes.Contains(f.Bytes, []byte("secret place")) {
				t.Error("the metadata is still there")
			}
			for what, open := range map[string]func() (File, error){
				"another tenant": func() (File, error) { return l.Open(t.Context(), w.DB(w.B), u.ID.String(), file) },
				"another name":   func() (File, error) { return l.Open(t.Context(), w.DB(w.A), u.ID.String(), "x"+file) },
				"a path":         func() (File, error) { return l.Open(t.Context(), w.DB(w.A), u.ID.String(), "../"+file) },
				"no id":          func() (File, error) { return l.Open(t.Context(), w.DB(w.A), "{"+u.ID.String()+"}", file) },
				"garbage":        func() (File, error) { return l.Open(t.Context(), w.DB(w.A), "\x00", "\x00") },
			} {
				if _, err := open(); !fault.Is(err, "upload.unknown") {
					t.Errorf("%s: %v", what, err)
				}
			}
			err = w.DB(w.B).View(t.Context(), func(tx *tenancy.Tx) error {
				paths, err := Paths(t.Context(), tx, u.ID.String(), "")
				if len(paths) != 0 {
					t.Errorf("another tenant is told %v", paths)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestUploadsThatAreNotWhatTheySayAreRefusedWithTheReason(t *testing.T) {
	w, l := library(t)
	progressive := jpegOf(t, 8, 8)
	end := len(progressive) - 2
	bomb := append([]byte{}, progressive[:end]...)
	for range maxScans + 1 {
		bomb = append(bomb, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x55)
	}
	bomb = append(bomb, 0xff, 0xd9)
	for name, x := range map[string]struct {
		file, declared string
		bytes          []byte
		code, says     string
	}{
		"nothing":                 {"a.png", "", nil, "upload.empty", "empty"},
		"too large":               {"a.png", "", make([]byte, MaxBytes+1), "upload.too_large", "2 MB"},
		"page as png":             {"a.png", "image/png", []byte("<!doctype html><script>alert(1)</script>"), "upload.not_a_picture", "a web page"},
		"gif":                     {"a.gif", "", []byte("GIF89a......"), "upload.not_a_picture", "GIF"},
		"pdf":                     {"a.svg", "", []byte("%PDF-1.7 "), "upload.not_a_picture", "PDF"},
		"jpeg as png":             {"a.png", "", jpegOf(t, 4, 4), "upload.lies", "called a.png, but it holds a JPEG"},
		"png as svg type":         {"a.png", "image/svg+xml", pngOf(t, 4, 4), "upload.lies", "image/svg+xml"},
		"png as program":          {"a.exe", "", pngOf(t, 4, 4), "upload.lies", "a.exe"},
		"svg as png":              {"a.png", "", []byte(svgHead + "</svg>"), "upload.lies", "SVG"},
		"pixel bomb":              {"a.png", "", pngClaiming(60000, 60000), "upload.too_many_pixels", "60000 × 60000"},
		"long pixel bomb":         {"a.png", "", pngClaiming(1, 1<<30), "upload.too_many_pixels", "1073741824"},
		"scan bomb":               {"a.jpg", "", bomb, "upload.broken", "scans"},
		"png with a zip behind":   {"a.png", "", append(pngOf(t, 4, 4), "PK\x03\x04 archive"...), "upload.hidden_data", "12 bytes"},
		"jpeg with a page behind": {"a.jpg", "", append(jpegOf(t, 4, 4), "<script>"...), "upload.hidden_data", "8 bytes"},
		"webp with more behind":   {"a.webp", "", append(webpOf(), "more"...), "upload.hidden_data", "bytes"},
		"half a png":              {"a.png", "", pngOf(t, 40, 40)[:60], "upload.broken", "cut off"},
		"half a jpeg":             {"a.jpg", "", jpegOf(t, 40, 40)[:300], "upload.broken", "cut off"},
		"empty pixels":            {"a.png", "", pngClaiming(10, 10), "upload.broken", "cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			o := offer(x.file, x.bytes)
			o.MediaType = x.declared
			_, err := l.Add(t.Context(), w.DB(w.A), o)
			if !fault.Is(err, x.code) || !strings.Contains(fault.From(err).Fields["logo"], x.says) {
				t.Errorf("got %v; want %s, %q", err, x.code, x.says)
			}
		})
	}
	var n int
	if err := w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM "+w.A.ID.Schema()+".uploads").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d uploads were kept, %v", n, err)
	}
}

// broken is a store that is down.
type broken struct{}

var errDown = errors.New("connection refused")

func (broken) Put(context.Context, string, string, []byte) error { return errDown }
func (broken) Get(context.Context, string) ([]byte, error)       { return nil, errDown }
func (broken) DeleteAll(context.Context, string) error           { return errDown }

func TestAStoreThatIsDownIsSaidAndWhatIsInMemoryIsStillServed(t *testing.T) {
	w, l := library(t)
	db := w.DB(w.A)
	u, err := l.Add(t.Context(), db, offer("a.png", pngOf(t, 4, 4)))
	if err != nil {
		t.Fatal(err)
	}
	cold := NewLibrary(broken{}, 0)
	if _, err := cold.Open(t.Context(), db, u.ID.String(), path.Base(u.Path())); !fault.Is(err, "upload.store_down") {
		t.Errorf("opened: %v", err)
	}
	if _, err := cold.Add(t.Context(), db, offer("a.png", pngOf(t, 5, 5))); !fault.Is(err, "upload.store_down") || fault.From(err).Kind != fault.Unavailable {
		t.Errorf("added: %v", err)
	}
	if _, err := l.Open(t.Context(), db, u.ID.String(), path.Base(u.Path())); err != nil {
		t.Fatal(err)
	}
	l.store = broken{}
	if _, err := l.Open(t.Context(), db, u.ID.String(), path.Base(u.Path())); err != nil {
		t.Errorf("from memory: %v", err)
	}
}

func TestForgettingATenantLeavesTheOthers(t *testing.T) {
	w, l := library(t)
	a, err := l.Add(t.Context(), w.DB(w.A), offer("a.png", pngOf(t, 4, 4)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Add(t.Context(), w.DB(w.B), offer("a.png", pngOf(t, 4, 4)))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Forget(t.Context(), w.A.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Open(t.Context(), w.DB(w.A), a.ID.String(), path.Base(a.Path())); !fault.Is(err, "upload.unknown") {
		t.Errorf("the forgotten: %v", err)
	}
	if _, err := l.Open(t.Context(), w.DB(w.B), b.ID.String(), path.Base(b.Path())); err != nil {
		t.Errorf("the other: %v", err)
	}
}

func TestTheFolderIsNotLeft(t *testing.T) {
	outside := t.TempDir()
	in := t.TempDir()
	if err := os.Symlink(outside, path.Join(in, "1")); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(in)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, key := range []string{"../x.png", "1/x.png", "/x.png"} {
		if err := d.Put(t.Context(), key, "image/png", []byte("x")); err == nil {
			t.Errorf("put %s", key)
		}
	}
}

func TestPhotosAreTurnedUpright(t *testing.T) {
	for how := 1; how <= 8; how++ {
		b := jpegOf(t, 6, 4)
		exif := append([]byte("Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"), byte(how), 0, 0)
		head := append([]byte{0xff, 0xd8, 0xff, 0xe1}, binary.BigEndian.AppendUint16(nil, uint16(len(exif)+2))...) //nolint:gosec // short
		turned := bytes.Join([][]byte{head, exif, b[2:]}, nil)
		m, err := remake(offer("a.jpg", turned), "image/jpeg", 100)
		if err != nil {
			t.Fatal(err)
		}
		if sideways := how >= 5; (m.width == 4) != sideways {
			t.Errorf("orientation %d: %d × %d", how, m.width, m.height)
		}
		if bytes.Contains(m.bytes, []byte("Exif")) {
			t.Error("EXIF is still there")
		}
	}
}

func FuzzPictures(f *testing.F) {
	f.Add(pngOf(f, 3, 3))
	f.Add(jpegOf(f, 3, 3))
	f.Add(webpOf())
	f.Add([]byte(svgHead + `<g><path d="M0 0"/></g></svg>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o := offer("", b)
		kind, err := recognise(o)
		if err != nil {
			return
		}
		var m made
		if kind == "image/svg+xml" {
			m, err = cleanSVG(o)
		} else {
			m, err = remake(o, kind, 64)
		}
		if err != nil {
			if fault.From(err).Kind == fault.Internal {
				t.Fatalf("an error that is no fault: %v", err)
			}
			return
		}
		if got := sniff(m.bytes); got != m.mediaType {
			t.Fatalf("made %s that looks like %q", m.mediaType, got)
		}
	})
}

func TestCacheKeepsToItsBytes(t *testing.T) {
	c := newCache(100)
	for n := range 50 {
		c.put(fmt.Sprint(n), File{Bytes: make([]byte, 20)})
	}
	if c.size > 100 || len(c.byKey) != 5 {
		t.Errorf("%d bytes in %d files", c.size, len(c.byKey))
	}
}
