package enqueue_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/govalues/decimal"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
)

// open is a client on a Redis inside the process; a real one needs no Epoch.
func open() (*enqueue.Client, func()) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		panic(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	client := enqueue.NewClient(rdb, enqueue.ClientConfig{Ledger: enqueue.LedgerConfig{Epoch: "example"}})
	return client, func() {
		_ = client.Close()
		_ = rdb.Close()
		m.Close()
	}
}

func order(id, amount string) enqueue.TopUp {
	return enqueue.TopUp{
		ID:             id,
		Amount:         decimal.MustParse(amount),
		RecipientPhone: enqueue.Phone{CountryCode: "AE", Number: "+971501234521"},
	}
}

func Example() {
	client, done := open()
	defer done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	if _, err := client.TopUp(ctx, order("order-4711", "10")); err != nil {
		fmt.Println(err)
		return
	}
	// A worker would send it; here somebody withdraws it.
	if _, err := client.Cancel(ctx, "order-4711"); err != nil {
		fmt.Println(err)
		return
	}
	result, err := client.Wait(ctx, "order-4711")
	fmt.Println(result.State, result.MoneyMoved, err)
	fmt.Println(result.Explanation)
	// Output:
	// cancelled no <nil>
	// Withdrawn before it was sent; nothing was paid.
}

func ExampleClient_TopUp() {
	client, done := open()
	defer done()
	ctx := context.Background()

	first, err := client.TopUp(ctx, order("order-4711", "10"))
	fmt.Println(first.State, err)
	// The answer got lost? Once more, with the same id: it is the same job.
	again, err := client.TopUp(ctx, order("ORDER-4711", "10.00"))
	fmt.Println(again.CreatedAt.Equal(first.CreatedAt), err)
	// Another top-up under the same id is refused.
	_, err = client.TopUp(ctx, order("order-4711", "20"))
	fmt.Println(errors.Is(err, enqueue.ErrConflict), err)
	_, err = client.TopUp(ctx, order("order-4712", "-1"))
	fmt.Println(errors.Is(err, enqueue.ErrInvalid), err)
	// Output:
	// queued <nil>
	// true <nil>
	// true job "order-4711" exists with another amount (use a new id for another top-up)
	// true amount: is negative (give an amount greater than 0)
}

func ExampleClient_TopUps() {
	client, done := open()
	defer done()

	answers := client.TopUps(context.Background(), []enqueue.TopUp{
		order("row-1", "5"), order("row-2", "0"), order("row-1", "5"),
	})
	for _, a := range answers {
		fmt.Println(a.Created, a.Result.State, a.Err)
	}
	// Output:
	// true queued <nil>
	// false  amount: is missing or zero (give an amount greater than 0)
	// false queued <nil>
}
