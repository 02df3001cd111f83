package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"leat/codecs"
	"leat/codecs/formats"
	"leat/queries"
)

// runFile is the Avro container file of a run over files, which is there only when it is
// complete.
type runFile struct {
	name string
	file *os.File // with another name until the end
	out  *formats.RowFile
	rows int
}

// begin makes the file for the rows of a plan.
func (f *runFile) begin(plan *queries.Plan) (err error) {
	if f.file, err = os.CreateTemp(filepath.Dir(f.name), ".leat-*.avro"); err != nil {
		return err
	}
	var sync [16]byte
	if _, err := rand.Read(sync[:]); err != nil {
		return err
	}
	f.out, err = formats.NewRowFile(f.file, plan.Name, plan.Row, sync)
	var member *codecs.MemberError
	if errors.As(err, &member) {
		return &failure{exit: exitFailure, code: "invalid_schema", text: fmt.Sprintf(
			"the rows cannot be written to %s: %v; convert the value in \"select\", as with string(x), int(x) or float(x)", f.name, member)}
	}
	return err
}

func (f *runFile) add(row []byte) error {
	if err := f.out.Append(row); err != nil {
		return fmt.Errorf("row %d, written to %s: %w", f.rows, f.name, err)
	}
	f.rows++
	return nil
}

// end gives the file its name, unless the run has failed. A nil *runFile has nothing to do.
func (f *runFile) end(failed error) error {
	if f == nil || failed != nil {
		return nil
	}
	if err := errors.Join(f.out.Flush(), f.file.Close()); err != nil {
		return err
	}
	return os.Rename(f.file.Name(), f.name)
}

// drop removes what is left of a file that was not completed.
func (f *runFile) drop() {
	if f.file != nil {
		_ = f.file.Close()
		_ = os.Remove(f.file.Name()) // it has another name by now, or is of no use
	}
}
