//go:build !linux

package log

import "os"

func syncData(f *os.File) error { return f.Sync() }
