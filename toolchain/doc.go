// Package toolchain turns a pure-Go Linux program into a bootable image with the stock Go toolchain.
//
// # Contract
//
// Three steps, each its own file:
//
//  1. Derive ([Derive], derive.go, edit.go): a GOROOT in the user's cache folder whose src is the pinned
//     stock tree with the port (toolchain/port) applied to it, tamago and x/arch under src/vendor and the
//     kernel's rooms under src/barewire. Folders that nothing changes are links to the stock tree; the stock tree is
//     never written to. The build tags that mark the kernel's own files (tags.go) are answered here. The folder's
//     name carries a hash of everything that went in, it is built aside and renamed into place, so any number of builds
//     may share one cache.
//  2. Build ([Builder.Build], build.go, inject.go): the stock go command with GOOS=linux GOARCH=amd64 CGO_ENABLED=0 and that
//     GOROOT. The kernel is linked in by one import added to package main through -overlay; no line of the
//     program and no go.mod changes, and no build tag is set: the program's files are chosen as on Linux.
//  3. Mark ([SetPVHNote], pvh.go): the ELF's note becomes the Xen PVH entry note that QEMU -kernel,
//     Firecracker and Cloud Hypervisor boot.
//
// The Go version has one home: the go directive of this module's go.mod ([Source.GoVersion]). Versions of
// tamago and x/arch come from the same file.
//
// Errors of this package are one clear sentence for the person at the terminal, who may never have seen its source.
package toolchain
