"""The frames of a study."""

from __future__ import annotations

from dataclasses import dataclass

from inegnum.data.types import Frame

__all__ = ["Frames"]


@dataclass(frozen=True, slots=True)
class Frames:
    """Persons of the territory, of France, and of the territory with each commune's own class.

    Attributes
    ----------
    territory, national : Frame
        Communes of the territory; they carry ``whole`` and ``whole_name``.
    own_urban : Frame or None
        None when no commune's own urban class differs.
    finest : Frame or None
        The territory in IRIS where it has them, of which `territory` is the sum; None without.
    """

    territory: Frame
    national: Frame
    own_urban: Frame | None
    finest: Frame | None = None

    @property
    def geos(self) -> set[str]:
        """Codes of the whole, of its communes and of their IRIS."""
        frames = [self.territory] if self.finest is None else [self.territory, self.finest]
        codes = {str(geo) for frame in frames for geo in frame.areas["geo"]}
        return codes | {str(self.territory.areas["whole"].iloc[0])}

    @property
    def whole(self) -> tuple[str, str]:
        """Code and name of the territory."""
        areas = self.territory.areas
        return str(areas["whole"].iloc[0]), str(areas["whole_name"].iloc[0])
