"""Regions and all of France: departments computed apart, wherever there is room."""

from inegnum.study.scale.recompute import Recomputed, recompute

__all__ = ["Recomputed", "recompute"]
