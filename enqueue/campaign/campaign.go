package campaign

import (
	"errors"
	"time"

	"example.com/topup/enqueue"
)

// State is what a person wants of a campaign. Whether it has ended is another
// matter: see [Campaign.Ended].
type State string

// The states of a campaign.
const (
	Running   State = "running"
	Paused    State = "paused"
	Cancelled State = "cancelled"
)

var (
	// ErrNoCampaign says that there is no campaign of this name.
	ErrNoCampaign error = noCampaign{}
	// ErrChanged says that the campaign was loaded by somebody else meanwhile: read it
	// again and compare again.
	ErrChanged = errors.New("the campaign was loaded by somebody else meanwhile")
	// ErrCancelled says that the campaign was cancelled, which is for good.
	ErrCancelled = errors.New("the campaign is cancelled")
	// ErrStageLost says that Redis has forgotten rows between their staging and their
	// commit: load again.
	ErrStageLost = errors.New("the staged rows are gone")
)

// noCampaign is [ErrNoCampaign], which matches [enqueue.ErrNotFound] too.
type noCampaign struct{}

func (noCampaign) Error() string {
	return "there is none of this name (topup campaign list shows them)"
}
func (noCampaign) Is(target error) bool { return target == enqueue.ErrNotFound }

// Campaign is a campaign as Redis has it, without its rows.
type Campaign struct {
	Name    string // as it was first given; names are compared without case
	State   State
	Version int64 // grows with each load
	Rows    int   // of all loads
	Next    int   // the first row that was never handed over
	// Cut is the first row that was not handed over when the campaign was cancelled;
	// -1 while it is not.
	Cut     int
	Loads   []LoadInfo
	Created time.Time
	Ended   time.Time // when all rows were settled; zero while they are not
}

// LoadInfo is one load of a campaign.
type LoadInfo struct {
	Number  int               `json:"-"` // from 0
	Offset  int               `json:"offset"`
	Rows    int               `json:"rows"`
	File    string            `json:"file"`
	Header  []string          `json:"header"`
	At      time.Time         `json:"at"`
	Totals  map[string]string `json:"totals,omitempty"` // the loader's own sums, as decimal text
	Details map[string]string `json:"details,omitempty"`
}

// Load is the load that a row came with, or nil.
func (c *Campaign) Load(row int) *LoadInfo {
	for k := range c.Loads {
		if l := &c.Loads[k]; row >= l.Offset && row < l.Offset+l.Rows {
			return l
		}
	}
	return nil
}
