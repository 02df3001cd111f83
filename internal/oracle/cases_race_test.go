//go:build race

package oracle

// The race detector makes everything some ten times slower.
const defaultCases = 200
