package boot

import (
	"sync"

	"barewire/inet"
	"barewire/napi"
	"barewire/skb"
	"barewire/sys"
	"barewire/sys/filter"
	"barewire/sys/genl"
	"barewire/sys/rtnetlink"
)

// netnsPages bounds the packet memory of a namespace that a program makes, in
// pages. It has its own, so that one that is flooded leaves the others theirs.
const netnsPages = 2048

// newNet makes a namespace for unshare (Linux: setup_net). Its lo is down, as
// in Linux.
func (b *booting) newNet() (sys.Namespace, error) {
	n, err := napi.New(napi.Config{
		Clock: b.m.Clock,
		Rand:  b.m.Random,
		Log:   b.log,
		CPUs:  min(b.m.CPUs, napi.MaxCPUs),
		CPU:   b.m.CPU,
		Pages: skb.PageConfig{MaxPages: netnsPages, Map: b.m.Map},
	})
	if err != nil {
		return sys.Namespace{}, err
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for cpu := range n.CPUs() {
		running.Go(func() { n.SoftNetOf(cpu).Run(stop) })
	}
	end := func() {
		close(stop)
		running.Wait()
	}
	in, err := inet.New(inet.Config{Net: n, UDPMemory: netnsPages * skb.DefaultPageSize / 2})
	if err != nil {
		end()
		return sys.Namespace{}, err
	}
	rt, _, endFilter, err := b.route(in)
	if err != nil {
		in.Close()
		end()
		return sys.Namespace{}, err
	}
	if lo := n.DevByName("lo"); lo != nil {
		lo.Close()
	}
	return sys.Namespace{SockCreate: in.SockCreate, Net: n, Close: func() {
		b.bringHome(n)
		b.nets.remove(n)
		rt.Close()
		endFilter()
		in.Close()
		end()
	}}, nil
}

// route makes the namespace's sockets of AF_NETLINK.
func (b *booting) route(in *inet.Net) (*rtnetlink.Route, *genl.Table, func(), error) {
	rt, err := rtnetlink.New(in)
	if err != nil {
		return nil, nil, nil, err
	}
	rt.FindNet = func(fd bool, n uint32) (*napi.Net, error) {
		if fd {
			return b.Kernel.NetOfFile(n)
		}
		return b.Kernel.NetOfProcess(n)
	}
	b.nets.add(in.Dev(), rt)
	g, err := genl.New(rt.Netlink())
	if err != nil {
		return nil, nil, nil, err
	}
	endFilter, err := filter.Open(rt.Netlink(), in)
	return rt, g, endFilter, err
}

// nets are the namespaces there are, so that what knows the number of one that
// ends forgets it.
type nets struct {
	mu sync.Mutex
	m  map[*napi.Net]*rtnetlink.Route
}

func (s *nets) add(n *napi.Net, rt *rtnetlink.Route) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = map[*napi.Net]*rtnetlink.Route{}
	}
	s.m[n] = rt
}

func (s *nets) remove(n *napi.Net) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.m, n)
	for _, rt := range s.m {
		rt.Forget(n)
	}
}

// bringHome takes apart what a namespace that ends has of devices: what a
// program made goes with it, the others go back to the first (Linux:
// default_device_exit_net).
func (b *booting) bringHome(n *napi.Net) {
	for _, d := range n.Devs() {
		switch {
		case d.Flags()&napi.IFF_LOOPBACK != 0:
		case d.Kind() == "veth":
			napi.UnregisterVeth(d)
		case d.Kind() != "":
			n.UnregisterNetdev(d)
		default:
			if err := n.MoveDevice(d, b.Net, ""); err != nil {
				err = n.MoveDevice(d, b.Net, "dev%d")
				if err != nil {
					b.warn("%s: lost with its namespace: %v", d.Name(), err)
				}
			}
		}
	}
}
