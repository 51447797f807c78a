package s3store

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/ezscale/ezscale/branding/media"
)

func bucket(t *testing.T) (*Store, *httptest.Server) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("pictures"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(server.Close)
	s, err := New(Config{Endpoint: strings.TrimPrefix(server.URL, "http://"), Bucket: "pictures", Prefix: "/ez/", Region: "eu-central-1",
		AccessKey: "key", SecretKey: "secret", Plain: true, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s, server
}

func TestWhatIsPutIsThereUntilItsTenantGoes(t *testing.T) {
	s, _ := bucket(t)
	ctx := t.Context()
	if err := s.Check(ctx); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"1/a.png", "1/b.png", "11/a.png"} {
		if err := s.Put(ctx, key, "image/png", []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Put(ctx, "1/a.png", "image/png", []byte("1/a.png")); err != nil {
		t.Errorf("putting it again: %v", err)
	}
	if b, err := s.Get(ctx, "1/b.png"); err != nil || !bytes.Equal(b, []byte("1/b.png")) {
		t.Errorf("got %q, %v", b, err)
	}
	if err := s.DeleteAll(ctx, "1/"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "1/a.png"); !errors.Is(err, media.ErrMissing) {
		t.Errorf("after all were removed: %v", err)
	}
	if _, err := s.Get(ctx, "11/a.png"); err != nil {
		t.Errorf("another tenant's: %v", err)
	}
	if s.DeleteAll(ctx, "/") == nil {
		t.Error("everything would have been removed")
	}
}

func TestABucketThatIsDownOrGoneIsAnErrorAndNotAMissingFile(t *testing.T) {
	s, server := bucket(t)
	gone := *s
	gone.cfg.Bucket = "nowhere"
	if err := gone.Check(t.Context()); err == nil {
		t.Error("a bucket that is not there passed the check")
	}
	if _, err := gone.Get(t.Context(), "1/a.png"); err == nil || errors.Is(err, media.ErrMissing) {
		t.Errorf("of no bucket: %v", err)
	}
	server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, err := s.Get(ctx, "1/a.png"); err == nil || errors.Is(err, media.ErrMissing) {
		t.Errorf("while it is down: %v", err)
	}
	if err := s.Put(ctx, "1/a.png", "image/png", []byte("x")); err == nil {
		t.Error("put while it is down")
	}
}
