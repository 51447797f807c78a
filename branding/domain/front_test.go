package domain

import (
	"bufio"
	"fmt"
	"time"
)

// streamWriter sends one event, waits to be let on, and sends another.
func streamWriter(w *bufio.Writer) {
	fmt.Fprint(w, "data: one\n\n")
	_ = w.Flush()
	time.Sleep(300 * time.Millisecond)
	fmt.Fprint(w, "data: two\n\n")
	_ = w.Flush()
}
