// Package api is what a shop's customers' programs call: /api/v1, described by
// openapi.yaml beside this file. It authenticates tokens, bounds how often each may
// call, makes writes happen once, and answers in JSON; what a call does is the slice's
// whose matter it is.
package api

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/access"
)

//go:embed openapi.yaml
var description []byte

// Description is the API in OpenAPI 3.1, YAML.
func Description() []byte { return bytes.Clone(description) }

// Prefix stands before every path.
const Prefix = "/api/v1"

// Allowance is how much more somebody may call.
type Allowance struct {
	OK        bool
	Limit     int
	Remaining int
	Reset     time.Duration // until all of it is there again
	Again     time.Duration // of a refusal: when the next call is let through
}

// Limiter counts calls by key. An error lets the call through: the counter being down
// must not stop programs.
type Limiter interface {
	Take(ctx context.Context, key string, perMinute int) (Allowance, error)
}

// API is the customers' API of every shop. cmd fills its fields.
type API struct {
	Limits Limiter
	// PerMinute is how often a token, or without one an address, may call; 0: 120.
	PerMinute int
	Slices
}

// call is one request, authenticated and decoded so far as all have it in common.
type call struct {
	*fiber.Ctx
	db     *tenancy.DB
	caller access.Caller // of operations with a scope
}

func (c call) ctx() context.Context { return c.UserContext() }

// operation is one line of the API's table.
type operation struct {
	method, path string
	scope        access.Scope // empty: no token is needed
	write        bool         // takes an Idempotency-Key
	perMinute    int          // how often a token may call it, beside all others; 0: with them
	do           func(c call) (status int, body any, err error)
}

// Routes is every route of the API, on one screen.
func (a *API) Routes() []surface.Route {
	routes := []surface.Route{
		{Method: fiber.MethodGet, Path: Prefix + "/openapi.yaml", Needs: identity.Public, Handler: describe},
	}
	for _, op := range a.operations() {
		routes = append(routes, surface.Route{Method: op.method, Path: Prefix + op.path, Needs: identity.Public, Handler: a.handle(op)})
	}
	return routes
}

func describe(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, "application/yaml")
	c.Set(fiber.HeaderCacheControl, "public, max-age=300")
	return c.Send(description)
}

// handle wraps an operation in what all have in common.
func (a *API) handle(op operation) fiber.Handler {
	return func(f *fiber.Ctx) error {
		c := call{Ctx: f, db: surface.DB(f)}
		who := "ip/" + surface.ClientIP(f)
		if op.scope != "" {
			caller, err := access.Recognise(c.ctx(), c.db, bearer(f))
			if err != nil {
				// A guesser is counted by where it comes from.
				if refused := a.admit(c, who); refused != nil {
					return refused
				}
				return challenge(f, err)
			}
			c.caller, who = caller, "token/"+caller.TokenID.String()
		}
		if err := a.admitTo(c, who, op); err != nil {
			return err
		}
		if op.scope != "" && !c.caller.May(op.scope) {
			return fault.New(fault.Forbidden, "token.scope_missing", fmt.Sprintf("This token does not include %s.", op.scope))
		}
		f.Set(fiber.HeaderCacheControl, "no-store")
		if op.write {
			return once(c, op)
		}
		status, body, err := op.do(c)
		if err != nil {
			return err
		}
		return answer(f, status, body)
	}
}

// challenge says how to authenticate, as RFC 6750 asks.
func challenge(f *fiber.Ctx, err error) error {
	if fault.From(err).Kind == fault.Unauthorized {
		f.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="api"`)
	}
	return err
}

func bearer(f *fiber.Ctx) string {
	scheme, secret, _ := strings.Cut(f.Get(fiber.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// admit counts the call and tells how many more there may be.
func (a *API) admit(c call, who string) error { return a.admitTo(c, who, operation{}) }

func (a *API) admitTo(c call, who string, op operation) error {
	if a.Limits == nil {
		return nil
	}
	per := a.PerMinute
	if per <= 0 {
		per = 120
	}
	if op.perMinute > 0 {
		per, who = op.perMinute, who+op.path
	}
	left, err := a.Limits.Take(c.ctx(), fmt.Sprintf("api/%s/%s", c.db.Tenant().ID, who), per)
	if err != nil {
		return nil //nolint:nilerr // a counter that is down stops nobody
	}
	c.Set("RateLimit-Limit", strconv.Itoa(left.Limit))
	c.Set("RateLimit-Remaining", strconv.Itoa(left.Remaining))
	c.Set("RateLimit-Reset", seconds(left.Reset))
	if left.OK {
		return nil
	}
	c.Set(fiber.HeaderRetryAfter, seconds(left.Again))
	return fault.New(fault.TooMany, "api.too_many_requests", fmt.Sprintf("At most %d requests a minute. Wait %s seconds.", left.Limit, seconds(left.Again)))
}

func seconds(d time.Duration) string { return strconv.Itoa(int((d + time.Second - 1) / time.Second)) }

// once runs a write under its Idempotency-Key, if it has one.
func once(c call, op operation) error {
	key := c.Get("Idempotency-Key")
	if key == "" {
		status, body, err := op.do(c)
		if err != nil {
			return err
		}
		return answer(c.Ctx, status, body)
	}
	request := append([]byte(c.Method()+" "+c.Path()+"\n"), c.Body()...)
	got, again, err := access.Once(c.ctx(), c.db, c.caller, key, request, func() (access.Answer, error) {
		status, body, err := op.do(c)
		if err != nil {
			return access.Answer{}, err
		}
		text, err := json.Marshal(body)
		return access.Answer{Status: status, Body: text}, err
	})
	if err != nil {
		return err
	}
	if again {
		c.Set("Idempotent-Replayed", "true")
	}
	return send(c.Ctx, got.Status, got.Body)
}

func answer(f *fiber.Ctx, status int, body any) error {
	if raw, ok := body.(rawAnswer); ok {
		f.Set(fiber.HeaderContentType, raw.contentType)
		if raw.fileName != "" {
			f.Set(fiber.HeaderContentDisposition, `attachment; filename="`+raw.fileName+`"`)
		}
		return f.Status(status).Send(raw.bytes)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write an answer: %w", err)
	}
	return send(f, status, text)
}

func send(f *fiber.Ctx, status int, text []byte) error {
	f.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return f.Status(status).Send(text)
}

// rawAnswer is an answer that is not JSON.
type rawAnswer struct {
	contentType, fileName string
	bytes                 []byte
}

// maxBody is the most of a request that is read.
const maxBody = 64 << 10

// decode reads a JSON object strictly: one value, no unknown members.
func decode(c call, into any) error { return decodeUpTo(c, into, maxBody) }

func decodeUpTo(c call, into any, most int) error {
	if len(c.Body()) > most {
		return fault.New(fault.Invalid, "api.body_too_large", "The body is too large.")
	}
	if len(c.Body()) == 0 {
		return fault.New(fault.Invalid, "api.body_missing", "Send a JSON object.")
	}
	d := json.NewDecoder(bytes.NewReader(c.Body()))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fault.Wrap(err, fault.Invalid, "api.body_invalid", "The body is not what this call takes: "+saidOf(err))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fault.New(fault.Invalid, "api.body_invalid", "The body is not what this call takes: more follows the object.")
	}
	return nil
}

// saidOf says what is wrong with JSON without the decoder's own jargon.
func saidOf(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return fmt.Sprintf("%q must not be a %s.", kind.Field, kind.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("it is not JSON from byte %d on.", syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early."
	}
	return strings.TrimPrefix(err.Error(), "json: ") + "."
}
