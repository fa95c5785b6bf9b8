package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

const (
	maxRequest = 1 << 20
	oversized  = 12 << 20
)

func (s *Simulator) handleTopup(w http.ResponseWriter, r *http.Request, async bool) {
	var in topupRequest
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	attempt := s.enter(in.Identifier)
	defer s.leave(in.Identifier)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, "JSON_SYNTAX_ERROR", "The request is not valid JSON")
		return
	}
	o, refused := s.understand(&in)
	f := s.chooseFault(o, in.Identifier, attempt)
	if f != nil && s.before(w, r, f) {
		return
	}
	if refused == nil {
		refused = s.check(o)
	}
	if refused != nil {
		s.refuseWith(w, r, refused.Status, refused.Code, refused.Message)
		return
	}
	o.async = async
	if f != nil && s.declined(w, r, f, o.identifier) {
		return
	}
	if f != nil && f.Mode == modeLate {
		s.waitLate(r.Context(), f)
	} else {
		s.waitToExecute(r.Context(), f)
	}
	rec, refused := s.execute(o, f)
	if refused != nil {
		s.refuseWith(w, r, refused.Status, refused.Code, refused.Message)
		return
	}
	defer s.answered(rec)
	s.answer(w, r, rec, f, async)
}

func (s *Simulator) chooseFault(o *order, identifier string, attempt int) (f *fault) {
	s.mu.Lock()
	script, random := s.script, s.faults
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.count(f)
	}()
	if script != nil {
		if name := script(Attempt{Identifier: identifier, Number: attempt}); name != "" {
			if f = faultNamed(name); f == nil {
				s.log.Error("the script names an unknown fault", "fault", name)
			}
			return f
		}
	}
	if o.national != "" && !s.cfg.NoMagic {
		f = faultFor(o.national)
	}
	if f == nil {
		f = drawFault(random.Profile, random.Rates, s.cfg.Seed, identifier, attempt)
	}
	if f == nil || (f.Times > 0 && attempt > f.Times) || (f.Mode == mode401Once && attempt > 1) {
		return nil
	}
	return f
}

// waitToExecute is the gap between the check and the record. A client that hangs up in it changes
// nothing: its top-up is executed all the same.
func (s *Simulator) waitToExecute(ctx context.Context, f *fault) {
	d := s.cfg.Latency + max(s.cfg.DuplicateWindow, 0)
	if f != nil && f.Mode == modeSlow {
		d += s.faultDelay(f, slowAnswer)
	}
	s.wait(ctx, d)
	if ctx.Err() != nil {
		s.wait(context.WithoutCancel(ctx), s.cfg.LateExecution)
	}
}

// waitLate lets the client hang up first and the top-up follow.
func (s *Simulator) waitLate(ctx context.Context, f *fault) {
	s.wait(ctx, s.scaled(3*slowAnswer))
	s.wait(context.WithoutCancel(ctx), cmp.Or(s.cfg.LateExecution, s.faultDelay(f, lateness)))
}

func (s *Simulator) faultDelay(f *fault, otherwise time.Duration) time.Duration {
	if f.Delay > 0 {
		otherwise = f.Delay
	}
	return s.scaled(otherwise)
}
