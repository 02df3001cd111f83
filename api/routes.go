package api

import (
	"slices"
	"strings"
)

// public is the scope of a route that needs no token.
const public Scope = 0

// route is one line of the table of calls.
type route struct {
	method  string
	path    string
	scope   Scope    // a token has to have one of these
	params  []string // the parameters of the address that it knows; at most one may be repeated
	handle  func(*call) error
	summary string
}

// named are the parameters of a route but for anyOther.
func (r *route) named() []string {
	return slices.DeleteFunc(slices.Clone(r.params), func(name string) bool { return name == anyOther })
}

// routes is every call there is.
func routes() []route {
	const reading = ScopeAdmin | ScopeProduce | ScopeConsume
	producing := []string{"partition", "key", "idempotency_key", "timeout_ms", "timing", "mode", "acks"}
	paging := []string{"offset", "limit"}
	return []route{
		{"GET", "/", scopeAll, nil, (*call).home, "A page with links."},
		{"GET", "/health", public, nil, (*call).health, "The process is alive."},
		{"GET", "/ready", public, nil, (*call).ready, "The node can serve."},
		{"GET", "/docs", scopeAll, nil, (*call).docs, "A page about the calls."},
		{"GET", "/openapi.json", scopeAll, nil, (*call).openAPI, "The calls as an OpenAPI document."},
		{"GET", "/docs/errors", scopeAll, nil, (*call).errorIndex, "The list of error codes."},
		{"GET", "/docs/errors/:code", scopeAll, nil, (*call).errorPage, "What one error code means."},

		{"GET", "/metrics", ScopeAdmin, nil, (*call).metrics, "Metrics in the Prometheus text format."},
		{"GET", "/metrics_ha", scopeAll, nil, (*call).metricsHA, "Where the metadata shard stands."},
		{"GET", "/cluster", ScopeAdmin, nil, (*call).clusterState, "Where every shard stands."},
		{"GET", "/cluster/members", ScopeAdmin, nil, (*call).listMembers, "Who belongs to the cluster."},
		{"POST", "/cluster/members", ScopeAdmin, nil, (*call).addMember, "Add a node to the cluster."},
		{"DELETE", "/cluster/members/:node", ScopeAdmin, nil, (*call).removeMember, "Take a node out of the cluster."},
		{"POST", "/cluster/transfer", ScopeAdmin, nil, (*call).transferLeader, "Make another node the leader of a shard."},

		{"POST", "/broker/topics", ScopeAdmin, nil, (*call).createTopic, "Create a topic."},
		{"GET", "/broker/topics", reading, nil, (*call).listTopics, "List the topics."},
		{"GET", "/broker/topics/:topic", reading, nil, (*call).describeTopic, "Describe a topic."},
		{"DELETE", "/broker/topics/:topic", ScopeAdmin, nil, (*call).deleteTopic, "Delete a topic and its records."},
		{"GET", "/broker/topics/:topic/groups", ScopeConsume, []string{"limit", "after"}, (*call).listGroups, "List the groups of a topic and where they stand."},
		{"POST", "/broker/topics/:topic/produce", ScopeProduce, producing, (*call).produce, "Append the body as one record."},
		{"POST", "/broker/topics/:topic/produce-ndjson", ScopeProduce, append([]string{"encoding"}, producing...), (*call).produceNDJSON, "Append each line of the body as a record, all or nothing."},
		{"GET", "/broker/consume/:topic/:group/:partition", ScopeConsume, []string{"offset", "limit", "encoding", "wait_ms"}, (*call).consume, "Read records."},
		{"POST", "/broker/commit", ScopeConsume, nil, (*call).commit, "Say how far a group has come."},
		{"GET", "/broker/stream/:topic/:partition", ScopeConsume, []string{"offset", "encoding"}, (*call).tail, "Follow a partition."},
		{"POST", "/broker/delete-before", ScopeAdmin, nil, (*call).deleteBefore, "Delete the records below an offset."},
		{"POST", "/broker/retention", ScopeAdmin, nil, (*call).retention, "Say how much a topic keeps."},
		{"POST", "/broker/query", ScopeQuery, nil, (*call).oneShotQuery, "Filter and count a range of a partition once."},
		{"POST", "/broker/join", ScopeQuery, nil, (*call).oneShotJoin, "Join ranges of two partitions once."},

		{"GET", "/kv/:namespace", ScopeKV, []string{"prefix", "limit", "after", "stale", "watch"}, (*call).listDocuments, "List or watch the keys of a namespace."},
		{"POST", "/kv/:namespace/*", ScopeKV, []string{"cas", "ttl_ms"}, (*call).putDocument, "Set a key to the body."},
		{"GET", "/kv/:namespace/*/meta", ScopeKV, []string{"stale"}, (*call).documentMeta, "What is known of a key besides its value."},
		{"GET", "/kv/:namespace/*", ScopeKV, []string{"stale"}, (*call).getDocument, "Read a key."},
		{"DELETE", "/kv/:namespace/*", ScopeKV, []string{"cas"}, (*call).deleteDocument, "Delete a key."},

		{"POST", "/queries", ScopeQuery, nil, (*call).createQuery, "Start a query."},
		{"POST", "/queries/validate", ScopeQuery, nil, (*call).validateQuery, "Check a query spec."},
		{"POST", "/queries/preview", ScopeQuery, []string{"records", "limit"}, (*call).previewQuery, "Run a query spec over the last records and store nothing."},
		{"GET", "/queries", ScopeQuery, nil, (*call).listQueries, "List the queries with their status."},
		{"GET", "/queries/:query", ScopeQuery, nil, (*call).getQuery, "The status of a query."},
		{"PUT", "/queries/:query", ScopeQuery, nil, (*call).putQuery, "Start a query unless it is there."},
		{"POST", "/queries/:query/pause", ScopeQuery, nil, (*call).pauseQuery, "Stop a query until it is resumed."},
		{"POST", "/queries/:query/resume", ScopeQuery, nil, (*call).resumeQuery, "Have a paused query go on."},
		{"POST", "/queries/:query/restart", ScopeQuery, nil, (*call).restartQuery, "Start a query anew, with empty results."},
		{"DELETE", "/queries/:query", ScopeQuery, nil, (*call).deleteQuery, "Stop a query and delete its state and results."},
		{"GET", "/queries/:query/plan", ScopeQuery, []string{"format"}, (*call).plan, "How a query runs."},
		{"GET", "/queries/:query/results", ScopeQuery, append([]string{"follow"}, paging...), (*call).results, "Read or follow the rows of a query."},
		{"GET", "/queries/:query/view", ScopeQuery, []string{"key" + repeated, "window_start"}, (*call).view, "The latest row of a group."},
		{"GET", "/queries/:query/late", ScopeQuery, paging, (*call).late, "Read the late rows of a query."},
		{"GET", "/queries/:query/dead-letters", ScopeQuery, paging, (*call).deadLetters, "Read the rows a query could not work on."},

		{"GET", "/subjects", readsSchemas, []string{"subjectPrefix", "deleted", "deletedOnly", "offset", "limit", anyOther}, (*call).listSubjects, "List the subjects."},
		{"POST", "/subjects/:subject", readsSchemas, []string{"deleted", "normalize", anyOther}, (*call).lookupSchema, "Find the version of a subject that has a schema."},
		{"DELETE", "/subjects/:subject", ScopeAdmin, []string{"permanent", anyOther}, (*call).deleteSubject, "Delete the versions of a subject."},
		{"GET", "/subjects/:subject/versions", readsSchemas, []string{"deleted", "deletedOnly", "offset", "limit", anyOther}, (*call).listVersions, "List the versions of a subject."},
		{"POST", "/subjects/:subject/versions", writesSchemas, []string{"normalize", anyOther}, (*call).registerSchema, "Register a schema."},
		{"GET", "/subjects/:subject/versions/:version", readsSchemas, []string{"deleted", anyOther}, (*call).getVersion, "A version of a subject."},
		{"DELETE", "/subjects/:subject/versions/:version", ScopeAdmin, []string{"permanent", anyOther}, (*call).deleteVersion, "Delete a version of a subject."},
		{"GET", "/subjects/:subject/versions/:version/schema", readsSchemas, []string{"deleted", anyOther}, (*call).getVersionText, "The text of a version of a subject."},
		{"GET", "/subjects/:subject/versions/:version/referencedby", readsSchemas, []string{"deleted", "offset", "limit", anyOther}, (*call).referencedBy, "The ids of the schemas that refer to a version."},
		{"GET", "/schemas", readsSchemas, []string{"subjectPrefix", "deleted", "latestOnly", "offset", "limit", anyOther}, (*call).listSchemas, "List the versions of all subjects."},
		{"GET", "/schemas/types", readsSchemas, []string{anyOther}, (*call).schemaTypes, "The types of schemas that can be registered."},
		{"GET", "/schemas/ids/:id", readsSchemas, []string{"fetchMaxId", anyOther}, (*call).getSchema, "The schema with an id."},
		{"GET", "/schemas/ids/:id/schema", readsSchemas, []string{anyOther}, (*call).getSchemaText, "The text of the schema with an id."},
		{"GET", "/schemas/ids/:id/subjects", readsSchemas, []string{"subject", "deleted", "offset", "limit", anyOther}, (*call).schemaSubjects, "The subjects that have a schema."},
		{"GET", "/schemas/ids/:id/versions", readsSchemas, []string{"subject", "deleted", "offset", "limit", anyOther}, (*call).schemaVersions, "The versions that have a schema."},
		{"POST", "/compatibility/subjects/:subject/versions", readsSchemas, []string{"verbose", "normalize", anyOther}, (*call).checkCompatibility, "Tell whether a schema is compatible with those of a subject."},
		{"POST", "/compatibility/subjects/:subject/versions/:version", readsSchemas, []string{"verbose", "normalize", anyOther}, (*call).checkCompatibility, "Tell whether a schema is compatible with a version."},
		{"GET", "/config", readsSchemas, []string{anyOther}, (*call).getLevel, "The global compatibility level."},
		{"PUT", "/config", ScopeAdmin, []string{anyOther}, (*call).putLevel, "Set the global compatibility level."},
		{"DELETE", "/config", ScopeAdmin, []string{anyOther}, (*call).deleteLevel, "Reset the global compatibility level."},
		{"GET", "/config/:subject", readsSchemas, []string{"defaultToGlobal", anyOther}, (*call).getLevel, "The compatibility level of a subject."},
		{"PUT", "/config/:subject", ScopeAdmin, []string{anyOther}, (*call).putLevel, "Set the compatibility level of a subject."},
		{"DELETE", "/config/:subject", ScopeAdmin, []string{anyOther}, (*call).deleteLevel, "Have a subject follow the global compatibility level."},
		{"GET", "/mode", readsSchemas, []string{anyOther}, (*call).getMode, "The global mode."},
		{"PUT", "/mode", ScopeAdmin, []string{"force", anyOther}, (*call).putMode, "Set the global mode."},
		{"DELETE", "/mode", ScopeAdmin, []string{anyOther}, (*call).deleteMode, "Reset the global mode."},
		{"GET", "/mode/:subject", readsSchemas, []string{"defaultToGlobal", anyOther}, (*call).getMode, "The mode of a subject."},
		{"PUT", "/mode/:subject", ScopeAdmin, []string{"force", anyOther}, (*call).putMode, "Set the mode of a subject."},
		{"DELETE", "/mode/:subject", ScopeAdmin, []string{anyOther}, (*call).deleteMode, "Have a subject follow the global mode."},
	}
}

// pattern is the path as documents write it: /kv/{namespace}/{key}.
func (r *route) pattern() string {
	parts := strings.Split(r.path, "/")
	for i, part := range parts {
		if name, found := strings.CutPrefix(part, ":"); found {
			parts[i] = "{" + name + "}"
		} else if part == "*" {
			parts[i] = "{key}"
		}
	}
	return strings.Join(parts, "/")
}

// register puts the table into the router. What can be read with GET answers HEAD.
func (s *Server) register() {
	for _, r := range routes() {
		handler := s.handler(r)
		s.app.Add(r.method, r.path, handler)
		if r.method == "GET" {
			s.app.Add("HEAD", r.path, handler)
		}
	}
}
