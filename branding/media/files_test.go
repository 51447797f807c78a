package media

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
)

// The export holds a tenant's own files and, once it is forgotten, nothing is left of
// them while the neighbour keeps its own.
func TestFilesGoIntoTheExport(t *testing.T) {
	w, l := library(t)
	ctx := t.Context()
	up, err := l.Add(ctx, w.DB(w.A), offer("a.png", pngOf(t, 30, 30)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Add(ctx, w.DB(w.B), offer("b.png", pngOf(t, 40, 40))); err != nil {
		t.Fatal(err)
	}
	files, err := l.Files(ctx, w.DB(w.A))
	if err != nil || len(files) != 1 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	var archive bytes.Buffer
	m, err := w.DB(w.A).Export(ctx, &archive, files...)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 1 || m.Files[0].SHA256 != up.SHA {
		t.Errorf("the archive holds %+v, want the picture %s", m.Files, up.SHA)
	}
	if err := l.Forget(ctx, w.A.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := files[0].Open(ctx); err == nil {
		t.Error("the file is still there after the tenant was forgotten")
	}
	theirs, err := l.Files(ctx, w.DB(w.B))
	if err != nil || len(theirs) != 1 || slices.ContainsFunc(theirs, func(f tenancy.ExportFile) bool { _, err := f.Open(ctx); return err != nil }) {
		t.Errorf("the neighbour's files: %d, %v", len(theirs), err)
	}
}
