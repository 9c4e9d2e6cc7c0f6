// A module of its own, as a user's program has: u-root's sshd is built in it
// without its dependencies coming into those of barewire.
module sshd

go 1.26.8

tool github.com/u-root/u-root/cmds/core/sshd

require (
	github.com/kr/fs v0.1.0 // indirect
	github.com/pkg/sftp v1.13.9 // indirect
	github.com/u-root/u-root v0.16.0 // indirect
	golang.org/x/crypto v0.45.0 // indirect
	golang.org/x/sys v0.41.0 // indirect
)
