// A client of the SPIFFE Workload API that is made of go-spiffe's public API alone.
//
//	client SOCKET fetch
//	client SOCKET jwt AUDIENCE
//	client SOCKET validate-local [AUDIENCE TOKEN]...
//	client SOCKET validate-agent [AUDIENCE TOKEN]...
//	client SOCKET watch
//	client SOCKET serve PORT [SPIFFE_ID]...
//	client SOCKET dial [PORT SPIFFE_ID]...
//
// Every line of standard output is a JSON object; the clients in the other languages print the
// same ones.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// patience bounds everything that should take a moment.
const patience = 30 * time.Second

type object = map[string]any

var output sync.Mutex

func say(line object) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		os.Exit(1)
	}
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: client SOCKET VERB [ARGUMENT]...")
		os.Exit(2)
	}
	address := workloadapi.WithAddr("unix://" + os.Args[1])
	verb, arguments := os.Args[2], os.Args[3:]
	if err := run(address, verb, arguments); err != nil {
		say(object{"error": err.Error()})
	}
}

func run(address workloadapi.ClientOption, verb string, arguments []string) error {
	forever := context.Background()
	moment, cancel := context.WithTimeout(forever, patience)
	defer cancel()
	switch verb {
	case "watch":
		return watch(forever, address)
	case "serve":
		return serve(forever, address, arguments[0], arguments[1:])
	case "dial":
		return dial(moment, address, arguments)
	case "validate-local":
		return validateLocal(moment, address, arguments)
	}
	client, err := workloadapi.New(moment, address)
	if err != nil {
		return err
	}
	defer client.Close()
	switch verb {
	case "fetch":
		return fetch(moment, client)
	case "jwt":
		return fetchJWT(moment, client, arguments[0])
	case "validate-agent":
		return validate(arguments, func(audience, token string) (*jwtsvid.SVID, error) {
			return client.ValidateJWTSVID(moment, token, audience)
		})
	}
	return fmt.Errorf("unknown verb %q", verb)
}

func fetch(ctx context.Context, client *workloadapi.Client) error {
	svids, err := client.FetchX509SVIDs(ctx)
	if err != nil {
		return err
	}
	state, err := client.FetchX509Context(ctx)
	if err != nil {
		return err
	}
	x509Bundles, err := client.FetchX509Bundles(ctx)
	if err != nil {
		return err
	}
	jwtBundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	ids := []string{}
	for _, svid := range svids {
		ids = append(ids, svid.ID.String())
	}
	say(object{
		"ids":             ids,
		"context_bundles": authorities(state.Bundles),
		"x509_bundles":    authorities(x509Bundles),
		"jwt_bundles":     keys(jwtBundles),
	})
	return nil
}

func authorities(bundles *x509bundle.Set) object {
	counts := object{}
	for _, bundle := range bundles.Bundles() {
		counts[bundle.TrustDomain().Name()] = len(bundle.X509Authorities())
	}
	return counts
}

func keys(bundles *jwtbundle.Set) object {
	counts := object{}
	for _, bundle := range bundles.Bundles() {
		counts[bundle.TrustDomain().Name()] = len(bundle.JWTAuthorities())
	}
	return counts
}

func fetchJWT(ctx context.Context, client *workloadapi.Client, audience string) error {
	svid, err := client.FetchJWTSVID(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return err
	}
	say(object{"id": svid.ID.String(), "audience": svid.Audience, "token": svid.Marshal()})
	return nil
}

func validateLocal(ctx context.Context, address workloadapi.ClientOption, pairs []string) error {
	source, err := workloadapi.NewJWTSource(ctx, workloadapi.WithClientOptions(address))
	if err != nil {
		return err
	}
	defer source.Close()
	return validate(pairs, func(audience, token string) (*jwtsvid.SVID, error) {
		return jwtsvid.ParseAndValidate(token, source, []string{audience})
	})
}

func validate(pairs []string, check func(audience, token string) (*jwtsvid.SVID, error)) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if svid, err := check(pairs[i], pairs[i+1]); err != nil {
			say(object{"error": err.Error()})
		} else {
			say(object{"id": svid.ID.String()})
		}
	}
	return nil
}

type watcher struct{}

func (watcher) OnX509ContextUpdate(update *workloadapi.X509Context) {
	svid := update.DefaultSVID()
	say(object{
		"event":   "x509",
		"id":      svid.ID.String(),
		"serial":  serial(svid),
		"bundles": authorities(update.Bundles),
	})
}

func (watcher) OnX509ContextWatchError(err error) {
	say(object{"event": "x509-error", "error": err.Error()})
}

func (watcher) OnJWTBundlesUpdate(update *jwtbundle.Set) {
	say(object{"event": "jwt", "bundles": keys(update)})
}

func (watcher) OnJWTBundlesWatchError(err error) {
	say(object{"event": "jwt-error", "error": err.Error()})
}

func serial(svid *x509svid.SVID) string {
	return svid.Certificates[0].SerialNumber.Text(16)
}

func watch(ctx context.Context, address workloadapi.ClientOption) error {
	client, err := workloadapi.New(ctx, address)
	if err != nil {
		return err
	}
	defer client.Close()
	go client.WatchX509Context(ctx, watcher{})
	go client.WatchJWTBundles(ctx, watcher{})
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(address))
	if err != nil {
		return err
	}
	defer source.Close()
	for {
		if svid, err := source.GetX509SVID(); err != nil {
			say(object{"event": "held", "error": err.Error()})
		} else {
			say(object{"event": "held", "id": svid.ID.String(), "serial": serial(svid)})
		}
		time.Sleep(time.Second)
	}
}

func serve(ctx context.Context, address workloadapi.ClientOption, port string, allowed []string) error {
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(address))
	if err != nil {
		return err
	}
	defer source.Close()
	ids := []spiffeid.ID{}
	for _, id := range allowed {
		ids = append(ids, spiffeid.RequireFromString(id))
	}
	config := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeOneOf(ids...))
	listener, err := tls.Listen("tcp", "127.0.0.1:"+port, config)
	if err != nil {
		return err
	}
	say(object{"event": "listening"})
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go echo(connection.(*tls.Conn))
	}
}

func echo(connection *tls.Conn) {
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	if err := connection.Handshake(); err != nil {
		say(object{"event": "refused", "error": err.Error()})
		return
	}
	say(object{"event": "peer", "id": peer(connection)})
	io.Copy(connection, connection)
}

func peer(connection *tls.Conn) string {
	id, err := x509svid.IDFromCert(connection.ConnectionState().PeerCertificates[0])
	if err != nil {
		return err.Error()
	}
	return id.String()
}

func dial(ctx context.Context, address workloadapi.ClientOption, targets []string) error {
	source, err := workloadapi.NewX509Source(ctx, workloadapi.WithClientOptions(address))
	if err != nil {
		return err
	}
	defer source.Close()
	for i := 0; i+1 < len(targets); i += 2 {
		if id, err := ping(source, targets[i], targets[i+1]); err != nil {
			say(object{"error": err.Error()})
		} else {
			say(object{"id": id})
		}
	}
	return nil
}

func ping(source *workloadapi.X509Source, port, expected string) (string, error) {
	authorizer := tlsconfig.AuthorizeID(spiffeid.RequireFromString(expected))
	config := tlsconfig.MTLSClientConfig(source, source, authorizer)
	dialer := &net.Dialer{Timeout: patience}
	connection, err := tls.DialWithDialer(dialer, "tcp", "127.0.0.1:"+port, config)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintln(connection, "ping"); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return "", err
	}
	if answer != "ping\n" {
		return "", fmt.Errorf("the answer is %q", answer)
	}
	return peer(connection), nil
}
