package billing

// LimitStage is how near what is owed has come to a credit limit.
type LimitStage string

// The stages.
const (
	LimitFine    LimitStage = ""
	LimitNear    LimitStage = "near"    // 80 % of it: who owes is warned
	LimitReached LimitStage = "reached" // all of it: nothing new is sold
)

// StageOf is the stage of what is owed, in the same currency and unit as the limit. Without a
// limit, which is zero, there is none.
func StageOf(owed, limit int64) LimitStage {
	switch {
	case limit <= 0 || owed <= 0:
		return LimitFine
	case owed >= limit:
		return LimitReached
	case owed >= limit-limit/5: // rounded down: never early
		return LimitNear
	}
	return LimitFine
}
