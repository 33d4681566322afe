// Package serviceproxy makes ClusterIPs work where kube-proxy's netfilter rules
// cannot be had: it listens on every TCP port of every ClusterIP and relays
// each connection to one of the Service's ready endpoints of that address's family
// in turn.
//
// It differs from kube-proxy in that a Service with no ready endpoint accepts,
// then resets, where kube-proxy refuses.
package serviceproxy

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const dialTimeout = 5 * time.Second

// port is one TCP port of one Service.
type port struct {
	namespace, service, name string
	address                  string // ClusterIP:port
	family                   discoveryv1.AddressType
}

type proxy struct {
	services  corelisters.ServiceLister
	endpoints discoverylisters.EndpointSliceLister
	turn      atomic.Uint64
	listeners map[port]net.Listener // of the one goroutine in Run
}

// Run serves every Service of the cluster until the context ends.
func Run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	p := &proxy{
		services:  factory.Core().V1().Services().Lister(),
		endpoints: factory.Discovery().V1().EndpointSlices().Lister(),
		listeners: map[port]net.Listener{},
	}
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // a look at all Services is due anyway
		}
	}
	if _, err := factory.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { notify() },
		UpdateFunc: func(any, any) { notify() },
		DeleteFunc: func(any) { notify() },
	}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-changed:
			if err := p.listen(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// listen opens and closes listeners until they are those the Services want.
func (p *proxy) listen() error {
	services, err := p.services.List(labels.Everything())
	if err != nil {
		return err
	}
	wanted := map[port]bool{}
	for _, service := range services {
		for _, port := range portsOf(service) {
			wanted[port] = true
		}
	}
	for port, listener := range p.listeners {
		if !wanted[port] {
			_ = listener.Close()
			delete(p.listeners, port)
		}
	}
	for port := range wanted {
		if p.listeners[port] != nil {
			continue
		}
		listener, err := net.Listen("tcp", port.address)
		if err != nil {
			log.Printf("service %s/%s: %v", port.namespace, port.service, err)
			continue
		}
		p.listeners[port] = listener
		go p.accept(listener, port)
	}
	return nil
}

func (p *proxy) accept(listener net.Listener, port port) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return // closed
		}
		go p.relay(connection.(*net.TCPConn), port)
	}
}

func (p *proxy) relay(client *net.TCPConn, port port) {
	defer client.Close()
	backend, err := p.dial(port)
	if err != nil {
		log.Printf("service %s/%s: connection reset: %v", port.namespace, port.service, err)
		_ = client.SetLinger(0) // so that Close resets
		return
	}
	defer backend.Close()
	var both sync.WaitGroup
	copyHalf := func(to, from *net.TCPConn) {
		_, _ = io.Copy(to, from)
		_ = to.CloseWrite()
	}
	both.Go(func() { copyHalf(backend, client) })
	both.Go(func() { copyHalf(client, backend) })
	both.Wait()
}

func (p *proxy) dial(port port) (*net.TCPConn, error) {
	addresses, err := p.readyAddresses(port)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("service %s/%s has no ready endpoint", port.namespace, port.service)
	}
	address := addresses[p.turn.Add(1)%uint64(len(addresses))]
	connection, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return nil, err
	}
	return connection.(*net.TCPConn), nil
}

func (p *proxy) readyAddresses(port port) ([]string, error) {
	slices, err := p.endpoints.EndpointSlices(port.namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: port.service}))
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, slice := range slices {
		if slice.AddressType != port.family {
			continue
		}
		for _, slicePort := range slice.Ports {
			if slicePort.Port == nil || slicePort.Name == nil || *slicePort.Name != port.name {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
					addresses = append(addresses, net.JoinHostPort(endpoint.Addresses[0], strconv.Itoa(int(*slicePort.Port))))
				}
			}
		}
	}
	return addresses, nil
}

// portsOf lists a Service's TCP ports. The Service "kubernetes" has none here:
// the apiserver itself listens on its ClusterIP.
func portsOf(service *corev1.Service) []port {
	if service.Spec.ClusterIP == "" || service.Spec.ClusterIP == corev1.ClusterIPNone ||
		service.Namespace == corev1.NamespaceDefault && service.Name == "kubernetes" {
		return nil
	}
	var ports []port
	for _, servicePort := range service.Spec.Ports {
		if servicePort.Protocol != corev1.ProtocolTCP {
			continue
		}
		for _, address := range service.Spec.ClusterIPs {
			ports = append(ports, port{
				namespace: service.Namespace, service: service.Name, name: servicePort.Name,
				address: net.JoinHostPort(address, strconv.Itoa(int(servicePort.Port))),
				family:  familyOf(address),
			})
		}
	}
	return ports
}

func familyOf(address string) discoveryv1.AddressType {
	if strings.Contains(address, ":") {
		return discoveryv1.AddressTypeIPv6
	}
	return discoveryv1.AddressTypeIPv4
}
