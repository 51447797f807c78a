package main

import (
	"io"
	"log/slog"

	"github.com/ezscale/ezscale/cmd/ezscale/setting"
)

// newLogger writes what happens, one line each, in JSON unless text is wanted.
func newLogger(c logConfig, out io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // validated with the configuration
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(out, o))
	}
	return slog.New(slog.NewJSONHandler(out, o))
}

// logConfiguration writes the configuration at debug, without its secrets.
func logConfiguration(log *slog.Logger, cfg any) {
	var all []any
	for _, v := range setting.Redacted(cfg) {
		all = append(all, slog.String(v.Name, v.Value))
	}
	log.Debug("configuration", slog.Group("env", all...))
}
