"""Observations whose aspect is not to be judged by the usual limits."""

__all__ = ["bad_obsids"]

_VENUS = (
    583, 2411, 2414, 6395, *range(7306, 7317), 7406, *range(9741, 9750), 9752, 9753, 15292, *range(16499, 16507), 17439,
    *range(18690, 18697)
)  # fmt: skip
_SEVERAL_CATALOGS = (
    380, 800, 897, 906, 943, 1561, 1578, 1900, 2010, 2042, 2077, 2365, 2547, 2783, 3057, 3182, 3764, 4175, 60879, 60880,
    60881
)  # fmt: skip

#: Obsids of Venus, and of observations with more than one star catalog.
bad_obsids = [*_VENUS, *_SEVERAL_CATALOGS]
