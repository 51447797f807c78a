package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"path"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// What a picture may measure before it is decoded: 8 million pixels are 64 MB of
// memory at worst.
const (
	maxPixels = 8 << 20
	maxSide   = 8000
	maxScans  = 64 // of a progressive JPEG: each costs as much as the whole picture
)

// made is a picture as it is kept.
type made struct {
	mediaType     string
	bytes         []byte
	width, height int
}

var names = map[string]string{"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WebP", "image/svg+xml": "SVG"}

// claims is the media type that an extension or a browser's media type stands for.
var claims = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".svg": "image/svg+xml",
	"image/png": "image/png", "image/jpeg": "image/jpeg", "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg",
	"image/webp": "image/webp", "image/svg+xml": "image/svg+xml",
}

// at ties a fault to the field of what the picture is for.
func (o Offer) at(err error) error {
	f := fault.From(err)
	f.Fields = map[string]string{string(o.Purpose): f.Message}
	return err
}

// recognise says what the bytes are, and refuses them when their name or their
// declared type says something else.
func recognise(o Offer) (string, error) {
	if len(o.Bytes) == 0 {
		return "", o.at(fault.New(fault.Invalid, "upload.empty", "Choose a file: this one is empty."))
	}
	if len(o.Bytes) > MaxBytes {
		return "", o.at(fault.New(fault.TooLarge, "upload.too_large", fmt.Sprintf("This file has %.1f MB; 2 MB fit.", float64(len(o.Bytes))/(1<<20))))
	}
	kind := sniff(o.Bytes)
	if kind == "" {
		return "", o.at(fault.New(fault.Invalid, "upload.not_a_picture",
			fmt.Sprintf("This is not a PNG, JPEG, WebP or SVG picture; it looks like %s.", likely(o.Bytes))))
	}
	ext := strings.ToLower(path.Ext(fileName(o.FileName)))
	if claim, ok := claims[ext]; o.FileName != "" && (!ok || claim != kind) {
		return "", o.at(fault.New(fault.Invalid, "upload.lies", fmt.Sprintf("The file is called %s, but it holds a %s picture.", fileName(o.FileName), names[kind])))
	}
	declared, _, _ := strings.Cut(strings.ToLower(o.MediaType), ";")
	if declared = strings.TrimSpace(declared); declared != "" && declared != "application/octet-stream" && claims[declared] != kind {
		return "", o.at(fault.New(fault.Invalid, "upload.lies", fmt.Sprintf("The file was sent as %.60q, but it holds a %s picture.", declared, names[kind])))
	}
	return kind, nil
}

func sniff(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case bytes.HasPrefix(b, []byte{0xff, 0xd8, 0xff}):
		return "image/jpeg"
	case len(b) > 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return "image/webp"
	case looksLikeSVG(b):
		return "image/svg+xml"
	}
	return ""
}

// likely names other kinds for the message.
func likely(b []byte) string {
	kind, _, _ := strings.Cut(http.DetectContentType(b), ";")
	switch kind {
	case "text/html":
		return "a web page"
	case "text/plain":
		return "a text file"
	case "application/pdf":
		return "a PDF"
	case "application/zip":
		return "a ZIP archive"
	case "image/gif":
		return "a GIF, which cannot be used here: save it as PNG"
	case "image/x-icon":
		return "an ICO file, which cannot be used here: save it as PNG"
	case "application/octet-stream":
		return "something else"
	}
	return kind
}

// remake decodes a raster after looking at what it would cost, fits it into the box
// and writes it anew.
func remake(o Offer, kind string, box int) (made, error) {
	broken := func(err error) error {
		f := o.at(fault.New(fault.Invalid, "upload.broken", fmt.Sprintf("This %s picture cannot be read; it may be cut off. Save it again and upload that.", names[kind])))
		fault.From(f).Err = err
		return f
	}
	if err := structure(o, kind); err != nil {
		return made{}, err
	}
	conf, err := decodeConfig(kind, o.Bytes)
	if err != nil {
		return made{}, broken(err)
	}
	if conf.Width > maxSide || conf.Height > maxSide || conf.Width*conf.Height > maxPixels || conf.Width < 1 || conf.Height < 1 {
		return made{}, o.at(fault.New(fault.Invalid, "upload.too_many_pixels",
			fmt.Sprintf("This picture measures %d × %d pixels; make it smaller than 8 million pixels and %d on a side.", conf.Width, conf.Height, maxSide)))
	}
	img, err := decode(kind, o.Bytes)
	if err != nil {
		return made{}, broken(err)
	}
	if kind == "image/jpeg" {
		img = upright(img, orientation(o.Bytes))
	}
	img = fit(img, box)
	var out bytes.Buffer
	m := made{mediaType: "image/png", width: img.Bounds().Dx(), height: img.Bounds().Dy()}
	if kind == "image/jpeg" {
		m.mediaType = "image/jpeg"
		err = jpeg.Encode(&out, img, &jpeg.Options{Quality: 88})
	} else {
		err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img)
	}
	m.bytes = out.Bytes()
	return m, err
}

func decodeConfig(kind string, b []byte) (image.Config, error) {
	switch kind {
	case "image/png":
		return png.DecodeConfig(bytes.NewReader(b))
	case "image/jpeg":
		return jpeg.DecodeConfig(bytes.NewReader(b))
	default:
		return webp.DecodeConfig(bytes.NewReader(b))
	}
}

func decode(kind string, b []byte) (image.Image, error) {
	switch kind {
	case "image/png":
		return png.Decode(bytes.NewReader(b))
	case "image/jpeg":
		return jpeg.Decode(bytes.NewReader(b))
	default:
		return webp.Decode(bytes.NewReader(b))
	}
}

// fit makes the picture small enough for the box; a picture that fits is only copied,
// which leaves its palette and profile behind.
func fit(img image.Image, box int) image.Image {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if longest := max(w, h); longest > box {
		w, h = max(w*box/longest, 1), max(h*box/longest, 1)
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	if w == b.Dx() && h == b.Dy() {
		draw.Draw(out, out.Bounds(), img, b.Min, draw.Src)
	} else {
		draw.CatmullRom.Scale(out, out.Bounds(), img, b, draw.Src, nil)
	}
	return out
}

// structure walks the container and refuses what is hidden in it: bytes after the
// picture's end are another file's, and a picture of a hundred scans is a bomb.
func structure(o Offer, kind string) error {
	var end, scans int
	switch kind {
	case "image/png":
		end = pngEnd(o.Bytes)
	case "image/jpeg":
		end, scans = jpegEnd(o.Bytes)
	default:
		end = webpEnd(o.Bytes)
	}
	switch {
	case end == 0:
		return o.at(fault.New(fault.Invalid, "upload.broken", fmt.Sprintf("This %s picture cannot be read; it may be cut off. Save it again and upload that.", names[kind])))
	case end < len(o.Bytes):
		return o.at(fault.New(fault.Invalid, "upload.hidden_data", fmt.Sprintf("There are %d bytes behind the picture's end that belong to something else. Save the picture again and upload that.", len(o.Bytes)-end)))
	case scans > maxScans:
		return o.at(fault.New(fault.Invalid, "upload.broken", "This JPEG is cut into so many scans that it takes minutes to show. Save it again and upload that."))
	}
	return nil
}

// pngEnd is the offset behind the IEND chunk; 0: there is none.
func pngEnd(b []byte) int {
	for at := 8; at+12 <= len(b); {
		n := int(binary.BigEndian.Uint32(b[at:]))
		if n > len(b)-at-12 {
			return 0
		}
		kind := string(b[at+4 : at+8])
		if at += 12 + n; kind == "IEND" {
			return at
		}
	}
	return 0
}

// jpegEnd is the offset behind the end marker and the number of scans before it.
func jpegEnd(b []byte) (end, scans int) {
	for at := 2; at+2 <= len(b); {
		if b[at] != 0xff {
			return 0, scans
		}
		marker := b[at+1]
		switch {
		case marker == 0xff: // padding
			at++
			continue
		case marker == 0xd9:
			return at + 2, scans
		case marker == 0x01 || marker >= 0xd0 && marker <= 0xd7:
			at += 2
			continue
		}
		if at+4 > len(b) {
			return 0, scans
		}
		at += 2 + int(binary.BigEndian.Uint16(b[at+2:]))
		if marker != 0xda {
			continue
		}
		scans++
		for at+1 < len(b) && (b[at] != 0xff || b[at+1] == 0 || b[at+1] >= 0xd0 && b[at+1] <= 0xd7) {
			at++
		}
	}
	return 0, scans
}

// webpEnd is the offset behind the RIFF container, with its byte of padding.
func webpEnd(b []byte) int {
	n := int(binary.LittleEndian.Uint32(b[4:])) + 8
	if n > len(b) {
		return 0
	}
	return n + n&1*min(len(b)-n, 1)
}
