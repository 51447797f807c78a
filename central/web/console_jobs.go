package web

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
)

type jobRow struct {
	queue.JobView
	Status map[string]any
	Error  string // of the last attempt, its first line
}

type stateTab struct {
	Href, Label string
	Active      bool
}

type jobsView struct {
	List table.Request
	Tabs []stateTab
	Rows []jobRow
	Next string
	Any  bool // is there any job at all
}

const jobsPage = 50

func jobStatus(s queue.State) map[string]any {
	kind := map[queue.State]string{queue.StateDead: "bad", queue.StateRetrying: "warn", queue.StateRunning: "busy", queue.StateWaiting: "info",
		queue.StateLater: "idle", queue.StateDone: "good"}[s]
	if kind == "" || s == "" {
		return office.Status("idle", string(s))
	}
	return office.Status(kind, strings.ToUpper(string(s[:1]))+string(s[1:]))
}

func row(j queue.JobView) jobRow {
	line, _, _ := strings.Cut(j.LastError(), "\n")
	return jobRow{j, jobStatus(j.State), line}
}

var errNoQueue = fault.New(fault.Unavailable, "job.no_queue", "This process has no view on the queue.")

func (s *Console) listJobs(c *fiber.Ctx) error {
	if s.Office.Jobs == nil {
		return errNoQueue
	}
	r := table.Read(c, "state", "tenant")
	f := queue.Filter{State: queue.State(r.Filters["state"]), Kind: r.Text, Before: table.ReadBefore(c), Limit: jobsPage}
	if id, err := tenancy.ParseID(r.Filters["tenant"]); err == nil {
		f.Tenant = id
	}
	counts, err := s.Office.Jobs.Count(c.UserContext())
	if err != nil {
		return err
	}
	v := jobsView{List: r, Tabs: []stateTab{{r.With("state", ""), "All", f.State == ""}}}
	known := f.State == ""
	for _, state := range queue.States() {
		label := jobStatus(state)["Text"].(string)
		if n := counts[state]; n > 0 {
			label, v.Any = fmt.Sprintf("%s (%d)", label, n), true
		}
		known = known || state == f.State
		v.Tabs = append(v.Tabs, stateTab{r.With("state", string(state)), label, f.State == state})
	}
	if !known {
		f.State = ""
	}
	if r.CSV {
		f.Limit = 200
	}
	found, err := s.Office.Jobs.List(c.UserContext(), f)
	if err != nil {
		return err
	}
	if r.CSV {
		return jobsCSV(c, found)
	}
	for _, j := range found {
		v.Rows = append(v.Rows, row(j))
	}
	if len(found) == jobsPage {
		v.Next = r.Before(found[len(found)-1].ID)
	}
	return surface.Render(c, "console", "console/jobs", "Jobs", v)
}

func jobsCSV(c *fiber.Ctx, found []queue.JobView) error {
	rows := make([][]string, len(found))
	for i, j := range found {
		tenant := ""
		if !j.Tenant.IsZero() {
			tenant = j.Tenant.String()
		}
		rows[i] = []string{strconv.FormatInt(j.ID, 10), j.Kind, tenant, string(j.State), strconv.Itoa(j.Attempt), j.LastError(), table.Time(j.CreatedAt), table.Time(j.DueAt), table.Time(j.EndedAt)}
	}
	return table.CSV(c, "jobs", []string{"number", "kind", "tenant", "state", "attempt", "error", "created", "due", "ended"}, rows)
}

type jobView struct {
	Job           jobRow
	Args          string
	Retry, Cancel bool
	Attempts      []queue.AttemptError // newest first
}

func (s *Console) job(c *fiber.Ctx) (queue.JobView, error) {
	if s.Office.Jobs == nil {
		return queue.JobView{}, errNoQueue
	}
	id, err := strconv.ParseInt(c.Params("job"), 10, 64)
	if err != nil || id <= 0 {
		return queue.JobView{}, fault.New(fault.NotFound, "job.not_found", "There is no such job. Finished jobs are kept for a day.")
	}
	return s.Office.Jobs.Get(c.UserContext(), id)
}

func (s *Console) showJob(c *fiber.Ctx) error {
	j, err := s.job(c)
	if err != nil {
		return err
	}
	v := jobView{Job: row(j)}
	if args, err := json.MarshalIndent(j.Args, "", "  "); err == nil {
		v.Args = string(args)
	}
	for i := len(j.Errors) - 1; i >= 0; i-- {
		v.Attempts = append(v.Attempts, j.Errors[i])
	}
	v.Retry = j.State == queue.StateDead || j.State == queue.StateRetrying || j.State == queue.StateLater
	v.Cancel = j.State != queue.StateDead && j.State != queue.StateDone
	return surface.Render(c, "console", "console/job", "Job "+strconv.FormatInt(j.ID, 10), v)
}

func (s *Console) retryJob(c *fiber.Ctx) error {
	return s.operate(c, "job.retried", "The job is due now.", Jobs.Retry)
}

func (s *Console) cancelJob(c *fiber.Ctx) error {
	return s.operate(c, "job.cancelled", "The job is cancelled.", Jobs.Cancel)
}

// operate does something to a job and writes it down. The queue is another login's:
// the entry follows in a transaction of its own.
func (s *Console) operate(c *fiber.Ctx, action, said string, do func(Jobs, context.Context, int64) (queue.JobView, error)) error {
	j, err := s.job(c)
	if err != nil {
		return err
	}
	back := "/jobs/" + strconv.FormatInt(j.ID, 10)
	if _, err := do(s.Office.Jobs, c.UserContext(), j.ID); err != nil {
		return office.Refused(c, err, back)
	}
	by := office.By(c)
	err = s.Central.Update(c.UserContext(), func(tx *tenancy.CentralTx) error {
		return by.Record(c.UserContext(), tx, action, audit.Target{Kind: "job", ID: strconv.FormatInt(j.ID, 10)}, map[string]any{"kind": j.Kind})
	})
	if err != nil {
		return err
	}
	return surface.Redirect(c, back, said)
}
