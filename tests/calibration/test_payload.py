"""A payload's identity is its contents: not how they lie in memory or in a file."""

import math

import numpy as np
import pytest
import uproot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from b2cal.calibration import InvalidPayload, Payload, UnreadableInput
from b2cal.core.checksums import sha256_file
from b2cal.core.iov import ExpRun, IoV

IOV = IoV(ExpRun(26, 180), None)

dtypes = st.sampled_from(["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"])
arrays = dtypes.flatmap(
    lambda dtype: npst.arrays(
        dtype,
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False} if dtype.startswith("f") else None,
    )
)
keys = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,7}", fullmatch=True)
values = st.dictionaries(keys, arrays, min_size=1, max_size=3)
few_files = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def identity(values, covariance=None, name="Gain", iov=IOV):
    return Payload(name, iov, values, covariance).identity


@given(values)
def test_identity_does_not_depend_on_order_of_keys_byte_order_or_layout(values):
    swapped = {key: array.astype(array.dtype.newbyteorder(">")) for key, array in reversed(values.items())}
    strided = {key: np.stack([array, array], axis=-1)[..., 0] for key, array in values.items()}
    fortran = {key: np.asfortranarray(array).reshape(array.shape) for key, array in values.items()}
    assert identity(values) == identity(swapped) == identity(strided) == identity(fortran)


@given(values, values)
def test_different_contents_have_different_identities(one, other):
    def contents(values):
        return {key: (array.dtype, array.shape, array.tobytes()) for key, array in values.items()}

    assert (identity(one) == identity(other)) == (contents(one) == contents(other))


def test_name_and_covariance_belong_to_the_identity_and_the_iov_does_not():
    one = {"gain": [1.0, 2.0]}
    assert identity(one) != identity(one, name="Other")
    assert identity(one) != identity(one, covariance=np.eye(2))
    assert identity(one, covariance=np.eye(2)) != identity(one, covariance=2 * np.eye(2))
    assert identity(one | {"covariance": np.eye(2)}) != identity(one, covariance=np.eye(2))
    assert identity(one) == identity(one, iov=IoV(ExpRun(3, 1), ExpRun(3, 2)))


def test_the_identity_stays_the_same_over_versions_of_b2cal():
    known = "949b76b226c3b64b"
    assert identity({"gain": np.array([1.0, 2.5]), "good": [True, False]}, np.eye(2)).startswith(known)


@few_files
@given(values, st.booleans())
def test_a_file_gives_back_what_was_written(tmp_path, values, has_covariance):
    payload = Payload("Gain", IOV, values, np.diag([1.0, 2.0]) if has_covariance else None)
    payload.write(tmp_path / "payload.root")
    read = Payload.read(tmp_path / "payload.root", IOV)
    assert read.identity == payload.identity
    assert (read.name, read.iov, list(read.values)) == ("Gain", IOV, sorted(values))
    for key, array in values.items():
        assert read.values[key].dtype == array.dtype
        assert read.values[key].shape == array.shape
        assert read.values[key].tobytes() == array.tobytes()
    assert (read.covariance is None) == (payload.covariance is None)


def test_two_files_of_the_same_contents_differ_and_their_identity_does_not(tmp_path):
    payload = Payload("Gain", IOV, {"gain": np.arange(5.0)})
    paths = [tmp_path / "1.root", tmp_path / "2.root"]
    for path in paths:
        payload.write(path)
    assert sha256_file(paths[0]) != sha256_file(paths[1])
    assert Payload.read(paths[0], IOV).identity == Payload.read(paths[1], IOV).identity == payload.identity


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_place(bad):
    gain = np.ones((3, 4))
    gain[1, 2] = gain[2, 0] = bad
    with pytest.raises(InvalidPayload, match=rf"Gain, value 'gain'\[1, 2\] is {bad}, not a finite number"):
        Payload("Gain", IOV, {"gain": gain})
    with pytest.raises(InvalidPayload, match=rf"Gain, covariance\[0, 1\] is {bad}"):
        Payload("Gain", IOV, {"gain": [1, 2]}, [[1, bad], [0, 1]])


@pytest.mark.parametrize(
    ("name", "values", "covariance", "message"),
    [
        ("Gain", {}, None, "Gain has no values"),
        ("Gain", {"gain": ["a"]}, None, "value 'gain' is of type <U1"),
        ("Gain", {"gain": [None]}, None, "value 'gain' is of type object"),
        ("Gain", {"gain": [1j]}, None, "value 'gain' is of type complex128"),
        ("Gain", {"gain": np.zeros(2, "f2")}, None, "value 'gain' is of type float16"),
        ("Gain", {"gain": np.zeros(2, "M8[s]")}, None, "value 'gain' is of type datetime64"),
        ("Gain", {"a/b": [1]}, None, "'a/b' cannot be the name of a value of Gain"),
        ("../Gain", {"gain": [1]}, None, "'../Gain' cannot be the name of a payload"),
        ("", {"gain": [1]}, None, "'' cannot be the name of a payload"),
        ("Gain", {"gain": [1, 2]}, [1.0, 2.0], r"covariance of Gain has the shape \(2,\)"),
        ("Gain", {"gain": [1, 2]}, [[1.0, 2.0]], r"covariance of Gain has the shape \(1, 2\)"),
    ],
)
def test_what_cannot_be_a_payload_is_refused_with_what_to_do(name, values, covariance, message):
    with pytest.raises(InvalidPayload, match=message) as refused:
        Payload(name, IOV, values, covariance)
    assert refused.value.hint


def test_a_payload_does_not_change_with_the_arrays_it_was_made_from():
    gain = np.ones(3)
    payload = Payload("Gain", IOV, {"gain": gain})
    before = payload.identity
    gain[0] = 7
    assert payload.identity == before
    with pytest.raises(ValueError, match="read-only"):
        payload.values["gain"][0] = 7


@few_files
@given(st.data())
def test_a_damaged_file_is_never_read_as_other_constants(tmp_path, data):
    path = tmp_path / "payload.root"
    payload = Payload("Gain", IOV, {"gain": np.arange(50.0), "good": np.ones(50, bool)}, np.eye(2))
    payload.write(path)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        del content[position:]
    else:
        content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        assert Payload.read(path, IOV).identity == payload.identity
    except UnreadableInput as error:
        assert str(path) in str(error)  # noqa: PT017 (many flips hit what nobody reads, so no error must come)


def test_a_file_whose_contents_do_not_have_the_identity_written_in_it_is_not_read(tmp_path):
    Payload("Gain", IOV, {"gain": [1.0, 2.0]}).write(tmp_path / "good.root")
    with uproot.open(tmp_path / "good.root") as good, uproot.recreate(tmp_path / "bad.root") as bad:
        bad["meta"] = str(good["meta"])
        bad.mktree("values/gain", {"value": "f8"}).extend({"value": np.array([1.0, 3.0])})
    with pytest.raises(UnreadableInput, match="contents differ from the identity"):
        Payload.read(tmp_path / "bad.root", IOV)


def test_a_file_that_is_no_payload_is_named(tmp_path):
    with pytest.raises(UnreadableInput, match="it does not exist"):
        Payload.read(tmp_path / "missing.root", IOV)
    with uproot.recreate(tmp_path / "other.root") as file:
        file["text"] = "no payload"
    with pytest.raises(UnreadableInput, match=r"other\.root cannot be read"):
        Payload.read(tmp_path / "other.root", IOV)
