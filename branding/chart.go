package branding

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
)

// Point is one bar of a chart.
type Point struct {
	Label string
	Value int64
}

const (
	chartWidth  = 720
	chartHeight = 180
	chartFoot   = 32 // room for the labels below
	chartSide   = 44 // room for the scale on the left
)

// chart draws bars as SVG: no script, and it prints. The page puts the same figures
// into a table behind it, so the drawing is decoration to a screen reader.
func chart(points []Point) template.HTML {
	if len(points) == 0 {
		return ""
	}
	top := int64(1)
	for _, p := range points {
		top = max(top, p.Value)
	}
	top = niceAbove(top)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-hidden="true">`, chartWidth, chartHeight+chartFoot)
	for _, at := range []int64{0, top / 2, top} {
		y := chartHeight - float64(at)/float64(top)*(chartHeight-12)
		fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, chartSide, chartWidth, y, y)
		if at != top/2 || top > 1 {
			fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, chartSide-8, y+4, grouped(at))
		}
	}
	slot := float64(chartWidth-chartSide) / float64(len(points))
	every := (len(points) + 7) / 8
	for i, p := range points {
		height := float64(max(p.Value, 0)) / float64(top) * (chartHeight - 12)
		x := chartSide + slot*float64(i) + slot*.15
		fmt.Fprintf(&b, `<rect class="bar" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s: %s</title></rect>`,
			x, chartHeight-height, min(slot*.7, 48), height, template.HTMLEscapeString(p.Label), strconv.FormatInt(p.Value, 10))
		if i%every == 0 {
			class := ""
			if i/every%2 == 1 {
				class = ` class="every-other"` // a phone, where letters are larger, leaves it out
			}
			fmt.Fprintf(&b, `<text%s x="%.1f" y="%d" text-anchor="middle">%s</text>`, class, x+min(slot*.35, 24), chartHeight+24, template.HTMLEscapeString(p.Label))
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // labels are escaped, the rest are numbers
}

// niceAbove is the least of 2, 5 or 10 times a power of ten that holds n.
func niceAbove(n int64) int64 {
	for size := int64(1); size < 1e17; size *= 10 {
		for _, k := range []int64{2, 5, 10} {
			if n <= k*size {
				return k * size
			}
		}
	}
	return n
}
