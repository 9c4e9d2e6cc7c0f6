package igmp

import "barewire/napi"

// filterer is the device's list of group addresses it receives.
type filterer interface {
	AddMulticast(addr [6]byte)
	DelMulticast(addr [6]byte)
}

func addMulticast(dev *napi.NetDevice, addr [6]byte) {
	if f, ok := any(dev).(filterer); ok {
		f.AddMulticast(addr)
	}
}

func delMulticast(dev *napi.NetDevice, addr [6]byte) {
	if f, ok := any(dev).(filterer); ok {
		f.DelMulticast(addr)
	}
}
