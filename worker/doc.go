// Package worker turns one queued job into one settled result: it dequeues the
// wake-ups of jobs, sends each top-up to Reloadly at most once per permission, and
// books what became of it.
//
// For most uses make a [Worker] with [New] and call [Worker.Run]; it works until
// its context ends, and lets a POST under way finish.
//
// # The way of a job
//
//	wake-up ─► ledger: what may be done? ─► done, nothing to do
//	                 │ queued                    │ sending, unknown, processing
//	                 ▼                           ▼
//	    gate: holds, spacing, rate          look up by identifier, or ask the status
//	                 ▼                           │ found: book it
//	    token, operator                          │ nothing, settled, twice: send again
//	                 ▼
//	    begin: the one permission, written before the first byte
//	                 ▼
//	    one POST ─► verdict ─► the ledger, with what is next
//
// Everything that can wait stands before the claim, so that waiting never looks
// like "maybe sent". After the claim nothing of the queue's can stop the answer on
// its way into the ledger.
//
// Once a day one worker of the fleet compares Reloadly's report with the ledger
// ([Auditor]): what was reversed since it succeeded becomes refunded, what a job did not
// know is booked, and what no job explains is named.
//
// # What is promised
//
// At most one paid top-up per job id, whatever crashes, times out, restarts or is
// submitted twice; every accepted job ends in a final state or in needs_review.
// It is not exactly once: a job whose fate Reloadly does not show is left to a
// person.
//
// The promise rests on four assumptions: no POST writes its first byte later than
// ten seconds after its permission (checked at the write by two clocks); what
// Reloadly does with a request shows in its report within the settle time; Redis
// loses at most its last writes and then has another run_id; and the report is
// truthful about successful transactions.
//
// # What is not promised
//
// A Redis that forgets its last writes forgets decisions too. A job whose
// cancellation was forgotten waits again, and is sent after it was looked up. A job
// that was accepted in the last moments before a power cut and never sent is gone
// unless it is submitted again (appendfsync always closes that gap). Where the whole
// of Redis is lost and every process that knew it has ended as well, an empty Redis
// looks new: submit nothing again before the settle time is over. What FAILED and is
// sent again by a person was looked up a moment before; where Reloadly turns the old
// one into a success after that, both are paid, and only Reloadly's report shows it.
package worker
