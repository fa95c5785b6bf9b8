// Package enqueue takes airtime top-ups in and tells what became of them. It is
// the contract between those who want a top-up and the workers that send it to
// Reloadly, and it knows neither the workers nor Reloadly.
//
// For most uses call [Client.TopUp] and [Client.Wait]:
//
//	client := enqueue.NewClient(rdb, enqueue.ClientConfig{})
//	defer client.Close()
//	_, err := client.TopUp(ctx, enqueue.TopUp{
//		ID:             "order-4711", // yours, one for each top-up, repeated with the request
//		Amount:         decimal.MustParse("10"),
//		RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "+971501234521"},
//	})
//	result, err := client.Wait(ctx, "order-4711")
//
// For thousands of jobs there are [Client.TopUps] and [Client.GetMany].
//
// # What is promised
//
// At most one paid top-up per job id, whatever crashes, times out, restarts or is
// submitted twice; and every accepted job ends in a final state or in
// [NeedsReview], never silently. Exactly once is not promised: with a provider
// whose duplicate check is not atomic nobody can.
//
// It follows what a caller does: choose the id before the first try and keep it. A
// submission that got no answer is repeated with the same id, and never with a
// new one. Ids are compared without case.
//
// # States
//
//	             ┌─── not executed: try again ───┐
//	             ▼                               │
//	submit ─► queued ──────────────────────► sending ──► succeeded
//	           │ ▲                             │ │ └───► failed
//	           │ │ proven absent               │ │
//	cancelled ◄┘ └───────────── unknown ◄──────┘ └─────► processing
//	                               │    no proof             │
//	                               ├─► succeeded, failed ◄───┤
//	                               ├─► refunded ◄────────────┤
//	                               └─► needs_review ◄────────┘
//
// Succeeded, failed, refunded and cancelled are final. A job that needs review
// waits for a person, who adopts its transaction, ends it ([Ledger.Fail]) or has it
// sent again ([Ledger.Resend]). [Client.Wait] returns in both cases: see
// [State.Settled]. Evidence of a payment is always accepted: a failed job that turns
// up as executed goes to needs_review, and one that succeeded becomes refunded where its
// operator reversed it later; so a final state is not quite the last word.
//
// # Reading a result
//
// [Result.State] says where the job stands and [Result.MoneyMoved] whether it was
// paid; "unknown" means neither, so do not send it under another id.
// [Result.Explanation] is a sentence for people. [Result.Reason] says what a queued
// job waits for, [Result.Code] is Reloadly's own code or one of the Code constants.
//
// # Errors
//
// [ErrInvalid] (each field is named, nothing was written), [ErrConflict] (the id
// belongs to another top-up), [ErrNotFound], [ErrExpired] (it ended so long ago that
// only its state is known; the id stays refused) and [ErrNotCancellable] are matched
// with errors.Is. After any other error of a submission it is not known whether the
// job was accepted: repeat it.
//
// # What is in Redis
//
// The truth is the [Ledger]: one record per job, changed by the scripts in lua/ on
// the keys of one hash tag, judged by Redis' own clock. asynq's tasks carry an id and
// a version and only wake workers: losing, doubling or re-running them is harmless.
// [Ledger.Begin] gives the one permission to send. A Redis that was restarted may
// have forgotten its last writes, so a job of the time before is looked up at
// Reloadly before it is sent, and before it ends because an older transaction of it did.
// Use a Redis with AOF and without eviction.
//
// A record is short, for there are many: the fields are named in record.go, the
// answer is packed, and what follows from another field is left out (the line of the
// claim where the job was paid at once, the transaction's own id and identifier). Read
// it with [Ledger.Load].
package enqueue
