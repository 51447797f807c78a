package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/wholesale"
)

// outlookRows is how many rows the page shows; the sums are of all.
const outlookRows = 200

// outlookView is who would sell at a loss after a change, asked before it is saved: the
// form comes with it once more, and says that this was seen.
type outlookView struct {
	What   string // the change, in words
	Action string // where the form goes
	Back   string
	Fields [][2]string
	O      wholesale.Outlook
	Rows   []wholesale.Short
	More   int
}

// confirm shows what a change would do, and reports whether it did: not where nobody loses,
// and not where the person has seen exactly this.
func (s *Console) confirm(c *fiber.Ctx, o wholesale.Outlook, what, back string, fields ...string) (bool, error) {
	if len(o.Rows) == 0 || c.FormValue("seen") == o.Seal() {
		return false, nil
	}
	v := outlookView{What: what, Action: c.Path(), Back: back, O: o, Rows: o.Rows, Fields: [][2]string{{"seen", o.Seal()}}}
	for _, name := range fields {
		v.Fields = append(v.Fields, [2]string{name, table.Text(c.FormValue(name), 400)})
	}
	if len(v.Rows) > outlookRows {
		v.More, v.Rows = len(v.Rows)-outlookRows, v.Rows[:outlookRows]
	}
	return true, surface.Render(c, "console", "console/wholesale_outlook", "Before you save", v)
}
