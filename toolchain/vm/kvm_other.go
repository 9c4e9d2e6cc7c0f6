//go:build !linux

package vm

// KVMUsable tells whether a virtual machine can really be made with KVM: never outside Linux.
func KVMUsable() bool { return false }

// KVMStatus says in a few words whether KVM can be used, and why not.
func KVMStatus() string { return "no (KVM is Linux's); images run under QEMU's translator, which is slower" }
