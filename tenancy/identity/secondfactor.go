package identity

import (
	"context"
	"errors"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// EnterCode completes a session that waits for its second factor by a code, or by a
// recovery code. The session gets a new token. After a few wrong codes the fault is
// signin.throttled.
func (d *Desk) EnterCode(ctx context.Context, plane Plane, b Binding, token string, p Person, code string, recovery bool, o Origin) (Entered, error) {
	try := Try{Binding: b, Account: p.Email, IP: o.IP, Device: o.Device, Code: true}
	if err := d.Throttle.Admit(ctx, try); err != nil {
		return Entered{}, errors.Join(err, d.record(ctx, plane, p, p.Email, o, Throttled))
	}
	result := SignedInOK
	err := plane.Update(ctx, func(tx tenancy.Statements) error {
		if recovery {
			result = RecoveryUsed
			if _, err := d.Factors.UseRecoveryCode(ctx, tx, p.ID, code); err != nil {
				return err
			}
			if err := d.note(ctx, tx, p, "recovery_code.used", o); err != nil {
				return err
			}
		} else if err := d.Factors.Check(ctx, tx, p.ID, code); err != nil {
			return err
		}
		return d.People.RecordLogin(ctx, tx, p.ID, p.Email, o, result)
	})
	if fault.Is(err, "code.wrong") || fault.Is(err, "recovery_code.wrong") {
		return Entered{}, errors.Join(err, d.record(ctx, plane, p, p.Email, o, WrongCode))
	}
	if err != nil {
		return Entered{}, err
	}
	if err := d.Throttle.Succeeded(ctx, try); err != nil {
		return Entered{}, err
	}
	in, err := d.complete(ctx, b, token, p, true)
	in.Stranger = !d.Throttle.Knows(try)
	return in, err
}

// BeginTOTP shows what an authenticator app needs; see Factors.Begin.
func (d *Desk) BeginTOTP(ctx context.Context, plane Plane, p Person, issuer string) (e Enrolment, err error) {
	err = plane.Update(ctx, func(tx tenancy.Statements) error {
		e, err = d.Factors.Begin(ctx, tx, p, issuer)
		return err
	})
	return e, err
}

// ConfirmTOTP turns the second factor on. The session becomes full, under a new
// token; every other one ends. The recovery codes are shown once.
func (d *Desk) ConfirmTOTP(ctx context.Context, plane Plane, b Binding, token string, p Person, code string, o Origin) (Entered, []string, error) {
	try := Try{Binding: b, Account: p.Email, IP: o.IP, Device: o.Device, Code: true}
	if err := d.Throttle.Admit(ctx, try); err != nil {
		return Entered{}, nil, err
	}
	var codes []string
	err := plane.Update(ctx, func(tx tenancy.Statements) (err error) {
		if codes, err = d.Factors.Confirm(ctx, tx, p.ID, code); err != nil {
			return err
		}
		if err := d.note(ctx, tx, p, "totp.set_up", o); err != nil {
			return err
		}
		if p, err = d.People.ByID(ctx, tx, p.ID); err != nil {
			return err
		}
		return d.People.RecordLogin(ctx, tx, p.ID, p.Email, o, SignedInOK)
	})
	if err != nil {
		return Entered{}, nil, err
	}
	if err := d.Throttle.Succeeded(ctx, try); err != nil {
		return Entered{}, nil, err
	}
	in, err := d.complete(ctx, b, token, p, true)
	return in, codes, err
}

// RemoveTOTP takes the second factor away from somebody whose session is fresh.
// Where one is required, the session goes back to the step of setting one up.
func (d *Desk) RemoveTOTP(ctx context.Context, plane Plane, b Binding, token string, s Session, p Person, o Origin, mustTOTP bool) (Entered, error) {
	if err := d.Fresh(s); err != nil {
		return Entered{}, err
	}
	next := StageFull
	if mustTOTP {
		next = StageEnrol
	}
	return d.changing(ctx, plane, b, token, p, o, "totp.removed", next, func(tx tenancy.Statements) error {
		return d.Factors.Remove(ctx, tx, p.ID)
	})
}

// RenewRecoveryCodes replaces the recovery codes of somebody whose session is fresh
// and who has a second factor.
func (d *Desk) RenewRecoveryCodes(ctx context.Context, plane Plane, s Session, p Person, o Origin) (codes []string, err error) {
	if err := d.Fresh(s); err != nil {
		return nil, err
	}
	if !p.HasTOTP() {
		return nil, fault.New(fault.Conflict, "totp.missing", "Set up a second factor first; recovery codes belong to it.")
	}
	err = plane.Update(ctx, func(tx tenancy.Statements) error {
		if codes, err = d.Factors.NewRecoveryCodes(ctx, tx, p.ID); err != nil {
			return err
		}
		return d.note(ctx, tx, p, "recovery_codes.renewed", o)
	})
	return codes, err
}
