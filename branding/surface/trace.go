package surface

import (
	"github.com/gofiber/fiber/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// span begins the trace of a request; what is done for it hangs below, by its context. A
// trace that a visitor names is not gone on with: strangers would choose what is kept.
func (s *Surface) span(c *fiber.Ctx) trace.Span {
	if s.cfg.Tracer == nil {
		return noop.Span{}
	}
	ctx, span := s.cfg.Tracer.Start(c.UserContext(), method(c), trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer))
	c.SetUserContext(ctx)
	return span
}

// describe says on a span what came of its request: by the route's pattern, never by host
// or path, which are people's.
func (s *Surface) describe(c *fiber.Ctx, span trace.Span, pattern string, status int) {
	if !span.IsRecording() {
		return
	}
	span.SetName(method(c) + " " + pattern)
	span.SetAttributes(
		attribute.String("http.request.method", method(c)), attribute.String("http.route", pattern), attribute.Int("http.response.status_code", status),
		attribute.String("ezscale.surface", s.cfg.Name), attribute.String("ezscale.request", RequestID(c)),
	)
	if t, ok := Tenant(c); ok {
		span.SetAttributes(attribute.Int64("ezscale.tenant", t.ID.Number()))
	}
	if status >= fiber.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}
