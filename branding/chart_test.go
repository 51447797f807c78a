package branding

import (
	"encoding/xml"
	"strings"
	"testing"
)

// TestChart: bars of two series share a scale, a loss hangs below nothing, and labels cannot
// leave the drawing.
func TestChart(t *testing.T) {
	drawn := string(chart([]Point{{"Nov <26>", -40}, {"Dec 26", 100}}, []Point{{"Nov <26>", 50}, {"Dec 26", 25}}))
	var svg struct {
		Bars []struct {
			Class  string  `xml:"class,attr"`
			Y      float64 `xml:"y,attr"`
			Height float64 `xml:"height,attr"`
			Title  string  `xml:"title"`
		} `xml:"rect"`
	}
	if err := xml.NewDecoder(strings.NewReader(drawn)).Decode(&svg); err != nil {
		t.Fatalf("%v in %s", err, drawn)
	}
	if len(svg.Bars) != 4 {
		t.Fatalf("%d bars: %s", len(svg.Bars), drawn)
	}
	loss, full, half, quarter := svg.Bars[0], svg.Bars[1], svg.Bars[2], svg.Bars[3]
	zero := full.Y + full.Height
	if !near(loss.Y, zero) || loss.Height <= 0 || !near(half.Y+half.Height, zero) {
		t.Errorf("a loss begins at %.1f, nothing is at %.1f: %s", loss.Y, zero, drawn)
	}
	if !near(full.Height, 2*half.Height) || !near(half.Height, 2*quarter.Height) {
		t.Errorf("100, 50 and 25 are %.1f, %.1f and %.1f high", full.Height, half.Height, quarter.Height)
	}
	if full.Class == half.Class || loss.Title != "Nov <26>: -40" {
		t.Errorf("%+v", svg.Bars)
	}
	if chart(nil) != "" || chart(nil, nil) != "" {
		t.Error("nothing is drawn as something")
	}
}

func near(a, b float64) bool { return a-b < .2 && b-a < .2 }
