package httpapi

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"example.com/topup/enqueue"
)

// describer writes what huma cannot see in the types: bodies that the operations read
// themselves, states, and what may be null.
type describer struct {
	api huma.API
}

// description is the head of the document.
func description() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Topup", Version: "1",
			Description: "Airtime top-ups through Reloadly, each paid at most once per id. After a 5xx, a 408 or no answer it is not known whether a top-up was accepted: repeat it with the same id. Amounts are decimal text in answers, and numbers or text in requests.",
		},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"key": {Type: "http", Scheme: "bearer", Description: "An API key (topup key create). On a loopback address no key is needed while there is none."},
			},
		},
	}
}

// schemaName names the types of package enqueue as callers know them.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[enqueue.Result]():
		return "Result"
	case reflect.TypeFor[topUpRequest]():
		return "TopUp"
	case reflect.TypeFor[batchRequest]():
		return "Batch"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// topUpRequest describes enqueue.TopUp as it may be sent. It is never decoded into.
type topUpRequest struct {
	CustomIdentifier string            `json:"customIdentifier,omitempty" doc:"The top-up's id, repeated with the request; needed unless Idempotency-Key has it. Compared without case" maxLength:"100" pattern:"^[a-zA-Z0-9._:-]+$" example:"airtime-top-up"`
	OperatorID       numberOrText      `json:"operatorId,omitempty" doc:"Reloadly's operator; left out or 0: detected from the number"`
	Amount           numberOrText      `json:"amount" doc:"More than 0, at most 12 digits before the point and five behind it, no exponent"`
	UseLocalAmount   bool              `json:"useLocalAmount,omitempty" doc:"The amount is in the destination's currency, not in the account's"`
	RecipientPhone   *phoneRequest     `json:"recipientPhone,omitempty" doc:"Who gets it; needed unless there is a recipientEmail"`
	RecipientEmail   string            `json:"recipientEmail,omitempty" doc:"For the few operators that deliver by e-mail" maxLength:"254"`
	SenderPhone      *phoneRequest     `json:"senderPhone,omitempty"`
	Campaign         string            `json:"campaign,omitempty" doc:"Groups top-ups" maxLength:"64" pattern:"^[a-zA-Z0-9._:-]+$"`
	NotBefore        string            `json:"notBefore,omitempty" format:"date-time" doc:"Earliest time to send it"`
	Expires          string            `json:"expires,omitempty" format:"date-time" doc:"Not sent after it; 24 hours unless told"`
	Metadata         map[string]string `json:"metadata,omitempty" doc:"Echoed in the result; at most 1 KiB as JSON"`
}

type phoneRequest struct {
	CountryCode string `json:"countryCode" doc:"ISO 3166 alpha-2" example:"AE"`
	Number      string `json:"number" doc:"National or international, at most 15 digits" example:"0503971821"`
}

type batchRequest struct {
	TopUps []topUpRequest `json:"topups" minItems:"1" maxItems:"1000" nullable:"false"`
}

// numberOrText is how amounts and operators may be sent.
type numberOrText struct{}

// Schema is how huma learns it.
func (numberOrText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString, Pattern: `^\s*[0-9]+(\.[0-9]+)?\s*$`}}}
}

// types registers the types that no operation's signature shows.
func (d describer) types() {
	registry := d.api.OpenAPI().Components.Schemas
	for _, t := range []reflect.Type{
		reflect.TypeFor[topUpRequest](), reflect.TypeFor[batchRequest](), reflect.TypeFor[tokenRequest](), reflect.TypeFor[Problem](),
	} {
		registry.Schema(t, true, "")
	}
}

func (d describer) reference(name string) *huma.Schema {
	return &huma.Schema{Ref: "#/components/schemas/" + name}
}

// operation describes one, with every status that it can answer.
func (d describer) operation(id, method, path, summary, text string, guard huma.Middlewares, scope Scope, statuses ...int) huma.Operation {
	op := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Description: text, Middlewares: guard,
		SkipValidateParams: true, SkipValidateBody: true, // each operation says itself what is wrong, with a code
		DefaultStatus: statuses[0], Responses: map[string]*huma.Response{},
	}
	if scope != "" {
		op.Security = []map[string][]string{{"key": {string(scope)}}}
	}
	for _, status := range statuses {
		response := &huma.Response{Description: http.StatusText(status)}
		if status >= 400 {
			response.Content = map[string]*huma.MediaType{problemType: {Schema: d.reference("Problem")}}
		}
		response.Headers = headersOf(id, status, scope)
		op.Responses[strconv.Itoa(status)] = response
	}
	return op
}

func headersOf(id string, status int, scope Scope) map[string]*huma.Param {
	text := func(about string) *huma.Param {
		return &huma.Param{Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	headers := map[string]*huma.Param{}
	counted := scope != "" && status != http.StatusUnauthorized
	if id == "reloadly-token" { // which knows the key only where the body names one
		counted = status < 300 || status == http.StatusTooManyRequests
	}
	if counted {
		headers["RateLimit"] = text("What is left of the key's rate")
		headers["RateLimit-Policy"] = text("The key's rate: q requests in w seconds")
	}
	if scope != "" && status == http.StatusUnauthorized {
		headers["WWW-Authenticate"] = text("Bearer")
	}
	switch {
	case id == "submit-topup" && status < 300, id == "reloadly-topup" && (status < 300 || status == http.StatusBadRequest || status == http.StatusGatewayTimeout):
		headers["Location"] = text("The top-up's own path, where there is one")
	}
	if status < 300 && (id == "submit-topup" || id == "get-topup") {
		headers["Preference-Applied"] = text("wait, where Prefer asked for it")
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		headers["Retry-After"] = text("Seconds")
	}
	return headers
}

// body describes a body that the operation reads itself. It comes after the
// registration, which would make huma read it.
func (d describer) body(path, name string) {
	d.api.OpenAPI().Paths[path].Post.RequestBody = &huma.RequestBody{
		Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: d.reference(name)}},
	}
}

// finish completes the types.
func (d describer) finish() {
	doc := d.api.OpenAPI()
	schemas := doc.Components.Schemas.Map()
	// huma's own form of an error, which no answer has.
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	submit := doc.Paths["/v1/topups"].Post
	submit.Responses["202"].Content = submit.Responses["200"].Content

	states := make([]any, 0, len(enqueue.States()))
	for _, state := range enqueue.States() {
		states = append(states, string(state))
	}
	reasons := []any{""}
	for _, reason := range enqueue.Reasons() {
		reasons = append(reasons, string(reason))
	}
	result := schemas["Result"]
	result.Description = "A top-up as it stands"
	result.Properties["state"].Enum = states
	result.Properties["reason"].Enum = reasons
	result.Properties["moneyMoved"].Enum = []any{string(enqueue.MovedYes), string(enqueue.MovedNo), string(enqueue.MovedUnknown)}
	for name, about := range map[string]string{
		"id": "The customIdentifier as it was first sent", "state": "succeeded, failed, refunded and cancelled are final; needs_review waits for a person",
		"reason": "What a queued top-up waits for", "code": "Reloadly's error code, or one of Topup's own", "moneyMoved": "unknown is neither: do not send it under another id",
		"explanation": "For people: what happened, what to do", "sends": "Requests that may have left for Reloadly", "transaction": "Every field of Reloadly's answer; amounts are decimal text",
		"nextActionAt": "When it is looked at next", "metadata": "As it was sent",
	} {
		result.Properties[name].Description = about
	}
	for _, nullable := range [][2]string{{"Result", "transaction"}, {"Transaction", "pinDetail"}, {"Transaction", "balanceInfo"}, {"ReloadlyTransaction", "pinDetail"}, {"ReloadlyTransaction", "balanceInfo"}} {
		of := schemas[nullable[0]].Properties
		before := of[nullable[1]]
		of[nullable[1]] = &huma.Schema{Description: before.Description, OneOf: []*huma.Schema{{Ref: before.Ref}, {Type: "null"}}}
	}
	for _, amounts := range []*huma.Schema{schemas["ReloadlyTransaction"], schemas["ReloadlyBalance"]} {
		for _, name := range []string{"discount", "requestedAmount", "deliveredAmount", "fee", "oldBalance", "newBalance", "cost"} {
			if amounts.Properties[name] != nil {
				amounts.Properties[name] = &huma.Schema{Type: huma.TypeNumber, Nullable: true}
			}
		}
	}
	for name, schema := range schemas { // answers may get more fields; requests may not have any
		switch name {
		case "TopUp", "Batch", "PhoneRequest":
		default:
			if schema.AdditionalProperties == false {
				schema.AdditionalProperties = nil
			}
		}
	}
	schemas["Problem"].Properties["state"].Enum = states
	for _, op := range []*huma.Operation{doc.Paths["/v1/topups"].Get} {
		for _, p := range op.Parameters {
			if p.Name == "state" {
				p.Schema.Enum = states
			}
		}
	}
}
