package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	airportSchema = `{"type":"record","name":"Airport","fields":[{"name":"code","type":"string"}]}`
	airportCity   = `{"type":"record","name":"Airport","fields":[{"name":"code","type":"string"},{"name":"city","type":"string"}]}`
	airportNoCity = `{"type":"record","name":"Airport","fields":[{"name":"code","type":"string"},{"name":"city","type":["null","string"],"default":null}]}`
	flightSchema  = `{"type":"record","name":"Flight","fields":[{"name":"origin","type":"Airport"}]}`
)

func registryClient(t *testing.T, url string) *sr.Client {
	t.Helper()
	c, err := sr.NewClient(sr.URLs(url))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refusedWith checks the code of a refusal.
func refusedWith(t *testing.T, what string, err error, want *sr.Error) {
	t.Helper()
	var refused *sr.ResponseError
	if !errors.As(err, &refused) || refused.SchemaError() != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// A client of the Confluent Schema Registry, as it is, registers, looks up, checks,
// refers, configures and deletes; a kill of the server loses nothing of it.
func TestRegistryClient(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := start(t, dir)
	c := registryClient(t, server.url)
	ctx := t.Context()

	airport, err := c.CreateSchema(ctx, "airport", sr.Schema{Schema: airportSchema})
	if err != nil || airport.ID != 1 || airport.Version != 1 || airport.Subject != "airport" || airport.Schema.Schema != airportSchema {
		t.Fatalf("%+v, %v", airport, err)
	}
	flight := sr.Schema{Schema: flightSchema, References: []sr.SchemaReference{{Name: "Airport", Subject: "airport", Version: 1}}}
	created, err := c.CreateSchema(ctx, "flights/eu-value", flight)
	if err != nil || created.ID != 2 || !slices.Equal(created.References, flight.References) {
		t.Fatalf("%+v, %v", created, err)
	}
	found, err := c.LookupSchema(ctx, "flights/eu-value", flight)
	if err != nil || found.ID != 2 || found.Version != 1 {
		t.Errorf("%+v, %v", found, err)
	}
	if referrers, err := c.SchemaReferences(ctx, "airport", 1); err != nil || len(referrers) != 1 || referrers[0].Subject != "flights/eu-value" {
		t.Errorf("%+v, %v", referrers, err)
	}

	check, err := c.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), "airport", -1, sr.Schema{Schema: airportCity})
	if err != nil || check.Is || len(check.Messages) == 0 {
		t.Errorf("%+v, %v", check, err)
	}
	_, err = c.CreateSchema(ctx, "airport", sr.Schema{Schema: airportCity})
	refusedWith(t, "an incompatible schema", err, sr.ErrIncompatibleSchema)
	if check, err = c.CheckCompatibility(ctx, "airport", -2, sr.Schema{Schema: airportNoCity}); err != nil || !check.Is {
		t.Errorf("%+v, %v", check, err)
	}
	if second, err := c.CreateSchema(ctx, "airport", sr.Schema{Schema: airportNoCity}); err != nil || second.ID != 3 || second.Version != 2 {
		t.Errorf("%+v, %v", second, err)
	}
	_, err = c.CreateSchema(ctx, "airport", sr.Schema{Schema: `{"type":"record"}`})
	refusedWith(t, "no schema", err, sr.ErrInvalidSchema)

	for _, r := range c.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, "airport") {
		if r.Err != nil || r.Level != sr.CompatFullTransitive {
			t.Errorf("%+v", r)
		}
	}
	levels := c.Compatibility(ctx, "airport", sr.GlobalSubject)
	if levels[0].Level != sr.CompatFullTransitive || levels[1].Level != sr.CompatBackward {
		t.Errorf("%+v", levels)
	}
	if r := c.ResetCompatibility(ctx, "airport")[0]; r.Err != nil || r.Level != sr.CompatFullTransitive {
		t.Errorf("%+v", r)
	}
	if r := c.SetMode(ctx, sr.ModeReadOnly)[0]; r.Err != nil || r.Mode != sr.ModeReadOnly {
		t.Errorf("%+v", r)
	}
	_, err = c.DeleteSubject(ctx, "airport", sr.SoftDelete)
	refusedWith(t, "deleting what is read-only", err, sr.ErrOperationNotPermitted)
	if r := c.ResetMode(ctx)[0]; r.Err != nil || r.Mode != sr.ModeReadOnly {
		t.Errorf("%+v", r)
	}
	_, err = c.DeleteSubject(ctx, "airport", sr.SoftDelete)
	refusedWith(t, "deleting what is referred to", err, sr.ErrReferenceExists)

	server.Kill()
	server = start(t, dir)
	c = registryClient(t, server.url)
	afterKill(t, c)
}

// afterKill looks at what was acknowledged before, and deletes it.
func afterKill(t *testing.T, c *sr.Client) {
	t.Helper()
	ctx := t.Context()
	if s, err := c.SchemaByID(ctx, 2); err != nil || s.Schema != flightSchema || len(s.References) != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if text, err := c.SchemaTextByVersion(ctx, "airport", -1); err != nil || text != airportNoCity {
		t.Errorf("%s, %v", text, err)
	}
	if subjects, err := c.Subjects(ctx); err != nil || !slices.Equal(subjects, []string{"airport", "flights/eu-value"}) {
		t.Errorf("%v, %v", subjects, err)
	}
	if err := c.DeleteSchema(ctx, "airport", 2, sr.HardDelete); err == nil {
		t.Error("a version is deleted for good at once")
	}
	for _, how := range []sr.DeleteHow{sr.SoftDelete, sr.HardDelete} {
		for _, subject := range []string{"flights/eu-value", "airport"} {
			if numbers, err := c.DeleteSubject(ctx, subject, how); err != nil || len(numbers) == 0 {
				t.Errorf("%s: %v, %v", subject, numbers, err)
			}
		}
		if how == sr.SoftDelete {
			if s, err := c.SchemaByID(ctx, 3); err != nil || s.Schema != airportNoCity {
				t.Errorf("%+v, %v", s, err)
			}
		}
	}
	_, err := c.SchemaByID(ctx, 3)
	refusedWith(t, "what is gone for good", err, sr.ErrSchemaNotFound)
	if s, err := c.CreateSchema(ctx, "airport", sr.Schema{Schema: airportSchema}); err != nil || s.ID != 4 || s.Version != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// Clients that register the same schemas at once get the same ids, and no id is left out.
func TestRegistryConcurrentClients(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir())
	const clients, schemas = 8, 12
	if r := registryClient(t, server.url).SetCompatibility(t.Context(), sr.SetCompatibility{Level: sr.CompatNone})[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	got := make([][schemas]int, clients)
	var wait sync.WaitGroup
	for i := range clients {
		wait.Add(1)
		go func() {
			defer wait.Done()
			c := registryClient(t, server.url)
			for j := range schemas {
				n := (i + j) % schemas
				s, err := c.CreateSchema(t.Context(), fmt.Sprintf("s%d-value", (i+j)%3), sr.Schema{Schema: fmt.Sprintf(`{"type":"fixed","name":"f%d","size":%d}`, n, n+1)})
				if err != nil {
					t.Error(err)
					return
				}
				got[i][n] = s.ID
			}
		}()
	}
	wait.Wait()
	ids := map[int]int{} // which schema has it
	for _, one := range got {
		for n, id := range one {
			if other, known := ids[id]; known && other != n {
				t.Errorf("schemas %d and %d have the id %d", n, other, id)
			}
			ids[id] = n
		}
	}
	for id := 1; id <= schemas; id++ {
		if _, ok := ids[id]; !ok || len(ids) != schemas {
			t.Errorf("%d ids were given out, %d among them: %v", len(ids), id, ok)
		}
	}
}
