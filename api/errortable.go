package api

import (
	"bytes"
	"fmt"
	"strings"
)

// documented is one row of the table of error codes.
type documented struct {
	Code    string
	Status  string // every status it comes with
	Meaning string
	Remedy  string
}

// errorTable lists every code a client can meet, sorted by code. Codes and
// statuses are frozen: a row may be added, never changed.
func errorTable() []documented {
	return []documented{
		{"batch_too_large", "413", "The records of one call are too large together.", "Send less at a time; the message names the limit."},
		{"body_too_large", "413", "The body is larger than the server takes.", "Send less at a time; the message names the limit."},
		{"cas_mismatch", "409", "The key has another `cas` than the call names.", "Read the key, decide anew. Member `cas` is the present one, 0 where there is no such key."},
		{"changes_gone", "410", "The changes after the version asked for are no longer known.", "List the keys, and watch from the `version` of that answer."},
		{"corrupt_record", "500", "Bytes on the disk of the server are damaged; nothing wrong was returned.", "Members `file` and `byte_offset` say where. Restore the replica."},
		{"cross_origin", "403", "A web page of another origin, or under another host name, called a server that has no tokens.", "Configure tokens, or call it by a loopback address."},
		{"disk_full", "507", "There is no room for more data. Reads go on.", "Free some space; writes resume by themselves."},
		{"duplicate_member", "400", "A JSON object has the same member twice.", "Remove one; `pointer`, `line` and `column` say where."},
		{"empty_body", "400", "The body holds no record.", "Send at least one non-empty line."},
		{"fenced", "409", "Somebody else has taken over what the call worked on.", "Read the present state and decide anew."},
		{"forbidden", "403", "The token is known and its scopes do not cover the call.", "Member `scope` names what is missing."},
		{"headers_too_large", "400", "The request line and headers are larger than the server takes.", "Shorten the address, the key or the headers."},
		{"idempotency_conflict", "422", "The idempotency key was used before with another body.", "Use a fresh key for different data."},
		{"incompatible_schema", "409", "The rows of a query need a schema that the versions before it in the topic's subject do not allow.", "The message has the reasons. Choose another topic, change the rows, or set another level for the subject."},
		{"internal", "500", "A defect of the server.", "Report it with the lines of the server's log."},
		{"invalid_group", "400", "The name of the consumer group is not valid.", "Use letters, digits, dot, underscore and dash, beginning with a letter or digit, at most 249."},
		{"invalid_json", "400", "The body is not one JSON object.", "Correct it at `line` and `column`."},
		{"invalid_key", "400", "The key is not valid.", "Use 1 to 1024 bytes of UTF-8 without control characters and without a part `.` or `..`."},
		{"invalid_member", "400", "A member of the JSON body has a wrong type or a value out of range.", "`pointer` names the member."},
		{"invalid_namespace", "400", "The name of the namespace is not valid.", "Use letters, digits, dot, underscore and dash, beginning with a letter or digit, at most 249."},
		{"invalid_parameter", "400", "A parameter of the address is malformed, out of range or given twice.", "`parameter` names it."},
		{"invalid_partition", "400", "The topic has no such partition.", "`GET /broker/topics/{topic}` lists them."},
		{"invalid_query", "400, 404, 409, 422", "The query spec cannot run.", "`problems` lists everything that is wrong with it."},
		{"invalid_query_name", "400", "The name of the query is not valid.", "Use letters, digits, dot, underscore and dash, beginning with a letter or digit, at most 128."},
		{"invalid_topic", "400", "The name of the topic is not valid.", "Use letters, digits, dot, underscore and dash, beginning with a letter or digit, at most 249."},
		{"malformed_request", "400", "The request is not well-formed HTTP.", "Correct the client; the connection is closed."},
		{"member_exists", "409", "The node is a member at another address, or another member is at the address.", "`GET /cluster/members` lists them."},
		{"membership_changing", "409", "Another change of the members is under way.", "Wait until `GET /cluster/members` shows all as `voting`, or remove the one that is joining."},
		{"method_not_allowed", "405", "The path exists, not with this method.", "Header `Allow` lists the methods."},
		{"missing_group", "400", "The name of the consumer group is missing.", "Add member `group`."},
		{"missing_node", "400", "The name of the node is missing.", "Add member `to`, or `id`."},
		{"missing_offset", "400", "The offset is missing.", "Add member `offset`."},
		{"missing_partition", "400", "The partition is missing.", "Add member `partition`."},
		{"missing_retention", "400", "The call does not say what to keep.", "Add `ttl_ms`, `max_bytes` or both; 0 means no bound."},
		{"missing_shard", "400", "The number of the shard is missing.", "Add member `shard`; `GET /cluster` lists them."},
		{"missing_topic", "400", "The name of the topic is missing.", "Add it to the body."},
		{"no_quorum", "503", "Too few nodes answer; nothing was written.", "Try again."},
		{"not_clustered", "409", "The node runs alone; it has no members to change.", "Start a cluster with `--nodes`."},
		{"not_found", "404", "There is no such path, or no such key.", "`GET /` lists the calls. Where member `expired` is true, the key's time was over."},
		{"not_grouped", "422", "The query has no groups, so it has no view.", "Read its results."},
		{"not_leader", "307", "Another node has to be asked.", "Follow `Location` with the same token; `curl -L` does, where there is a token `curl --location-trusted`."},
		{"not_ready", "503", "The node is starting, has no leader, or puts a snapshot in.", "Try again; the message says what it waits for."},
		{"offset_out_of_range", "410", "The offset is below the first there is.", "Start from the first offset, which member `first_offset` names."},
		{"overloaded", "503", "The server has as many connections, bodies in flight or one-shot queries as it takes.", "Try again later."},
		{"partition_closed", "503", "The partition is being closed: its topic is going away, or the server is.", "Try again."},
		{"precondition_failed", "412", "The key is not in the state that If-Match or If-None-Match asks for.", "Read the key, decide anew. Member `cas` is the present one, 0 where there is no such key."},
		{"query_exists", "409", "There is a query of that name with another spec.", "Delete it first, or choose another name."},
		{"query_failed", "409", "The query has stopped for good.", "The message says why; delete it and start it anew."},
		{"query_restarted", "409", "The query whose rows are followed was started anew.", "Follow it again from offset 0."},
		{"quorum_at_risk", "409", "Without the node too few members would be left, or would answer.", "Start the others first, or add a node."},
		{"quota_exceeded", "429", "A quota is used up.", "Remove something, or raise the quota."},
		{"record_too_large", "413", "A record is larger than the server takes.", "The message names the limit, `line` the line of a batch."},
		{"request_timeout", "408", "The request did not arrive in time.", "Send it faster, or in smaller parts."},
		{"shutting_down", "503", "The server is shutting down.", "Try again, or ask another node."},
		{"tls_required", "400", "The server speaks HTTPS, and the request is not encrypted.", "Call it by an address that begins with `https://`."},
		{"topic_exists", "409", "The topic exists with another number of partitions.", "Use the existing one, or delete it first."},
		{"unauthorized", "401", "There is no valid token.", "Send `Authorization: Bearer TOKEN`."},
		{"unbounded_state", "422", "The state of the query would grow without bound.", "Add a `window`, `ttl` or `max_state_bytes`."},
		{"unknown_member", "400", "The JSON body has a member that the call does not know.", "The message names the nearest known one."},
		{"unknown_outcome", "503", "The time was over before the outcome was known: the write may or may not have happened.", "Send it again with the same idempotency key."},
		{"unknown_parameter", "400", "The address has a parameter that the call does not know.", "The message names the nearest known one."},
		{"unknown_query", "404", "There is no query of that name.", "`GET /queries` lists them."},
		{"unknown_topic", "404", "There is no topic of that name.", "`GET /broker/topics` lists them."},
		{"unsupported", "422", "The request is valid, and this version cannot do it.", "Leave out what the message names."},
		{"unsupported_encoding", "415", "The body is compressed.", "Send it without `Content-Encoding`."},
		{"unsupported_format", "500", "Bytes on the disk of the server have a format that this version does not know.", "Start the version that wrote them."},
		{"value_too_large", "413", "The value is larger than the server takes.", "The message names the limit."},
		{"view_behind", "503", "The view has not read all rows of the query yet.", "Try again; it goes on where it stopped."},
	}
}

// errorsMarkdown is docs/errors.md.
func errorsMarkdown() []byte {
	var b bytes.Buffer
	b.WriteString(`# Error codes

Every refused call has one body:

` + "```json" + `
{"ok":false,"error":"missing_topic","message":"Topic name is required","docs":"/docs/errors/missing_topic"}
` + "```" + `

with, where they help, ` + "`pointer`, `line`, `column`" + ` (into the JSON sent), ` + "`parameter`" + `
(of the address), ` + "`retryable`" + ` (the same call may succeed later) and members of the code.
The text for people changes between versions; codes and statuses do not.

| code | status | meaning | what to do |
|---|---|---|---|
`)
	for _, e := range errorTable() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Code, e.Status, e.Meaning, e.Remedy)
	}
	return b.Bytes()
}

// errorPage is the text served for one code.
func errorPage(e documented) string {
	return fmt.Sprintf("%s (HTTP %s)\n\n%s\n%s\n", e.Code, e.Status, e.Meaning, e.Remedy)
}

// errorIndex is the text served where no code is named.
func errorIndex() string {
	var b strings.Builder
	for _, e := range errorTable() {
		fmt.Fprintf(&b, "%-22s %-14s /docs/errors/%s\n", e.Code, e.Status, e.Code)
	}
	return b.String()
}
