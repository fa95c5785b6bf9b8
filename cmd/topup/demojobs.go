package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/enqueue"
)

// demoJob is a job of the demo and how it must end.
type demoJob struct {
	enqueue.TopUp
	want enqueue.State
	row  bool // it comes with the campaign
}

// quickStart is the top-up of Reloadly's own quick start, field by field.
func quickStart() enqueue.TopUp {
	return enqueue.TopUp{
		ID: "airtime-top-up", OperatorID: 1100, Amount: decimal.MustNew(832, 0),
		RecipientEmail: "jeanb@reloadly.com",
		RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "0503971821"},
		SenderPhone:    enqueue.Phone{CountryCode: "CA", Number: "11231231231"},
	}
}

// demoCampaign is the campaign that most of the jobs come with.
const demoCampaign = "demo"

// emptyBalance is the job that meets an empty account; the demo refills it.
const emptyBalance = demoCampaign + ".balance-used-up"

// demoJobs are two dozen jobs beside the quick start's. The last four digits of a
// number choose what the simulator does (see reloadly/sandbox).
func demoJobs(now time.Time) []demoJob {
	const mtn = 341 // MTN Nigeria
	job := func(id, number string, want enqueue.State) demoJob {
		return demoJob{enqueue.TopUp{
			ID: id, OperatorID: mtn, Amount: decimal.MustNew(500, 0),
			RecipientPhone: enqueue.Phone{CountryCode: "NG", Number: number},
		}, want, false}
	}
	jobs := []demoJob{
		job("plain", "8031231234", enqueue.Succeeded),
		job("operator-detected", "8031235678", enqueue.Succeeded),
		job("processing-then-done", "8031230030", enqueue.Succeeded),
		job("processing-then-refunded", "8031230031", enqueue.Refunded),
		job("ended-failed", "8031230035", enqueue.Failed),
		job("answer-lost", "8031230002", enqueue.Succeeded),
		job("connection-lost-before", "8031230020", enqueue.Succeeded),
		job("error-500-after", "8031230006", enqueue.Succeeded),
		job("error-500-before", "8031230022", enqueue.Succeeded),
		job("html-502", "8031230004", enqueue.Succeeded),
		job("truncated-answer", "8031230008", enqueue.Succeeded),
		job("answer-without-id", "8031230011", enqueue.Succeeded),
		job("number-banned", "8031230083", enqueue.Failed),
		job("rejected-by-operator", "8031230080", enqueue.Failed),
		job("amount-too-small", "8031232345", enqueue.Failed),
		job("not-at-the-moment", "8031230019", enqueue.Succeeded),
		job("operator-down-twice", "8031230018", enqueue.Succeeded),
		job("rate-limited-once", "8031230023", enqueue.Succeeded),
		job("token-expired", "8031230017", enqueue.Succeeded),
		job("unknown-code", "8031230047", enqueue.NeedsReview),
		job("same-number-first", "8031237777", enqueue.Succeeded),
		job("same-number-second", "8031237777", enqueue.Succeeded),
		job("balance-used-up", "8031239999", enqueue.Succeeded),
		job("scheduled", "8031233456", enqueue.Succeeded),
		job("withdrawn", "8031234567", enqueue.Cancelled),
		job("submitted-twice", "8031236789", enqueue.Succeeded),
	}
	for i := range jobs {
		jobs[i].row = true
		switch jobs[i].ID {
		case "operator-detected":
			jobs[i].OperatorID = 0
		case "scheduled":
			jobs[i].NotBefore = now.Add(3 * time.Second)
		case "amount-too-small": // a campaign's check would not let it through
			jobs[i].Amount, jobs[i].row = decimal.MustNew(1, 0), false
		case "withdrawn":
			jobs[i].NotBefore, jobs[i].row = now.Add(time.Hour), false
		case "submitted-twice":
			jobs[i].row = false
		}
		if jobs[i].row {
			jobs[i].ID, jobs[i].Campaign = demoCampaign+"."+jobs[i].ID, demoCampaign
		}
	}
	return jobs
}

// demoFile is the campaign's spreadsheet.
func demoFile(jobs []demoJob) string {
	var file strings.Builder
	file.WriteString("phone,amount,currency,country,operator_id,external_id,not_before\n")
	for _, job := range jobs {
		if !job.row {
			continue
		}
		operator, notBefore := "", ""
		if job.OperatorID != 0 {
			operator = strconv.FormatInt(job.OperatorID, 10)
		}
		if !job.NotBefore.IsZero() {
			notBefore = job.NotBefore.Format(time.RFC3339Nano)
		}
		fmt.Fprintf(&file, "%s,%s,sender,%s,%s,%s,%s\n", job.RecipientPhone.Number, job.Amount, job.RecipientPhone.CountryCode,
			operator, strings.TrimPrefix(job.ID, demoCampaign+"."), notBefore)
	}
	return file.String()
}
