"""Read ARFF, dense and sparse, into an Arrow table with the types that the header declares.

table = read_arff(Path("iris.arff"))

Nominal attributes become dictionary columns with the declared levels in their order, also those
that do not occur; dates become timestamps. Whole numbers of an INTEGER attribute, and those beyond
2^53 of any, are int64 or uint64. Plain dense files go through Arrow's CSV reader, which takes
hundreds of megabytes a second; quotes, escapes, comments and sparse rows are split here. As in
Weka, blanks and tabs may stand between all parts, and values may be divided by tabs.
"""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from benchmark.data import exact
from benchmark.errors import DataError

_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_ATTRIBUTE = re.compile(rf"(?i)@attribute\s+({_QUOTED}|[^\s{{'\"][^\s{{]*)\s*(.*)$", re.ASCII)
_LEVEL = re.compile(rf"\s*({_QUOTED}|[^\s,{{}}'\"]*)\s*(,|\}}|$)", re.ASCII)
_CELL = re.compile(rf"({_QUOTED}|[^,\t{{}}'\"]*?)(?:\s*,\s*|[ ]*\t\s*|\s*$)", re.ASCII)
_PAIR = re.compile(rf"\s*(\d+)\s+({_QUOTED}|[^\s,{{}}'\"]*)\s*(,|$)", re.ASCII)
_DATE = re.compile(rf"(?i)date(?:\s+({_QUOTED}|\S+))?\s*$")
_ESCAPE = re.compile(r"\\([0-7]{1,3}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_COMMENT = re.compile(rf"((?:{_QUOTED}|[^'\"])*?)\s%.*$")
_NUMERIC = ("numeric", "real", "integer")
_ISO = re.compile(r"yyyy-MM-dd(?:[T ]HH:mm(?::ss(?:\.S+)?)?)?(?:XXX|X|Z)?")
_DATE_PARTS = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_BLANKS = " \t\f\v"
_MOST_CELLS = 2_000_000_000


@dataclass(frozen=True)
class _Attribute:
    """`kind` is "numeric", "real", "integer", "string", "date" or "nominal"."""

    name: str
    kind: str
    levels: tuple[str, ...] = ()
    format: str = "yyyy-MM-dd'T'HH:mm:ss"


def read_arff(
    path: Path,
    encoding: str | None = None,
    missing: Collection[str] = (),
    text: Collection[str] = (),
) -> pa.Table:
    """The table of an ARFF file.

    Args:
        encoding: by default UTF-8 or, with its byte order mark, UTF-16.
        missing: words that mean missing, besides "?".
        text: attributes whose values are wanted as they are written, whatever their kind.

    Raises:
        DataError: it is not ARFF, is truncated, or its values contradict its header.
        OSError, UnicodeDecodeError, LookupError: it cannot be read, or not in this encoding.
    """
    content = _utf8(path, encoding)
    start = re.search(rb"(?im)^[ \t]*@data\b[^\n]*(?:\n|\Z)", content)
    if start is None:
        raise DataError(f"{path.name} has no @data line, so it is not a complete ARFF file.")
    attributes = _attributes(content[: start.start()].decode("utf-8"), path.name)
    body = content[start.end() :]
    gaps = ["?", *missing]
    try:
        if not re.search(rb"['\"\\{}%\t]", body):
            columns = _fast(body, attributes, gaps, text)
        else:
            columns = _slow(body.decode("utf-8"), attributes, gaps, text)
    except DataError as error:
        raise DataError(f"{path.name}: {error}") from None
    except (pa.ArrowException, ValueError, IndexError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise DataError(f"{path.name} is not valid ARFF: {reason}.") from None
    return pa.Table.from_arrays(columns, names=[one.name for one in attributes])


def _utf8(path: Path, encoding: str | None) -> bytes:
    """The content in UTF-8, without a byte order mark, each line ended by one line feed."""
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    if encoding is not None:
        content = content.decode(encoding).encode("utf-8")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content


def _attributes(header: str, file: str) -> list[_Attribute]:
    found: list[_Attribute] = []
    for number, line in enumerate(header.split("\n"), 1):
        text = line.strip()
        word = text.split(None, 1)[0].lower() if text else ""
        if not text or word.startswith("%") or word == "@relation":
            continue
        match = _ATTRIBUTE.match(text)
        attribute = _attribute(_unquoted(match[1]), match[2]) if match else None
        if attribute is None:
            raise DataError(
                f'{file} has no valid ARFF header: line {number} is "{text[:80]}"; an attribute is '
                "numeric, real, integer, string, a date or {its levels}."
            )
        if any(attribute.name == other.name for other in found):
            raise DataError(f'{file} declares the attribute "{attribute.name}" twice.')
        found.append(attribute)
    if not found:
        raise DataError(f"{file} has no valid ARFF header: it declares no @attribute.")
    return found


def _attribute(name: str, kind: str) -> _Attribute | None:
    """The attribute from the text after its name; None if that is not a kind."""
    if kind.startswith("{"):
        levels = _levels(kind)
        return None if levels is None else _Attribute(name, "nominal", levels)
    kind = kind.partition("%")[0].strip()
    if kind.lower() in (*_NUMERIC, "string"):
        return _Attribute(name, kind.lower())
    date = _DATE.match(kind)
    if date is None:
        return None
    default = _Attribute(name, "date")
    return _Attribute(name, "date", format=_unquoted(date[1])) if date[1] else default


def _levels(text: str) -> tuple[str, ...] | None:
    """The levels between braces, each once; None if they are malformed."""
    levels: dict[str, None] = {}
    place = 1
    while match := _LEVEL.match(text, place):
        if match[1] not in ("", "?"):
            levels[_unquoted(match[1])] = None
        place = match.end()
        if match[2] == "}":
            rest = text[place:].strip()
            return tuple(levels) if not rest or rest.startswith("%") else None
        if match[2] == "":
            break
    return None


def _unquoted(text: str) -> str:
    return _ESCAPE.sub(_character, text[1:-1]) if text[:1] in ("'", '"') else text


def _character(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "u" and len(code) == 5:
        return chr(int(code[1:], 16))
    return chr(int(code, 8)) if code[0] in "01234567" else _ESCAPED.get(code, code)


def _fast(
    body: bytes, attributes: list[_Attribute], gaps: list[str], text: Collection[str]
) -> list[pa.Array]:
    body = re.sub(rb"[ ]*(,|\n|\Z)[ ]*", rb"\1", body).lstrip(b" ") if b" " in body else body
    if not body.strip():
        raise ValueError("it has no rows")
    places = range(len(attributes))
    numeric = [
        n for n in places if attributes[n].kind in _NUMERIC and attributes[n].name not in text
    ]
    table = _split(body, attributes, gaps, numeric)
    columns = [column.combine_chunks() for column in table.columns]
    has_tiny = re.search(exact.TINY.encode(), body) is not None
    inexact = [
        n
        for n in numeric
        if has_tiny or pc.any(pc.greater_equal(pc.abs(columns[n]), exact.EXACT_FLOAT)).as_py()
    ]
    if inexact:
        again = _split(body, attributes, gaps, [n for n in numeric if n not in inexact])
        for n in inexact:
            columns[n] = again.column(n).combine_chunks()
    return [_typed(columns[n], attributes[n], text) for n in places]


def _split(
    body: bytes, attributes: list[_Attribute], gaps: list[str], numeric: Collection[int]
) -> pa.Table:
    """The rows; the attributes at `numeric` are floats, all others text."""
    kinds = {str(n): pa.float64() if n in numeric else pa.string() for n in range(len(attributes))}
    return pc_csv.read_csv(
        io.BytesIO(body),
        read_options=pc_csv.ReadOptions(column_names=list(kinds), block_size=1 << 24),
        parse_options=pc_csv.ParseOptions(quote_char=False, ignore_empty_lines=True),
        convert_options=pc_csv.ConvertOptions(
            column_types=kinds,
            null_values=[*gaps, ""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _slow(
    body: str, attributes: list[_Attribute], gaps: list[str], text: Collection[str]
) -> list[pa.Array]:
    lines = [
        line
        for line in (line.strip(_BLANKS) for line in body.split("\n"))
        if line and line[0] != "%"
    ]
    if not lines:
        raise ValueError("it has no rows")
    sparse = lines[0].startswith("{")
    if sparse:
        if len(lines) * len(attributes) > _MOST_CELLS:
            raise ValueError(f"it would have {len(lines)} x {len(attributes)} cells")
        columns = _sparse(lines, attributes)
    else:
        columns = [list(cells) for cells in zip(*_rows(lines, len(attributes)), strict=True)]
    arrays = [pa.array(cells, pa.string()) for cells in columns]
    words = gaps[1:]
    arrays = [exact.without_words(array, words) for array in arrays] if words else arrays
    return [_typed(a, attribute, text) for a, attribute in zip(arrays, attributes, strict=True)]


def _rows(lines: list[str], width: int) -> Iterator[list[str | None]]:
    for line in lines:
        comment = _COMMENT.match(line) if "%" in line else None
        row = _cells(comment[1].rstrip() if comment else line)
        if row is None:
            raise ValueError(f'the row "{line[:80]}" has a quote or a brace that is not closed')
        if len(row) != width:
            raise ValueError(f'Expected {width} columns, got {len(row)}: "{line[:80]}"')
        yield row


def _cells(line: str) -> list[str | None] | None:
    """The values of a dense row; None if its quotes or braces do not match."""
    found: list[str | None] = []
    place = 0
    while True:
        match = _CELL.match(line, place)
        if match is None:
            return None
        found.append(_value(match[1]))
        if match.end() == len(line):
            # A row that ends in a comma has an empty value after it.
            return [*found, None] if line[match.end(1) :].strip() else found
        place = match.end()


def _value(text: str) -> str | None:
    """A value; an unquoted "?" is missing, a quoted one is text."""
    return None if text in ("?", "") else _unquoted(text)


def _sparse(lines: list[str], attributes: list[_Attribute]) -> list[list[str | None]]:
    """The default of values left out in a sparse row: 0, or a nominal attribute's first level."""
    zeros = [
        (one.levels[0] if one.levels else None) if one.kind == "nominal" else "0"
        for one in attributes
    ]
    zeros = [
        "" if one.kind == "string" else zero for one, zero in zip(attributes, zeros, strict=True)
    ]
    columns: list[list[str | None]] = [[zero] * len(lines) for zero in zeros]
    for row, line in enumerate(lines):
        inner = re.fullmatch(r"\{(.*)\}(?:\s%.*)?", line)
        if inner is None:
            raise ValueError(f'the sparse row "{line[:80]}" is not in braces')
        place, text = 0, inner[1].strip()
        given: set[int] = set()
        while place < len(text):
            match = _PAIR.match(text, place)
            if match is None or int(match[1]) >= len(attributes):
                raise ValueError(f'the sparse row "{line[:80]}" has no "attribute value" there')
            number, place = int(match[1]), match.end()
            if number in given:
                raise ValueError(f'the sparse row "{line[:80]}" has the attribute {number} twice')
            given.add(number)
            columns[number][row] = _value(match[2])
    return columns


def _typed(column: pa.Array, attribute: _Attribute, text: Collection[str]) -> pa.Array:
    """The column in the attribute's kind; it is float64 already, or text."""
    if attribute.kind == "nominal":
        return _nominal(column, attribute)
    if attribute.name in text or attribute.kind == "string":
        return column
    if attribute.kind == "date":
        return _date(column, attribute)
    place = f'attribute "{attribute.name}"'
    found = _numbers(column, place) if pa.types.is_string(column.type) else column
    if attribute.kind == "integer":
        return _whole(found)
    large = pc.any(
        pc.greater_equal(pc.abs(found.cast(pa.float64(), safe=False)), exact.EXACT_FLOAT)
    )
    return found if large.as_py() else found.cast(pa.float64())


def _numbers(column: pa.Array, place: str) -> pa.Array:
    hexadecimal = column.filter(pc.match_substring_regex(column, r"^\s*[+-]?0[xX]"))
    if len(hexadecimal):
        raise ValueError(f'the {place} holds "{hexadecimal[0]}", which is not a number of ARFF')
    return exact.numbers(column, place)


def _nominal(column: pa.Array, attribute: _Attribute) -> pa.Array:
    levels = pa.array(attribute.levels, pa.string())
    codes = pc.index_in(column, levels)
    stranger = pc.and_(column.is_valid(), codes.is_null())
    if pc.any(stranger).as_py():
        # Blanks within quotes belong to a value; some programs also write blanks around it.
        trimmed = pc.index_in(exact.trim(column), pc.utf8_trim_whitespace(levels))
        codes = pc.if_else(stranger, trimmed, codes)
        stranger = pc.and_(column.is_valid(), codes.is_null())
    if pc.any(stranger).as_py():
        value = column.filter(stranger)[0].as_py()
        raise ValueError(f'"{value}" is not a level of the attribute "{attribute.name}"')
    return pa.DictionaryArray.from_arrays(codes, levels)


def _whole(column: pa.Array) -> pa.Array:
    """The column as int64 if all values are whole numbers; some files have 1.5 in an INTEGER."""
    if not pa.types.is_floating(column.type):
        return column
    same = pc.all(pc.equal(column, pc.floor(column))).as_py()
    small = pc.all(pc.less(pc.abs(column), exact.EXACT_FLOAT)).as_py()
    return column.cast(pa.int64()) if same is not False and small is not False else column


def _date(column: pa.Array, attribute: _Attribute) -> pa.Array:
    form = attribute.format.replace("'", "")
    try:
        return exact.dates(column) if _ISO.fullmatch(form) else _dates_as(column, form)
    except pa.ArrowException:
        example = column.drop_null()[0].as_py() if column.null_count < len(column) else ""
        raise ValueError(
            f'the date attribute "{attribute.name}" holds "{example}" and is declared as '
            f'"{attribute.format}", which cannot be read together; write 2026-01-31T12:00:00'
        ) from None


def _dates_as(column: pa.Array, form: str) -> pa.Array:
    """Timestamps of texts in a declared format; without a year they are in 1970, as in Weka.

    Raises:
        pyarrow.ArrowInvalid: a text is not of the format, such as a day that no month has; or the
            format has parts that cannot be read, or only two digits of a year, whose century
            programs take for different ones.
    """
    pattern = re.sub("|".join(_DATE_PARTS), lambda part: _DATE_PARTS[part[0]], form)
    if re.search(r"[A-Za-z]", re.sub(r"%[YmdHMS]|T", "", pattern)):
        raise pa.ArrowInvalid("unknown parts")
    text = exact.trim(column)
    if "%Y" not in pattern:
        text, pattern = pc.binary_join_element_wise("1970", text, " "), f"%Y {pattern}"
    found = pc.strptime(text, format=pattern, unit="us")
    # Arrow reads 31-02-2026 as 3 March.
    if not pc.all(pc.equal(_bare(pc.strftime(found, format=pattern)), _bare(text))).as_py():
        raise pa.ArrowInvalid("no such day")
    return found


def _bare(text: pa.Array) -> pa.Array:
    """Dates without zeros before their parts, and seconds without the fraction that Arrow adds."""
    whole = pc.replace_substring_regex(text, r"\.0*$", "")
    return pc.replace_substring_regex(whole, r"\b0+(\d)", r"\1")
