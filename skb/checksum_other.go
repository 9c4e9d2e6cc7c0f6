//go:build !amd64

package skb

func sumMost(p []byte) (a, b uint64, rest []byte) { return 0, 0, p }
