package enqueue

import (
	"maps"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// modelSnapshot is all that Redis holds of the ledger at one moment.
type modelSnapshot struct {
	hashes  map[string][]string
	sets    map[string]map[string]float64
	strings map[string]string
	ttl     map[string]time.Duration
}

func takeSnapshot(m *miniredis.Miniredis) modelSnapshot {
	s := modelSnapshot{map[string][]string{}, map[string]map[string]float64{}, map[string]string{}, map[string]time.Duration{}}
	for _, key := range m.Keys() {
		if !strings.HasPrefix(key, "topup:") {
			continue
		}
		s.ttl[key] = m.TTL(key)
		switch m.Type(key) {
		case "hash":
			s.hashes[key] = nil
			names, _ := m.HKeys(key)
			for _, name := range names {
				s.hashes[key] = append(s.hashes[key], name, m.HGet(key, name))
			}
		case "zset":
			members, _ := m.SortedSet(key)
			s.sets[key] = maps.Clone(members) // it is miniredis' own
		default:
			s.strings[key], _ = m.Get(key)
		}
	}
	return s
}

// restore makes Redis forget everything since the snapshot.
func (s modelSnapshot) restore(m *miniredis.Miniredis) {
	for _, key := range m.Keys() {
		if strings.HasPrefix(key, "topup:") {
			m.Del(key)
		}
	}
	for key, fields := range s.hashes {
		m.HSet(key, fields...)
	}
	for key, members := range s.sets {
		for member, score := range members {
			_, _ = m.ZAdd(key, score, member)
		}
	}
	for key, value := range s.strings {
		_ = m.Set(key, value)
	}
	for key, ttl := range s.ttl {
		if ttl > 0 {
			m.SetTTL(key, ttl)
		}
	}
}

// hash reads a record beside the wire, which the model would spend its time on.
func hash(m *miniredis.Miniredis, key string) map[string]string {
	names, err := m.HKeys(key)
	if err != nil {
		return nil
	}
	fields := make(map[string]string, len(names))
	for _, name := range names {
		fields[name] = m.HGet(key, name)
	}
	return fields
}
