package main

import (
	"fmt"
	"os"
	"time"

	"leat/cluster/peer"
)

// raftTLS is how connections between nodes are secured.
type raftTLS struct {
	on            bool
	ca, cert, key string            // files
	credentials   *peer.Credentials // made of the files; nil where it is off
}

// expiresSoon is how long before its end a start warns of a certificate.
const expiresSoon = 30 * 24 * time.Hour

// load reads the files for a node of a cluster, and refuses those that the other
// nodes would refuse. member tells who else is one.
func (r *raftTLS) load(own *clusterMember, member func(string) bool, now time.Time) (warnings []string, err error) {
	if !r.on {
		if r.ca != "" || r.cert != "" || r.key != "" {
			warnings = append(warnings, "certificates are named and --raft-tls is not on: what nodes say to each other is not encrypted")
		}
		return warnings, nil
	}
	var contents [3][]byte
	for i, from := range []struct{ flag, name string }{{"--raft-tls-ca", r.ca}, {"--raft-tls-cert", r.cert}, {"--raft-tls-key", r.key}} {
		if from.name == "" {
			return nil, usage("--raft-tls is on and %s names no file", from.flag)
		}
		if contents[i], err = os.ReadFile(from.name); err != nil {
			return nil, usage("%s: %v", from.flag, err)
		}
	}
	if r.credentials, err = peer.NewCredentials(contents[0], contents[1], contents[2], now); err != nil {
		return nil, usage("the files of --raft-tls: %v", err)
	}
	if !r.credentials.IsOf(own.id, own.host, member) {
		return nil, usage("%s is the certificate of neither node %q nor its host %s: it has to have one of them as an alternative name, and to name no other node", r.cert, own.id, own.host)
	}
	warnings = append(warnings, r.expiring(now)...)
	if info, err := os.Stat(r.key); err == nil && info.Mode().Perm()&0o004 != 0 {
		warnings = append(warnings, r.key+" is a private key and everybody on this machine can read it; chmod o-r it")
	}
	return warnings, nil
}

// expiring warns of a certificate that has ended, or soon does.
func (r *raftTLS) expiring(now time.Time) []string {
	if ends := r.credentials.Expires(); ends.Sub(now) < expiresSoon {
		return []string{fmt.Sprintf("%s is valid until %s; then the other nodes refuse this one", r.cert, ends.UTC().Format(time.RFC3339))}
	}
	return nil
}
