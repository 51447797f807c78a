package tenancytest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/ezscale/ezscale/tenancy"
)

// StatementsDir names in a test's environment the directory in which its servers write down
// every statement they are sent. Everybody must be able to write there: servers are not root.
const StatementsDir = "EZSCALE_TEST_STATEMENTS"

var recorded atomic.Int64

// recording are the settings of a server that writes down what it is sent, as JSON. A
// cluster's statements are not of interest: they are tried there.
func recording() map[string]string {
	dir := os.Getenv(StatementsDir)
	if dir == "" || OnCitus() {
		return nil
	}
	return map[string]string{
		"logging_collector": "on", "log_destination": "jsonlog", "log_statement": "all", "log_directory": dir,
		"log_filename":  fmt.Sprintf("%s-%d-%d.log", filepath.Base(os.Args[0]), os.Getpid(), recorded.Add(1)),
		"log_file_mode": "0644", "log_rotation_age": "0", "log_rotation_size": "0",
	}
}

// OnNodes reports whether the program takes tenants to lie on nodes, on which some is done
// in more statements.
func OnNodes() bool { return OnCitus() || os.Getenv(StatementsDir) != "" }

// likeACluster has the program take a database for one whose tenants lie on nodes, so that
// what it is sent is what a cluster is sent.
const likeACluster = `CREATE SCHEMA cluster; GRANT USAGE ON SCHEMA cluster TO ` + tenancy.RiverLogin + `;
	CREATE FUNCTION cluster.unsettled(tenant bigint) RETURNS text[] LANGUAGE sql AS 'SELECT NULL::text[]'`
