package office

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Trail is the page about what was done.
type Trail struct {
	Path   string // /audit or /manage/activity
	Layout string
	Title  string
	Lead   string
	Needs  identity.Permission
	Plane  func(*fiber.Ctx) identity.Plane
	// Href leads to what an entry is about; empty: nowhere.
	Href func(audit.Target) string
}

// Routes are the page's routes.
func (t *Trail) Routes() []surface.Route {
	return []surface.Route{{Method: "GET", Path: t.Path, Needs: t.Needs, Handler: t.show}}
}

// EntryView is an entry of a trail as people read it.
type EntryView struct {
	Seq       int64
	At        time.Time
	Actor     string
	ActorKind string
	Action    string // in words
	Code      string
	Target    string
	Href      string
	Detail    []Pair
	IP        string
	RequestID string
}

// Pair is one thing a detail says.
type Pair struct{ Name, Value string }

type trailView struct {
	Title, Lead string
	List        table.Request
	Entries     []EntryView
	Actions     []string // families of actions, for the filter
	Next        string
}

const trailPage = 50

func (t *Trail) show(c *fiber.Ctx) error {
	r := table.Read(c, "actor", "action", "target", "from", "until")
	f := audit.Filter{Actor: r.Filters["actor"], Action: r.Filters["action"], Before: table.ReadBefore(c), Limit: trailPage}
	f.From, f.Until = table.Day(r.Filters["from"]), table.Day(r.Filters["until"])
	if !f.Until.IsZero() {
		f.Until = f.Until.AddDate(0, 0, 1) // the day itself counts
	}
	if kind, id, ok := strings.Cut(r.Filters["target"], ":"); ok {
		f.TargetKind, f.TargetID = kind, id
	} else {
		f.TargetID = kind
	}
	if r.CSV {
		return t.csv(c, f)
	}
	found, err := t.read(c, f)
	if err != nil {
		return err
	}
	v := trailView{Title: t.Title, Lead: t.Lead, List: r, Entries: Entries(found, t.Href)}
	if len(found) == trailPage {
		v.Next = r.Before(found[len(found)-1].Seq)
	}
	return surface.Render(c, t.Layout, "office/trail", t.Title, v)
}

func (t *Trail) read(c *fiber.Ctx, f audit.Filter) (found []audit.Recorded, err error) {
	err = t.Plane(c).View(c.UserContext(), func(tx tenancy.Statements) error {
		found, err = audit.List(c.UserContext(), tx, f)
		return err
	})
	return found, err
}

func (t *Trail) csv(c *fiber.Ctx, f audit.Filter) error {
	var rows [][]string
	f.Limit = audit.MaxPage
	for len(rows) < table.CSVRows {
		found, err := t.read(c, f)
		if err != nil {
			return err
		}
		for _, e := range found {
			detail, err := json.Marshal(e.Detail)
			if err != nil {
				return err
			}
			rows = append(rows, []string{fmt.Sprint(e.Seq), table.Time(e.At), e.Actor.Kind, e.Actor.ID, e.Actor.Name, e.Action,
				e.Target.Kind, e.Target.ID, string(detail), e.IP, e.RequestID, fmt.Sprintf("%x", e.Hash)})
		}
		if len(found) < audit.MaxPage {
			break
		}
		f.Before = found[len(found)-1].Seq
	}
	return table.CSV(c, "trail", []string{"number", "at", "actor kind", "actor id", "actor", "action", "target kind", "target id", "detail", "address", "request", "hash"}, rows)
}

// Entries are recorded entries as people read them.
func Entries(found []audit.Recorded, href func(audit.Target) string) []EntryView {
	out := make([]EntryView, len(found))
	for i, e := range found {
		out[i] = EntryView{
			Seq: e.Seq, At: e.At, Actor: e.Actor.Name, ActorKind: e.Actor.Kind, Action: words(e.Action), Code: e.Action,
			Target: strings.TrimSpace(e.Target.Kind + " " + e.Target.ID), Detail: pairs(e.Detail), IP: e.IP, RequestID: e.RequestID,
		}
		if href != nil {
			out[i].Href = href(e.Target)
		}
	}
	return out
}

// words reads "tenant.maintenance_started" as "Tenant: maintenance started".
func words(action string) string {
	noun, deed, _ := strings.Cut(action, ".")
	if noun == "" {
		return action
	}
	return strings.ToUpper(noun[:1]) + noun[1:] + ": " + strings.ReplaceAll(deed, "_", " ")
}

func pairs(detail map[string]any) []Pair {
	out := make([]Pair, 0, len(detail))
	for name, value := range detail {
		text := fmt.Sprint(value)
		if m, ok := value.(map[string]any); ok {
			if from, to := m["from"], m["to"]; from != nil && to != nil && len(m) == 2 {
				text = fmt.Sprintf("%v → %v", from, to)
			}
		}
		out = append(out, Pair{strings.ReplaceAll(name, "_", " "), text})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
