// Command function is what the test cluster's pods run where a test asks for moments: an HTTP
// server on :8080 that tells, in headers and in Unix nanoseconds, when its process started, when
// it listened, and when the first byte of the request came.
//
//	/?ms=50   answers after 50 ms
//	anything else but a kubelet's probe is counted: /stats {"served": N, "most": M}
//
// START_DELAY makes it slow to start. On SIGTERM it lets requests finish.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	started        = time.Now()
	listening      time.Time
	inFlight, most atomic.Int64
	served         atomic.Int64
)

type connectionKey struct{}

// firstByte notes when each request's first bytes came: the server reads again only once the
// answer before is sent.
type firstByte struct {
	net.Conn
	at atomic.Int64
}

func (f *firstByte) Read(buffer []byte) (int, error) {
	n, err := f.Conn.Read(buffer)
	f.at.Store(time.Now().UnixNano())
	return n, err
}

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &firstByte{Conn: connection}, nil
}

func answer(response http.ResponseWriter, request *http.Request) {
	if strings.HasPrefix(request.UserAgent(), "kube-probe/") || request.Header.Get("K-Kubelet-Probe") != "" {
		return
	}
	if request.URL.Path == "/stats" {
		fmt.Fprintf(response, `{"served": %d, "most": %d}`, served.Load(), most.Load())
		return
	}
	now := inFlight.Add(1)
	defer inFlight.Add(-1)
	for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
	}
	at := request.Context().Value(connectionKey{}).(*firstByte).at.Load()
	if pause, _ := strconv.Atoi(request.FormValue("ms")); pause > 0 {
		time.Sleep(time.Duration(pause) * time.Millisecond)
	}
	served.Add(1)
	for name, moment := range map[string]int64{
		"X-Started-At": started.UnixNano(), "X-Listening-At": listening.UnixNano(), "X-First-Byte-At": at,
	} {
		response.Header().Set(name, strconv.FormatInt(moment, 10))
	}
	fmt.Fprintln(response, os.Getenv("HOSTNAME"))
}

func main() {
	if delay, err := time.ParseDuration(os.Getenv("START_DELAY")); err == nil {
		time.Sleep(delay)
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	socket, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	listening = time.Now()
	server := &http.Server{
		Handler: http.HandlerFunc(answer), ReadHeaderTimeout: time.Minute,
		ConnContext: func(ctx context.Context, connection net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, connection)
		},
	}
	ending, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go func() { _ = server.Serve(listener{socket}) }()
	<-ending.Done()
	_ = server.Shutdown(context.Background())
}
