import com.google.gson.Gson;
import io.spiffe.bundle.jwtbundle.JwtBundleSet;
import io.spiffe.bundle.x509bundle.X509BundleSet;
import io.spiffe.provider.SpiffeSslContextFactory;
import io.spiffe.provider.SpiffeSslContextFactory.SslContextOptions;
import io.spiffe.spiffeid.SpiffeId;
import io.spiffe.svid.jwtsvid.JwtSvid;
import io.spiffe.svid.x509svid.X509Svid;
import io.spiffe.workloadapi.DefaultJwtSource;
import io.spiffe.workloadapi.DefaultWorkloadApiClient;
import io.spiffe.workloadapi.DefaultWorkloadApiClient.ClientOptions;
import io.spiffe.workloadapi.DefaultX509Source;
import io.spiffe.workloadapi.DefaultX509Source.X509SourceOptions;
import io.spiffe.workloadapi.JwtSource;
import io.spiffe.workloadapi.JwtSourceOptions;
import io.spiffe.workloadapi.Watcher;
import io.spiffe.workloadapi.WorkloadApiClient;
import io.spiffe.workloadapi.X509Context;
import io.spiffe.workloadapi.X509Source;

import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

/**
 * A client of the SPIFFE Workload API made of the public API of java-spiffe alone.
 *
 * <pre>
 * Client SOCKET fetch
 * Client SOCKET jwt AUDIENCE
 * Client SOCKET validate-local [AUDIENCE TOKEN]...
 * Client SOCKET validate-agent [AUDIENCE TOKEN]...
 * Client SOCKET watch
 * Client SOCKET serve PORT [SPIFFE_ID]...
 * Client SOCKET dial [PORT SPIFFE_ID]...
 * </pre>
 *
 * Every line of standard output is a JSON object; the clients in the other languages print the
 * same ones.
 */
public final class Client {

    /** Bounds everything that should take a moment. */
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    /** The library's default is TLS 1.2. */
    private static final String PROTOCOL = "TLSv1.3";

    private final String address;

    private Client(String socket) {
        this.address = "unix:" + socket;
    }

    public static void main(String[] arguments) {
        Client client = new Client(arguments[0]);
        List<String> rest = Arrays.asList(arguments).subList(2, arguments.length);
        try {
            client.run(arguments[1], rest);
        } catch (Exception e) {
            say("error", causes(e));
        }
        System.exit(0);
    }

    private void run(String verb, List<String> arguments) throws Exception {
        switch (verb) {
            case "fetch" -> fetch();
            case "jwt" -> fetchJwt(arguments.get(0));
            case "validate-local" -> validateLocal(arguments);
            case "validate-agent" -> validateAgent(arguments);
            case "watch" -> watch();
            case "serve" -> serve(arguments.get(0), arguments.subList(1, arguments.size()));
            case "dial" -> dial(arguments);
            default -> throw new IllegalArgumentException("unknown verb " + verb);
        }
    }

    private WorkloadApiClient client() throws Exception {
        return DefaultWorkloadApiClient.newClient(
                ClientOptions.builder().spiffeSocketPath(address).build());
    }

    private X509Source x509Source() throws Exception {
        return DefaultX509Source.newSource(X509SourceOptions.builder()
                .spiffeSocketPath(address).initTimeout(PATIENCE).build());
    }

    private void fetch() throws Exception {
        try (WorkloadApiClient client = client()) {
            X509Context context = client.fetchX509Context();
            say("ids", context.getX509Svids().stream().map(s -> s.getSpiffeId().toString()).toList(),
                    "context_bundles", authorities(context.getX509BundleSet()),
                    "x509_bundles", authorities(client.fetchX509Bundles()),
                    "jwt_bundles", keys(client.fetchJwtBundles()));
        }
    }

    private static Map<String, Integer> authorities(X509BundleSet bundles) {
        return bundles.getBundles().entrySet().stream().collect(Collectors.toMap(
                e -> e.getKey().getName(), e -> e.getValue().getX509Authorities().size()));
    }

    private static Map<String, Integer> keys(JwtBundleSet bundles) {
        return bundles.getBundles().entrySet().stream().collect(Collectors.toMap(
                e -> e.getKey().getName(), e -> e.getValue().getJwtAuthorities().size()));
    }

    private void fetchJwt(String audience) throws Exception {
        try (WorkloadApiClient client = client()) {
            JwtSvid svid = client.fetchJwtSvid(audience);
            say("id", svid.getSpiffeId().toString(),
                    "audience", svid.getAudience(),
                    "token", svid.marshal());
        }
    }

    private void validateLocal(List<String> pairs) throws Exception {
        JwtSourceOptions options = JwtSourceOptions.builder()
                .spiffeSocketPath(address).initTimeout(PATIENCE).build();
        try (JwtSource source = DefaultJwtSource.newSource(options)) {
            validate(pairs, (audience, token) ->
                    JwtSvid.parseAndValidate(token, source, Set.of(audience)));
        }
    }

    private void validateAgent(List<String> pairs) throws Exception {
        try (WorkloadApiClient client = client()) {
            validate(pairs, (audience, token) -> client.validateJwtSvid(token, audience));
        }
    }

    private interface Check {
        JwtSvid validate(String audience, String token) throws Exception;
    }

    private static void validate(List<String> pairs, Check check) {
        for (int i = 0; i + 1 < pairs.size(); i += 2) {
            try {
                say("id", check.validate(pairs.get(i), pairs.get(i + 1)).getSpiffeId().toString());
            } catch (Exception e) {
                say("error", causes(e));
            }
        }
    }

    private void watch() throws Exception {
        try (WorkloadApiClient client = client(); X509Source source = x509Source()) {
            client.watchX509Context(new Watcher<>() {
                @Override
                public void onUpdate(X509Context update) {
                    say("event", "x509",
                            "id", update.getDefaultSvid().getSpiffeId().toString(),
                            "serial", serial(update.getDefaultSvid()),
                            "bundles", authorities(update.getX509BundleSet()));
                }

                @Override
                public void onError(Throwable e) {
                    say("event", "x509-error", "error", causes(e));
                }
            });
            client.watchJwtBundles(new Watcher<>() {
                @Override
                public void onUpdate(JwtBundleSet update) {
                    say("event", "jwt", "bundles", keys(update));
                }

                @Override
                public void onError(Throwable e) {
                    say("event", "jwt-error", "error", causes(e));
                }
            });
            hold(source);
        }
    }

    private static void hold(X509Source source) throws InterruptedException {
        while (true) {
            try {
                X509Svid svid = source.getX509Svid();
                say("event", "held", "id", svid.getSpiffeId().toString(), "serial", serial(svid));
            } catch (IllegalStateException e) {
                say("event", "held", "error", causes(e));
            }
            Thread.sleep(1000);
        }
    }

    private static String serial(X509Svid svid) {
        return svid.getLeaf().getSerialNumber().toString(16);
    }

    private static SSLContext tls(X509Source source, Supplier<Set<SpiffeId>> accepted)
            throws Exception {
        return SpiffeSslContextFactory.getSslContext(SslContextOptions.builder()
                .sslProtocol(PROTOCOL)
                .x509Source(source)
                .acceptedSpiffeIdsSupplier(accepted)
                .build());
    }

    private void serve(String port, List<String> allowed) throws Exception {
        Set<SpiffeId> accepted = allowed.stream().map(SpiffeId::parse).collect(Collectors.toSet());
        try (X509Source source = x509Source();
                SSLServerSocket listener = (SSLServerSocket) tls(source, () -> accepted)
                        .getServerSocketFactory()
                        .createServerSocket(Integer.parseInt(port), 50,
                                InetAddress.getLoopbackAddress())) {
            listener.setNeedClientAuth(true);
            say("event", "listening");
            while (true) {
                SSLSocket socket = (SSLSocket) listener.accept();
                Thread thread = new Thread(() -> echo(socket));
                thread.setDaemon(true);
                thread.start();
            }
        }
    }

    private static void echo(SSLSocket accepted) {
        try (SSLSocket socket = accepted) {
            socket.setSoTimeout((int) PATIENCE.toMillis());
            socket.startHandshake();
            say("event", "peer", "id", peer(socket));
            socket.getInputStream().transferTo(socket.getOutputStream());
        } catch (Exception e) {
            say("event", "refused", "error", causes(e));
        }
    }

    private void dial(List<String> targets) throws Exception {
        try (X509Source source = x509Source()) {
            for (int i = 0; i + 1 < targets.size(); i += 2) {
                try {
                    say("id", ping(source, targets.get(i), targets.get(i + 1)));
                } catch (Exception e) {
                    say("error", causes(e));
                }
            }
        }
    }

    private static String ping(X509Source source, String port, String expected) throws Exception {
        Set<SpiffeId> accepted = Set.of(SpiffeId.parse(expected));
        try (SSLSocket socket = (SSLSocket) tls(source, () -> accepted).getSocketFactory()
                .createSocket(InetAddress.getLoopbackAddress(), Integer.parseInt(port))) {
            socket.setSoTimeout((int) PATIENCE.toMillis());
            OutputStream out = socket.getOutputStream();
            out.write("ping\n".getBytes(StandardCharsets.US_ASCII));
            out.flush();
            InputStream in = socket.getInputStream();
            String answer = new String(in.readNBytes(5), StandardCharsets.US_ASCII);
            if (!answer.equals("ping\n")) {
                throw new IllegalStateException("the answer is \"" + answer.strip() + '"');
            }
            return peer(socket);
        }
    }

    private static String peer(SSLSocket socket) throws Exception {
        X509Certificate leaf = (X509Certificate) socket.getSession().getPeerCertificates()[0];
        return leaf.getSubjectAlternativeNames().stream()
                .filter(name -> name.get(0).equals(6))
                .map(name -> (String) name.get(1))
                .collect(Collectors.joining(" "));
    }

    /** The message of an exception and of what caused it. */
    private static String causes(Throwable e) {
        StringBuilder text = new StringBuilder(String.valueOf(e.getMessage()));
        for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
            text.append(": ").append(cause.getMessage());
        }
        return text.toString();
    }

    private static synchronized void say(Object... keysAndValues) {
        Map<String, Object> line = new LinkedHashMap<>();
        for (int i = 0; i + 1 < keysAndValues.length; i += 2) {
            line.put((String) keysAndValues[i], keysAndValues[i + 1]);
        }
        System.out.println(new Gson().toJson(line));
        System.out.flush();
    }
}
