package sandbox

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const gatewayPage = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"

// before answers the faults that need no look at the books and execute nothing.
func (s *Simulator) before(w http.ResponseWriter, r *http.Request, f *fault) bool {
	switch f.Mode {
	case modeDropBefore:
		panic(http.ErrAbortHandler) // closes the connection
	case modeHTMLBefore:
		html(w, f)
	case mode500Before, mode401Once:
		s.refuseFault(w, r, f)
	case modeRedirect:
		w.Header().Set("Location", "https://www.reloadly.com/")
		setHeaders(w, f)
		w.WriteHeader(statusOr(f, http.StatusFound))
	case modeRefuse:
		if f.Status != http.StatusUnauthorized && f.Status != http.StatusTooManyRequests {
			return false // the provider looks at the identifier first
		}
		s.refuseFault(w, r, f)
	default:
		return false
	}
	return true
}

// declined answers the faults that come after the provider's own checks and execute nothing.
func (s *Simulator) declined(w http.ResponseWriter, r *http.Request, f *fault, identifier string) bool {
	switch f.Mode {
	case modeRefuse:
	case modeSlowRefuse:
		s.wait(r.Context(), s.faultDelay(f, slowAnswer))
	default:
		return false
	}
	if s.cfg.BurnOnDecline && f.Code != nil && operatorDeclined(*f.Code) {
		s.burn(identifier)
	}
	s.refuseFault(w, r, f)
	return true
}

// operatorDeclined tells the operator's declines from the refusals of Reloadly itself.
func operatorDeclined(code string) bool {
	return slices.Contains([]string{
		"TRANSACTION_FAILED_ON_OPERATOR", "TRANSACTION_REJECTED_BY_OPERATOR", "TRANSACTION_REFUSED_BY_OPERATOR",
		"PHONE_BANNED_BY_OPERATOR", "RECIPIENT_PHONE_INACTIVE", "RECIPIENT_REACHED_MAX_TOPUP_NUMBER",
		"INVALID_AMOUNT_FOR_RECIPIENT_PHONE", "REQUEST_FAILED_ON_PROVIDER", "PROVIDER_INTERNAL_ERROR",
		"TOPUP_TRANSACTION_FAILED", "TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT", "UNMAPPED_PROVIDER_ERROR_CODE",
	}, code)
}

// answer tells the client of an execution, or fails to.
func (s *Simulator) answer(w http.ResponseWriter, r *http.Request, rec *record, f *fault, async bool) {
	if f == nil {
		if async {
			writeBody(w, http.StatusOK, map[string]any{"transactionId": rec.Transaction})
		} else {
			writeBody(w, http.StatusOK, s.accepted(rec))
		}
		return
	}
	body := s.asMap(rec, async)
	switch f.Mode {
	case modeDropAfter, modeLate:
		panic(http.ErrAbortHandler) // closes the connection
	case modeHTMLAfter:
		html(w, f)
		return
	case mode500After, modeRefuseAfter:
		s.refuseFault(w, r, f)
		return
	case modeEmpty200:
		w.WriteHeader(http.StatusOK)
		return
	case modeTruncated:
		b, err := json.Marshal(body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		cut(w, http.StatusOK, b)
	case modeOversized:
		body["padding"] = string(bytes.Repeat([]byte{'x'}, oversized))
	case modeNoID:
		delete(body, "transactionId")
	case modeNoStatus:
		delete(body, "status")
	case modeWrongEcho:
		body["customIdentifier"], body["recipientPhone"] = "someone-else", "10000000000"
	}
	setHeaders(w, f)
	writeBody(w, http.StatusOK, body)
}

func html(w http.ResponseWriter, f *fault) {
	w.Header().Set("Content-Type", "text/html")
	setHeaders(w, f)
	w.WriteHeader(statusOr(f, http.StatusBadGateway))
	_, _ = w.Write([]byte(gatewayPage))
}

// cut announces the whole answer and sends half.
func cut(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler) // closes the connection
}

// refuseFault answers with the fault's error body, or an empty errorCode's.
func (s *Simulator) refuseFault(w http.ResponseWriter, r *http.Request, f *fault) {
	setHeaders(w, f)
	if f.Status == http.StatusTooManyRequests && len(f.Headers) > 0 && w.Header().Get("X-RateLimit-Reset") == "" {
		if after, err := strconv.Atoi(w.Header().Get("Retry-After")); err == nil {
			reset := s.now().Add(time.Duration(after) * time.Second).Unix()
			w.Header().Set("X-RateLimit-Reset", strconv.FormatInt(reset, 10))
		}
	}
	s.refuseWith(w, r, statusOr(f, http.StatusInternalServerError), f.Code, f.Message)
}

func setHeaders(w http.ResponseWriter, f *fault) {
	for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
		w.Header().Set(name, f.Headers[name])
	}
}

func statusOr(f *fault, otherwise int) int {
	if f.Status == 0 {
		return otherwise
	}
	return f.Status
}
