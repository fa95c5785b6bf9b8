package campaign

import "testing"

// The id of a row's job is permanent: a file that is loaded again after an update of the
// program must meet the jobs that it made before, or everybody is paid once more.
func TestJobIDIsPermanent(t *testing.T) {
	for _, c := range []struct {
		row  Row
		want string
	}{
		{Row{Phone: "+2348031234567"}, "may_2.6b39248188406864f30420963a3e793b"},
		{Row{Phone: "+2348031234567", ExternalID: "Ward7-001"}, "may_2.Ward7-001"},
		{Row{Phone: "+2348031234568", ExternalID: "Ward7-001"}, "may_2.Ward7-001"},
	} {
		if got := c.row.JobID("May_2"); got != c.want {
			t.Errorf("%+v: %s, want %s", c.row, got, c.want)
		}
	}
}
