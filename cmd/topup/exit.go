package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"example.com/topup/enqueue"
	"example.com/topup/enqueue/campaign"
	"example.com/topup/enqueue/httpapi"
	"example.com/topup/reloadly"
	"example.com/topup/worker"
)

// The exit codes. They are permanent: scripts decide by them.
const (
	exitOK          = 0
	exitInternal    = 1
	exitUsage       = 2 // usage or settings
	exitFile        = 3 // a file cannot be read
	exitInvalid     = 4 // invalid top-ups, nothing enqueued
	exitOutcome     = 5 // some failed or need review
	exitConflict    = 6 // the id belongs to another top-up
	exitGuard       = 7 // refused by a money guard
	exitUnreachable = 8 // Redis or Reloadly is not reachable: run it again
	exitTimeout     = 9 // waiting timed out, the job goes on
)

// exitError gives an error its exit code where its type alone does not say it.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(err error) error { return &exitError{exitUsage, err} }

// errOutcome, errAudit and errWaiting end a command whose result is already on stdout.
var (
	errOutcome = errors.New("not succeeded: see the result's explanation")
	errAudit   = errors.New("the ledger and Reloadly's report differed: see the findings")
	errWaiting = errors.New("not settled yet; the job goes on by itself (look again with topup get ID --wait)")
)

// exitCode is the one place in which an error becomes an exit code.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if own, ok := errors.AsType[*exitError](err); ok {
		return own.code
	}
	for _, known := range []struct {
		err  error
		code int
	}{
		{errOutcome, exitOutcome},
		{errAudit, exitOutcome},
		{errWaiting, exitTimeout},
		{campaign.ErrUnreadable, exitFile},
		{campaign.ErrGuard, exitGuard},
		{campaign.ErrCancelled, exitConflict},
		{campaign.ErrRowsExpired, exitConflict},
		{campaign.ErrChanged, exitUnreachable}, // run it again
		{redislock.ErrNotObtained, exitUnreachable},
		{campaign.ErrStageLost, exitUnreachable},
		{enqueue.ErrInvalid, exitInvalid},
		{enqueue.ErrConflict, exitConflict},
		{enqueue.ErrNotFound, exitInvalid},
		{enqueue.ErrExpired, exitInvalid},
		{enqueue.ErrNotReviewable, exitGuard},
		{enqueue.ErrNotCancellable, exitGuard},
		{worker.ErrNothingFound, exitGuard},
		{errEnvironment, exitGuard},
		{httpapi.ErrKeyInvalid, exitUsage},
		{httpapi.ErrKeyExists, exitConflict},
		{httpapi.ErrNoKey, exitInvalid},
		{httpapi.ErrNeedsKey, exitUsage},
	} {
		if errors.Is(err, known.err) {
			return known.code
		}
	}
	if provider, ok := errors.AsType[*reloadly.Error](err); ok {
		if provider.Advice == reloadly.HoldAccount {
			return exitGuard
		}
		return exitUnreachable
	}
	if errors.Is(err, context.DeadlineExceeded) { // itself a net.Error, so it comes first
		return exitTimeout
	}
	_, away := errors.AsType[net.Error](err)
	if _, file := errors.AsType[*os.PathError](err); file { // what a full disk says looks like a net.Error too
		away = false
	}
	if away || errors.Is(err, io.EOF) || errors.Is(err, redis.ErrClosed) || redisAway(err) {
		return exitUnreachable
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return exitFile
	}
	return exitInternal
}

// redisAway knows the answers of a Redis that is there and cannot serve now.
func redisAway(err error) bool {
	for _, prefix := range []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "BUSY", "NOAUTH", "WRONGPASS", "OOM"} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}
