package sandbox

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// mode is what a fault does to a top-up.
type mode int

const (
	modeNone        mode = iota
	modeRefuse           // answer Status, Code and Message; nothing is executed
	modeDropAfter        // execute, close the connection without an answer
	modeDropBefore       // close the connection, execute nothing
	modeHTMLAfter        // execute, answer Status with HTML
	modeHTMLBefore       // answer Status with HTML, execute nothing
	mode500After         // execute, answer 500
	mode500Before        // answer 500, execute nothing
	modeTruncated        // execute, cut the answer in the middle
	modeOversized        // execute, answer with megabytes
	modeEmpty200         // execute, answer 200 with no body
	modeNoID             // execute, answer without a transactionId
	modeNoStatus         // execute, answer without a status
	modeWrongEcho        // execute, answer with someone else's phone and identifier
	modeRedirect         // answer 302, execute nothing
	modeSlow             // answer after Delay
	modeSlowRefuse       // answer Status, Code and Message after Delay
	modeStatus           // accept; see fault.First
	modeLate             // execute Delay after the client hung up
	mode401Once          // refuse the first attempt with 401 TOKEN_EXPIRED
	modeRefuseAfter      // execute, answer Status, Code and Message
)

// fault is one way in which a top-up goes wrong.
type fault struct {
	Name    string
	Status  int
	Code    *string // nil: errorCode is null
	Message string
	Mode    mode
	Delay   time.Duration // before Config.TimeScale
	Headers map[string]string
	Times   int // only the first so many attempts; 0: every one
	// First and Later belong to modeStatus: the transaction is First at once and, with a Delay, Later
	// after it.
	First, Later string
}

// numberedFault is a fault with the last four digits that call for it.
type numberedFault struct {
	suffix string
	fault  fault
}

func refused(status int, code, message string) fault {
	return fault{
		Name: strings.ReplaceAll(strings.ToLower(code), "_", "-"), Status: status, Code: &code,
		Message: message, Mode: modeRefuse,
	}
}

func refuseWith(status int, code, message string) *fault {
	f := refused(status, code, message)
	return &f
}

func codeless(name string, status int, message string) fault {
	return fault{Name: name, Status: status, Message: message, Mode: modeRefuse}
}

func (f fault) named(name string) fault { f.Name = name; return f }

func (f fault) times(n int) fault { f.Times = n; return f }

func (f *fault) clone() *fault {
	c := *f
	c.Headers = maps.Clone(f.Headers)
	return &c
}

func limited(name string, times int, headers map[string]string) fault {
	f := codeless(name, http.StatusTooManyRequests, "Too many requests")
	f.Times, f.Headers = times, headers
	return f
}

func status(name, first string) fault {
	return fault{Name: name, Status: http.StatusOK, Mode: modeStatus, First: first}
}

func (f fault) then(later string, delay time.Duration) fault {
	f.Later, f.Delay = later, delay
	return f
}

// faultFor is the fault of a number by its last four digits, or nil.
func faultFor(national string) *fault {
	if len(national) < 4 {
		return nil
	}
	suffix := national[len(national)-4:]
	for i := range faultTable {
		if faultTable[i].suffix == suffix {
			return faultTable[i].fault.clone()
		}
	}
	return nil
}

// faultNamed is the fault of that name, or nil.
func faultNamed(name string) *fault {
	for i := range faultTable {
		if faultTable[i].fault.Name == name {
			return faultTable[i].fault.clone()
		}
	}
	return nil
}
