// Package campaign turns a spreadsheet of people into top-ups that are paid once
// each, whatever is stopped, repeated or loaded again.
//
//	file ── Read ──> rows ── Quote ──> prices ── Load ──> campaign in Redis ── feeder ──> jobs
//
// A file is read whole before anything is written; every problem is reported with
// its line and column, and nothing damaged is guessed. A campaign keeps its rows in
// Redis, packed, and the feeder in package worker hands them to the queue through a
// window. The id of a row's job comes from the campaign's name and the row's external
// id or number alone, so the ledger refuses to pay a row twice however often it is
// handed over: nothing in this package protects money by itself.
package campaign
