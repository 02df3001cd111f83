//go:build !race

package oracle

const defaultCases = 2000
