//go:build linux

package main

import (
	"fmt"
	"slices"
	"time"
)

// contestant is one side of a comparison.
type contestant struct {
	name string
	do   func() (outcome, error)
}

// series is what a contestant did, round by round.
type series []outcome

// alternate measures the contestants in turn, round after round: what disturbs the
// machine disturbs all of them.
func alternate(rounds int, contestants ...contestant) ([]series, error) {
	all := make([]series, len(contestants))
	for range rounds {
		for i, c := range contestants {
			out, err := c.do()
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", c.name, err)
			}
			all[i] = append(all[i], out)
		}
	}
	return all, nil
}

// median of what f says of each round.
func (s series) median(f func(outcome) float64) float64 {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = f(s[i])
	}
	return median(values)
}

func (s series) perSecond() float64 {
	return s.median(func(o outcome) float64 { return o.perSecond })
}

// cpu is the server's processor time for an answer, 0 where it was not measured.
func (s series) cpu() time.Duration {
	return time.Duration(s.median(func(o outcome) float64 {
		if o.answers == 0 {
			return 0
		}
		return float64(o.cpu) / float64(o.answers)
	}))
}

func (s series) quantile(q float64) time.Duration {
	return time.Duration(s.median(func(o outcome) float64 { return float64(o.latency.quantile(q)) }))
}

// ratio is the median over the rounds of how much more s did than other in the
// same round.
func (s series) ratio(other series) float64 {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = s[i].perSecond / other[i].perSecond
	}
	return median(values)
}

// slower is the median over the rounds of the median latency of s against the sum
// of those of the others in the same round.
func (s series) slower(others ...series) float64 {
	values := make([]float64, len(s))
	for i := range s {
		sum := time.Duration(0)
		for _, o := range others {
			sum += o[i].latency.quantile(0.5)
		}
		values[i] = float64(s[i].latency.quantile(0.5)) / float64(sum)
	}
	return median(values)
}

// median of at least one value; of an even number, the mean of the middle two.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
