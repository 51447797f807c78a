package domain

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// seekProof looks for the TXT record of a claim.
func (w *Worker) seekProof(ctx context.Context, d Domain) error {
	o := w.Preflight.Look(ctx, d, w.Central.Now())
	if o.Owned {
		return w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			if _, err := prove(ctx, tx, d.ID, d.Host, o, w.News); err != nil {
				return err
			}
			return w.endClaim(ctx, tx, d)
		})
	}
	return w.settle(ctx, d, func(tx *tenancy.CentralTx, d *Domain) (change, error) {
		now := tx.Now()
		d.look(o, now)
		d.NextAt = w.recheck(now, d.Attempts)
		if now.Sub(d.PendingSince) > unprovenDays {
			d.NextAt, d.RemovedAt = nil, &now
			return change{Removed, worker, "domain.expired", "No proof of ownership within seven days."}, nil
		}
		held, err := heldByOther(ctx, tx, *d)
		switch {
		case err != nil:
			return change{}, err
		case held && d.State == Pending:
			return change{Conflict, worker, "domain.conflict", "Another shop is served under the name."}, nil
		case !held && d.State == Conflict:
			return change{Pending, worker, "domain.free", "The name is not used by another shop any more."}, nil
		}
		return change{}, nil
	})
}

// look keeps what was seen, and what is wrong with it.
func (d *Domain) look(o Observation, now time.Time) {
	d.Observed, d.CheckedAt, d.ErrorCode, d.Error = o, &now, o.Code, o.Problem
	d.Attempts++
	if o.Directed {
		d.DNSOkAt = &now
	}
}

func heldByOther(ctx context.Context, tx *tenancy.CentralTx, d Domain) (held bool, err error) {
	err = tx.NewRaw("SELECT EXISTS (SELECT FROM domains WHERE host = ? AND serving AND id <> ?)", d.Host, d.ID).Scan(ctx, &held)
	return held, err
}

// bringUp takes an owned name without a certificate to one.
func (w *Worker) bringUp(ctx context.Context, d Domain) error {
	if cert, err := w.Authority.Stored(ctx, d.Host); err == nil && w.Central.Now().Before(cert.NotAfter) {
		return w.adopt(ctx, d, cert) // an order that ended after its worker did, or the name came back
	}
	o := w.Preflight.Look(ctx, d, w.Central.Now())
	o.Owned = true // proven once; the weekly check looks at it again
	now := w.Central.Now()
	if !o.Pointed() {
		return w.misdirect(ctx, d, o)
	}
	if d.OrderAfter != nil && now.Before(*d.OrderAfter) {
		return w.settle(ctx, d, func(_ *tenancy.CentralTx, d *Domain) (change, error) {
			code, text := d.ErrorCode, d.Error
			d.look(o, now)
			d.Attempts--
			d.ErrorCode, d.Error, d.NextAt = code, text, d.OrderAfter
			return change{}, nil
		})
	}
	return w.issue(ctx, d, o)
}

func (w *Worker) misdirect(ctx context.Context, d Domain, o Observation) error {
	return w.settle(ctx, d, func(tx *tenancy.CentralTx, d *Domain) (change, error) {
		now := tx.Now()
		before := d.Error
		d.look(o, now)
		d.NextAt = w.recheck(now, d.Attempts)
		if d.VerifiedAt != nil && now.Sub(*d.VerifiedAt) > unissuedDays {
			d.NextAt, d.RemovedAt = nil, &now
			return change{Removed, worker, "domain.never_pointed", "The name did not lead here within fourteen days."}, nil
		}
		to, code := Misdirected, "domain.misdirected"
		if !o.Allowed && o.Directed {
			to, code = CAAForbids, "domain.caa_forbids"
		}
		if to == d.State && before == d.Error {
			return change{}, nil
		}
		return change{to, worker, code, o.Problem}, nil
	})
}

// issue places an order, or finishes the one that was placed before a crash.
func (w *Worker) issue(ctx context.Context, d Domain, o Observation) error {
	if d.State != Issuing {
		err := w.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			now, err := lockDomain(ctx, tx, d.ID)
			if err != nil {
				return err
			}
			if now == nil || now.State != d.State {
				return errMoved
			}
			at := tx.Now()
			now.look(o, at)
			now.Attempts = d.Attempts
			if now.State == Verified {
				now.Attempts = 0
			}
			now.NextAt = &at // a worker that dies here is followed by another when its claim ends
			return apply(ctx, tx, now, change{Issuing, worker, "certificate.ordered", ""}, w.News)
		})
		if err != nil {
			return err
		}
		d.State = Issuing
	}
	cert, info, problem := w.obtain(ctx, d.Host, "", false)
	if problem != nil {
		return w.fail(ctx, d, *problem)
	}
	return w.activate(ctx, d, cert, info, "certificate.issued")
}

// adopt takes a stored certificate for the name.
func (w *Worker) adopt(ctx context.Context, d Domain, cert Certificate) error {
	return w.activate(ctx, d, cert, w.renewal(ctx, cert), "certificate.found")
}

// renewal is when to renew the certificate: as the authority wishes, else when a third
// of its life is left.
func (w *Worker) renewal(ctx context.Context, cert Certificate) time.Time {
	usual := cert.NotAfter.Add(-cert.NotAfter.Sub(cert.NotBefore) / 3)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	info, ok := w.Authority.RenewalWindow(ctx, cert)
	if !ok || info.SelectedTime.IsZero() || info.SelectedTime.After(cert.NotAfter) {
		return usual
	}
	return info.SelectedTime
}

func (w *Worker) activate(ctx context.Context, d Domain, cert Certificate, renewAt time.Time, code string) error {
	err := w.settle(ctx, d, func(tx *tenancy.CentralTx, d *Domain) (change, error) {
		now := tx.Now()
		d.certify(cert, w.Authority.Key(), renewAt)
		d.NextAt = w.nextLook(now, *d)
		d.Attempts, d.ErrorCode, d.Error, d.OrderAfter = 0, "", "", nil
		to := Active
		if d.State == Drifted {
			to = Drifted // a certificate does not bring the name back
		}
		if err := w.Budget.finish(ctx, tx, d.Host, "issued"); err != nil {
			return change{}, err
		}
		return change{to, worker, code, "Valid until " + cert.NotAfter.UTC().Format("2 January 2006") + ", issued by " + cert.Issuer + "."}, nil
	})
	if err == nil && w.Serving != nil {
		w.Serving.Reload(ctx, d.Host)
	}
	return err
}

func (d *Domain) certify(cert Certificate, authority string, renewAt time.Time) {
	d.CertSerial, d.CertIssuer, d.Authority = cert.Serial, cert.Issuer, authority
	notBefore, notAfter := cert.NotBefore, cert.NotAfter
	d.NotBefore, d.NotAfter, d.RenewAt = &notBefore, &notAfter, &renewAt
}

// nextLook is the next renewal or daily check, whichever is sooner.
func (w *Worker) nextLook(now time.Time, d Domain) *time.Time {
	at := now.Add(w.Pace.Daily)
	if d.RenewAt != nil && d.RenewAt.Before(at) {
		at = *d.RenewAt
	}
	if d.OrderAfter != nil && at.Before(*d.OrderAfter) {
		at = *d.OrderAfter
	}
	return &at
}

// renewalRest is how long a fresh certificate is not renewed.
const renewalRest = 12 * time.Hour

// obtain orders under the budget and says in words what went wrong.
func (w *Worker) obtain(ctx context.Context, name, known string, renewal bool) (Certificate, time.Time, *trouble) {
	hinted, hint := withRetryHint(ctx)
	cert, err := w.Authority.Obtain(hinted, Wish{Name: name, Known: known, Now: w.Central.Now(),
		Spend: func(ctx context.Context) error { return w.Budget.spend(ctx, name, renewal) }})
	if err != nil {
		t := classify(err, name, hint.get(), w.Central.Now())
		if ctx.Err() == nil {
			w.Log.WarnContext(ctx, "no certificate", "domain", name, "code", t.code, "error", err)
		}
		return Certificate{}, time.Time{}, &t
	}
	// Whatever the authority wishes, a fresh certificate is let be for a while: a wish
	// that lies in the past would otherwise be one for another order at once.
	renewAt := w.renewal(ctx, cert)
	if earliest := w.Central.Now().Add(renewalRest); renewAt.Before(earliest) {
		renewAt = earliest
	}
	return cert, renewAt, nil
}

// fail keeps a failed first order.
func (w *Worker) fail(ctx context.Context, d Domain, t trouble) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second) // the order's time may be up
	defer cancel()
	return w.settle(ctx, d, func(tx *tenancy.CentralTx, d *Domain) (change, error) {
		if err := w.note(ctx, tx, d, t); err != nil {
			return change{}, err
		}
		return change{t.state, worker, "certificate.failed", t.message}, nil
	})
}

// note writes what went wrong and when to order again.
func (w *Worker) note(ctx context.Context, tx *tenancy.CentralTx, d *Domain, t trouble) error {
	now := tx.Now()
	wait := t.wait
	if t.state != RateLimited && t.code != "acme.storage" {
		d.Attempts++
		wait = max(wait, afterFailure(d.Attempts))
	}
	at := now.Add(wait)
	d.ErrorCode, d.Error, d.OrderAfter, d.NextAt = t.code, t.message, &at, &at
	if t.account {
		if err := w.Budget.pauseUntil(ctx, tx, at, t.message); err != nil {
			return err
		}
	}
	return w.Budget.finish(ctx, tx, d.Host, t.code)
}

// watch looks after a served name: its certificate, where it points, whose it is.
func (w *Worker) watch(ctx context.Context, d Domain) error {
	stored, err := w.Authority.Stored(ctx, d.Host)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return w.replace(ctx, d) // another authority was configured, or the storage was lost
	case err != nil:
		return err
	case stored.Serial != d.CertSerial || d.Authority != w.Authority.Key():
		return w.adopt(ctx, d, stored)
	}
	o := w.Preflight.Look(ctx, d, w.Central.Now())
	now := w.Central.Now()
	if transient(o.Code) {
		return w.settle(ctx, d, func(_ *tenancy.CentralTx, d *Domain) (change, error) {
			d.Observed, d.CheckedAt = o, &now
			at := now.Add(15 * time.Minute)
			d.NextAt = &at
			return change{}, nil
		})
	}
	if !o.Directed {
		return w.drift(ctx, d, o)
	}
	if d.State == Drifted {
		return w.settle(ctx, d, func(_ *tenancy.CentralTx, d *Domain) (change, error) {
			d.seen(o, now)
			d.DriftedAt, d.ErrorCode, d.Error, d.NextAt = nil, "", "", &now
			return change{Active, worker, "domain.returned", "The name leads here again."}, nil
		})
	}
	if d.RenewAt == nil || !now.Before(*d.RenewAt) {
		if d.OrderAfter == nil || !now.Before(*d.OrderAfter) {
			return w.renew(ctx, d, o)
		}
	}
	return w.settle(ctx, d, func(_ *tenancy.CentralTx, d *Domain) (change, error) {
		lost := d.seen(o, now)
		if refreshed := w.renewal(ctx, stored); d.RenewAt == nil || refreshed.Before(*d.RenewAt) {
			d.RenewAt = &refreshed
		}
		d.NextAt = w.nextLook(now, *d)
		if lost {
			return change{d.State, worker, "domain.proof_missing", "The TXT record is gone. The name still leads here; set the record again to keep others from claiming the name."}, nil
		}
		return change{}, nil
	})
}

// seen keeps a look at a served name. It reports whether the proof of ownership was
// there at the last weekly check and is not now.
func (d *Domain) seen(o Observation, now time.Time) (lost bool) {
	had := d.Observed.Owned
	d.Observed, d.CheckedAt, d.DNSOkAt = o, &now, &now
	if d.OwnerCheckAt != nil && now.Sub(*d.OwnerCheckAt) < ownerEvery {
		d.Observed.Owned = had || o.Owned
		return false
	}
	d.OwnerCheckAt = &now
	return had && !o.Owned
}

// transient codes say nothing about where the name points.
func transient(code string) bool {
	return slices.Contains([]string{"dns.timeout", "dns.unreachable", "dns.servfail", "dns.refused", "dns.failed"}, code)
}

// drift keeps serving a name that left us, for a while, and then asks for a new proof.
func (w *Worker) drift(ctx context.Context, d Domain, o Observation) error {
	return w.settle(ctx, d, func(tx *tenancy.CentralTx, d *Domain) (change, error) {
		now := tx.Now()
		d.Observed, d.CheckedAt, d.ErrorCode, d.Error = o, &now, o.Code, o.Problem
		hour := now.Add(time.Hour)
		d.NextAt = &hour
		if d.State != Drifted {
			d.DriftedAt = &now
			return change{Drifted, worker, "domain.drifted", o.Problem}, nil
		}
		if d.DriftedAt != nil && now.Sub(*d.DriftedAt) >= w.Pace.KeepDrift {
			d.DriftedAt, d.VerifiedAt, d.PendingSince, d.Attempts = nil, nil, now, 0
			return change{Pending, worker, "domain.drift_ended", "The name led elsewhere for too long and is not served any more. It comes back with a new proof."}, nil
		}
		return change{}, nil
	})
}

// replace orders for a served name whose certificate is not in the storage.
func (w *Worker) replace(ctx context.Context, d Domain) error {
	if d.OrderAfter != nil && w.Central.Now().Before(*d.OrderAfter) {
		return w.settle(ctx, d, func(_ *tenancy.CentralTx, d *Domain) (change, error) {
			d.NextAt = d.OrderAfter
			return change{}, nil
		})
	}
	cert, renewAt, problem := w.obtain(ctx, d.Host, "", false)
	if problem != nil {
		return w.failRenewal(ctx, d, *problem)
	}
	return w.activate(ctx, d, cert, renewAt, "certificate.replaced")
}

func (w *Worker) renew(ctx context.Context, d Domain, o Observation) error {
	d.Observed = o
	cert, renewAt, problem := w.obtain(ctx, d.Host, d.CertSerial, true)
	if problem != nil {
		return w.failRenewal(ctx, d, *problem)
	}
	return w.activate(ctx, d, cert, renewAt, "certificate.renewed")
}

// failRenewal keeps the name served; a wait imposed on us is no failure of the name.
func (w *Worker) failRenewal(ctx context.Context, d Domain, t trouble) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return w.settle(ctx, d, func(tx *tenancy.CentralTx, d *Domain) (change, error) {
		if err := w.note(ctx, tx, d, t); err != nil {
			return change{}, err
		}
		if t.state == RateLimited {
			return change{}, nil
		}
		return change{Failing, worker, "certificate.renewal_failed", t.message}, nil
	})
}
