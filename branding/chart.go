package branding

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
)

// Point is one bar of a chart; one below nothing hangs from the line of nothing.
type Point struct {
	Label string
	Value int64
}

const (
	chartWidth  = 720
	chartHeight = 180
	chartFoot   = 32 // room for the labels below
	chartSide   = 44 // room for the scale on the left
	chartHead   = 12 // room for the highest number
)

// scale is what a chart's height stands for.
type scale struct{ low, high int64 }

func (s scale) y(v int64) float64 {
	return chartHead + float64(s.high-v)/float64(s.high-s.low)*(chartHeight-chartHead)
}

// chart draws bars as SVG: no script, and it prints. A second series stands beside the
// first, point by point, by the same scale. The page puts the same figures into a table
// behind it, so the drawing is decoration to a screen reader.
func chart(points []Point, beside ...[]Point) template.HTML {
	all := append([][]Point{points}, beside...)
	labels, s := points, scale{0, 1}
	for _, series := range all {
		if len(series) > len(labels) {
			labels = series
		}
		for _, p := range series {
			s = scale{min(s.low, p.Value), max(s.high, p.Value)}
		}
	}
	if len(labels) == 0 {
		return ""
	}
	s.high = niceAbove(s.high)
	if s.low < 0 {
		s.low = -niceAbove(-s.low)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-hidden="true">`, chartWidth, chartHeight+chartFoot)
	for _, at := range s.lines() {
		fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, chartSide, chartWidth, s.y(at), s.y(at))
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`, chartSide-8, s.y(at)+4, grouped(at))
	}
	slot := float64(chartWidth-chartSide) / float64(len(labels))
	wide := min(slot*.7, 48*float64(len(all)))
	for n, series := range all {
		for i, p := range series {
			from, to := s.y(max(p.Value, 0)), s.y(min(p.Value, 0))
			fmt.Fprintf(&b, `<rect class="bar bar-%d" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"><title>%s: %s</title></rect>`,
				n+1, chartSide+slot*(float64(i)+.15)+wide/float64(len(all))*float64(n), from, wide/float64(len(all)), to-from, template.HTMLEscapeString(p.Label), strconv.FormatInt(p.Value, 10))
		}
	}
	every := (len(labels) + 7) / 8
	for i, p := range labels {
		if i%every != 0 {
			continue
		}
		class := "below"
		if i/every%2 == 1 {
			class += " every-other" // a phone, where letters are larger, leaves it out
		}
		fmt.Fprintf(&b, `<text class="%s" x="%.1f" y="%d" text-anchor="middle">%s</text>`, class, chartSide+slot*(float64(i)+.15)+wide/2, chartHeight+24, template.HTMLEscapeString(p.Label))
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // labels are escaped, the rest are numbers
}

// lines are where the scale is written: its ends, nothing, and halfway up.
func (s scale) lines() []int64 {
	at := []int64{0}
	if s.high > 1 {
		at = append(at, s.high/2)
	}
	if s.low < 0 {
		at = append(at, s.low)
	}
	return append(at, s.high)
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
