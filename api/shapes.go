package api

// shape is what goes into a call and comes out of it, in the notation of schema.go.
type shape struct {
	body   string // JSON; "bytes" for any bytes, "" for none
	answer string // JSON, of a call that worked; "" where it is something else
	types  string // media types of other answers, separated by spaces
	status string // of a call that worked, "200" if empty
}

// components are the schemas that shapes share.
func components() map[string]string {
	return map[string]string{
		"Error": `{ok false, error string, message string, docs string, pointer? string, line? int, column? int, parameter? string, retryable? bool, *}`,
		"Appended": `{ok true, offset? int|null, first_offset? int|null, count? int, partition int|null, batch_id? int, sealed bool, durable bool, mode? string,
			synced bool|null, duplicate? bool, timing? {queue_us int, parse_us int, commit_us int, total_us int}}`,
		"SchemaError":   `{error_code int, message string}`,
		"Draft":         `{schema string, schemaType? string, references? []#Reference, id? int, version? int, *}`,
		"Reference":     `{name string, subject string, version int}`,
		"SchemaVersion": `{subject string, version int, id int, schemaType? string, references? []#Reference, schema string, deleted? bool}`,
		"Message":       `{offset int, partition int, value? string, key? string, value_b64? base64, key_b64? base64}`,
		"Topic":         `{ok true, topic string, partitions int}`,
		"Document":      `{value base64, cas int}`,
		"Meta":          `{cas int, size int, ttl_ms int|null, created_ms int, updated_ms int}`,
		"KeyMeta":       `{key string, cas int, size int, ttl_ms int|null, created_ms int, updated_ms int}`,
		"Spec":          `{*}`,
		"QueryStatus":   `{name string, state string, rows object, partitions []object, state_bytes int, checkpoint any, error? any, spec any, *}`,
		"Rows":          `{ok true, rows []any, next_offset int, complete? bool}`,
		"Source":        `{topic string, partition int, group? string|null, offset? int|null, limit? int|null, event_time? string|null, decode? object|null, *}`,
		"Condition":     `{field? string, op? string, value? any, and? []#Condition, or? []#Condition, not? #Condition}`,
	}
}

// shapes says for every route what goes in and comes out.
func shapes() map[string]shape {
	const text, events = "text/plain", "application/x-ndjson text/event-stream"
	const sealed = `sealed true, durable true, mode string, synced true, batch_id int`
	const shards = `[]{shard int, kind string, role string, leader_id string|null, leader_url string|null, term int, applied_index int, checkpointed_index int,
		log_time_ms int, queued_bytes int, document_bytes int, replicas? []{id string, lag int|null}}`
	const member = `id string, replica_id int, raft_address string|null, url string|null, priority int, state string`
	named := shape{answer: `{ok true, name string}`}
	rows := shape{answer: `#Rows`}
	mode := shape{answer: `{mode string}`}
	return map[string]shape{
		"GET /":                   {types: "text/html"},
		"GET /health":             {answer: `{ok true}`},
		"GET /ready":              {answer: `{ready true}`},
		"GET /docs":               {types: "text/html"},
		"GET /docs/errors":        {types: text},
		"GET /docs/errors/{code}": {types: text},
		"GET /openapi.json":       {answer: `object`},
		"GET /metrics":            {types: text},
		"GET /metrics_ha": {answer: `{node_id string, role string, leader_id string|null, leader_url string|null, term int, commit_index int, applied_index int,
			nodes []{id string, url string|null, role string, lag int|null, reachable bool}}`},
		"GET /cluster": {answer: `{ok true, node_id string, version? string, shards ` + shards + `, raft_log_bytes int,
			nodes []{id string, url string|null, state? string, raft_address? string|null, reachable? bool, diverged? []int}}`},
		"GET /cluster/members": {answer: `{ok true, cluster string|null, data_shards int,
			members []{id string, replica_id int, raft_address string|null, url string|null, priority int, state string, reachable bool}}`},
		"POST /cluster/members":          {body: `{id string, raft_address? string, url? string, priority? int, replaces? int}`, answer: `{ok true, ` + member + `}`},
		"DELETE /cluster/members/{node}": {answer: `{ok true, ` + member + `}`},
		"POST /cluster/transfer":         {body: `{shard int, to string}`, answer: `{ok true, shard int, leader_id string}`},

		"POST /broker/topics": {body: `{name string, partitions? int}`, answer: `#Topic`},
		"GET /broker/topics":  {answer: `{ok true, topics []{topic string, partitions int, created_ms int}}`},
		"GET /broker/topics/{topic}": {answer: `{ok true, topic string, partitions int, created_ms int,
			detail []{partition int, first_offset int, next_offset int, bytes int, leader string|null, schema any}}`},
		"GET /broker/topics/{topic}/groups": {answer: `{ok true, topic string, groups []{group string,
			partitions []{partition int, committed_offset int|null, next_offset int, lag int}}, count int, next_after string|null}`},
		"DELETE /broker/topics/{topic}":              {answer: `{ok true, topic string}`},
		"POST /broker/topics/{topic}/produce":        {body: "bytes", answer: `#Appended`},
		"POST /broker/topics/{topic}/produce-ndjson": {body: "bytes", answer: `#Appended`},
		"GET /broker/consume/{topic}/{group}/{partition}": {answer: `{messages []#Message, count int, next_offset int, committed_offset int|null,
			truncated bool, skipped? int}`},
		"POST /broker/commit":                    {body: `{topic string, group string, partition int, offset int}`, answer: `{ok true, committed_offset int}`},
		"GET /broker/stream/{topic}/{partition}": {types: events},
		"POST /broker/delete-before":             {body: `{topic string, partition int, before_offset int}`, answer: `{ok true, deleted_count int, freed_bytes int}`},
		"POST /broker/retention":                 {body: `{topic string, partition? int, ttl_ms? int, max_bytes? int}`, answer: `{ok true, topic string, partition int|null, ttl_ms int, max_bytes int}`},
		"POST /broker/query": {
			body: `{source #Source, filter? string|[]#Condition, aggregate? {group_by? []string, aggs? []{fn string, field? string, as? string, *}, *},
				window? {size_ms int, *}, transform? {left_fields? []string, emit_rows? int, *}, *}`,
			answer: `{ok true, rows []object, aggregates []{key string, count int, window_start? int, *},
				source {topic string, group string|null, partition int, next_offset int, consumed int}}`,
		},
		"POST /broker/join": {
			body: `{left #Source, right #Source, on {left_key? string, right_key? string, left_keys? []string, right_keys? []string, *},
				window? {size_ms int, allowed_lateness_ms? int, *}, join? {type string, *}, dedupe_once? bool,
				emit? {left_fields? []string, right_fields? []string, max_rows? int, missing_as? string, *}, *}`,
			answer: `{ok true, rows []{key string|null, left_ts_ms int|null, right_ts_ms int|null, left object|null, right object|null},
				next_offsets {left int, right int}, stats {left_scanned int, right_scanned int, rows int, watermark_ms int|null, outer_left int, outer_right int,
				dedupe_once bool, truncated bool}}`,
		},

		"POST /kv/{namespace}/{key}":     {body: "bytes", answer: `{ok true, cas int, ` + sealed + `}`},
		"GET /kv/{namespace}/{key}":      {answer: `#Document`},
		"GET /kv/{namespace}/{key}/meta": {answer: `#Meta`},
		"DELETE /kv/{namespace}/{key}":   {answer: `{ok true, deleted bool, ` + sealed + `}`},
		"GET /kv/{namespace}":            {answer: `{ok true, keys []#KeyMeta, count int, next_after string|null, version int}`, types: events},

		"POST /queries":                     {body: `#Spec`, answer: `{ok true, name string, warnings []string}`, status: "201"},
		"POST /queries/validate":            {body: `#Spec`, answer: `{ok true, warnings []string}`},
		"POST /queries/preview":             {body: `#Spec`, answer: `{ok true, rows []any, counts object, truncated bool}`},
		"GET /queries":                      {answer: `{ok true, queries []#QueryStatus}`},
		"GET /queries/{query}":              {answer: `#QueryStatus`},
		"PUT /queries/{query}":              {body: `#Spec`, answer: `{ok true, name string, warnings []string}`, status: "201"},
		"POST /queries/{query}/pause":       named,
		"POST /queries/{query}/resume":      named,
		"POST /queries/{query}/restart":     named,
		"DELETE /queries/{query}":           named,
		"GET /queries/{query}/plan":         {answer: `object`, types: text},
		"GET /queries/{query}/results":      {answer: `#Rows`, types: events},
		"GET /queries/{query}/view":         {answer: `{ok true, row object}`},
		"GET /queries/{query}/late":         rows,
		"GET /queries/{query}/dead-letters": rows,

		"GET /subjects":                                             {answer: `[]string`},
		"POST /subjects/{subject}":                                  {body: `#Draft`, answer: `#SchemaVersion`},
		"DELETE /subjects/{subject}":                                {answer: `[]int`},
		"GET /subjects/{subject}/versions":                          {answer: `[]int`},
		"POST /subjects/{subject}/versions":                         {body: `#Draft`, answer: `{id int}`},
		"GET /subjects/{subject}/versions/{version}":                {answer: `#SchemaVersion`},
		"DELETE /subjects/{subject}/versions/{version}":             {answer: `int`},
		"GET /subjects/{subject}/versions/{version}/schema":         {answer: `any`, types: text},
		"GET /subjects/{subject}/versions/{version}/referencedby":   {answer: `[]int`},
		"GET /schemas":                                              {answer: `[]#SchemaVersion`},
		"GET /schemas/types":                                        {answer: `[]string`},
		"GET /schemas/ids/{id}":                                     {answer: `{maxId? int, schemaType? string, references? []#Reference, schema string}`},
		"GET /schemas/ids/{id}/schema":                              {answer: `any`, types: text},
		"GET /schemas/ids/{id}/subjects":                            {answer: `[]string`},
		"GET /schemas/ids/{id}/versions":                            {answer: `[]{subject string, version int}`},
		"POST /compatibility/subjects/{subject}/versions":           {body: `#Draft`, answer: `{is_compatible bool, messages? []string}`},
		"POST /compatibility/subjects/{subject}/versions/{version}": {body: `#Draft`, answer: `{is_compatible bool, messages? []string}`},
		"GET /config":                                               {answer: `{compatibilityLevel string}`},
		"PUT /config":                                               {body: `{compatibility string, *}`, answer: `{compatibility string}`},
		"DELETE /config":                                            {answer: `{compatibilityLevel string, compatibility string}`},
		"GET /config/{subject}":                                     {answer: `{compatibilityLevel string}`},
		"PUT /config/{subject}":                                     {body: `{compatibility string, *}`, answer: `{compatibility string}`},
		"DELETE /config/{subject}":                                  {answer: `{compatibilityLevel string, compatibility string}`},
		"GET /mode":                                                 mode,
		"PUT /mode":                                                 {body: `{mode string, *}`, answer: mode.answer},
		"DELETE /mode":                                              mode,
		"GET /mode/{subject}":                                       mode,
		"PUT /mode/{subject}":                                       {body: `{mode string, *}`, answer: mode.answer},
		"DELETE /mode/{subject}":                                    mode,
	}
}
