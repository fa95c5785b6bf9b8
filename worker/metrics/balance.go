package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

const (
	balanceKey     = "topup:metrics:balance"      // the account's balance as one of the fleet read it (string with TTL)
	balanceTurnKey = "topup:metrics:balance:turn" // there while the balance is fresh enough (string with TTL)
)

// balance is what the account had.
type balance struct {
	Amount   string    `json:"amount"`
	Currency string    `json:"currency"`
	At       time.Time `json:"at"`
}

// refreshBalance asks for the balance where it is this process's turn, and otherwise
// reads what another one found.
func (m *Metrics) refreshBalance(ctx context.Context, ask AskBalance) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	if ask != nil {
		mine, err := turn(ctx, m.cfg.Redis, balanceTurnKey, m.cfg.BalanceInterval)
		if err != nil {
			return err
		}
		if mine {
			if err := m.askBalance(ctx, ask); err != nil {
				return err
			}
		}
	}
	text, err := m.cfg.Redis.Get(ctx, balanceKey).Bytes()
	if errors.Is(err, redis.Nil) {
		m.balance.Store(nil)
		return nil
	}
	var b balance
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return err
	}
	m.balance.Store(&b)
	return nil
}

func (m *Metrics) askBalance(ctx context.Context, ask AskBalance) error {
	found, err := ask(ctx)
	if err != nil {
		return err
	}
	text, err := json.Marshal(balance{Amount: found.Balance.String(), Currency: currencyLabel(found.CurrencyCode), At: time.Now().UTC()})
	if err != nil {
		return err
	}
	// Old news is no news: an alert on the balance must not rest on yesterday's.
	return m.cfg.Redis.Set(ctx, balanceKey, text, 10*m.cfg.BalanceInterval).Err()
}

// debit is what a transaction took from the account: its own word for it, or what was
// asked for where it says nothing.
func debit(t *enqueue.Transaction) (amount float64, currency string, ok bool) {
	if t == nil {
		return 0, "", false
	}
	text, code := t.RequestedAmount, t.RequestedAmountCurrencyCode
	if t.BalanceInfo != nil && t.BalanceInfo.Cost != nil {
		text, code = t.BalanceInfo.Cost, t.BalanceInfo.CurrencyCode
	}
	if text == nil || code == nil {
		return 0, "", false
	}
	amount, err := strconv.ParseFloat(*text, 64)
	if err != nil || !(amount >= 0) || amount > 1e15 { // also what is no number; a counter never goes back
		return 0, "", false
	}
	return amount, currencyLabel(*code), true
}
