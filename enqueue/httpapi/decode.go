package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/topup/enqueue"
)

// A body is read twice: first its form is checked, then enqueue's own decoder makes
// the job of it. encoding/json alone would take the last of two amounts, find
// "Amount" as good as "amount", and put other characters in place of broken ones.

// kind is what the value of a field may be; null stands for a field that is left out.
type kind int

const (
	aText kind = iota
	aNumber
	aBool
	aTime
	aPhone
	someTexts
)

// words are the kinds for people.
var words = map[kind]string{
	aText: "text", aNumber: "a number, or a number as text", aBool: "true or false", aTime: "a time as text, such as 2026-12-24T18:00:00+01:00",
	aPhone: "an object with countryCode and number", someTexts: "an object whose values are text",
}

// topUpFields are the names of a job; a test compares them with enqueue.TopUp's.
var topUpFields = map[string]kind{
	"customIdentifier": aText, "operatorId": aNumber, "amount": aNumber, "useLocalAmount": aBool,
	"recipientPhone": aPhone, "senderPhone": aPhone, "recipientEmail": aText,
	"campaign": aText, "notBefore": aTime, "expires": aTime, "metadata": someTexts,
}

var phoneFields = map[string]kind{"countryCode": aText, "number": aText}

// wellFormed checks that body is one JSON text, and returns it without the mark that
// some editors put in front.
func wellFormed(body []byte) ([]byte, *Problem) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, problem(http.StatusBadRequest, CodeBadJSON, "the body is empty (send one JSON object)")
	}
	if !utf8.Valid(body) {
		return nil, problem(http.StatusBadRequest, CodeBadJSON, "the body is not UTF-8")
	}
	var raw json.RawMessage
	err := json.Unmarshal(body, &raw)
	if err == nil {
		return body, nil
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, problem(http.StatusBadRequest, CodeBadJSON, "the body is not one JSON text: it breaks at byte %d", syntax.Offset)
	}
	return nil, problem(http.StatusBadRequest, CodeBadJSON, "the body is not one JSON text")
}

// decodeTopUp makes a job of a well-formed body. It is not validated yet.
func decodeTopUp(body []byte) (enqueue.TopUp, *Problem) {
	var t enqueue.TopUp
	w := walker{dec: json.NewDecoder(bytes.NewReader(body))}
	w.dec.UseNumber()
	w.object("", "the top-up", topUpFields)
	if w.first != nil {
		w.first.Errors = w.errors
		return t, w.first
	}
	err := json.Unmarshal(body, &t)
	switch {
	case err == nil:
		return t, nil
	case errors.Is(err, enqueue.ErrInvalid):
		return t, invalid(err)
	default: // the walk has left nothing to find
		return t, problem(http.StatusBadRequest, CodeBadJSON, "the body cannot be read as a top-up")
	}
}

// walker goes through a well-formed JSON text and notes what does not belong there.
type walker struct {
	dec    *json.Decoder
	first  *Problem
	errors []FieldProblem
	ended  bool
}

func (w *walker) wrong(code Code, pointer, name, what, fix string) {
	if w.first == nil {
		w.first = problem(http.StatusBadRequest, code, "%s: %s (%s)", name, what, fix)
	}
	if len(w.errors) < 20 { // a body of nothing but mistakes needs no longer answer
		w.errors = append(w.errors, FieldProblem{pointer, name, what, fix})
	}
}

func (w *walker) next() json.Token {
	token, err := w.dec.Token()
	if err != nil { // the text was checked before
		w.ended = true
		return nil
	}
	return token
}

// object reads an object of known fields; nil is one of any names with texts as values.
func (w *walker) object(pointer, name string, fields map[string]kind) {
	if token := w.next(); token != json.Delim('{') {
		w.wrong(CodeWrongType, pointer, name, "is not an object", "send a JSON object")
		w.skip(token)
		return
	}
	w.members(pointer, fields)
}

func (w *walker) members(pointer string, fields map[string]kind) {
	seen := map[string]bool{}
	for w.dec.More() {
		name, _ := w.next().(string)
		wanted, known := fields[name]
		at := name
		if !known {
			at = escapePointer(name)
		}
		shown := at
		if pointer != "" {
			shown = pointer[1:] + "." + at // objects stand one deep at most
		}
		at = pointer + "/" + at
		if seen[name] {
			w.wrong(CodeDuplicateName, at, shown, "stands there twice", "send it once")
		}
		seen[name] = true
		if fields == nil {
			w.readable(at, shown, name)
			w.text(at, shown)
			continue
		}
		if !known {
			w.wrong(CodeUnknownField, at, shown, "is not a field of a top-up", "check its spelling, capitals count")
			w.skip(w.next())
			continue
		}
		w.value(at, shown, wanted)
	}
	w.next() // the end of the object
}

// text reads a value of someTexts.
func (w *walker) text(at, name string) {
	token := w.next()
	text, ok := token.(string)
	if !ok {
		w.wrong(CodeWrongType, at, name, "is not text", "put quotation marks around it")
		w.skip(token)
	}
	w.readable(at, name, text)
}

func (w *walker) value(at, name string, wanted kind) {
	token := w.next()
	ok := token == nil
	switch v := token.(type) {
	case string:
		ok = wanted == aText || wanted == aNumber
		if wanted == aTime {
			ok = new(time.Time).UnmarshalText([]byte(v)) == nil
		}
		w.readable(at, name, v)
	case json.Number:
		ok = wanted == aNumber
	case bool:
		ok = wanted == aBool
	case json.Delim:
		if v == '{' && (wanted == aPhone || wanted == someTexts) {
			fields := phoneFields
			if wanted == someTexts {
				fields = nil
			}
			w.members(at, fields)
			return
		}
	}
	if !ok {
		w.wrong(CodeWrongType, at, name, "is not "+words[wanted], "send "+words[wanted])
		w.skip(token)
	}
}

// readable refuses the character that encoding/json puts in place of half a surrogate
// pair: the caller meant something else.
func (w *walker) readable(at, name, text string) {
	if strings.ContainsRune(text, utf8.RuneError) {
		w.wrong(CodeBadJSON, at, name, "has a character that cannot be read", "send whole characters")
	}
}

// skip reads on to the end of a value that began with token.
func (w *walker) skip(token json.Token) {
	depth := 0
	for {
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth <= 0 || w.ended {
			return
		}
		token = w.next()
	}
}

// escapePointer also keeps the answer short where a name is not.
func escapePointer(name string) string {
	const most = 64
	if len(name) > most {
		name = strings.ToValidUTF8(name[:most], "") + "…"
	}
	return pointerEscapes.Replace(name)
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1") // RFC 6901

// maxBatch is how many jobs a batch may have.
const maxBatch = 1000

// decodeBatch takes a well-formed batch apart into its jobs.
func decodeBatch(body []byte) ([]json.RawMessage, *Problem) {
	dec := json.NewDecoder(bytes.NewReader(body))
	w := walker{dec: dec}
	if token := w.next(); token != json.Delim('{') {
		return nil, problem(http.StatusBadRequest, CodeWrongType, `the batch is not an object (send {"topups":[…]})`)
	}
	var jobs []json.RawMessage
	for n := 0; dec.More(); n++ {
		switch name, _ := w.next().(string); {
		case name != "topups":
			shown := escapePointer(name)
			p := problem(http.StatusBadRequest, CodeUnknownField, `%s: is not a field of a batch (send {"topups":[…]})`, shown)
			p.Errors = []FieldProblem{{"/" + shown, shown, "is not a field of a batch", `send {"topups":[…]}`}}
			return nil, p
		case n > 0:
			p := problem(http.StatusBadRequest, CodeDuplicateName, "topups: stands there twice (send it once)")
			p.Errors = []FieldProblem{{"/topups", "topups", "stands there twice", "send it once"}}
			return nil, p
		}
		if err := dec.Decode(&jobs); err != nil {
			p := problem(http.StatusBadRequest, CodeWrongType, "topups: is not a list (send a list of top-ups)")
			p.Errors = []FieldProblem{{"/topups", "topups", "is not a list", "send a list of top-ups"}}
			return nil, p
		}
	}
	if len(jobs) == 0 || len(jobs) > maxBatch {
		return nil, problem(http.StatusBadRequest, CodeBadBatch, "topups: there are %d (send 1 to %d at a time)", len(jobs), maxBatch)
	}
	return jobs, nil
}

// identify gives the job its id: from its body or from the header Idempotency-Key,
// which some clients send in quotation marks.
func identify(t *enqueue.TopUp, header []string) *Problem {
	if len(header) > 1 {
		return parameter("Idempotency-Key", "is there more than once", "send it once")
	}
	key := ""
	if len(header) == 1 {
		key = strings.TrimSpace(header[0])
		if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
			key = key[1 : len(key)-1]
		}
	}
	switch {
	case t.ID == "." || t.ID == ".." || t.ID == "" && (key == "." || key == ".."):
		const what, fix = "cannot stand in the path of an address", "use letters or digits too"
		p := problem(http.StatusBadRequest, CodeInvalidTopUp, "customIdentifier: %s (%s)", what, fix)
		p.Errors = []FieldProblem{{"/customIdentifier", "customIdentifier", what, fix}}
		return p
	case t.ID == "" && key == "":
		p := problem(http.StatusBadRequest, CodeMissingID, "customIdentifier: is missing (give each top-up an id of its own, there or as Idempotency-Key, and repeat it when you repeat the request)")
		p.Errors = []FieldProblem{{"/customIdentifier", "customIdentifier", "is missing", "give each top-up an id of its own, there or as Idempotency-Key"}}
		return p
	case t.ID == "":
		t.ID = key
	case key != "" && enqueue.CanonicalID(key) != enqueue.CanonicalID(t.ID):
		p := problem(http.StatusBadRequest, CodeIDMismatch, "customIdentifier and Idempotency-Key differ (send one of them, or the same)")
		p.Errors = []FieldProblem{{"/customIdentifier", "customIdentifier", "differs from Idempotency-Key", "send one of them, or the same"}}
		return p
	}
	return nil
}

// parseWait reads how long to wait: 30s, or 30 for seconds.
func parseWait(text string, most time.Duration) (time.Duration, error) {
	if strings.Trim(text, "0123456789") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("is not a time such as 30s")
	}
	if d > most {
		return 0, fmt.Errorf("is longer than %gs", most.Seconds())
	}
	return d, nil
}
