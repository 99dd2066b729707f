"""Acquisition and guide star statistics: the functions of ``mica.stats``."""
