//go:build race

package boot

const raceEnabled = true
