"""The first binary table of a FITS file: read exactly as astropy reads it, or refused with the reason."""

import gzip
import io
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from mica_lake.errors import BadFile
from mica_lake.formats.fits_table import header_end, read
from mica_lake.formats.gunzip import MAX_MEMBERS, decompress
from mica_lake.simulate.aca_l0 import readouts, times, write_file

KEYWORDS = (
    "TSTART", "TSTOP", "STARTMJF", "STOPMNF", "REVISION", "TLMVER", "ASCDSVER", "DATE", "CONTENT", "AFTER", "NAXIS2",
)  # fmt: skip


def a_file(folder: Path, imgsize: int = 6) -> bytes:
    """A simulated file, as it is stored."""
    return write_file(folder, 3, readouts(3, imgsize, times(5e8, 5e8 + 60, imgsize))).read_bytes()


def table_of(columns: list[fits.Column], **header: object) -> bytes:
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header.update(header)
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return out.getvalue()


@pytest.mark.parametrize("imgsize", [4, 6, 8])
def test_rows_are_those_of_the_file_byte_for_byte(imgsize: int, tmp_path: Path) -> None:
    content = a_file(tmp_path, imgsize)
    table = read(content, KEYWORDS)
    assert table.rows is not None
    with fits.open(io.BytesIO(gzip.decompress(content)), uint=False, do_not_scale_image_data=True) as hdus:
        raw = np.asarray(hdus[1].data)
    assert table.rows.dtype.names == raw.dtype.names
    assert table.rows.tobytes() == raw.tobytes()


def test_the_header_says_what_astropys_says(tmp_path: Path) -> None:
    content = a_file(tmp_path)
    expected = fits.getheader(io.BytesIO(gzip.decompress(content)), 1)
    header = read(content, KEYWORDS, header_only=True).header
    said = [keyword for keyword in KEYWORDS if keyword != "AFTER"]
    assert [header[keyword] for keyword in said] == [expected[keyword] for keyword in said]
    assert "AFTER" not in header


def test_columns_unsigned_by_tzero_are_told(tmp_path: Path) -> None:
    layout = read(a_file(tmp_path), KEYWORDS, header_only=True).layout
    assert layout.zeros == {"IMGSCALE": 32768, "BGDAVG": 32768, "BGDRMS": 32768}
    assert layout.forms["IMGSCALE"] == "I"
    assert layout.dtype["IMGRAW"].shape == (6, 6)


def test_header_only_reads_no_rows_and_does_not_mind_that_they_are_missing(tmp_path: Path) -> None:
    plain = gzip.decompress(a_file(tmp_path))
    assert read(plain[:-2880], KEYWORDS, header_only=True).rows is None
    with pytest.raises(BadFile, match="truncated: it should have 29 rows"):
        read(plain[:-2880], KEYWORDS)


def test_a_comment_that_ends_with_end_does_not_end_the_header(tmp_path: Path) -> None:
    columns = [fits.Column("A", "J", array=np.arange(3))]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header.add_comment("x" * 69 + "END")
    hdu.header.add_comment("")
    hdu.header["AFTER"] = 7
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    table = read(out.getvalue(), KEYWORDS)
    assert table.header["AFTER"] == 7
    assert table.rows is not None
    assert table.rows["A"].tolist() == [0, 1, 2]


@settings(max_examples=30, deadline=None)
@given(
    st_numpy.arrays(">f4", st.tuples(st.integers(0, 4), st.just(4), st.just(4)), elements=st_numpy.from_dtype(
        np.dtype(">f4"))),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_any_values_read_back_as_astropy_reads_them(pixels: np.ndarray, seed: int) -> None:
    n = len(pixels)
    words = np.random.default_rng(seed).integers(-(2**15), 2**15, n, dtype=np.int16)
    content = table_of(
        [
            fits.Column("WORD", "I", array=words),
            fits.Column("IMGRAW", "16E", dim="(4,4)", array=pixels),
            fits.Column("TEXT", "4A", array=np.array([b"ORIG"] * n)),
        ]
    )
    table = read(content, KEYWORDS)
    assert table.rows is not None
    assert table.rows["WORD"].astype(np.int16).tobytes() == words.tobytes()
    assert table.rows["IMGRAW"].tobytes() == pixels.tobytes()
    assert table.rows["TEXT"].tolist() == [b"ORIG"] * n


# --- gzip -------------------------------------------------------------------------------------------------------------

TEXT = b"A line of text, and another. " * 1000
GZ = gzip.compress(TEXT, mtime=0)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (TEXT, TEXT),
        (GZ, TEXT),
        (GZ + gzip.compress(b"second member"), TEXT + b"second member"),
        (GZ + b"\0" * 512, TEXT),
    ],
    ids=["plain", "gzipped", "two members", "padded with zeros"],
)
def test_what_gzip_gives_is_what_decompress_gives(content: bytes, expected: bytes) -> None:
    assert decompress(content) == expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (GZ[:-1], "truncated"),
        (GZ[:-8], "truncated"),
        (GZ[: len(GZ) // 2], "truncated"),
        (GZ[:5], "truncated"),
        (b"\x1f\x8b" + b"garbage" * 20, "damaged"),
        (GZ + b"garbage", "damaged|truncated"),
    ],
    ids=["empty", "a byte less", "no trailer", "half", "half a gzip header", "garbage", "garbage after it"],
)
def test_what_is_no_whole_gzip_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BadFile, match=reason):
        decompress(content)


@pytest.mark.parametrize("back", range(1, 9))
def test_a_wrong_checksum_or_length_is_noticed(back: int) -> None:
    damaged = bytearray(GZ)
    damaged[-back] ^= 0x10
    with pytest.raises(BadFile, match="damaged"):
        decompress(bytes(damaged))


@settings(max_examples=200, deadline=None)
@given(st.integers(10, len(GZ) - 1), st.integers(0, 7))
def test_a_flipped_bit_is_never_taken_for_the_content(byte: int, bit: int) -> None:
    damaged = bytearray(GZ)
    damaged[byte] ^= 1 << bit
    try:
        assert decompress(bytes(damaged)) == TEXT
    except BadFile:
        return
    assert zlib.decompress(bytes(damaged), 31) == TEXT, "a bit that means nothing"


def test_a_file_does_not_fill_the_memory() -> None:
    with pytest.raises(BadFile, match="more than 1000 bytes"):
        decompress(GZ, 1000)
    with pytest.raises(BadFile, match="larger than 1000 bytes"):
        decompress(TEXT, 1000)
    assert decompress(GZ, len(TEXT)) == TEXT
    assert TEXT.startswith(decompress(GZ, 1000, start_only=True)[:1000])


# --- what is no such table --------------------------------------------------------------------------------------------


def image_only() -> bytes:
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(np.zeros((4, 4)))]).writeto(out)
    return out.getvalue()


def image_extension() -> bytes:
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((4, 4)))]).writeto(out)
    return out.getvalue()


def ascii_table() -> bytes:
    out = io.BytesIO()
    table = fits.TableHDU.from_columns([fits.Column("A", "I5", array=np.arange(3))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def scaled() -> bytes:
    return table_of([fits.Column("A", "E", bscale=2.0, array=np.arange(3) * 2.0)])


def variable_length() -> bytes:
    return table_of([fits.Column("A", "PJ()", array=np.array([[1], [2, 3]], dtype=object))])


def edited(old: bytes, new: bytes) -> Callable[[], bytes]:
    """A good table, one card of which is wrong."""

    def content() -> bytes:
        good = table_of([fits.Column("A", "J", array=np.arange(3)), fits.Column("B", "2E", array=np.zeros((3, 2)))])
        assert good.count(old) == 1
        return good.replace(old, new)

    return content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"not a FITS file at all\n" * 200, "not a FITS file"),
        (image_only, "no end|not a binary table"),
        (image_extension, "not a binary table"),
        (ascii_table, "not a binary table"),
        (edited(b"NAXIS1  =                   12", b"NAXIS1  =                   13"), "NAXIS1 is 13"),
        (edited(b"NAXIS2  =                    3", b"NAXIS2  =                   -3"), "NAXIS2 is -3"),
        (edited(b"NAXIS2  =                    3", b"NAXIS2  =            300000000"), "it is truncated"),
        (edited(b"NAXIS2  =                    3", b"NAXIS2  =                'abc'"), "header is damaged"),
        (edited(b"NAXIS2  =                    3", b"NAXIS2  =                  1.5"), "NAXIS2 is 1.5"),
        (edited(b"NAXIS2  =                    3", b"NAXIS2  =                    T"), "NAXIS2 is True"),
        (edited(b"NAXIS2  =                    3", b"NAXIS2  =                     "), "NAXIS2 is None"),
        (edited(b"'2E      '           ", b"'99999999999999E'    "), "header is damaged"),
        (edited(b"TFIELDS =                    2", b"TFIELDS =         999999999999"), "header is damaged"),
        (lambda: table_of([fits.Column("A", "J")], TLMVER="P014").replace(b"'P014    '", b"'P014     "), "Unparsable"),
        (edited(b"TFIELDS =                    2", b"TFIELDS =                    3"), "header is damaged"),
        (edited(b"TFIELDS =                    2", b"COMMENT                     2 "), "header is damaged"),
        (lambda: table_of([fits.Column("A", "J", array=np.arange(3))])[:2880], "not a binary table"),
        (lambda: table_of([fits.Column("A", "J", array=np.arange(3))])[:3280], "no end"),
        (lambda: table_of([fits.Column("A", "J", array=np.arange(3))])[:4000], "no end|truncated|damaged"),
        (lambda: b"SIMPLE  =", "no end"),
    ],
    ids=[
        "text", "image only", "image extension", "ASCII table", "NAXIS1",
        "NAXIS2", "far too many rows", "NAXIS2 no number", "NAXIS2 no whole number", "NAXIS2 true", "NAXIS2 empty",
        "a column of 400 TB", "a million million columns", "a card that cannot be parsed", "TFIELDS too large",
        "TFIELDS missing", "no extension", "half a header", "a header without its padding",
        "a tenth of a card",
    ],
)  # fmt: skip
def test_what_is_no_such_table_is_refused_with_the_reason(content: Callable[[], bytes], reason: str) -> None:
    data = content()
    assert "truncated" in reason or re.search(reason, _reason(data, header_only=True))
    assert re.search(reason, _reason(data, header_only=False))
    assert re.search(reason, _reason(gzip.compress(data), header_only=False))


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (scaled, "A", "has an unexpected scale: 2"),
        (variable_length, "A", "has an unexpected form: PJ"),
        (lambda: table_of([fits.Column("A", "3C", array=np.zeros((2, 3), complex))]), "A", "has an unexpected form"),
        (lambda: table_of([fits.Column("A", "11X", array=np.zeros((2, 11), bool))]), "A", "has an unexpected form"),
        (edited(b"'B       '", b"'A       '"), "A", "occurs twice"),
        (lambda: table_of([fits.Column("A", "6E", dim="(2,3)")]).replace(b"'(2,3)", b"'(2,4)"), "A", "has an un"),
    ],
    ids=["scaled", "variable length", "complex", "bits", "a name twice", "another shape"],
)  # fmt: skip
def test_a_column_that_cannot_be_read_is_named_and_the_others_are_read(
    content: Callable[[], bytes], name: str, reason: str
) -> None:
    table = read(content(), KEYWORDS)
    assert table.rows is not None
    assert list(table.layout.odd) == [name]
    assert table.layout.odd[name].startswith(reason)
    with fits.open(io.BytesIO(content())) as hdus:
        assert table.rows.dtype.itemsize == hdus[1].header["NAXIS1"]


def _reason(content: bytes, *, header_only: bool) -> str:
    with pytest.raises(BadFile) as caught:
        read(content, KEYWORDS, header_only=header_only)
    return str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 80 * 90), st.integers(1, 255))
def test_a_damaged_header_is_read_or_refused_but_never_another_error(
    tmp_path_factory: pytest.TempPathFactory, at: int, change: int
) -> None:
    content = bytearray(_PLAIN)
    at %= len(content)
    content[at] ^= change
    try:
        read(bytes(content), KEYWORDS)
    except BadFile as error:
        assert str(error)


_PLAIN = table_of([fits.Column("A", "J", array=np.arange(3)), fits.Column("IMGRAW", "16E", dim="(4,4)")])


FORMS = {"D": "f8", "E": "f4", "J": "i4", "I": "i2", "B": "u1", "A": "S", "K": "i8", "L": "?", "C": "c8", "M": "c16"}


@st.composite
def columns_of_any_kind(draw: st.DrawFn) -> list[fits.Column]:
    """Columns of any name, type, width and shape, with any values; some of them such as no product has."""
    count = draw(st.integers(0, 4))
    columns = []
    for _ in range(draw(st.integers(1, 5))):
        name = draw(st.sampled_from(["TIME", "IMGRAW", "MJF", "X", "time"]))
        form, repeat = draw(st.sampled_from(list(FORMS))), draw(st.sampled_from([1, 1, 2, 6, 16]))
        zero = draw(st.sampled_from([None, None, 32768.0, 0.5])) if form in "IJ" else None
        dim = draw(st.sampled_from([None, "(2,3)", "(3,2)"])) if repeat == 6 and form not in "A" else None
        dtype = np.dtype(f"S{repeat}" if form == "A" else FORMS[form])
        shape = (count,) if form == "A" or repeat == 1 else (count, *((repeat,) if dim is None else (0, 0)))
        if dim is not None:
            shape = (count, *map(int, reversed(dim.strip("()").split(","))))
        data = draw(st.binary(min_size=(size := int(np.prod(shape)) * dtype.itemsize), max_size=size))
        values = np.frombuffer(bytes(b & 1 for b in data) if form == "L" else data, dtype).reshape(shape)
        columns.append(fits.Column(name, f"{repeat}{form}", array=values, dim=dim, bzero=zero))
    return columns


@given(
    columns_of_any_kind(),
    st.dictionaries(st.sampled_from([*KEYWORDS[:-1], "TSCAL1"]), st.one_of(st.integers(), st.text("A '/"))),
)
@settings(deadline=None)
def test_any_table_that_can_be_written_is_read_as_it_lies_in_the_file_or_refused(
    columns: list[fits.Column], header: dict[str, object]
) -> None:
    try:
        content = table_of(columns, **header)
    except (ValueError, fits.VerifyError, OverflowError):
        return  # not even astropy writes it
    try:
        table = read(content, KEYWORDS)
    except BadFile as error:
        assert str(error)
        return
    assert table.rows is not None
    with fits.open(io.BytesIO(content), do_not_scale_image_data=True) as hdus:
        if not table.layout.odd:
            assert table.rows.dtype.names == tuple(name.upper() for name in hdus[1].columns.names)
        assert len(table.rows) == hdus[1].header["NAXIS2"]
        start = hdus[1].fileinfo()["datLoc"]
        assert table.rows.tobytes() == content[start : start + hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]]
        assert all(table.header.get(name) == hdus[1].header.get(name) for name in header if name in KEYWORDS)
        for column in hdus[1].columns:
            if column.name.upper() in table.layout.odd:
                continue
            assert table.rows.dtype[column.name.upper()].shape == hdus[1].data.dtype[column.name].shape
            assert table.layout.zeros.get(column.name.upper(), "") == (column.bzero or "")


def test_a_file_may_have_many_gzip_members_and_not_any_number() -> None:
    parts = [b"%d" % n * (n % 700) for n in range(3000)]
    stored = b"".join(gzip.compress(part, mtime=0) + b"\0" * (n % 3) for n, part in enumerate(parts))
    assert decompress(stored) == b"".join(parts)
    with pytest.raises(BadFile, match=f"more than {MAX_MEMBERS} gzip members"):
        decompress(gzip.compress(b"") * 1_000_000)


def test_a_header_without_end_is_not_looked_through_to_the_end_of_the_file() -> None:
    card = b"TTYPE1  = 'X'".ljust(80)
    with pytest.raises(BadFile, match="its header has no end"):
        header_end(card * 2000 + b"END".ljust(80) + b" " * 2880)
    assert header_end(card * 35 + b"END".ljust(80)) == 2880
