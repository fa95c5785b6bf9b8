package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/topup/enqueue"
)

// sendFlags describe one job.
type sendFlags struct {
	job                        enqueue.TopUp
	amount, notBefore, expires string
	request                    string
	wait                       bool
	timeout                    time.Duration
}

func (a *app) sendCommand() *cobra.Command {
	var f sendFlags
	c := &cobra.Command{
		Use:   "send",
		Short: "Submit one top-up; the same id is never paid twice",
		Example: "  topup send --id invoice-17 --operator 1100 --amount 832 --country AE --number 0503971821 --wait\n" +
			"  topup send --request job.json --json",
		Args: usageArgs(cobra.NoArgs),
	}
	own := pflag.NewFlagSet("send", pflag.ContinueOnError)
	own.StringVar(&f.job.ID, "id", "", "the job's id (customIdentifier)")
	own.Int64Var(&f.job.OperatorID, "operator", 0, "Reloadly's operator id; 0 detects it")
	own.StringVar(&f.amount, "amount", "", "in the account's currency, such as 10.50")
	own.BoolVar(&f.job.UseLocalAmount, "local", false, "the amount is in the destination's currency")
	own.StringVar(&f.job.RecipientPhone.CountryCode, "country", "", "the recipient's country, such as AE")
	own.StringVar(&f.job.RecipientPhone.Number, "number", "", "the recipient's number")
	own.StringVar(&f.job.RecipientEmail, "email", "", "the recipient's e-mail, for operators that deliver by e-mail")
	own.StringVar(&f.job.SenderPhone.CountryCode, "sender-country", "", "the sender's country")
	own.StringVar(&f.job.SenderPhone.Number, "sender-number", "", "the sender's number")
	own.StringVar(&f.job.Campaign, "campaign", "", "a name that groups jobs")
	own.StringVar(&f.notBefore, "not-before", "", "earliest time, such as 2026-12-24T18:00:00+01:00")
	own.StringVar(&f.expires, "expires", "", "not sent after this time; 24 hours from now unless told")
	own.StringToStringVar(&f.job.Metadata, "metadata", nil, "name=value, echoed in the result")
	c.Flags().AddFlagSet(own)
	c.Flags().StringVar(&f.request, "request", "", "a file with the job as JSON; - is stdin")
	addWaitFlags(c.Flags(), &f.wait, &f.timeout)
	c.RunE = func(c *cobra.Command, _ []string) error {
		job, err := a.readJob(c.Flags(), own, f)
		if err != nil {
			return err
		}
		// Checked before Redis is asked, so that a slip is told without one.
		if job, err = job.Validate(); err != nil {
			return err
		}
		client, _, closeClient, err := a.connectToPay(c.Context())
		if err != nil {
			return err
		}
		defer closeClient()
		r, err := client.TopUp(c.Context(), job)
		if err != nil {
			return err
		}
		if f.wait {
			return a.waitFor(c.Context(), client, job.ID, f.timeout)
		}
		return a.printResult(r)
	}
	return c
}

func addWaitFlags(flags *pflag.FlagSet, wait *bool, timeout *time.Duration) {
	flags.BoolVar(wait, "wait", false, "wait until it is settled")
	flags.DurationVar(timeout, "timeout", 5*time.Minute, "how long to wait; the job goes on afterwards")
}

// readJob is the job of the flags, or of the request's file.
func (a *app) readJob(all, own *pflag.FlagSet, f sendFlags) (enqueue.TopUp, error) {
	if !all.Changed("request") {
		return f.fromFlags()
	}
	var both []string
	own.VisitAll(func(flag *pflag.Flag) {
		if all.Changed(flag.Name) {
			both = append(both, "--"+flag.Name)
		}
	})
	if len(both) > 0 {
		return enqueue.TopUp{}, usage(fmt.Errorf("--request says everything: leave out %s", strings.Join(both, ", ")))
	}
	text, err := a.readRequest(f.request)
	if err != nil {
		return enqueue.TopUp{}, &exitError{exitFile, fmt.Errorf("--request: %w", err)}
	}
	return parseJob(text)
}

const maxRequest = 64 << 10 // a job has at most some two KiB

func (a *app) readRequest(name string) ([]byte, error) {
	in := a.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	if err == nil && len(text) > maxRequest {
		err = errors.New("is larger than any job")
	}
	return text, err
}

// parseJob reads one job. A name that is not known is refused: a misspelt
// useLocalAmount would otherwise pay in another currency.
func parseJob(text []byte) (enqueue.TopUp, error) {
	var job enqueue.TopUp
	invalid := func(err error) (enqueue.TopUp, error) { return job, &exitError{exitInvalid, err} }
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return invalid(fmt.Errorf("the request is not one JSON object: %w", err))
	}
	for name := range fields {
		if !jobFields[name] {
			return invalid(fmt.Errorf("%s: is not a field of a top-up (check its spelling, capitals count)", name))
		}
	}
	if err := json.Unmarshal(text, &job); err != nil {
		return invalid(err)
	}
	return job, nil
}

// jobFields are the JSON names of a job.
var jobFields = func() map[string]bool {
	names := map[string]bool{}
	t := reflect.TypeFor[enqueue.TopUp]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}()

func (f sendFlags) fromFlags() (enqueue.TopUp, error) {
	job := f.job
	var errs []error
	if f.amount != "" {
		amount, err := enqueue.ParseAmount(f.amount)
		errs = append(errs, err)
		job.Amount = amount
	}
	for _, t := range []struct {
		name, text string
		to         *time.Time
	}{{"--not-before", f.notBefore, &job.NotBefore}, {"--expires", f.expires, &job.Expires}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.text)
		if err != nil {
			errs = append(errs, usage(fmt.Errorf("%s: is not a time such as 2026-12-24T18:00:00+01:00", t.name)))
		}
		*t.to = at
	}
	return job, errors.Join(errs...)
}

// waitFor waits, prints the result and makes it the exit code.
func (a *app) waitFor(ctx context.Context, client *enqueue.Client, id string, timeout time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := client.Wait(waiting, id)
	if err != nil {
		if waiting.Err() == nil || ctx.Err() != nil {
			return err
		}
		if r, err = client.Get(ctx, id); err != nil {
			return err
		}
	}
	if err := a.printResult(r); err != nil {
		return err
	}
	return outcome(r)
}

// outcome is nil for a job that succeeded.
func outcome(r enqueue.Result) error {
	switch {
	case r.State == enqueue.Succeeded:
		return nil
	case r.State.Settled():
		return errOutcome
	default:
		return errWaiting
	}
}
