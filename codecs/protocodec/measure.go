package protocodec

import "fmt"

// scanner passes over the text of a .proto file before the compiler sees it, and counts
// what would make the compiler take far more memory or time than the text has bytes:
// brackets inside each other, long names, names that are prefixed with other names,
// options that count for many ranges, and oneofs, which it compares with one another.
type scanner struct {
	file string
	text string
	at   int

	open     []int // for each open brace, what it adds to the names inside
	prefix   int   // the sum of open, and the package
	name     int   // bytes of the dotted name that is being read, spaces left out
	first    string
	start    int // of the statement
	words    int // bytes of the names in the statement
	commas   int
	brackets int // of the other kinds
	choices  int // oneofs, and optional fields, which may be oneofs of one
	expanded int
}

// measure checks the limits of one file.
func measure(file, text string) error {
	s := scanner{file: file, text: text}
	for s.at < len(s.text) {
		if err := s.token(); err != nil {
			return err
		}
	}
	return nil
}

// token passes over white space, a comment, a string, a name or one other character.
func (s *scanner) token() error {
	c := s.text[s.at]
	switch {
	case c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == '\v':
		s.at++
	case c == '/' && s.at+1 < len(s.text) && (s.text[s.at+1] == '/' || s.text[s.at+1] == '*'):
		s.comment()
	case c == '"' || c == '\'':
		s.quoted(c)
		s.name = 0
	case isWord(c):
		return s.word()
	case c == '.':
		s.at++
	default:
		s.at++
		s.name = 0
		return s.punctuation(c)
	}
	return nil
}

func isWord(c byte) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c >= 0x80
}

func (s *scanner) comment() {
	block := s.text[s.at+1] == '*'
	for s.at += 2; s.at < len(s.text); s.at++ {
		switch {
		case !block && s.text[s.at] == '\n':
			return
		case block && s.text[s.at] == '*' && s.at+1 < len(s.text) && s.text[s.at+1] == '/':
			s.at += 2
			return
		}
	}
}

// quoted passes over a string, which ends with its line at the latest.
func (s *scanner) quoted(quote byte) {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case quote, '\n':
			s.at++
			return
		}
	}
}

// word passes over an identifier or number. Names joined by dots, with or without spaces,
// are one; two names side by side count as one of their length, which is too much by a
// little.
func (s *scanner) word() error {
	from := s.at
	for s.at < len(s.text) && isWord(s.text[s.at]) {
		s.at++
	}
	if s.words == 0 {
		s.first, s.start = s.text[from:s.at], from
	}
	s.words += s.at - from + 1
	s.name += s.at - from + 1
	if s.name > MaxNameBytes {
		return s.fail("a name of more than %d bytes", MaxNameBytes)
	}
	return nil
}

func (s *scanner) punctuation(c byte) error {
	switch c {
	case '{':
		s.open = append(s.open, s.words)
		s.prefix += s.words
		return s.end()
	case '}':
		if n := len(s.open); n > 0 {
			s.prefix -= s.open[n-1]
			s.open = s.open[:n-1]
		}
		return s.end()
	case ';':
		if s.first == "package" {
			s.prefix += s.words
		}
		return s.end()
	case ',':
		s.commas++
	case '[', '(', '<':
		s.brackets++
	case ']', ')', '>':
		s.brackets--
	}
	if len(s.open)+s.brackets > MaxSchemaDepth {
		return s.fail("brackets nested more than %d deep", MaxSchemaDepth)
	}
	return nil
}

// end counts what a statement, or the head of a block, stands for.
func (s *scanner) end() error {
	s.expanded += s.prefix + s.words
	switch s.first {
	case "extensions":
		s.expanded += s.commas * (s.at - s.start)
	case "oneof", "optional":
		if s.choices++; s.choices > MaxChoices {
			return s.fail("more than %d oneofs and optional fields", MaxChoices)
		}
	}
	s.words, s.commas, s.first = 0, 0, ""
	switch {
	case s.expanded > MaxExpandedBytes:
		return s.fail("names and options that are more than %d bytes when written out", MaxExpandedBytes)
	case len(s.open)+s.brackets > MaxSchemaDepth:
		return s.fail("brackets nested more than %d deep", MaxSchemaDepth)
	}
	return nil
}

// fail is an error at the current place.
func (s *scanner) fail(format string, args ...any) error {
	line, column := 1, 1
	for i := 0; i < s.at && i < len(s.text); i++ {
		column++
		if s.text[i] == '\n' {
			line, column = line+1, 1
		}
	}
	return &SchemaError{File: s.file, Line: line, Column: column, Reason: fmt.Sprintf(format, args...)}
}
