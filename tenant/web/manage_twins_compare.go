package web

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/twin"
)

type comparedView struct {
	A, B       twinRow
	AR, BR     twin.Report
	Rows       []comparedRow
	Sum        comparedRow
	AP, BP     []branding.Point // received
	AM, BM     []branding.Point // margin, where it is known of both
	Comparable bool             // of one currency, and standing at one day
}

type comparedRow struct {
	Label string
	A, B  twin.Month
}

// compareTwins handles GET /manage/twins/compare?a=…&b=….
func (s *Site) compareTwins(c *fiber.Ctx) error {
	t, _ := surface.Tenant(c)
	kept, err := s.twins()
	if err != nil {
		return err
	}
	var v comparedView
	if c.Query("a") == "" || c.Query("b") == "" {
		return surface.Redirect(c, "/manage/twins", "Choose two twins to compare.")
	}
	for _, side := range []struct {
		param  string
		row    *twinRow
		report *twin.Report
	}{{"a", &v.A, &v.AR}, {"b", &v.B, &v.BR}} {
		id, err := uuid.Parse(c.Query(side.param))
		if err != nil {
			return fault.New(fault.NotFound, "twin.unknown", "There is no such twin.")
		}
		x, err := kept.Get(c.UserContext(), t.ID, id)
		if err != nil {
			return err
		}
		*side.row = rowOf(x)
		if *side.report, err = kept.Report(c.UserContext(), t.ID, id); err != nil {
			return err
		}
	}
	months := map[string]*comparedRow{}
	for i, r := range []twin.Report{v.AR, v.BR} {
		for _, m := range r.Months {
			label := m.From.Format("January 2006")
			row := months[label]
			if row == nil {
				v.Rows = append(v.Rows, comparedRow{Label: label})
				row = &v.Rows[len(v.Rows)-1]
				months = rowsByLabel(v.Rows)
			}
			if i == 0 {
				row.A = m
			} else {
				row.B = m
			}
		}
	}
	v.Sum = comparedRow{"Together", v.AR.Sum, v.BR.Sum}
	v.AP, v.BP = pointsOfTwin(v.AR, receivedOf), pointsOfTwin(v.BR, receivedOf)
	if am, bm := pointsOfTwin(v.AR, marginOf), pointsOfTwin(v.BR, marginOf); am != nil && bm != nil {
		v.AM, v.BM = am, bm
	}
	v.Comparable = v.A.Now.UTC().Format(time.DateOnly) == v.B.Now.UTC().Format(time.DateOnly) && v.AR.Currency == v.BR.Currency
	return surface.Render(c, "manage", "manage/twins-compare", "Two twins", v)
}

// rowsByLabel finds rows by their label, where they are now.
func rowsByLabel(rows []comparedRow) map[string]*comparedRow {
	all := make(map[string]*comparedRow, len(rows))
	for i := range rows {
		all[rows[i].Label] = &rows[i]
	}
	return all
}
