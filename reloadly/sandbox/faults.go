package sandbox

import (
	"fmt"
	"maps"
	"slices"
)

// Faults are the random faults. They can be changed while the simulator runs.
type Faults struct {
	// Profile is none, production, ambiguous or hostile. Empty is none.
	Profile string `json:"profile"`
	// Rates are probabilities from 0 to 1 by the fault's name; what they leave is the profile's.
	Rates map[string]float64 `json:"rates"`
	// Reads is the probability that a call that is no top-up goes wrong. 0 is the profile's own, less
	// than 0 is never.
	Reads float64 `json:"reads"`
}

func (f Faults) check() error {
	if !slices.Contains([]string{"", "none", "production", "ambiguous", "hostile"}, f.Profile) {
		return fmt.Errorf("sandbox: unknown profile of faults %q: use none, production, ambiguous or hostile", f.Profile)
	}
	var orders, reads float64
	for _, name := range slices.Sorted(maps.Keys(f.Rates)) {
		rate := f.Rates[name]
		if !(rate >= 0 && rate <= 1) { // not a number is neither
			return fmt.Errorf("sandbox: the rate %v of fault %s is not between 0 and 1", rate, name)
		}
		switch {
		case faultNamed(name) != nil:
			orders += rate
		case readFaultNamed(name) != nil:
			reads += rate
		default:
			return fmt.Errorf("sandbox: unknown fault %q: go doc of the package sandbox lists them", name)
		}
	}
	if orders > 1 || reads > 1 {
		return fmt.Errorf("sandbox: the rates of the faults add up to more than 1")
	}
	if !(f.Reads <= 1) {
		return fmt.Errorf("sandbox: the rate %v of faults of reading calls is more than 1", f.Reads)
	}
	return nil
}

// SetFaults changes the random faults from the next call on.
func (s *Simulator) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	f.Rates = maps.Clone(f.Rates)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	return nil
}

// Faults are the random faults as they are now.
func (s *Simulator) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults
	f.Rates = maps.Clone(f.Rates)
	return f
}

// FaultCounts is how often each fault was met so far.
func (s *Simulator) FaultCounts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.met)
}

// count notes a fault that is about to happen; the lock is held.
func (s *Simulator) count(f *fault) {
	if f != nil {
		s.met[f.Name]++
	}
}
