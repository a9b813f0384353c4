"""Records become the same tensors in JavaScript as in Python, bit for bit, and outputs the same predictions."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfjs_node import Node

from fitwell.data.columns import Column, describe_columns, extract
from fitwell.data.encoding import Encoding, fit_encoding, make_layout
from fitwell.data.notation import MISSING_MARKS, missing_marks, without_marks
from fitwell.data.table_files import as_frame
from fitwell.data.target import TargetOutput, labels_of
from fitwell.data.target_units import VALUES, TargetUnits
from fitwell.data.values import DATE_FORMATS, ISO, TIME_FORMATS
from fitwell.errors import InputError
from fitwell.keras.heads import as_probabilities
from fitwell.tfjs.schema import SCRIPT, schema, write_table_files

ROWS = 12
EXACT = 2**53

# JSON has no such values, so they travel as objects
REVIVE = """
    const {encode, decode} = require(given.folder + '/encode.js');
    const SPECIAL = {number: Number, date: Number, bigint: BigInt, text: text => text};
    const revive = value => {
        if (value === null || typeof value !== 'object' || Array.isArray(value)) return value;
        const [kind, inner] = Object.entries(value)[0];
        if (kind === 'undefined') return undefined;
        return kind === 'date' ? new Date(inner) : SPECIAL[kind] ? SPECIAL[kind](inner) : value;
    };
    const records = JSON.parse(given.records).map(
        record => Object.fromEntries(Object.entries(record).map(([name, value]) => [name, revive(value)])));
"""
ENCODE = (
    REVIVE
    + """
    const tensors = records => encode(given.schema, records).map(({values, shape}) => tf.tensor(values, shape));
    return records.map(record => {
        try { return tensors(record); } catch (error) { return {error: error.name + ': ' + error.message}; }
    });
"""
)


def sent(value: Any) -> Any:
    """A Python value as JSON that `REVIVE` reads."""
    if isinstance(value, datetime):
        return {"date": round(value.timestamp() * 1000)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"number": {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")}
    return value


def in_javascript(node: Node, folder: Path, document: dict[str, Any], records: Sequence[dict[str, Any]]) -> list[Any]:
    """For each record its tensors, or the error."""
    text = json.dumps([{name: sent(value) for name, value in record.items()} for record in records])
    return node(ENCODE, folder=folder, schema=document, records=text)


def in_python(
    columns: Sequence[Column],
    encodings: Sequence[Encoding],
    record: dict[str, Any],
    marks: tuple[str, ...] = MISSING_MARKS,
) -> list[np.ndarray] | InputError:
    """The tensors of a table of one record, or the error."""
    try:
        raw = extract(without_marks(as_frame([record]), marks), columns)
    except InputError as error:
        return error
    return [encoding.transform(raw) for encoding in encodings]


def fitted(
    frame: pl.DataFrame, parts: int = 2, marks: tuple[str, ...] = MISSING_MARKS
) -> tuple[tuple[Column, ...], list[Encoding], dict[str, Any]]:
    """Columns of a table, encodings of some of its row sets, and their schema."""
    frame = without_marks(frame, marks)
    columns = describe_columns(frame)
    raw = extract(frame, columns)
    layout = make_layout(columns, raw)
    encodings = [fit_encoding(layout, raw, np.arange(part, len(frame), parts + 1)) for part in range(parts)]
    about: dict[str, Any] = {"target": "y", "task": "classification", "head": "probabilities", "label_type": "str"}
    return (
        columns,
        encodings,
        json.loads(json.dumps(schema(columns, encodings, classes=("a", "b"), missing=marks, **about))),
    )


def bits(array: np.ndarray) -> np.ndarray:
    """Floats as whole numbers, in which 0 and -0 differ."""
    return np.ascontiguousarray(array, np.float32).view(np.uint32)


def same(expected: list[np.ndarray] | InputError, found: Any) -> bool:
    """Whether both gave equal tensors, or both refused."""
    if isinstance(expected, InputError) or isinstance(found, dict):
        return isinstance(expected, InputError) and isinstance(found, dict) and "RecordError" in found["error"]
    return all(np.array_equal(bits(one), bits(two)) for one, two in zip(expected, found, strict=True))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts, as they are written."""
    made = tmp_path_factory.mktemp("scripts")
    write_table_files(made, {})
    return made


# ---- tables and records ----------------------------------------------------------------------------------------------

SPACES = st.sampled_from(["", "", "", " ", "\u00a0", "\u3000", "\u0085", "\ufeff", "\x1c", "\t"])
WORDS = st.sampled_from(
    [
        "Oslo",
        "Łódź",
        "São Paulo",
        "e\u0301",
        "é",
        "İ",
        "ß",
        "日本",
        "🦊",
        "a'b",
        "TRUE",
        "False",
        "NA",
        "nan",
        "inf",
        "-",
    ]
)
FLOATS = st.one_of(st.floats(), st.floats(-1e4, 1e4), st.sampled_from([0.0, -0.0, 1e308, -1e308, 5e-324, 1e15, 1e16]))
WHOLE = st.one_of(st.integers(-20, 20), st.integers(-EXACT + 1, EXACT - 1))
NUMBER_TEXTS = st.one_of(
    FLOATS.map(repr),
    WHOLE.map(str),
    WHOLE.map("{:,}".format),
    st.from_regex(r"\A[+-]?(\d{1,4}\.?\d{0,3}|\.\d{1,3})([eE][+-]?\d{1,4})?\Z"),
    st.sampled_from(["1 234.5", "1'234", "1_000", "1,23", "1\u202f234", "1,234e5", "12 34"]),
    st.sampled_from(["0x10", "1e", "-", ".", "\u0663\u0664", "\U0001d7d7.5", "+007"]),
)
TEXTS = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), WORDS, NUMBER_TEXTS)
PADDED = st.tuples(SPACES, TEXTS, SPACES).map("".join)
MOMENTS = st.datetimes(datetime(1600, 1, 1), datetime(2600, 12, 31))
FORMATS = st.sampled_from([date + time for date in DATE_FORMATS for time in TIME_FORMATS])


def written(moment: datetime, format: str) -> str:
    """A moment as text; Python's %f is polars' %.f without the dot."""
    if format == ISO:
        return moment.isoformat()
    return moment.strftime(format.replace("%.f", ".%f").replace("%Y", f"{moment.year:04d}"))


@st.composite
def moment_texts(draw: st.DrawFn, format: str) -> str:
    """A date as a person may write it, or nearly one."""
    text = written(draw(MOMENTS), draw(st.sampled_from([format, format, ISO])))
    change = draw(
        st.sampled_from(
            [
                lambda text: text,
                lambda text: text,
                lambda text: f" {text.lower()}\u00a0",
                lambda text: text.replace("/0", "/").replace(".0", "."),
                lambda text: text.replace(" ", "  ").replace(",", ", "),
                lambda text: text.replace("28", "31"),
                lambda text: text.replace("T", " "),
                lambda text: text + "+05:30",
                lambda text: text + "-0930",
                lambda text: text + "Z",
                lambda text: text[:-1],
                lambda text: text.replace(":1", ":6"),
                lambda text: text + ".25",
            ]
        )
    )
    return change(text)


MISSING = st.sampled_from([None, math.nan, "", "  "])
ANYTHING = st.one_of(MISSING, st.booleans(), WHOLE, FLOATS, PADDED)
INSTANTS = MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000))
NUMBERS = st.one_of(st.none(), FLOATS.filter(math.isfinite))


@st.composite
def tables(draw: st.DrawFn) -> tuple[pl.DataFrame, dict[str, st.SearchStrategy[Any]]]:
    """A table with a column of each kind, and what records may hold in each column."""

    def values(strategy: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(strategy, min_size=ROWS, max_size=ROWS))

    format = draw(st.one_of(st.just(ISO), FORMATS))
    days = [written(moment, format) for moment in values(MOMENTS)]
    days[0] = written(datetime(2020, 1, 31, 13, 5, 7, 250_000), format)  # so the day is told from the month
    levels = draw(st.lists(st.one_of(TEXTS, st.floats(-1e6, 1e6).map(repr)), min_size=2, max_size=4))
    chosen = st.sampled_from([*levels, None])
    frame = pl.DataFrame(
        {
            "number": pl.Series(values(NUMBERS), dtype=pl.Float64),
            "__proto__": pl.Series([*values(st.floats(0, 1))[1:], 2.0], dtype=pl.Float64),
            "flag": pl.Series([*values(st.sampled_from([True, False, None]))[2:], True, False], dtype=pl.Boolean),
            "größe": pl.Series(["x", "y", *values(chosen)[2:]], dtype=pl.String),
            "day": pl.Series(days, dtype=pl.String),
        }
    )
    plain = st.one_of(NUMBERS, NUMBER_TEXTS, ANYTHING)
    truths = st.sampled_from([True, False, 0, 1, 1.0, 0.5, "TRUE ", "0", "1e0", "yes", "NA"])
    kinds = {
        "numeric": st.one_of(plain, INSTANTS),
        "boolean": st.one_of(truths, ANYTHING),
        "categorical": st.one_of(chosen, PADDED, ANYTHING).filter(
            # refused in JavaScript alone: numbers that it cannot hold
            lambda value: not isinstance(value, float) or not EXACT <= abs(value) < math.inf
        ),
        "date": st.one_of(moment_texts(format), moment_texts(format), INSTANTS, ANYTHING),
    }
    return frame, kinds


@pytest.mark.slow
@settings(max_examples=40)
@given(st.data())
def test_any_record_of_any_table_is_encoded_bit_for_bit(node: Node, folder: Path, data: st.DataObject) -> None:
    """Missing, unseen, extreme and odd values give the same float32 as in Python, or are refused in both."""
    frame, kinds = data.draw(tables())
    columns, encodings, document = fitted(frame)
    used = {column.name: kinds[column.kind] for column in columns if column.kind != "set aside"}
    usual = frame.drop(column.name for column in columns if column.name not in used).row(1, named=True)
    records = []
    for name, strategy in used.items():  # one odd value at a time: a refusal would hide the others
        records += [{**usual, name: value} for value in data.draw(st.lists(strategy, min_size=6, max_size=6))]
    for record, found in zip(records, in_javascript(node, folder, document, records), strict=True):
        expected = in_python(columns, encodings, record)
        assert same(expected, found), (record, expected, found)


# ---- fixed cases, and what a changed script does to them -------------------------------------------------------------


def example() -> tuple[tuple[Column, ...], list[Encoding], dict[str, Any], list[dict[str, Any]]]:
    """A table of all kinds, and records that are read in both."""
    random = np.random.default_rng(0)
    rows = 40
    frame = pl.DataFrame(
        {
            "age": [None, *random.normal(40, 12, rows - 1).tolist()],
            "huge": [1e308, -1e308, *random.normal(size=rows - 2)],
            "city": ["Oslo", None, "1", "\x85é"] * (rows // 4),
            "when": [datetime(1999, 12, 31, 23, 59) + timedelta(days=37.7 * row) for row in range(rows)],
            "smoker": [True, False] * (rows // 2),
        }
    )
    records = [
        {"age": age, "huge": huge, "city": city, "when": when, "smoker": smoker}
        for age, huge, city, when, smoker in [
            (22, 0, "Oslo", "2001-02-03", True),
            (22.7, 1e308, " Oslo\u3000", "2001-02-03T04:05:06.789", "false"),
            ("1,234.5", -1e308, 1, "2001-02-03 04:05Z", 1),
            (None, None, None, None, None),
            ("NA", -0.0, "1.0", "0001-01-01", "TRUE"),
            (1e300, 5e-324, "\x85é\x85", "9999-12-31T23:59:59.999999", 0),
            (True, False, True, datetime(2024, 2, 29, 12, tzinfo=UTC), math.nan),
            ("\x8530\x85", "nan", "Atlantis", "2000-02-29T23:59:60", "0"),
        ]
    ]
    return *fitted(frame), records


def differing(node: Node, folder: Path) -> int:
    """The number of the example's records that scripts of a directory encode otherwise than Python."""
    columns, encodings, document, records = example()
    found = in_javascript(node, folder, document, records)
    return sum(not same(in_python(columns, encodings, r), f) for r, f in zip(records, found, strict=True))


def test_records_are_encoded_bit_for_bit(node: Node, folder: Path) -> None:
    """Nothing differs in the example, whose records are all read."""
    columns, encodings, _, records = example()
    assert not any(isinstance(in_python(columns, encodings, record), InputError) for record in records)
    assert differing(node, folder) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- input.center[j]) / input.scale[j]", "- Math.fround(input.center[j])) / Math.fround(input.scale[j])"),
        ("const strip = text => text.replace(AROUND, '')", "const strip = text => text.trim()"),
        ("Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400)", "Math.floor(y / 4)"),
        ("?? levels.length + 1", "?? levels.length"),
        ("if (!live) row[j] = 0", ""),
        ("Math.min(Math.max(z, -LIMIT), LIMIT)", "z"),
    ],
    ids=["float32", "JavaScript's trim", "leap years", "unseen is missing", "untrained inputs", "no limit"],
)
def test_a_changed_rule_differs(node: Node, folder: Path, tmp_path: Path, old: str, new: str) -> None:
    """The comparison notices the change of any rule."""
    text = (folder / SCRIPT).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (tmp_path / SCRIPT).write_text(text.replace(old, new), encoding="utf-8")
    assert differing(node, tmp_path) > 0


CLOTHES = {
    "price": (
        "$1,200.50",
        ["$1,016.68", "($5.00)", "-$3", "$ 7", "0.5", "\u2212$1'234.5", "5 \u20ac", "$1,23", "$0,125"],
    ),
    "share": ("12,5 %", ["7%", "0", "1.234,5%", "12.5%", "5", "(3,5 %)", "-", "#DIV/0!", "n/a", "0,125%"]),
    "euro": ("1\u202f234,5 \u20ac", ["1.234 \u20ac", "1 234,5", "1\u00a0234 \u20ac", "2.155", "2,155", "1.5", "EUR 5"]),
    "plain": (
        "0,25",
        ["2.155", "+5", "1e3", "1,5e-3", "\u20132", "inf", "NaN", "<NA>", "NULL", "", "1.23", "00,5", "1_000"],
    ),
    "city": ("Oslo", ["NA", "None", " n/a ", "none", "-", "unknown", "Rome", "-999", "#N/A"]),
    "day": ("March 5, 2021", ["Mar 5, 2021", "may 31, 2021", "2021-03-05", "NA", "-", "Feb 30, 2021", "5 Mar 2021"]),
    "short": ("31/12/69", ["03/04/21", "3/4/70", "1/2/5", "03/04/2021", "31/01/99", "--"]),
}


@pytest.mark.parametrize("missing", [None, ["unknown", "-999"]])
def test_texts_in_clothes_are_encoded_bit_for_bit(node: Node, folder: Path, missing: list[str] | None) -> None:
    """Currencies, percent, marks of all kinds, and what is missing: the same inputs, or refused in both."""
    marks = missing_marks(missing)
    others = {"city": "Rome", "day": "April 15, 2020", "share": "8,25%", "plain": "0,5", "price": "$0.75"}
    others |= {"euro": "0,75 \u20ac", "short": "02/01/21"}
    frame = pl.DataFrame({name: [usual, others[name]] * 10 for name, (usual, _) in CLOTHES.items()})
    columns, encodings, document = fitted(frame, marks=marks)
    kinds = {column.name: column.kind for column in columns}
    assert kinds == {
        name: {"city": "categorical", "day": "date", "short": "date"}.get(name, "numeric") for name in CLOTHES
    }
    usual = frame.row(0, named=True)
    records = [{**usual, name: text} for name, (_, texts) in CLOTHES.items() for text in texts]
    records += [{**usual, "city": -999}, {**usual, "plain": -999}]
    read = 0
    for record, found in zip(records, in_javascript(node, folder, document, records), strict=True):
        expected = in_python(columns, encodings, record, marks)
        read += not isinstance(expected, InputError)
        assert same(expected, found), (record, expected, found)
    assert 0.6 * len(records) < read < len(records)


def test_every_day_of_a_leap_cycle(node: Node, folder: Path) -> None:
    """The sines of all days are float32-equal, however the two compute them."""
    days = [datetime(1996, 1, 1) + timedelta(days=1.003 * number) for number in range(1500)]
    columns, encodings, document = fitted(pl.DataFrame({"day": days}))
    code = REVIVE + "return encode(given.schema, records).map(({values, shape}) => tf.tensor(values, shape));"
    text = json.dumps([{"day": day.isoformat()} for day in days])
    found = node(code, folder=folder, schema=document, records=text)
    raw = extract(pl.DataFrame({"day": days}), columns)
    for encoding, tensor in zip(encodings, found, strict=True):
        np.testing.assert_array_equal(bits(tensor), bits(encoding.transform(raw)))


def test_values_that_only_javascript_has(node: Node, folder: Path) -> None:
    """Undefined and invalid dates are missing, bigints are whole numbers, half a surrogate pair is unseen."""
    _, _, document, records = example()
    pairs = [
        ({"age": {"undefined": 0}}, {"age": None}),
        ({"when": {"date": None}}, {"when": None}),
        ({"age": {"bigint": "30"}, "city": {"bigint": "1"}}, {"age": 30, "city": "1"}),
        ({"city": "\ud83e"}, {"city": "Atlantis"}),
        ({"when": {"date": 951782400123}}, {"when": "2000-02-29T00:00:00.123"}),
    ]
    pairs[1][0]["when"]["date"] = "never"
    for changed, equal in pairs:
        one, two = in_javascript(node, folder, document, [{**records[0], **changed}, {**records[0], **equal}])
        assert all(np.array_equal(bits(a), bits(b)) for a, b in zip(one, two, strict=True)), changed


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"age": "abc"}, "column 'age' of record 2: expected a number, got 'abc'"),
        ({"age": [1]}, "column 'age' of record 2: expected a number, got a value of type Array"),
        ({"age": math.inf}, "column 'age' of record 2: expected a finite number, got Infinity"),
        ({"age": "1e999"}, "column 'age' of record 2: expected a finite number, got '1e999'"),
        ({"age": {"date": 0}}, "column 'age' of record 2: expected a number, got a value of type Date"),
        ({"city": {"date": 0}}, "expected a text, a number or a boolean, got a value of type Date"),
        ({"city": 1e300}, "expected a text, for JavaScript rounds whole numbers beyond 2^53, got 1e+300"),
        ({"when": 20200101}, "expected a date as text (YYYY-MM-DD) or a Date, got 20200101"),
        ({"when": "2021-02-29"}, "column 'when' of record 2: expected a date (YYYY-MM-DD), got '2021-02-29'"),
        ({"smoker": "yes"}, "column 'smoker' of record 2: expected true or false, got 'yes'"),
        ({"smoker": "y" * 50}, "got '" + "y" * 40 + "...'"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_named(node: Node, folder: Path, changed: dict[str, Any], sentence: str) -> None:
    """The sentence names the column, the record from 1, what was expected and what came."""
    _, _, document, records = example()
    text = json.dumps([{name: sent(value) for name, value in {**records[0], **more}.items()} for more in ({}, changed)])
    code = REVIVE + "try { encode(given.schema, records); } catch (error) { return error.message; }"
    assert sentence in node(code, folder=folder, schema=document, records=text)


def test_a_record_must_have_every_column(node: Node, folder: Path) -> None:
    """As in Python a column may be empty but not lacking; of no records there is nothing to encode."""
    columns, encodings, document, records = example()
    lacking = {name: value for name, value in records[0].items() if name != "age"}
    found = in_javascript(node, folder, document, [lacking])
    assert isinstance(in_python(columns, encodings, lacking), InputError)
    assert (
        found[0]["error"]
        == "RecordError: the record lacks the column 'age': give it, as null if its value is not known"
    )
    code = REVIVE + "try { encode(given.schema, given.what); } catch (error) { return error.message; }"
    for what, sentence in [
        ([], "expected at least one record"),
        (["x"], "record 1: expected an object"),
        (3, "the record: expected an object with a value for each column, got 3"),
    ]:
        assert sentence in node(code, folder=folder, schema=document, records="[]", what=what)
    assert "format 1 or 2, got 7" in node(code, folder=folder, schema={**document, "format": 7}, records="[]", what={})


# ---- outputs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["probabilities", "logits", "probability", "logit"])
@pytest.mark.parametrize(
    ("classes", "label_type"),
    [(("no", "yes"), "str"), (("0", "1"), "int"), (("false", "true"), "bool"), (("0.5", "1e+16"), "float")],
)
def test_outputs_are_decoded_as_in_python(
    node: Node, folder: Path, head: str, classes: tuple[str, ...], label_type: Any
) -> None:
    """Labels in their type and the probabilities of every kind of output, also of huge logits and of ties."""
    width = 2 if head.endswith("s") or head == "logits" else 1
    outputs = np.random.default_rng(1).normal(0, 4, (20, width)).astype(np.float32)
    outputs[:4] = [[90] * width, [-90] * width, [0] * width, [1e-9] * width]
    if "prob" in head:
        outputs = as_probabilities(outputs, "logits" if width == 2 else "logit")[:, :width]
    about: dict[str, Any] = {"target": "y", "task": "classification", "head": head, "label_type": label_type}
    columns, encodings, _, _ = example()
    document = schema(columns, encodings, classes=classes, **about)
    code = (
        REVIVE
        + "return [decode(given.schema, given.outputs.dataSync()), decode(given.schema, given.outputs.arraySync())]"
    )
    flat, nested = node(code, folder=folder, schema=document, records="[]", outputs=outputs)
    assert flat == nested
    expected = as_probabilities(outputs, head)
    found = np.array([[row["probabilities"][name] for name in classes] for row in flat])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-30)
    labels = labels_of(expected.argmax(axis=1), classes, label_type).tolist()
    assert [row["prediction"] for row in flat] == labels
    assert {type(row["prediction"]) for row in flat} <= {type(label) for label in labels} | {int, float}


def test_a_regression_is_decoded(node: Node, folder: Path) -> None:
    """The number alone; outputs that do not fit, or that are not numbers, are refused."""
    columns, encodings, other, _ = example()
    about: dict[str, Any] = {"target": "y", "task": "regression", "head": "probabilities", "label_type": "float"}
    document = schema(columns, encodings, classes=(), **about)
    code = (
        REVIVE
        + "try { return decode(given.schema, given.outputs.map(Number)); } catch (error) { return error.message; }"
    )
    assert node(code, folder=folder, schema=document, records="[]", outputs=[1.5, -2]) == [
        {"prediction": 1.5},
        {"prediction": -2},
    ]
    assert "outputs of 2 for each record, got 3" in node(
        code, folder=folder, schema=other, records="[]", outputs=[1, 2, 3]
    )
    assert "got NaN, NaN" in node(code, folder=folder, schema=other, records="[]", outputs=["x", "x"])


@pytest.mark.parametrize(
    "units", [VALUES, TargetUnits(np.array([1e9, 0.0]), np.array([3.0, 1.0]))], ids=["plain", "far"]
)
def test_several_values_are_decoded(node: Node, folder: Path, units: TargetUnits) -> None:
    """By target, each in its unit; outputs that do not fill a record are refused."""
    columns, encodings, _, _ = example()
    outputs = (TargetOutput("a", (), "float"), TargetOutput("b, c", (), "float"))
    about: dict[str, Any] = {"target": "a, b, c", "task": "regression", "head": "probabilities", "label_type": "float"}
    document = schema(columns, encodings, classes=(), units=units, outputs=outputs, **about)
    code = REVIVE + "try { return decode(given.schema, given.outputs); } catch (error) { return error.message; }"
    raw = np.array([[1.5, -2], [0.25, 3]], np.float32)
    found = node(code, folder=folder, schema=document, records="[]", outputs=raw.ravel().tolist())
    assert [list(row["prediction"].values()) for row in found] == units.of(raw).tolist()
    assert list(found[0]["prediction"]) == ["a", "b, c"]
    assert "outputs of 2 for each record, got 3" in node(
        code, folder=folder, schema=document, records="[]", outputs=[1, 2, 3]
    )


def test_labels_are_decoded(node: Node, folder: Path) -> None:
    """The label of each target in its type, the second where it is more probable than not, and its probability."""
    columns, encodings, _, _ = example()
    outputs = (TargetOutput("a", ("no", "yes"), "str"), TargetOutput("b", ("0", "1"), "int"))
    about: dict[str, Any] = {"target": "a, b", "task": "multilabel", "head": "probabilities", "label_type": "str"}
    document = schema(columns, encodings, classes=(), outputs=outputs, **about)
    code = REVIVE + "try { return decode(given.schema, given.outputs); } catch (error) { return error.message; }"
    found = node(code, folder=folder, schema=document, records="[]", outputs=[0.75, 0.5, 0.25, 1])
    assert found == [
        {"prediction": {"a": "yes", "b": 0}, "probabilities": {"a": 0.75, "b": 0.5}},
        {"prediction": {"a": "no", "b": 1}, "probabilities": {"a": 0.25, "b": 1}},
    ]
    assert "got NaN" in node(code, folder=folder, schema=document, records="[]", outputs=["x", 1])
