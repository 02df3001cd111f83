package jsoncodec

import (
	"strings"
	"testing"

	"leat/codecs"
	"leat/codecs/codecstest"
)

// grammarCases are written from the grammar of RFC 8259, rule by rule. A name starts
// with y if the text is to be accepted and with n if it is not.
var grammarCases = [...]struct{ name, text string }{
	// Structure.
	{"y_object_empty", `{}`},
	{"y_array_empty", `[]`},
	{"y_object_basic", `{"a":1,"b":[2,{}]}`},
	{"y_array_nested", `[[],[[]],{}]`},
	{"y_lonely_string", `"x"`},
	{"y_lonely_int", `42`},
	{"y_lonely_negative", `-0.1`},
	{"y_lonely_true", `true`},
	{"y_lonely_false", `false`},
	{"y_lonely_null", `null`},
	{"y_space_everywhere", " \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n, \"b\" : { } \t\r\n} \t\r\n"},
	{"y_object_duplicate", `{"a":1,"a":2}`},
	{"y_object_empty_key", `{"":0}`},
	{"y_object_escaped_key", `{"a\u0000b":0}`},
	{"n_empty", ``},
	{"n_space_only", " \n"},
	{"n_object_open", `{`},
	{"n_array_open", `[`},
	{"n_object_close", `}`},
	{"n_array_close", `]`},
	{"n_array_wrong_close", `[1}`},
	{"n_object_wrong_close", `{"a":1]`},
	{"n_array_trailing_comma", `[1,]`},
	{"n_array_leading_comma", `[,1]`},
	{"n_array_double_comma", `[1,,2]`},
	{"n_array_no_comma", `[1 2]`},
	{"n_array_colon", `[1:2]`},
	{"n_array_cut_after_comma", `[1,`},
	{"n_object_trailing_comma", `{"a":1,}`},
	{"n_object_two_trailing_commas", `{"a":1,,}`},
	{"n_object_leading_comma", `{,"a":1}`},
	{"n_object_no_comma", `{"a":1 "b":2}`},
	{"n_object_no_colon", `{"a" 1}`},
	{"n_object_two_colons", `{"a"::1}`},
	{"n_object_comma_for_colon", `{"a",1}`},
	{"n_object_no_value", `{"a":}`},
	{"n_object_no_value_cut", `{"a":`},
	{"n_object_name_only", `{"a"}`},
	{"n_object_bare_name", `{a:1}`},
	{"n_object_single_quotes", `{'a':1}`},
	{"n_object_number_name", `{1:1}`},
	{"n_object_null_name", `{null:1}`},
	{"n_object_star", `{"a":1}*`},
	{"n_trailing_object", `{}{}`},
	{"n_trailing_brace", `{}}`},
	{"n_trailing_word", `1 x`},
	{"n_trailing_comment", `{}//`},
	{"n_comment", `{/**/}`},
	{"n_comment_hash", "#\n{}"},
	{"n_form_feed", "[\f1]"},
	{"n_vertical_tab", "[\v1]"},
	{"n_no_break_space", "[\u00a01]"},
	{"n_zero_byte", "[1\x00]"},
	{"n_zero_byte_after", "{}\x00"},
	{"n_byte_order_mark", "\ufeff{}"},
	{"n_byte_order_mark_only", "\ufeff"},
	{"n_utf16", "{\x00}\x00"},
	// Literals.
	{"y_literals", `[true,false,null]`},
	{"n_literal_true_cut", `tru`},
	{"n_literal_false_cut", `[fals]`},
	{"n_literal_null_cut", `nul`},
	{"n_literal_true_long", `truee`},
	{"n_literal_null_long", `[nullnull]`},
	{"n_literal_capital", `True`},
	{"n_literal_false_wrong", `[fakse]`},
	{"n_literal_nan", `NaN`},
	{"n_literal_infinity", `[Infinity]`},
	{"n_literal_minus_infinity", `[-Infinity]`},
	{"n_literal_undefined", `undefined`},
	// Numbers.
	{"y_number_zero", `0`},
	{"y_number_minus_zero", `-0`},
	{"y_number_zero_fraction", `0.0`},
	{"y_number_zero_exponent", `0e0`},
	{"y_number_exponent", `[1e5,1E5,1e+5,1e-5,1.5E-05]`},
	{"y_number_exponent_leading_zeros", `1e0001`},
	{"y_number_long_int", `123456789012345678901234567890`},
	{"y_number_long_fraction", `0.` + strings.Repeat("0", 400) + `1`},
	{"y_number_tiny", `1e-999999`},
	{"y_number_max", `1.7976931348623157e308`},
	{"y_number_309_digits", `1` + strings.Repeat("0", 308)},
	{"n_number_310_digits", `1` + strings.Repeat("0", 309)},
	{"n_number_too_large", `1e309`},
	{"n_number_too_large_negative", `-1e400`},
	{"n_number_exponent_overflow", `1e99999999999999999999`},
	{"n_number_leading_zero", `01`},
	{"n_number_leading_zeros", `000`},
	{"n_number_minus_leading_zero", `-01`},
	{"n_number_leading_zero_fraction", `00.5`},
	{"n_number_plus", `+1`},
	{"n_number_minus_only", `-`},
	{"n_number_double_minus", `--1`},
	{"n_number_minus_space", `- 1`},
	{"n_number_minus_plus", `-+1`},
	{"n_number_dot_only", `.`},
	{"n_number_no_int", `.5`},
	{"n_number_minus_no_int", `-.5`},
	{"n_number_no_fraction", `1.`},
	{"n_number_no_fraction_exponent", `1.e5`},
	{"n_number_two_dots", `1.2.3`},
	{"n_number_no_exponent", `1e`},
	{"n_number_no_exponent_sign", `1e+`},
	{"n_number_two_exponents", `1e5e5`},
	{"n_number_exponent_fraction", `1e1.5`},
	{"n_number_hex", `0x1F`},
	{"n_number_octal", `0o7`},
	{"n_number_underscore", `1_000`},
	{"n_number_letter", `1a`},
	{"n_number_minus_letter", `-a`},
	{"n_number_full_width", `１`},
	{"n_number_space_inside", `1 000`},
	// Strings.
	{"y_string_empty", `""`},
	{"y_string_escapes", `"\"\\\/\b\f\n\r\t"`},
	{"y_string_unicode_escapes", `"\u0000\u0020\u00e9\uABCD\uabcd\uFFFF"`},
	{"y_string_surrogate_pair", `"\ud83d\ude00\uDBFF\uDFFF"`},
	{"y_string_backslash_then_u", `"\\ud800"`},
	{"y_string_two_backslashes_at_end", `"a\\"`},
	{"y_string_delete", "\"\x7f\""},
	{"y_string_separators", "\"\u2028\u2029\""},
	{"y_string_utf8", "\"é€😀\U0010FFFF\uFFFE\""},
	{"y_string_apostrophe", `"'"`},
	{"n_string_single_quotes", `'a'`},
	{"n_string_open", `"a`},
	{"n_string_open_escape", `"a\`},
	{"n_string_escaped_end", `"a\"`},
	{"n_string_unknown_escape", `"\a"`},
	{"n_string_hex_escape", `"\x41"`},
	{"n_string_escaped_zero", `"\0"`},
	{"n_string_escaped_apostrophe", `"\'"`},
	{"n_string_escaped_newline", "\"\\\n\""},
	{"n_string_escaped_utf8", "\"\\é\""},
	{"n_string_capital_u", `"\U0041"`},
	{"n_string_u_3_digits", `"\u004"`},
	{"n_string_u_cut", `"\u00`},
	{"n_string_u_not_hex", `"\u00g1"`},
	{"n_string_u_sign", `"\u+041"`},
	{"n_string_u_space", `"\u 041"`},
	{"n_string_lone_high", `"\ud800"`},
	{"n_string_lone_high_then_text", `"\ud800abcdef"`},
	{"n_string_lone_high_then_escape", `"\ud800\n1234"`},
	{"n_string_lone_low", `"\udc00"`},
	{"n_string_two_lows", `"\udc00\udc00"`},
	{"n_string_high_then_above_low", `"\ud800\ue000"`},
	{"y_string_around_surrogates", `"\ud7ff\ue000"`},
	{"n_string_two_highs", `"\ud800\ud800"`},
	{"n_string_high_then_letter", `"\ud800\u0041"`},
	{"n_string_swapped_pair", `"\ude00\ud83d"`},
	{"n_string_high_then_cut", `"\ud800\u"`},
	{"n_string_newline", "\"a\nb\""},
	{"n_string_tab", "\"\t\""},
	{"n_string_zero", "\"a\x00b\""},
	{"n_string_unit_separator", "\"\x1f\""},
	{"n_string_after_8_bytes_control", "\"12345678\x01\""},
	{"n_utf8_continuation_alone", "\"\x80\""},
	{"n_utf8_cut", "\"\xe2\x82\""},
	{"n_utf8_cut_at_end", "\"\xf0\x9f\x98"},
	{"n_utf8_overlong_2", "\"\xc0\xaf\""},
	{"n_utf8_overlong_3", "\"\xe0\x80\xaf\""},
	{"n_utf8_overlong_4", "\"\xf0\x80\x80\xaf\""},
	{"n_utf8_surrogate", "\"\xed\xa0\x80\""},
	{"n_utf8_beyond", "\"\xf4\x90\x80\x80\""},
	{"n_utf8_fe", "\"\xfe\""},
	{"n_utf8_latin1", "\"caf\xe9\""},
	{"n_utf8_in_name", "{\"\xff\":1}"},
	// Depth.
	{"y_depth_512", strings.Repeat("[", 512) + strings.Repeat("]", 512)},
	{"n_depth_513", strings.Repeat("[", 513) + strings.Repeat("]", 513)},
	{"n_depth_513_mixed", strings.Repeat(`[{"a":`, 256) + "[]" + strings.Repeat("}]", 256)},
	{"n_depth_10000", strings.Repeat("[", 10000)},
}

// TestGrammar puts every text alone, into a member that is decoded and into one that
// is skipped.
func TestGrammar(t *testing.T) {
	t.Parallel()
	decoded, skipped := New(codecstest.Paths(t, "a", "a.b", "a[0]")), New(codecstest.Paths(t, "z"))
	seen := map[string]bool{}
	for _, c := range grammarCases {
		if seen[c.name] {
			t.Errorf("two cases are called %s", c.name)
		}
		seen[c.name] = true
		want := c.name[0] == 'y'
		text := []byte(c.text)
		if got := Valid(text) == nil; got != want {
			t.Errorf("%s: %q: Valid accepts %v", c.name, c.text, got)
		}
		if got := acceptable(text); got != want {
			t.Errorf("%s: %q: the oracle accepts %v", c.name, c.text, got)
		}
		if c.name == "y_depth_512" {
			continue // is 513 deep inside a record
		}
		record := []byte(`{"a":` + c.text + `}`)
		if c.name == "n_trailing_brace" || c.name == "n_object_close" {
			record = append(record, '}') // so that the text cannot end the record
		}
		for name, d := range map[string]*Decoder{"decoded": decoded, "skipped": skipped} {
			var into codecs.Columns
			bad := d.Decode([][]byte{record, record}, &into)
			if got := len(bad) == 0; got != want {
				t.Errorf("%s: %q: %s, accepted %v", c.name, record, name, got)
			}
		}
	}
}
