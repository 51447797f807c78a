package main

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// openTraces sends traces where the configuration says. Without an endpoint every
// tracer in the program does nothing.
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
	otel.SetTracerProvider(provider)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	a.onClose("traces", provider.Shutdown)
	return nil
}
