package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestSchemaListHasAll: the server answers a page of the versions at a time, and the list
// has all of them, as they are.
func TestSchemaListHasAll(t *testing.T) {
	t.Parallel()
	for _, there := range []int{0, 1, schemasPage, 2*schemasPage + 3} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			offset, err := strconv.Atoi(r.URL.Query().Get("offset"))
			if err != nil || r.URL.Path != "/schemas" || r.URL.Query().Get("latestOnly") != "true" || r.URL.Query().Get("subjectPrefix") != "s" {
				t.Errorf("%s: %v", r.URL, err)
			}
			var page []string
			for n := offset; n < min(there, offset+schemasPage); n++ {
				page = append(page, fmt.Sprintf(`{"subject":"s%d","version":1,"id":%d,"schema":"\"<&>\""}`, n, n+1))
			}
			_, _ = fmt.Fprintf(w, "[%s]", strings.Join(page, ","))
		}))
		defer server.Close()
		got := leat(t.Context(), "", nil, "schema", "list", "s", "--server", server.URL, "-o", "json")
		var list []registered
		if err := json.Unmarshal([]byte(got.out), &list); err != nil || got.exit != 0 || len(list) != there {
			t.Fatalf("%d of %d versions, %v, exit %d: %s", len(list), there, err, got.exit, got.err)
		}
		for n, v := range list {
			if v.Subject != fmt.Sprintf("s%d", n) || v.ID != n+1 || v.Schema != `"<&>"` {
				t.Fatalf("version %d is %+v", n, v)
			}
		}
	}
}
