package processruntime

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"net/netip"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// podNetwork is a pod's own network namespace: loopback, and eth0 with the
// pod's addresses, joined by a veth pair to the namespace of the nodes. As with
// any CNI plugin that routes, the node is the pod's gateway and its next hop.
type podNetwork struct {
	namespace *os.File // keeps the namespace while no process is in it
	link      string   // the node's end of the pair
}

// routerAddress is every node's link-local address on its end of each pair.
const routerAddress = "fe80::1"

// newPodNetwork makes the namespace and the routes to it.
func newPodNetwork(podID string, addresses []netip.Addr, node netip.Addr) (*podNetwork, error) {
	network := &podNetwork{link: fmt.Sprintf("pod%08x", crc32.ChecksumIEEE([]byte(podID)))}
	inside := []string{
		"link set lo up",
		fmt.Sprintf("link add eth0 type veth peer name %s netns %d", network.link, os.Getpid()),
	}
	outside := []string{
		"link set " + network.link + " up",
		"address add " + routerAddress + "/64 dev " + network.link + " nodad",
	}
	for _, address := range addresses {
		host := fmt.Sprintf("%s/%d", address, address.BitLen())
		inside = append(inside, "address add "+host+" dev eth0"+nodad(address))
		outside = append(outside, "route add "+host+" dev "+network.link)
	}
	inside = append(inside, "link set eth0 up",
		fmt.Sprintf("route add %s dev eth0", node), fmt.Sprintf("route add default via %s", node),
		"route add default via "+routerAddress+" dev eth0")
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		var err error
		if network.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return ip(inside)
	})
	if err == nil {
		err = ip(outside)
	}
	if err != nil {
		network.close()
		return nil, err
	}
	return network, nil
}

// close lets the namespace go, once no process is in it.
func (n *podNetwork) close() {
	_ = exec.Command("ip", "link", "delete", n.link).Run() // gone already where making it failed
	if n.namespace != nil {
		_ = n.namespace.Close()
	}
}

// enter moves the calling thread into the pod's network.
func (n *podNetwork) enter() error {
	return unix.Setns(int(n.namespace.Fd()), unix.CLONE_NEWNET)
}

// nodad: nobody else can have the address, so it may be used at once.
func nodad(address netip.Addr) string {
	if address.Is6() {
		return " nodad"
	}
	return ""
}

// ip runs ip(8) commands in the network namespace of the calling thread.
func ip(commands []string) error {
	command := exec.Command("ip", "-batch", "-")
	command.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, bytes.TrimSpace(output))
	}
	return nil
}
