// Package s3store keeps uploads in a bucket of any S3-compatible service. It is a
// media.Store and nothing else.
package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/ezscale/ezscale/branding/media"
)

// Config names the bucket.
type Config struct {
	Endpoint  string // host:port, without a scheme
	Bucket    string
	Prefix    string // before every key; empty: none
	Region    string
	AccessKey string
	SecretKey string
	Plain     bool          // HTTP without TLS, for a service on this machine
	Timeout   time.Duration // of one operation; 0: 10 s
}

// Store is a media.Store in a bucket. It is safe for concurrent use.
type Store struct {
	cfg    Config
	client *minio.Client
}

var _ media.Store = (*Store)(nil)

// New makes a store. It connects to nothing.
func New(cfg Config) (*Store, error) {
	if cfg.Bucket == "" || strings.Contains(cfg.Endpoint, "://") {
		return nil, errors.New("s3store: a bucket and an endpoint without a scheme are needed")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Prefix != "" {
		cfg.Prefix = strings.Trim(cfg.Prefix, "/") + "/"
	}
	client, err := minio.New(cfg.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: !cfg.Plain, Region: cfg.Region, MaxRetries: 2,
	})
	if err != nil {
		return nil, fmt.Errorf("s3store: %w", err)
	}
	return &Store{cfg: cfg, client: client}, nil
}

// Check reports whether the bucket is there and may be used.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	ok, err := s.client.BucketExists(ctx, s.cfg.Bucket)
	if err == nil && !ok {
		err = errors.New("there is no such bucket")
	}
	if err != nil {
		return fmt.Errorf("s3store: bucket %s: %w", s.cfg.Bucket, err)
	}
	return nil
}

// Put writes an object.
func (s *Store) Put(ctx context.Context, key, mediaType string, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	_, err := s.client.PutObject(ctx, s.cfg.Bucket, s.cfg.Prefix+key, bytes.NewReader(b), int64(len(b)), minio.PutObjectOptions{ContentType: mediaType})
	if err != nil {
		return fmt.Errorf("s3store: put %s: %w", key, err)
	}
	return nil
}

// Get reads an object.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	o, err := s.client.GetObject(ctx, s.cfg.Bucket, s.cfg.Prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("s3store: get %s: %w", key, err)
	}
	defer func() { _ = o.Close() }()
	b, err := io.ReadAll(io.LimitReader(o, 4*media.MaxBytes))
	var answer minio.ErrorResponse
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound && answer.Code == "NoSuchKey" {
		return nil, media.ErrMissing
	}
	if err != nil {
		return nil, fmt.Errorf("s3store: get %s: %w", key, err)
	}
	return b, nil
}

// DeleteAll removes every object below prefix.
func (s *Store) DeleteAll(ctx context.Context, prefix string) error {
	if strings.Trim(prefix, "/") == "" {
		return errors.New("s3store: a prefix is needed")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range s.client.ListObjects(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: s.cfg.Prefix + prefix, Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("s3store: list %s: %w", prefix, o.Err)
		}
		if err := s.client.RemoveObject(ctx, s.cfg.Bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			return fmt.Errorf("s3store: remove %s: %w", o.Key, err)
		}
	}
	return nil
}
