package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"time"

	"github.com/ezscale/ezscale/branding/domain"
)

type serveCmd struct{}

// Run serves until it is told to stop.
func (c *serveCmd) Run(ctx context.Context, t *terminal) error {
	cfg, err := configure[serveConfig]()
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log, t.err)
	logConfiguration(log, cfg)
	a, err := newApp(ctx, cfg, log)
	if err != nil {
		return err
	}
	s, err := a.openSites(ctx, trust{})
	if err != nil {
		return errors.Join(err, a.close(ctx))
	}
	shut, err := a.serve(ctx, s)
	if err != nil {
		return errors.Join(err, a.close(ctx))
	}
	debug.FreeOSMemory() // starting left several times what it keeps: templates, the directory
	log.Info("serving", "http", cfg.HTTP.Addr, "https", cfg.HTTP.TLSAddr, "metrics", cfg.Metrics.Addr)
	return a.runUntilStopped(ctx, shut)
}

// serve opens the sites and listens. What it returns stops listening and waits for
// the requests in flight.
func (a *app) serve(ctx context.Context, s *sites) (shut func(context.Context) error, err error) {
	front, err := s.domains.NewFront(domain.FrontConfig{App: a.handler(s), PlainApp: a.cfg.HTTP.Plain, PlainPaths: []string{"/healthz", "/readyz"}, MaxBody: 8 << 20})
	if err != nil {
		return nil, err
	}
	plain, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.HTTP.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP (EZSCALE_HTTP_ADDR): %w", err)
	}
	secure, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.HTTP.TLSAddr)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for HTTPS (EZSCALE_HTTPS_ADDR): %w", err), plain.Close())
	}
	a.serving("http", func() error { return front.ServeHTTP(plain) })
	a.serving("https", func() error { return front.ServeHTTPS(secure) })
	a.keep("ticket keys", front.Run)
	a.keep("certificates", s.domains.KeepFresh)
	return front.Shutdown, nil
}

// serving runs a listener. Unlike a loop it ends by its own shutdown, before the
// loops do.
func (a *app) serving(name string, serve func() error) {
	go func() {
		if err := serve(); err != nil && !a.health.IsDraining() {
			a.fail(fmt.Errorf("%s ended: %w", name, err))
		}
	}()
}

// openMetrics serves /metrics, /healthz and /readyz to the operator, from the start
// on: a process that waits for its database says so there.
func (a *app) openMetrics(ctx context.Context) error {
	if a.cfg.Metrics.Addr == "off" {
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics.Handler())
	mux.HandleFunc("GET /healthz", a.health.Live)
	mux.HandleFunc("GET /readyz", a.health.ServeReady)
	if a.cfg.Metrics.Profile {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.Metrics.Addr)
	if err != nil {
		return fmt.Errorf("listen for metrics (EZSCALE_METRICS_ADDR): %w", err)
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	a.keep("metrics", func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
		return srv.Serve(ln)
	})
	return nil
}
