package rtnetlink

import (
	"encoding/binary"
	"syscall"

	"barewire/napi"
	"barewire/sys/netlink"
)

// Attributes of a veth's IFLA_INFO_DATA.
const vethInfoPeer = 1

// createLink makes a link of a kind and sets it up as the request says (Linux:
// rtnl_newlink_create).
func (r *Route) createLink(q *request, a, li netlink.Attrs) error {
	if err := validate(q, a); err != nil {
		return err
	}
	kind := li.Str(iflaInfoKind)
	to, err := r.linkNet(q, a, r.dev)
	if err != nil {
		return err
	}
	at := napi.Place{Net: to, Name: a.Str(iflaIfname), Index: index32(q.Data[4:])}
	if !a.Has(iflaIfname) {
		at.Name = kind + "%d"
	}
	var dev *napi.NetDevice
	switch kind {
	case "veth":
		return r.createVeth(q, at, a, li)
	case "dummy":
		dev, err = napi.NewDummyAt(at)
	default:
		return q.fail(syscall.EOPNOTSUPP, "Unknown device type")
	}
	if err != nil {
		return errnoOf(err)
	}
	return r.setUp(q, dev, a)
}

// createVeth makes both ends; the other's properties are a message within the
// request (Linux: veth_newlink).
func (r *Route) createVeth(q *request, at napi.Place, a, li netlink.Attrs) error {
	other := napi.Place{Net: r.dev, Name: "veth%d"}
	var pa netlink.Attrs
	pq := *q
	if li.Has(iflaInfoData) {
		typ, val, _, ok := netlink.NextAttr(li[iflaInfoData])
		if ok && typ == vethInfoPeer {
			if len(val) < ifinfomsgLen {
				return syscall.EINVAL
			}
			var err error
			if pa, err = netlink.Parse(val[ifinfomsgLen:], &linkPolicy, false, &q.Ack); err != nil {
				return err
			}
			if err := validate(q, pa); err != nil {
				return err
			}
			if other.Net, err = r.linkNet(q, pa, r.dev); err != nil {
				return err
			}
			other.Index = max(0, index32(val[4:]))
			nr := *q.Request
			nr.Data = val
			pq.Request = &nr
			if s := pa.Str(iflaIfname); s != "" {
				other.Name = s
			}
		}
	}
	dev, peer, err := napi.NewVethPairAt(at, other)
	if err != nil {
		return errnoOf(err)
	}
	err = r.setUp(q, dev, a)
	if err == nil && pa != nil {
		err = r.setUp(&pq, peer, pa)
	}
	return err
}

// setUp gives a new link what the request says beside its name, and takes it
// away again when that cannot be.
func (r *Route) setUp(q *request, dev *napi.NetDevice, a netlink.Attrs) error {
	nr := *q.Request
	nr.Data = append([]byte(nil), q.Data[:ifinfomsgLen]...)
	binary.NativeEndian.PutUint32(nr.Data[4:], 0) // an index is no wish for another name
	err := r.change(&request{&nr, q.family}, dev, a)
	if err != nil {
		q.Ack = nr.Ack
		r.removeLink(dev)
	}
	return err
}

// removeLink takes away a link that createLink made; of a veth both ends go.
func (r *Route) removeLink(dev *napi.NetDevice) error {
	if napi.VethPeer(dev) != nil {
		napi.UnregisterVeth(dev)
		return nil
	}
	dev.Net().UnregisterNetdev(dev)
	return nil
}
