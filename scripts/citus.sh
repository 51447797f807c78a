#!/usr/bin/env bash
# A Citus cluster on this machine to try the platform on: a coordinator and two workers.
#   citus.sh start <directory>   makes it, or starts what is there, and prints the DSN
#   citus.sh stop <directory>    stops it; the directory stays
# PostgreSQL 15 or newer with Citus 13 or newer must be installed (EZSCALE_PG_BIN names
# its bin directory). It is set up as nodes on different machines would be: TLS between
# them, a certificate of the cluster's own authority for every connection, no password.
set -euo pipefail

[ $# = 2 ] || { sed -n '2,8p' "$0"; exit 2; }
mkdir -p "$2"
dir=$(cd "$2" && pwd)
port=${CITUS_PORT:-7432} # the coordinator's; the workers' are the next two
database=ezscale

bin=${EZSCALE_PG_BIN:-$(pg_config --bindir 2>/dev/null || true)}
for b in /usr/lib/postgresql/*/bin; do [ -x "$bin/initdb" ] || bin=$b; done
[ -x "$bin/initdb" ] || { echo "citus: no PostgreSQL found; name its bin directory in EZSCALE_PG_BIN" >&2; exit 1; }
share=$("$bin/pg_config" --sharedir 2>/dev/null || pg_config --sharedir)
[ -e "$share/extension/citus.control" ] || { echo "citus: this PostgreSQL has no Citus ($share/extension/citus.control)" >&2; exit 1; }

# PostgreSQL refuses to be root.
as() { if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }
sql() { as "$bin/psql" -qAtX -v ON_ERROR_STOP=1 -h "$dir/$1/s" -p "$2" -U ezscale "$3"; } # node, port, database
nodes="coordinator:$port worker1:$((port + 1)) worker2:$((port + 2))"

certificates() {
  [ -e "$dir/tls/node.crt" ] && return
  mkdir -p "$dir/tls"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=cluster authority" -keyout "$dir/tls/ca.key" -out "$dir/tls/ca.crt" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=node" -keyout "$dir/tls/node.key" -out "$dir/tls/node.csr" 2>/dev/null
  openssl x509 -req -days 3650 -in "$dir/tls/node.csr" -CA "$dir/tls/ca.crt" -CAkey "$dir/tls/ca.key" -CAcreateserial -out "$dir/tls/node.crt" 2>/dev/null
  chmod 600 "$dir"/tls/*.key
}

make_node() { # name, port
  as "$bin/initdb" -D "$dir/$1" -U ezscale -E UTF8 --locale=C --auth=trust >/dev/null
  as mkdir -m 700 "$dir/$1/s"
  cat >>"$dir/$1/postgresql.conf" <<CONF
port = $2
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir/$1/s'
shared_preload_libraries = 'citus'
wal_level = logical                # a tenant moves by logical replication
max_prepared_transactions = 400    # as many as max_connections: what is on two nodes is committed in two phases
max_connections = 400
max_worker_processes = 24
ssl = on
ssl_ca_file = '$dir/tls/ca.crt'
ssl_cert_file = '$dir/tls/node.crt'
ssl_key_file = '$dir/tls/node.key'
citus.node_conninfo = 'sslmode=verify-ca sslrootcert=$dir/tls/ca.crt sslcert=$dir/tls/node.crt sslkey=$dir/tls/node.key'
citus.local_hostname = '127.0.0.1'
CONF
  # The nodes reach each other as whoever the statement runs as, tenants too, and show the
  # cluster's certificate. Nobody else comes in over the network.
  cat >"$dir/$1/pg_hba.conf" <<CONF
local   all all                  trust
hostssl all all 127.0.0.1/32     trust clientcert=verify-ca
host    all all all              reject
CONF
}

start() {
  certificates
  [ "$(id -u)" != 0 ] || chown -R postgres "$dir"
  local n name fresh=
  for n in $nodes; do
    name=${n%:*}
    [ -e "$dir/$name/PG_VERSION" ] || { make_node "$name" "${n#*:}"; fresh=1; }
    as "$bin/pg_ctl" -s -w -D "$dir/$name" -l "$dir/$name/log" start
  done
  if [ -n "$fresh" ]; then
    for n in $nodes; do
      sql "${n%:*}" "${n#*:}" postgres <<<"CREATE DATABASE $database"
      sql "${n%:*}" "${n#*:}" "$database" <<<"CREATE EXTENSION citus"
    done
    sql coordinator "$port" "$database" >/dev/null <<SQL
SELECT citus_set_coordinator_host('127.0.0.1', $port);
SELECT citus_add_node('127.0.0.1', $((port + 1)));
SELECT citus_add_node('127.0.0.1', $((port + 2)));
SQL
  fi
  echo "EZSCALE_DATABASE_URL=postgres:///$database?host=$dir/coordinator/s&port=$port&user=ezscale&sslmode=disable"
}

stop() {
  local n
  for n in $nodes; do as "$bin/pg_ctl" -s -w -m fast -D "$dir/${n%:*}" stop || true; done
}

case $1 in
  start) start ;;
  stop) stop ;;
  *) sed -n '2,8p' "$0"; exit 2 ;;
esac
