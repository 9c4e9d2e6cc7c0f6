// Package vm knows how QEMU is started for an image: where the binary is, whether KVM truly works, and the argument
// lists of the two machines an image supports (microvm and q35). It starts nothing itself except in [Config.Command];
// what happens on the console or the wire is its user's business.
//
// # Contract
//
// A [Config] is a value; [Config.Args] checks it and returns the arguments. The zero value of every field but Kernel has
// a meaning. The guest's exit status comes back through the isa-debug-exit device; [GuestStatus] decodes it.
package vm
