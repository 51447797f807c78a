package bench

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// A client that gets no connection in time is counted; the load goes on.
func TestALoadSurvivesTimeouts(t *testing.T) {
	late := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	o, err := repeat(t.Context(), 1, 100*time.Millisecond, func(_ context.Context, _, n int) error {
		time.Sleep(time.Millisecond)
		if n%2 == 0 {
			return late
		}
		return nil
	})
	if err != nil || o.missed == 0 || o.requests == 0 || o.missed > o.requests {
		t.Errorf("%+v: %v", o, err)
	}
	if _, err := repeat(t.Context(), 1, 20*time.Millisecond, func(context.Context, int, int) error { return late }); err == nil {
		t.Error("nothing was answered, and that was no error")
	}
	if _, err := repeat(t.Context(), 1, time.Minute, func(context.Context, int, int) error { return errors.New("refused") }); err == nil {
		t.Error("another error was swallowed")
	}
}
