package provisionertest

import (
	"context"
	"testing"

	"github.com/ezscale/ezscale/provisioners"
)

func suspend(t *testing.T, b *Bench) {
	d, ok := b.Driver.(provisioners.Suspender)
	if !ok {
		return
	}
	c := b.create(t)
	later(t, "while it is installed", d.Suspend(t.Context(), c.Ref), provisioners.ErrLocked)
	b.Ready()
	for range 2 {
		if err := d.Suspend(t.Context(), c.Ref); err != nil {
			t.Fatal(err)
		}
	}
	if s := b.state(t, c.Ref); s.Status != provisioners.StatusSuspended {
		t.Errorf("suspended: %+v", s)
	}
	for range 2 {
		if err := d.Release(t.Context(), c.Ref); err != nil {
			t.Fatal(err)
		}
	}
	if s := b.state(t, c.Ref); s.Status != provisioners.StatusActive {
		t.Errorf("released: %+v", s)
	}
}

func power(t *testing.T, b *Bench) {
	d, ok := b.Driver.(provisioners.Powerer)
	if !ok {
		return
	}
	c := b.create(t)
	b.Ready()
	for _, step := range []struct {
		do   provisioners.PowerAction
		then provisioners.Power
	}{{provisioners.Stop, provisioners.PowerOff}, {provisioners.Start, provisioners.PowerOn}, {provisioners.Restart, provisioners.PowerOn}, {provisioners.ForceOff, provisioners.PowerOff}} {
		if err := d.Power(t.Context(), c.Ref, step.do); err != nil {
			t.Fatalf("%s: %v", step.do, err)
		}
		b.Ready()
		if s := b.state(t, c.Ref); s.Power != step.then || s.Status != provisioners.StatusActive {
			t.Errorf("after %s: %+v", step.do, s)
		}
	}
	final(t, "an action of invention", d.Power(t.Context(), c.Ref, "explode"), provisioners.ErrUnsupported)
}

func rename(t *testing.T, b *Bench) {
	d, ok := b.Driver.(provisioners.Renamer)
	if !ok {
		return
	}
	c := b.create(t)
	b.Ready()
	if err := d.Rename(t.Context(), c.Ref, "Größe #1 <b>"); err != nil {
		t.Fatal(err)
	}
	if s := b.state(t, c.Ref); s.Name != "Größe #1 <b>" {
		t.Errorf("renamed: %q", s.Name)
	}
	if again := b.create(t); again.Ref != c.Ref || b.Count() != 1 {
		t.Errorf("created again after renaming: %+v; %d services", again, b.Count())
	}
}

func password(t *testing.T, b *Bench) {
	c := b.create(t)
	b.Ready()
	if b.Password != nil && c.Credentials.Password != b.Password(c.Ref) {
		t.Error("the password told is not the platform's")
	}
	d, ok := b.Driver.(provisioners.PasswordResetter)
	if !ok {
		return
	}
	got, err := d.ResetPassword(t.Context(), c.Ref)
	if err != nil || got.User == "" || got.Password == "" || got.Password == c.Credentials.Password {
		t.Fatalf("reset: user %q, %v", got.User, err)
	}
	if b.Password != nil && got.Password != b.Password(c.Ref) {
		t.Error("the new password told is not the platform's")
	}
}

// lostRebuild installs once a key, however the answer was lost.
func lostRebuild(t *testing.T, bench func(testing.TB) *Bench) {
	for _, after := range []bool{false, true} {
		b := bench(t)
		d, ok := b.Driver.(provisioners.Rebuilder)
		if !ok {
			return
		}
		c := b.create(t)
		b.Ready()
		r := provisioners.RebuildRequest{Key: "rebuild 1", Image: b.OtherImage, Name: "web one", Hostname: "web1.example.com"}
		b.Break(Fault{Writes: true, After: after, Times: 1})
		_, err := d.Rebuild(t.Context(), c.Ref, r)
		later(t, "rebuild cut", err, provisioners.ErrUnavailable)
		b.Mend()
		for range 2 {
			if _, err := d.Rebuild(t.Context(), c.Ref, r); err != nil {
				t.Fatalf("rebuild again: %v", err)
			}
			b.Ready()
		}
		if b.Installs != nil && b.Installs(c.Ref) != 2 {
			t.Errorf("after a cut (done: %t): installed %d times, want 2", after, b.Installs(c.Ref))
		}
		r.Key = "rebuild 2"
		if _, err := d.Rebuild(t.Context(), c.Ref, r); err != nil {
			t.Fatal(err)
		}
		if b.Installs != nil && b.Installs(c.Ref) != 3 {
			t.Errorf("another key: installed %d times, want 3", b.Installs(c.Ref))
		}
		r.Key = "rebuild 3"
		_, err = d.Rebuild(t.Context(), c.Ref, r)
		later(t, "while it is installed", err, provisioners.ErrLocked)
	}
}

func looks(t *testing.T, b *Bench) {
	ctx := t.Context()
	if d, ok := b.Driver.(provisioners.Checker); ok {
		if h, err := d.Check(ctx); err != nil || h.Version == "" || len(h.Notes) != 0 {
			t.Errorf("check: %+v, %v", h, err)
		}
	}
	if d, ok := b.Driver.(provisioners.Imager); ok {
		all, err := d.Images(ctx, b.Parameters)
		codes := map[string]bool{}
		for _, im := range all {
			codes[im.Code] = true
		}
		if err != nil || len(all) == 0 || len(codes) != len(all) {
			t.Errorf("images: %+v, %v", all, err)
		}
	}
	if d, ok := b.Driver.(provisioners.Chooser); ok {
		all, err := d.Choices(ctx)
		if err != nil || len(all) == 0 {
			t.Errorf("choices: %+v, %v", all, err)
		}
		for _, p := range all {
			if _, named := b.Parameters[p.Name]; !named {
				t.Errorf("the offer of this bench lacks %s", p.Name)
			}
		}
	}
	var before provisioners.Room
	room, counts := b.Driver.(provisioners.Capacity)
	if counts {
		var err error
		if before, err = room.Capacity(ctx, b.Parameters, b.Spec); err != nil || before.Free <= 0 || before.Total < before.Free {
			t.Errorf("capacity: %+v, %v", before, err)
		}
	}
	c := b.create(t)
	b.Ready()
	if counts {
		if now, err := room.Capacity(ctx, b.Parameters, b.Spec); err != nil || now.Free != before.Free-1 || now.Total != before.Total {
			t.Errorf("capacity after one: %+v, was %+v, %v", now, before, err)
		}
	}
	if d, ok := b.Driver.(provisioners.Metered); ok {
		all, err := d.Traffic(ctx, c.Ref)
		if err != nil || len(all) == 0 {
			t.Errorf("traffic: %+v, %v", all, err)
		}
		for i, tr := range all {
			if !tr.To.After(tr.From) || tr.Used < 0 || i > 0 && tr.To.After(all[i-1].From) {
				t.Errorf("traffic: %+v", all)
			}
		}
	}
	if d, ok := b.Driver.(provisioners.Lister); ok {
		var all []provisioners.Listed
		if err := d.List(ctx, func(l provisioners.Listed) bool { all = append(all, l); return true }); err != nil {
			t.Fatal(err)
		}
		if len(all) != 1 || all[0].Ref != c.Ref || all[0].Key != key && all[0].Key != "" || all[0].Name != "web one" {
			t.Errorf("listed: %+v", all)
		}
	}
}

func cancelled(t *testing.T, b *Bench) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Driver.Create(ctx, b.request(key)); err == nil || b.Count() != 0 {
		t.Errorf("created for nobody: %v; %d services", err, b.Count())
	}
}
