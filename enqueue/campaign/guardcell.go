package campaign

import "strings"

// formulaStarts are the characters that make a spreadsheet execute a cell: = + - @,
// tab and line breaks, and the full-width forms that some programs take for them.
const formulaStarts = "=+-@\t\r\n＝＋－＠"

// Guard makes a cell safe to open in a spreadsheet: one apostrophe goes before a cell
// that begins with a character of a formula, or with apostrophes and then such a
// character. The second half is what makes [Unguard] undo it exactly, whatever the
// cell held before.
func Guard(cell string) string {
	if executable(cell) {
		return "'" + cell
	}
	return cell
}

// Unguard takes off the apostrophe that [Guard] put there: Unguard(Guard(s)) is s for
// every s. An apostrophe before anything else is the cell's own and stays.
func Unguard(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && executable(cell) {
		return cell[1:]
	}
	return cell
}

func executable(cell string) bool {
	if cell == "" || (cell[0] >= '0' && cell[0] <= '9') || (cell[0]|0x20 >= 'a' && cell[0]|0x20 <= 'z') {
		return false // nearly every cell
	}
	bare := strings.TrimLeft(cell, "'")
	for _, first := range bare {
		return strings.ContainsRune(formulaStarts, first)
	}
	return false
}
