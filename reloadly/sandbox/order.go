package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxIdentifier = 150

// flexible reads a number, a string of one, or null; the figure stays text.
type flexible string

func (f *flexible) UnmarshalJSON(b []byte) error {
	text := string(b)
	switch {
	case text == "null":
		text = ""
	case strings.HasPrefix(text, `"`):
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	case text[0] != '-' && (text[0] < '0' || text[0] > '9'):
		return errors.New("neither a number nor a string")
	}
	*f = flexible(strings.TrimSpace(text))
	return nil
}

type phoneField struct {
	Country string   `json:"countryCode"`
	Number  flexible `json:"number"`
}

type topupRequest struct {
	Operator   flexible    `json:"operatorId"`
	Amount     flexible    `json:"amount"`
	Local      bool        `json:"useLocalAmount"`
	Identifier string      `json:"customIdentifier"`
	Phone      *phoneField `json:"recipientPhone"`
	Email      string      `json:"recipientEmail"`
	Sender     *phoneField `json:"senderPhone"`
}

// order is a request that was understood, with its price.
type order struct {
	op         *operator
	quote      quote
	identifier string
	phone      string
	national   string
	email      string
	sender     string
	country    string
	async      bool
}

func (o *order) recipient() string {
	if o.phone != "" {
		return o.phone
	}
	return strings.ToLower(o.email)
}

// understand checks a request without looking at the books. The order it returns with a refusal has the
// recipient as far as it was understood.
func (s *Simulator) understand(in *topupRequest) (*order, *fault) {
	o := &order{identifier: in.Identifier, email: strings.TrimSpace(in.Email)}
	phoneOK := true
	if in.Phone != nil && in.Phone.Number != "" {
		o.country = strings.ToUpper(strings.TrimSpace(in.Phone.Country))
		o.phone, o.national, phoneOK = internationalNumber(o.country, string(in.Phone.Number))
	}
	invalid := func(code, message string) (*order, *fault) {
		return o, refuseWith(http.StatusBadRequest, code, message)
	}
	if utf8.RuneCountInString(in.Identifier) > maxIdentifier {
		return invalid("INVALID_INPUT_PROVIDED", "customIdentifier must have at most 150 characters")
	}
	id, err := strconv.ParseInt(string(in.Operator), 10, 64)
	if err != nil {
		return invalid("INVALID_INPUT_PROVIDED", "operatorId is required")
	}
	if o.op = s.catalogue.byID(id); o.op == nil {
		return o, refuseWith(http.StatusServiceUnavailable, "OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE",
			"The operator is unavailable or currently inactive")
	}
	switch {
	case !phoneOK:
		return invalid("INVALID_RECIPIENT_PHONE", "The recipient's phone number is not valid")
	case o.op.Email:
		if at := strings.IndexByte(o.email, '@'); at < 1 || at == len(o.email)-1 {
			return invalid("INVALID_INPUT_PROVIDED", "recipientEmail is required for this operator")
		}
	case o.phone == "":
		return invalid("INVALID_RECIPIENT_PHONE", "The recipient's phone number is required")
	default:
		o.email = "" // not used by the other operators
	}
	if o.phone != "" && o.country != o.op.Country {
		return invalid("OPERATOR_AND_RECIPIENT_PHONE_MISMATCH", "The operator does not serve the recipient's country")
	}
	o.country = o.op.Country
	if in.Sender != nil && in.Sender.Number != "" {
		var ok bool
		if o.sender, ok = senderNumber(in.Sender); !ok {
			return invalid("INVALID_SENDER_PHONE", "The sender's phone number is not valid")
		}
	}
	amount, err := parseMoney(string(in.Amount))
	// A sixth decimal would be rounded away, and the books would then show another amount than was asked for.
	if err != nil || amount <= 0 || amount%microsPer5th != 0 {
		return invalid("INVALID_AMOUNT", "The amount is not valid")
	}
	var f *fault
	o.quote, f = s.catalogue.price(o.op, amount, in.Local)
	return o, f
}

// senderNumber is lenient: the quick start's own sender is no number of Canada's plan.
func senderNumber(p *phoneField) (string, bool) {
	if digits, _, ok := internationalNumber(strings.ToUpper(p.Country), string(p.Number)); ok {
		return digits, true
	}
	digits := strings.NewReplacer("+", "", " ", "", "-", "").Replace(string(p.Number))
	return digits, len(digits) >= 6 && len(digits) <= 15 && strings.Trim(digits, "0123456789") == ""
}
