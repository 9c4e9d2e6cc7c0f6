package igmp

import "barewire/napi"

// addMulticast has the device receive a group's frames. A device whose list is
// full says so in the log: the group is joined all the same, as in Linux, and
// heard if the device lets it through.
func addMulticast(dev *napi.NetDevice, addr [6]byte) {
	if dev.Type != napi.ARPHRD_ETHER {
		return // there is no address for a group (Linux: arp_mc_map)
	}
	if err := dev.AddMulticast(addr); err != nil {
		dev.Net().Logf("igmp: %s: multicast list: %v", dev.Name(), err)
	}
}

func delMulticast(dev *napi.NetDevice, addr [6]byte) {
	dev.DelMulticast(addr) // ENOENT: it did not fit when it was added
}
