// Command cluster runs a Kubernetes cluster for tests out of local processes
// and causes faults in it. Run it, and all that talks to the cluster, under
// netns.sh.
//
//	cluster up --directory=D --kube=BINARY --images=FILE   run until SIGTERM or end of input
//	cluster component NAME start|stop|kill|pause|resume|restart|crash
//	cluster pod NAMESPACE/NAME KILL|TERM|STOP|CONT
//	cluster status | cluster processes                     as JSON
//
// The commands after "up" find the cluster by --directory, or else by the
// environment's CLUSTER_DIRECTORY. "cluster runtime" and "cluster service-proxy"
// are for "up" to start.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"rouse/tests/cluster/internal/controlplane"
	"rouse/tests/cluster/internal/processruntime"
	"rouse/tests/cluster/internal/serviceproxy"
)

var commands = map[string]func(ctx context.Context, arguments []string) error{
	"up":            up,
	"runtime":       runRuntime,
	"service-proxy": runServiceProxy,
	"component":     component,
	"pod":           pod,
	"status":        func(ctx context.Context, arguments []string) error { return show(ctx, "/components", arguments) },
	"processes":     func(ctx context.Context, arguments []string) error { return show(ctx, "/processes", arguments) },
}

var errUsage = errors.New("see the comment at the top of cmd/cluster/main.go for usage")

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	err := errUsage
	if len(os.Args) > 1 {
		if command, ok := commands[os.Args[1]]; ok {
			err = command(ctx, os.Args[2:])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// up runs a cluster until SIGTERM, SIGINT or the end of standard input.
func up(ctx context.Context, arguments []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	config := controlplane.Config{SelfBinary: self}
	flags := flag.NewFlagSet("up", flag.ExitOnError)
	flags.StringVar(&config.Directory, "directory", os.Getenv("CLUSTER_DIRECTORY"), "state, logs, sockets and kubeconfig; absent or empty")
	flags.StringVar(&config.KubeBinary, "kube", filepath.Join(filepath.Dir(self), "kube"), "the binary built from cmd/kube")
	flags.StringVar(&config.ImageCatalog, "images", "images.yaml", "image name to command")
	flags.IntVar(&config.Nodes, "nodes", 1, "how many nodes")
	timeout := flags.Duration("timeout", 2*time.Minute, "how long the start may take")
	_ = flags.Parse(arguments)

	began := time.Now()
	cluster, err := controlplane.New(config)
	if err != nil {
		return err
	}
	defer cluster.Stop()
	starting, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	if err := cluster.Start(starting); err != nil {
		return err
	}
	if err := cluster.ServeControl(ctx); err != nil {
		return err
	}
	fmt.Printf("ready in %.1fs\nKUBECONFIG=%s\n", time.Since(began).Seconds(), cluster.Kubeconfig())

	inputEnded := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(inputEnded)
	}()
	select {
	case <-ctx.Done():
	case <-inputEnded:
	}
	return nil
}

// runRuntime is one node's container runtime.
func runRuntime(ctx context.Context, arguments []string) error {
	var config processruntime.Config
	flags := flag.NewFlagSet("runtime", flag.ExitOnError)
	flags.StringVar(&config.Socket, "socket", "", "unix socket for CRI")
	flags.StringVar(&config.FaultSocket, "fault-socket", "", "unix socket for the fault controls")
	flags.StringVar(&config.ImageCatalog, "images", "", "image name to command")
	podAddresses := flags.String("pod-addresses", "", "prefix of the pods' addresses")
	nodeAddress := flags.String("node-address", "", "address of pods on the host network")
	_ = flags.Parse(arguments)
	var prefixErr, addressErr error
	config.PodAddresses, prefixErr = netip.ParsePrefix(*podAddresses)
	config.NodeAddress, addressErr = netip.ParseAddr(*nodeAddress)
	if err := errors.Join(prefixErr, addressErr); err != nil {
		return err
	}
	return processruntime.New(config).Serve(ctx)
}

func runServiceProxy(ctx context.Context, arguments []string) error {
	if len(arguments) != 1 {
		return errUsage
	}
	return serviceproxy.Run(ctx, arguments[0])
}

// parseClusterFlags parses --directory and returns it and the other arguments,
// of which there must be as many as wanted.
func parseClusterFlags(name string, arguments []string, wanted int) (directory string, rest []string, err error) {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	flags.StringVar(&directory, "directory", os.Getenv("CLUSTER_DIRECTORY"), "of the running cluster")
	_ = flags.Parse(arguments)
	if flags.NArg() != wanted {
		return "", nil, errUsage
	}
	return directory, flags.Args(), nil
}

func component(ctx context.Context, arguments []string) error {
	directory, rest, err := parseClusterFlags("component", arguments, 2)
	if err != nil {
		return err
	}
	form := url.Values{"name": {rest[0]}, "action": {rest[1]}}
	_, err = controlplane.Call(ctx, controlplane.ControlSocket(directory), http.MethodPost, "/component", form)
	return err
}

func pod(ctx context.Context, arguments []string) error {
	directory, rest, err := parseClusterFlags("pod", arguments, 2)
	if err != nil {
		return err
	}
	form := url.Values{"pod": {rest[0]}, "signal": {rest[1]}}
	_, err = controlplane.Call(ctx, controlplane.ControlSocket(directory), http.MethodPost, "/pod", form)
	return err
}

func show(ctx context.Context, path string, arguments []string) error {
	directory, _, err := parseClusterFlags("show", arguments, 0)
	if err != nil {
		return err
	}
	body, err := controlplane.Call(ctx, controlplane.ControlSocket(directory), http.MethodGet, path, nil)
	fmt.Print(string(body))
	return err
}
