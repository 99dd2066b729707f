"""What `obspar`, `asp_l1` and V&V have in common."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mica_lake import vv
from mica_lake.archive import aca_l0, asp_l1, obspar, revisions

OBSID = 32448
ASKED: list[Callable[[Any, str], object]] = [
    lambda obsid, lake: obspar.get_obspar(obsid, data_root=lake),
    lambda obsid, lake: obspar.get_obspar_file(obsid, data_root=lake),
    lambda obsid, lake: obspar.get_obs_dirs(obsid, data_root=lake),
    lambda obsid, lake: asp_l1.get_files(obsid, data_root=lake),
    lambda obsid, lake: asp_l1.get_atts(obsid, data_root=lake),
    lambda obsid, lake: aca_l0.get_files(obsid, data_root=lake),
    lambda obsid, lake: vv.get_arch_vv(obsid, data_root=lake),
]


@pytest.mark.parametrize(
    "obsid", [OBSID, float(OBSID), str(OBSID), np.int32(OBSID), np.float64(OBSID), np.array(OBSID)]
)
def test_a_whole_number_of_any_type_is_an_obsid(obsid: object) -> None:
    assert revisions.number(obsid) == OBSID


@pytest.mark.parametrize("ask", ASKED, ids=range(len(ASKED)))
@pytest.mark.parametrize("obsid", [OBSID + 0.5, "2024:001", float("nan"), float("inf"), np.ma.masked], ids=str)
def test_nothing_else_is_taken_for_one(ask: Callable[[Any, str], object], obsid: object, demo_lake: str) -> None:
    """Least of all the observation whose number is left when a fraction is cut off."""
    with pytest.raises(ValueError, match="is not a whole number"):
        ask(obsid, demo_lake)
