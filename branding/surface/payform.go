package surface

import (
	"net/http"

	"github.com/gofiber/fiber/v2"
)

// CardAnswer is what the script of a card form (pay.js) learns of an attempt to pay or to
// keep a card.
type CardAnswer struct {
	State        string `json:"state"` // as a gateway.State
	ClientSecret string `json:"client_secret,omitempty"`
	Next         string `json:"next"` // where to look at it
	Message      string `json:"message,omitempty"`
}

// AsksJSON reports whether a page's script asks, and not the browser itself.
func AsksJSON(c *fiber.Ctx) bool { return c.Get(fiber.HeaderAccept) == fiber.MIMEApplicationJSON }

// Header is the request's header for what knows nothing of fiber, such as a gateway that
// verifies a notification.
func Header(c *fiber.Ctx) http.Header {
	header := http.Header{}
	for name, values := range c.GetReqHeaders() {
		for _, v := range values {
			header.Add(name, v)
		}
	}
	return header
}
