"""Local statistics on digital inequality: calibration, small areas, honest uncertainty."""

__version__ = "0.1.0"
