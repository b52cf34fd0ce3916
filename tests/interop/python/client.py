"""A client of the SPIFFE Workload API made of the public API of `spiffe` and `spiffe-tls` alone.

    client.py SOCKET fetch
    client.py SOCKET jwt AUDIENCE
    client.py SOCKET validate-local [AUDIENCE TOKEN]...
    client.py SOCKET validate-agent [AUDIENCE TOKEN]...
    client.py SOCKET watch
    client.py SOCKET serve PORT [SPIFFE_ID]...
    client.py SOCKET dial [PORT SPIFFE_ID]...

Every line of standard output is a JSON object; the clients in the other languages print the
same ones.
"""

import json
import sys
import threading
import time

from cryptography import x509
from OpenSSL import SSL
from spiffe import JwtSource, JwtSvid, SpiffeId, WorkloadApiClient, X509Source
from spiffetls import ListenOptions, dial as dial_tls, listen
from spiffetls.mode import ServerTlsMode
from spiffetls.tlsconfig.authorize import authorize_id, authorize_one_of

# Bounds everything that should take a moment.
PATIENCE = 30

output = threading.Lock()


def say(**line):
    with output:
        print(json.dumps(line), flush=True)


def authorities(bundles):
    return {b.trust_domain.name: len(b.x509_authorities) for b in bundles.bundles}


def keys(bundles):
    return {b.trust_domain.name: len(b.jwt_authorities) for b in bundles.bundles}


def fetch(client):
    context = client.fetch_x509_context()
    say(
        ids=[str(svid.spiffe_id) for svid in client.fetch_x509_svids()],
        context_bundles=authorities(context.x509_bundle_set),
        x509_bundles=authorities(client.fetch_x509_bundles()),
        jwt_bundles=keys(client.fetch_jwt_bundles()),
    )


def fetch_jwt(client, audience):
    svid = client.fetch_jwt_svid(audience={audience})
    say(id=str(svid.spiffe_id), audience=sorted(svid.audience), token=svid.token)


def validate_local(client, pairs):
    with JwtSource(workload_api_client=client, timeout_in_seconds=PATIENCE) as source:

        def check(audience, token):
            claimed = JwtSvid.parse_insecure(token, {audience}).spiffe_id.trust_domain
            bundle = source.get_bundle_for_trust_domain(claimed)
            if bundle is None:
                raise ValueError(f"no bundle for {claimed}")
            return JwtSvid.parse_and_validate(token, bundle, {audience})

        validate(pairs, check)


def validate_agent(client, pairs):
    validate(pairs, lambda audience, token: client.validate_jwt_svid(token, audience))


def validate(pairs, check):
    for audience, token in in_pairs(pairs):
        try:
            say(id=str(check(audience, token).spiffe_id))
        except Exception as error:
            say(error=str(error))


def watch(client):
    client.stream_x509_contexts(
        lambda context: say(
            event="x509",
            id=str(context.default_svid.spiffe_id),
            serial=serial(context.default_svid),
            bundles=authorities(context.x509_bundle_set),
        ),
        lambda error: say(event="x509-error", error=str(error)),
    )
    client.stream_jwt_bundles(
        lambda bundles: say(event="jwt", bundles=keys(bundles)),
        lambda error: say(event="jwt-error", error=str(error)),
    )
    with X509Source(workload_api_client=client, timeout_in_seconds=PATIENCE) as source:
        while True:
            try:
                svid = source.get_x509_context().default_svid
                say(event="held", id=str(svid.spiffe_id), serial=serial(svid))
            except Exception as error:
                say(event="held", error=str(error))
            time.sleep(1)


def serial(svid):
    return f"{svid.leaf.serial_number:x}"


def serve(client, port, *allowed):
    with X509Source(workload_api_client=client, timeout_in_seconds=PATIENCE) as source:
        options = ListenOptions(
            tls_mode=ServerTlsMode.MTLS,
            authorize_fn=authorize_one_of({SpiffeId(id) for id in allowed}),
        )
        listener = listen(f"127.0.0.1:{port}", source, options)
        say(event="listening")
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection):
    try:
        connection.do_handshake()
    except SSL.Error as error:
        say(event="refused", error=f"{type(error).__name__}: {error}")
        connection.close()
        return
    say(event="peer", id=peer(connection))
    try:
        while received := connection.recv(1024):
            connection.sendall(received)
    except SSL.Error:
        pass
    connection.close()


def dial(client, *targets):
    with X509Source(workload_api_client=client, timeout_in_seconds=PATIENCE) as source:
        for port, expected in in_pairs(targets):
            try:
                say(id=ping(source, port, expected))
            except Exception as error:
                say(error=f"{type(error).__name__}: {error}")


def ping(source, port, expected):
    authorize = authorize_id(SpiffeId(expected))
    connection = dial_tls(f"127.0.0.1:{port}", source, authorize_fn=authorize)
    try:
        connection.sendall(b"ping\n")
        answer = connection.recv(1024)
        if answer != b"ping\n":
            raise ValueError(f"the answer is {answer}")
        return peer(connection)
    finally:
        connection.close()


def peer(connection):
    certificate = connection.get_peer_certificate().to_cryptography()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    [id] = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return id


def in_pairs(arguments):
    return zip(arguments[::2], arguments[1::2])


def main():
    socket, verb, *arguments = sys.argv[1:]
    verbs = {
        "fetch": lambda client: fetch(client),
        "jwt": lambda client: fetch_jwt(client, *arguments),
        "validate-local": lambda client: validate_local(client, arguments),
        "validate-agent": lambda client: validate_agent(client, arguments),
        "watch": lambda client: watch(client),
        "serve": lambda client: serve(client, *arguments),
        "dial": lambda client: dial(client, *arguments),
    }
    try:
        with WorkloadApiClient(f"unix://{socket}", default_timeout=PATIENCE) as client:
            verbs[verb](client)
    except Exception as error:
        say(error=str(error))


main()
