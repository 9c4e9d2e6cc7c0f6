package napi

import (
	"fmt"
	"syscall"
)

// ChangeName gives a registered device another name (Linux: dev_change_name);
// one that ends in %d gets the lowest free number. ENODEV when it is not
// registered here, EINVAL for a bad name, EEXIST for a taken one. Process
// context.
func (n *Net) ChangeName(dev *NetDevice, name string) error {
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	if !dev.here(n) {
		return fmt.Errorf("napi: %s: %w", dev.Name(), syscall.ENODEV)
	}
	if name == dev.Name() {
		return nil
	}
	name, err := n.freeName(name)
	if err != nil {
		return err
	}
	dev.name.Store(&name)
	dev.nameAssign.Store(nameRenamed)
	n.devs.Store(newDevTable(n.devs.Load().list))
	n.notify(EventChangeName, dev)
	return nil
}

// MoveDevice takes dev out of this namespace and into another (Linux:
// dev_change_net_namespace). Here it is closed and unregistered, with all
// notifications; there it is registered, down, under newName, or its own name
// when that is empty, and keeps its ifindex if that is free. What it receives
// afterwards is the other's: its NAPI contexts run in the other's softirq from
// the next Open on. ENODEV when it is not registered here, EINVAL when it must
// stay (loopback) or the name is bad, EEXIST when the name is taken there.
// Process context.
func (n *Net) MoveDevice(dev *NetDevice, to *Net, newName string) error {
	if newName == "" {
		newName = dev.Name()
	}
	if n == to {
		return n.ChangeName(dev, newName)
	}
	if dev.Flags()&IFF_LOOPBACK != 0 {
		return fmt.Errorf("napi: %s belongs to its namespace: %w", dev.Name(), syscall.EINVAL)
	}
	// Before anything is closed; again when it is entered.
	if _, err := to.freeName(newName); err != nil {
		return err
	}
	index := dev.Ifindex()
	n.rtnl.Lock()
	if !dev.here(n) {
		n.rtnl.Unlock()
		return fmt.Errorf("napi: %s: %w", dev.Name(), syscall.ENODEV)
	}
	n.delist(dev)
	n.rtnl.Unlock()
	// The two locks are never held together, so that two moves in opposite
	// directions cannot wait for each other.
	err := to.admit(dev, newName, index)
	if err != nil {
		// The name was taken meanwhile: back, under a name that is free.
		if n.admit(dev, dev.Name(), index) != nil {
			n.admit(dev, "dev%d", index)
		}
	}
	return err
}

// admit registers a device that was registered elsewhere before.
func (n *Net) admit(dev *NetDevice, name string, index int32) error {
	n.rtnl.Lock()
	defer n.rtnl.Unlock()
	name, err := n.freeName(name)
	if err != nil {
		return err
	}
	dev.name.Store(&name)
	n.enlist(dev, index)
	n.notify(EventRegister, dev)
	return nil
}
