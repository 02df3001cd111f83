package cluster

import (
	"fmt"
	"testing"
	"time"

	"leat/internal/bus"
	"leat/internal/fault"
	"leat/internal/testenv"
)

func TestDocumentsExpireByLogTime(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir()}
	r := start(t, c)
	ctx := within(t, 60*time.Second)
	shard := r.DataShard("kv/ns")
	since := r.DocVersion(shard)
	done, err := r.Transact(ctx, bus.Txn{Shard: shard, Puts: []bus.Doc{
		{Key: "short", Value: []byte("1"), TTLMs: 20}, {Key: "long", Value: []byte("2"), TTLMs: 3_600_000}, {Key: "ever", Value: []byte("3")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the short document expires", func() bool { _, ok := r.Doc(shard, "short"); return !ok })
	if !r.DocExpired(shard, "short") || r.DocExpired(shard, "never was") {
		t.Fatal("an expired document is remembered as such, and nothing else is")
	}
	changes, next, ok := r.DocChanges(shard, since, "")
	if !ok || len(changes) != 4 || !changes[3].Expired || changes[3].Version <= done.Versions[2] || next != changes[3].Version {
		t.Fatalf("changes %+v, next %d", changes, next)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, c)
	for key, want := range map[string]bool{"short": false, "long": true, "ever": true} {
		if _, ok := r.Doc(shard, key); ok != want {
			t.Errorf("after the restart %q is there: %v", key, ok)
		}
	}
	if !r.DocExpired(shard, "short") {
		t.Error("the restart forgot that a document expired")
	}
	// Versions are never used again, not even that of the expiry.
	again, err := r.Transact(ctx, bus.Txn{Shard: shard, Fence: &bus.Fence{Key: "short"}, Puts: []bus.Doc{{Key: "short"}}})
	if err != nil || again.Versions[0] <= next {
		t.Fatalf("created again: %+v, %v", again, err)
	}
}

func TestDocumentPagesAndDeletes(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 60*time.Second)
	shard := r.DataShard("kv/ns")
	for i := range 10 {
		if _, err := r.Transact(ctx, bus.Txn{Shard: shard, Puts: []bus.Doc{{Key: fmt.Sprint("a/", i)}, {Key: fmt.Sprint("b/", i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	var pages []string
	after := ""
	for {
		page := r.DocsPage(shard, "a/", after, 3)
		if len(page) == 0 {
			break
		}
		for _, d := range page {
			pages = append(pages, d.Key)
		}
		after = page[len(page)-1].Key
	}
	if fmt.Sprint(pages) != "[a/0 a/1 a/2 a/3 a/4 a/5 a/6 a/7 a/8 a/9]" {
		t.Fatalf("pages %v", pages)
	}
	done, err := r.Transact(ctx, bus.Txn{Shard: shard, Deletes: []string{"a/3", "a/none"}})
	if err != nil || !done.Deleted[0] || done.Deleted[1] {
		t.Fatalf("deleted %+v, %v", done, err)
	}
	_, err = r.Transact(ctx, bus.Txn{Shard: shard, Fence: &bus.Fence{Key: "a/4", Version: 1}, Deletes: []string{"a/4"}})
	kind(t, err, fault.Conflict, "fenced")
}

// Who watches and falls behind is told, not given a part.
func TestWatchersThatFallBehindAreTold(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 60*time.Second)
	shard := r.DataShard("kv/ns")
	since := r.DocVersion(shard)
	puts := make([]bus.Doc, recentKept)
	for i := range puts {
		puts[i].Key = fmt.Sprint("k", i)
	}
	if _, err := r.Transact(ctx, bus.Txn{Shard: shard, Puts: puts}); err != nil {
		t.Fatal(err)
	}
	changes, next, ok := r.DocChanges(shard, since, "")
	if !ok || len(changes) != recentKept {
		t.Fatalf("%d changes, ok %v", len(changes), ok)
	}
	if _, err := r.Transact(ctx, bus.Txn{Shard: shard, Puts: puts[:1]}); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := r.DocChanges(shard, since, ""); ok {
		t.Fatal("changes that are forgotten were not missed")
	}
	if changes, _, ok := r.DocChanges(shard, next, "k0"); !ok || len(changes) != 1 {
		t.Fatalf("%d changes, ok %v", len(changes), ok)
	}
}

// A reader sees the documents of a transaction together, puts and deletes.
func TestTransactionsAreSeenWhole(t *testing.T) {
	t.Parallel()
	r := start(t, Config{Dir: t.TempDir()})
	ctx := within(t, 60*time.Second)
	shard := r.DataShard("kv/ns")
	const many, rounds = 500, 100
	done := make(chan error, 1)
	go func() {
		for round := range rounds {
			txn := bus.Txn{Shard: shard}
			for i := range many {
				txn.Puts = append(txn.Puts, bus.Doc{Key: fmt.Sprint("whole/", round, "/", i)})
				if round > 0 {
					txn.Deletes = append(txn.Deletes, fmt.Sprint("whole/", round-1, "/", i))
				}
			}
			if _, err := r.Transact(ctx, txn); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		if seen := len(r.Docs(shard, "whole/")); seen != 0 && seen != many {
			t.Fatalf("a reader sees %d documents, not %d", seen, many)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}
