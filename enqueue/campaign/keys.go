package campaign

import (
	"strconv"

	"example.com/topup/enqueue"
)

// Every key of a campaign stands here. All of one campaign share a hash tag, so each
// of its scripts runs on Redis Cluster too; the two indexes are elsewhere.

// campaignKey is the campaign itself (hash; its fields are in campaign.go).
func campaignKey(name string) string { return "topup:campaign:{" + enqueue.CanonicalID(name) + "}" }

// rowsKey holds the packed rows of one load by the number of their chunk (hash).
func rowsKey(name string, load int) string { return campaignKey(name) + ":rows:" + strconv.Itoa(load) }

// pairsKey holds the hashes of number and amount of one load, eight bytes each
// (string with TTL).
func pairsKey(name string, load int) string {
	return campaignKey(name) + ":pairs:" + strconv.Itoa(load)
}

// stageKey is what becomes rows when it is committed (hash with TTL).
func stageKey(name, token string) string { return campaignKey(name) + ":stage:" + token }

// stagePairsKey is what becomes pairs when it is committed (string with TTL).
func stagePairsKey(name, token string) string { return stageKey(name, token) + ":pairs" }

// openKey holds row → mark of when it was handed over (zset): its job has not ended.
func openKey(name string) string { return campaignKey(name) + ":open" }

// laterKey holds row → not before, in ms (zset): it waits for its time.
func laterKey(name string) string { return campaignKey(name) + ":later" }

// reviewKey holds row → mark (zset): a person decides about its job.
func reviewKey(name string) string { return campaignKey(name) + ":review" }

// endsKey holds row → how it ended (hash), for every row that did not succeed.
func endsKey(name string) string { return campaignKey(name) + ":ends" }

// withdrawnKey holds the rows that waited for their time when the campaign was
// cancelled (zset): they were never handed over.
func withdrawnKey(name string) string { return campaignKey(name) + ":withdrawn" }

// logKey is one JSON line for each event, the newest last (list, capped).
func logKey(name string) string { return campaignKey(name) + ":log" }

const (
	campaignsKey = "topup:campaigns"           // name → when it was last loaded, in ms (zset)
	loadingKey   = "topup:campaigns:{loading}" // whoever makes sure that no similar campaign was loaded (string with TTL)
	activeKey    = "topup:campaigns:active"    // the names that the feeder looks at (set)
)

// FinishedChannel carries the name of each campaign whose rows are all settled
// (pub/sub).
const FinishedChannel = "topup:campaign:finished"
