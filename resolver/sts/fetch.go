package sts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	prefix    = "mta-sts." // of a domain makes its policy host (RFC 8461 section 3.3)
	maxHeader = 32 << 10   // octets of status line and headers, interim responses included
	interim   = 5          // 1xx responses that are skipped
	// frames bounds what may come around a body of MaxSize octets when it comes in chunks.
	frames = 64 << 10
)

// A fetcher asks policy hosts. It holds no state but its configuration.
//
// It speaks HTTP/1.1 itself, on a connection of its own, rather than through http.Client: there are no redirects, cookies,
// proxies, reused connections, retries or compressed bodies to be turned off, one deadline holds for all of it, and no
// goroutine is left.
type fetcher struct {
	c Config
}

// get fetches the policy of a domain. The context's deadline is for all of it.
func (f fetcher) get(ctx context.Context, domain string, lookup Lookup) ([]byte, *Error) {
	host := prefix + domain
	if lookup == nil {
		return nil, failed(domain, FetchError, "nobody looks up addresses")
	}
	addrs, err := lookup(ctx, host)
	if err != nil {
		return nil, failed(domain, FetchError, "no address of %s: %v", host, err)
	}
	if len(addrs) == 0 {
		return nil, failed(domain, FetchError, "%s has no address", host)
	}
	conn, failure := f.connect(ctx, domain, addrs)
	if failure != nil {
		return nil, failure
	}
	defer conn.Close()
	body, err := f.exchange(ctx, conn, host)
	if err != nil {
		return nil, failed(domain, FetchError, "%v", told(ctx, err))
	}
	return body, nil
}

// exchange sends the request and reads the response, both within the context's deadline, octet by octet or not.
func (f fetcher) exchange(ctx context.Context, conn *connection, host string) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) // Close of the store
	defer stop()
	req := f.request(host)
	if err := req.Write(conn); err != nil {
		return nil, err
	}
	from := &io.LimitedReader{R: conn, N: maxHeader}
	resp, err := readResponse(bufio.NewReader(from), req)
	if from.N <= 0 {
		return nil, fmt.Errorf("headers of more than %d octets", maxHeader)
	}
	if err != nil {
		return nil, err
	}
	if err := usable(resp); err != nil {
		return nil, err
	}
	from.N = f.c.MaxSize + frames
	return f.body(conn, resp)
}

func (f fetcher) request(host string) *http.Request {
	if f.c.Port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(int(f.c.Port)))
	}
	return &http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: "https", Host: host, Path: "/.well-known/mta-sts.txt"},
		Host:   host,
		Close:  true,
		// RFC 9111 section 5.2.1.4. RFC 8461 section 3.3: "HTTP caching (as specified in [RFC7234]) MUST NOT be used."
		Header: http.Header{"User-Agent": {"smtpfeed"}, "Accept": {"text/plain"}, "Cache-Control": {"no-cache"}},
	}
}

// readResponse reads up to the end of the final response's headers. RFC 9110 section 15.2: "A client MUST be able to parse one
// or more 1xx responses received prior to a final response".
func readResponse(r *bufio.Reader, req *http.Request) (*http.Response, error) {
	for range interim {
		resp, err := http.ReadResponse(r, req)
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
	}
	return nil, errors.New("too many interim responses")
}

// usable looks at status and headers.
func usable(resp *http.Response) error {
	if resp.StatusCode/100 == 3 {
		return fmt.Errorf("HTTP status %d: redirects are not followed", resp.StatusCode) // RFC 8461 section 3.3: MUST NOT
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	// RFC 8461 section 3.2: "senders SHOULD validate that the media type is "text/plain" to guard against cases where web
	// servers allow untrusted users to host non-text content [...] All parameters other than charset=utf-8 or charset=us-ascii
	// are ignored."
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.Trim(kind, " \t"), "text/plain") {
		return fmt.Errorf("the content type is %.80q, not text/plain", resp.Header.Get("Content-Type"))
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return fmt.Errorf("the content is coded as %.80q", coding)
	}
	return nil
}

// body reads the policy. One octet more than MaxSize is too much, whatever the headers promised.
func (f fetcher) body(conn *connection, resp *http.Response) ([]byte, error) {
	tooLarge := fmt.Errorf("more than %d octets", f.c.MaxSize)
	if resp.ContentLength > f.c.MaxSize {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, f.c.MaxSize+1))
	if int64(len(body)) > f.c.MaxSize {
		return nil, tooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	// A body whose end is the connection's could be cut short by anybody on the way: only TLS can tell that it is complete.
	if resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && conn.ended() {
		return nil, errors.New("the policy was cut off")
	}
	return body, nil
}

// told makes of a deadline, however it shows, the words that help.
func told(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return errClosed
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	}
	return err
}
