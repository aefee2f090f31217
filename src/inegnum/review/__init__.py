"""Judgement, apart from numbers."""
