package reloadly

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	opReport   = "report"
	reportPath = "/topups/reports/transactions"
	reportSize = 500 // the provider's own cap [obs]

	// maxFoundPages is far more than one identifier can have; more means that the filter was ignored.
	maxFoundPages = 20
	// maxReportPages is 10 million transactions.
	maxReportPages = 20_000
)

// Found is what the report knows about one identifier.
type Found struct {
	// Transactions are those whose identifier is exactly the one asked for, oldest first; empty when a
	// healthy report has none.
	Transactions []Transaction
	// Date is the Date header of the last page's answer, the provider's clock; zero when missing.
	Date time.Time
}

// FindByIdentifier looks for every transaction with an identifier. An empty Found is only returned when
// every page was a whole 200 that agrees with itself and with the others, so it may be counted as
// "healthy and empty". It still proves nothing while a request with that identifier is in flight [obs].
//
// The provider searches without case; the identifier is compared with case here, as it does on use [obs].
func (c *Client) FindByIdentifier(ctx context.Context, identifier string) (*Found, error) {
	if strings.TrimSpace(identifier) == "" || utf8.RuneCountInString(identifier) > maxIdentifier {
		return nil, invalidRequest(opReport, "custom identifier is missing or longer than %d characters", maxIdentifier)
	}
	found := &Found{Transactions: []Transaction{}}
	seen := make(map[int64]bool)
	total, n := int64(-1), 0
	query := url.Values{"customIdentifier": {identifier}}
	for p, err := range pages[Transaction](ctx, c, opReport, reportPath, query, reportSize, maxPages) {
		if err != nil {
			return nil, err
		}
		n++
		if err := found.add(p, seen, identifier, &total); err != nil {
			return nil, badList(opReport, err)
		}
		if n == maxFoundPages && !p.final(n) {
			return nil, badList(opReport, errors.New("the report ignores the identifier"))
		}
		found.Date = p.date
	}
	if int64(len(seen)) != total {
		return nil, badList(opReport, fmt.Errorf("the report has %d transactions and says %d", len(seen), total))
	}
	return found, nil
}

// add checks one page against those before it, and keeps what is ours.
func (f *Found) add(p *page[Transaction], seen map[int64]bool, identifier string, total *int64) error {
	if p.TotalElements == nil {
		return errors.New("a page does not say how many there are in all")
	}
	if *total >= 0 && *total != *p.TotalElements {
		return errors.New("the report changed between two pages")
	}
	*total = *p.TotalElements
	for _, t := range *p.Content {
		if t.TransactionID <= 0 || seen[t.TransactionID] {
			return errors.New("a transaction has no id or came twice")
		}
		seen[t.TransactionID] = true
		if t.CustomIdentifier == identifier {
			f.Transactions = append(f.Transactions, t)
		}
	}
	return nil
}

// Transaction reads one transaction from the report. One that does not exist is an *Error with Refused
// and CodeTransactionNotFound.
func (c *Client) Transaction(ctx context.Context, transactionID int64) (*Transaction, error) {
	const op = "transaction"
	if transactionID <= 0 {
		return nil, invalidRequest(op, "transaction id is missing")
	}
	var t Transaction
	_, err := c.get(ctx, op, fmt.Sprintf("%s/%d", reportPath, transactionID), nil, func(ans answer) error {
		if err := into(&t)(ans); err != nil {
			return err
		}
		if t.TransactionID != transactionID {
			return &mismatchError{what: "transaction", transactionID: t.TransactionID}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// ReportQuery narrows the report. The zero value is everything.
type ReportQuery struct {
	// From and To bound the time of a transaction. The zone of the provider's dates is not certain
	// [doc, obs], so the request is widened by a day and a half at both ends: expect neighbours.
	From, To         time.Time
	CountryCode      string // ISO, two letters
	OperatorID       int64
	OperatorName     string
	CustomIdentifier string // the provider compares without case
}

// reportZone is how the provider reads startDate and endDate [doc, obs].
var reportZone = time.FixedZone("UTC-4", -4*60*60)

const widenReport = 36 * time.Hour

func (q ReportQuery) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("countryCode", q.CountryCode)
	set("operatorName", q.OperatorName)
	set("customIdentifier", q.CustomIdentifier)
	if q.OperatorID != 0 {
		set("operatorId", strconv.FormatInt(q.OperatorID, 10))
	}
	if !q.From.IsZero() {
		set("startDate", q.From.Add(-widenReport).In(reportZone).Format(time.DateTime))
	}
	if !q.To.IsZero() {
		set("endDate", q.To.Add(widenReport).In(reportZone).Format(time.DateTime))
	}
	return v
}

// Report walks the report, oldest first [obs]. It ends after the first error, which is an *Error. A
// transaction that arrives meanwhile may or may not be among them.
func (c *Client) Report(ctx context.Context, q ReportQuery) iter.Seq2[Transaction, error] {
	return func(yield func(Transaction, error) bool) {
		for p, err := range pages[Transaction](ctx, c, opReport, reportPath, q.values(), reportSize, maxReportPages) {
			if err != nil {
				yield(Transaction{}, err)
				return
			}
			for _, t := range *p.Content {
				if !yield(t, nil) {
					return
				}
			}
		}
	}
}
