package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/govalues/decimal"

	"example.com/topup/reloadly"
)

// reportPoll is the time between two looks at the report.
const reportPoll = 200 * time.Millisecond

// fresh is a number that the probe has not used: two digits before the last four are
// counted up, which leaves the operator's prefix alone.
func (p *prober) fresh() *reloadly.Phone {
	digits := p.number.Number
	at := len(digits) - 6
	start, _ := strconv.Atoi(digits[at : at+2]) // checked to be digits
	p.used++
	return &reloadly.Phone{
		CountryCode: p.number.CountryCode,
		Number:      digits[:at] + fmt.Sprintf("%02d", (start+p.used)%100) + digits[at+2:],
	}
}

func (p *prober) send(ctx context.Context, identifier string, to *reloadly.Phone, amount decimal.Decimal) (*reloadly.Transaction, error) {
	return p.client.TopUp(ctx, reloadly.TopUpRequest{
		OperatorID: p.operator.ID, Amount: amount, CustomIdentifier: identifier, RecipientPhone: to,
	})
}

// lateness asks how long after its answer a top-up is missing in the report.
func (p *prober) lateness(ctx context.Context) measured {
	m := measured{Question: "is the report late?", Answer: unmeasured}
	identifier := p.name + "-report"
	if _, err := p.send(ctx, identifier, p.fresh(), p.amount); err != nil {
		m.Text = "the top-up was not accepted: " + err.Error()
		return m
	}
	answered, missing := time.Now(), time.Duration(0)
	for {
		asked := time.Since(answered)
		report, err := p.client.FindByIdentifier(ctx, identifier)
		switch {
		case err == nil && len(report.Transactions) > 0 && missing == 0:
			m.Answer, m.Text = "no", fmt.Sprintf("it showed the top-up at the first look, %v after the answer", time.Since(answered).Round(time.Millisecond))
			return m
		case err == nil && len(report.Transactions) > 0:
			late := time.Since(answered)
			m.Answer, m.Seconds = "yes", late.Seconds()
			m.Text = fmt.Sprintf("it showed the top-up %.1f s after the answer, and not yet after %.1f s; the settle time of 10 min has to be longer", late.Seconds(), missing.Seconds())
			return m
		case err == nil:
			missing = asked
		}
		if time.Since(answered) > p.patience {
			m.Text = fmt.Sprintf("it did not show the top-up within %v (--probe-patience): where that is longer than the settle time of 10 min, lost answers cannot be found", p.patience)
			if err != nil {
				m.Text = "the report cannot be read: " + err.Error()
			}
			return m
		}
		pause := time.NewTimer(reportPoll)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			m.Text = "it was interrupted"
			return m
		}
	}
}

// atomicity sends two top-ups with one identifier together, to two numbers so that
// nothing but the identifier can have the second refused.
func (p *prober) atomicity(ctx context.Context) measured {
	m := measured{Question: "is the check for duplicates atomic?", Answer: unmeasured}
	for round := range pairs {
		both, refused, err := p.pair(ctx, fmt.Sprintf("%s-pair-%d", p.name, round+1))
		switch {
		case err != nil:
			m.Text = err.Error()
			return m
		case len(both) == 2:
			m.Answer = "no"
			m.Text = fmt.Sprintf("two requests under way together were both executed, as transactions %d and %d (pair %d of %d): two must never be under way with one identifier, which the worker sees to",
				both[0], both[1], round+1, pairs)
			return m
		case len(both) != 1 || refused != 1:
			m.Text = fmt.Sprintf("of two requests under way together %d were executed and %d refused as duplicates", len(both), refused)
			return m
		}
	}
	m.Answer = "yes"
	m.Text = fmt.Sprintf("of %d pairs under way together one request was executed each, and the other refused; that is no proof, and the worker does not count on it", pairs)
	return m
}

// pair returns the transactions that were executed, and how many requests were refused as duplicates.
func (p *prober) pair(ctx context.Context, identifier string) (executed []int64, refused int, err error) {
	var mu sync.Mutex
	var group sync.WaitGroup
	var ready sync.WaitGroup
	ready.Add(2)
	for range 2 {
		to := p.fresh()
		group.Go(func() {
			_, balanceErr := p.client.Balance(ctx) // a connection and access, so that the two go out together
			ready.Done()
			ready.Wait()
			t, sendErr := p.send(ctx, identifier, to, p.amount)
			mu.Lock()
			defer mu.Unlock()
			answer, isAnswer := errors.AsType[*reloadly.Error](sendErr)
			switch {
			case sendErr == nil:
				executed = append(executed, t.TransactionID)
			case isAnswer && answer.Outcome == reloadly.Refused && answer.Code == reloadly.CodeCustomIdentifierAlreadyUsed:
				refused++
			default:
				err = errors.Join(err, balanceErr, sendErr)
			}
		})
	}
	group.Wait()
	return executed, refused, err
}

// burning has a top-up declined, and sends another one with its identifier.
func (p *prober) burning(ctx context.Context) measured {
	m := measured{Question: "does a decline use the identifier up?", Answer: unmeasured}
	identifier := p.name + "-declined"
	to, amount, whose := p.declined, p.amount, "the operator"
	if to == nil {
		hundredth, err := p.amount.Mul(decimal.MustNew(1, 2))
		if err != nil {
			m.Text = err.Error()
			return m
		}
		to, amount, whose = p.fresh(), hundredth, "Reloadly itself (give a number that its operator declines with --probe-declined)"
	}
	_, err := p.send(ctx, identifier, to, amount)
	refusal, isAnswer := errors.AsType[*reloadly.Error](err)
	switch {
	case err == nil:
		m.Text = "the top-up that was meant to be declined was accepted"
		return m
	case !isAnswer || refusal.Outcome != reloadly.Refused:
		m.Text = "the top-up that was meant to be declined was not refused: " + err.Error()
		return m
	}
	after := fmt.Sprintf("after %s (HTTP %d), a refusal by %s", strings.TrimSpace(refusal.Code), refusal.HTTPStatus, whose)
	_, err = p.send(ctx, identifier, p.fresh(), p.amount)
	if second, isAnswer := errors.AsType[*reloadly.Error](err); isAnswer && second.Code == reloadly.CodeCustomIdentifierAlreadyUsed {
		m.Answer, m.Text = "yes", after+", the identifier was used up: the worker then goes on with the next one, where that is safe"
	} else if err != nil {
		m.Text = "the second top-up was not accepted: " + err.Error()
	} else {
		m.Answer, m.Text = "no", after+", the same identifier was accepted"
	}
	return m
}
