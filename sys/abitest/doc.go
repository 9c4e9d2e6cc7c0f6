// Package abitest makes the same system calls of this stack and of the Linux
// kernel under the test, in an empty network namespace, and compares everything a
// program sees: results, errors, memory written. It holds tests only.
//
// A script is a list of calls. It runs once in each [world] and writes down what
// it saw; a difference is a fault of this stack or stands, with its reason, in
// the script. Both worlds look alike: loopback, and a pair of joined devices v0
// and v1, of which v0 has 192.0.2.1/24.
package abitest
