"""Quaternions: the ways to give an attitude agree, and turning is what matrices do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mica_lake.quaternion import Quat, normalize

attitudes = st.tuples(st.floats(0, 359.999), st.floats(-89, 89), st.floats(0, 359.999))


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Matrix that turns about an axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(3)
    a, b = [(1, 2), (2, 0), (0, 1)][axis]
    turn[a, a], turn[b, b], turn[a, b], turn[b, a] = c, c, -s, s
    return turn


@given(attitudes)
def test_an_attitude_is_a_turn_by_roll_then_dec_then_ra(attitude: tuple[float, float, float]) -> None:
    ra, dec, roll = attitude
    quat = Quat(attitude)
    expected = rotation(2, ra) @ rotation(1, -dec) @ rotation(0, roll)
    np.testing.assert_allclose(quat.transform, expected, atol=1e-12)
    for same in (Quat(quat.q), Quat(quat), Quat(expected), Quat([expected]), Quat(np.array([quat.q]))):
        np.testing.assert_allclose(np.abs(np.sum(same.q * quat.q)), 1, atol=1e-12)
    difference = (quat.equatorial - attitude + 180) % 360 - 180
    np.testing.assert_allclose(difference, 0, atol=1e-7)
    assert quat.q[3] >= 0


@given(attitudes, attitudes)
def test_products_are_those_of_matrices(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    a, b = Quat(first), Quat(second)
    np.testing.assert_allclose((a * b).transform, a.transform @ b.transform, atol=1e-12)
    np.testing.assert_allclose((a / b).transform, a.transform @ b.transform.T, atol=1e-12)
    np.testing.assert_allclose(a.inv().transform, a.transform.T, atol=1e-12)


def test_several_attitudes_are_arrays() -> None:
    listed = np.array([[10.0, 20.0, 30.0], [350.0, -20.0, 200.0]])
    quat = Quat(listed)
    assert (quat.q.shape, quat.transform.shape) == ((2, 4), (2, 3, 3))
    np.testing.assert_allclose(quat.equatorial, listed)
    np.testing.assert_allclose([quat.ra0, quat.roll0], [[10, -10], [30, -160]])
    np.testing.assert_allclose((quat * Quat([0, 0, 10])).roll, [40, 210])
    three = np.array([*listed, [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(Quat(three, intype="equatorial").equatorial, three)
    np.testing.assert_allclose(Quat(np.eye(3)).q, [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("given_attitude", "intype", "error", "message"),
    [
        ([1, 2], None, TypeError, "not an attitude"),
        (5, None, TypeError, "not an attitude"),
        (np.zeros((2, 2, 3)), None, TypeError, "not an attitude"),
        ([0, 0, 0, 1], "equatorial", TypeError, "not an attitude"),
        ([1, 2, 3], "euler", TypeError, "'euler' is not quaternion"),
        ([1, 0, 0, 1], None, ValueError, "not of length 1"),
    ],
)
def test_what_is_no_attitude_is_refused_and_shown(
    given_attitude: object, intype: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Quat(given_attitude, intype)


def test_normalize_makes_the_length_one() -> None:
    np.testing.assert_allclose(normalize([[0, 0, 3, 4], [2, 0, 0, 0]]), [[0, 0, 0.6, 0.8], [1, 0, 0, 0]])
    with pytest.raises(TypeError, match="shape"):
        normalize(3.0)
