package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/lni/dragonboat/v4/logger"
)

// bridge is the way of dragonboat's messages to slog. Dragonboat's logger
// factory belongs to the process and panics when it is set twice, so there is
// one bridge for all nodes of a process and the first node's logger wins.
var bridge sync.Once

func bridgeLogging(to *slog.Logger) {
	bridge.Do(func() {
		logger.SetLoggerFactory(func(pkg string) logger.ILogger {
			return &bridgeLogger{to: to.With("component", pkg)}
		})
	})
}

// bridgeLogger passes errors on. What dragonboat calls information or a warning
// is detail here: to it every election is a warning.
type bridgeLogger struct{ to *slog.Logger }

// SetLevel does nothing: the slog handler decides.
func (l *bridgeLogger) SetLevel(logger.LogLevel) {}

// Debugf drops the message.
func (l *bridgeLogger) Debugf(string, ...any) {}

// Infof logs at the debug level.
func (l *bridgeLogger) Infof(format string, args ...any) { l.log(slog.LevelDebug, format, args) }

// Warningf logs at the debug level.
func (l *bridgeLogger) Warningf(format string, args ...any) { l.log(slog.LevelDebug, format, args) }

// Errorf logs at the error level.
func (l *bridgeLogger) Errorf(format string, args ...any) { l.log(slog.LevelError, format, args) }

// Panicf logs and panics: dragonboat counts on it not to return.
func (l *bridgeLogger) Panicf(format string, args ...any) {
	l.log(slog.LevelError, format, args)
	panic(fmt.Sprintf(format, args...))
}

func (l *bridgeLogger) log(level slog.Level, format string, args []any) {
	if l.to.Enabled(context.Background(), level) {
		l.to.Log(context.Background(), level, strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
