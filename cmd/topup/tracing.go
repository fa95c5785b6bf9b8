package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// tracing follows each job from the call that submits it to its POST: enqueue → handle →
// POST, over the headers of its tasks. A nil tracing is off and costs nothing. Spans hold the
// job's id and words of bounded sets; nothing of a request, an answer or an error's text.
type tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	// carrier leaves out baggage: a caller may have put a number into it.
	carrier propagation.TraceContext
}

// newTracing is nil unless OTEL_EXPORTER_OTLP_ENDPOINT says where traces go, by OTLP over
// HTTP. The other OTEL_ variables are OpenTelemetry's own.
func newTracing(ctx context.Context, log *slog.Logger) (*tracing, error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return nil, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("traces are lost", "error", err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, usage(fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT: %w", err))
	}
	own := resource.NewSchemaless(attribute.String("service.name", cmp.Or(os.Getenv("OTEL_SERVICE_NAME"), "topup")))
	fromEnvironment, err := resource.New(ctx, resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, usage(fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err))
	}
	all, err := resource.Merge(own, fromEnvironment)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(all))
	return &tracing{provider: provider, tracer: provider.Tracer("example.com/topup")}, nil
}

// close sends off what is left.
func (t *tracing) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second) // the command's own has ended
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the error handler was told
}

func ofJob(id string) attribute.KeyValue { return attribute.String("topup.job", id) }

// enqueueing is the hook of [enqueue.ClientConfig]; nil where traces are off.
func (t *tracing) enqueueing() func(ctx context.Context, id string) map[string]string {
	if t == nil {
		return nil
	}
	return func(ctx context.Context, id string) map[string]string {
		ctx, span := t.tracer.Start(ctx, "topup enqueue", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(ofJob(id)))
		defer span.End()
		return t.Headers(ctx)
	}
}

// Headers implements [worker.Tracer].
func (t *tracing) Headers(ctx context.Context) map[string]string {
	headers := propagation.MapCarrier{}
	t.carrier.Inject(ctx, headers)
	return headers
}

// Task implements [worker.Tracer].
func (t *tracing) Task(ctx context.Context, headers map[string]string, queue, job string) (context.Context, func(string, bool)) {
	ctx = t.carrier.Extract(ctx, propagation.MapCarrier(headers))
	ctx, span := t.tracer.Start(ctx, "topup handle", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(ofJob(job), attribute.String("topup.queue", queue)))
	return ctx, func(state string, failed bool) {
		span.SetAttributes(attribute.String("topup.state", state))
		if failed {
			span.SetStatus(codes.Error, "the wake-up comes again")
		}
		span.End()
	}
}

// Post implements [worker.Tracer].
func (t *tracing) Post(ctx context.Context, job string, attempt int) (context.Context, func(string, int)) {
	ctx, span := t.tracer.Start(ctx, "topup POST", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(ofJob(job), attribute.Int("topup.attempt", attempt)))
	return ctx, func(outcome string, status int) {
		span.SetAttributes(attribute.String("topup.outcome", outcome))
		if status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", status))
		}
		if outcome != "delivered" {
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
	}
}
