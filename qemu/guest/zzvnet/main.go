//go:build tamago

package main

import (
	"fmt"
	"os"
	"time"
	"unsafe"

	"barewire/board/microvm"
	"barewire/napi"
	"barewire/skb"
	"barewire/virtio"
	vnet "barewire/virtio/net"
)

func ident(mem []byte) (uint64, error) {
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))), nil
}

func main() {
	n, err := napi.New(napi.Config{Pages: skb.PageConfig{Map: ident}, Log: func(s string) { fmt.Println(s) }})
	if err != nil {
		fmt.Println("FAIL", err)
		os.Exit(1)
	}
	microvm.IRQExit(func() { n.SoftNet().DoSoftirq() })
	go n.SoftNet().Run(nil)
	for _, d := range microvm.Devices() {
		var t virtio.Transport
		if d.MMIO != nil {
			t, err = virtio.NewMMIO(virtio.MMIOConfig{Name: d.Name, Regs: virtio.NewMemRegs(d.MMIO.Regs, d.MMIO.Size), RequestIRQ: d.MMIO.RequestIRQ})
		} else {
			p := d.PCI
			t, err = virtio.NewPCI(virtio.PCIConfig{Name: d.Name, ReadConfig: p.ReadConfig, WriteConfig: p.WriteConfig,
				MapBAR: func(i int) (virtio.Regs, error) {
					a, n, err := p.MapBAR(i)
					if err != nil {
						return nil, err
					}
					return virtio.NewMemRegs(a, n), nil
				}, Vectors: p.Vectors, RequestVector: p.RequestVector})
		}
		if err != nil {
			fmt.Println(d.Name, err)
			continue
		}
		dev, err := vnet.Probe(t, n, vnet.Options{})
		if err != nil {
			fmt.Println("FAIL", err)
			continue
		}
		nd := dev.NetDevice()
		if err := nd.Open(); err != nil {
			fmt.Println("FAIL", err)
			continue
		}
		fmt.Printf("%s: %s addr %x mtu %d features %#x carrier %v stats %+v\n", d.Name, nd.Name(), nd.HardwareAddr(), nd.MTU(), dev.Features(), nd.CarrierOK(), dev.Stats())
		go func() {
			for {
				time.Sleep(2 * time.Second)
				fmt.Printf("STAT %+v %+v\n", dev.Stats(), nd.GetStats())
				s := microvm.IRQStats()
				fmt.Printf("IRQ %+v soft %+v\n", s, n.SoftNet().Stats())
			}
		}()
	}
	n.AddPack(0x88b5, nil, func(b *skb.Buff, dev *napi.NetDevice) {
		b.Push(14)
		if !b.Cow(0) {
			b.Free(skb.NoMem)
			return
		}
		p := b.Data()
		var a [6]byte
		copy(a[:], p)
		copy(p, p[6:12])
		copy(p[6:], a[:])
		b.Dev = dev
		n.DevQueueXmit(b)
	})
	fmt.Println("READY")
	select {}
}
