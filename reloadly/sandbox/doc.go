// Package sandbox simulates Reloadly's Airtime API over HTTP, with its faults and with a ledger of what
// it executed. It shares no type with the client, whose mistakes would cancel out.
//
// For most uses call New with a zero Config and serve the Simulator; ask it afterwards what it did with
// Executions, Paid, Overlaps and Audit, or from another process under Control.
//
// # Faults of top-ups
//
// The last four digits of a recipient's national number call for a fault; all other numbers are
// ordinary ones. A number ending in 0099 makes auto-detection answer 500 without a code.
//
//	0001  slow                                                executed, answer after 20s
//	0002  drop-after                                          executed, connection closed
//	0003  drop-before                                         not executed, connection closed
//	0004  html-after                                          executed, HTML
//	0005  html-before                                         not executed, HTML
//	0006  500-after                                           executed, 500
//	0007  500-before                                          not executed, 500
//	0008  truncated                                           executed, answer cut
//	0009  oversized                                           executed, huge answer
//	0010  empty-200                                           executed, empty 200
//	0011  no-id                                               executed, no transactionId
//	0012  no-status                                           executed, no status
//	0013  wrong-echo                                          executed, another top-up echoed
//	0014  redirect                                            not executed, redirect
//	0015  slow-refuse                                         refused after 52s 400 TRANSACTION_FAILED_ON_OPERATOR
//	0016  late                                                executed after the client left, 5s
//	0017  401-once                                            refused 401 TOKEN_EXPIRED, first 1 only
//	0018  unavailable-twice                                   refused 503 OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE, first 2 only
//	0019  cannot-be-processed-once                            refused 400 TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT, first 1 only
//	0020  drop-before-once                                    not executed, connection closed, first 1 only
//	0022  500-before-once                                     not executed, 500, first 1 only
//	0023  429-once                                            refused 429 without a code, first 1 only
//	0024  429-once-bare                                       refused 429 without a code, first 1 only
//	0025  429                                                 refused 429 without a code
//	0026  drop-after-once                                     executed, connection closed, first 1 only
//	0027  401                                                 refused 401 INVALID_TOKEN
//	0030  processing-successful                               PROCESSING for 8s, then SUCCESSFUL
//	0031  processing-refunded                                 PROCESSING for 8s, then REFUNDED
//	0032  processing-failed                                   PROCESSING for 8s, then FAILED
//	0033  processing-forever                                  PROCESSING at once
//	0034  pending                                             PENDING for 8s, then SUCCESSFUL
//	0035  failed                                              FAILED at once
//	0036  refunded                                            REFUNDED at once
//	0037  failed-then-successful                              FAILED for 10m0s, then SUCCESSFUL
//	0038  successful-then-refunded                            SUCCESSFUL for 10m0s, then REFUNDED
//	0040  codeless-balance                                    refused 400 without a code
//	0041  codeless-identifier-used                            refused 400 without a code
//	0042  codeless-400                                        refused 400 without a code
//	0043  codeless-500                                        refused 500 without a code
//	0044  codeless-503                                        refused 503 without a code
//	0045  cannot-be-processed-500                             refused 500 TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT
//	0046  codeless-408                                        refused 408 without a code
//	0047  some-new-code                                       refused 400 SOME_NEW_CODE
//	0048  identifier-used-after                               executed, refused 400 CUSTOM_IDENTIFIER_ALREADY_USED
//	0050  transaction-cannot-be-processed-at-the-moment       refused 400 TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT
//	0051  operator-unavailable-or-currently-inactive          refused 503 OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE
//	0052  operator-not-in-service                             refused 400 OPERATOR_NOT_IN_SERVICE
//	0053  recipient-has-pending-transaction                   refused 400 RECIPIENT_HAS_PENDING_TRANSACTION
//	0054  transaction-failed-on-operator                      refused 400 TRANSACTION_FAILED_ON_OPERATOR
//	0055  provider-internal-error                             refused 400 PROVIDER_INTERNAL_ERROR
//	0056  request-failed-on-provider                          refused 400 REQUEST_FAILED_ON_PROVIDER
//	0057  service-to-operator-temporarily-unavailable         refused 400 SERVICE_TO_OPERATOR_TEMPORARILY_UNAVAILABLE
//	0058  connection-to-operator-temporarily-down             refused 400 CONNECTION_TO_OPERATOR_TEMPORARILY_DOWN
//	0059  connection-to-operator-failed                       refused 400 CONNECTION_TO_OPERATOR_FAILED
//	0060  request-processing-failed                           refused 400 REQUEST_PROCESSING_FAILED
//	0061  phone-recently-recharged                            refused 400 PHONE_RECENTLY_RECHARGED
//	0062  insufficient-balance                                refused 400 INSUFFICIENT_BALANCE
//	0063  max-daily-transaction-amount-reached                refused 400 MAX_DAILY_TRANSACTION_AMOUNT_REACHED
//	0064  max-daily-transaction-count-reached                 refused 400 MAX_DAILY_TRANSACTION_COUNT_REACHED
//	0065  invalid-credentials                                 refused 401 INVALID_CREDENTIALS
//	0066  auth-error                                          refused 401 AUTH_ERROR
//	0067  inactive-account                                    refused 400 INACTIVE_ACCOUNT
//	0068  account-not-found                                   refused 400 ACCOUNT_NOT_FOUND
//	0069  custom-identifier-already-used                      refused 400 CUSTOM_IDENTIFIER_ALREADY_USED
//	0070  could-not-auto-detect-operator                      refused 404 COULD_NOT_AUTO_DETECT_OPERATOR
//	0071  operator-not-found                                  refused 400 OPERATOR_NOT_FOUND
//	0072  invalid-recipient-phone                             refused 400 INVALID_RECIPIENT_PHONE
//	0073  invalid-amount-for-recipient-phone                  refused 400 INVALID_AMOUNT_FOR_RECIPIENT_PHONE
//	0074  invalid-input-provided                              refused 400 INVALID_INPUT_PROVIDED
//	0075  invalid-amount                                      refused 400 INVALID_AMOUNT
//	0076  invalid-amount-for-operator                         refused 400 INVALID_AMOUNT_FOR_OPERATOR
//	0077  invalid-local-amount-for-operator                   refused 400 INVALID_LOCAL_AMOUNT_FOR_OPERATOR
//	0078  local-amounts-not-supported-by-operator             refused 400 LOCAL_AMOUNTS_NOT_SUPPORTED_BY_OPERATOR
//	0079  operator-and-recipient-phone-mismatch               refused 400 OPERATOR_AND_RECIPIENT_PHONE_MISMATCH
//	0080  transaction-rejected-by-operator                    refused 400 TRANSACTION_REJECTED_BY_OPERATOR
//	0081  transaction-refused-by-operator                     refused 400 TRANSACTION_REFUSED_BY_OPERATOR
//	0082  recipient-reached-max-topup-number                  refused 400 RECIPIENT_REACHED_MAX_TOPUP_NUMBER
//	0083  phone-banned-by-operator                            refused 400 PHONE_BANNED_BY_OPERATOR
//	0084  recipient-phone-inactive                            refused 400 RECIPIENT_PHONE_INACTIVE
//	0085  invalid-phone-number                                refused 400 INVALID_PHONE_NUMBER
//	0086  invalid-sender-phone                                refused 400 INVALID_SENDER_PHONE
//	0087  country-not-supported                               refused 409 COUNTRY_NOT_SUPPORTED
//	0088  topup-transaction-failed                            refused 400 TOPUP_TRANSACTION_FAILED
//	0089  json-syntax-error                                   refused 400 JSON_SYNTAX_ERROR
//	0090  unmapped-provider-error-code                        refused 400 UNMAPPED_PROVIDER_ERROR_CODE
//
// # Faults of the calls that are no top-ups
//
// Getting a token, balance, status, report, operators and the like go wrong only by chance:
//
//	read-500        500
//	read-html       502 with HTML
//	read-empty      200 without a body
//	read-truncated  answer cut
//	read-drop       connection closed
//	read-429        429 with its headers
//	read-429-bare   429 without headers
//	read-slow       answer after 10s
//
// # Chance
//
// A profile draws faults of top-ups by the seed, the identifier and the attempt, and those of the other
// calls by the seed, the path and how often it was asked for. So the same run meets the same faults.
//
//	none        no faults
//	production  8 % of the top-ups, an invented rate, divided as counted in production; 70 of 100 used
//	            identifiers are in fact paid; 0.5 % of the other calls
//	ambiguous   10 % of the top-ups end so that nobody knows whether they were executed, and half of
//	            them were; 3 % of the other calls
//	hostile     half of the top-ups, every fault alike; 10 % of the other calls
//
// Config.FaultRates gives single faults a probability of their own by their names.
//
// # Ledger
//
// With Config.LedgerFile every execution is one line of JSON, on disk before it is answered; executions
// that come together share an fsync. A simulator that starts with the file goes on with its balance,
// identifiers and transactions. A torn last line, which a power cut leaves, was never answered: it is
// logged and cut off. Attempts and tokens are not kept.
//
// # Control
//
// What a test in another process needs lies under /sandbox/, which Reloadly does not have, and takes no
// token. Money is a plain decimal in a string. A request that cannot be done is answered with 400
// {"error"}.
//
//	GET  /sandbox/livez             {"status":"ok"}
//	GET  /sandbox/executions        [Execution, …], oldest first; ?after=SEQ&limit=N pages through them,
//	                                ?paid=true leaves out what is FAILED or REFUNDED
//	GET  /sandbox/executions.jsonl  the same, one Execution in each line
//	GET  /sandbox/audit             {"ok":true, Totals…}; 409 with "error" where the sums do not agree
//	GET  /sandbox/overlaps          ["identifier", …] of POSTs that met another one in flight
//	GET  /sandbox/posts             {"posts":n} of all top-ups asked for, or ?customIdentifier=…
//	GET  /sandbox/stats             {"posts","reads","executions","paid","overlaps","balance","currency",
//	                                "faults":{"name":times met, …}}
//	GET  /sandbox/faults            {"profile":"ambiguous","rates":{"drop-after":0.05},"reads":0.02}
//	PUT  /sandbox/faults            takes and answers the same, all three anew; without reads, the profile's
//	POST /sandbox/refill            takes {"amount":"100"}, answers {"balance","currency"}
//	PUT  /sandbox/balance           takes {"balance":"100"}, answers {"balance","currency"}
//	POST /sandbox/reverse/{id}      makes a SUCCESSFUL transaction REFUNDED; 204
//	POST /sandbox/revoke            makes all tokens invalid; 204
package sandbox
