// Package controlplane runs a Kubernetes cluster out of one machine's
// processes: etcd, the control plane, and per node a kubelet with a process
// runtime (package processruntime).
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"rouse/tests/cluster/internal/pki"
)

// Config says what cluster to run.
type Config struct {
	Directory    string // state, logs, sockets and the kubeconfig; made anew
	KubeBinary   string // the binary built from cmd/kube
	SelfBinary   string // the binary built from cmd/cluster
	ImageCatalog string // see package processruntime
	Nodes        int    // 1 to MaxNodes
}

// Cluster is the set of processes, in the order they start.
type Cluster struct {
	config     Config
	components []*Component
}

// New writes the cluster's keys and certificates and prepares its components.
func New(config Config) (*Cluster, error) {
	if config.Nodes < 1 || config.Nodes > MaxNodes {
		return nil, fmt.Errorf("%d nodes: there can be 1 to %d", config.Nodes, MaxNodes)
	}
	if err := absolute(&config.Directory, &config.KubeBinary, &config.SelfBinary, &config.ImageCatalog); err != nil {
		return nil, err
	}
	if err := checkNamespace(config.Nodes); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(config.Directory, 0o755); err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(config.Directory); err != nil || len(entries) > 0 {
		return nil, errors.Join(err, fmt.Errorf("%s is not empty", config.Directory))
	}
	c := &Cluster{config: config}
	if err := os.WriteFile(c.path(auditPolicyName), []byte(auditPolicy), 0o644); err != nil {
		return nil, err
	}
	if err := c.writeCredentials(); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	c.components = []*Component{c.newEtcd(), c.newAPIServer(), c.newControllerManager(), c.newScheduler(), c.newServiceProxy()}
	for number := 1; number <= config.Nodes; number++ {
		c.components = append(c.components, c.newRuntime(number), c.newKubelet(number))
	}
	return c, nil
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// Start starts every component and waits until pods can run.
func (c *Cluster) Start(ctx context.Context) error {
	api, err := newAPI(c)
	if err != nil {
		return err
	}
	if err := c.start("etcd"); err != nil {
		return err
	}
	if err := waitFor(ctx, "etcd", listening(etcdAddress)); err != nil {
		return err
	}
	if err := c.start("kube-apiserver"); err != nil {
		return err
	}
	if err := waitFor(ctx, "kube-apiserver", api.ready); err != nil {
		return err
	}
	for _, component := range c.components[2:] {
		if err := component.Start(); err != nil {
			return err
		}
	}
	for number := 1; number <= c.config.Nodes; number++ {
		if err := waitFor(ctx, nodeName(number), api.nodeReady(nodeName(number))); err != nil {
			return err
		}
	}
	return waitFor(ctx, "the default service account", api.hasDefaultServiceAccount)
}

// Stop ends every component, those started last first, and the pods with
// them. It leaves the directory, without the kubelets' volumes mounted in it.
func (c *Cluster) Stop() {
	for _, component := range slices.Backward(c.components) {
		_ = component.Stop()
	}
	unmountBelow(c.config.Directory)
}

func (c *Cluster) component(name string) (*Component, bool) {
	index := slices.IndexFunc(c.components, func(component *Component) bool { return component.Name == name })
	if index < 0 {
		return nil, false
	}
	return c.components[index], true
}

func (c *Cluster) start(name string) error {
	component, ok := c.component(name)
	if !ok {
		return fmt.Errorf("no component %s", name)
	}
	return component.Start()
}

// writeCredentials makes every certificate, key and kubeconfig of the cluster.
func (c *Cluster) writeCredentials() error {
	authority, err := pki.NewAuthority(c.config.Directory, "ca")
	if err != nil {
		return err
	}
	frontProxy, err := pki.NewAuthority(c.config.Directory, "front-proxy-ca")
	if err != nil {
		return err
	}
	const masters = "system:masters"
	var failures []error
	issue := func(authority *pki.Authority, name string, identity pki.Identity) {
		_, _, err := authority.Issue(name, identity)
		failures = append(failures, err)
	}
	issue(authority, "apiserver", pki.Identity{
		User:      "kube-apiserver",
		Hosts:     []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"},
		Addresses: []net.IP{net.ParseIP(apiServerAddress), net.IPv4(127, 0, 0, 1)},
	})
	issue(authority, "kubelet-client", pki.Identity{User: "kube-apiserver-kubelet-client", Groups: []string{masters}})
	issue(frontProxy, "front-proxy", pki.Identity{User: "front-proxy"})
	failures = append(failures, pki.WriteSigningKey(c.path("service-accounts.key")))

	kubeconfigs := map[string]pki.Identity{
		"kubeconfig":                         {User: "admin", Groups: []string{masters}},
		"kube-controller-manager.kubeconfig": {User: "system:kube-controller-manager"},
		"kube-scheduler.kubeconfig":          {User: "system:kube-scheduler"},
		"service-proxy.kubeconfig":           {User: "system:kube-proxy"},
	}
	for number := 1; number <= c.config.Nodes; number++ {
		name := nodeName(number)
		kubeconfigs[name+".kubeconfig"] = pki.Identity{User: "system:node:" + name, Groups: []string{"system:nodes"}}
	}
	for name, identity := range kubeconfigs {
		failures = append(failures, authority.WriteKubeconfig(c.path(name), apiServerURL, identity))
	}
	return errors.Join(failures...)
}

// checkNamespace refuses to run where the cluster's addresses are not local,
// which is anywhere but inside netns.sh.
func checkNamespace(nodes int) error {
	for _, address := range []string{apiServerAddress, nodeAddress(nodes)} {
		listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
		if err != nil {
			return fmt.Errorf("%s is not an address of this network namespace; run under netns.sh: %w", address, err)
		}
		_ = listener.Close()
	}
	return nil
}

// waitFor calls check every few milliseconds until it returns true.
func waitFor(ctx context.Context, what string, check func(context.Context) bool) error {
	for !check(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", what, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// unmountBelow undoes the mounts (Secret volumes, on tmpfs) below a directory.
func unmountBelow(directory string) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	for _, line := range slices.Backward(strings.Split(string(mounts), "\n")) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[1], directory+"/") {
			_ = syscall.Unmount(fields[1], syscall.MNT_DETACH)
		}
	}
}

func absolute(paths ...*string) error {
	for _, path := range paths {
		resolved, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = resolved
	}
	return nil
}
