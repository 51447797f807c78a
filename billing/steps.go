package billing

import "errors"

// Steps are the numbers somebody may choose of something that is sold step by step: from
// a minimum to a maximum, beginning at Start where nothing was chosen.
type Steps struct{ Minimum, Maximum, Step, Start int }

// ErrSteps is returned for steps among which nothing can be chosen, or not what is chosen
// at first.
var ErrSteps = errors.New("billing: not steps to choose from")

// Check returns ErrSteps for what is none.
func (s Steps) Check() error {
	if s.Minimum < 0 || s.Maximum < s.Minimum || s.Step < 1 {
		return ErrSteps
	}
	if _, ok := s.Count(s.Start); !ok {
		return ErrSteps
	}
	return nil
}

// Count is how many steps a number is that was chosen, each of which is paid for; false
// where it cannot be chosen. Less than a whole step is none.
func (s Steps) Count(chosen int) (int64, bool) {
	if s.Step < 1 || chosen < s.Minimum || chosen > s.Maximum || (chosen-s.Minimum)%s.Step != 0 {
		return 0, false
	}
	return int64(chosen / s.Step), true
}
