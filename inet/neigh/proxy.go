package neigh

import (
	"sync/atomic"
	"syscall"

	"barewire/napi"
	"barewire/skb/header"
)

// maxProxies bounds the proxy table; more are refused with ENOBUFS. Only the
// administrator adds to it.
const maxProxies = 16384

// proxyKey names a proxy entry; dev nil means every device.
type proxyKey struct {
	dev  *napi.NetDevice
	addr header.Addr
}

// proxy is an entry: for whom this host answers (Linux: struct pneigh_entry).
type proxy struct {
	flags uint32
	proto uint8
}

// proxyTable is an immutable map; a change replaces it (Linux: phash_buckets).
type proxyTable = atomic.Pointer[map[proxyKey]proxy]

// AddProxy has this host answer for addr on dev, or on every device when dev is
// nil (Linux: pneigh_create). An entry that exists, for the device or for all,
// gets the flags, and the protocol unless it is 0. ENOBUFS beyond 16384 entries.
func (t *Table) AddProxy(dev *napi.NetDevice, addr header.Addr, flags uint32, proto uint8) error {
	return t.changeProxies(func(m map[proxyKey]proxy) error {
		k := proxyKey{dev, addr}
		if _, ok := m[k]; !ok {
			all := proxyKey{nil, addr}
			if _, ok = m[all]; ok {
				k = all
			} else if len(m) >= maxProxies {
				return syscall.ENOBUFS
			}
		}
		if proto == 0 {
			proto = m[k].proto
		}
		m[k] = proxy{flags | NTFProxy, proto}
		return nil
	})
}

// DelProxy removes a proxy entry (Linux: pneigh_delete). ENOENT when it is not
// there.
func (t *Table) DelProxy(dev *napi.NetDevice, addr header.Addr) error {
	return t.changeProxies(func(m map[proxyKey]proxy) error {
		k := proxyKey{dev, addr}
		if _, ok := m[k]; !ok {
			return syscall.ENOENT
		}
		delete(m, k)
		return nil
	})
}

func (t *Table) flushProxies(dev *napi.NetDevice) {
	t.changeProxies(func(m map[proxyKey]proxy) error {
		for k := range m {
			if k.dev == dev {
				delete(m, k)
			}
		}
		return nil
	})
}

func (t *Table) changeProxies(f func(m map[proxyKey]proxy) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := *t.proxies.Load()
	m := make(map[proxyKey]proxy, len(old)+1)
	for k, v := range old {
		m[k] = v
	}
	if err := f(m); err != nil {
		return err
	}
	t.proxies.Store(&m)
	return nil
}

// Proxy reports whether there is a proxy entry for addr on dev (Linux:
// pneigh_lookup). It takes no lock.
func (t *Table) Proxy(dev *napi.NetDevice, addr header.Addr) bool {
	if len(*t.proxies.Load()) == 0 {
		return false
	}
	_, ok := t.FindProxy(dev, addr)
	return ok
}

// FindProxy returns the proxy entry for addr on dev, or on every device; ok is
// false if there is none.
func (t *Table) FindProxy(dev *napi.NetDevice, addr header.Addr) (e Entry, ok bool) {
	m := *t.proxies.Load()
	for _, k := range [...]proxyKey{{dev, addr}, {nil, addr}} {
		if p, ok := m[k]; ok {
			return k.entry(p), true
		}
	}
	return e, false
}

func (k proxyKey) entry(p proxy) Entry {
	return Entry{Dev: k.dev, Addr: k.addr, Flags: p.flags, Proto: p.proto, Type: syscall.RTN_UNICAST, State: NUDNone}
}

// Proxies returns all proxy entries, in no order.
func (t *Table) Proxies() []Entry {
	var out []Entry
	for k, f := range *t.proxies.Load() {
		out = append(out, k.entry(f))
	}
	return out
}
