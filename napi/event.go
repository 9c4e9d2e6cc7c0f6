package napi

import "slices"

// Event is a change of a device (Linux: enum netdev_cmd).
type Event uint8

// Device events, with Linux's NETDEV_* meanings.
const (
	EventRegister    Event = iota + 1 // known by name and ifindex
	EventUnregister                   // about to be forgotten; it is down
	EventUp                           // opened
	EventGoingDown                    // about to be closed, still works
	EventDown                         // closed
	EventChange                       // carrier or flags changed
	EventChangeMTU                    // MTU changed
	EventChangeAddr                   // hardware address changed
	EventChangeName                   // renamed; the new name is in force
	EventTxQueueLen                   // length of the transmit queues changed
	EventNotifyPeers                  // tell the neighbours where we are, by gratuitous ARP
)

// String returns Linux's name without its prefix.
func (e Event) String() string {
	switch e {
	case EventRegister:
		return "REGISTER"
	case EventUnregister:
		return "UNREGISTER"
	case EventUp:
		return "UP"
	case EventGoingDown:
		return "GOING_DOWN"
	case EventDown:
		return "DOWN"
	case EventChange:
		return "CHANGE"
	case EventChangeMTU:
		return "CHANGEMTU"
	case EventChangeAddr:
		return "CHANGEADDR"
	case EventChangeName:
		return "CHANGENAME"
	case EventTxQueueLen:
		return "CHANGE_TX_QUEUE_LEN"
	case EventNotifyPeers:
		return "NOTIFY_PEERS"
	}
	return "UNKNOWN"
}

type notifier struct{ fn func(Event, *NetDevice) }

// RegisterNotifier has fn called for every device event from now on, and at
// once with Register, and Up where it applies, for the devices there are
// (Linux: register_netdevice_notifier). fn runs in process context under the
// configuration lock, as Linux holds RTNL: events come in order, and who
// caused one returns after it was delivered. Hence fn must not register, open,
// close or configure devices, nor wait for somebody who does. The returned
// function takes fn off the chain; it must not be called from fn.
func (n *Net) RegisterNotifier(fn func(ev Event, dev *NetDevice)) (remove func()) {
	nt := &notifier{fn}
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	n.notifiers = append(n.notifiers, nt)
	for _, d := range n.Devs() {
		fn(EventRegister, d)
		if d.IsUp() {
			fn(EventUp, d)
		}
	}
	return func() {
		n.rtnl.Lock()
		defer n.rtnl.Unlock()
		n.notifiers = slices.DeleteFunc(n.notifiers, func(o *notifier) bool { return o == nt })
	}
}

// notify calls the chain (Linux: call_netdevice_notifiers). The caller holds
// rtnl.
func (n *Net) notify(ev Event, dev *NetDevice) {
	for _, nt := range n.notifiers {
		nt.fn(ev, dev)
	}
}
