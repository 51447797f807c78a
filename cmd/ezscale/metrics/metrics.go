// Package metrics counts what the running program does, for Prometheus. Requests
// are labelled by route pattern and surface, never by host or path: ten thousand
// hosts would be ten thousand series. It knows no feature; what is counted
// elsewhere is read from there when Prometheus asks.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Set is the program's metrics. It is safe for concurrent use.
type Set struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	jobs     *prometheus.CounterVec
	jobTime  *prometheus.HistogramVec
	denied   *prometheus.CounterVec
	services *prometheus.HistogramVec
	taxes    *prometheus.CounterVec
}

// New makes the set.
func New() *Set {
	s := &Set{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ezscale_http_requests_total",
			Help: "Requests by surface, route pattern, method and status class."}, []string{"surface", "route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ezscale_http_request_seconds",
			Help: "Time until the answer was ready.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15}}, []string{"surface", "route"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ezscale_http_in_flight", Help: "Requests being answered."}, []string{"surface"}),
		jobs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ezscale_jobs_total",
			Help: "Jobs worked, by kind and outcome."}, []string{"kind", "outcome"}),
		jobTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ezscale_job_seconds",
			Help: "Time a job took.", Buckets: []float64{.005, .025, .1, .5, 1, 5, 15, 60, 300}}, []string{"kind"}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ezscale_denied_total",
			Help: "Requests and statements that were refused, by reason."}, []string{"reason"}),
		services: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "ezscale_service_operation_seconds",
			Help: "From the wish to its end, by operation and outcome.", Buckets: []float64{.5, 1, 5, 15, 30, 60, 120, 300, 900, 3600}}, []string{"operation", "outcome"}),
		taxes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ezscale_tax_questions_total", Help: "Questions put to shops' tax services, by outcome."}, []string{"outcome"}),
	}
	s.registry.MustRegister(s.requests, s.seconds, s.inFlight, s.jobs, s.jobTime, s.denied, s.services, s.taxes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return s
}

// Observe counts an answered request. route is the pattern, such as /manage/domains/:id.
func (s *Set) Observe(surface, method, route string, status int, took time.Duration) {
	s.requests.WithLabelValues(surface, route, method, strconv.Itoa(status/100)+"xx").Inc()
	s.seconds.WithLabelValues(surface, route).Observe(took.Seconds())
}

// InFlight counts a request that began; call what it returns when it has been answered.
func (s *Set) InFlight(surface string) func() {
	g := s.inFlight.WithLabelValues(surface)
	g.Inc()
	return g.Dec
}

// JobEnded counts an attempt at a job.
func (s *Set) JobEnded(kind, outcome string, _, took time.Duration) {
	s.jobs.WithLabelValues(kind, outcome).Inc()
	s.jobTime.WithLabelValues(kind).Observe(took.Seconds())
}

// OperationEnded counts what was done to a service.
func (s *Set) OperationEnded(operation, outcome string, took time.Duration) {
	s.services.WithLabelValues(operation, outcome).Observe(took.Seconds())
}

// TaxAsked counts a question put to a tax service.
func (s *Set) TaxAsked(outcome string) { s.taxes.WithLabelValues(outcome).Inc() }

// Denied counts something refused.
func (s *Set) Denied(reason string) { s.denied.WithLabelValues(reason).Inc() }

// Gauge registers a figure that is read when Prometheus asks.
func (s *Set) Gauge(name, help string, labels map[string]string, read func() float64) {
	s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// Count is Gauge for a figure that only grows.
func (s *Set) Count(name, help string, labels map[string]string, read func() float64) {
	s.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// Sample is one figure of a group that is read together.
type Sample struct {
	Label string
	Value float64
}

// Group registers figures that differ in one label and are read together, such as
// domains by state. A group that cannot be read is left out of the answer.
func (s *Set) Group(name, help, label string, read func() ([]Sample, error)) {
	s.registry.MustRegister(&group{desc: prometheus.NewDesc(name, help, []string{label}, nil), read: read})
}

type group struct {
	desc *prometheus.Desc
	read func() ([]Sample, error)
}

func (g *group) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

func (g *group) Collect(ch chan<- prometheus.Metric) {
	samples, err := g.read()
	if err != nil {
		return
	}
	for _, x := range samples {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, x.Value, x.Label)
	}
}

// Handler answers /metrics.
func (s *Set) Handler() http.Handler {
	return promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{Timeout: 10 * time.Second})
}
