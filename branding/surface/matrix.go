package surface

import (
	"fmt"
	"sort"
	"strings"

	"github.com/ezscale/ezscale/tenancy/identity"
)

// Matrix is who may use which route, one line a route: method, path, the permission
// it names, and the roles of the area's world that have it. It is kept in a golden
// file, so that no route changes hands unseen.
func Matrix(areas []Area, routes []Route) (string, error) {
	s := Surface{areas: append([]Area(nil), areas...)}
	sort.SliceStable(s.areas, func(i, j int) bool { return len(s.areas[i].Prefix) > len(s.areas[j].Prefix) })
	lines := make([]string, 0, len(routes))
	for _, r := range routes {
		area := s.areaOf(r.Path)
		if area == nil {
			return "", fmt.Errorf("%s %s lies in no area", r.Method, r.Path)
		}
		var roles []string
		for _, role := range identity.Roles(area.World) {
			if (identity.Principal{World: area.World, Role: role}).May(r.Needs) {
				roles = append(roles, string(role))
			}
		}
		who := string(area.World) + ": " + strings.Join(roles, ", ")
		if r.Needs == identity.Public {
			who = "everybody"
		}
		lines = append(lines, fmt.Sprintf("%-6s %-60s %-18s %s", r.Method, r.Path, r.Needs, who))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n") + "\n", nil
}
