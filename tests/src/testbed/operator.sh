#!/bin/sh
# What an operator's script does with SPIRE: it starts a server and an agent, makes an entry, bans and evicts, and goes by
# the lines of the two logs. Each line that it waited for is printed.
#
#   operator.sh SPIRE-SERVER SPIRE-AGENT     with server.conf and agent.conf in the present folder
set -eu

server=$1
agent=$2

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

# Waits until the file has a line with both texts, and prints the line.
line() {
    tries=0
    until found=$(grep -F -- "$2" "$1" | grep -F -m 1 -- "${3:-}"); do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ]; then
            echo "nothing in $1 says: $2 ${3:-}" >&2
            cat "$1" >&2
            exit 1
        fi
        sleep 0.1
    done
    printf '%s\n' "$found"
}

# The same, without waiting.
line_now() {
    grep -F -- "$2" "$1" | grep -F -m 1 -- "${3:-}" || {
        echo "$1 does not say yet: $2 ${3:-}" >&2
        exit 1
    }
}

"$server" run -config server.conf > server.log 2>&1 &
server_pid=$!
line server.log "X509 CA prepared"
line server.log "X509 CA activated"
line server.log "Successfully rotated X.509 CA"
line server.log "JWT key prepared"
line server.log "JWT key activated"
line server.log "Starting Server APIs" tcp
line server.log "Starting Server APIs" unix
"$server" bundle show -socketPath api.sock > bundle.pem
token=$("$server" token generate -socketPath api.sock | sed -n 's/^Token: //p')
id=spiffe://example.org/spire/agent/join_token/$token

"$agent" run -config agent.conf -joinToken "$token" > agent.log 2>&1 &
agent_pid=$!
line agent.log "Starting agent"
line agent.log "Bundle loaded"
line agent.log "SVID is not found. Starting node attestation"
line agent.log "Node attestation was successful" "$id"
line agent.log "Starting agent APIs"
line server.log "Agent attestation request completed" "$id"

"$server" entry create -socketPath api.sock -parentID "$id" -spiffeID spiffe://example.org/web \
    -selector "unix:uid:$(id -u)" > entry
entry=$(sed -n 's/^Entry ID *: //p' entry)
line agent.log "Entry created" "$entry"
line agent.log "Creating X509-SVID" spiffe://example.org/web
line server.log "Signed X509 SVID" spiffe://example.org/web
line agent.log "SVID updated" "$entry"
"$agent" api fetch x509 -socketPath agent.sock > /dev/null
line agent.log "Fetched X.509 SVID" spiffe://example.org/web
"$server" x509 mint -socketPath api.sock -spiffeID spiffe://example.org/minted > /dev/null
line server.log "Signed X509 SVID" spiffe://example.org/minted
"$server" entry delete -socketPath api.sock -entryID "$entry" > /dev/null
line agent.log "Entry removed" "$entry"
"$agent" api fetch x509 -socketPath agent.sock > /dev/null 2>&1 || true
line agent.log "No identity issued"

# A token is good for one agent.
"$agent" run -config agent.conf -dataDir other -socketPath other.sock -joinToken "$token" \
    > other.log 2>&1 &
other_pid=$!
line server.log "Invalid argument: failed to attest: join token does not exist or has already been used"
line other.log "failed to attest: join token does not exist or has already been used" > /dev/null
kill "$other_pid" 2> /dev/null || true
wait "$other_pid" || true

# What is banned and deleted is in the log before the command is over.
"$server" agent ban -socketPath api.sock -spiffeID "$id" > /dev/null
line_now server.log "Agent banned"
line agent.log "failed to fetch authorized entries:" > /dev/null
line agent.log "Agent is banned: removing SVID and shutting down"
if wait "$agent_pid"; then
    echo "a banned agent ends as if all were well" >&2
    exit 1
fi
line_now agent.log "Agent crashed"
"$server" agent evict -socketPath api.sock -spiffeID "$id" > /dev/null
line_now server.log "Agent deleted"

kill "$server_pid"
wait "$server_pid"
for network in tcp unix; do
    line_now server.log "Stopping Server APIs" "$network"
    line_now server.log "Attempting graceful stop" "$network"
    line_now server.log "Graceful stop successful" "$network"
    line_now server.log "Server APIs have stopped" "$network"
done
line_now server.log "Server stopped gracefully"
