package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
)

// output is embedded by commands that print something.
type output struct {
	JSON bool `help:"Print JSON for other programs."`
}

// print writes value as JSON when that was asked for, else calls text.
func (o output) print(t *terminal, value any, text func()) error {
	if !o.JSON {
		text()
		return nil
	}
	e := json.NewEncoder(t.out)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// say prints a line.
func (t *terminal) say(format string, args ...any) { _, _ = fmt.Fprintf(t.out, format+"\n", args...) }

// table prints rows under a head, in columns.
func (t *terminal) table(head []string, rows [][]string) {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, r := range rows {
		_, _ = fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	_ = w.Flush()
}
