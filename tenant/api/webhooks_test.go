package api_test

import (
	"encoding/json"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ezscale/ezscale/tenant/api"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// TestWebhooksAreDescribed holds every type of message against the description: each is
// there, none besides, and its example is as its schema says.
func TestWebhooksAreDescribed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Description())
	if err != nil {
		t.Fatal(err)
	}
	var described map[string]struct {
		Post struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
	}
	raw, err := json.Marshal(doc.Extensions["webhooks"]) // the library knows OpenAPI 3.0, which has none
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &described); err != nil {
		t.Fatal(err)
	}
	all, err := webhook.Catalogue()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		hook, ok := described[string(d.Type)]
		if !ok {
			t.Errorf("%s is not described", d.Type)
			continue
		}
		delete(described, string(d.Type))
		name := hook.Post.RequestBody.Content["application/json"].Schema.Ref[len("#/components/schemas/"):]
		var example any
		if err := json.Unmarshal([]byte(d.Example), &example); err != nil {
			t.Fatal(err)
		}
		if err := doc.Components.Schemas[name].Value.VisitJSON(example); err != nil {
			t.Errorf("the example of %s: %v", d.Type, err)
		}
		if d.Text == "" {
			t.Errorf("%s is not explained", d.Type)
		}
	}
	for name := range described {
		t.Errorf("%s is described and is never sent", name)
	}
}
