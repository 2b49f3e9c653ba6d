// The Go side of the interoperability tests: an origin that serves HTTP/3 beside HTTP/2 and
// HTTP/1.1, and clients of a proxy by masque-go (CONNECT-UDP) and by quic-go and net/http2 (CONNECT).
//
// Each client prints one line: the status of the proxy's answer, and, when that is 200, the page's
// HTTP version, length and SHA-256.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/masque-go"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/yosida95/uritemplate/v3"
	"golang.org/x/net/http2"
)

type options struct {
	proxy, key, ca, page, listen, certificate, privateKey string
}

func trust(file string) *x509.CertPool {
	pem, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		log.Fatalf("no certificates in %s", file)
	}
	return pool
}

// --- the origin

// Byte i of any page is a function of i, so a digest tells whether all are there.
func sizedPage(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/size/"))
	if err != nil {
		http.Error(w, r.Proto, http.StatusNotFound)
		return
	}
	block := make([]byte, 65521)
	for i := range block {
		block[i] = byte(i * 131 >> 3)
	}
	w.Header().Set("Content-Length", strconv.Itoa(size))
	for size > 0 {
		n := min(size, len(block))
		if _, err := w.Write(block[:n]); err != nil {
			return
		}
		size -= n
	}
}

func serve(o options) error {
	handler := http.HandlerFunc(sizedPage)
	errors := make(chan error, 2)
	go func() { errors <- http3.ListenAndServeQUIC(o.listen, o.certificate, o.privateKey, handler) }()
	go func() {
		server := http.Server{Addr: o.listen, Handler: handler}
		errors <- server.ListenAndServeTLS(o.certificate, o.privateKey)
	}()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", o.listen); err == nil {
			c.Close()
			fmt.Println("ready")
			break
		}
	}
	return <-errors
}

// --- clients

func report(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer response.Body.Close()
	digest := sha256.New()
	length, err := io.Copy(digest, response.Body)
	fmt.Printf("200 %s %d %x\n", response.Proto, length, digest.Sum(nil))
	return err
}

func refused(status int) error {
	fmt.Println(status)
	return nil
}

// A page over HTTP/3 inside CONNECT-UDP over HTTP/3.
func throughMasque(ctx context.Context, o options) error {
	page, err := url.Parse(o.page)
	if err != nil {
		return err
	}
	masque.ProxyAuthorization = "Preshared " + o.key
	client := masque.Client{TLSClientConfig: &tls.Config{RootCAs: trust(o.ca), NextProtos: []string{http3.NextProtoH3}}}
	template := uritemplate.MustNew("https://" + o.proxy + "/.well-known/masque/udp/{target_host}/{target_port}/")
	conn, answer, err := client.DialAddr(ctx, template, page.Host)
	if answer != nil && answer.StatusCode != 200 {
		return refused(answer.StatusCode)
	}
	if err != nil {
		return err
	}
	inner := &http3.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trust(o.ca)},
		Dial: func(ctx context.Context, address string, t *tls.Config, c *quic.Config) (*quic.Conn, error) {
			c.DisablePathMTUDiscovery = true
			return quic.Dial(ctx, conn, conn.LocalAddr(), t, c)
		},
	}
	return report((&http.Client{Transport: inner}).Get(o.page))
}

// What reads and writes a CONNECT stream of either version, as TLS wants it.
type streamConn struct {
	io.Reader
	io.Writer
}

func (streamConn) Close() error                     { return nil }
func (streamConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (streamConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (streamConn) SetDeadline(time.Time) error      { return nil }
func (streamConn) SetReadDeadline(time.Time) error  { return nil }
func (streamConn) SetWriteDeadline(time.Time) error { return nil }

func pageOver(o options, stream net.Conn) error {
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trust(o.ca)},
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return stream, nil },
	}
	return report((&http.Client{Transport: transport}).Get(o.page))
}

func connectRequest(o options, body io.ReadCloser) *http.Request {
	page, err := url.Parse(o.page)
	if err != nil {
		log.Fatal(err)
	}
	return &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Scheme: "https", Host: o.proxy},
		Host:   page.Host,
		Header: http.Header{"Proxy-Authorization": {"Preshared " + o.key}},
		Body:   body,
	}
}

func throughConnect3(ctx context.Context, o options) error {
	conn, err := quic.DialAddr(ctx, o.proxy, &tls.Config{RootCAs: trust(o.ca), NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		return err
	}
	stream, err := (&http3.Transport{}).NewClientConn(conn).OpenRequestStream(ctx)
	if err != nil {
		return err
	}
	request := connectRequest(o, nil)
	request.URL = &url.URL{Host: request.Host}
	if err := stream.SendRequestHeader(request); err != nil {
		return err
	}
	answer, err := stream.ReadResponse()
	if err != nil {
		return err
	}
	if answer.StatusCode != 200 {
		return refused(answer.StatusCode)
	}
	return pageOver(o, streamConn{stream, stream})
}

func throughConnect2(ctx context.Context, o options) error {
	reader, writer := io.Pipe()
	transport := &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: trust(o.ca)}}
	answer, err := transport.RoundTrip(connectRequest(o, reader).WithContext(ctx))
	if err != nil {
		return err
	}
	if answer.StatusCode != 200 {
		return refused(answer.StatusCode)
	}
	return pageOver(o, streamConn{answer.Body, writer})
}

func main() {
	var o options
	flag.StringVar(&o.proxy, "proxy", "", "HOST:PORT of the proxy")
	flag.StringVar(&o.key, "key", "", "its pre-shared key")
	flag.StringVar(&o.ca, "ca", "", "certificates to trust")
	flag.StringVar(&o.page, "page", "", "the URL to fetch")
	flag.StringVar(&o.listen, "listen", "", "HOST:PORT of the origin")
	flag.StringVar(&o.certificate, "certificate", "", "of the origin")
	flag.StringVar(&o.privateKey, "private-key", "", "of the origin")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var err error
	switch flag.Arg(0) {
	case "origin":
		err = serve(o)
	case "masque":
		err = throughMasque(ctx, o)
	case "connect3":
		err = throughConnect3(ctx, o)
	case "connect2":
		err = throughConnect2(ctx, o)
	default:
		log.Fatalf("which? origin, masque, connect3 or connect2")
	}
	if err != nil {
		log.Fatal(err)
	}
}
