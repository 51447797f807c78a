package document

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // logos
	"image/png"
	"strconv"
	"strings"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	_ "golang.org/x/image/webp" // logos
)

// Look is how a shop's documents look. The zero Look is plain.
type Look struct {
	Color string // of titles and rules, #rrggbb; empty: dark grey
	Logo  []byte // PNG, JPEG or WebP; what is none of them is left out
	Name  string // stands where there is no logo; empty: the seller's
}

// Measures of the page in millimetres: A4, the address where windows of envelopes are.
const (
	pageW, pageH       = 210.0, 297.0
	left, right        = 20.0, 190.0
	addressY, bodyY    = 45.0, 95.0
	footerY            = 270.0
	lineH              = 4.8
	colQty, colUnit    = 118.0, 132.0
	colTax, colNet     = 155.0, 168.0
	descriptionWidth   = colQty - left - 4
	maxLogoW, maxLogoH = 55.0, 18.0
)

// PDF prints the document on A4. The same document and look give the same bytes. Its
// letters are those of Latin, Greek and Cyrillic scripts; of others a box is printed.
func PDF(d Document, look Look) ([]byte, error) {
	p := &printer{Fpdf: fpdf.New("P", "mm", "A4", ""), d: d, look: look}
	p.SetCatalogSort(true)
	p.SetCreationDate(d.IssuedAt.UTC())
	p.SetModificationDate(d.IssuedAt.UTC())
	p.SetTitle(plain(d.Title()+" "+d.Number), true)
	p.SetAuthor(plain(d.Seller.Company), true)
	p.SetLang("en")
	p.AddUTF8FontFromBytes("go", "", goregular.TTF)
	p.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	p.SetMargins(left, 20, pageW-right)
	p.SetAutoPageBreak(false, 0)
	p.SetCellMargin(0)
	p.AliasNbPages("{pages}")
	p.SetFooterFunc(p.footer)
	p.AddPage()
	p.head()
	p.parties()
	p.facts()
	p.lines()
	p.totals()
	p.words()
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("print %s: %w", d.Number, err)
	}
	return out.Bytes(), nil
}

// printer lays one document out.
type printer struct {
	*fpdf.Fpdf
	d    Document
	look Look
}

func (p *printer) font(style string, size float64) { p.SetFont("go", style, size) }

func (p *printer) ink()   { p.SetTextColor(28, 30, 34) }
func (p *printer) faint() { p.SetTextColor(100, 104, 112) }

// colour is the shop's, or dark grey.
func (p *printer) colour() (r, g, b int) {
	if s := strings.TrimPrefix(p.look.Color, "#"); len(s) == 6 {
		if n, err := strconv.ParseUint(s, 16, 32); err == nil {
			return int(n >> 16 & 255), int(n >> 8 & 255), int(n & 255)
		}
	}
	return 58, 63, 71
}

// at writes text with its baseline box at x, y, aligned in a width.
func (p *printer) at(x, y, w float64, align, s string) {
	p.SetXY(x, y)
	p.CellFormat(w, lineH, plain(s), "", 0, align, false, 0, "")
}

func (p *printer) head() {
	if !p.logo() {
		name := p.look.Name
		if name == "" {
			name = p.d.Seller.Company
		}
		p.font("B", 15)
		p.SetTextColor(p.colour())
		p.SetXY(left, 18)
		p.CellFormat(100, 8, p.fit(name, 100), "", 0, "L", false, 0, "")
	}
	p.font("B", 17)
	p.ink()
	p.SetXY(110, 18)
	p.CellFormat(right-110, 8, p.d.Title(), "", 0, "R", false, 0, "")
	p.font("", 9.5)
	p.faint()
	p.at(110, 26.5, right-110, "R", p.d.Number)
}

// logo places the picture and reports whether there was one.
func (p *printer) logo() bool {
	if len(p.look.Logo) == 0 || len(p.look.Logo) > 4<<20 {
		return false
	}
	cfg, _, err := image.DecodeConfig(bytes.NewReader(p.look.Logo))
	if err != nil || cfg.Width < 1 || cfg.Height < 1 || cfg.Width*cfg.Height > 16<<20 {
		return false
	}
	picture, _, err := image.Decode(bytes.NewReader(p.look.Logo))
	if err != nil {
		return false
	}
	// On paper, eight bits, no layers: whatever the file was, the printer takes this.
	flat := image.NewRGBA(picture.Bounds())
	draw.Draw(flat, flat.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(flat, flat.Bounds(), picture, picture.Bounds().Min, draw.Over)
	var file bytes.Buffer
	if err := png.Encode(&file, flat); err != nil {
		return false
	}
	w, h := maxLogoW, maxLogoW*float64(cfg.Height)/float64(cfg.Width)
	if h > maxLogoH {
		w, h = maxLogoH*float64(cfg.Width)/float64(cfg.Height), maxLogoH
	}
	p.RegisterImageOptionsReader("logo", fpdf.ImageOptions{ImageType: "PNG"}, &file)
	p.ImageOptions("logo", left, 15, w, h, false, fpdf.ImageOptions{ImageType: "PNG"}, 0, "")
	return !p.Err()
}

func (p *printer) parties() {
	s := p.d.Seller
	p.font("", 7)
	p.faint()
	p.at(left, addressY, 85, "L", p.fit(strings.Join(s.Address(), " · "), 85))
	p.font("", 10)
	p.ink()
	y := addressY + 6
	for _, l := range p.d.Buyer.Address() {
		for _, piece := range p.broken(l, 85) {
			if y > bodyY-12 {
				break
			}
			p.at(left, y, 85, "L", piece)
			y += lineH
		}
	}
	if id := p.d.Buyer.TaxID; id != "" {
		p.font("", 9)
		p.faint()
		p.at(left, y+0.6, 85, "L", "Tax id: "+id)
	}
}

// facts stand to the right of the address.
func (p *printer) facts() {
	d := p.d
	rows := [][2]string{{d.Title() + " number", d.Number}, {"Date", d.Day(d.IssuedAt)}}
	switch d.Kind {
	case Invoice:
		rows = append(rows, [2]string{"Due", d.Day(d.DueAt)})
	case ProForma:
		rows = [][2]string{{"Drawn up on", d.Day(d.IssuedAt)}}
	}
	if c := d.Corrects; c != nil {
		rows = append(rows, [2]string{"For invoice", c.Number}, [2]string{"of", d.Day(c.IssuedAt)})
	}
	if d.CustomerNo != "" {
		rows = append(rows, [2]string{"Customer number", d.CustomerNo})
	}
	if d.Seller.TaxID != "" {
		rows = append(rows, [2]string{"Our tax id", d.Seller.TaxID})
	}
	y := addressY + 6
	for _, r := range rows {
		p.font("", 9)
		p.faint()
		p.at(115, y, 35, "L", r[0])
		p.ink()
		p.at(145, y, right-145, "R", p.fit(r[1], right-145))
		y += lineH + 0.4
	}
	p.SetY(max(bodyY, y+6))
}

// lineHead is the head of the table, on each page anew.
func (p *printer) lineHead() {
	y := p.GetY()
	p.font("B", 8.5)
	p.ink()
	p.at(left, y, descriptionWidth, "L", "Description")
	p.at(colQty-4, y, 14, "R", "Quantity")
	p.at(colUnit, y, 20, "R", "Unit price")
	p.at(colTax, y, 12, "R", "Tax")
	p.at(colNet, y, right-colNet, "R", "Net "+p.d.Currency)
	p.rule(y+lineH+1, 0.5)
	p.SetY(y + lineH + 2.5)
}

func (p *printer) rule(y, width float64) {
	r, g, b := p.colour()
	p.SetDrawColor(r, g, b)
	p.SetLineWidth(width)
	p.Line(left, y, right, y)
}

// room turns the page when less than h is left on it, and reports whether it did.
func (p *printer) room(h float64) bool {
	if p.GetY()+h <= footerY-4 {
		return false
	}
	p.AddPage()
	p.font("", 8.5)
	p.faint()
	p.at(left, 18, 100, "L", p.d.Title()+" "+p.d.Number)
	p.SetY(28)
	return true
}

func (p *printer) lines() {
	p.lineHead()
	for _, l := range p.d.Lines {
		p.font("", 9.5)
		pieces, span := p.broken(l.Description, descriptionWidth), p.d.Span(l)
		h := float64(len(pieces))*lineH + 2.4
		if span != "" {
			h += lineH - 0.6
		}
		if p.room(h) {
			p.lineHead()
		}
		y := p.GetY()
		p.font("", 9.5)
		p.ink()
		for i, piece := range pieces {
			p.at(left, y+float64(i)*lineH, descriptionWidth, "L", piece)
		}
		p.at(colQty-4, y, 14, "R", strconv.FormatInt(l.Quantity, 10))
		p.at(colUnit, y, 20, "R", p.number(l.UnitMinor))
		p.at(colTax, y, 12, "R", Rate(p.d.Taxes[l.Tax].Ppm))
		p.at(colNet, y, right-colNet, "R", p.number(l.NetMinor))
		if span != "" {
			p.font("", 8)
			p.faint()
			p.at(left, y+float64(len(pieces))*lineH-0.4, descriptionWidth, "L", span)
		}
		p.SetDrawColor(222, 224, 228)
		p.SetLineWidth(0.15)
		p.Line(left, y+h-0.9, right, y+h-0.9)
		p.SetY(y + h)
	}
}

func (p *printer) number(minor int64) string { return p.d.money(minor).FormatNumber(p.d.Locale) }

func (p *printer) totals() {
	p.room(float64(len(p.d.Taxes)+3)*(lineH+1) + 8)
	p.SetY(p.GetY() + 2)
	row := func(label, value string) {
		y := p.GetY()
		p.at(95, y, colNet-95, "R", label)
		p.at(colNet-6, y, right-colNet+6, "R", value)
		p.SetY(y + lineH + 1)
	}
	p.font("", 9.5)
	p.ink()
	row("Net", p.number(p.d.NetMinor))
	for _, t := range p.d.Taxes {
		if t.Ppm == 0 && t.Note == "" && len(p.d.Taxes) == 1 {
			continue // nothing to say: no tax applies
		}
		row(t.Label()+" on "+p.number(t.NetMinor), p.number(t.TaxMinor))
	}
	if t := p.d.TaxIn; t != nil {
		row("Tax in "+t.Currency, t.Money().FormatNumber(p.d.Locale))
	}
	y := p.GetY() + 0.5
	r, g, b := p.colour()
	p.SetDrawColor(r, g, b)
	p.SetLineWidth(0.5)
	p.Line(110, y, right, y)
	p.SetY(y + 1.8)
	p.font("B", 11)
	row("Total "+p.d.Currency, p.number(p.d.TotalMinor))
	p.SetY(p.GetY() + 5)
}

// ProFormaWords stand on every pro-forma invoice.
const ProFormaWords = "This is no invoice: it has no number, is not owed and gives no right to deduct tax. It says what an invoice drawn up today would."

// words are the sentences below the totals.
func (p *printer) words() {
	var all []string
	if p.d.Kind == Invoice && p.d.TotalMinor > 0 {
		all = append(all, p.d.Terms()+" Who pays by bank transfer gives the number "+p.d.Number+" as reference.")
	}
	if p.d.Kind == ProForma {
		all = append(all, ProFormaWords)
	}
	if p.d.Reason != "" {
		all = append(all, "Reason: "+p.d.Reason)
	}
	all = append(all, p.d.Notes()...)
	p.paragraphs(all)
	if p.d.Footer != "" {
		p.paragraphs(strings.Split(p.d.Footer, "\n"))
	}
}

// footer says on every page who sells, and which page it is.
func (p *printer) footer() {
	s := p.d.Seller
	p.SetDrawColor(222, 224, 228)
	p.SetLineWidth(0.15)
	p.Line(left, footerY, right, footerY)
	p.font("", 7.5)
	p.faint()
	columns := [][]string{s.Address(), {s.Email, s.Phone, s.Website}, nil}
	if s.TaxID != "" {
		columns[2] = []string{"Tax id " + s.TaxID}
	}
	for i, lines := range columns {
		y := footerY + 2
		for _, l := range lines {
			if l == "" || y > pageH-12 {
				continue
			}
			p.at(left+float64(i)*57, y, 55, "L", p.fit(l, 55))
			y += 3.6
		}
	}
	p.at(right-16, pageH-14, 16, "L", fmt.Sprintf("Page %d of {pages}", p.PageNo()))
}
