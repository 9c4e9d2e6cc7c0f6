package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// An Event is something QEMU reports on its own account: SHUTDOWN, RESET,
// STOP, NIC_RX_FILTER_CHANGED and so on (QEMU's qapi/*.json).
type Event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

// A QMPError is QEMU's refusal of a command.
type QMPError struct {
	Command string
	Class   string `json:"class"`
	Desc    string `json:"desc"`
}

func (e *QMPError) Error() string {
	return fmt.Sprintf("qmp %s: %s (%s)", e.Command, e.Desc, e.Class)
}

// ErrQMPClosed means that QEMU is gone or closed its control socket.
var ErrQMPClosed = errors.New("qmp: connection closed")

// A QMP is a client of QEMU's control protocol. Commands may be given from
// several goroutines; they run one after another.
type QMP struct {
	conn  io.ReadWriteCloser
	mu    sync.Mutex // held for the length of a command
	reply chan qmpMessage
	event chan Event
	done  chan struct{}
}

type qmpMessage struct {
	Greeting json.RawMessage `json:"QMP"`
	Return   json.RawMessage `json:"return"`
	Error    *QMPError       `json:"error"`
	Event
}

// newQMP greets the QEMU at the other end of conn and leaves negotiation mode.
// It owns conn from here on, also when it fails.
func newQMP(conn io.ReadWriteCloser) (*QMP, error) {
	q := &QMP{
		conn:  conn,
		reply: make(chan qmpMessage, 1),
		event: make(chan Event, 64),
		done:  make(chan struct{}),
	}
	dec := json.NewDecoder(conn)
	var hello qmpMessage
	if err := dec.Decode(&hello); err != nil {
		conn.Close()
		return nil, fmt.Errorf("qmp: no greeting: %w", err)
	}
	if hello.Greeting == nil {
		conn.Close()
		return nil, errors.New("qmp: the first message is not a greeting")
	}
	go q.read(dec)
	if err := q.Run("qmp_capabilities", nil, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

func (q *QMP) read(dec *json.Decoder) {
	defer close(q.done)
	for {
		var m qmpMessage
		if dec.Decode(&m) != nil {
			return
		}
		if m.Name == "" {
			q.reply <- m
			continue
		}
		select {
		case q.event <- m.Event:
		default: // nobody listens: the newest 64 are not worth blocking a command
		}
	}
}

// Run gives a command with its arguments (a struct or map, or nil) and stores
// the answer in result (a pointer, or nil). The error is a [*QMPError] when
// QEMU refused and [ErrQMPClosed] when it is gone.
func (q *QMP) Run(command string, args, result any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	msg := map[string]any{"execute": command}
	if args != nil {
		msg["arguments"] = args
	}
	line, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	if _, err := q.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrQMPClosed, command, err)
	}
	var m qmpMessage
	select {
	case m = <-q.reply:
	case <-q.done:
		// The answer may have arrived together with the end.
		select {
		case m = <-q.reply:
		default:
			return fmt.Errorf("%w: %s", ErrQMPClosed, command)
		}
	}
	if m.Error != nil {
		m.Error.Command = command
		return m.Error
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(m.Return, result)
}

// WaitEvent waits for the named event and drops others that come before it.
func (q *QMP) WaitEvent(name string, timeout time.Duration) (Event, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		select {
		case e := <-q.event:
			if e.Name == name {
				return e, nil
			}
			continue
		default:
		}
		select {
		case e := <-q.event:
			if e.Name == name {
				return e, nil
			}
		case <-q.done:
			if len(q.event) == 0 {
				return Event{}, fmt.Errorf("%w while waiting for %s", ErrQMPClosed, name)
			}
		case <-timer.C:
			return Event{}, fmt.Errorf("qmp: no event %s in %v", name, timeout)
		}
	}
}

// Status returns the run state: "running", "paused", "shutdown" …
func (q *QMP) Status() (string, error) {
	var s struct{ Status string }
	err := q.Run("query-status", nil, &s)
	return s.Status, err
}

// Stop pauses the guest's processors.
func (q *QMP) Stop() error { return q.Run("stop", nil, nil) }

// Cont lets a paused guest run on.
func (q *QMP) Cont() error { return q.Run("cont", nil, nil) }

// Quit ends QEMU at once, with status 0.
func (q *QMP) Quit() error { return q.Run("quit", nil, nil) }

// SetLink plugs the cable of a network card or netdev in or pulls it out.
func (q *QMP) SetLink(name string, up bool) error {
	return q.Run("set_link", map[string]any{"name": name, "up": up}, nil)
}

// Monitor runs a command of the human monitor and returns what it prints,
// for the few things QMP itself does not tell (info usernet, info mem).
func (q *QMP) Monitor(line string) (string, error) {
	var out string
	err := q.Run("human-monitor-command", map[string]any{"command-line": line}, &out)
	return out, err
}
