"""Reading of obspar files: values kept exactly, quotes as people write them, damage named by row."""

import csv
import gzip
import io
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mica_lake.errors import BadFile
from mica_lake.formats.obspar import Parameter, num_ccd_on, read

anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"))
values = st.one_of(
    st.tuples(st.just("s"), anything),
    st.tuples(st.just("i"), st.none() | st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("r"), st.none() | st.floats(allow_nan=False)),
)
names = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=12)
parameters = st.lists(st.tuples(names, values, anything), unique_by=lambda row: row[0])


@given(
    written=parameters, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n"]), gzipped=st.booleans(),
)  # fmt: skip
@example([("a", ("s", 'He said "no", twice'), '""')], csv.QUOTE_ALL, "\n", True)
@example([("a", ("s", " , "), "#"), ("A", ("s", "\u2028\x85\x0b\x00"), "")], csv.QUOTE_MINIMAL, "\r\n", False)
@example([("a", ("r", -0.0), ""), ("b", ("r", 5e-324), ""), ("c", ("i", -(2**63)), "")], 0, "\n", False)
def test_any_parameters_come_back_unchanged(written: list[Any], quoting: Any, ending: str, gzipped: bool) -> None:
    sink = io.StringIO()
    writer = csv.writer(sink, quoting=quoting, lineterminator=ending)
    for name, (kind, value), description in written:
        shown = "" if value is None else value if kind == "s" else repr(value)
        writer.writerow([name, kind, "h", shown, "", "", description])
    stored = sink.getvalue().encode()
    found = read(gzip.compress(stored) if gzipped and stored else stored or b"\n")
    assert [(p.name, p.type, p.description) for p in found] == [(n, kind, what) for n, (kind, _), what in written]
    expected = [value for _, (_, value), _ in written]
    assert [(type(p.typed), repr(p.typed)) for p in found] == [(type(value), repr(value)) for value in expected]
    assert [p.value is None for p in found] == [value is None for value in expected]


def test_the_value_stays_as_it_is_written() -> None:
    found = read(b'a,r,h,1.50E+01,,,""\nb,i,h,+007,,,""\nc,s,h, x ,,,""\n')
    assert [p.value for p in found] == ["1.50E+01", "+007", " x "]
    assert [p.typed for p in found] == [15.0, 7, " x "]


def test_a_hyphen_in_a_name_becomes_an_underscore() -> None:
    assert read(b'ss-object-2,s,h,a-b,,,"x-y"\n') == [Parameter("ss_object_2", "s", "a-b", "x-y")]


def test_an_empty_text_is_a_text_and_an_empty_number_is_none() -> None:
    found = read(b'a,s,h,"",,,""\nb,s,h,,,,""\nc,i,h,,,,""\nd,r,h,"",,,""\n')
    assert [(p.value, p.typed) for p in found] == [("", ""), ("", ""), (None, None), (None, None)]


def test_empty_lines_and_comments_are_skipped() -> None:
    assert [p.name for p in read(b'# a,b,c\n\na,s,h,x,,,""\n#\n\r\nb,s,h,"#",,,""')] == ["a", "b"]


BAD_ROWS = {
    "too few fields": (b"a,s,h\n", r"row 1 has 3 fields, not 7: 'a,s,h'"),
    "too many fields": (b'a,s,h,x,,,"",\n', "row 1 has 8 fields, not 7"),
    "a text with a comma and no quotes": (b"b,s,h,x,,,y\na,s,h,x, y,,,z\n", "row 2 has 8 fields, not 7"),
    "an unknown type": (b'a,s,h,x,,,""\nb,b,h,yes,,,""\n', "row 2, b: type 'b' is not s, i or r"),
    "no type": (b'a,,h,x,,,""\n', "row 1, a: type '' is not s, i or r"),
    "an i with a fraction": (b'a,i,h,1.0,,,""\n', "row 1, a: '1.0' is not an integer"),
    "an i of letters": (b'a,i,h,INDEF,,,""\n', "'INDEF' is not an integer"),
    "an i beyond 64 bit": (b'a,i,h,9223372036854775808,,,""\n', "'9223372036854775808' is not an integer"),
    "an i below 64 bit": (b'a,i,h,-9223372036854775809,,,""\n', "'-9223372036854775809' is not an integer"),
    "an i of 5000 digits": (b'a,i,h,' + 5000 * b"1" + b',,,""\n', "is not an integer"),
    "an r in Fortran's style": (b'a,r,h,1.0D+02,,,""\n', r"row 1, a: '1.0D\+02' is not a real number"),
    "a blank r": (b'a,r,h, ,,,""\n', "' ' is not a real number"),
    "a quote that does not end": (b'a,s,h,"x,,,""\n', "row 1 is not valid CSV"),
    "a quote inside a text": (b'b,s,h,x\na,s,h,"x"y,,,""\n', "row 2 is not valid CSV"),
    "a text without end": (b'a,s,h,' + 200_000 * b"x" + b',,,""\n', "row 1 is not valid CSV: field larger than"),
    "a name that is not text": (b'\xff,s,h,x,,,""\n', "row 1: its name has bytes that are not UTF-8"),
    "an image": (b"\x89PNG\r\n\x1a\n\x00", "row 1 has 1 fields, not 7"),
    "empty": (b"", "the file is empty"),
    "gz truncated": (gzip.compress(b'a,s,h,x,,,""\n' * 50)[:-9], "gzip data are truncated"),
    "gz damaged": (b"\x1f\x8b\x08" + 40 * b"\xff", "gzip data are"),
    "not text in gz": (gzip.compress(b"\xff\xfe\x00"), "row 1 has 1 fields, not 7"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "reason"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_a_damaged_obspar_is_refused_and_the_row_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(BadFile, match=reason):
        read(content)


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1])
def test_an_i_of_64_bit_is_good(value: int) -> None:
    assert read(b'a,i,h,%d,,,""\n' % value)[0].typed == value


def test_ccds_that_are_on_are_counted() -> None:
    assert num_ccd_on({"ccdi0_on": "Y", "ccds3_on": "Y", "ccds4_on": "N", "ccdx_on": "Y", "xccdi0_on": "Y"}) == 2
