package sandbox

import "time"

const (
	msgUnavailable   = "Operator is currently unavailable or inactive"
	msgCannotProcess = "Transaction cannot be processed at the moment"
	codeUnavailable  = "OPERATOR_UNAVAILABLE_OR_CURRENTLY_INACTIVE"
	codeCannot       = "TRANSACTION_CANNOT_BE_PROCESSED_AT_THE_MOMENT"
	processingFor    = 8 * time.Second
	changeOfMind     = 10 * time.Minute
)

// faultTable is every fault by its magic suffix; doc.go shows the same table.
var faultTable = []numberedFault{
	{"0001", fault{Name: "slow", Status: 200, Mode: modeSlow, Delay: 20 * time.Second}},
	{"0002", fault{Name: "drop-after", Mode: modeDropAfter}},
	{"0003", fault{Name: "drop-before", Mode: modeDropBefore}},
	{"0004", fault{Name: "html-after", Status: 502, Mode: modeHTMLAfter}},
	{"0005", fault{Name: "html-before", Status: 502, Mode: modeHTMLBefore}},
	{"0006", fault{Name: "500-after", Status: 500, Mode: mode500After, Message: "Internal server error"}},
	{"0007", fault{Name: "500-before", Status: 500, Mode: mode500Before, Message: "Internal server error"}},
	{"0008", fault{Name: "truncated", Status: 200, Mode: modeTruncated}},
	{"0009", fault{Name: "oversized", Status: 200, Mode: modeOversized}},
	{"0010", fault{Name: "empty-200", Status: 200, Mode: modeEmpty200}},
	{"0011", fault{Name: "no-id", Status: 200, Mode: modeNoID}},
	{"0012", fault{Name: "no-status", Status: 200, Mode: modeNoStatus}},
	{"0013", fault{Name: "wrong-echo", Status: 200, Mode: modeWrongEcho}},
	{"0014", fault{Name: "redirect", Status: 302, Mode: modeRedirect}},
	{"0015", slowRefusal()},
	{"0016", fault{Name: "late", Mode: modeLate, Delay: 5 * time.Second}},
	{"0017", token401Once()},
	{"0018", refused(503, codeUnavailable, msgUnavailable).named("unavailable-twice").times(2)},
	{"0019", refused(400, codeCannot, msgCannotProcess).named("cannot-be-processed-once").times(1)},
	{"0020", fault{Name: "drop-before-once", Mode: modeDropBefore, Times: 1}},
	{"0022", fault{Name: "500-before-once", Status: 500, Mode: mode500Before, Message: "Internal server error", Times: 1}},
	{"0023", limited("429-once", 1, map[string]string{
		"Retry-After": "2", "X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0",
	})},
	{"0024", limited("429-once-bare", 1, nil)},
	{"0025", limited("429", 0, map[string]string{"Retry-After": "2"})},
	{"0026", fault{Name: "drop-after-once", Mode: modeDropAfter, Times: 1}},
	{"0027", refused(401, "INVALID_TOKEN", "The access token is invalid").named("401")},

	{"0030", status("processing-successful", "PROCESSING").then("SUCCESSFUL", processingFor)},
	{"0031", status("processing-refunded", "PROCESSING").then("REFUNDED", processingFor)},
	{"0032", status("processing-failed", "PROCESSING").then("FAILED", processingFor)},
	{"0033", status("processing-forever", "PROCESSING")},
	{"0034", status("pending", "PENDING").then("SUCCESSFUL", processingFor)},
	{"0035", status("failed", "FAILED")},
	{"0036", status("refunded", "REFUNDED")},
	{"0037", status("failed-then-successful", "FAILED").then("SUCCESSFUL", changeOfMind)},
	{"0038", status("successful-then-refunded", "SUCCESSFUL").then("REFUNDED", changeOfMind)},

	{"0040", codeless("codeless-balance", 400, "Insufficient balance")},
	{"0041", codeless("codeless-identifier-used", 400, "The custom identifier has already been used")},
	{"0042", codeless("codeless-400", 400, "Bad request")},
	{"0043", codeless("codeless-500", 500, "Something went wrong")},
	{"0044", codeless("codeless-503", 503, "Service unavailable")},
	{"0045", refused(500, codeCannot, msgCannotProcess).named("cannot-be-processed-500")},
	{"0046", codeless("codeless-408", 408, "Request timeout")},
	{"0047", refused(400, "SOME_NEW_CODE", "Something nobody has seen yet")},
	{"0048", usedAfter()},

	{"0050", refused(400, codeCannot, msgCannotProcess)},
	{"0051", refused(503, codeUnavailable, msgUnavailable)},
	{"0052", refused(400, "OPERATOR_NOT_IN_SERVICE", "Operator is not in service")},
	{"0053", refused(400, "RECIPIENT_HAS_PENDING_TRANSACTION", "The recipient has a pending transaction")},
	{"0054", refused(400, "TRANSACTION_FAILED_ON_OPERATOR", "Transaction failed on the operator's side")},
	{"0055", refused(400, "PROVIDER_INTERNAL_ERROR", "An internal error occurred on the provider's side")},
	{"0056", refused(400, "REQUEST_FAILED_ON_PROVIDER", "The request failed on the provider's side")},
	{"0057", refused(400, "SERVICE_TO_OPERATOR_TEMPORARILY_UNAVAILABLE", "Service to the operator is temporarily unavailable")},
	{"0058", refused(400, "CONNECTION_TO_OPERATOR_TEMPORARILY_DOWN", "Connection to the operator is temporarily down")},
	{"0059", refused(400, "CONNECTION_TO_OPERATOR_FAILED", "Connection to the operator failed")},
	{"0060", refused(400, "REQUEST_PROCESSING_FAILED", "The request could not be processed")},
	{"0061", refused(400, "PHONE_RECENTLY_RECHARGED", "The phone was recently recharged, please wait 2 minutes")},
	{"0062", refused(400, "INSUFFICIENT_BALANCE", "Insufficient funds in the wallet to complete this transaction")},
	{"0063", refused(400, "MAX_DAILY_TRANSACTION_AMOUNT_REACHED", "Maximum daily transaction amount reached")},
	{"0064", refused(400, "MAX_DAILY_TRANSACTION_COUNT_REACHED", "Maximum daily transaction count reached")},
	{"0065", refused(401, "INVALID_CREDENTIALS", "Access Denied")},
	{"0066", refused(401, "AUTH_ERROR", "Authentication failed")},
	{"0067", refused(400, "INACTIVE_ACCOUNT", "The account is not active")},
	{"0068", refused(400, "ACCOUNT_NOT_FOUND", "Account not found")},
	{"0069", refused(400, "CUSTOM_IDENTIFIER_ALREADY_USED", "The custom identifier has already been used for a transaction")},
	{"0070", refused(404, "COULD_NOT_AUTO_DETECT_OPERATOR", "Could not auto detect operator for given phone number")},
	{"0071", refused(400, "OPERATOR_NOT_FOUND", "Operator not found for given id")},
	{"0072", refused(400, "INVALID_RECIPIENT_PHONE", "The recipient's phone number is invalid")},
	{"0073", refused(400, "INVALID_AMOUNT_FOR_RECIPIENT_PHONE", "The amount is invalid for the recipient's phone")},
	{"0074", refused(400, "INVALID_INPUT_PROVIDED", "Invalid input provided")},
	{"0075", refused(400, "INVALID_AMOUNT", "The amount is invalid")},
	{"0076", refused(400, "INVALID_AMOUNT_FOR_OPERATOR", "The amount is invalid for the operator")},
	{"0077", refused(400, "INVALID_LOCAL_AMOUNT_FOR_OPERATOR", "The local amount is invalid for the operator")},
	{"0078", refused(400, "LOCAL_AMOUNTS_NOT_SUPPORTED_BY_OPERATOR", "Local amounts are not supported by the operator")},
	{"0079", refused(400, "OPERATOR_AND_RECIPIENT_PHONE_MISMATCH", "The operator does not serve the recipient's phone")},
	{"0080", refused(400, "TRANSACTION_REJECTED_BY_OPERATOR", "Transaction rejected by the operator")},
	{"0081", refused(400, "TRANSACTION_REFUSED_BY_OPERATOR", "Transaction refused by the operator")},
	{"0082", refused(400, "RECIPIENT_REACHED_MAX_TOPUP_NUMBER", "The recipient reached the maximum number of top-ups")},
	{"0083", refused(400, "PHONE_BANNED_BY_OPERATOR", "The phone is banned by the operator")},
	{"0084", refused(400, "RECIPIENT_PHONE_INACTIVE", "The recipient's phone is inactive")},
	{"0085", refused(400, "INVALID_PHONE_NUMBER", "The phone number is invalid")},
	{"0086", refused(400, "INVALID_SENDER_PHONE", "The sender's phone number is invalid")},
	{"0087", refused(409, "COUNTRY_NOT_SUPPORTED", "The country selected is currently not supported")},
	{"0088", refused(400, "TOPUP_TRANSACTION_FAILED", "The top-up transaction failed")},
	{"0089", refused(400, "JSON_SYNTAX_ERROR", "The request body is not valid JSON")},
	{"0090", refused(400, "UNMAPPED_PROVIDER_ERROR_CODE", "The provider answered with an unmapped error code")},
}

func slowRefusal() fault {
	f := refused(400, "TRANSACTION_FAILED_ON_OPERATOR", "Transaction failed on the operator's side").named("slow-refuse")
	f.Mode, f.Delay = modeSlowRefuse, 52*time.Second
	return f
}

func token401Once() fault {
	f := refused(401, "TOKEN_EXPIRED", "The access token has expired").named("401-once").times(1)
	f.Mode = mode401Once
	return f
}

// usedAfter is the identifier's refusal as it mostly is: the top-up was executed all the same.
func usedAfter() fault {
	f := refused(400, "CUSTOM_IDENTIFIER_ALREADY_USED", "The custom identifier has already been used for a transaction")
	f.Name, f.Mode = "identifier-used-after", modeRefuseAfter
	return f
}
