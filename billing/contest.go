package billing

// Contest is how far a customer's objection at their bank has come, as it matters to what
// the payment was for.
type Contest int

// How far it has come.
const (
	ContestOver Contest = iota // it was won, or the bank only asks yet
	ContestOpen                // the bank has taken the money, or will, until it decides
	ContestLost                // the money is gone
)

// ContestStep is what is done about what a payment was for.
type ContestStep string

// The steps, from the mildest on.
const (
	ContestNothing ContestStep = ""
	ContestSuspend ContestStep = "suspend"
	ContestEnd     ContestStep = "end"
)

// grave orders the steps.
func (s ContestStep) grave() int {
	switch s {
	case ContestSuspend:
		return 1
	case ContestEnd:
		return 2
	}
	return 0
}

// Contests is what a shop does about what was paid for when its customer has the bank ask
// the money back. The zero value does nothing.
type Contests struct {
	Opened ContestStep `json:"opened"` // while the bank decides: nothing, or suspend
	Lost   ContestStep `json:"lost"`
}

// Valid reports whether the steps are among those there are: nothing ends before the bank
// has decided.
func (c Contests) Valid() bool {
	known := func(s ContestStep) bool { return s == ContestNothing || s == ContestSuspend || s == ContestEnd }
	return known(c.Opened) && known(c.Lost) && c.Opened != ContestEnd
}

// Step is what is done about something whose payments are contested so: the gravest of what
// each asks for, in whatever order they came and however often they are named.
//
// Example: with suspend while it is open and nothing when it is lost, one open and one lost
// suspend; when the open one is won nothing is left to suspend for.
func (c Contests) Step(all ...Contest) (step ContestStep) {
	for _, one := range all {
		next := ContestNothing
		switch one {
		case ContestOpen:
			next = c.Opened
		case ContestLost:
			next = c.Lost
		}
		if next.grave() > step.grave() {
			step = next
		}
	}
	return step
}
