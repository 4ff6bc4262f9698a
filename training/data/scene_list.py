"""The georeferenced scenes, and what their files do not tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scene:
    """A scene, or some of its columns.

    Attributes:
        file: name of its files, without ``_rgb.tif`` and ``_dem.tif``.
        split: ``train``, ``validation`` or ``test``.
        sun_azimuth: degrees, as its light was seen to fall.
        columns: share of the width where it begins and where it ends.
        part: what these columns are called, after the file's name.
        coarser: factors by which it is also compared at the resolutions that satellites have.
    """

    file: str
    split: str
    sun_azimuth: float
    columns: tuple[float, float] = (0.0, 1.0)
    part: str = ""
    coarser: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Of the pair."""
        return f"{self.file}{self.part}"


SCENES = (
    # The only large scene with relief at 30 m, kept from training as a whole: it tells what is worth
    # choosing, and what it brings to learn a region's west and be judged on its east. 2.7 km lie between.
    Scene("zion_l8", "validation", 140.0, (0.0, 0.46), "_west"),
    Scene("zion_l8", "validation", 140.0, (0.54, 1.0), "_east"),
    Scene("fuji_tanzawa_s2_20210601", "train", 130.0),
    Scene("kanto_l8_20211228", "train", 158.0),
    Scene("davosdorf", "train", 150.0),
    Scene("gsl_utah_landsat7", "train", 140.0),
    Scene("lsat_para_brazil", "train", 70.0),
    Scene("sertig_valley", "test", 190.0, coarser=(2, 3)),
    Scene("duebendorf", "test", 150.0, coarser=(2, 3)),
    Scene("goslee_l7_nov", "test", 158.0),
)
