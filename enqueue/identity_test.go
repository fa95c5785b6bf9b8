package enqueue

import (
	"testing"
	"time"

	"github.com/govalues/decimal"
	"pgregory.net/rapid"
)

var anyID = rapid.StringMatching(`[a-zA-Z0-9._:-]{1,12}|[aA][1-3:.-]{0,2}`)

// Guard 6 rests on this: no two jobs share an identifier, a record or a wake-up.
func TestIdentifiersNeverCollide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyID.Draw(t, "a"), anyID.Draw(t, "b")
		same := CanonicalID(a) == CanonicalID(b)
		if (jobKey(a) == jobKey(b)) != same || (tombKey(a) == tombKey(b)) != same || jobKey(a) == tombKey(b) {
			t.Fatalf("keys of %q and %q", a, b)
		}
		if same && shardOf(a) != shardOf(b) || shardOf(a) != shardOf(CanonicalID(a)) || shardOf(a) < 0 || shardOf(a) >= shards {
			t.Fatalf("shards of %q and %q", a, b)
		}
		for g := range MaxGeneration + 1 {
			if CanonicalID(Identifier(a, g)) != Identifier(a, g) {
				t.Fatalf("%q differs by case from another", Identifier(a, g))
			}
			for h := range MaxGeneration + 1 {
				if (Identifier(a, g) == Identifier(b, h)) != (same && g == h) {
					t.Fatalf("%q and %q", Identifier(a, g), Identifier(b, h))
				}
			}
		}
	})
}

// The shards of ids must never change: a job would be lost, and its id be free again.
func TestShardsAreForEver(t *testing.T) {
	for id, want := range map[string]string{
		"airtime-top-up": "topup:{s34}:job:airtime-top-up", "Order-4711": "topup:{s29}:job:order-4711", "a": "topup:{s44}:job:a",
	} {
		if got := jobKey(id); got != want {
			t.Errorf("%s: %s, want %s", id, got, want)
		}
	}
}

// A fingerprint is the same exactly where a submission is the same job.
func TestFingerprintIsTheContent(t *testing.T) {
	few := func(of ...string) *rapid.Generator[string] { return rapid.SampledFrom(of) }
	drawn := func(t *rapid.T, name string) TopUp {
		up := TopUp{
			ID: few("a", "A", "b").Draw(t, name+" id"), OperatorID: rapid.Int64Range(0, 1).Draw(t, name+" operator"),
			Amount:         decimal.MustParse(few("1", "1.0", "10", "1.5").Draw(t, name+" amount")),
			UseLocalAmount: rapid.Bool().Draw(t, name+" local"),
			RecipientPhone: Phone{few("AE", "").Draw(t, name+" country"), few("1", "11", "").Draw(t, name+" number")},
			RecipientEmail: few("", "1", "AE").Draw(t, name+" e-mail"), Campaign: few("", "1").Draw(t, name+" campaign"),
		}
		if rapid.Bool().Draw(t, name+" scheduled") {
			up.NotBefore = time.UnixMilli(rapid.Int64Range(1, 2).Draw(t, name+" at"))
		}
		if rapid.Bool().Draw(t, name+" has metadata") {
			up.Metadata = map[string]string{few("k", "l").Draw(t, name+" key"): few("", "\x00").Draw(t, name+" value")}
		}
		return up
	}
	rapid.Check(t, func(t *rapid.T) {
		a := drawn(t, "a")
		b := a
		if rapid.Bool().Draw(t, "another") {
			b = drawn(t, "b")
		}
		same := CanonicalID(a.ID) == CanonicalID(b.ID) && len(a.Differs(b)) == 0
		if (fingerprint(a) == fingerprint(b)) != same {
			t.Fatalf("%+v and %+v: the same is %v", a, b, same)
		}
	})
}
