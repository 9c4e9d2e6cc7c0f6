package nf

import (
	"bytes"
	"path"
	"time"

	"barewire/napi"
	"barewire/napi/proc"
	"barewire/netfilter/ipset"
	"barewire/netfilter/iptables"
	"barewire/netfilter/xtables"
	"barewire/netfilter/xtables/xt"
)

// newIptables makes the commands over the tables, and the files of the commands
// and of what rules keep.
func (f *NF) newIptables() {
	dev := f.IP.Dev
	env := f.Tables.Env()
	env.Sets = ipset.New(env.Now, env.Random, ipset.Services{
		Port: xt.ServicePort, Proto: xtables.ProtoNumber, Name: xtables.ProtoName})
	env.ReversePath, env.BPF = f.reversePath, newBPF
	env.CPU = func() int { return f.IP.Dev.ThisSoftNet().CPU() }
	env.SynProxy, env.UseDefrag = f.SynProxy, f.UseDefrag
	env.HasSocket, env.SocketOf, env.TProxy = hasSocket, f.socketOf, f.tproxy
	f.Iptables = iptables.New(iptables.Config{
		Tables: f.Tables,
		Find:   findExtension,
		Now:    func() time.Time { return time.Unix(0, napi.WallNow(dev.Clock())).UTC() },
	})
	files := dev.Proc()
	files.RegisterFile(ControlFile, proc.File{Mode: 0o600, Open: openControl(f.Run)})
	recent := xt.RecentOf(env)
	recent.OnChange(func(name string, exists bool) {
		at := "xt_recent/" + name
		if !exists {
			files.Remove(at)
			return
		}
		files.RegisterFile(at, proc.File{
			Mode:  0o644,
			Show:  func(b []byte) []byte { return recent.Show(b, name) },
			Write: func(p []byte) error { return recent.Write(name, string(p)) },
		})
	})
}

func findExtension(name string, target bool) *xtables.Def {
	if target {
		return xt.FindTarget(name)
	}
	return xt.FindMatch(name)
}

// Run runs iptables, iptables-save, iptables-restore or ipset, as argv[0] says,
// and returns the exit status and what was printed.
func (f *NF) Run(argv []string, stdin []byte) (status int, stdout, stderr []byte) {
	run := f.Iptables.Run
	if len(argv) > 0 && path.Base(argv[0]) == "ipset" {
		run = f.Tables.Env().Sets.Run
	}
	var out, warn bytes.Buffer
	status = run(argv, bytes.NewReader(stdin), &out, &warn)
	return status, out.Bytes(), warn.Bytes()
}
