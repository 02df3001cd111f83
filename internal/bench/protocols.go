//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// httpAnswers expects answers with status 200 and a Content-Length.
type httpAnswers struct {
	contains []byte // what every body has to contain, nil = nothing
}

func (httpAnswers) size(buf []byte) (int, error) {
	head := bytes.Index(buf, []byte("\r\n\r\n"))
	if head < 0 {
		return 0, nil
	}
	const name = "\r\nContent-Length: "
	at := bytes.Index(buf[:head], []byte(name))
	if at < 0 {
		return 0, fmt.Errorf("an answer has no Content-Length: %q", clip(buf))
	}
	length := 0
	for _, c := range buf[at+len(name) : head] {
		if c < '0' || c > '9' {
			break
		}
		length = length*10 + int(c-'0')
	}
	return head + 4 + length, nil
}

func (h httpAnswers) check(answer []byte) error {
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("a call failed: %q", clip(answer))
	}
	if h.contains != nil && !bytes.Contains(answer, h.contains) {
		return fmt.Errorf("an answer lacks %s: %q", h.contains, clip(answer))
	}
	return nil
}

// redisAnswers expects bulk strings in RESP2.
type redisAnswers struct{}

func (redisAnswers) size(buf []byte) (int, error) {
	end := bytes.Index(buf, []byte("\r\n"))
	if end < 0 {
		return 0, nil
	}
	if buf[0] != '$' {
		return end + 2, nil
	}
	n, err := strconv.Atoi(string(buf[1:end]))
	return end + 2 + n + 2, err
}

func (redisAnswers) check(answer []byte) error {
	if answer[0] != '$' {
		return errors.New("redis: " + clip(answer))
	}
	return nil
}

func clip(b []byte) string { return string(b[:min(len(b), 400)]) }

// post makes the bytes of a POST request.
func post(path string, body []byte) []byte {
	head := "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	return append([]byte(head), body...)
}

// get makes the bytes of a GET request.
func get(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
}

// redisCommand encodes a command in RESP2.
func redisCommand(words ...string) []byte {
	out := []byte("*" + strconv.Itoa(len(words)) + "\r\n")
	for _, w := range words {
		out = append(out, "$"+strconv.Itoa(len(w))+"\r\n"+w+"\r\n"...)
	}
	return out
}
