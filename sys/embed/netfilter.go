package embed

// Run runs one of the commands of the packet filter, which are the kernel's own:
// iptables, iptables-save, iptables-restore or ipset, as argv[0] says. It returns
// the exit status and what was printed. A program inside does the same through
// /proc/net/netfilter_control (inet/nf.ControlFile).
//
//	status, out, warn := in.Run([]string{"iptables", "-A", "FORWARD", "-j", "DROP"}, nil)
func (i *Instance) Run(argv []string, stdin []byte) (status int, stdout, stderr []byte) {
	return i.inet.NF().Run(argv, stdin)
}
