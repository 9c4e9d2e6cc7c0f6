// Package filter opens the netlink sockets of the packet filter (package
// nfnetlink), unless the build tag nonetfilter leaves all of it out.
package filter
