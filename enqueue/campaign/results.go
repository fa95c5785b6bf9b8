package campaign

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"example.com/topup/enqueue"
)

// ResultColumns are what a results file has after the input's own columns. The names
// are permanent; a file that has them can be loaded again, for what begins with _ is
// not read.
var ResultColumns = []string{
	"_line", "_job_id", "_state", "_money_moved", "_identifier", "_transaction_id", "_operator_id", "_operator",
	"_requested_amount", "_requested_currency", "_delivered_amount", "_delivered_currency", "_debited_amount", "_debited_currency",
	"_code", "_reason", "_explanation", "_sends", "_created_at", "_finished_at",
}

// ResultsOptions say how a results file is written.
type ResultsOptions struct {
	// Excel adds a byte order mark and ends lines by CRLF.
	Excel bool
}

// resultRows is how many jobs are read at a time, and held in memory.
const resultRows = 1000

// WriteResults writes every row of a campaign, in the order in which it was loaded, with
// what became of its job. Cells that a spreadsheet would execute are guarded.
func (s *Store) WriteResults(ctx context.Context, w io.Writer, client *enqueue.Client, c *Campaign, o ResultsOptions) error {
	st, err := s.Standing(ctx, c.Name)
	if err != nil {
		return err
	}
	ends, err := s.Ends(ctx, c.Name)
	if err != nil {
		return err
	}
	withdrawn, err := s.Withdrawn(ctx, c.Name)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	if o.Excel {
		_, _ = out.WriteString("\ufeff") // its error is Flush's
	}
	r := &resultWriter{campaign: c, client: client, ends: ends, withdrawn: withdrawn, open: map[int]bool{}, csv: csv.NewWriter(out)}
	for _, o := range slices.Concat(st.Open, st.Review) {
		r.open[o.Row] = true
	}
	r.csv.UseCRLF = o.Excel
	if err := r.header(); err != nil {
		return err
	}
	err = s.Each(ctx, c, 0, func(number int, row *Row) error {
		kept := *row
		r.rows, r.numbers = append(r.rows, &kept), append(r.numbers, number)
		if len(r.rows) < resultRows {
			return nil
		}
		return r.flush(ctx)
	})
	if err == nil {
		err = r.flush(ctx)
	}
	if err != nil {
		return err
	}
	r.csv.Flush()
	if err := errors.Join(r.csv.Error(), out.Flush()); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

type resultWriter struct {
	campaign  *Campaign
	client    *enqueue.Client
	ends      map[int]End
	withdrawn map[int]bool
	open      map[int]bool // not counted yet, or in review
	csv       *csv.Writer

	names   []string // of the input's columns, over all loads
	places  [][]int  // by load: where each of its columns stands
	rows    []*Row
	numbers []int
}

// header joins the columns of all loads: those of the first, then what others add.
func (r *resultWriter) header() error {
	for _, load := range r.campaign.Loads {
		places := make([]int, len(load.Header))
		taken := map[int]bool{} // two columns of one name, which mean nothing, stay two
		for i, name := range load.Header {
			places[i] = -1
			for at, known := range r.names {
				if known == name && !taken[at] {
					places[i] = at
					break
				}
			}
			if places[i] < 0 {
				places[i] = len(r.names)
				r.names = append(r.names, name)
			}
			taken[places[i]] = true
		}
		r.places = append(r.places, places)
	}
	return r.write(slices.Concat(r.names, ResultColumns))
}

func (r *resultWriter) write(cells []string) error {
	for i, cell := range cells {
		cells[i] = Guard(cell)
	}
	if err := r.csv.Write(cells); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

func (r *resultWriter) flush(ctx context.Context) error {
	ids := make([]string, len(r.rows))
	for i, row := range r.rows {
		ids[i] = row.JobID(r.campaign.Name)
	}
	for i, answer := range r.client.GetMany(ctx, ids) {
		result, err := r.result(ctx, r.numbers[i], ids[i], answer)
		if err != nil {
			return err
		}
		row := r.rows[i]
		cells := make([]string, len(r.names), len(r.names)+len(ResultColumns))
		if load := r.campaign.Load(r.numbers[i]); load != nil {
			for k, cell := range row.Cells[:min(len(row.Cells), len(load.Header))] {
				cells[r.places[load.Number][k]] = cell
			}
		}
		if err := r.write(append(cells, resultCells(row, result)...)); err != nil {
			return err
		}
	}
	r.rows, r.numbers = r.rows[:0], r.numbers[:0]
	return nil
}

// result is what became of a row: what its job says, or what the campaign knows of a
// row that has none of its own.
func (r *resultWriter) result(ctx context.Context, number int, id string, answer enqueue.Answered) (enqueue.Result, error) {
	if end, ended := r.ends[number]; ended && end.jobless() {
		return enqueue.Result{ID: id, State: end.State, Code: end.Code, MoneyMoved: enqueue.MovedNo, Explanation: joblessText[end.Code]}, nil
	}
	switch result := answer.Result; {
	case errors.Is(answer.Err, enqueue.ErrNotFound):
		if number >= r.campaign.Cut && r.campaign.Cut >= 0 || r.withdrawn[number] {
			return enqueue.Result{ID: id, State: enqueue.Cancelled, MoneyMoved: enqueue.MovedNo, Explanation: "Withdrawn before it was sent; nothing was paid."}, nil
		}
		return enqueue.Result{ID: id, State: enqueue.Queued, MoneyMoved: enqueue.MovedNo, Explanation: "It waits for its turn in the campaign."}, nil
	case errors.Is(answer.Err, enqueue.ErrExpired):
		result.ID, result.MoneyMoved = id, moved(result.State)
		result.Explanation = "It ended long ago; only its state is still known."
		return result, nil
	case errors.Is(answer.Err, enqueue.ErrDamaged):
		return r.damaged(ctx, number, id, answer.Err), nil
	default:
		return result, answer.Err
	}
}

// damaged is what became of a row whose job's record cannot be read as a whole: its end,
// where that was counted and the record still says it, or what a person has to find out.
func (r *resultWriter) damaged(ctx context.Context, number int, id string, err error) enqueue.Result {
	result := enqueue.Result{ID: id, State: enqueue.NeedsReview, Code: CodeDamaged, MoneyMoved: enqueue.MovedUnknown}
	if g := r.client.Glances(ctx, []string{id})[0]; g.Err == nil && g.State.Final() && !r.open[number] {
		result.State, result.MoneyMoved = g.State, moved(g.State)
		result.Explanation = fmt.Sprintf("It has ended, and how is all that is still known: %v.", err)
		return result
	}
	result.Explanation = fmt.Sprintf("It is not known what became of it: %v. Nothing more is sent for it. "+
		"Ask Reloadly for its identifier; where nothing was paid, load the row under another external_id, with --allow-repeat-phone.", err)
	return result
}

// moved is what a final state says of the money.
func moved(final enqueue.State) enqueue.Moved {
	if final == enqueue.Succeeded {
		return enqueue.MovedYes
	}
	return enqueue.MovedNo
}

// joblessText says what became of a row that has no job of its own.
var joblessText = map[string]string{
	"CONFLICT":   "Nothing was paid for this row: its id belongs to another top-up. Give it an external_id of its own.",
	"INVALID":    "Nothing was paid for this row: it is not a top-up that can be sent. Correct it and load it under another external_id.",
	"EXPIRED_ID": "Nothing new was paid for this row: its id was used long ago, and this is how that ended.",
}

// resultCells are those of ResultColumns.
func resultCells(row *Row, r enqueue.Result) []string {
	t := r.Transaction
	if t == nil {
		t = &enqueue.Transaction{}
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	identifier := text(t.CustomIdentifier)
	if identifier == "" && (r.Sends > 0 || r.Code == CodeDamaged) {
		identifier = enqueue.Identifier(r.ID, 0)
	}
	operator := t.OperatorID
	if operator == 0 {
		operator = row.OperatorID
	}
	requested := text(t.RequestedAmount)
	if requested == "" {
		requested = row.Amount.String()
	}
	var delivered, deliveredIn, debitedText string
	if r.State == enqueue.Succeeded {
		delivered, deliveredIn = text(t.DeliveredAmount), text(t.DeliveredAmountCurrencyCode)
	}
	currency, debited := Debit(r)
	if currency != "" {
		debitedText = debited.Trim(0).String()
	}
	created, finished := "", ""
	if !r.CreatedAt.IsZero() {
		created = r.CreatedAt.Format(time.RFC3339)
	}
	if r.FinishedAt != nil {
		finished = r.FinishedAt.Format(time.RFC3339)
	}
	return []string{
		strconv.Itoa(row.Line), r.ID, string(r.State), string(r.MoneyMoved), identifier, positive(t.TransactionID), positive(operator), text(t.OperatorName),
		requested, text(t.RequestedAmountCurrencyCode), delivered, deliveredIn, debitedText, currency,
		r.Code, string(r.Reason), r.Explanation, strconv.Itoa(r.Sends), created, finished,
	}
}

func positive(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
