"""Poststratification frames: from census margins to persons by area and profile."""
