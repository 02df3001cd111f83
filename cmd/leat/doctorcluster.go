package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// visitTimeout bounds what one node is asked.
	visitTimeout = 3 * time.Second
	// farBehind is how many entries of a shard a replica may lack before it is worth a
	// line; nodes do not lead what they are so far behind in.
	farBehind = 1000
	// wrongClock is by how much a clock may differ; a Date is in whole seconds.
	wrongClock = 2 * time.Second
)

// clusterAnswer is the answer to GET /cluster.
type clusterAnswer struct {
	NodeID  string `json:"node_id"`
	Version string `json:"version"`
	Shards  []struct {
		Shard    int64   `json:"shard"`
		Kind     string  `json:"kind"`
		Leader   *string `json:"leader_id"`
		Replicas []struct {
			ID  string `json:"id"`
			Lag *int64 `json:"lag"`
		} `json:"replicas"`
	} `json:"shards"`
	Nodes []clusterNode `json:"nodes"`
}

// clusterNode is a member as the node that was asked sees it.
type clusterNode struct {
	ID        string  `json:"id"`
	URL       *string `json:"url"`
	Raft      *string `json:"raft_address"`
	State     string  `json:"state"`
	Reachable bool    `json:"reachable"`
	Diverged  []int64 `json:"diverged"`
}

// visit is what a node says when it is asked itself.
type visit struct {
	err     error         // nobody answers
	unready string        // why it is not ready, "" = it is
	ahead   time.Duration // its clock, of the one here
	version string        // "" = not known
	expires time.Time     // of the certificate it shows clients, zero for none
}

// checkCluster looks at the cluster through the node that is asked, or through another
// member of the settings where that one does not answer, and asks every member itself. Of
// a lone node there is nothing to say.
func (d *doctor) checkCluster(ctx context.Context) []finding {
	seen, err := d.seenBy(ctx)
	if err != nil {
		if d.settings.own() == nil && (!d.named || classify(err).code == "unreachable") {
			return nil
		}
		return []finding{{"cluster", verdictWarn, fmt.Sprintf("how the cluster is cannot be seen: %v", err),
			"give a token with the scope admin with --token, or name a member that runs with --server"}}
	}
	if len(seen.Nodes) < 2 {
		return nil
	}
	visits := d.visitAll(ctx, seen.Nodes)
	var found []finding
	for i := range seen.Nodes {
		found = append(found, d.judgeMember(&seen.Nodes[i], &visits[i], seen.NodeID))
	}
	found = append(found, judgeQuorum(seen), d.judgeDirectory(seen))
	found = append(found, judgeShards(seen)...)
	found = append(found, judgeVersions(seen, visits), judgeClocks(seen, visits))
	found = append(found, judgeCertificates(seen, visits, d.machine.now())...)
	return slices.DeleteFunc(found, func(f finding) bool { return f.Check == "" })
}

// seenBy asks the node, or else the other members in turn, for the cluster.
func (d *doctor) seenBy(ctx context.Context) (seen clusterAnswer, err error) {
	servers := []string{d.client.base.String()}
	if !d.named {
		for _, m := range d.settings.members {
			if m.id != d.settings.nodeID {
				servers = append(servers, d.settings.tls.scheme()+net.JoinHostPort(m.host, strconv.Itoa(cmp.Or(m.httpPort, m.raftPort+1))))
			}
		}
		if d.settings.invitation != nil {
			for _, s := range d.settings.invitation.Members {
				if s.URL != "" && s.ID != d.settings.nodeID {
					servers = append(servers, s.URL)
				}
			}
		}
	}
	var first error
	for _, server := range servers {
		if seen, err = d.askCluster(ctx, server); err == nil {
			return seen, nil
		}
		if first == nil {
			first = err
		}
	}
	return seen, first
}

// dial makes a client of a member.
func (d *doctor) dial(server string) (*client, error) {
	if server == d.client.base.String() {
		return d.client, nil
	}
	return d.open(server)
}

func (d *doctor) askCluster(ctx context.Context, server string) (seen clusterAnswer, err error) {
	c, err := d.dial(server)
	if err != nil {
		return seen, err
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	body, err := c.get(ctx, "/cluster", nil)
	if err != nil {
		return seen, err
	}
	return seen, readAnswer(body, &seen)
}

// visitAll asks all members at the same time.
func (d *doctor) visitAll(ctx context.Context, nodes []clusterNode) []visit {
	visits := make([]visit, len(nodes))
	var asking sync.WaitGroup
	for i := range nodes {
		asking.Go(func() { d.visit(ctx, &nodes[i], &visits[i]) })
	}
	asking.Wait()
	return visits
}

func (d *doctor) visit(ctx context.Context, n *clusterNode, v *visit) {
	if n.URL == nil {
		v.err = fmt.Errorf("its address for clients is not known")
		return
	}
	c, err := d.dial(*n.URL)
	if err != nil {
		v.err = err
		return
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	asked := d.machine.now()
	answer, err := c.open(ctx, request{method: http.MethodGet, path: "/health"})
	if err != nil {
		v.err = err
		return
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswerBytes))
	_ = answer.Body.Close()
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		// The middle of the second that it says.
		v.ahead = date.Add(time.Second / 2).Sub(asked.Add(d.machine.now().Sub(asked) / 2))
	}
	if answer.TLS != nil && len(answer.TLS.PeerCertificates) > 0 {
		v.expires = answer.TLS.PeerCertificates[0].NotAfter
	}
	if _, err := c.get(ctx, "/ready", nil); err != nil {
		v.unready = err.Error()
	}
	if seen, err := d.askCluster(ctx, *n.URL); err == nil {
		v.version = seen.Version
	}
}

// judgeMember is the line about one member.
func (d *doctor) judgeMember(n *clusterNode, v *visit, by string) finding {
	name := "member " + n.ID
	place := textOr(n.URL) + ", raft " + textOr(n.Raft)
	rejoin := fmt.Sprintf("leat cluster rejoin --node-id %s --data-dir DIR --server %s", n.ID, d.client.base)
	remove := "leat cluster members remove " + n.ID
	switch {
	case len(n.Diverged) > 0:
		return finding{name, verdictFail, fmt.Sprintf("%s: its state of shard %s is not that of the majority; it has stopped for good", place, joined(n.Diverged)),
			fmt.Sprintf("on its machine: %q, then start it", rejoin)}
	case !n.Reachable && v.err != nil:
		return finding{name, verdictFail, place + ": does not answer", fmt.Sprintf("start it; where its log says identity_lost, log_truncated or corrupt: %q; where it is gone for good: %q", rejoin, remove)}
	case !n.Reachable:
		return finding{name, verdictFail, fmt.Sprintf("%s: answers clients, and node %s does not reach it", place, by), "look at its log for a refusal, and at the network between the raft ports"}
	case v.err != nil:
		return finding{name, verdictWarn, fmt.Sprintf("%s: the other nodes reach it, and from here clients do not: %v", place, v.err), "check --host and --url of that node, and --ca here"}
	case v.unready != "":
		return finding{name, verdictFail, fmt.Sprintf("%s: is not ready: %s", place, v.unready), "it may yet catch up; its log says more"}
	case n.State == "joining":
		return finding{name, verdictWarn, place + ": is joining, and does not vote yet", fmt.Sprintf("wait until it has caught up; where it never does: %q", remove)}
	case n.State == "leaving":
		return finding{name, verdictWarn, place + ": is leaving", "wait; further changes of the members have to wait too"}
	}
	return healthy(name, "%s: ready", place)
}

func joined(numbers []int64) string {
	var all []string
	for _, n := range numbers {
		all = append(all, strconv.FormatInt(n, 10))
	}
	return strings.Join(all, ", ")
}

// judgeQuorum tells how many more may be lost.
func judgeQuorum(seen clusterAnswer) finding {
	there, voters := 0, 0
	for _, n := range seen.Nodes {
		if n.State != "voting" {
			continue
		}
		voters++
		if n.Reachable && len(n.Diverged) == 0 {
			there++
		}
	}
	message := fmt.Sprintf("%d of %d voting members answer node %s", there, voters, seen.NodeID)
	switch spare := there - (voters/2 + 1); {
	case spare < 0:
		return finding{"quorum", verdictFail, message + ": nothing can be written", `start the others; where their directories are lost, docs/operations.md, "A majority is lost"`}
	case spare == 0:
		return finding{"quorum", verdictWarn, message + ": one more loss stops writes", "bring the members above back before anything else is restarted; with none missing, add members up to three or five"}
	default:
		return healthy("quorum", "%s: %s more may be lost", message, thousands(int64(spare)))
	}
}

// judgeShards tells which shard has no leader, and who is far behind.
func judgeShards(seen clusterAnswer) (found []finding) {
	most := int64(0)
	for _, s := range seen.Shards {
		if s.Leader == nil {
			found = append(found, finding{fmt.Sprintf("shard %d", s.Shard), verdictFail, s.Kind + " shard without a leader: nothing is written to it",
				"where a majority answers one is chosen within seconds; otherwise see the members"})
		}
		for _, r := range s.Replicas {
			if r.Lag == nil {
				continue
			}
			if most = max(most, *r.Lag); *r.Lag > farBehind {
				found = append(found, finding{fmt.Sprintf("shard %d", s.Shard), verdictWarn, fmt.Sprintf("node %s is %s entries behind", r.ID, thousands(*r.Lag)),
					"it catches up by itself; where the number does not fall, look at its disk, its network and its log"})
			}
		}
	}
	if len(found) == 0 {
		found = append(found, healthy("shards", "%d shards have leaders; no node is more than %s entries behind", len(seen.Shards), thousands(most)))
	}
	return found
}

// judgeDirectory holds the data directory here against the members.
func (d *doctor) judgeDirectory(seen clusterAnswer) finding {
	id := d.settings.nodeID
	if d.settings.own() == nil || d.settings.dataDir == "" || d.identity == nil {
		return finding{}
	}
	rejoin := fmt.Sprintf("%q, then start it", fmt.Sprintf("leat cluster rejoin --node-id %s --data-dir %s --server URL", id, d.settings.dataDir))
	state, err := d.identity(d.settings.dataDir)
	at := slices.IndexFunc(seen.Nodes, func(n clusterNode) bool { return n.ID == id })
	switch {
	case err != nil:
		return finding{"identity", verdictFail, err.Error(), rejoin}
	case at < 0:
		return finding{"identity", verdictFail, fmt.Sprintf("node %q is no member of the cluster", id), fmt.Sprintf("%q, then start it with --join, on an empty directory", "leat cluster members add "+id+" --raft-address HOST:PORT")}
	case state == "" && seen.Nodes[at].State == "voting":
		return finding{"identity", verdictWarn, fmt.Sprintf("%s is empty, and the cluster has a node %q: unless that has never run the others refuse it", d.settings.dataDir, id), "put its directory back, or " + rejoin}
	case state != "" && state != id:
		return finding{"identity", verdictFail, fmt.Sprintf("%s belongs to node %q, not to %q", d.settings.dataDir, state, id), "correct --node-id or --data-dir"}
	}
	return healthy("identity", "%s is that of node %q", d.settings.dataDir, id)
}

// judgeVersions tells where the members are not of one version.
func judgeVersions(seen clusterAnswer, visits []visit) finding {
	by := make(map[string][]string)
	for i, v := range visits {
		if v.version != "" {
			by[v.version] = append(by[v.version], seen.Nodes[i].ID)
		}
	}
	var all []string
	for version, nodes := range by {
		all = append(all, strings.Join(nodes, ", ")+": "+version)
	}
	slices.Sort(all)
	switch len(by) {
	case 0:
		return finding{}
	case 1:
		return healthy("versions", "%s", all[0])
	}
	return finding{"versions", verdictWarn, strings.Join(all, "; "), "go on with the upgrade: restart the others one by one"}
}

// judgeClocks tells whose clock is not that of this machine.
func judgeClocks(seen clusterAnswer, visits []visit) finding {
	var wrong []string
	asked := 0
	for i, v := range visits {
		if v.err != nil {
			continue
		}
		asked++
		if v.ahead.Abs() > wrongClock {
			wrong = append(wrong, fmt.Sprintf("%s by %s", seen.Nodes[i].ID, v.ahead.Round(time.Second)))
		}
	}
	switch {
	case asked == 0:
		return finding{}
	case len(wrong) > 0:
		return finding{"clocks", verdictWarn, "ahead of this machine: " + strings.Join(wrong, ", "), "run an NTP client on all of them: records are stamped and expire by the clock in the middle"}
	}
	return healthy("clocks", "%d nodes are within %s of this machine", asked, wrongClock)
}

// judgeCertificates tells whose certificate for clients ends soon. The one between nodes
// is told with the settings of its node.
func judgeCertificates(seen clusterAnswer, visits []visit, now time.Time) (found []finding) {
	for i, v := range visits {
		if v.expires.IsZero() || v.expires.Sub(now) >= expiresSoon {
			continue
		}
		found = append(found, finding{"certificate", verdictWarn, fmt.Sprintf("clients refuse node %s from %s on", seen.Nodes[i].ID, v.expires.UTC().Format(time.RFC3339)),
			"put a new one where its --tls-cert is: it is read again when it changes"})
	}
	return found
}
