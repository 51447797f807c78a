package media

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// How much an SVG may hold.
const (
	maxElements = 20_000
	maxDepth    = 64
	maxReused   = 100_000 // elements drawn by use, in all
)

const (
	svgSpace   = "http://www.w3.org/2000/svg"
	xlinkSpace = "http://www.w3.org/1999/xlink"
	xhtmlSpace = "http://www.w3.org/1999/xhtml"
)

// node is one element of the tree that is written anew.
type node struct {
	name     string
	attrs    []xml.Attr // names without a space
	children []*node
	text     string // of a text node: name is empty
	parent   *node
	size     int // elements in it, itself included
}

// looksLikeSVG reports whether the first element is svg.
func looksLikeSVG(b []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(b[:min(len(b), 8<<10)]))
	for range 20 {
		t, err := d.RawToken()
		if err != nil {
			return false
		}
		if e, ok := t.(xml.StartElement); ok {
			return e.Name.Local == "svg"
		}
	}
	return false
}

// cleanSVG reads the picture against the lists in svgallow.go and writes it anew.
// What could act (scripts, handlers, links, things loaded from elsewhere) is refused
// and named; what only an editor needs is left out.
func cleanSVG(o Offer) (made, error) {
	r := &svgReader{offer: o, decoder: xml.NewDecoder(bytes.NewReader(o.Bytes)), ids: map[string]*node{}}
	root, err := r.read()
	if err != nil {
		return made{}, err
	}
	if err := r.checkUses(root); err != nil {
		return made{}, err
	}
	var out bytes.Buffer
	write(&out, root, true)
	m := made{mediaType: "image/svg+xml", bytes: out.Bytes()}
	m.width, m.height = measure(root)
	return m, nil
}

type svgReader struct {
	offer   Offer
	decoder *xml.Decoder
	count   int
	uses    []*node
	ids     map[string]*node
}

func (r *svgReader) line() int {
	line, _ := r.decoder.InputPos()
	return line
}

func (r *svgReader) active(format string, args ...any) error {
	return r.offer.at(fault.New(fault.Invalid, "upload.active_content",
		fmt.Sprintf("Line %d of this SVG has %s, which a picture here must not have. Export it as a plain SVG, or as PNG.", r.line(), fmt.Sprintf(format, args...))))
}

func (r *svgReader) broken(err error) error {
	f := r.offer.at(fault.New(fault.Invalid, "upload.broken", fmt.Sprintf("This SVG cannot be read beyond line %d. Save it as plain SVG in UTF-8.", r.line())))
	fault.From(f).Err = err
	return f
}

func (r *svgReader) read() (*node, error) {
	var root, at *node
	for {
		t, err := r.decoder.Token()
		if errors.Is(err, io.EOF) && root != nil && at == nil {
			return root, nil
		}
		if err != nil {
			return nil, r.broken(err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, r.active("a DOCTYPE or entity")
		case xml.ProcInst:
			if t.Target != "xml" || root != nil {
				return nil, r.active("an instruction for other programs (%.30q)", t.Target)
			}
		case xml.StartElement:
			if root != nil && at == nil {
				return nil, r.broken(errors.New("two roots"))
			}
			n, err := r.start(t, at)
			if err != nil {
				return nil, err
			}
			if n == nil {
				if err := r.skip(); err != nil {
					return nil, err
				}
				continue
			}
			if root == nil {
				root = n
			}
			at = n
		case xml.EndElement:
			at = at.parent
		case xml.CharData:
			if at != nil && svgTexts[at.name] {
				at.children = append(at.children, &node{text: string(t)})
			}
		}
		if at != nil && at.name == "style" {
			if err := r.style(at); err != nil {
				return nil, err
			}
			at = at.parent
		}
	}
}

// start makes the node of an element; nil for one that is left out.
func (r *svgReader) start(t xml.StartElement, parent *node) (*node, error) {
	if r.count++; r.count > maxElements {
		return nil, r.offer.at(fault.New(fault.Invalid, "upload.too_many_elements", "This SVG has more than 20,000 elements. Simplify it, or upload it as PNG."))
	}
	name := t.Name.Local
	lower := strings.ToLower(name)
	if svgActive[lower] || t.Name.Space == xhtmlSpace {
		return nil, r.active("the element <%.40s>", name)
	}
	if err := r.refuseActive(t.Attr); err != nil {
		return nil, err
	}
	ours := t.Name.Space == svgSpace || t.Name.Space == ""
	if parent == nil && (!ours || name != "svg") {
		return nil, r.broken(errors.New("the root is not svg"))
	}
	if !ours || !svgElements[name] {
		return nil, nil
	}
	n := &node{name: name, parent: parent, size: 1}
	depth := 0
	for p := parent; p != nil; p = p.parent {
		p.size++
		depth++
	}
	if depth > maxDepth {
		return nil, r.broken(errors.New("nested too deeply"))
	}
	for _, a := range t.Attr {
		switch {
		case a.Name.Local == "href" && (a.Name.Space == "" || a.Name.Space == xlinkSpace || a.Name.Space == "xlink"):
			n.attrs = append(n.attrs, xml.Attr{Name: xml.Name{Local: "href"}, Value: strings.TrimSpace(a.Value)})
		case a.Name.Space == "" && svgAttributes[a.Name.Local]:
			n.attrs = append(n.attrs, a)
			if a.Name.Local == "id" && r.ids[a.Value] == nil {
				r.ids[a.Value] = n
			}
		}
	}
	if parent != nil {
		parent.children = append(parent.children, n)
	}
	if name == "use" {
		r.uses = append(r.uses, n)
	}
	return n, nil
}

// refuseActive refuses attributes that act, also on elements that would be left out.
func (r *svgReader) refuseActive(attrs []xml.Attr) error {
	for _, a := range attrs {
		name, value := strings.ToLower(a.Name.Local), strings.ToLower(strings.TrimSpace(a.Value))
		switch {
		case a.Name.Space == "xmlns" || name == "xmlns":
		case strings.HasPrefix(name, "on"):
			return r.active("the handler %.40s", a.Name.Local)
		case name == "href" || name == "src":
			if !strings.HasPrefix(value, "#") {
				return r.active("a link to something outside of it (%.60q)", a.Value)
			}
		case name == "style":
			if bad := badStyle(a.Value, false); bad != "" {
				return r.active("a style with %.60s", bad)
			}
		case strings.Contains(value, "javascript:") || strings.Contains(value, "data:"):
			return r.active("a link in %.40s", a.Name.Local)
		case strings.Contains(value, "url") || strings.Contains(value, `\`):
			if svgAttributes[a.Name.Local] && a.Name.Space == "" && name != "id" && name != "class" {
				if bad := badStyle(a.Value, false); bad != "" {
					return r.active("%.60s in %.40s", bad, a.Name.Local)
				}
			}
		}
	}
	return nil
}

// style reads the text of a style element up to its end.
func (r *svgReader) style(n *node) error {
	var text strings.Builder
	for {
		t, err := r.decoder.Token()
		if err != nil {
			return r.broken(err)
		}
		switch t := t.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			if bad := badStyle(text.String(), true); bad != "" {
				return r.active("a style with %.60s", bad)
			}
			n.children = []*node{{text: text.String()}}
			return nil
		case xml.StartElement, xml.Directive, xml.ProcInst:
			return r.active("something within a style")
		}
	}
}

// skip reads over an element that is left out; what acts is refused in there too.
func (r *svgReader) skip() error {
	for depth := 1; depth > 0; {
		t, err := r.decoder.Token()
		if err != nil {
			return r.broken(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			if r.count++; r.count > maxElements {
				return r.broken(errors.New("too many elements"))
			}
			if svgActive[strings.ToLower(t.Name.Local)] || t.Name.Space == xhtmlSpace {
				return r.active("the element <%.40s>", t.Name.Local)
			}
			depth++
		case xml.EndElement:
			depth--
		case xml.Directive, xml.ProcInst:
			return r.active("an instruction for other programs")
		}
	}
	return nil
}

// checkUses keeps small files from drawing millions of shapes: what is reused may not
// reuse anything itself.
func (r *svgReader) checkUses(root *node) error {
	holds := map[*node]bool{} // elements with a use in them
	for _, u := range r.uses {
		for p := u; p != nil; p = p.parent {
			holds[p] = true
		}
	}
	total := 0
	for _, u := range r.uses {
		for _, a := range u.attrs {
			if a.Name.Local != "href" {
				continue
			}
			target := r.ids[strings.TrimPrefix(a.Value, "#")]
			if target == nil {
				continue
			}
			if holds[target] || target == root {
				return r.offer.at(fault.New(fault.Invalid, "upload.active_content", "This SVG reuses shapes that reuse others, which can draw millions from a few lines. Export it with shapes expanded, or as PNG."))
			}
			if total += target.size; total > maxReused {
				return r.offer.at(fault.New(fault.Invalid, "upload.too_many_elements", "This SVG draws more than 100,000 shapes. Simplify it, or upload it as PNG."))
			}
		}
	}
	return nil
}

// write puts the tree down as XML.
func write(out *bytes.Buffer, n *node, root bool) {
	if n.name == "" {
		_ = xml.EscapeText(out, []byte(n.text)) // a buffer takes everything
		return
	}
	out.WriteString("<" + n.name)
	if root {
		out.WriteString(` xmlns="` + svgSpace + `"`)
	}
	for _, a := range n.attrs {
		out.WriteString(" " + a.Name.Local + `="`)
		_ = xml.EscapeText(out, []byte(a.Value))
		out.WriteByte('"')
	}
	if len(n.children) == 0 {
		out.WriteString("/>")
		return
	}
	out.WriteByte('>')
	for _, c := range n.children {
		write(out, c, false)
	}
	out.WriteString("</" + n.name + ">")
}

// measure is the root's size in whole units; 0 when it does not say.
func measure(root *node) (w, h int) {
	number := func(s string) int {
		v, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(s), "px"), 64)
		if err != nil || v < 0 || v > 1e6 {
			return 0
		}
		return int(v)
	}
	for _, a := range root.attrs {
		switch a.Name.Local {
		case "width":
			w = number(a.Value)
		case "height":
			h = number(a.Value)
		}
	}
	if w > 0 && h > 0 {
		return w, h
	}
	for _, a := range root.attrs {
		if box := strings.Fields(strings.ReplaceAll(a.Value, ",", " ")); a.Name.Local == "viewBox" && len(box) == 4 {
			return number(box[2]), number(box[3])
		}
	}
	return 0, 0
}
