package tenancy

import (
	"database/sql/driver"
	"fmt"
	"hash/fnv"
	"strconv"
)

// ID is a tenant's number. Only ParseID, NumberedID and the database make one, so
// a string from a request can never be mistaken for it. All names of the tenant
// in the database are made from the number, so none of them can carry SQL.
type ID struct{ n uint32 }

// ParseID reads the decimal form.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return ID{}, fmt.Errorf("tenancy: %q is not a tenant's number", s)
	}
	return ID{n: uint32(n)}, nil
}

// NumberedID is the tenant with number n, which must be positive and fit 32 bits.
func NumberedID(n int64) (ID, error) {
	if n <= 0 || n > 1<<32-1 {
		return ID{}, fmt.Errorf("tenancy: %d is not a tenant's number", n)
	}
	return ID{n: uint32(n)}, nil
}

// IsZero reports whether id names no tenant.
func (id ID) IsZero() bool { return id.n == 0 }

// Number is the tenant's number.
func (id ID) Number() int64 { return int64(id.n) }

// String is the decimal form.
func (id ID) String() string { return strconv.FormatUint(uint64(id.n), 10) }

// Schema is the name of both the tenant's schema and the role that owns it.
func (id ID) Schema() string { return "t_" + id.String() }

// Lane is the lane the tenant belongs to when there are so many.
func (id ID) Lane(lanes int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id.Schema()))
	return int(h.Sum32() % uint32(lanes)) //nolint:gosec // lanes is small and positive
}

// MarshalText is the decimal form, for JSON and logs.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// Value stores the number.
func (id ID) Value() (driver.Value, error) { return id.Number(), nil }

// Scan reads the number from a bigint column.
func (id *ID) Scan(src any) (err error) {
	n, ok := src.(int64)
	if !ok {
		return fmt.Errorf("tenancy: cannot read a tenant's number from %T", src)
	}
	*id, err = NumberedID(n)
	return err
}

// MaxLanes is the greatest number of lanes.
const MaxLanes = 256

// LaneLogin is the name of the role lane n logs in as.
func LaneLogin(n int) string { return fmt.Sprintf("lane_%02d", n) }
