package ipset

// Packet is what sets can ask of a packet.
type Packet struct {
	Src, Dst         uint32
	Proto            uint8
	SrcPort, DstPort uint16 // of ICMP both type<<8 | code
	// HasPort is false for a fragment that is not the first and for a header
	// that is cut short.
	HasPort bool
	In, Out string
	MAC     [6]byte // source
	HasMAC  bool
	Mark    uint32
	Len     int
}

// Op is what a rule does with a set.
type Op struct {
	// Flags says for each component of an element whether it is the packet's
	// source (bit set) or destination; Dim is how many were given.
	Flags, Dim uint8
	// ReturnNomatch has only elements marked nomatch match.
	ReturnNomatch bool
	// NoUpdate leaves the counters of the element alone, NoSubUpdate those of
	// an element of a member of a list.
	NoUpdate, NoSubUpdate bool
	// Packets and Bytes must hold of the element's counters.
	Packets, Bytes Compare
	// For additions: Exist renews what is there, Timeout is in seconds.
	Exist      bool
	HasTimeout bool
	Timeout    uint32
}

// Compare is a condition on a counter.
type Compare struct {
	Op    uint8 // 0 none, else one of the Compare constants
	Value uint64
}

// Conditions on a counter, with Linux's IPSET_COUNTER_* numbers.
const (
	CompareEq = iota + 1
	CompareNe
	CompareLt
	CompareGt
)

func (c Compare) holds(n uint64) bool {
	switch c.Op {
	case CompareEq:
		return n == c.Value
	case CompareNe:
		return n != c.Value
	case CompareLt:
		return n < c.Value
	case CompareGt:
		return n > c.Value
	}
	return true
}

// Ref is a rule's hold on a set: it cannot be destroyed meanwhile.
type Ref struct {
	s *Sets
	*slot
}

// Get takes hold of a set; ok is false if there is none of that name.
func (s *Sets) Get(name string) (r *Ref, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sl := s.sets[name]
	if sl == nil {
		return nil, false
	}
	sl.refs++
	return &Ref{s, sl}, true
}

// Has reports whether there is a set of that name.
func (s *Sets) Has(name string) bool {
	_, err := s.find(name)
	return err == nil
}

// Put lets go.
func (r *Ref) Put() {
	r.s.mu.Lock()
	r.refs--
	r.s.mu.Unlock()
}

// Name returns the name the set has now.
func (r *Ref) Name() string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.name
}

// Dim returns how many components an element has.
func (r *Ref) Dim() int { return len(r.set.Load().typ.parts) }

// Test reports whether the packet's element is in the set (Linux: ip_set_test).
// It takes no lock.
func (r *Ref) Test(p *Packet, o *Op) bool {
	return r.set.Load().test(p, o, r.s.now(), o.NoUpdate)
}

func (set *Set) test(p *Packet, o *Op, now int64, noUpdate bool) bool {
	if set.typ.kind == list {
		for _, m := range *set.view.Load() {
			if m.expired(now) {
				continue
			}
			if sub := m.slot.set.Load(); sub != nil && sub.typ.kind != list && sub.test(p, o, now, noUpdate || o.NoSubUpdate) {
				return !set.counters || count(&m.entry, p, o, noUpdate)
			}
		}
		return false
	}
	var k Key
	if !set.key(p, o, &k) {
		return false
	}
	e := set.match(&k, now, func(e *entry) bool { return !set.counters || count(e, p, o, noUpdate) })
	return e != nil && e.nomatch.Load() == o.ReturnNomatch
}

// count asks and updates the counters of a matching element.
func count(e *entry, p *Packet, o *Op, noUpdate bool) bool {
	if !noUpdate {
		e.packets.Add(1)
		e.bytes.Add(uint64(p.Len))
	}
	return o.Packets.holds(e.packets.Load()) && o.Bytes.holds(e.bytes.Load())
}

// match finds the element that covers k and passes ok: with networks the longest
// prefix, which may say nomatch.
func (set *Set) match(k *Key, now int64, ok func(*entry) bool) *entry {
	if !set.typ.nets() {
		if e := set.t.lookup(k); e != nil && !(set.hasTimeout && e.expired(now)) && ok(e) {
			return e
		}
		return nil
	}
	q := *k
	for _, l := range *set.t.nets.Load() {
		q.CIDR, q.CIDR2 = uint8(l>>8), uint8(l)
		if set.typ.has(partNet) {
			q.IP = k.IP & mask(q.CIDR)
		}
		if set.typ.has(partNet2) {
			q.IP2 = k.IP2 & mask(q.CIDR2)
		}
		if e := set.t.lookup(&q); e != nil && !(set.hasTimeout && e.expired(now)) && ok(e) {
			return e
		}
	}
	return nil
}

// key makes the element of a packet.
func (set *Set) key(p *Packet, o *Op, k *Key) bool {
	parts := set.typ.parts
	if int(o.Dim) < len(parts) {
		return false
	}
	for i, part := range parts {
		src := o.Flags&(1<<i) != 0
		addr := p.Dst
		if src {
			addr = p.Src
		}
		switch part {
		case partIP, partNet:
			k.IP = addr
			if part == partIP {
				k.IP &= mask(set.netmask)
				if set.typ.kind == bitmap && (addr < set.first || addr > set.last) {
					return false
				}
			}
		case partIP2, partNet2:
			k.IP2 = addr
		case partPort, partOnlyPort:
			if !p.HasPort {
				return false
			}
			k.Port = p.DstPort
			if src {
				k.Port = p.SrcPort
			}
			if part == partPort {
				k.Proto = p.Proto
			} else if p.Proto != 6 && p.Proto != 17 || uint32(k.Port) < set.first || uint32(k.Port) > set.last {
				return false
			}
		case partIface:
			dev := p.Out
			if src {
				dev = p.In
			}
			if dev == "" {
				return false
			}
			copy(k.Iface[:15], dev)
		case partMark:
			k.IP2 = p.Mark
		case partMAC:
			if !src || !p.HasMAC {
				return false
			}
			k.MAC = p.MAC
		}
	}
	return true
}

// full fills what a packet's element needs to be added.
func (set *Set) full(p *Packet, k *Key) {
	if set.typ.has(partNet) {
		k.CIDR = 32
		if c := set.firstCidr(); c>>8 != 0 {
			k.CIDR = uint8(c >> 8)
		}
		k.IP &= mask(k.CIDR)
	}
	if set.typ.has(partNet2) {
		k.CIDR2 = 32
		if c := uint8(set.firstCidr()); c != 0 {
			k.CIDR2 = c
		}
		k.IP2 &= mask(k.CIDR2)
	}
}

// firstCidr is the longest pair of prefixes there is, which additions of
// packets use (Linux: INIT_CIDR).
func (set *Set) firstCidr() uint16 {
	if l := *set.t.nets.Load(); len(l) > 0 {
		return l[0]
	}
	return 0
}

// Add enters the packet's element (Linux: ip_set_add).
func (r *Ref) Add(p *Packet, o *Op) { r.change(p, o, true) }

// Del removes it (Linux: ip_set_del).
func (r *Ref) Del(p *Packet, o *Op) { r.change(p, o, false) }

func (r *Ref) change(p *Packet, o *Op, add bool) {
	set := r.set.Load()
	if set.typ.kind == list {
		for _, m := range *set.view.Load() {
			if sub := m.slot.set.Load(); sub.typ.kind != list && sub.changeOne(p, o, add) {
				return
			}
		}
		return
	}
	set.changeOne(p, o, add)
}

func (set *Set) changeOne(p *Packet, o *Op, add bool) bool {
	var k Key
	if !set.key(p, o, &k) {
		return false
	}
	set.full(p, &k)
	if add {
		return set.put(k, &extras{hasTimeout: o.HasTimeout, timeout: o.Timeout,
			hasPackets: true, packets: 1, hasBytes: true, bytes: uint64(p.Len)}, o.Exist) == nil
	}
	return set.take(k) == nil
}
