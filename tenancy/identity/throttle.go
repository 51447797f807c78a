package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Throttle bounds guessing without giving anybody the means to lock another person
// out. What is bounded is mostly the guesser's network:
//
//   - One network may try one account a few times, and all accounts somewhat more.
//   - When an account is tried from everywhere, each network gets fewer tries, but
//     never none: its owner, coming from another place, still has those.
//   - A device that signed in to the account before carries a cookie that proves it
//     and has a budget of its own, whatever strangers do, also strangers on its network.
//
// Counters live in Redis and pass by themselves.
type Throttle struct {
	rdb   redis.UniversalClient
	key   []byte // authenticates device cookies
	clock tenancy.Clock
}

// NewThrottle makes a throttle; key authenticates device cookies.
func NewThrottle(rdb redis.UniversalClient, key []byte, clock tenancy.Clock) *Throttle {
	return &Throttle{rdb: rdb, key: key, clock: clock}
}

// Budgets of wrong tries within a window.
const (
	window          = 15 * time.Minute
	triesPair       = 8  // one network at one account
	triesPairAtWar  = 3  // the same, while the account is tried from everywhere
	triesAccount    = 40 // strangers at one account, before it is at war
	triesNetwork    = 60 // one network at all accounts of a site
	triesDevice     = 12 // a device that proved itself, at its account
	triesCodeHard   = 60 // second factors by strangers who know the password; a day
	deviceLifetime  = 180 * 24 * time.Hour
	maxDeviceCookie = 200
)

// Try is one try at proving something.
type Try struct {
	Binding Binding
	Account string // e-mail in any spelling
	IP      string
	Device  string // the device cookie; may be empty or forged
	Code    bool   // a second factor, not a password
}

var errThrottled = fault.New(fault.TooMany, "signin.throttled", "That were many tries in a short time. Please wait a quarter of an hour and try again.")

// Admit counts a try and returns the fault signin.throttled when there were too
// many. A try that turns out right is given back with Succeeded.
func (t *Throttle) Admit(ctx context.Context, try Try) error {
	k := t.keys(try)
	if k.device != "" {
		return t.admitDevice(ctx, k)
	}
	pipe := t.rdb.Pipeline()
	pair, account, network := count(ctx, pipe, k.pair, window), count(ctx, pipe, k.account, window), count(ctx, pipe, k.network, window)
	var day *redis.IntCmd
	if try.Code {
		day = count(ctx, pipe, k.account+":day", 24*time.Hour)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return storeDown(err)
	}
	allowed := int64(triesPair)
	if account.Val() > triesAccount {
		allowed = triesPairAtWar
	}
	if pair.Val() > allowed || network.Val() > triesNetwork || day != nil && day.Val() > triesCodeHard {
		return errThrottled
	}
	return nil
}

func (t *Throttle) admitDevice(ctx context.Context, k throttleKeys) error {
	pipe := t.rdb.Pipeline()
	tries := count(ctx, pipe, k.device, window)
	if _, err := pipe.Exec(ctx); err != nil {
		return storeDown(err)
	}
	if tries.Val() > triesDevice {
		return errThrottled
	}
	return nil
}

// Succeeded gives back what the successful try and the slips before it cost. The
// network's count at all accounts is only given back this try: an account of one's
// own must not buy more guesses at others.
func (t *Throttle) Succeeded(ctx context.Context, try Try) error {
	k := t.keys(try)
	pipe := t.rdb.Pipeline()
	if k.device != "" {
		pipe.Del(ctx, k.device)
	} else {
		pipe.Del(ctx, k.pair)
		pipe.Decr(ctx, k.network)
		pipe.Decr(ctx, k.account)
		if try.Code {
			pipe.Decr(ctx, k.account+":day")
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return storeDown(err)
	}
	return nil
}

// Take counts one use of something a network or an address may do only so often,
// such as asking for mails. It reports false when there were more than limit within
// the span.
func (t *Throttle) Take(ctx context.Context, what, subject string, limit int64, span time.Duration) (bool, error) {
	pipe := t.rdb.Pipeline()
	n := count(ctx, pipe, "ez:take:"+what+":"+digest(subject), span)
	if _, err := pipe.Exec(ctx); err != nil {
		return false, storeDown(err)
	}
	return n.Val() <= limit, nil
}

func count(ctx context.Context, pipe redis.Pipeliner, key string, span time.Duration) *redis.IntCmd {
	n := pipe.Incr(ctx, key)
	pipe.ExpireNX(ctx, key, span)
	return n
}

type throttleKeys struct{ pair, account, network, device string }

func (t *Throttle) keys(try Try) throttleKeys {
	site := string(try.Binding.World) + ":" + tenantText(try.Binding.Tenant)
	kind := "p"
	if try.Code {
		kind = "c"
	}
	prefix, account, network := "ez:try:"+kind+":"+site+":", digest(EmailKey(try.Account)), Network(try.IP)
	k := throttleKeys{
		pair: prefix + "pair:" + account + ":" + network, account: prefix + "account:" + account, network: prefix + "network:" + network,
	}
	if nonce, ok := t.readDevice(try); ok {
		k.device = prefix + "device:" + account + ":" + nonce
	}
	return k
}

// Network is what one visitor is likely to hold: an IPv4 address, or a /64 of IPv6.
func Network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return "unknown"
	}
	return p.Masked().Addr().String()
}

// NewDevice is the cookie for a browser that has just signed in to the account.
func (t *Throttle) NewDevice(b Binding, account string) string {
	nonce := randomText(12)
	until := t.clock().Add(deviceLifetime).UTC().Format("20060102")
	return nonce + "." + until + "." + t.sealDevice(b, account, nonce, until)
}

// Knows reports whether the try comes from a device that signed in to the account before.
func (t *Throttle) Knows(try Try) bool {
	_, ok := t.readDevice(try)
	return ok
}

func (t *Throttle) readDevice(try Try) (nonce string, ok bool) {
	if try.Device == "" || len(try.Device) > maxDeviceCookie {
		return "", false
	}
	parts := strings.Split(try.Device, ".")
	if len(parts) != 3 || !hmac.Equal([]byte(parts[2]), []byte(t.sealDevice(try.Binding, try.Account, parts[0], parts[1]))) {
		return "", false
	}
	return parts[0], t.clock().UTC().Format("20060102") <= parts[1]
}

func (t *Throttle) sealDevice(b Binding, account, nonce, until string) string {
	mac := hmac.New(sha256.New, t.key)
	_, _ = mac.Write([]byte(string(b.World) + "\x00" + tenantText(b.Tenant) + "\x00" + EmailKey(account) + "\x00" + nonce + "\x00" + until))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// digest keeps addresses out of Redis' keys, and keys short.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:12])
}
