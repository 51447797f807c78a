package queue_test

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// An attempt of a job is a span of its kind, with whose it is and what came of it.
func TestJobsAreTraced(t *testing.T) {
	w := tenancytest.New(t)
	kept := tracetest.NewInMemoryExporter()
	k := queue.NewWorkers()
	queue.Handle(k, func(_ context.Context, db *tenancy.DB, _ note) error {
		if db.Tenant().ID == w.B.ID {
			return queue.GiveUp(errors.New("no"))
		}
		return nil
	})
	workTraced(t, w, castOf(w.A, w.B, w.C), k, sdktrace.NewTracerProvider(sdktrace.WithSyncer(kept)).Tracer("test"))
	enqueue(t, w, w.A, note{"hello"}, tenancy.JobOptions{})
	enqueue(t, w, w.B, note{"hello"}, tenancy.JobOptions{})
	eventually(t, "both are traced", func() bool { return len(kept.GetSpans()) == 2 })
	for _, s := range kept.GetSpans() {
		said := map[string]string{}
		for _, a := range s.Attributes {
			said[string(a.Key)] = a.Value.String()
		}
		want := map[string]string{w.A.ID.String(): queue.Done, w.B.ID.String(): queue.GivenUp}[said["ezscale.tenant"]]
		if s.Name != "job "+(note{}).Kind() || said["ezscale.outcome"] != want || want == "" || said["ezscale.job"] == "" || (s.Status.Code == codes.Error) != (want == queue.GivenUp) {
			t.Errorf("%s %v %v", s.Name, said, s.Status)
		}
	}
}
