package tenancytest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy/pgembed"
)

// Citus says in a test's environment that the databases lie on a cluster: a coordinator
// and two workers, over which the tenants are spread. The PostgreSQL that is installed
// must have Citus; ordinary machines have not.
const Citus = "EZSCALE_TEST_CITUS"

// OnCitus reports whether the tests run on a cluster.
func OnCitus() bool { return os.Getenv(Citus) != "" }

// NeedsCitus skips a test that says nothing about a single PostgreSQL.
func NeedsCitus(t testing.TB) {
	t.Helper()
	if !OnCitus() {
		t.Skip("it is about a cluster, and " + Citus + " is not set: make test-citus, where PostgreSQL has Citus")
	}
}

// SkipsOnCitus skips a test of what a cluster has not, and says why.
func SkipsOnCitus(t testing.TB, why string) {
	t.Helper()
	if OnCitus() {
		t.Skip("not on Citus: " + why)
	}
}

// Workers are the DSNs of the world's database on the nodes that hold tenants, as the
// superuser. Without Citus there is none.
func (w *World) Workers() []string {
	all := make([]string, len(servers.workers))
	for i, s := range servers.workers {
		all[i] = s.DSN(w.Owner.Config().Database)
	}
	return all
}

// cluster is a PostgreSQL and, with Citus, the nodes it spreads tenants over.
type cluster struct {
	server  *pgembed.Server
	workers []*pgembed.Server
}

const workerCount = 2

// citusSettings are those a node needs, and for the tests many databases: each has a
// daemon of its own on every node.
func citusSettings() map[string]string {
	return map[string]string{
		"shared_preload_libraries": "citus", "wal_level": "logical", "max_wal_senders": "20", "max_replication_slots": "20",
		"max_connections": "400", "max_prepared_transactions": "400", "max_worker_processes": "60", "max_logical_replication_workers": "12",
		"citus.enable_schema_based_sharding": "on", "citus.enable_statistics_collection": "off",
		"citus.recover_2pc_interval": "1s",
	}
}

// ServerSettings are set and what Citus needs besides, for a server that is started again.
func ServerSettings(set map[string]string) map[string]string {
	all := recording()
	if all == nil {
		all = map[string]string{}
	}
	if OnCitus() {
		all = citusSettings()
	}
	for name, value := range set {
		if _, ours := all[name]; !ours {
			all[name] = value
		}
	}
	return all
}

func startCluster(ctx context.Context, o pgembed.Options) (*cluster, error) {
	o.Set = ServerSettings(o.Set)
	c := &cluster{}
	for OnCitus() && len(c.workers) < workerCount {
		w, err := pgembed.Start(ctx, o)
		if err != nil {
			c.stop()
			return nil, fmt.Errorf("%w (has this PostgreSQL Citus?)", err)
		}
		c.workers = append(c.workers, w)
	}
	var err error
	c.server, err = pgembed.Start(ctx, o)
	if err == nil && OnCitus() {
		err = c.introduce(ctx)
	}
	if err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// introduce tells each node where it finds itself: a move of a tenant has it connect there.
func (c *cluster) introduce(ctx context.Context) error {
	for _, s := range append(c.workers[:len(c.workers):len(c.workers)], c.server) {
		conn, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "ALTER SYSTEM SET citus.local_hostname = '"+s.Socket()+"'")
		if err == nil {
			_, err = conn.Exec(ctx, "SELECT pg_reload_conf()")
		}
		if err = errors.Join(err, conn.Close(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) stop() {
	for _, w := range c.workers {
		_ = w.Stop()
	}
	if c.server != nil {
		_ = c.server.Stop()
	}
}

// everywhere runs sql in a database of all nodes, the coordinator last.
func (c *cluster) everywhere(ctx context.Context, database, sql string) error {
	for _, s := range append(c.workers[:len(c.workers):len(c.workers)], c.server) {
		conn, err := pgx.Connect(ctx, s.DSN(database))
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, sql)
		if err = errors.Join(err, conn.Close(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// create makes an empty database. A node's name is the directory of its socket: no port
// is open to anybody.
func (c *cluster) create(ctx context.Context, database string) error {
	err := c.everywhere(ctx, "postgres", "CREATE DATABASE "+database)
	if err != nil || len(c.workers) == 0 {
		return err
	}
	if err := c.everywhere(ctx, database, "CREATE EXTENSION citus"); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, c.server.DSN(database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing to do about it
	if _, err := conn.Exec(ctx, "SELECT citus_set_coordinator_host($1, 5432)", c.server.Socket()); err != nil {
		return err
	}
	for _, w := range c.workers {
		if _, err := conn.Exec(ctx, "SELECT citus_add_node($1, 5432)", w.Socket()); err != nil {
			return err
		}
	}
	return nil
}

// shut ends everybody's sessions on a template, Citus's daemons' too: nothing is copied
// while somebody is in it.
func (c *cluster) shut(ctx context.Context, database string) error {
	if len(c.workers) == 0 {
		return nil
	}
	if err := c.everywhere(ctx, "postgres", "ALTER DATABASE "+database+" ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	return c.everywhere(ctx, "postgres", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '"+database+"'")
}

// clone copies a template; what is copied on all nodes is a cluster again.
func (c *cluster) clone(ctx context.Context, from, to string) error {
	return c.everywhere(ctx, "postgres", "CREATE DATABASE "+to+" TEMPLATE "+from+" STRATEGY file_copy")
}

func (c *cluster) drop(ctx context.Context, database string) {
	_ = c.everywhere(ctx, "postgres", "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)")
}
