// Package reloadly is a client of the Reloadly Airtime API for programs that must never pay twice.
//
// For most uses: [New], then [Client.Ready] before anything is at stake, [Client.TopUp] for the money,
// and [Client.FindByIdentifier] whenever TopUp did not prove what happened.
//
// # May the provider have acted?
//
// Every call answers with a value or with an [*Error], and the Error answers that one question:
//
//	              POST /topups
//	                   │
//	    ┌──────────────┼────────────────┬──────────────────┐
//	a transaction   NotSent          Refused            Unknown
//	follow its      nothing was      the provider       it may have been executed:
//	Status to       written: safe    said no: see       look the identifier up before
//	the end         to send again    Advice             anything else
//
// [Unknown] is the zero value and the default of every switch. It covers a lost connection, a timeout,
// 5xx, 3xx, 408, an HTML page, and a 2xx that names no transaction or one that is not ours.
// [Advice] says what to do with a refusal; the provider's own code stays in Error.Code as a detail.
//
// # One POST per call
//
// TopUp and TopUpAsync write the request once. They do not retry, do not follow a redirect, and send no
// Idempotency-Key header (net/http replays such a POST by itself). The one exception is a 401, which
// proves that nothing was executed: the credentials are renewed and the request is repeated once.
// [FirstByteBy] bounds both: after that time no byte of the order leaves this process, even if the process
// was stopped in between.
//
// # Reading
//
// Everything else only reads, so it is retried for Config.ReadRetryFor on network errors, 5xx, 408 and 429.
// The Outcome of a reading call tells how far the answer can be trusted, its Advice whether to try later.
//
// # Numbers and times
//
// Money is [Amount], an exact decimal, and never passes through a float. The dates in the answers carry
// no zone and the provider's hosts disagree about it (facts page, "The top-up"), so they stay the text
// that came. [Error].Date and [Found].Date are the Date header of the answer: the provider's own clock.
//
// # What never gets out
//
// No error text and no log line contains the client secret, an access token or a whole phone number;
// a test asserts it with canaries.
//
// The "facts page" that comments cite is the project's reloadly-api.md, with its marks: doc is Reloadly's
// documentation, obs was observed on the sandbox, prod was counted in another company's production.
package reloadly
