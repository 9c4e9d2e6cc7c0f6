package rtnetlink

import (
	"syscall"

	"barewire/napi"
	"barewire/sys/netlink"
)

// putPropList appends the alternative names (Linux: rtnl_fill_prop_list).
func putPropList(b *netlink.Builder, dev *napi.NetDevice) {
	names := dev.AltNames()
	if len(names) == 0 {
		return
	}
	n := b.Nest(iflaPropList, true)
	for _, s := range names {
		b.AttrString(iflaAltIfname, s)
	}
	b.EndNest(n)
}

// linkProp adds alternative names to a link and takes them away (Linux:
// rtnl_linkprop). What was done before an error stays done.
func (r *Route) linkProp(q *request) error {
	dev, a, err := r.link(q, false)
	if err != nil || !a.Has(iflaPropList) {
		return err
	}
	do := r.dev.AddAltName
	if q.Type == rtmDelLinkProp {
		do = r.dev.DelAltName
	}
	for l := a[iflaPropList]; ; {
		typ, val, rest, ok := netlink.NextAttr(l)
		switch {
		case !ok:
			return nil
		case typ == iflaAltIfname:
			one := netlink.Policy{Items: linkPolicy.Items[:iflaAltIfname+1]}
			v, err := netlink.Parse(l[:netlink.AttrLen+len(val)], &one, false, &q.Ack)
			if err != nil {
				return err
			}
			if err := errnoOf(do(dev, v.Str(iflaAltIfname))); err != nil {
				return err
			}
		default:
			return syscall.EINVAL
		}
		l = rest
	}
}
