package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// Rates are counted in parts of a billion. How often production failed overall is not on record: 8 %
// is invented; what it is divided by is counted.
const (
	whole          = 1_000_000_000
	productionRate = whole * 8 / 100
	ambiguousRate  = whole * 10 / 100
	hostileRate    = whole * 50 / 100
)

type weightedFault struct {
	code   string
	weight uint64
}

// productionCounts are the failures counted in another company's production.
var productionCounts = []weightedFault{
	{codeCannot, 4562},
	{codeUnavailable, 1530},
	{"RECIPIENT_HAS_PENDING_TRANSACTION", 151},
	{"TRANSACTION_FAILED_ON_OPERATOR", 116},
	{"PROVIDER_INTERNAL_ERROR", 89},
	{"REQUEST_FAILED_ON_PROVIDER", 64},
	{"CONNECTION_TO_OPERATOR_TEMPORARILY_DOWN", 6},
	{"CONNECTION_TO_OPERATOR_FAILED", 4},
	{"REQUEST_PROCESSING_FAILED", 3},
	{"PHONE_RECENTLY_RECHARGED", 3627},
	{"INSUFFICIENT_BALANCE", 8521},
	{"AUTH_ERROR", 219},
	{"CUSTOM_IDENTIFIER_ALREADY_USED", 2385},
	{"COULD_NOT_AUTO_DETECT_OPERATOR", 812},
	{"OPERATOR_NOT_FOUND", 361},
	{"INVALID_RECIPIENT_PHONE", 275},
	{"INVALID_AMOUNT_FOR_RECIPIENT_PHONE", 177},
	{"INVALID_INPUT_PROVIDED", 129},
	{"INVALID_AMOUNT", 59},
	{"INVALID_AMOUNT_FOR_OPERATOR", 41},
	{"TRANSACTION_REJECTED_BY_OPERATOR", 33},
	{"TRANSACTION_REFUSED_BY_OPERATOR", 2},
	{"RECIPIENT_REACHED_MAX_TOPUP_NUMBER", 15},
	{"PHONE_BANNED_BY_OPERATOR", 4},
	{"RECIPIENT_PHONE_INACTIVE", 1},
	{"INVALID_PHONE_NUMBER", 1},
	{"UNMAPPED_PROVIDER_ERROR_CODE", 47},
}

// usedButPaid is how many in a hundred of production's CUSTOM_IDENTIFIER_ALREADY_USED were executed:
// "most of them in fact paid", the number is invented.
const usedButPaid = 70

// The faults whose outcome the client cannot know.
var (
	ambiguousExecuted = []string{
		"drop-after", "html-after", "500-after", "truncated", "empty-200", "no-id", "no-status", "late", "slow",
	}
	ambiguousNot = []string{
		"drop-before", "html-before", "500-before", "redirect",
		"codeless-500", "codeless-503", "codeless-408", "cannot-be-processed-500",
	}
)

// drawFault draws the fault of one attempt: the same for the same seed, identifier and attempt. The
// rates, a probability by a fault's name, come first, what they leave is the profile's.
func drawFault(profile string, rates map[string]float64, seed uint64, identifier string, attempt int) *fault {
	hash := drawHash(seed, identifier, attempt)
	pick := hash[1]
	found, point := drawByName(rates, hash[0]%whole, drawn)
	if found != nil {
		return found
	}
	switch {
	case profile == "production" && point < productionRate:
		return drawn(productionFault(pick))
	case profile == "ambiguous" && point < ambiguousRate:
		names := ambiguousNot
		if pick%2 == 0 {
			names = ambiguousExecuted
		}
		return drawn(names[pick/2%uint64(len(names))])
	case profile == "hostile" && point < hostileRate:
		return drawn(faultTable[pick%uint64(len(faultTable))].fault.Name)
	}
	return nil
}

// drawByName takes the fault whose rate the point falls into, of those that named knows; without one the
// point that is left is the profile's.
func drawByName(rates map[string]float64, point uint64, named func(string) *fault) (*fault, uint64) {
	if len(rates) == 0 {
		return nil, point
	}
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		f := named(name)
		if f == nil {
			continue
		}
		if point < parts(rates[name]) {
			return f, point
		}
		point -= parts(rates[name])
	}
	return nil, point
}

// parts is a probability in parts of a billion.
func parts(rate float64) uint64 { return uint64(min(max(rate, 0), 1) * whole) }

// drawn is a fault for this very attempt, so how many attempts it would take by itself is dropped.
func drawn(name string) *fault {
	f := faultNamed(name)
	if f != nil {
		f.Times = 0
	}
	return f
}

// productionFault is the name of one of the counted failures.
func productionFault(pick uint64) string {
	var total uint64
	for _, w := range productionCounts {
		total += w.weight
	}
	rest, paid := pick%total, pick/total%100 < usedButPaid
	for _, w := range productionCounts {
		if rest >= w.weight {
			rest -= w.weight
			continue
		}
		if w.code == "CUSTOM_IDENTIFIER_ALREADY_USED" && paid {
			return usedAfter().Name
		}
		return strings.ReplaceAll(strings.ToLower(w.code), "_", "-")
	}
	return ""
}

func drawHash(seed uint64, identifier string, attempt int) [2]uint64 {
	text := binary.BigEndian.AppendUint64(nil, seed)
	text = binary.BigEndian.AppendUint64(text, uint64(attempt))
	sum := sha256.Sum256(append(text, identifier...))
	return [2]uint64{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])}
}
