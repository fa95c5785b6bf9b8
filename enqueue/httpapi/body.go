package httpapi

import (
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
)

// maxBody is how large a body may be.
const maxBody = 1 << 20

// readJSON reads a body that is one JSON text.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, *Problem) {
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	charset := strings.ToLower(parameters["charset"])
	if err != nil || media != "application/json" || (charset != "" && charset != "utf-8" && charset != "utf8") {
		return nil, problem(http.StatusUnsupportedMediaType, CodeMediaType, "Content-Type: is not application/json in UTF-8 (send the header Content-Type: application/json)")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, problem(http.StatusUnsupportedMediaType, CodeMediaType, "Content-Encoding: is not understood (send it plain)")
	}
	body, p := readBody(w, r)
	if p != nil {
		return nil, p
	}
	return wellFormed(body)
}

// readBody reads a body of at most [maxBody], for as long as the server lets it take.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *Problem) {
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge()
	}
	if network, ok := errors.AsType[net.Error](err); ok && network.Timeout() {
		return nil, problem(http.StatusRequestTimeout, CodeTimeout, "the body came too slowly").header("Connection", "close")
	}
	return nil, problem(http.StatusBadRequest, CodeBadJSON, "the body broke off").header("Connection", "close")
}

func tooLarge() *Problem {
	return problem(http.StatusRequestEntityTooLarge, CodeTooLarge, "the body is larger than %d bytes (send fewer top-ups at a time)", maxBody).header("Connection", "close")
}
