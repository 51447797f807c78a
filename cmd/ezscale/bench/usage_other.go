//go:build !linux

package bench

import (
	"errors"
	"time"
)

// errNoProc: processor time and memory of other processes are read from /proc.
var errNoProc = errors.New("processor time per request is measured on Linux only")

func familyCPU(int) (time.Duration, error) { return 0, errNoProc }
func cpuOf(int) (time.Duration, error)     { return 0, errNoProc }
func childrenOf(int) ([]int, error)        { return nil, errNoProc }
func memoryOf(int, string) (int64, error)  { return 0, errNoProc }
func forgetPeak() error                    { return errNoProc }
func cpuModel() string                     { return "unknown processor" }
