// Package stdtest runs the standard library's own tests on the image and writes the table of what passes.
//
// # Contract
//
// A list ([ParseList]; the committed one is toolchain/std.txt) names the packages and, with a reason each, the tests that are
// known to fail or that must be left out. [Runner.Run] builds one package's tests with the derived GOROOT, boots
// them in QEMU and reads the verbose output ([ParseOutput]). A result is as listed ([Result.Surprises] is empty) when the listed tests
// fail, all others pass, and the guest ended by itself. [WriteTable] writes the results as docs/std.md has them; nothing in
// that table is written by hand.
package stdtest
