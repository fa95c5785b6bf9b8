package campaign

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"example.com/topup/enqueue"
	"example.com/topup/reloadly"
)

// Provider is what a quote asks of Reloadly; *reloadly.Client is one. Its errors are
// *reloadly.Error, and it repeats what can be repeated by itself.
type Provider interface {
	DetectOperator(ctx context.Context, p reloadly.Phone) (*reloadly.Operator, error)
	Operator(ctx context.Context, id int64) (*reloadly.Operator, error)
	Balance(ctx context.Context) (*reloadly.Balance, error)
}

// detectTries is how many numbers of one prefix are asked for before all of it counts
// as without an operator: a single dead number must not condemn the others.
const detectTries = 3

// operators knows what the rows' operators sell. It asks once for each operator that
// is named and once for each prefix of numbers, so its memory does not grow with the
// rows. It belongs to one goroutine, which lets it ask for several at once.
type operators struct {
	provider Provider
	parallel int
	offers   map[int64]*offer
	absent   map[int64]string // by a given id that there is no operator for: the provider's code
	prefixes map[prefix]*detection
}

func newOperators(p Provider, parallel int) *operators {
	return &operators{
		provider: p, parallel: parallel,
		offers: map[int64]*offer{}, absent: map[int64]string{}, prefixes: map[prefix]*detection{},
	}
}

// prefix is a block of numbers that is taken to belong to one operator. Numbering
// plans give operators blocks of 100,000 numbers and more, told by the first digits:
// so it is all digits but the last five, from four (Haiti 3412…) to six (China), and
// area and exchange in North America. Ported numbers make it an estimate, good for a
// quote: the worker detects each number by itself before it sends.
type prefix struct {
	country, digits string
	length          int // of the whole national number: plans with two lengths have two maps
}

func prefixOf(r *Row) prefix {
	n := len(r.National)
	keep := min(max(n-5, 4), 6, n)
	if strings.HasPrefix(r.Phone, "+1") {
		keep = min(6, n)
	}
	return prefix{r.Country, r.National[:keep], n}
}

// detection is what asking for the numbers of a prefix gave.
type detection struct {
	offer   *offer
	refused []string // numbers without an operator, at most detectTries
	code    string   // the provider's, of the last of them
}

// of is the row's operator; nil where there is none, and then why, in the provider's
// word. It is not known before fetch has asked.
func (o *operators) of(r *Row) (found *offer, why string, known bool) {
	if r.OperatorID != 0 {
		if found = o.offers[r.OperatorID]; found != nil {
			return found, "", true
		}
		why, known = o.absent[r.OperatorID]
		return nil, why, known
	}
	d := o.prefixes[prefixOf(r)]
	switch {
	case d == nil:
		return nil, "", false
	case d.offer != nil:
		return d.offer, "", true
	}
	return nil, d.code, len(d.refused) == detectTries || slices.Contains(d.refused, r.Phone)
}

// fetch asks for what is not known of the rows, several at once. An error means that
// Reloadly did not say, and never that there is no operator.
func (o *operators) fetch(ctx context.Context, rows []*Row) error {
	for {
		asked := o.unknown(rows)
		if len(asked) == 0 {
			return nil
		}
		found := make([]*reloadly.Operator, len(asked))
		codes := make([]string, len(asked))
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(o.parallel)
		for i, r := range asked {
			group.Go(func() (err error) {
				found[i], codes[i], err = o.ask(ctx, r)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		for i, r := range asked {
			o.learn(r, found[i], codes[i])
		}
	}
}

// unknown is one row for each operator and prefix that has to be asked for.
func (o *operators) unknown(rows []*Row) []*Row {
	var asked []*Row
	ids, prefixes := map[int64]bool{}, map[prefix]bool{}
	for _, r := range rows {
		if _, _, known := o.of(r); known {
			continue
		}
		if p := prefixOf(r); r.OperatorID != 0 && !ids[r.OperatorID] {
			ids[r.OperatorID] = true
			asked = append(asked, r)
		} else if r.OperatorID == 0 && !prefixes[p] {
			prefixes[p] = true
			asked = append(asked, r)
		}
	}
	return asked
}

// ask gives the operator, or the code with which the provider said that there is none.
func (o *operators) ask(ctx context.Context, r *Row) (op *reloadly.Operator, code string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	what := fmt.Sprintf("operator %d", r.OperatorID)
	if r.OperatorID == 0 {
		what = "the operator of " + enqueue.MaskNumber(r.Phone)
		op, err = o.provider.DetectOperator(ctx, reloadly.Phone{CountryCode: r.Country, Number: r.National})
	} else if op, err = o.provider.Operator(ctx, r.OperatorID); err == nil && op.ID != r.OperatorID {
		err = fmt.Errorf("the answer is about operator %d", op.ID)
	}
	if code, absent := absence(err); absent {
		return nil, code, nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("line %d: cannot ask Reloadly for %s: %w", r.Line, what, err)
	}
	return op, "", nil
}

// absence reports whether an error is the provider's word that there is no such
// operator. A refusal that is about the account, or that nobody knows, is not.
func absence(err error) (code string, absent bool) {
	var e *reloadly.Error
	if !errors.As(err, &e) || e.Outcome != reloadly.Refused {
		return "", false
	}
	switch e.Advice {
	case reloadly.GiveUp, reloadly.OperatorDown: // an id that does not exist is answered as one that is down [obs]
		return e.Code, true
	}
	return e.Code, e.Advice == reloadly.AskPerson && e.HTTPStatus == http.StatusNotFound
}

func (o *operators) learn(r *Row, op *reloadly.Operator, code string) {
	var known *offer
	if op != nil {
		if known = o.offers[op.ID]; known == nil {
			known = newOffer(op)
			o.offers[op.ID] = known
		}
	}
	if r.OperatorID != 0 {
		if known == nil {
			o.absent[r.OperatorID] = code
		}
		return
	}
	p := prefixOf(r)
	d := o.prefixes[p]
	if d == nil {
		// Cloned, or the digits would keep the file's text in memory.
		p.country, p.digits = strings.Clone(p.country), strings.Clone(p.digits)
		d = &detection{}
		o.prefixes[p] = d
	}
	if d.offer, d.code = known, code; known == nil {
		d.refused = append(d.refused, strings.Clone(r.Phone))
	}
}
