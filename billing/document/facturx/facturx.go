// Package facturx prints a stored document as a hybrid invoice: a PDF that people read,
// with the document's CII inside that programs read (Factur-X 1.0, ZUGFeRD 2, profile
// EN 16931), laid out as PDF/A-3. It owns the joining of the two and what the archive
// format wants besides; pages are billing/document's and the file inside is einvoice's.
package facturx

import (
	"bytes"
	"compress/zlib"
	"crypto/md5" //nolint:gosec // the checksum that the format of PDF asks for
	"crypto/sha256"
	_ "embed" // the colour profile
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/document/einvoice"
)

// sRGB is the profile of the International Color Consortium, by whose terms (see
// LICENSE.color.org) it may be copied and used.
//
//go:embed sRGB2014.icc
var sRGB []byte

// fileName is what the standard calls the file inside.
const fileName = "factur-x.xml"

// PDF prints the document with its CII inside. A document that says too little for an
// electronic invoice is printed plainly, and hybrid is false. The same document and look
// give the same bytes.
func PDF(d document.Document, look document.Look) (pdf []byte, hybrid bool, err error) {
	if pdf, err = document.PDF(d, look); err != nil {
		return nil, false, err
	}
	file, err := einvoice.CII(d)
	var short *einvoice.Incomplete
	if errors.As(err, &short) {
		return pdf, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	pdf, err = attach(pdf, file, d)
	return pdf, err == nil, err
}

var trailer = regexp.MustCompile(`(?s)trailer\s*<<\s*/Size (\d+)\s*/Root (\d+) 0 R\s*/Info (\d+) 0 R\s*>>\s*startxref\s*(\d+)\s*%%EOF\s*$`)

// update is what is written behind a PDF: objects that are new or take another's place.
type update struct {
	bytes.Buffer
	at map[int]int // object to place
}

func (u *update) printf(format string, args ...any) { _, _ = fmt.Fprintf(u, format, args...) }

func (u *update) object(n int, dict string, stream []byte) {
	u.at[n] = u.Len()
	u.printf("%d 0 obj\n%s\n", n, dict)
	if stream != nil {
		u.WriteString("stream\n")
		u.Write(stream)
		u.WriteString("\nendstream\n")
	}
	u.WriteString("endobj\n")
}

// attach writes the file, the metadata and the colour profile behind the pages, as an
// incremental update, which the archive format allows: not a byte of the pages changes.
func attach(pdf, file []byte, d document.Document) ([]byte, error) {
	m := trailer.FindSubmatch(pdf)
	if m == nil {
		return nil, errors.New("facturx: the pages have no trailer")
	}
	number := func(i int) int { n, _ := strconv.Atoi(string(m[i])); return n }
	size, root, info, xref := number(1), number(2), number(3), number(4)
	u := &update{at: map[int]int{}}
	u.Write(pdf)
	if !bytes.HasSuffix(pdf, []byte("\n")) {
		u.WriteByte('\n')
	}
	embedded, spec, meta, profile := size, size+1, size+2, size+3
	when := d.IssuedAt.UTC()
	sum := md5.Sum(file) //nolint:gosec // as above
	packed := deflated(file)
	u.object(embedded, fmt.Sprintf("<< /Type /EmbeddedFile /Subtype /text#2Fxml /Filter /FlateDecode /Length %d /Params << /Size %d /CheckSum <%s> /ModDate (%s) >> >>",
		len(packed), len(file), hex.EncodeToString(sum[:]), pdfTime(when)), packed)
	u.object(spec, fmt.Sprintf("<< /Type /Filespec /F (%s) /UF (%s) /AFRelationship /Alternative /Desc (Factur-X invoice) /EF << /F %d 0 R /UF %d 0 R >> >>",
		fileName, fileName, embedded, embedded), nil)
	about := metadata(d)
	u.object(meta, fmt.Sprintf("<< /Type /Metadata /Subtype /XML /Length %d >>", len(about)), about)
	icc := deflated(sRGB)
	u.object(profile, fmt.Sprintf("<< /N 3 /Alternate /DeviceRGB /Filter /FlateDecode /Length %d >>", len(icc)), icc)
	u.object(root, fmt.Sprintf("<< /Type /Catalog /Version /1.7 /Pages 1 0 R /Lang (en) /Metadata %d 0 R /AF [%d 0 R] /Names << /EmbeddedFiles << /Names [(%s) %d 0 R] >> >> /PageMode /UseAttachments"+
		" /OutputIntents [<< /Type /OutputIntent /S /GTS_PDFA1 /OutputConditionIdentifier (sRGB) /Info (sRGB2014) /DestOutputProfile %d 0 R >>] >>",
		meta, spec, fileName, spec, profile), nil)
	u.object(info, fmt.Sprintf("<< /Title %s /Author %s /Producer (%s) /CreationDate (%s) /ModDate (%s) >>",
		pdfText(title(d)), pdfText(d.Seller.Company), producer, pdfTime(when), pdfTime(when)), nil)
	u.close(root, info, size+4, xref)
	return u.Bytes(), nil
}

// close writes the table of what was added.
func (u *update) close(root, info, size, before int) {
	start := u.Len()
	u.WriteString("xref\n")
	for n := range size {
		if at, ok := u.at[n]; ok {
			u.printf("%d 1\n%010d 00000 n \n", n, at)
		}
	}
	id := sha256.Sum256(u.Bytes())
	name := hex.EncodeToString(id[:16])
	u.printf("trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R /Prev %d /ID [<%s> <%s>] >>\nstartxref\n%d\n%%%%EOF\n", size, root, info, before, name, name, start)
}

const producer = "EZSCALE"

func title(d document.Document) string { return d.Title() + " " + d.Number }

func deflated(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b) // to memory
	_ = w.Close()
	return out.Bytes()
}

func pdfTime(t time.Time) string { return t.Format("D:20060102150405") + "Z" }

// pdfText is a string of any script as PDF writes it.
func pdfText(s string) string {
	var out strings.Builder
	out.WriteString("<FEFF")
	for _, u := range utf16.Encode([]rune(xmlText(s))) {
		fmt.Fprintf(&out, "%04X", u)
	}
	out.WriteByte('>')
	return out.String()
}

// xmlText is text without what XML cannot hold: the title must read the same in the
// document's two descriptions of itself.
func xmlText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0xfffe || r == 0xffff {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func escaped(s string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(xmlText(s))) // to memory
	return out.String()
}

// metadata says what the file is: PDF/A-3, level B, with an invoice of the profile
// EN 16931 inside, and what the words that say so mean.
func metadata(d document.Document) []byte {
	when := d.IssuedAt.UTC().Format("2006-01-02T15:04:05") + "Z"
	var b strings.Builder
	b.WriteString("<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n")
	b.WriteString(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/"><pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance></rdf:Description>
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">` + escaped(title(d)) + `</rdf:li></rdf:Alt></dc:title><dc:creator><rdf:Seq><rdf:li>` + escaped(d.Seller.Company) + `</rdf:li></rdf:Seq></dc:creator></rdf:Description>
<rdf:Description rdf:about="" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"><pdf:Producer>` + producer + `</pdf:Producer></rdf:Description>
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"><xmp:CreateDate>` + when + `</xmp:CreateDate><xmp:ModifyDate>` + when + `</xmp:ModifyDate></rdf:Description>
<rdf:Description rdf:about="" xmlns:fx="urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"><fx:DocumentType>INVOICE</fx:DocumentType><fx:DocumentFileName>` + fileName + `</fx:DocumentFileName><fx:Version>1.0</fx:Version><fx:ConformanceLevel>EN 16931</fx:ConformanceLevel></rdf:Description>
<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/" xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"><pdfaExtension:schemas><rdf:Bag><rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema><pdfaSchema:namespaceURI>urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>
`)
	for _, p := range [][2]string{{"DocumentFileName", "The name of the embedded XML document"}, {"DocumentType", "The type of the hybrid document in capital letters"},
		{"Version", "The version of the standard applying to the embedded XML document"}, {"ConformanceLevel", "The conformance level of the embedded XML document"}} {
		b.WriteString(`<rdf:li rdf:parseType="Resource"><pdfaProperty:name>` + p[0] + `</pdfaProperty:name><pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category><pdfaProperty:description>` + p[1] + "</pdfaProperty:description></rdf:li>\n")
	}
	b.WriteString("</rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas></rdf:Description>\n</rdf:RDF></x:xmpmeta>\n<?xpacket end=\"r\"?>")
	return []byte(b.String())
}
