//go:build race

package main

// population is smaller under the race detector, which takes ten times as long.
const population = 10_000
