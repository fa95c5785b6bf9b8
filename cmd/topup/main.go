// Command topup sends airtime top-ups through Reloadly and never pays one twice.
//
// Start with
//
//	topup demo
//
// which needs nothing else. The commands parse, call and print; what they do is in
// the packages enqueue, worker and reloadly.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"
)

func main() { os.Exit(run()) }

// run is main with an exit code. The first signal ends the command in order, the
// second one at once.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // the process's own root
	defer stop()
	context.AfterFunc(ctx, stop)
	return execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}

// quiet is go-redis' own log: what matters of it comes back as an error.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// app is what every command shares.
type app struct {
	settings Settings
	json     bool
	asking   *bool // whether somebody can be asked; nil finds out
	in       io.Reader
	out, err io.Writer
}

func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	result := &output{w: out}
	a := &app{in: in, out: result, err: errs}
	if err := a.settings.fromEnvironment(); err != nil {
		fmt.Fprintln(errs, "topup:", err)
		return exitUsage
	}
	redis.SetLogger(quiet{})
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(result)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil && result.err != nil {
		err = fmt.Errorf("write the result: %w", result.err)
	}
	if err != nil {
		fmt.Fprintln(errs, "topup:", strings.ReplaceAll(err.Error(), "\n", "\ntopup: "))
	}
	return exitCode(err)
}

// output is stdout. It keeps its first error: who does not get the result must not be told
// that all is well.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "topup",
		Short:         "Send airtime top-ups through Reloadly, and never pay one twice",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       versionText(),
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			return a.settings.check(c.Flags())
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print the result as JSON, for machines")
	a.settings.addFlags(root.PersistentFlags())
	root.AddCommand(
		a.demoCommand(), a.devCommand(), a.workerCommand(), a.serveCommand(), a.sandboxCommand(),
		a.sendCommand(), a.getCommand(), a.campaignCommand(), a.reviewCommand(), a.auditCommand(), a.holdCommand(), a.releaseCommand(), a.keyCommand(), a.doctorCommand(),
	)
	root.AddCommand(a.healthCommand())
	return root
}

// usageArgs gives a wrong number of arguments the exit code of a wrong usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usage(fmt.Errorf("%w (see %s --help)", err, c.CommandPath()))
		}
		return nil
	}
}
