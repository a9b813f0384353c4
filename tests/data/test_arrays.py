"""What Keras's `fit` takes, as arrays in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise, repeat
from typing import Any

import jax.numpy as jnp
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.utils import PyDataset

from fitwell.data.arrays import Arrays, read_arrays
from fitwell.errors import InputError, InputTypeError

X = np.arange(12, dtype=np.float32).reshape(6, 2)
Y = np.array([0, 1, 2, 0, 1, 2])
NAN_AT_3 = np.where(np.arange(12).reshape(6, 2) == 7, np.nan, X)


class Tensor:
    """A tensor of another library: it has `__array__` without NumPy's newer arguments, and no length."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __array__(self, dtype: Any = None) -> np.ndarray:
        return self.values if dtype is None else self.values.astype(dtype)


class Variable:
    """A value that can only be asked for its array."""

    def numpy(self) -> np.ndarray:
        """Return the array."""
        return X


class Wrapped:
    """A value that JAX understands."""

    def __jax_array__(self) -> Any:
        return jnp.asarray(X)


class OnDevice:
    """A tensor whose values NumPy cannot reach."""

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        raise TypeError("can't convert cuda:0 device type tensor to numpy.\nUse cpu()")


class Indexed:
    """Batches by index that raise nothing beyond the last, as many a `Sequence` does."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index % len(self.batches)]


class Loader:
    """Batches by iteration; its length is not known, as of a stream."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        raise TypeError("no length")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class KerasBatches(Indexed, PyDataset):
    """The same as Keras wants it."""

    def __init__(self, batches: list[Any]) -> None:
        PyDataset.__init__(self)
        self.batches = batches


class Endless(PyDataset):
    """A `PyDataset` without an end."""

    @property
    def num_batches(self) -> Any:
        """Return no number."""
        return None

    def __getitem__(self, index: int) -> Any:
        return X, Y


def items(tree: Any, place: str = "") -> dict[str, np.ndarray]:
    """The arrays of a tree by where they are."""
    if isinstance(tree, dict | tuple):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {name: leaf for key, value in pairs for name, leaf in items(value, f"{place}[{key!r}]").items()}
    return {place: tree}


def assert_same(one: Arrays, other: Arrays) -> None:
    """Both have the same structure, types, shapes and values."""
    for field in ("inputs", "targets", "sample_weight", "class_weight"):
        first, second = items(getattr(one, field)), items(getattr(other, field))
        assert list(first) == list(second)
        for name, leaf in first.items():
            assert (leaf is None) == (second[name] is None)
            if leaf is not None:
                assert leaf.dtype == second[name].dtype
                np.testing.assert_array_equal(leaf, second[name], strict=True)


# One array


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.astype(np.float64),
        X.astype(np.float16),
        np.asfortranarray(X),
        np.ma.masked_array(X),
        jnp.asarray(X),
        jnp.asarray(X, jnp.bfloat16),
        Tensor(X),
        Variable(),
        Wrapped(),
        X.tolist(),
        [tuple(row) for row in X.tolist()],
        [[np.float64(value) for value in row] for row in X],
        pl.DataFrame(X),
        pl.LazyFrame(X),
        pl.DataFrame(X.astype(int)),
        pa.table({"a": X[:, 0], "b": X[:, 1].astype(int)}),
        pa.table({"a": X[:, 0], "b": pa.array(X[:, 1].astype(int)).dictionary_encode()}),
    ],
    ids=lambda x: type(x).__name__,
)
def test_one_array_in_every_form(x: Any) -> None:
    """The same rows, however they are given, become the same float32 array [n, d]."""
    assert_same(read_arrays(x, Y), Arrays(X, Y.astype(np.int32)))


def test_pandas_frames_and_series() -> None:
    """Nullable columns, categories that are numbers, odd labels and series of pandas are read by their values."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            0: pd.array([1, 2], dtype="Int64"),
            "flag": pd.array([True, False], dtype="boolean"),
            "code": pd.Categorical([7, 5]),
            "float": [0.5, 1.5],
            "arrow": pd.array([3, 4], dtype="int64[pyarrow]"),
        },
        index=[5, 5],
    )
    read = read_arrays(frame, pd.Series([1, 0], index=[9, 8]))
    assert_same(read, Arrays(np.array([[1, 1, 7, 0.5, 3], [2, 0, 5, 1.5, 4]], np.float32), np.array([1, 0], np.int32)))


@pytest.mark.parametrize(
    ("values", "as_input", "as_target"),
    [
        (np.array([0.5, 1.5]), np.float32, np.float32),
        (np.array([1, 2], np.uint8), np.int32, np.int32),
        (np.array([1, 2], np.uint64), np.int32, np.int32),
        (np.array([True, False]), np.float32, np.int32),
        (jnp.array([1, 2]), np.int32, np.int32),
        (pl.Series([1, 2]), np.int32, np.int32),
        (pl.Series([1, 2], dtype=pl.Decimal(5, 2)), np.float32, np.float32),
        (pl.DataFrame({"a": [1, 2]}), np.float32, np.int32),
        (pl.DataFrame({"a": [True, False]}), np.float32, np.int32),
        (pl.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), np.float32, np.float32),
        ([1, 2], np.int32, np.int32),
        ([True, False], np.float32, np.int32),
    ],
)
def test_types(values: Any, as_input: Any, as_target: Any) -> None:
    """Floats become `dtype`, integers int32; as inputs booleans and whole frames are floats, as targets classes."""
    read = read_arrays(values, values)
    assert read.inputs.dtype == as_input
    assert read.targets.dtype == as_target
    np.testing.assert_array_equal(read.inputs, np.asarray(values, float), strict=False)


def test_dtype_is_for_all_floats() -> None:
    """With float64 nothing is rounded, the weights neither."""
    read = read_arrays({"a": [0.1], "b": [True]}, [0.1], sample_weight=[0.1], class_weight=None, dtype=np.float64)
    assert {leaf.dtype for leaf in (*read.inputs.values(), read.targets, np.asarray(read.sample_weight))} == {
        np.dtype(np.float64)
    }
    assert read.inputs["a"][0] == read.targets[0] == 0.1


def test_arrays_that_fit_are_not_copied() -> None:
    """A large array that has the right type is used where it is."""
    assert np.shares_memory(read_arrays(X, Y).inputs, X)


# Trees


@pytest.mark.parametrize(
    ("x", "places"),
    [
        ((X, X[:, 0]), ["[0]", "[1]"]),
        ([X, Tensor(X[:, 0])], ["[0]", "[1]"]),
        ([X, X[:, 0].tolist()], ["[0]", "[1]"]),
        ([pl.DataFrame(X), jnp.asarray(X[:, 0])], ["[0]", "[1]"]),
        ({"b": pl.Series(X[:, 0]), "a": X.tolist()}, ["['b']", "['a']"]),
        ({"image": [X, X]}, ["['image'][0]", "['image'][1]"]),
        ([[X, X], X], ["[0][0]", "[0][1]", "[1]"]),
        ((X,), ["[0]"]),
    ],
)
def test_trees_keep_their_structure(x: Any, places: list[str]) -> None:
    """Several inputs or targets stay where they were, dicts in their order; 1-D arrays stay 1-D."""
    for part in (read_arrays(x, Y).inputs, read_arrays(X, x).targets):
        assert list(items(part)) == places
        assert all(
            len(leaf) == 6 and (leaf == X if leaf.ndim == 2 else leaf == X[:, 0]).all() for leaf in items(part).values()
        )


def test_nested_lists_of_numbers_are_one_array() -> None:
    """A list of lists of numbers is one input [2, 3], a list of arrays is three inputs."""
    assert read_arrays([[1, 2, 3], [4, 5, 6]], [0, 1]).inputs.shape == (2, 3)
    assert len(read_arrays([np.array([1, 2])] * 3, [0, 1]).inputs) == 3


def test_take() -> None:
    """Rows are taken from every array alike, in the order asked for."""
    weights = np.arange(6.0)
    read = read_arrays({"a": X, "b": (X[:, 1],)}, (Y, X), sample_weight=weights).take(np.array([4, 0, 4]))
    assert read.rows == 3
    np.testing.assert_array_equal(read.inputs["b"][0], [9, 1, 9])
    np.testing.assert_array_equal(read.targets[0], [1, 0, 1])
    np.testing.assert_array_equal(read.sample_weight, [4, 0, 4])
    np.testing.assert_array_equal(read_arrays(X, Y, class_weight={1: 3}).take(Y == 1).class_weight, [3, 3])


# Batches


def kinds_of_batches(batches: list[Any]) -> dict[str, Any]:
    """The same batches, in every form they can arrive in."""
    return {
        "list": batches,
        "generator": (batch for batch in batches),
        "iterator": iter(batches),
        "lists": iter([list(batch) for batch in batches]),
        "indexed": Indexed(batches),
        "PyDataset": KerasBatches(batches),
        "loader": Loader(batches),
    }


@pytest.mark.parametrize("kind", kinds_of_batches([]))
def test_batches_in_every_form(kind: str) -> None:
    """Batches are read once to their end and joined in order, by index not beyond the length."""
    batches = [(X[:4], Y[:4]), (X[4:], Y[4:])]
    assert_same(read_arrays(kinds_of_batches(batches)[kind]), read_arrays(X, Y))


LEAVES: dict[str, Callable[[np.ndarray], Any]] = {
    "array": lambda values: values,
    "float64": lambda values: values.astype(np.float64),
    "jax": jnp.asarray,
    "tensor": Tensor,
    "tree": lambda values: {"b": (values, values[:, 0]), "a": [values[:, 1]]},
    "frame": lambda values: pl.DataFrame(values, schema=["u", "v"]),
    "arrow": lambda values: pa.table({"u": values[:, 0], "v": values[:, 1]}),
    "integers": lambda values: values.astype(np.uint8),
    "booleans": lambda values: values > 3,
}


@given(
    cuts=st.lists(st.integers(0, 12)),
    leaf=st.sampled_from(sorted(LEAVES)),
    target=st.sampled_from(sorted(LEAVES)),
    weighted=st.booleans(),
    as_list=st.booleans(),
)
def test_any_cut_into_batches_is_the_same(
    cuts: list[int], leaf: str, target: str, weighted: bool, as_list: bool
) -> None:
    """However rows are cut into batches, empty ones included, they are read as the uncut rows."""
    x, y, w = np.arange(24, dtype=np.float32).reshape(12, 2), np.arange(24).reshape(12, 2) % 5, np.arange(12) % 3
    make, bounds = LEAVES[leaf], [0, *sorted(cuts), 12]
    pieces = [slice(*pair) for pair in pairwise(bounds)]
    batches = [(make(x[cut]), LEAVES[target](y[cut]), *([w[cut]] if weighted else [])) for cut in pieces]
    whole = read_arrays(make(x), LEAVES[target](y), sample_weight=w if weighted else None)
    assert_same(read_arrays(batches if as_list else iter(batches)), whole)


def test_the_comparison_sees_a_lost_order() -> None:
    """The counterpart: batches in another order are other arrays."""
    swapped = read_arrays([(X[3:], Y[3:]), (X[:3], Y[:3])])
    with pytest.raises(AssertionError):
        assert_same(swapped, read_arrays(X, Y))


def test_a_generator_may_use_its_memory_again() -> None:
    """A batch is copied before the next one overwrites it."""

    def batches() -> Iterator[Any]:
        x, y = np.empty((2, 2), np.float32), np.empty(2, np.int32)
        for start in (0, 2, 4):
            x[:], y[:] = X[start : start + 2], Y[start : start + 2]
            yield x, y

    assert_same(read_arrays(batches()), read_arrays(X, Y))


def test_batches_of_lists_of_numbers() -> None:
    """Tuples in a list are batches even if they hold lists of numbers; class weights are given beside them."""
    read = read_arrays([([[1.0], [2.0]], [0, 1]), ([[3.0]], [1])], class_weight={1: 4})
    assert read.inputs.tolist() == [[1], [2], [3]]
    assert read.class_weight is not None
    assert read.class_weight.tolist() == [1, 4, 4]


def test_weights_come_with_the_batches() -> None:
    """The third part of a batch is the sample weight; None is none."""
    weighted = read_arrays([(X[:4], Y[:4], [1, 2, 3, 4]), (X[4:], Y[4:], np.array([[5.0], [6.0]])[:, 0])])
    assert_same(weighted, read_arrays(X, Y, sample_weight=[1, 2, 3, 4, 5, 6]))
    assert read_arrays([(X, Y, None)]).sample_weight is None


def test_lists_of_lists_that_cannot_be_a_pair_are_batches() -> None:
    """Batches `[x, y]`, as data loaders make them, are read from a list if they differ in size or are not two."""
    for sizes in ([4, 2], [2, 2, 2], [6]):
        ends = np.cumsum(sizes)
        batches = [[X[end - size : end], Y[end - size : end]] for size, end in zip(sizes, ends, strict=True)]
        assert_same(read_arrays(batches), read_arrays(X, Y))


def test_what_may_never_end_is_refused() -> None:
    """Reading stops where batches hold more than is allowed, and not before."""
    size = X.nbytes + Y.nbytes
    assert read_arrays([(X, Y)] * 3, most_bytes=3 * size).rows == 18
    with pytest.raises(InputError, match=f"more than {3 * size:,} bytes in its first 4 batches: it may never end"):
        read_arrays(repeat((X, Y)), most_bytes=3 * size)
    with pytest.raises(InputError, match="x is an endless Endless"):
        read_arrays(Endless())


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ((X, Y), InputError, "x is a tuple and y is missing: give x and y as two arguments"),
        (((X, X), (Y, Y)), InputError, "x is a tuple and y is missing"),
        (([1.0, 2.0], [0, 1]), InputError, "x is a tuple and y is missing"),
        ([X, Y], InputError, "list of numbers or arrays rather than of batches"),
        ([[X, X], [Y, Y]], InputError, "two batches.*as well as one pair"),
        ([[[1, 2], [3, 4]], [[0, 1], [1, 0]]], InputError, "list of numbers or arrays"),
        ([(1, 2), (3, 4)], InputError, "list of numbers or arrays"),
        ([1, 2], InputError, "list of numbers or arrays"),
        (X, InputError, "y is missing, and x is a ndarray"),
        (jnp.asarray(X), InputError, "y is missing"),
        ({"x": X, "y": Y}, InputError, "y is missing, and x is a dict"),
        (pl.DataFrame(X), InputError, r"y is missing, and x is a DataFrame.*fitwell.tune\(table, target\)"),
        (pl.LazyFrame(X), InputError, "y is missing, and x is a LazyFrame"),
        ("table.csv", InputError, "y is missing, and x is a str"),
        (None, InputTypeError, r"with y beside it, or batches \(x, y\). Got NoneType"),
        ([], InputError, "no batches"),
        (iter([]), InputError, "no batches: a generator can be read only once"),
        (iter([X, X]), InputTypeError, r"must be a tuple \(x, y\).*Batch 0 is a ndarray"),
        (iter([(X, Y), (X,)]), InputTypeError, "Batch 1 is a tuple of length 1"),
        (iter([{"x": X}]), InputTypeError, "Batch 0 is a dict"),
        (iter([(X, None)]), InputTypeError, "In batch 0 .*: y must be an array.*Got NoneType"),
        (iter([(X, Y), (X[0], 1)]), InputError, "In batch 1 .*: y .* is a single number.*data loader"),
        ([(X, Y), (X, Y[:5])], InputError, "In batch 1 .*: x has 6 rows, but y has 5"),
        ([(X, Y), (X, Y, Y)], InputError, "batch 0 holds x, y and batch 1 x, y, sample_weight"),
        ([(X, Y), ((X,), Y)], InputError, r"batch 0 holds x, y and batch 1 x\[0\], y"),
        ([({"a": X}, Y), ({"b": X}, Y)], InputError, r"holds x\['a'\], y and batch 1 x\['b'\], y"),
        ([(X, Y), (X[:, :1], Y)], InputError, r"those of x are \(2,\) in batch 0 and \(1,\) in batch 1"),
        ([(pl.DataFrame(X), Y), (pl.DataFrame(X)[:, ::-1], Y)], InputError, "those of x in batch 1 are not those"),
        ([(X, Y), (NAN_AT_3, Y)], InputError, "x holds missing.* in 1 row, first in row 9 .*column 1"),
        ([(X[:0], Y[:0])], InputError, "x has no rows"),
    ],
)
def test_what_is_no_batches_gets_a_sentence(x: Any, error: type[Exception], message: str) -> None:
    """Without y, whatever is not clearly batches of one structure is refused: above all the pair (x, y)."""
    with pytest.raises(error, match=message):
        read_arrays(x)


# Refusals


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (3, Y, InputError, "x must have a row for each sample, but is a single number"),
        (np.float32(3), Y, InputError, "single number"),
        (X, 3, InputError, "y must have a row"),
        ("a.csv", Y, InputError, r"x must hold numbers, but holds text: .*fitwell.tune\(table, target\)"),
        (None, Y, InputTypeError, "x must be an array, a data frame.*Got NoneType"),
        (iter([X]), Y, InputTypeError, "Got list_iterator; batches are given as x alone, without y"),
        ((X, None), Y, InputTypeError, r"x\[1\] must be"),
        ({}, Y, InputTypeError, "x must name its arrays by text"),
        ({1: X}, Y, InputTypeError, r"the keys \[1\]"),
        ([], [], InputError, "no rows"),
        (X[:0], Y[:0], InputError, "no rows"),
        (X, Y[:5], InputError, "x has 6 rows, but y has 5: give both the same rows"),
        ({"a": X, "b": X[1:]}, Y, InputError, r"x\['a'\] has 6 rows, but x\['b'\] has 5"),
        (list(X), Y, InputError, r"x\[0\] has 2 rows, but y has 6: np.stack x"),
        ([[1, 2], [3]], [0, 1], InputError, "rows of one length"),
        (OnDevice(), Y, InputError, "can't convert cuda:0 device type tensor to numpy.[)]: convert it"),
        (X.astype(str), Y, InputError, "holds text"),
        (X.astype(object), Y, InputError, "holds objects"),
        (X.astype(complex), Y, InputError, "holds complex numbers"),
        (Y.astype("M8[D]"), Y, InputError, "holds dates"),
        (np.zeros(6, "i4,i4"), Y, InputError, "holds records"),
        (np.ma.masked_equal(X, 7), Y, InputError, "x holds missing.*first in row 3 .*column 1"),
        (X, ["a"] * 6, InputError, "y must hold numbers, but holds text"),
        ({"a": X, "b": Y.astype(str)}, Y, InputError, r"x\['b'\] must hold numbers, but holds text"),
        (pl.DataFrame({"a": [1], "b": ["x"]}), [1], InputError, "Column 'b' of x must hold numbers, but holds text"),
        (pl.DataFrame({"b": [None, "x"]}, schema={"b": pl.Categorical}), [1, 2], InputError, "Column 'b'.*text"),
        (pl.DataFrame({"t": [0]}, schema={"t": pl.Datetime}), [1], InputError, "Column 't' of x .* holds dates"),
        (pl.DataFrame({"t": [[0]]}), [1], InputError, r"Column 't' of x .* holds List\(Int64\) values"),
        (pl.DataFrame({"a": [1]}).select(), [1], InputError, "x has no columns"),
        (pl.DataFrame({"a": [1, None]}), [1, 2], InputError, "x holds missing.*in 1 row, .*row 1 .*column 'a'"),
        (pl.DataFrame({"a": [True, None]}), [1, 2], InputError, "in 1 row, first in row 1 .*column 'a'"),
        (pl.DataFrame({"a": [None, None]}), [1, 2], InputError, "in 2 rows, first in row 0"),
        (X, pl.Series([1, None, 3, 4, 5, 6]), InputError, "y holds missing.*row 1 "),
        (pa.table([[1], [2]], names=["a", "a"]), [1], InputError, "different names, but has 'a' 2 times"),
        (
            NAN_AT_3,
            Y,
            InputError,
            "x holds missing, NaN or infinite values .*in 1 row, first in row 3 .*column 1: fill",
        ),
        (np.full((6, 2), np.inf), Y, InputError, "in 6 rows, first in row 0"),
        (np.full((6, 2, 2), np.nan), Y, InputError, r"in 6 rows, first in row 0 \(counted from 0\): fill"),
        (X.astype(float) * 1e300, Y, InputError, r"\(as float32\) in 6 rows, first in row 0 .*column 1"),
        (X, NAN_AT_3, InputError, "y holds missing"),
        (Y * 2**40, Y, InputError, "x holds the integer 1099511627776 in row 1 .*beyond int32"),
        (X, Y - 2**40, InputError, "y holds the integer -1099511627776 in row 0"),
        (np.full(6, 2**63, np.uint64), Y, InputError, "beyond int32"),
    ],
)
def test_bad_arrays_get_a_sentence(x: Any, y: Any, error: type[Exception], message: str) -> None:
    """Which array, which column and row, what it holds and what to do."""
    with pytest.raises(error, match=message) as caught:
        read_arrays(x, y)
    assert "\n" not in str(caught.value)


def test_sparse_matrices_are_refused() -> None:
    """A sparse matrix would be one object to NumPy; the sentence says how to make it dense."""
    from scipy.sparse import csr_matrix

    with pytest.raises(InputTypeError, match=r"x must be dense.*give its toarray\(\)"):
        read_arrays(csr_matrix(X), Y)
    with pytest.raises(InputError, match="y is missing, and x is a csr_matrix"):
        read_arrays(csr_matrix(X))


def test_bad_pandas_columns_get_a_sentence() -> None:
    """Missing values of nullable types, text categories, mixed objects and dates are refused by the column's name."""
    pd = pytest.importorskip("pandas")
    cases = [
        (pd.array([1, None], dtype="Int64"), "missing.*column 'c'"),
        (pd.array([True, None], dtype="boolean"), "missing.*column 'c'"),
        (pd.Categorical([1, None]), "missing.*column 'c'"),
        (pd.Categorical(["a", "b"]), "Column 'c' of x .*text"),
        (pd.Series([1, "a"], dtype=object), "Column 'c' of x .*mixed objects"),
        (pd.to_datetime(["2020-01-01", "2020-01-02"]), "Column 'c' of x .*dates"),
    ]
    for values, message in cases:
        with pytest.raises(InputError, match=message):
            read_arrays(pd.DataFrame({"n": [1, 2], "c": values}), [0, 1])
    with pytest.raises(InputError, match="different names, but has 'a' 2 times"):
        read_arrays(pd.DataFrame([[1, 2]], columns=["a", "a"]), [0])


# Weights


@pytest.mark.parametrize(
    "weights", [[0, 1, 2], np.array([[0.0], [1.0], [2.0]]), pl.Series([0, 1, 2]), Tensor([0, 1, 2])]
)
def test_sample_weights(weights: Any) -> None:
    """Weights [n] or [n, 1] of any library become floats [n]."""
    read = read_arrays(X[:3], Y[:3], sample_weight=weights).sample_weight
    np.testing.assert_array_equal(read, np.array([0, 1, 2], np.float32), strict=True)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1, 1], InputError, "x has 6 rows, but sample_weight has 2"),
        (np.ones((6, 2)), InputError, r"\[n\] or \[n, 1\]. Got the shape \(6, 2\)"),
        (np.zeros(6), InputError, "must not be zero in every row"),
        (1.0 - Y, InputError, "must not be negative. Got -1.0 in row 2"),
        (np.where(Y == 1, np.nan, 1), InputError, "sample_weight holds missing.* in 2 rows, first in row 1"),
        (["a"] * 6, InputError, "sample_weight must hold numbers, but holds text"),
        ({"a": np.ones(6)}, InputTypeError, "must be one array.*Got a dict of 1 arrays"),
        (1.0, InputError, "sample_weight must have a row"),
    ],
)
def test_bad_sample_weights_get_a_sentence(weights: Any, error: type[Exception], message: str) -> None:
    """Weights that cannot be meant are refused."""
    with pytest.raises(error, match=message):
        read_arrays(X, Y, sample_weight=weights)


def test_sample_weights_beside_batches_are_refused() -> None:
    """Batches may be in another order than the weights."""
    with pytest.raises(InputError, match="sample_weight must come with the batches"):
        read_arrays([(X, Y)], sample_weight=np.ones(6))


@pytest.mark.parametrize("y", [Y, Y[:, None], np.eye(3)[Y], np.eye(3, dtype=bool)[Y], Y.astype(float)])
def test_class_weights(y: Any) -> None:
    """Each row has the weight of its class, from indices or one-hot rows; classes that are not named weigh 1."""
    read = read_arrays(X, y, class_weight={0: 5, np.int64(2): 0.5}, sample_weight=np.arange(6))
    np.testing.assert_array_equal(read.class_weight, np.array([5, 1, 0.5] * 2, np.float32), strict=True)
    np.testing.assert_array_equal(read.sample_weight, np.arange(6, dtype=np.float32), strict=True)


@given(
    classes=st.lists(st.integers(0, 3), min_size=1, max_size=20),
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
)
def test_class_weights_are_those_of_keras(classes: list[int], weights: list[int]) -> None:
    """Keras's own function gives the same weights."""
    from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

    given_weights = {key: weights[key] for key in set(classes) - {3}}
    read = read_arrays(np.zeros(len(classes)), classes, class_weight=given_weights)
    expected = class_weight_to_sample_weights(np.array(classes), given_weights)
    np.testing.assert_array_equal(read.class_weight, expected)


@pytest.mark.parametrize(
    ("weights", "y", "error", "message"),
    [
        ([1, 2], Y, InputTypeError, "must be a dict from class index to weight.*Got list"),
        ("balanced", Y, InputTypeError, "Got str"),
        ({0: 1, 3: 2}, Y, InputError, "names the class 3, but no row of y is of it; its classes are 0, 1, 2"),
        ({3: 2}, np.eye(4)[Y], InputError, "names the class 3, but no row"),
        ({"0": 1}, Y, InputTypeError, "class indices as keys.*Got '0'"),
        ({True: 1}, Y, InputTypeError, "Got True"),
        ({0: -1}, Y, InputError, "0 or more. Got -1 for the class 0"),
        ({0: float("nan")}, Y, InputError, "finite.*Got nan"),
        ({0: None}, Y, InputTypeError, "must hold numbers. Got None"),
        ({0: 0, 1: 0, 2: 0}, Y, InputError, "0 for every row"),
        ({0: 1}, (Y, Y), InputError, "y to be one array"),
        ({0: 1}, {"a": Y}, InputError, "y to be one array"),
        ({0: 1}, Y + 0.5, InputError, r"Got float32 values of shape \(6,\) that are neither"),
        ({0: 1}, X, InputError, "that are neither"),
        ({0: 1}, np.ones((6, 2)), InputError, "that are neither"),
        ({0: 1}, np.ones((6, 2, 1)), InputError, "that are neither"),
    ],
)
def test_bad_class_weights_get_a_sentence(weights: Any, y: Any, error: type[Exception], message: str) -> None:
    """A typo in a class, a weight that cannot be one, and targets without classes are refused."""
    with pytest.raises(error, match=message):
        read_arrays(X, y, class_weight=weights)
