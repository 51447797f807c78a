package queue

import (
	"context"

	"github.com/riverqueue/river/rivertype"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/ezscale/ezscale/tenancy"
)

// traced begins the trace of one attempt of a job.
func (d *dispatcher) traced(ctx context.Context, row *rivertype.JobRow) context.Context {
	if d.cfg.Tracer == nil {
		return ctx
	}
	ctx, _ = d.cfg.Tracer.Start(ctx, "job "+row.Kind, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer)) // endTrace ends it
	return ctx
}

func endTrace(ctx context.Context, row *rivertype.JobRow, id tenancy.ID, outcome string) {
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.SetAttributes(attribute.Int64("ezscale.job", row.ID), attribute.Int("ezscale.attempt", row.Attempt), attribute.String("ezscale.outcome", outcome))
		if !id.IsZero() {
			span.SetAttributes(attribute.Int64("ezscale.tenant", id.Number()))
		}
		if outcome == Failed || outcome == Dead || outcome == GivenUp {
			span.SetStatus(codes.Error, outcome)
		}
	}
	span.End()
}
