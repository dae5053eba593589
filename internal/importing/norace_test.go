//go:build !race

package main

const population = 100_000
