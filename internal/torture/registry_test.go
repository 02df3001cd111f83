package torture

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"leat/internal/testenv"

	"github.com/twmb/franz-go/pkg/sr"
)

// TestRegistryOnThreeNodes: clients of each node register the same schemas at once, while
// one of the nodes is killed. A schema has one id for all of them, no id
// is left out, and the node that was killed knows them all when it is back.
func TestRegistryOnThreeNodes(t *testing.T) {
	t.Parallel()
	const schemas, each, victim = 30, 3, 0
	f := startFleet(t, 3)
	var clients []*sr.Client // each of a node
	for _, url := range f.urls {
		for range each {
			c, err := sr.NewClient(sr.URLs(url))
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
	}
	half := make(chan struct{})
	ids := make([]map[int]int, len(clients)) // by client: of each schema
	var wait, halves sync.WaitGroup
	halves.Add(each)
	for i, c := range clients {
		ids[i] = map[int]int{}
		wait.Add(1)
		go func() {
			defer wait.Done()
			for done := range schemas {
				if i/each == victim && done == schemas/2 {
					halves.Done()
					return
				}
				n := (done + i%each*schemas/each) % schemas // not all in one order
				id, err := registerAnyhow(t.Context(), c, n)
				if err != nil {
					t.Errorf("client %d, schema %d: %v", i, n, err)
					return
				}
				ids[i][n] = id
			}
		}()
	}
	go func() { halves.Wait(); close(half) }()
	<-half
	f.kill(victim)
	wait.Wait()
	f.launch(t, victim)
	f.await(t, victim)
	agree(t, clients, ids, schemas)
}

// registerAnyhow registers a schema, again while the outcome is not known.
func registerAnyhow(ctx context.Context, c *sr.Client, n int) (id int, err error) {
	ctx, cancel := context.WithTimeout(ctx, testenv.Patience)
	defer cancel()
	schema := sr.Schema{Schema: fmt.Sprintf(`{"type":"fixed","name":"f%d","size":%d}`, n, n+1)}
	for {
		if id, err = c.RegisterSchema(ctx, fmt.Sprint("s", n), schema, -1, -1); err == nil {
			return id, nil
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// agree checks that the clients were given the same ids, dense from 1, and that every
// node reads each of them as the same schema.
func agree(t *testing.T, clients []*sr.Client, ids []map[int]int, schemas int) {
	t.Helper()
	taken := map[int]bool{}
	for n := range schemas {
		id := ids[len(ids)-1][n]
		if taken[id] || id < 1 || id > schemas {
			t.Errorf("schema %d has id %d", n, id)
		}
		taken[id] = true
		for i, c := range clients {
			if got, asked := ids[i][n]; asked && got != id {
				t.Errorf("client %d has id %d for schema %d, and another %d", i, got, n, id)
			}
			s, err := c.SchemaByID(t.Context(), id)
			if want := fmt.Sprintf(`{"type":"fixed","name":"f%d","size":%d}`, n, n+1); err != nil || s.Schema != want {
				t.Errorf("client %d reads id %d as %q, %v, want %s", i, id, s.Schema, err, want)
			}
		}
	}
}
