package checkout

import (
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// maxSSHKeys is how many public keys one order may bring.
const maxSSHKeys = 5

// ParseSSHKeys reads public keys, one a line, as they stand in authorized_keys. The fault
// is checkout.bad_ssh_key at the field ssh_keys.
func ParseSSHKeys(text string) ([]string, error) {
	var keys []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if strings.Contains(line, "PRIVATE KEY") {
			return nil, fault.Field("ssh_keys", "checkout.private_ssh_key", "This is a private key. Never give it to anybody; paste the public one, which ends in .pub.")
		}
		key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 || len(line) > 2000 {
			return nil, fault.Field("ssh_keys", "checkout.bad_ssh_key", "Please paste public keys, one a line, such as ssh-ed25519 AAAA… you@computer.")
		}
		plain := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
		if comment = strings.ToValidUTF8(strings.ReplaceAll(comment, "\x00", ""), ""); comment != "" {
			plain += " " + comment
		}
		keys = append(keys, plain)
	}
	if len(keys) > maxSSHKeys {
		return nil, fault.Field("ssh_keys", "checkout.many_ssh_keys", "Please give at most five keys.")
	}
	return keys, nil
}
