package domain

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// OrderLimit is how long one order may take.
const OrderLimit = 90 * time.Second

// Wish is what Obtain is asked for.
type Wish struct {
	Name string
	// Known is the serial of the certificate the caller has: another valid one in the
	// storage is taken instead of ordering. Empty: any valid one will do.
	Known string
	// Spend is called right before an order is placed, and only then. Its error is
	// returned and nothing is ordered.
	Spend func(context.Context) error
	Now   time.Time
}

// placedOrder is kept, sealed, while an order is under way.
type placedOrder struct {
	URL string `json:"url"`
	Key string `json:"key"`
}

func (a *Authority) orderAsset(name string) string {
	return a.asset("orders", certmagic.StorageKeys.Safe(name)+".key")
}

func (a *Authority) challengeAsset(name string) string {
	return a.asset("challenges", certmagic.StorageKeys.Safe(name)+".json")
}

// Obtain returns a valid certificate for the wish: one that is stored already, the
// one of an order that was placed and not finished, or that of a new order. Nodes
// that ask for the same name at once wait for each other; one order is placed.
func (a *Authority) Obtain(ctx context.Context, w Wish) (Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, OrderLimit)
	defer cancel()
	lock := "order " + w.Name
	if err := a.cfg.Assets.Lock(ctx, lock); err != nil {
		return Certificate{}, &storageError{err}
	}
	defer func() { _ = a.cfg.Assets.Unlock(context.WithoutCancel(ctx), lock) }()

	stored, err := a.Stored(ctx, w.Name)
	switch {
	case err == nil && stored.Serial != w.Known && w.Now.Before(stored.NotAfter):
		a.forgetOrder(ctx, w.Name)
		return stored, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Certificate{}, &storageError{err} // an order whose certificate cannot be stored is wasted
	}
	cert, err := a.order(ctx, w, stored.Leaf)
	var p acme.Problem
	if errors.As(err, &p) && p.Type == acme.ProblemTypeAccountDoesNotExist {
		a.forgetAccount(ctx)
		return a.order(ctx, w, stored.Leaf)
	}
	return cert, err
}

func (a *Authority) order(ctx context.Context, w Wish, replaces *x509.Certificate) (Certificate, error) {
	account, err := a.signedIn(ctx)
	if err != nil {
		return Certificate{}, err
	}
	order, key, err := a.resume(ctx, account, w.Name)
	if err == nil && key == nil {
		order, key, err = a.place(ctx, account, w, replaces)
	}
	if err != nil {
		return Certificate{}, err
	}
	chain, err := a.complete(ctx, account, order, key, w.Name)
	if err != nil {
		if problemAnswered(err) {
			a.forgetOrder(context.WithoutCancel(ctx), w.Name) // refused for good: the next attempt is a new order
		}
		return Certificate{}, err
	}
	cert, err := a.keep(ctx, w.Name, chain, key)
	if err != nil {
		return Certificate{}, &storageError{err}
	}
	a.forgetOrder(ctx, w.Name)
	return cert, nil
}

// resume finds the order of an earlier attempt. The key is nil when there is none
// that could still give a certificate.
func (a *Authority) resume(ctx context.Context, account acme.Account, name string) (acme.Order, crypto.Signer, error) {
	b, err := a.cfg.Assets.Load(ctx, a.orderAsset(name))
	if errors.Is(err, fs.ErrNotExist) {
		return acme.Order{}, nil, nil
	}
	if err != nil {
		return acme.Order{}, nil, &storageError{err}
	}
	var placed placedOrder
	if json.Unmarshal(b, &placed) != nil {
		return acme.Order{}, nil, nil
	}
	key, err := certmagic.PEMDecodePrivateKey([]byte(placed.Key))
	if err != nil {
		return acme.Order{}, nil, nil //nolint:nilerr // unreadable: as if there were none
	}
	order, err := a.acme.GetOrder(ctx, account, acme.Order{Location: placed.URL})
	var p acme.Problem
	if errors.As(err, &p) && p.Status/100 == 4 && p.Status != http.StatusTooManyRequests {
		return acme.Order{}, nil, nil // the authority has forgotten it
	}
	if err != nil {
		return acme.Order{}, nil, fmt.Errorf("look up the order of %s: %w", name, err)
	}
	order.Location = placed.URL
	if order.Status == acme.StatusInvalid {
		return acme.Order{}, nil, nil
	}
	return order, key, nil
}

func (a *Authority) place(ctx context.Context, account acme.Account, w Wish, replaces *x509.Certificate) (acme.Order, crypto.Signer, error) {
	key, err := certmagic.DefaultKeyGenerator.GenerateKey()
	if err != nil {
		return acme.Order{}, nil, err
	}
	encoded, err := certmagic.PEMEncodePrivateKey(key)
	if err != nil {
		return acme.Order{}, nil, err
	}
	order := acme.Order{Profile: a.cfg.Profile, Identifiers: []acme.Identifier{{Type: "dns", Value: w.Name}}}
	if replaces != nil {
		if id, err := acme.ARIUniqueIdentifier(replaces); err == nil {
			order.Replaces = id
		}
	}
	if w.Spend != nil {
		if err := w.Spend(ctx); err != nil {
			return acme.Order{}, nil, err
		}
	}
	placed, err := a.acme.NewOrder(ctx, account, order)
	if err != nil && order.Replaces != "" && problemAnswered(err) && !problemIs(err, acme.ProblemTypeRateLimited) {
		order.Replaces = "" // it was replaced already, or the authority does not know it
		placed, err = a.acme.NewOrder(ctx, account, order)
	}
	if err != nil {
		return acme.Order{}, nil, fmt.Errorf("order: %w", err)
	}
	b, err := json.Marshal(placedOrder{URL: placed.Location, Key: string(encoded)})
	if err != nil {
		return acme.Order{}, nil, err
	}
	if err := a.cfg.Assets.Store(ctx, a.orderAsset(w.Name), b); err != nil {
		return acme.Order{}, nil, &storageError{err}
	}
	return placed, key.(crypto.Signer), nil
}

// complete brings an order, in whatever state, to its certificate.
func (a *Authority) complete(ctx context.Context, account acme.Account, order acme.Order, key crypto.Signer, name string) ([]byte, error) {
	if order.Status == acme.StatusPending {
		if err := a.prove(ctx, account, order, name); err != nil {
			return nil, err
		}
	}
	var err error
	if order.Status == acme.StatusPending || order.Status == acme.StatusReady {
		csr, cerr := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{name}}, key)
		if cerr != nil {
			return nil, cerr
		}
		if order, err = a.acme.FinalizeOrder(ctx, account, order, csr); err != nil {
			return nil, fmt.Errorf("finalize: %w", err)
		}
	}
	for order.Status == acme.StatusProcessing {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		location := order.Location
		if order, err = a.acme.GetOrder(ctx, account, order); err != nil {
			return nil, fmt.Errorf("poll the order: %w", err)
		}
		order.Location = location
	}
	chains, err := a.acme.GetCertificateChain(ctx, account, order.Certificate)
	if err != nil {
		return nil, fmt.Errorf("download: %w", err)
	}
	if len(chains) == 0 {
		return nil, errors.New("download: the authority sent no certificate")
	}
	return chains[0].ChainPEM, nil
}

// prove answers one challenge of every authorization that is still open.
func (a *Authority) prove(ctx context.Context, account acme.Account, order acme.Order, name string) error {
	for _, location := range order.Authorizations {
		authz, err := a.acme.GetAuthorization(ctx, account, location)
		if err != nil {
			return fmt.Errorf("authorization: %w", err)
		}
		if authz.Status != acme.StatusPending {
			continue
		}
		want := a.challengeType(name)
		i := slices.IndexFunc(authz.Challenges, func(c acme.Challenge) bool { return c.Type == want })
		if i < 0 {
			return fmt.Errorf("the authority offers no challenge of type %s for %s", want, name)
		}
		if err := a.answer(ctx, account, authz, authz.Challenges[i], name); err != nil {
			return err
		}
	}
	return nil
}

func (a *Authority) answer(ctx context.Context, account acme.Account, authz acme.Authorization, c acme.Challenge, name string) error {
	clean, err := a.present(ctx, c, name)
	if err != nil {
		return err
	}
	defer clean()
	if _, err := a.acme.InitiateChallenge(ctx, account, c); err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	if _, err := a.acme.PollAuthorization(ctx, account, authz); err != nil {
		return fmt.Errorf("validation: %w", err)
	}
	return nil
}

// keep stores the certificate the way certmagic reads it, all of it or nothing.
func (a *Authority) keep(ctx context.Context, name string, chain []byte, key crypto.Signer) (Certificate, error) {
	cert, err := readCertificate(name, chain)
	if err != nil {
		return Certificate{}, err
	}
	encoded, err := certmagic.PEMEncodePrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	meta, err := json.Marshal(certmagic.CertificateResource{SANs: []string{name}})
	if err != nil {
		return Certificate{}, err
	}
	return cert, storeAll(ctx, a.cfg.Assets, []Asset{
		{certmagic.StorageKeys.SitePrivateKey(a.key, name), encoded},
		{certmagic.StorageKeys.SiteCert(a.key, name), chain},
		{certmagic.StorageKeys.SiteMeta(a.key, name), meta},
	})
}

// storeAll stores in one step where the storage can.
func storeAll(ctx context.Context, s Assets, assets []Asset) error {
	if whole, ok := s.(interface {
		StoreAll(context.Context, []Asset) error
	}); ok {
		return whole.StoreAll(ctx, assets)
	}
	for _, a := range assets {
		if err := s.Store(ctx, a.Key, a.Value); err != nil {
			return err
		}
	}
	return nil
}

func (a *Authority) forgetOrder(ctx context.Context, name string) {
	if err := a.cfg.Assets.Delete(ctx, a.orderAsset(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.cfg.Log.WarnContext(ctx, "a finished order stays on record", "name", name, "error", err)
	}
}
