package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// childSpec says what a measured server is to serve. It is given on standard input.
type childSpec struct {
	Kind    string `json:"kind"`
	DSN     string `json:"dsn"`
	Lanes   int    `json:"lanes,omitempty"`
	Conns   int32  `json:"conns,omitempty"`
	Tenants int    `json:"tenants,omitempty"`
	Body    []byte `json:"body,omitempty"`
	Key     string `json:"key,omitempty"` // master keys
}

// child is a server in a process of its own, so that its processor time is its own.
type child struct {
	addr  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// startChild starts ourselves as the measured server and waits until it listens.
func (r *run) startChild(ctx context.Context, spec childSpec) (*child, error) {
	cmd := exec.CommandContext(ctx, r.Self, "bench-server") //nolint:gosec // ourselves
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: stdin}
	if err := json.NewEncoder(stdin).Encode(spec); err != nil {
		c.stop()
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("the measured server %q ended early: %w", spec.Kind, err)
	}
	c.addr = strings.TrimSpace(line)
	return c, nil
}

// stop closes the child's standard input, which ends it.
func (c *child) stop() {
	_ = c.stdin.Close()
	ended := make(chan struct{})
	go func() { _ = c.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		_ = c.cmd.Process.Kill()
		<-ended
	}
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// server is a measured server within the child: it listens and gives its address.
type server func(ctx context.Context, spec childSpec) (addr string, stop func(), err error)

// ServeChild is the measured server's side: it reads what to serve from in, writes
// the address it listens on to out, and serves until in ends.
func ServeChild(ctx context.Context, in io.Reader, out io.Writer) error {
	dec := json.NewDecoder(in)
	var spec childSpec
	if err := dec.Decode(&spec); err != nil {
		return fmt.Errorf("bench server: %w", err)
	}
	start, known := servers()[spec.Kind]
	if !known {
		return fmt.Errorf("bench server: there is no %q", spec.Kind)
	}
	addr, stop, err := start(ctx, spec)
	if err != nil {
		return fmt.Errorf("bench server %s: %w", spec.Kind, err)
	}
	defer stop()
	if _, err := fmt.Fprintln(out, addr); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in)); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
