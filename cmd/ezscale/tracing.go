package main

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// openTraces sends a trace of each request and each job where the configuration says.
// Without an endpoint there is no tracer.
func (a *app) openTraces(ctx context.Context) error {
	if a.cfg.Trace.Endpoint == "" {
		return nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(a.cfg.Trace.Endpoint, "/")+"/v1/traces"))
	if err != nil {
		return fmt.Errorf("exporter: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(a.cfg.Trace.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "ezscale"), attribute.String("service.version", buildInfo().Version))),
	)
	a.tracer = provider.Tracer("ezscale")
	a.onClose("traces", provider.Shutdown)
	return nil
}
