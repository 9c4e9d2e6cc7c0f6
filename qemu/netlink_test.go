package qemu

import (
	"testing"
	"time"
)

// What programs show and change by netlink works on the image.
func TestGuest_Netlink(t *testing.T) {
	pass(t, Config{NICs: []NIC{{Backend: User{}}}, Append: "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off"}, "netlink", "", time.Minute)
}
