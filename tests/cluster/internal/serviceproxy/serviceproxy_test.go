package serviceproxy

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
)

func sliceOf(name string, family discoveryv1.AddressType, ready bool, address string) *discoveryv1.EndpointSlice {
	number, portName := int32(8080), "http"
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "here", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: family,
		Ports:       []discoveryv1.EndpointPort{{Name: &portName, Port: &number}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}},
	}
}

func TestAnAddressLeadsToReadyEndpointsOfItsOwnFamily(t *testing.T) {
	store := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, slice := range []*discoveryv1.EndpointSlice{
		sliceOf("four", discoveryv1.AddressTypeIPv4, true, "198.18.1.1"),
		sliceOf("later", discoveryv1.AddressTypeIPv4, false, "198.18.1.2"),
		sliceOf("six", discoveryv1.AddressTypeIPv6, true, "fd00::1"),
	} {
		if err := store.Add(slice); err != nil {
			t.Fatal(err)
		}
	}
	p := &proxy{endpoints: discoverylisters.NewEndpointSliceLister(store)}
	ports := portsOf(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "here", Name: "web"},
		Spec: corev1.ServiceSpec{
			ClusterIP: "198.19.0.9", ClusterIPs: []string{"198.19.0.9", "fd00:198:19::9"},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	})
	want := [][]string{{"198.18.1.1:8080"}, {"[fd00::1]:8080"}}
	if len(ports) != len(want) {
		t.Fatalf("%d ports, want %d", len(ports), len(want))
	}
	for i, port := range ports {
		if got, err := p.readyAddresses(port); err != nil || !slices.Equal(got, want[i]) {
			t.Errorf("%s leads to %q (%v), want %q", port.address, got, err, want[i])
		}
	}
}
