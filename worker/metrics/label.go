package metrics

import (
	"slices"
	"strings"

	"example.com/topup/enqueue"
)

// other stands for every value that is in no bounded set.
const other = "other"

func stateLabel(s enqueue.State) string {
	switch {
	case s == "":
		return "none"
	case slices.Contains(enqueue.States(), s):
		return string(s)
	default:
		return other
	}
}

func reasonLabel(r enqueue.Reason) string {
	if r == "" || slices.Contains(enqueue.Reasons(), r) {
		return string(r)
	}
	return other
}

var queues = []string{enqueue.QueueTopUps, enqueue.QueueCampaigns, enqueue.QueueFollowups}

// kindLabel is the kind of a hold's scope; what follows it is a campaign or an operator.
func kindLabel(scope string) string {
	kind, _, _ := strings.Cut(scope, ":")
	if slices.Contains(kinds, kind) {
		return kind
	}
	return other
}

var kinds = []string{"all", "account", "campaign", "operator"}

// currencyLabel lets a currency through that looks like one.
func currencyLabel(code string) string {
	if len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		return code
	}
	return other
}
