"""The functions of ``mica.archive``, answered by the lake."""
