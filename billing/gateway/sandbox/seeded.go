package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Seeded is how a twin's saved methods behave: like customers' cards do, some of them run
// short and some expire, and always the same ones at the same time for one seed.
type Seeded struct {
	Seed    int64
	Short   int // of a million methods run short in a month: so many, and the first tries fail
	Expired int // of a million methods expire in a month: so many, and are refused for good
}

const seededMark = "seeded."

// What became of a seeded charge.
const (
	short = "short"
	dead  = "dead"
)

// Choice is what a method of this kind is called, before the slash and its own name.
func (s Seeded) Choice() string {
	return fmt.Sprintf("%s%d.%d.%d", seededMark, s.Seed, s.Short, s.Expired)
}

func isSeeded(choice string) bool { return strings.HasPrefix(choice, seededMark) }

// seeded is one method.
type seeded struct {
	Seeded
	name string
}

func seededOf(method string) (s seeded, ok bool) {
	choice, name, _ := strings.Cut(method, "/")
	parts := strings.Split(strings.TrimPrefix(choice, seededMark), ".")
	if !isSeeded(choice) || len(parts) != 3 {
		return s, false
	}
	seed, err1 := strconv.ParseInt(parts[0], 10, 64)
	runs, err2 := strconv.Atoi(parts[1])
	ends, err3 := strconv.Atoi(parts[2])
	if err1 != nil || err2 != nil || err3 != nil {
		return s, false
	}
	return seeded{Seeded{seed, runs, ends}, name}, true
}

// outcome is what a charge comes to: the same for the same method, month and try. One that
// runs short in a month is refused up to four times, or, one in five of them, all month.
func (s seeded) outcome(key string, now time.Time) string {
	month := now.UTC().Format("2006-01")
	if s.draw("expired", month)%1_000_000 < uint64(max(s.Expired, 0)) {
		return dead
	}
	draw := s.draw("short", month)
	if draw%1_000_000 >= uint64(max(s.Short, 0)) {
		return ""
	}
	if tries := draw / 1_000_000 % 5; tries == 4 || uint64(tryOf(key)) <= tries {
		return short
	}
	return ""
}

// tryOf is the number at the end of a charge's key; 0 without one.
func tryOf(key string) int {
	n, err := strconv.Atoi(key[strings.LastIndexByte(key, '/')+1:])
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (s seeded) draw(what, month string) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%s/%s/%s", s.Seed, s.name, what, month))
	return binary.BigEndian.Uint64(sum[:8])
}
